// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// alscMethod is one method of the ALSC CRM: the name of its only parameter, a
// JSON object, and what serves it.
type alscMethod struct {
	param string
	serve func(*topCall, time.Duration) (object, *topError)
}

var alscMethods = map[string]alscMethod{
	"alibaba.alsc.crm.recharge.dedut.update":           {"param_dedut_open_req", (*topCall).dedut},
	"alibaba.alsc.crm.recharge.undedut.update":         {"param_undedut_open_req", (*topCall).undedut},
	"alibaba.alsc.crm.recharge.dedutprecheck.get":      {"param_deduct_pre_check_open_req", (*topCall).precheck},
	"alibaba.alsc.crm.recharge.account.flowdetail.get": {"param_query_recharge_account_flow_open_req", (*topCall).flowDetail},
	"alibaba.alsc.crm.recharge.accountflows.get":       {"param_page_query_account_flows_open_req", (*topCall).accountFlows},
	"alibaba.alsc.crm.recharge.account.get":            {"param_query_recharge_account_open_req", (*topCall).account},
	"alibaba.alsc.crm.open.assert.verify":              {"param_property_verify_open_req", (*topCall).assertVerify},
	"alibaba.alsc.crm.open.assert.refund":              {"param_property_refund_open_req", (*topCall).assertRefund},
	"alibaba.alsc.crm.open.customer.get":               {"param_customer_get_open_req", (*topCall).customer},
}

// place is the brand and the shop, each under the vendor's id or the caller's.
type place struct {
	BrandID    string
	OutBrandID string
	ShopID     string
	OutShopID  string
}

func (p place) shop() string { return or(p.ShopID, p.OutShopID) }

// check holds the rule "must not both be empty".
func (p place) check(needShop bool) *topError {
	if p.BrandID == "" && p.OutBrandID == "" {
		return invalidParameter("brand_id 和 out_brand_id 不能同时为空")
	}
	if needShop && p.shop() == "" {
		return invalidParameter("shop_id 和 out_shop_id 不能同时为空")
	}
	return nil
}

// brand returns the vendor's id of the brand; ok is false for an unknown one.
func (t *topCall) brand(p place) (id string, ok bool) {
	known := t.s.cfg.ALSC.Brands
	for _, b := range known {
		if p.BrandID != "" && p.BrandID == b.ID || p.BrandID == "" && p.OutBrandID == b.OutID {
			return b.ID, true
		}
	}
	return or(p.BrandID, p.OutBrandID), len(known) == 0
}

// describe fills the call record from the parameter without judging it.
func (t *topCall) describe() {
	var p map[string]json.RawMessage
	if json.Unmarshal(t.raw, &p) != nil {
		return
	}
	// A reversal names two orders: its own number is new_outer_order_id.
	t.call.Key = or(looseText(p["new_outer_order_id"]), or(looseText(p["outer_order_id"]), looseText(p["out_order_id"])))
	t.call.RequestID = looseText(p["request_id"])
	for _, name := range []string{"customer_id", "card_id", "account_id", "mobile", "outer_id"} {
		if m := looseText(p[name]); m != "" {
			t.call.Members = append(t.call.Members, m)
		}
	}
}

// decode reads the parameter into a struct; a field of a wrong type is an
// error that names it, an unknown field is noted.
func (t *topCall) decode(into any) *topError {
	if err := json.Unmarshal(t.raw, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return invalidParameter(fmt.Sprintf("%s 类型错误: %s", wrong.Field, wrong.Value))
		}
		e := invalidArgument(t.method.param + " is not a JSON object: " + err.Error())
		return &e
	}
	u := unknownFields(t.raw, into)
	t.s.calls.update(func() { t.call.Unknown = u })
	return nil
}

// required names the first empty field.
func required(pairs ...string) *topError {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return invalidParameter(pairs[i] + " 不能为空")
		}
	}
	return nil
}

// firstOf returns the first error.
func firstOf(errs ...*topError) *topError {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

func channelKnown(c string) *topError {
	if c != "CS" && c != "KRY" {
		return invalidParameter("biz_channel 取值 CS 或 KRY")
	}
	return nil
}

func alscOK(result any) object {
	o := object{{"biz_success", true}}
	if result != nil {
		o = append(o, field{"result", result})
	}
	return append(o, field{"result_code", "200"}, field{"result_desc", "成功"}, field{"result_view", ""})
}

// alscRefusal is a refusal by the business. The vendor's table of result codes
// is not public: these are the sandbox's own, and biz_success decides.
func alscRefusal(code, desc string) object {
	return object{{"biz_success", false}, {"result_code", code}, {"result_desc", desc}, {"result_view", desc}}
}

var alscReasons = map[books.Reason][2]string{
	books.NoMember:          {"CUSTOMER_NOT_EXIST", "会员不存在"},
	books.MemberDisabled:    {"CARD_STATUS_INVALID", "卡状态不可用"},
	books.InsufficientValue: {"BALANCE_NOT_ENOUGH", "储值余额不足"},
	books.InsufficientPoint: {"POINT_NOT_ENOUGH", "积分不足"},
	books.NoCoupon:          {"VOUCHER_NOT_EXIST", "券不存在"},
	books.CouponNotUsable:   {"VOUCHER_STATUS_INVALID", "券状态不可用"},
	books.DuplicateKey:      {"OUTER_ORDER_ID_REPEAT", "外部订单号重复"},
	books.NoOriginal:        {"ORIGINAL_ORDER_NOT_EXIST", "原订单不存在"},
	books.OverReversal:      {"REFUND_EXCEEDS", "退款金额超过可退金额"},
	books.NothingToDo:       {"NOTHING_TO_VERIFY", "没有可核销的资产"},
}

// refusal turns an error of the books into an answer.
func refusal(err error) (object, *topError) {
	var r *books.Refusal
	if !errors.As(err, &r) {
		return nil, &topError{50, "Remote service error", "isp.remote-service-error", err.Error()}
	}
	c := alscReasons[r.Reason]
	return alscRefusal(c[0], c[1]), nil
}

// repeated finds what was booked under the same request_id. Repeating it with
// the same content gives the same answer; with another content it is refused.
func (t *topCall) repeated(requestID, fingerprint string) (e books.Entry, answer object, hit bool) {
	e, hit = t.s.books.ByRequest(books.ALSC, requestID)
	switch {
	case !hit:
		return e, nil, false
	case e.Fingerprint != fingerprint:
		return e, alscRefusal("REQUEST_ID_CONFLICT", "request_id 已用于其他内容的请求"), true
	case t.s.cfg.ALSC.DuplicateRequestID == "refuse":
		return e, alscRefusal("REQUEST_ID_REPEAT", "重复请求"), true
	}
	return e, nil, true
}

// fingerprint identifies the economic content of a request.
func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// who is the ways in which a request names a member, and by which property.
type who []struct {
	by    books.By
	value string
}

// member finds the member that all given names agree on.
func (t *topCall) member(names who) (books.Member, error) {
	var found *books.Member
	for _, n := range names {
		if n.value == "" {
			continue
		}
		m, ok := t.s.books.Find(books.ALSC, n.by, n.value)
		if !ok || found != nil && found.ID != m.ID {
			return books.Member{}, &books.Refusal{Reason: books.NoMember, Field: string(n.by), Detail: string(n.by)}
		}
		found = &m
	}
	if found == nil {
		return books.Member{}, &books.Refusal{Reason: books.NoMember, Field: "customer_id", Detail: "customer_id"}
	}
	return *found, nil
}

// outerID finds the property that outer_type selects.
func outerID(outerType string) books.By {
	if outerType == "alipay" {
		return books.ByAlipayID
	}
	return books.ByOpenID
}

// flows are the flows of stored value as the vendor shows them: newest first,
// without those that are younger than hide, and with planted differences.
func (s *Sandbox) flows(f books.Filter, hide time.Duration) []books.Entry {
	entries := s.books.Entries(f)
	slices.Reverse(entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	return slices.DeleteFunc(entries, func(e books.Entry) bool {
		return e.AmountFen == 0 || now.Sub(e.Time) < hide || s.plants[e.Seq].Hide
	})
}

// shown is the amount of e that look-ups show, in fen.
func (s *Sandbox) shown(e books.Entry) books.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.plants[e.Seq].ShowFen; p != nil {
		e.AmountFen = *p
		e.Split = books.Money{Real: *p}
	}
	return e
}

func properties(m books.Money) list {
	l := list{item: "recharge_account_property_open_info"}
	for _, p := range []struct {
		kind string
		fen  int64
	}{{"REAL", m.Real}, {"GIFT", m.Gift}, {"PRE", m.Pre}, {"TOTAL", m.Total()}} {
		l.values = append(l.values, object{{"type", p.kind}, {"value", p.fen}})
	}
	return l
}

// flow is a flow as spend, reversal and look-up show it.
func (t *topCall) flow(e books.Entry, brandID string, detail bool) object {
	sign, kind := int64(-1), "DEDUT"
	if e.Kind == books.KindReverse {
		sign, kind = 1, "UNDEDUT"
	}
	m, _ := t.s.books.Find(books.ALSC, books.ByID, e.Member)
	o := object{
		{"account_id", or(m.AccountID, m.CardID)},
		{"affected_property_list", properties(e.Split)},
		{"after_property_list", properties(e.After)},
		{"before_property_list", properties(e.Before)},
		{"brand_id", brandID},
		{"current_value", e.After.Total()},
		{"flow_id", e.FlowID},
		{"flow_type", kind},
		{"operator", e.Operator},
		{"operator_name", ""},
		{"order_src", int64(2)},
		{"order_time", e.Time.In(cst).Format(clockLayout)},
		{"order_value", sign * e.AmountFen},
		{"outer_order_id", e.Key},
		{"remark", e.Remark},
		{"shop_id", e.Shop},
		{"shop_name", ""},
	}
	if detail {
		return append(o, field{"card_id", m.CardID}, field{"outer_pay_id", e.Reverses}, field{"ext_info", "{}"})
	}
	if e.Kind == books.KindSpend {
		o = append(o, field{"ext_info", object{{"empty", true}}})
	}
	return o
}

func joined(ids []string) string {
	s := slices.Sorted(slices.Values(ids))
	return strings.Join(s, ",")
}

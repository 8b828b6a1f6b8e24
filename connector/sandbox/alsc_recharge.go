// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

type dedutParams struct {
	BizDate      string `json:"biz_date"`
	BrandID      string `json:"brand_id"`
	CardID       string `json:"card_id"`
	CustomerID   string `json:"customer_id"`
	OperatorID   string `json:"operator_id"`
	OuterOrderID string `json:"outer_order_id"`
	Remark       string `json:"remark"`
	RequestID    string `json:"request_id"`
	ShopID       string `json:"shop_id"`
	Value        *int64 `json:"value"` // fen
	BizChannel   string `json:"biz_channel"`
	OutBrandID   string `json:"out_brand_id"`
	OutShopID    string `json:"out_shop_id"`
	ExtInfo      string `json:"ext_info"`
}

func (p *dedutParams) place() place { return place{p.BrandID, p.OutBrandID, p.ShopID, p.OutShopID} }

func (p *dedutParams) check() *topError {
	return firstOf(
		required("operator_id", p.OperatorID, "outer_order_id", p.OuterOrderID, "request_id", p.RequestID, "biz_channel", p.BizChannel),
		channelKnown(p.BizChannel), p.place().check(true), amount(p.Value), clock("biz_date", p.BizDate),
		cardOrCustomer(p.CardID, p.CustomerID))
}

// amount is the check of a value that must be given.
func amount(v *int64) *topError {
	if v == nil {
		return invalidParameter("value 不能为空")
	}
	if *v <= 0 {
		return invalidParameter("value 必须大于 0")
	}
	return nil
}

func clock(name, value string) *topError {
	if _, err := parseClock(value); err != nil {
		return invalidParameter(name + " 格式 yyyy-MM-dd HH:mm:ss")
	}
	return nil
}

func cardOrCustomer(card, customer string) *topError {
	if card == "" && customer == "" {
		return invalidParameter("card_id 和 customer_id 不能同时为空")
	}
	return nil
}

// dedut spends stored value (alibaba.alsc.crm.recharge.dedut.update).
func (t *topCall) dedut(time.Duration) (object, *topError) {
	var p dedutParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	brand, ok := t.brand(p.place())
	if !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	print := fingerprint("dedut", p.OuterOrderID, p.CardID, p.CustomerID, brand, p.place().shop(), strconv.FormatInt(*p.Value, 10))
	defer t.lock()()
	if e, answer, hit := t.repeated(p.RequestID, print); hit {
		if answer != nil {
			return answer, nil
		}
		return alscOK(t.flow(e, brand, false)), nil
	}
	m, err := t.member(who{{books.ByID, p.CustomerID}, {books.ByCard, p.CardID}})
	if err != nil {
		return refusal(err)
	}
	e, err := t.s.books.Spend(books.Spend{
		Vendor: books.ALSC, Method: t.call.Method, Key: p.OuterOrderID, UniqueKey: true, RequestID: p.RequestID,
		Member: m.ID, Shop: p.place().shop(), Operator: p.OperatorID, Remark: p.Remark, AmountFen: *p.Value, Fingerprint: print,
	})
	if err != nil {
		return refusal(err)
	}
	t.booked(e)
	return alscOK(t.flow(e, brand, false)), nil
}

type undedutParams struct {
	BrandID         string `json:"brand_id"`
	CardID          string `json:"card_id"`
	CustomerID      string `json:"customer_id"`
	NewOuterOrderID string `json:"new_outer_order_id"`
	OperatorID      string `json:"operator_id"`
	OuterOrderID    string `json:"outer_order_id"`
	Remark          string `json:"remark"`
	RequestID       string `json:"request_id"`
	ShopID          string `json:"shop_id"`
	Value           *int64 `json:"value"` // fen; without it the whole order
	OutShopID       string `json:"out_shop_id"`
	OutBrandID      string `json:"out_brand_id"`
	BizChannel      string `json:"biz_channel"`
}

func (p *undedutParams) place() place { return place{p.BrandID, p.OutBrandID, p.ShopID, p.OutShopID} }

func (p *undedutParams) check() *topError {
	err := firstOf(
		required("operator_id", p.OperatorID, "outer_order_id", p.OuterOrderID, "new_outer_order_id", p.NewOuterOrderID,
			"request_id", p.RequestID, "biz_channel", p.BizChannel),
		channelKnown(p.BizChannel), p.place().check(true))
	if err == nil && p.Value != nil {
		return amount(p.Value)
	}
	return err
}

// undedut gives stored value back, whole or in part
// (alibaba.alsc.crm.recharge.undedut.update).
func (t *topCall) undedut(time.Duration) (object, *topError) {
	var p undedutParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	brand, ok := t.brand(p.place())
	if !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	value := "whole"
	if p.Value != nil {
		value = strconv.FormatInt(*p.Value, 10)
	}
	print := fingerprint("undedut", p.NewOuterOrderID, p.OuterOrderID, p.CardID, p.CustomerID, brand, value)
	defer t.lock()()
	if e, answer, hit := t.repeated(p.RequestID, print); hit {
		if answer != nil {
			return answer, nil
		}
		return alscOK(t.flow(e, brand, false)), nil
	}
	original, err := t.originalOf(p.OuterOrderID, who{{books.ByID, p.CustomerID}, {books.ByCard, p.CardID}})
	if err != nil {
		return refusal(err)
	}
	r := books.Reversal{
		Vendor: books.ALSC, Method: t.call.Method, Original: original.Seq, Key: p.NewOuterOrderID, UniqueKey: true,
		RequestID: p.RequestID, Shop: p.place().shop(), Operator: p.OperatorID, Remark: p.Remark, Fingerprint: print,
	}
	// "Without value the whole order": after a partial reversal that is more
	// than what is left, so the books refuse it.
	if r.AmountFen = original.AmountFen; p.Value != nil {
		r.AmountFen = *p.Value
	}
	e, err := t.s.books.Reverse(r)
	if err != nil {
		return refusal(err)
	}
	t.booked(e)
	return alscOK(t.flow(e, brand, false)), nil
}

// originalOf finds the spend under an order number and holds it against the
// names of the member that were given with it.
func (t *topCall) originalOf(orderID string, names who) (books.Entry, error) {
	spends := spendsOf(t.s.books.ByKey(books.ALSC, orderID))
	if len(spends) == 0 {
		return books.Entry{}, &books.Refusal{Reason: books.NoOriginal, Field: "outer_order_id", Detail: orderID}
	}
	given := slices.ContainsFunc(names, func(n struct {
		by    books.By
		value string
	}) bool {
		return n.value != ""
	})
	if !given {
		return spends[0], nil
	}
	m, err := t.member(names)
	if err != nil {
		return books.Entry{}, err
	}
	if m.ID != spends[0].Member {
		return books.Entry{}, &books.Refusal{Reason: books.NoOriginal, Field: "customer_id", Detail: orderID}
	}
	return spends[0], nil
}

type precheckParams struct {
	BrandID    string `json:"brand_id"`
	CardID     string `json:"card_id"`
	CustomerID string `json:"customer_id"`
	ShopID     string `json:"shop_id"`
	Value      *int64 `json:"value"` // fen
	OutShopID  string `json:"out_shop_id"`
	OutBrandID string `json:"out_brand_id"`
}

// precheck tells whether a spend would pass
// (alibaba.alsc.crm.recharge.dedutprecheck.get).
func (t *topCall) precheck(time.Duration) (object, *topError) {
	var p precheckParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	at := place{p.BrandID, p.OutBrandID, p.ShopID, p.OutShopID}
	if err := firstOf(at.check(true), amount(p.Value), cardOrCustomer(p.CardID, p.CustomerID)); err != nil {
		return nil, err
	}
	if _, ok := t.brand(at); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	m, err := t.member(who{{books.ByID, p.CustomerID}, {books.ByCard, p.CardID}})
	if err != nil {
		return refusal(err)
	}
	return alscOK(!m.Disabled && m.Balance.Total() >= *p.Value), nil
}

type flowDetailParams struct {
	BrandID      string `json:"brand_id"`
	FlowID       string `json:"flow_id"`
	OutBrandID   string `json:"out_brand_id"`
	OuterOrderID string `json:"outer_order_id"`
}

// flowDetail looks one flow up by the caller's or the vendor's number
// (alibaba.alsc.crm.recharge.account.flowdetail.get).
func (t *topCall) flowDetail(hide time.Duration) (object, *topError) {
	var p flowDetailParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	at := place{BrandID: p.BrandID, OutBrandID: p.OutBrandID}
	if err := at.check(false); err != nil {
		return nil, err
	}
	if p.FlowID == "" && p.OuterOrderID == "" {
		return nil, invalidParameter("flow_id 和 outer_order_id 必传一")
	}
	brand, ok := t.brand(at)
	if !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	found := t.s.flows(books.Filter{Vendor: books.ALSC, OwnKey: p.OuterOrderID, FlowID: p.FlowID, Limit: 1}, hide)
	if len(found) == 0 {
		if t.s.cfg.ALSC.FlowNotFound == "empty" {
			return alscOK(nil), nil
		}
		return alscRefusal("FLOW_NOT_EXIST", "流水不存在"), nil
	}
	return alscOK(t.flow(t.s.shown(found[0]), brand, true)), nil
}

type accountFlowsParams struct {
	BrandID    string `json:"brand_id"`
	CardID     string `json:"card_id"`
	CustomerID string `json:"customer_id"`
	EndTime    string `json:"end_time"`
	FlowTypes  string `json:"flow_types"`
	OutOrderID string `json:"out_order_id"`
	OutBrandID string `json:"out_brand_id"`
	OutShopID  string `json:"out_shop_id"`
	PageNo     *int64 `json:"page_no"`
	PageSize   int64  `json:"page_size"`
	ShopID     string `json:"shop_id"`
	StartTime  string `json:"start_time"`
	BizChannel string `json:"biz_channel"`
}

// accountFlows pages through flows, newest first; end_time is inclusive
// (alibaba.alsc.crm.recharge.accountflows.get).
func (t *topCall) accountFlows(hide time.Duration) (object, *topError) {
	var p accountFlowsParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	at := place{p.BrandID, p.OutBrandID, p.ShopID, p.OutShopID}
	if err := firstOf(at.check(false), clock("start_time", p.StartTime), clock("end_time", p.EndTime)); err != nil {
		return nil, err
	}
	if p.PageNo == nil || *p.PageNo < 1 {
		return nil, invalidParameter("page_no 不能为空，从 1 开始")
	}
	if _, ok := t.brand(at); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	f := books.Filter{Vendor: books.ALSC, OwnKey: p.OutOrderID}
	f.From, _ = parseClock(p.StartTime)
	if f.To, _ = parseClock(p.EndTime); !f.To.IsZero() {
		f.To = f.To.Add(time.Second)
	}
	if p.CustomerID != "" || p.CardID != "" {
		m, err := t.member(who{{books.ByID, p.CustomerID}, {books.ByCard, p.CardID}})
		if err != nil {
			return refusal(err)
		}
		f.Member = m.ID
	}
	flows := slices.DeleteFunc(t.s.flows(f, hide), func(e books.Entry) bool {
		return at.shop() != "" && e.Shop != at.shop() || !flowTypeIn(p.FlowTypes, e)
	})
	return t.flowPage(flows, int(*p.PageNo), pageSize(int(p.PageSize))), nil
}

func flowTypeIn(types string, e books.Entry) bool {
	kind := "DEDUT"
	if e.Kind == books.KindReverse {
		kind = "UNDEDUT"
	}
	return types == "" || slices.Contains(strings.Split(types, ","), kind)
}

func (t *topCall) flowPage(flows []books.Entry, page, size int) object {
	lo := len(flows)
	if page-1 <= len(flows)/size { // a huge page number must not overflow
		lo = min((page-1)*size, len(flows))
	}
	rows := list{item: "page_query_account_flows_open_info"}
	for _, e := range flows[lo:min(lo+size, len(flows))] {
		rows.values = append(rows.values, t.flowRow(t.s.shown(e)))
	}
	o := object{{"biz_success", true}, {"current_page", int64(page)}, {"page_size", int64(size)}}
	if len(rows.values) > 0 { // the gateway leaves empty lists out
		o = append(o, field{"result_list", rows})
	}
	return append(o, field{"result_code", "200"}, field{"result_desc", "成功"}, field{"result_view", ""},
		field{"total_size", int64(len(flows))})
}

func (t *topCall) flowRow(e books.Entry) object {
	sign, kind := int64(-1), "DEDUT"
	if e.Kind == books.KindReverse {
		sign, kind = 1, "UNDEDUT"
	}
	m, _ := t.s.books.Find(books.ALSC, books.ByID, e.Member)
	at := e.Time.In(cst).Format(clockLayout)
	return object{
		{"account_id", or(m.AccountID, m.CardID)}, {"create_by", e.Operator}, {"current_value", e.After.Total()},
		{"deleted", false}, {"flow_id", e.FlowID}, {"flow_type", kind}, {"gmt_create", at}, {"gmt_modified", at},
		{"operator", e.Operator}, {"operator_name", ""}, {"order_src", int64(2)}, {"order_time", at},
		{"order_value", sign * e.AmountFen}, {"outer_order_id", e.Key}, {"remark", e.Remark}, {"shop_id", e.Shop},
		{"shop_name", ""}, {"update_by", e.Operator}, {"gift_value", sign * e.Split.Gift},
		{"outer_pay_id", e.Reverses}, {"ext_info", "{}"},
	}
}

type accountParams struct {
	AccountID  string `json:"account_id"`
	BrandID    string `json:"brand_id"`
	CardID     string `json:"card_id"`
	CustomerID string `json:"customer_id"`
	ShopID     string `json:"shop_id"`
	OutShopID  string `json:"out_shop_id"`
	OutBrandID string `json:"out_brand_id"`
}

// account shows the stored value of a member
// (alibaba.alsc.crm.recharge.account.get).
func (t *topCall) account(time.Duration) (object, *topError) {
	var p accountParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	at := place{p.BrandID, p.OutBrandID, p.ShopID, p.OutShopID}
	if err := at.check(true); err != nil {
		return nil, err
	}
	if _, ok := t.brand(at); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	m, err := t.member(who{{books.ByAccount, p.AccountID}, {books.ByID, p.CustomerID}, {books.ByCard, p.CardID}})
	if err != nil {
		return refusal(err)
	}
	return alscOK(object{
		{"account_id", or(m.AccountID, m.CardID)}, {"card_id", m.CardID}, {"customer_id", m.ID}, {"deleted", m.Disabled},
		{"gift_value", m.Balance.Gift}, {"gift_value_total", m.Balance.Gift},
		{"pre_value", m.Balance.Pre}, {"pre_value_total", m.Balance.Pre},
		{"real_value", m.Balance.Real}, {"real_value_total", m.Balance.Real},
		{"usable_value", m.Balance.Total()},
	}), nil
}

// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

type verifyParams struct {
	BrandID       string   `json:"brand_id"`
	Mobile        string   `json:"mobile"`
	OperatorID    string   `json:"operator_id"`
	OuterID       string   `json:"outer_id"`
	OuterOrderID  string   `json:"outer_order_id"`
	OuterType     string   `json:"outer_type"`
	Point         *int64   `json:"point"`
	RequestID     string   `json:"request_id"`
	ShopID        string   `json:"shop_id"`
	Value         *int64   `json:"value"` // fen
	VoucherIDList []string `json:"voucher_id_list"`
	CardID        string   `json:"card_id"`
	CustomerID    string   `json:"customer_id"`
}

func (p *verifyParams) who() who {
	return who{
		{books.ByID, p.CustomerID}, {books.ByMobile, p.Mobile}, {outerID(p.OuterType), p.OuterID}, {books.ByCard, p.CardID},
	}
}

func (p *verifyParams) check() *topError {
	err := required("brand_id", p.BrandID, "shop_id", p.ShopID, "operator_id", p.OperatorID,
		"outer_order_id", p.OuterOrderID, "request_id", p.RequestID)
	switch {
	case err != nil:
		return err
	case p.Value != nil && *p.Value <= 0:
		return invalidParameter("value 必须大于 0")
	case p.Point != nil && *p.Point <= 0:
		return invalidParameter("point 必须大于 0")
	case p.Value == nil && p.Point == nil && len(p.VoucherIDList) == 0:
		return invalidParameter("value, point, voucher_id_list 不能同时为空")
	}
	return nil
}

// parts is what became of each asset of an assert.verify or assert.refund. It
// is kept with the entry so that a repeated request gets the same answer.
type parts struct {
	Value    *bool         `json:"value,omitempty"`
	Point    *bool         `json:"point,omitempty"`
	Vouchers []voucherPart `json:"vouchers,omitempty"`
}

type voucherPart struct {
	ID string `json:"id"`
	OK bool   `json:"ok"`
}

func (p parts) object() object {
	o := object{}
	if p.Point != nil {
		o = append(o, field{"point_success", *p.Point})
	}
	if p.Value != nil {
		o = append(o, field{"value_success", *p.Value})
	}
	if len(p.Vouchers) > 0 {
		l := list{item: "voucher_status_info"}
		for _, v := range p.Vouchers {
			l.values = append(l.values, object{{"success", v.OK}, {"voucher_id", v.ID}})
		}
		o = append(o, field{"voucher_status_list", l})
	}
	return o
}

// note keeps p with an entry.
func (p parts) note() string {
	raw, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("sandbox: encode parts: %v", err)) // booleans and texts only
	}
	return string(raw)
}

// partsOf reads what note wrote.
func partsOf(e books.Entry) parts {
	var p parts
	if err := json.Unmarshal([]byte(e.Note), &p); err != nil {
		panic(fmt.Sprintf("sandbox: decode parts of entry %d: %v", e.Seq, err)) // only note writes them
	}
	return p
}

// assertVerify spends value, points and vouchers, each on its own: what can be
// taken is taken (alibaba.alsc.crm.open.assert.verify). biz_success is false
// when nothing at all could be taken.
func (t *topCall) assertVerify(time.Duration) (object, *topError) {
	var p verifyParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if _, ok := t.brand(place{BrandID: p.BrandID}); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	print := fingerprint("verify", p.OuterOrderID, p.CustomerID, p.Mobile, p.OuterID, p.CardID, p.BrandID, p.ShopID,
		optional(p.Value), optional(p.Point), joined(p.VoucherIDList))
	defer t.lock()()
	if e, answer, hit := t.repeated(p.RequestID, print); hit {
		if answer != nil {
			return answer, nil
		}
		return alscOK(partsOf(e).object()), nil
	}
	m, err := t.member(p.who())
	if err != nil {
		return refusal(err)
	}
	if m.Disabled {
		return refusal(&books.Refusal{Reason: books.MemberDisabled, Field: "customer_id", Detail: m.ID})
	}
	spend, done := takeable(m, &p)
	spend.Vendor, spend.Method, spend.Key, spend.UniqueKey = books.ALSC, t.call.Method, p.OuterOrderID, true
	spend.RequestID, spend.Member, spend.Shop, spend.Operator = p.RequestID, m.ID, p.ShopID, p.OperatorID
	spend.Fingerprint, spend.Note = print, done.note()
	if spend.AmountFen == 0 && spend.Points == 0 && len(spend.Coupons) == 0 {
		o := alscRefusal("NOTHING_TO_VERIFY", "资产核销失败")
		return append(object{o[0], {"result", done.object()}}, o[1:]...), nil
	}
	e, err := t.s.books.Spend(spend)
	if err != nil {
		return refusal(err)
	}
	t.booked(e)
	return alscOK(done.object()), nil
}

func optional(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// takeable says, asset by asset, what m has of what p asks.
func takeable(m books.Member, p *verifyParams) (books.Spend, parts) {
	var s books.Spend
	var done parts
	if p.Value != nil {
		ok := *p.Value <= m.Balance.Total()
		done.Value = &ok
		if ok {
			s.AmountFen = *p.Value
		}
	}
	if p.Point != nil {
		ok := *p.Point <= m.Points
		done.Point = &ok
		if ok {
			s.Points = *p.Point
		}
	}
	for _, id := range p.VoucherIDList {
		ok := !slices.Contains(s.Coupons, id) && slices.ContainsFunc(m.Coupons, func(c books.Coupon) bool {
			return c.ID == id && c.Status == books.CouponUnused
		})
		done.Vouchers = append(done.Vouchers, voucherPart{id, ok})
		if ok {
			s.Coupons = append(s.Coupons, id)
		}
	}
	return s, done
}

type refundParams struct {
	BrandID         string   `json:"brand_id"`
	Mobile          string   `json:"mobile"`
	NewOuterOrderID string   `json:"new_outer_order_id"`
	OperatorID      string   `json:"operator_id"`
	OuterID         string   `json:"outer_id"`
	OuterOrderID    string   `json:"outer_order_id"`
	OuterType       string   `json:"outer_type"`
	RequestID       string   `json:"request_id"`
	ShopID          string   `json:"shop_id"`
	VoucherIDList   []string `json:"voucher_id_list"`
	CustomerID      string   `json:"customer_id"`
}

// assertRefund gives back what an assert.verify took
// (alibaba.alsc.crm.open.assert.refund): all that is left, of the vouchers
// only the listed ones when any are listed.
func (t *topCall) assertRefund(time.Duration) (object, *topError) {
	var p refundParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	if err := required("brand_id", p.BrandID, "shop_id", p.ShopID, "operator_id", p.OperatorID,
		"outer_order_id", p.OuterOrderID, "new_outer_order_id", p.NewOuterOrderID, "request_id", p.RequestID); err != nil {
		return nil, err
	}
	if _, ok := t.brand(place{BrandID: p.BrandID}); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	print := fingerprint("refund", p.NewOuterOrderID, p.OuterOrderID, p.CustomerID, p.Mobile, p.OuterID, p.BrandID, joined(p.VoucherIDList))
	defer t.lock()()
	if e, answer, hit := t.repeated(p.RequestID, print); hit {
		if answer != nil {
			return answer, nil
		}
		return alscOK(partsOf(e).object()), nil
	}
	original, err := t.originalOf(p.OuterOrderID, who{{books.ByID, p.CustomerID}, {books.ByMobile, p.Mobile}, {outerID(p.OuterType), p.OuterID}})
	if err != nil {
		return refusal(err)
	}
	r, done := t.returnable(original, p.VoucherIDList)
	r.Vendor, r.Method, r.Original, r.Key, r.UniqueKey = books.ALSC, t.call.Method, original.Seq, p.NewOuterOrderID, true
	r.RequestID, r.Shop, r.Operator, r.Fingerprint, r.Note = p.RequestID, p.ShopID, p.OperatorID, print, done.note()
	if r.AmountFen == 0 && r.Points == 0 && len(r.Coupons) == 0 {
		return refusal(&books.Refusal{Reason: books.OverReversal, Field: "outer_order_id", Detail: p.OuterOrderID})
	}
	e, err := t.s.books.Reverse(r)
	if err != nil {
		return refusal(err)
	}
	t.booked(e)
	return alscOK(done.object()), nil
}

// returnable says, asset by asset, what of the original is left to give back.
func (t *topCall) returnable(original books.Entry, listed []string) (books.Reversal, parts) {
	var r books.Reversal
	var done parts
	left := t.s.books.Left(original.Seq)
	if len(listed) == 0 || t.s.cfg.ALSC.RefundScope == "all" {
		r.AmountFen, r.Points = left.Money.Total(), left.Points
		if original.AmountFen > 0 {
			ok := r.AmountFen > 0
			done.Value = &ok
		}
		if original.Points > 0 {
			ok := r.Points > 0
			done.Point = &ok
		}
	}
	wanted := listed
	if len(wanted) == 0 {
		wanted = original.Coupons
	}
	for _, id := range wanted {
		ok := slices.Contains(left.Coupons, id) && !slices.Contains(r.Coupons, id)
		done.Vouchers = append(done.Vouchers, voucherPart{id, ok})
		if ok {
			r.Coupons = append(r.Coupons, id)
		}
	}
	return r, done
}

type customerGetParams struct {
	BrandID        string `json:"brand_id"`
	Mobile         string `json:"mobile"`
	OuterID        string `json:"outer_id"`
	OuterType      string `json:"outer_type"`
	PhysicalCardID string `json:"physical_card_id"`
	ShopID         string `json:"shop_id"`
	CustomerID     string `json:"customer_id"`
}

// customer shows a member with all assets
// (alibaba.alsc.crm.open.customer.get).
func (t *topCall) customer(time.Duration) (object, *topError) {
	var p customerGetParams
	if err := t.decode(&p); err != nil {
		return nil, err
	}
	if err := required("brand_id", p.BrandID, "shop_id", p.ShopID); err != nil {
		return nil, err
	}
	if _, ok := t.brand(place{BrandID: p.BrandID}); !ok {
		return alscRefusal("BRAND_NOT_EXIST", "品牌不存在"), nil
	}
	m, err := t.member(who{
		{books.ByID, p.CustomerID}, {books.ByMobile, p.Mobile}, {outerID(p.OuterType), p.OuterID}, {books.ByCard, p.PhysicalCardID},
	})
	if err != nil {
		return refusal(err)
	}
	return alscOK(customerInfo(m)), nil
}

func customerInfo(m books.Member) object {
	status := "ACTIVED"
	if m.Disabled {
		status = "STOP"
	}
	b := m.Balance
	o := object{
		{"card_open_info_list", list{"card_open_info", []any{object{
			{"accounts", list{"account_open_info", []any{object{
				{"balance", b.Total()}, {"gift", b.Gift}, {"pre", b.Pre}, {"real", b.Real},
				{"total_gift", b.Gift}, {"total_pre", b.Pre}, {"total_real", b.Real},
			}}}},
			{"card_id", m.CardID}, {"card_template_id", "1"}, {"card_type", "MEMBER"}, {"status", status},
		}}}},
		{"customer_open_info", object{
			{"customer_id", m.ID}, {"customer_type", int64(1)}, {"level_desc", "普通会员"}, {"level_id", "1"},
			{"level_no", int64(1)}, {"mobile", m.Mobile}, {"name", m.Name}, {"remark", ""},
		}},
		{"point_account_open_info", object{
			{"available_point", m.Points}, {"freeze_point", int64(0)}, {"total_point", m.Points},
			{"total_used_point", int64(0)}, {"remain_point", m.Points},
		}},
	}
	if v := vouchers(m); len(v.values) > 0 { // the gateway leaves empty lists out
		o = append(o, field{"voucher_open_info_list", v})
	}
	return o
}

func vouchers(m books.Member) list {
	l := list{item: "voucher_open_info"}
	for _, c := range m.Coupons {
		if c.Status == books.CouponUnused {
			l.values = append(l.values, object{
				{"amount", c.FaceFen}, {"start_fee", int64(0)}, {"status", "UNUSED"}, {"title", c.Title}, {"voucher_id", c.ID},
				{"voucher_template_id", "1"}, {"voucher_type", "CASH"}, {"item_coverage", "ALL"}, {"shop_coverage", "ALL"},
			})
		}
	}
	return l
}

// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Customer is the method that shows a member and all assets.
const Customer = "alibaba.alsc.crm.open.customer.get"

var _ redeem.MemberReader = (*Client)(nil)

type customerReq struct { // param_customer_get_open_req
	BrandID        string `json:"brand_id"`
	Mobile         string `json:"mobile,omitempty"`
	OuterID        string `json:"outer_id,omitempty"`
	OuterType      string `json:"outer_type,omitempty"`
	PhysicalCardID string `json:"physical_card_id,omitempty"`
	ShopID         string `json:"shop_id"`
	CustomerID     string `json:"customer_id,omitempty"`
}

// customerBy puts the guest's identity into its field. There is none for a WeChat union id.
var customerBy = map[redeem.MemberBy]func(r *customerReq, value string){
	redeem.ByMobile:       func(r *customerReq, v string) { r.Mobile = v },
	redeem.ByMemberID:     func(r *customerReq, v string) { r.CustomerID = v },
	redeem.ByCard:         func(r *customerReq, v string) { r.PhysicalCardID = v },
	redeem.ByWeChatOpenID: func(r *customerReq, v string) { r.OuterType, r.OuterID = "wechat", v },
	redeem.ByAlipayUserID: func(r *customerReq, v string) { r.OuterType, r.OuterID = "alipay", v },
}

// ReadMember asks alibaba.alsc.crm.open.customer.get. It requires the CRM's own ids of brand and
// shop: the method has no fields for the outer ones.
func (c *Client) ReadMember(ctx context.Context, q redeem.MemberQuery) (redeem.Member, error) {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, Customer, "")
	m, class, err := c.readMember(ctx, q)
	answer.EndRead(span, class)
	return m, err
}

func (c *Client) readMember(ctx context.Context, q redeem.MemberQuery) (redeem.Member, redeem.Class, error) {
	put, ok := customerBy[q.By]
	req := customerReq{BrandID: c.cfg.BrandID, ShopID: c.cfg.Shops[q.ShopID].ID}
	switch {
	case !ok:
		return fail(&redeem.ReadError{Class: "unsupported", Detail: "alsc finds no member by " + string(q.By)})
	case req.BrandID == "" || req.ShopID == "":
		return fail(&redeem.ReadError{
			Class:  "configuration",
			Detail: "members are shown for the CRM's own brand and shop ids alone: configure providers.alsc.brandID and the shop's alsc.shopID",
		})
	}
	put(&req, q.Value)
	r, failed := c.ask(ctx, Customer, "param_customer_get_open_req", req)
	if failed != nil {
		return fail(failed)
	}
	m, err := c.judgeMember(r.result)
	if failed, ok := err.(*redeem.ReadError); ok { //nolint:errorlint // judgeMember made it
		return fail(failed)
	}
	return m, "", err
}

func fail(err *redeem.ReadError) (redeem.Member, redeem.Class, error) {
	return redeem.Member{}, err.Class, err
}

// ask makes a call that moves nothing and hands on the method's result; everything else is an error.
func (c *Client) ask(ctx context.Context, method, field string, object any) (reply, *redeem.ReadError) {
	r, err := c.post(ctx, method, field, object, nil)
	switch {
	case err != nil:
		return r, answer.Unread(err)
	case r.http != 200:
		return r, &redeem.ReadError{Class: "http-status", Code: strconv.Itoa(r.http), Detail: "HTTP status is not 200", Again: true}
	case !r.readable:
		return r, &redeem.ReadError{Class: "unreadable", Detail: "the answer is neither a result nor an error", Again: true}
	case r.failed != nil:
		return r, unanswered(r)
	}
	return r, nil
}

// unanswered puts an error of the gateway into words, by the table that judges deductions.
func unanswered(r reply) *redeem.ReadError {
	o := classify(exchange{reply: r})
	return &redeem.ReadError{
		Class: o.Class, Code: o.Code, Detail: "the gateway answers with an error",
		Again: o.Kind == redeem.Unknown || o.Kind == redeem.NotSent, RetryAfter: o.RetryAfter,
	}
}

func (c *Client) judgeMember(result answer.Object) (redeem.Member, error) {
	switch result.Flag("biz_success") {
	case answer.False:
		return redeem.Member{}, fmt.Errorf("%w: result_code %s", redeem.ErrNoMember, answer.Code(result.Text("result_code")))
	case answer.Neither:
		return redeem.Member{}, &redeem.ReadError{Class: "undocumented", Detail: "biz_success is missing"}
	}
	if !result.Has("result") {
		return redeem.Member{}, fmt.Errorf("%w: a success without a customer", redeem.ErrNoMember)
	}
	info, ok := result.Object("result")
	if !ok {
		return redeem.Member{}, &redeem.ReadError{Class: "undocumented", Detail: "the customer cannot be read"}
	}
	m, ok := readCustomer(info, c.cfg.Account)
	if !ok {
		return redeem.Member{}, &redeem.ReadError{Class: "undocumented", Detail: "the answer names no customer_id"}
	}
	return m, nil
}

// readCustomer reads a member; false when it has no id, by which alone points and coupons could be
// taken. The gateway leaves empty lists out, so a list that is not there is empty.
func readCustomer(info answer.Object, account Account) (redeem.Member, bool) {
	who, _ := info.Object("customer_open_info")
	m := redeem.Member{
		ID: who.Text("customer_id"), Name: who.Text("name"), Mobile: who.Text("mobile"),
		Birthday: who.Text("birthday"), Email: who.Text("email"),
		Gender: map[string]string{"0": redeem.Female, "1": redeem.Male}[who.Text("gender")],
	}
	for _, part := range []struct {
		asset redeem.Asset
		field string
		read  func() ([]redeem.Holding, bool)
	}{
		{redeem.StoredValue, "card_open_info_list", func() ([]redeem.Holding, bool) { return readCards(info, account) }},
		{redeem.Points, "point_account_open_info", func() ([]redeem.Holding, bool) { return readPoints(info, m.ID) }},
		{redeem.Coupon, "voucher_open_info_list", func() ([]redeem.Holding, bool) { return readVouchers(info) }},
	} {
		if !info.Has(part.field) {
			continue
		}
		held, ok := part.read()
		if !ok {
			m.Unsaid = append(m.Unsaid, part.asset)
			continue
		}
		m.Holdings = append(m.Holdings, held...)
	}
	return m, m.ID != ""
}

// readCards reads the cards whose value can be spent: those that are activated. Where the brand spends by
// customer, a call cannot choose the card, so only the first membership card is shown.
func readCards(info answer.Object, account Account) ([]redeem.Holding, bool) {
	rows, ok := info.List("card_open_info_list")
	if !ok {
		return nil, false
	}
	var held []redeem.Holding
	for _, raw := range rows {
		card, err := answer.Parse(raw)
		if err != nil {
			return nil, false
		}
		kind, status := card.Text("card_type"), card.Text("status")
		if (status != "" && status != "ACTIVED") || card.Text("card_id") == "" {
			continue
		}
		if account == ByCustomer && ((kind != "" && kind != "MEMBER") || len(held) > 0) {
			continue
		}
		h, ok := readCard(card)
		if !ok {
			return nil, false
		}
		held = append(held, h)
	}
	return held, true
}

// readCard adds up a card's accounts. Real is what is not a gift: paid in (real) or prepaid (pre).
func readCard(card answer.Object) (redeem.Holding, bool) {
	h := redeem.Holding{Asset: redeem.StoredValue, AssetID: card.Text("card_id")}
	if !card.Has("accounts") {
		return h, true
	}
	accounts, ok := card.List("accounts")
	if !ok {
		return h, false
	}
	for _, raw := range accounts {
		a, err := answer.Parse(raw)
		total, ok1 := count(a.Text("balance"))
		gift, ok2 := count(a.Text("gift"))
		if err != nil || !ok1 || (a.Has("gift") && !ok2) || gift > total {
			return h, false
		}
		h.Total, h.Gift = h.Total+redeem.Fen(total), h.Gift+redeem.Fen(gift)
	}
	h.Real = h.Total - h.Gift
	return h, true
}

// count reads a whole number that is not negative, far from overflow.
func count(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n <= 1e15
}

func readPoints(info answer.Object, id string) ([]redeem.Holding, bool) {
	account, _ := info.Object("point_account_open_info")
	n, ok := count(account.Text("available_point"))
	return []redeem.Holding{{Asset: redeem.Points, AssetID: id, Count: n}}, ok
}

// spentStatus are the words for vouchers that are no more; the vendor does not list the values of status, so
// every other one is shown.
var spentStatus = map[string]bool{
	"USED": true, "EXPIRED": true, "INVALID": true, "FROZEN": true, "LOCKED": true, "DELETED": true, "REFUND": true, "STOP": true,
}

func readVouchers(info answer.Object) ([]redeem.Holding, bool) {
	rows, ok := info.List("voucher_open_info_list")
	if !ok {
		return nil, false
	}
	var held []redeem.Holding
	seen := map[string]bool{}
	for _, raw := range rows {
		v, err := answer.Parse(raw)
		id := v.Text("voucher_id")
		if err != nil || id == "" {
			return nil, false
		}
		if seen[id] || spentStatus[v.Text("status")] {
			continue
		}
		seen[id] = true
		h := redeem.Holding{
			Asset: redeem.Coupon, AssetID: id, Name: v.Text("title"), Count: 1, From: v.Text("start_time"), Until: v.Text("end_time"),
		}
		if face, ok := count(v.Text("amount")); ok {
			h.Face = redeem.Fen(face)
		}
		if least, ok := count(v.Text("start_fee")); ok {
			h.Minimum = redeem.Fen(least)
		}
		held = append(held, h)
	}
	return held, true
}

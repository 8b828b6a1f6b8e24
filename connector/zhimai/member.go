// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// MemberInfo is the action that shows a member; its name is the vendor's.
const MemberInfo = "communal.user.gether-customer-info"

var _ redeem.MemberReader = (*Client)(nil)

// memberTypes are the values of type of communal.user.gether-customer-info.
var memberTypes = map[redeem.MemberBy]int{
	redeem.ByMemberID: 1, redeem.ByMobile: 2, redeem.ByCard: 3,
	redeem.ByAlipayUserID: 4, redeem.ByWeChatOpenID: 5, redeem.ByWeChatUnion: 6,
}

type memberParams struct {
	IdentifierNumber string `json:"identifierNumber"`
	Type             int    `json:"type"`
	MultiMark        string `json:"multiMark,omitempty"`
}

// ReadMember asks communal.user.gether-customer-info for the member, stored value, points and
// coupons. That part of the answer is not published, its names are those of the
// vendor's other answers: a kind of asset whose field is not there is Unsaid. Gift cards
// (giftCardList) are left out: communal.user.consume cannot name one. So are coupons where the brand
// redeems scan codes: the answer does not tell the code.
func (c *Client) ReadMember(ctx context.Context, q redeem.MemberQuery) (redeem.Member, error) {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, MemberInfo, "")
	m, class, err := c.readMember(ctx, q)
	answer.EndRead(span, class)
	return m, err
}

func (c *Client) readMember(ctx context.Context, q redeem.MemberQuery) (redeem.Member, redeem.Class, error) {
	kind, ok := memberTypes[q.By]
	if !ok {
		return fail(&redeem.ReadError{Class: "unsupported", Detail: "zhimai finds no member by " + string(q.By)})
	}
	r, failed := c.ask(ctx, MemberInfo, memberParams{IdentifierNumber: q.Value, Type: kind, MultiMark: c.multiMark(q.ShopID)})
	if failed != nil {
		return fail(failed)
	}
	switch {
	case r.outer.said() == refusal, r.outer.said() == done && r.inner.said() == refusal:
		return redeem.Member{}, "", fmt.Errorf("%w: code %s", redeem.ErrNoMember, answer.Code(r.verdict().code))
	case r.data == nil:
		return fail(&redeem.ReadError{Class: "undocumented", Detail: "the answer holds no member"})
	}
	m, ok := readMember(r.data, c.cfg.Options.CouponsAreScanCodes)
	if !ok {
		return fail(&redeem.ReadError{Class: "undocumented", Detail: "the answer names no customerId"})
	}
	return m, "", nil
}

func fail(err *redeem.ReadError) (redeem.Member, redeem.Class, error) {
	return redeem.Member{}, err.Class, err
}

// ask makes a call that moves nothing and hands on what was done or refused; everything else is an error.
func (c *Client) ask(ctx context.Context, action string, params any) (reply, *redeem.ReadError) {
	body, err := c.body(action, params)
	if err != nil {
		return reply{}, &redeem.ReadError{Class: "request", Detail: err.Error()}
	}
	resp, err := c.post(ctx, body, nil)
	if err != nil {
		return reply{}, answer.Unread(err)
	}
	r := decode(resp.Status, resp.Body)
	v := r.verdict()
	code := answer.Code(v.code)
	switch {
	case r.http != 200:
		return r, &redeem.ReadError{Class: "http-status", Code: strconv.Itoa(r.http), Detail: "HTTP status is not 200", Again: true}
	case !r.readable:
		return r, &redeem.ReadError{Class: "unreadable", Detail: "the answer is not one JSON object", Again: true}
	case slices.Contains(c.cfg.RateLimitCodes, v.code):
		return r, &redeem.ReadError{Class: "rate-limited", Code: code, Detail: "the vendor turned the call away", Again: true}
	case r.outer.said() == failure || r.inner.said() == failure:
		return r, &redeem.ReadError{Class: "system-failure", Code: code, Detail: "status is false", Again: true}
	case r.outer.said() == nothing:
		return r, &redeem.ReadError{Class: "undocumented", Code: code, Detail: "the answer has no verdict"}
	}
	return r, nil
}

// readMember reads a member; false when it has no id, by which alone it could be charged.
func readMember(o answer.Object, scanCodes bool) (redeem.Member, bool) {
	m := redeem.Member{
		ID: o.Text("customerId"), Name: o.Text("username"), Mobile: o.Text("mobile"),
		Birthday: o.Text("birthday"), Email: o.Text("email"), // gender's numbers are not documented
	}
	hold := func(asset redeem.Asset, read func(answer.Object, redeem.Member) ([]redeem.Holding, bool)) {
		h, ok := read(o, m)
		if !ok {
			m.Unsaid = append(m.Unsaid, asset)
			return
		}
		m.Holdings = append(m.Holdings, h...)
	}
	hold(redeem.StoredValue, readBalance)
	hold(redeem.Points, readPoints)
	if scanCodes {
		m.Unsaid = append(m.Unsaid, redeem.Coupon)
	} else {
		hold(redeem.Coupon, readCoupons)
	}
	return m, m.ID != ""
}

// readBalance reads the balance in yuan. Without a split that adds up, all is real.
func readBalance(o answer.Object, m redeem.Member) ([]redeem.Holding, bool) {
	total, err := redeem.ParseYuan(o.Text("totalBalance"))
	if err != nil || total < 0 {
		return nil, false
	}
	h := redeem.Holding{Asset: redeem.StoredValue, AssetID: o.Text("cardNo"), Name: o.Text("cardName"), Total: total, Real: total}
	if h.AssetID == "" {
		h.AssetID = m.ID
	}
	recharge, err1 := redeem.ParseYuan(o.Text("rechargeBalance"))
	gift, err2 := redeem.ParseYuan(o.Text("giftBalance"))
	if err1 == nil && err2 == nil && recharge >= 0 && gift >= 0 && recharge == total-gift {
		h.Real, h.Gift = recharge, gift
	}
	return []redeem.Holding{h}, true
}

func readPoints(o answer.Object, m redeem.Member) ([]redeem.Holding, bool) {
	n, err := strconv.ParseInt(o.Text("totalPoints"), 10, 64)
	if err != nil || n < 0 {
		return nil, false
	}
	return []redeem.Holding{{Asset: redeem.Points, AssetID: m.ID, Count: n}}, true
}

// readCoupons reads the coupons that are not used yet; couponsCardList of a consume is made of their
// cardId.
func readCoupons(o answer.Object, _ redeem.Member) ([]redeem.Holding, bool) {
	rows, ok := o.List("couponList")
	if !ok {
		return nil, false
	}
	var held []redeem.Holding
	seen := map[string]bool{}
	for _, raw := range rows {
		row, err := answer.Parse(raw)
		id := row.Text("cardId")
		if err != nil || id == "" {
			return nil, false
		}
		if status := row.Text("useStatus"); seen[id] || (status != "" && status != "0") {
			continue
		}
		seen[id] = true
		held = append(held, redeem.Holding{
			Asset: redeem.Coupon, AssetID: id, Name: row.Text("title"), Count: 1,
			From: row.Text("beginAt"), Until: row.Text("endAt"),
		})
	}
	return held, true
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Bills is the action that lists a member's balance flows.
const Bills = "user.wealth-bills"

const (
	billsPerPage = 50
	billsPages   = 20
	// billsMargin is how far the vendor's clock and ours, and a slow booking, may
	// put a bill from the time at which the leg was sent.
	billsMargin = time.Hour
	// couponLag is how long after the call a coupon may still be shown as unused whose
	// redemption is being booked.
	couponLag = 2 * time.Minute
)

// china is the time zone of the vendor's dates; it has no summer time.
var china = time.FixedZone("GMT+8", 8*60*60)

type billsParams struct {
	StartTime string `json:"start_time"`
	EndTime   string `json:"end_time"`
	OrderNo   string `json:"order_no"`
	UserID    string `json:"user_id,omitempty"`
	PageSize  int    `json:"page_size"`
	Page      int    `json:"page"`
}

// bill is a balance flow, amounts in fen without sign.
type bill struct {
	orderNo, userID string
	recharge, gift  redeem.Fen
	total           redeem.Fen
	readable        bool
}

// LookUp asks user.wealth-bills for a flow whose order_no is the leg's bizId. That
// order_no is our bizId is not documented, so this serves brands that have switched
// it on.
//
// Bills show stored value. Of coupons, user.coupon-new-status shows the state but not the
// call that brought it about; of points, no look-up names a call. And nowhere does the
// vendor promise that a consume is done as a whole or not at all. So a leg that carries
// coupons or points beside stored value is never Found, and Missing only where each part
// of it is shown as not done.
func (c *Client) LookUp(ctx context.Context, leg redeem.Leg) redeem.Finding {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, Bills, leg.Key)
	f := c.lookUp(ctx, leg)
	answer.EndFinding(span, f)
	return f
}

// CanLookUp: bills show stored value that was spent, nothing else.
func (c *Client) CanLookUp(leg redeem.Leg) bool {
	return leg.Operation == Consume && leg.Amount != 0
}

func (c *Client) lookUp(ctx context.Context, leg redeem.Leg) redeem.Finding {
	var k call
	if err := json.Unmarshal(leg.Call, &k); err != nil || leg.Key == "" {
		return answer.Inconclusive("the leg holds no call")
	}
	if !c.CanLookUp(leg) {
		return answer.Inconclusive("bills show stored value that was spent, and the leg spends none")
	}
	bills, problem := c.bills(ctx, leg)
	if problem != "" {
		return answer.Inconclusive(problem)
	}
	f := judgeBills(leg, k, bills)
	if f.Verdict == redeem.Differs || len(leg.Coupons) == 0 && leg.Points == 0 {
		return f
	}
	// After the bills: what is booked as a whole in between is then seen here.
	coupons := c.countCoupons(ctx, leg, k)
	late := c.now().Sub(leg.SentAt) >= couponLag
	if f.Verdict == redeem.Found {
		return judgePaid(leg, coupons, late)
	}
	return judgeUnpaid(leg, coupons)
}

// judgeBills matches key, member and amount: what became of the stored value.
func judgeBills(leg redeem.Leg, k call, bills []bill) redeem.Finding {
	var mine []bill
	for _, b := range bills {
		if b.orderNo == leg.Key {
			mine = append(mine, b)
		}
	}
	switch {
	case len(mine) == 0:
		return redeem.Finding{Verdict: redeem.Missing, Detail: "no bill under this bizId"}
	case len(mine) > 1:
		return differs(fmt.Sprintf("%d bills under this bizId", len(mine)))
	}
	b := mine[0]
	switch {
	case !b.readable:
		return differs("a bill is there whose amounts cannot be read")
	case b.userID != leg.MemberRef:
		return differs("a bill is there for another member")
	case b.total != leg.Amount:
		return differs(fmt.Sprintf("a bill is there over %s yuan in place of %s", b.total.Yuan(), leg.Amount.Yuan()))
	}
	o := redeem.Outcome{
		Kind: redeem.Executed, Class: "looked-up", Cashier: answer.TillExecuted, Detail: "found by " + Bills, HTTPStatus: 200,
		FlowID: leg.Key, Total: b.total, Real: b.total - b.gift, Gift: b.gift,
	}
	o.Lines = basket.Share(k.Lines, redeem.Executed, o.Cashier, b.gift)
	return redeem.Finding{Verdict: redeem.Found, Outcome: o, Detail: "a bill is there that matches bizId, member and amount"}
}

// judgePaid weighs a leg with coupons or points whose stored value was spent, as a bill
// shows. A coupon that is still unused contradicts that the leg was executed; one
// that is redeemed may have been redeemed by any call, a second one for the same meal
// too, so it does not prove it.
func judgePaid(leg redeem.Leg, coupons couponCount, late bool) redeem.Finding {
	detail := fmt.Sprintf("a bill matches bizId, member and amount: %s yuan were spent; ", leg.Amount.Yuan()) + rest(leg, coupons)
	if coupons[couponUnused] > 0 && late {
		return differs(detail)
	}
	return redeem.Finding{Verdict: redeem.Partly, Detail: detail}
}

// judgeUnpaid weighs a leg with coupons or points under whose bizId there is no bill.
func judgeUnpaid(leg redeem.Leg, coupons couponCount) redeem.Finding {
	detail := "no bill under this bizId; " + rest(leg, coupons)
	switch all := coupons.all(); {
	case leg.Points > 0:
	case coupons[couponUnused] == all:
		return redeem.Finding{Verdict: redeem.Missing, Detail: detail}
	case coupons[couponUnused]+coupons[couponUnasked] == all:
		return answer.Inconclusive(detail) // another question may show it
	}
	return redeem.Finding{Verdict: redeem.Unshown, Detail: detail}
}

// rest tells what is known of what is no stored value.
func rest(leg redeem.Leg, coupons couponCount) string {
	var known []string
	if coupons.all() > 0 {
		known = append(known, coupons.String())
	}
	if leg.Points > 0 {
		known = append(known, fmt.Sprintf("what became of %d points is in no record that names a call", leg.Points))
	}
	return strings.Join(known, "; ")
}

func differs(detail string) redeem.Finding {
	return redeem.Finding{Verdict: redeem.Differs, Detail: detail}
}

// bills reads all pages; the second value says what is wrong, "" nothing.
func (c *Client) bills(ctx context.Context, leg redeem.Leg) ([]bill, string) {
	sent := leg.SentAt
	if sent.IsZero() {
		sent = c.now()
	}
	p := billsParams{
		StartTime: sent.Add(-billsMargin).In(china).Format(time.DateTime), EndTime: c.now().Add(billsMargin).In(china).Format(time.DateTime),
		OrderNo: leg.Key, UserID: leg.MemberRef, PageSize: billsPerPage,
	}
	var all []bill
	for p.Page = 1; p.Page <= billsPages; p.Page++ {
		body, err := c.body(Bills, p)
		if err != nil {
			return nil, err.Error()
		}
		resp, err := c.post(ctx, body, nil)
		if err != nil {
			return nil, answer.Transport(err).Detail
		}
		page, last, ok := readBills(decode(resp.Status, resp.Body))
		if !ok {
			return nil, "the answer is not a list of bills"
		}
		all = append(all, page...)
		if p.Page >= last {
			return all, ""
		}
	}
	return nil, fmt.Sprintf("more than %d pages of bills", billsPages)
}

// readBills reads one page and the number of the last.
func readBills(r reply) (page []bill, last int, ok bool) {
	if r.http != 200 || !r.readable || r.outer.said() != done || r.data == nil || r.inner.said() == refusal || r.inner.said() == failure {
		return nil, 0, false
	}
	rows, ok := r.data.List("reta_list")
	if !ok {
		return nil, 0, false
	}
	last = 1
	if text := r.data.Text("last_page"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, 0, false
		}
		last = n
	}
	for _, raw := range rows {
		o, err := answer.Parse(raw)
		if err != nil {
			return nil, 0, false
		}
		page = append(page, readBill(o))
	}
	return page, last, true
}

func readBill(o answer.Object) bill {
	b := bill{orderNo: o.Text("order_no"), userID: o.Text("user_id")}
	recharge, ok1 := readMoney(o.Text("change_recharge_amount"), true)
	gift, ok2 := readMoney(o.Text("change_gift_amount"), true)
	total, ok3 := readMoney(o.Text("change_amount"), true)
	b.recharge, b.gift = recharge, gift
	b.total = recharge + gift
	if b.total == 0 {
		b.total = total // no split was given
	}
	positive := !strings.HasPrefix(o.Text("change_amount"), "+")
	b.readable = ok1 && ok2 && ok3 && positive && (total == 0 || total == b.total)
	return b
}

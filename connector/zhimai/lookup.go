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
// it on. It can speak of stored value only: where coupons or points are in the leg,
// "not there" proves nothing, and "there" leaves their fate to a person.
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
	return judgeBills(leg, k, bills)
}

// judgeBills matches key, member and amount.
func judgeBills(leg redeem.Leg, k call, bills []bill) redeem.Finding {
	var mine []bill
	for _, b := range bills {
		if b.orderNo == leg.Key {
			mine = append(mine, b)
		}
	}
	mixed := len(leg.Coupons) > 0 || leg.Points > 0
	switch {
	case len(mine) == 0 && mixed:
		return answer.Inconclusive("no bill under this bizId, which does not tell what became of coupons and points")
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
	case mixed:
		return differs("the stored value was spent; what became of coupons and points is not in the bills")
	}
	o := redeem.Outcome{
		Kind: redeem.Executed, Class: "looked-up", Cashier: answer.TillExecuted, Detail: "found by " + Bills, HTTPStatus: 200,
		FlowID: leg.Key, Total: b.total, Real: b.total - b.gift, Gift: b.gift,
	}
	o.Lines = answer.Share(k.Lines, redeem.Executed, o.Cashier, b.gift)
	return redeem.Finding{Verdict: redeem.Found, Outcome: o, Detail: "a bill is there that matches bizId, member and amount"}
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

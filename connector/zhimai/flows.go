// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Flow is a balance flow of user.wealth-bills, of any member.
type Flow struct {
	ID      string // the vendor's number of it
	OrderNo string
	// Amount is what moved, in fen, without sign. Sign is -1 where the vendor writes the
	// change as negative (spent), 1 where it writes it as positive: which a spend is, the
	// documents do not say.
	Amount redeem.Fen
	Sign   int
	At     time.Time
	// Readable: amount and time are what they say.
	Readable bool
}

// FlowPage is a page of flows.
type FlowPage struct {
	Flows []Flow
	// Last is the number of the last page, Total how many flows there are on all; 0: not said.
	Last, Total int
}

// Flows reads page number page (from 1) of the flows from one time to another, both inclusive and
// cut to seconds. Errors are *redeem.ReadError.
func (c *Client) Flows(ctx context.Context, from, to time.Time, page, size int) (FlowPage, error) {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, Bills, "")
	p, err := c.flows(ctx, from, to, page, size)
	if err != nil {
		answer.EndRead(span, err.Class)
		return FlowPage{}, err
	}
	answer.EndRead(span, "")
	return p, nil
}

func (c *Client) flows(ctx context.Context, from, to time.Time, page, size int) (FlowPage, *redeem.ReadError) {
	r, failed := c.ask(ctx, Bills, billsParams{
		StartTime: from.In(china).Format(time.DateTime), EndTime: to.In(china).Format(time.DateTime), PageSize: size, Page: page,
	})
	if failed != nil {
		return FlowPage{}, failed
	}
	if r.outer.said() == refusal || r.inner.said() == refusal {
		return FlowPage{}, &redeem.ReadError{Class: "refused", Code: answer.Code(r.verdict().code), Detail: "the vendor refuses to show its flows"}
	}
	p, ok := readFlows(r.data)
	if !ok {
		return FlowPage{}, &redeem.ReadError{Class: "undocumented", Detail: "the answer is not a page of flows"}
	}
	return p, nil
}

func readFlows(data answer.Object) (FlowPage, bool) {
	rows, ok := data.List("reta_list")
	if !ok {
		return FlowPage{}, false
	}
	var p FlowPage
	for name, to := range map[string]*int{"last_page": &p.Last, "total": &p.Total} {
		text := data.Text(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return FlowPage{}, false
		}
		*to = n
	}
	for _, raw := range rows {
		o, err := answer.Parse(raw)
		if err != nil {
			return FlowPage{}, false
		}
		p.Flows = append(p.Flows, readFlow(o))
	}
	return p, true
}

func readFlow(o answer.Object) Flow {
	b := readBill(o)
	at, err := time.ParseInLocation(time.DateTime, o.Text("created_at"), china)
	f := Flow{ID: o.Text("id"), OrderNo: b.orderNo, Amount: b.total, Sign: 1, At: at, Readable: b.readable && err == nil}
	for _, name := range []string{"change_amount", "change_recharge_amount", "change_gift_amount"} {
		if strings.HasPrefix(o.Text(name), "-") {
			f.Sign = -1
		}
	}
	return f
}

// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// AccountFlows is the method that pages through the flows of stored value.
const AccountFlows = "alibaba.alsc.crm.recharge.accountflows.get"

type flowsReq struct { // param_page_query_account_flows_open_req
	BrandID    string `json:"brand_id,omitempty"`
	EndTime    string `json:"end_time"`
	OutBrandID string `json:"out_brand_id,omitempty"`
	OutShopID  string `json:"out_shop_id,omitempty"`
	PageNo     int    `json:"page_no"`
	PageSize   int    `json:"page_size"`
	ShopID     string `json:"shop_id,omitempty"`
	StartTime  string `json:"start_time"`
	BizChannel string `json:"biz_channel"`
}

// Flow is a flow of stored value, of any member.
type Flow struct {
	ID           string // flow_id
	OuterOrderID string // the caller's number of it
	OuterPayID   string // of a reversal: the caller's number of what it undoes
	Type         string // flow_type
	Amount       redeem.Fen
	Sign         int // -1 spent, 1 given
	At           time.Time
	// Readable: amount and time are what they say.
	Readable bool
}

// FlowPage is a page of flows.
type FlowPage struct {
	Flows []Flow
	Total int // on all pages; 0: not said
	Rows  int // on this one, with those that were deleted, which Flows lacks
}

// Flows reads page number page (from 1) of a shop's flows from one time to another, both inclusive and cut to
// seconds. The method takes the brand and the shop under either id; kryShopID chooses the shop.
// Errors are *redeem.ReadError.
func (c *Client) Flows(ctx context.Context, kryBrandID, kryShopID string, from, to time.Time, page, size int) (FlowPage, error) {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, AccountFlows, "")
	p, err := c.flows(ctx, c.flowsReq(kryBrandID, kryShopID, from, to, page, size))
	if err != nil {
		answer.EndRead(span, err.Class)
		return FlowPage{}, err
	}
	answer.EndRead(span, "")
	return p, nil
}

func (c *Client) flowsReq(kryBrandID, kryShopID string, from, to time.Time, page, size int) flowsReq {
	req := flowsReq{BrandID: c.cfg.BrandID, StartTime: topTime(from), EndTime: topTime(to), PageNo: page, PageSize: size, BizChannel: c.cfg.BizChannel}
	if req.BrandID == "" {
		if req.OutBrandID = c.cfg.OutBrandID; req.OutBrandID == "" {
			req.OutBrandID = kryBrandID
		}
	}
	shop := c.cfg.Shops[kryShopID]
	if req.ShopID, req.OutShopID = shop.ID, shop.OutID; shop == (Shop{}) {
		req.OutShopID = kryShopID
	}
	return req
}

func (c *Client) flows(ctx context.Context, req flowsReq) (FlowPage, *redeem.ReadError) {
	r, failed := c.ask(ctx, AccountFlows, "param_page_query_account_flows_open_req", req)
	if failed != nil {
		return FlowPage{}, failed
	}
	switch r.result.Flag("biz_success") {
	case answer.False:
		return FlowPage{}, &redeem.ReadError{Class: "refused", Code: answer.Code(r.result.Text("result_code")), Detail: "the vendor refuses to show its flows"}
	case answer.Neither:
		return FlowPage{}, &redeem.ReadError{Class: "undocumented", Detail: "biz_success is missing"}
	}
	p, ok := readFlows(r.result)
	if !ok {
		return FlowPage{}, &redeem.ReadError{Class: "undocumented", Detail: "the answer is not a page of flows"}
	}
	return p, nil
}

// readFlows reads a page. The gateway leaves an empty list out.
func readFlows(result answer.Object) (p FlowPage, ok bool) {
	if text := result.Text("total_size"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return p, false
		}
		p.Total = n
	}
	if !result.Has("result_list") {
		return p, true
	}
	rows, ok := result.List("result_list")
	if !ok {
		return p, false
	}
	p.Rows = len(rows)
	for _, raw := range rows {
		o, err := answer.Parse(raw)
		if err != nil {
			return FlowPage{}, false
		}
		if o.Flag("deleted") != answer.True {
			p.Flows = append(p.Flows, readFlow(o))
		}
	}
	return p, true
}

func readFlow(o answer.Object) Flow {
	value := o.Text("order_value")
	amount, ok := fen(value)
	when := o.Text("order_time")
	if when == "" {
		when = o.Text("gmt_create")
	}
	at, err := time.ParseInLocation(time.DateTime, when, china)
	f := Flow{
		ID: o.Text("flow_id"), OuterOrderID: o.Text("outer_order_id"), OuterPayID: o.Text("outer_pay_id"), Type: o.Text("flow_type"),
		Amount: amount, Sign: 1, At: at, Readable: ok && err == nil,
	}
	if strings.HasPrefix(value, "-") { // documented: more is positive, less negative
		f.Sign = -1
	}
	return f
}

// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// LookUp asks for the flow of the leg's outer_order_id. Flows are of stored value, so
// a leg of points and coupons cannot be found this way.
//
// Missing is said only for a success without a flow, or a code that the brand has
// listed: biz_success false may be any failure of the question itself, and to take
// it for "not there" would lose a charge. The flow names no customer; that it is the
// member's follows from the key, which is derived from the redemption and unique. What
// it names (brand, card, direction, amount) must match.
func (c *Client) LookUp(ctx context.Context, leg redeem.Leg) redeem.Finding {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, FlowDetail, leg.Key)
	f := c.lookUp(ctx, leg)
	answer.EndFinding(span, f)
	return f
}

// CanLookUp: stored value has flows; what open.assert.verify took has none.
func (c *Client) CanLookUp(leg redeem.Leg) bool {
	return leg.Operation == Dedut || leg.Operation == Undedut
}

func (c *Client) lookUp(ctx context.Context, leg redeem.Leg) redeem.Finding {
	var k call
	if err := json.Unmarshal(leg.Call, &k); err != nil || leg.Key == "" {
		return answer.Inconclusive("the leg holds no call")
	}
	if !c.CanLookUp(leg) {
		return answer.Inconclusive("points and coupons have no flow to look for")
	}
	r, err := c.post(ctx, FlowDetail, "param_query_recharge_account_flow_open_req",
		flowReq{BrandID: k.BrandID, OutBrandID: k.OutBrandID, OuterOrderID: leg.Key}, nil)
	if err != nil {
		return answer.Inconclusive(answer.Transport(err).Detail)
	}
	return c.judge(exchange{operation: leg.Operation, key: leg.Key, call: k, reply: r})
}

func (c *Client) judge(x exchange) redeem.Finding {
	missing := redeem.Finding{Verdict: redeem.Missing, Detail: "no flow under this outer_order_id"}
	switch {
	case x.http != 200 || !x.readable:
		return answer.Inconclusive("the answer cannot be read")
	case x.failed != nil:
		if x.listed(c.cfg.NotFoundCodes, x.failed.SubCode, x.failed.Code) {
			return missing
		}
		return answer.Inconclusive("error " + answer.Code(x.failed.SubCode+"/"+x.failed.Code))
	case x.success() == answer.False && x.flow().Text("flow_id") == "":
		if x.listed(c.cfg.NotFoundCodes, x.result.Text("result_code")) {
			return missing
		}
		return answer.Inconclusive("biz_success false, result_code " + answer.Code(x.result.Text("result_code")))
	case x.success() != answer.True:
		return answer.Inconclusive("the answer does not say that the look-up succeeded")
	case !x.result.Has("result"):
		return missing
	}
	flow, ok := x.result.Object("result")
	if !ok {
		return answer.Inconclusive("the flow cannot be read")
	}
	if len(flow) == 0 {
		return missing
	}
	if problem := x.mismatch(flow); problem != "" {
		return redeem.Finding{Verdict: redeem.Differs, Detail: "a flow is there, but " + problem}
	}
	return x.found()
}

func (x exchange) listed(codes []string, got ...string) bool {
	return slices.ContainsFunc(got, func(code string) bool { return code != "" && slices.Contains(codes, code) })
}

// mismatch compares what the flow names with what was asked for; "" when it fits.
func (x exchange) mismatch(flow answer.Object) string {
	amount, _, _ := x.call.totals()
	value := flow.Text("order_value")
	magnitude, ok := fen(value)
	kind := strings.ToUpper(flow.Text("flow_type"))
	spend := x.operation == Dedut
	switch {
	case flow.Text("outer_order_id") != x.key:
		return "not under this outer_order_id"
	case !ok || magnitude != amount:
		return "its order_value is not the amount asked for"
	case strings.HasPrefix(value, "-") != spend: // documented: more is positive, less negative
		return "its order_value has the other sign"
	case kind != "" && (kind == "DEDUT") != spend:
		return "its flow_type is another"
	}
	for name, want := range map[string]string{"brand_id": x.call.BrandID, "card_id": x.call.CardID, "customer_id": x.call.CustomerID} {
		if got := flow.Text(name); got != "" && want != "" && got != want {
			return "its " + name + " is another"
		}
	}
	return ""
}

func (x exchange) found() redeem.Finding {
	var executed answer.Row
	for _, r := range flowRules {
		if r.Kind == redeem.Executed {
			executed = r.Row
		}
	}
	o := executed.Outcome(x.http, "", "", "found by "+FlowDetail)
	o.Class = "looked-up"
	x.settleFlow(&o)
	return redeem.Finding{Verdict: redeem.Found, Outcome: o, Detail: "a flow is there that matches outer_order_id and amount"}
}

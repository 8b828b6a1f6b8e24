// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// exchange is a call and the answer to it.
type exchange struct {
	operation, key string
	call           call
	reply
}

// rule is a row of a table with the condition under which it applies.
type rule struct {
	answer.Row
	when func(x exchange) bool
}

// gatewayRules judge answers that hold no result of the method; the first that applies
// wins. The prefix of sub_code is read before the code: code 50 ("Remote service
// error") comes with sub_codes of either side.
var gatewayRules = []rule{
	{
		Row: answer.Row{
			Name: "http-status", Answer: "HTTP status other than 200, whatever the body says (the gateway reports errors with 200)",
			Kind: redeem.Unknown, Class: "http-status", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.http != 200 },
	},
	{
		Row: answer.Row{
			Name: "empty", Answer: "HTTP 200 with an empty body",
			Kind: redeem.Unknown, Class: "empty", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.empty },
	},
	{
		Row: answer.Row{
			Name: "unreadable", Answer: "HTTP 200 with HTML, an XML result, cut JSON, a name that stands twice, neither or both of result and error",
			Kind: redeem.Unknown, Class: "unreadable", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return !x.readable },
	},
	{
		Row: answer.Row{
			Name: "isv-configuration", Answer: "`error_response` (JSON or XML), `sub_code` isv.*, `code` 21–34: a protocol parameter is wrong",
			Kind: redeem.Refused, Class: "configuration", Till: answer.TillConfig, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.failed != nil && x.failed.isv() && x.failed.protocol() },
	},
	{
		Row: answer.Row{
			Name: "isv", Answer: "`error_response`, `sub_code` isv.*: the caller's or the business's fault",
			Kind: redeem.Refused, Class: "refused", Till: answer.TillRefused, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.failed != nil && x.failed.isv() },
	},
	{
		Row: answer.Row{
			Name: "isp", Answer: "`error_response`, `sub_code` isp.*: the vendor's system failed, at a point that it does not tell",
			Kind: redeem.Unknown, Class: "system-failure", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.failed != nil && strings.HasPrefix(x.failed.SubCode, "isp.") },
	},
	{
		Row: answer.Row{
			Name: "rate-limited", Answer: "`error_response`, `code` 7: limited before it was executed; seconds in `sub_msg` are waited for",
			Kind: redeem.NotSent, Class: "rate-limited", Till: answer.TillBusy, Next: answer.NextRepeat,
		},
		when: func(x exchange) bool { return x.failed != nil && x.failed.Code == "7" },
	},
	{
		Row: answer.Row{
			Name: "configuration", Answer: "`error_response`, `code` 21–34 (25 signature, 26/27 session, 29 app key, 31 timestamp): not executed",
			Kind: redeem.Refused, Class: "configuration", Till: answer.TillConfig, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.failed != nil && x.failed.protocol() },
	},
	{
		Row: answer.Row{
			Name: "other-error", Answer: "Any other `error_response`",
			Kind: redeem.Unknown, Class: "vendor-error", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.failed != nil },
	},
}

func (e *topError) isv() bool { return strings.HasPrefix(e.SubCode, "isv.") }

// protocol says that the code is one of a parameter of the protocol itself.
func (e *topError) protocol() bool {
	n, err := strconv.Atoi(e.Code)
	return err == nil && n >= 21 && n <= 34 && strconv.Itoa(n) == e.Code
}

// flowRules judge the result of dedut.update and undedut.update.
var flowRules = []rule{
	{
		Row: answer.Row{
			Name: "contradiction", Answer: "`biz_success` false, and yet a flow in `result`",
			Kind: redeem.Unknown, Class: "contradiction", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.success() == answer.False && x.flow().Text("flow_id") != "" },
	},
	{
		Row: answer.Row{
			Name: "refused", Answer: "`biz_success` false: refused by the business; `result_code` is kept, it decides nothing",
			Kind: redeem.Refused, Class: "refused", Till: answer.TillRefused, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.success() == answer.False },
	},
	{
		Row: answer.Row{
			Name: "other-order", Answer: "`biz_success` true for an `outer_order_id` that is not ours",
			Kind: redeem.Unknown, Class: "other-order", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.success() == answer.True && !x.ours() },
	},
	{
		Row: answer.Row{
			Name: "executed", Answer: "`biz_success` true and the flow in `result`",
			Kind: redeem.Executed, Class: "executed", Till: answer.TillExecuted, Next: answer.NextNothing,
		},
		when: func(x exchange) bool {
			return x.success() == answer.True && (x.flow().Text("flow_id") != "" || x.flow().Text("outer_order_id") != "")
		},
	},
	rowUndocumented,
}

var rowUndocumented = rule{
	Row: answer.Row{
		Name: "undocumented", Answer: "Any other result: `biz_success` or what was done is missing",
		Kind: redeem.Unknown, Class: "undocumented", Till: answer.TillUnknown, Next: answer.NextResolve,
	},
	when: func(exchange) bool { return true },
}

// Tables are the rules, for the documentation.
func Tables() (gateway, flow, assets []answer.Row) {
	rows := func(rules []rule) (out []answer.Row) {
		for _, r := range rules {
			out = append(out, r.Row)
		}
		return out
	}
	return append(rows(gatewayRules), answer.RepeatRow()), rows(flowRules), rows(assetRules)
}

func (x exchange) success() answer.Flag { return x.result.Flag("biz_success") }

// flow is the inner result: the booked flow, or what became of each asset.
func (x exchange) flow() answer.Object {
	o, _ := x.result.Object("result")
	return o
}

// ours: the answer does not name another order. A reversal may be reported under its
// own number or under that of the order that it undoes.
func (x exchange) ours() bool {
	id := x.flow().Text("outer_order_id")
	return id == "" || id == x.key || (x.call.Reverses != "" && id == x.call.Reverses)
}

// classify judges the answer of any of the four operations. hide are texts that must
// not be quoted.
func classify(x exchange, hide ...string) redeem.Outcome {
	tables := [][]rule{gatewayRules, flowRules}
	if x.operation == Verify || x.operation == Refund {
		tables[1] = assetRules
	}
	for _, rules := range tables {
		for _, r := range rules {
			if r.when(x) {
				return x.outcome(r.Row, hide)
			}
		}
	}
	panic("alsc: the last rule applies always")
}

func (x exchange) outcome(row answer.Row, hide []string) redeem.Outcome {
	code, message := "", ""
	switch {
	case x.failed != nil:
		if code, message = x.failed.SubCode, x.failed.Message; code == "" {
			code = x.failed.Code
		}
	case row.Kind != redeem.Executed:
		if code, message = x.result.Text("result_code"), x.result.Text("result_view"); message == "" {
			message = x.result.Text("result_desc")
		}
	}
	o := row.Outcome(x.http, code, answer.Quote(message, hide...), "")
	if row.Class == "rate-limited" {
		o.RetryAfter = banned(x.failed.Message)
	}
	if row.Kind == redeem.Executed {
		if x.operation == Verify || x.operation == Refund {
			x.settleAssets(&o, answer.Quote(x.result.Text("result_desc"), hide...))
		} else {
			x.settleFlow(&o)
		}
	}
	return o
}

var ban = regexp.MustCompile(`(\d{1,6})\s*(?:more\s+)?second`)

// banned reads for how long the gateway wants to be left alone ("This ban will last
// for 1 more seconds"), at most an hour; 0 when it does not say.
func banned(message string) time.Duration {
	m := ban.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // at most six digits
	return min(time.Duration(n)*time.Second, time.Hour)
}

// settleFlow fills an executed outcome. The vendor said that it did what it was asked,
// so the amount asked for is what was redeemed. Where the numbers that it reports do
// not add up to that, the outcome is still executed, its class says amount-mismatch,
// and the split is not used: reconciliation has to look, the member's money is gone.
func (x exchange) settleFlow(o *redeem.Outcome) {
	amount, _, _ := x.call.totals()
	flow := x.flow()
	o.FlowID = flow.Text("flow_id")
	gift, problem := giftPart(flow, amount)
	if problem != "" {
		gift, o.Class, o.Detail = 0, answer.Mismatch, "executed, but "+problem
	}
	o.Total, o.Real, o.Gift = amount, amount-gift, gift
	o.Lines = basket.Share(x.call.Lines, redeem.Executed, o.Cashier, gift)
}

// giftPart reads the split of a flow over amount; problem says what does not fit. Not
// to split is no problem.
func giftPart(flow answer.Object, amount redeem.Fen) (gift redeem.Fen, problem string) {
	if text := flow.Text("order_value"); text != "" {
		if v, ok := fen(text); !ok || v != amount {
			return 0, "order_value is not the amount asked for"
		}
	}
	if !flow.Has("affected_property_list") {
		return 0, ""
	}
	items, ok := flow.List("affected_property_list")
	if !ok {
		return 0, "affected_property_list cannot be read"
	}
	parts := map[string]redeem.Fen{}
	for _, raw := range items {
		item, err := answer.Parse(raw)
		v, ok := fen(item.Text("value"))
		if err != nil || !ok {
			return 0, "affected_property_list cannot be read"
		}
		parts[strings.ToUpper(item.Text("type"))] += v
	}
	paid, gift, total := parts["REAL"]+parts["PRE"], parts["GIFT"], parts["TOTAL"]
	switch {
	case len(items) == 0:
		return 0, ""
	case paid+gift == 0 && total == amount:
		return 0, ""
	case paid+gift != amount || (total != 0 && total != amount):
		return 0, fmt.Sprintf("of %d fen asked for it reports %d real and %d gift", amount, paid, gift)
	}
	return gift, ""
}

// fen reads a whole number of fen without its sign: a spend is negative.
func fen(text string) (redeem.Fen, bool) {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "-"), 10, 64)
	return redeem.Fen(n), err == nil && n >= 0 && redeem.Fen(n) <= redeem.MaxFen
}

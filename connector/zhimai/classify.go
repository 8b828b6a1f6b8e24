// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"fmt"
	"slices"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// rule is a row of the table with the condition under which it applies.
type rule struct {
	answer.Row
	when func(c Config, key string, r reply) bool
}

// rules judge an answer to a consume or a reversal; the first that applies wins, and
// the last always does. Only "executed" says that money moved, and only the rows
// of kind refused and not-sent say that it did not.
var rules = []rule{
	{
		Row: answer.Row{
			Name: "http-status", Answer: "HTTP status other than 200, whatever the body says",
			Kind: redeem.Unknown, Class: "http-status", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(_ Config, _ string, r reply) bool { return r.http != 200 },
	},
	{
		Row: answer.Row{
			Name: "empty", Answer: "HTTP 200 with an empty body",
			Kind: redeem.Unknown, Class: "empty", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(_ Config, _ string, r reply) bool { return r.empty },
	},
	{
		Row: answer.Row{
			Name: "unreadable", Answer: "HTTP 200 with HTML, XML, cut JSON, a name that stands twice, or anything but one JSON object",
			Kind: redeem.Unknown, Class: "unreadable", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(_ Config, _ string, r reply) bool { return !r.readable },
	},
	{
		Row: answer.Row{
			Name: "executed", Answer: "`status` true and `code` 0, outside and inside `data`",
			Kind: redeem.Executed, Class: "executed", Till: answer.TillExecuted, Next: answer.NextNothing,
		},
		when: func(_ Config, _ string, r reply) bool { return r.outer.said() == done && r.inner.said() == done },
	},
	{
		Row: answer.Row{
			Name: "contradiction", Answer: "One level says done and the other not, or a refusal comes with amounts taken or with a bizId that is not ours",
			Kind: redeem.Unknown, Class: "contradiction", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(_ Config, key string, r reply) bool { return r.contradicts(key) },
	},
	{
		Row: answer.Row{
			Name: "rate-limited", Answer: "A refusal or failure whose `code` is in `rateLimitCodes`",
			Kind: redeem.NotSent, Class: "rate-limited", Till: answer.TillBusy, Next: answer.NextRepeat,
		},
		when: func(c Config, _ string, r reply) bool {
			v := r.verdict()
			return v.said() != nothing && v.said() != done && slices.Contains(c.RateLimitCodes, v.code)
		},
	},
	{
		Row: answer.Row{
			Name: "system-refused", Answer: "`status` false with a `code` in `refusedCodes`",
			Kind: redeem.Refused, Class: "system-refused", Till: answer.TillConfig, Next: answer.NextNothing,
		},
		when: func(c Config, _ string, r reply) bool {
			v := r.verdict()
			return v.said() == failure && slices.Contains(c.NotExecutedCodes, v.code)
		},
	},
	{
		Row: answer.Row{
			Name: "system-failure", Answer: "`status` false, outside or inside: the vendor's system failed, at a point that it does not tell",
			Kind: redeem.Unknown, Class: "system-failure", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(_ Config, _ string, r reply) bool { return r.outer.said() == failure || r.inner.said() == failure },
	},
	{
		Row: answer.Row{
			Name: "refused", Answer: "`status` true with another `code` (outside; or inside, under `status` true and `code` 0 outside)",
			Kind: redeem.Refused, Class: "refused", Till: answer.TillRefused, Next: answer.NextNothing,
		},
		when: func(_ Config, _ string, r reply) bool { return r.verdict().said() == refusal },
	},
	{
		Row: answer.Row{
			Name: "undocumented", Answer: "Any other JSON: `data` or a verdict missing, a `code` that means success elsewhere (200, 00)",
			Kind: redeem.Unknown, Class: "undocumented", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(Config, string, reply) bool { return true },
	},
}

// Rows are the table, for the documentation.
func Rows() []answer.Row {
	var rows []answer.Row
	for _, r := range rules {
		rows = append(rows, r.Row)
	}
	return append(rows, answer.RepeatRow())
}

// verdict that decides when nothing was done: the outer one, unless it only says
// that the inner one can be read.
func (r reply) verdict() verdict {
	if r.outer.said() == done {
		return r.inner
	}
	return r.outer
}

// classify judges the answer to the call k, which was made with the bizId key. hide are
// texts that must not be quoted.
func (c Config) classify(key string, k call, r reply, hide ...string) redeem.Outcome {
	for _, rule := range rules {
		if !rule.when(c, key, r) {
			continue
		}
		v := r.verdict()
		o := rule.Outcome(r.http, v.code, answer.Quote(v.message, hide...), "")
		if rule.Kind == redeem.Executed {
			c.settle(&o, key, k, r)
		}
		return o
	}
	panic("zhimai: the last rule applies always")
}

// settle fills an executed outcome. The vendor said that it did what it was asked, so
// the amount asked for is what was redeemed. Where the split that it reports does
// not add up to that, the outcome is still executed, its class says amount-mismatch,
// and the split is not used: reconciliation has to look, the member's money is gone.
func (c Config) settle(o *redeem.Outcome, key string, k call, r reply) {
	amount, _, _ := k.totals()
	o.FlowID = r.data.Text("bizId")
	if o.FlowID == "" {
		o.FlowID = key
	}
	o.Code = ""
	recharge, gift, known, ok := r.changes(c.ChangeAmountsInFen)
	switch {
	case !known:
		gift = 0
	case !ok:
		gift, o.Class, o.Detail = 0, answer.Mismatch, "executed, but the amounts taken cannot be read"
	case recharge+gift != amount:
		o.Class = answer.Mismatch
		o.Detail = fmt.Sprintf("executed, but asked for %s yuan and reported as taken %s + %s", amount.Yuan(), recharge.Yuan(), gift.Yuan())
		gift = 0
	}
	o.Total, o.Real, o.Gift = amount, amount-gift, gift
	o.Lines = basket.Share(k.Lines, redeem.Executed, o.Cashier, gift)
}

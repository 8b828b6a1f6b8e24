// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// assetRules judge the result of open.assert.verify and open.assert.refund, which
// report points and each voucher by themselves.
var assetRules = []rule{
	{
		Row: answer.Row{
			Name: "contradiction", Answer: "`biz_success` false, and yet an asset reported as done",
			Kind: redeem.Unknown, Class: "contradiction", Till: answer.TillUnknown, Next: answer.NextResolve,
		},
		when: func(x exchange) bool { return x.success() == answer.False && x.assets().any(answer.True) },
	},
	{
		Row: answer.Row{
			Name: "refused", Answer: "`biz_success` false: refused by the business",
			Kind: redeem.Refused, Class: "refused", Till: answer.TillRefused, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.success() == answer.False },
	},
	{
		Row: answer.Row{
			Name: "all-refused", Answer: "`biz_success` true, and each asset that was asked for reported as not done",
			Kind: redeem.Refused, Class: "refused", Till: answer.TillRefused, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.success() == answer.True && x.assets().all(answer.False) },
	},
	{
		Row: answer.Row{
			Name: "executed", Answer: "`biz_success` true, and each asset that was asked for reported as done",
			Kind: redeem.Executed, Class: "executed", Till: answer.TillExecuted, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.success() == answer.True && x.assets().all(answer.True) },
	},
	{
		Row: answer.Row{
			Name: "partial", Answer: "`biz_success` true, and some assets reported as done, all others as not done",
			Kind: redeem.Executed, Class: "partial", Till: answer.TillExecuted, Next: answer.NextNothing,
		},
		when: func(x exchange) bool { return x.success() == answer.True && !x.assets().any(answer.Neither) },
	},
	rowUndocumented,
}

// flags are what was reported of each line of a call, in the lines' order.
type flags []answer.Flag

func (f flags) any(want answer.Flag) bool {
	for _, got := range f {
		if got == want {
			return true
		}
	}
	return false
}

func (f flags) all(want answer.Flag) bool {
	for _, got := range f {
		if got != want {
			return false
		}
	}
	return len(f) > 0
}

// assets reads what became of each line. A voucher that is reported twice with
// different words is Neither.
func (x exchange) assets() flags {
	result := x.flow()
	vouchers := map[string]answer.Flag{}
	items, _ := result.List("voucher_status_list")
	for _, raw := range items {
		item, _ := answer.Parse(raw)
		id, now := item.Text("voucher_id"), item.Flag("success")
		if before, twice := vouchers[id]; twice && before != now {
			now = answer.Neither
		}
		vouchers[id] = now
	}
	f := make(flags, 0, len(x.call.Lines))
	for _, l := range x.call.Lines {
		switch l.Asset {
		case redeem.Points:
			f = append(f, result.Flag("point_success"))
		case redeem.Coupon:
			f = append(f, vouchers[l.ID])
		default:
			f = append(f, answer.Neither)
		}
	}
	return f
}

// settleAssets tells each line what became of it. These calls return no number of
// their own, so the flow is known by ours.
func (x exchange) settleAssets(o *redeem.Outcome, message string) {
	o.FlowID = x.key
	refused := assetRules[1].Outcome(x.http, x.result.Text("result_code"), message, "")
	done := basket.Share(x.call.Lines, redeem.Executed, answer.TillExecuted, 0)
	for i, flag := range x.assets() {
		if flag != answer.True {
			done[i] = redeem.LineOutcome{Line: done[i].Line, Kind: redeem.Refused, Code: refused.Code, Cashier: refused.Cashier}
		}
	}
	o.Lines = done
}

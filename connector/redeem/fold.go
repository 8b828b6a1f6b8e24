// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"slices"
	"time"
)

// Classes that the engine itself gives.
const (
	ClassSkipped   Class = "skipped"   // an earlier leg was not executed, so this one was not tried
	ClassAbandoned Class = "abandoned" // never sent, and no repeat came
	ClassNotFound  Class = "not-found" // the vendor does not know it, twice, past the settle window
	ClassDecided   Class = "decided"   // a person's word
	ClassNeverSent Class = "never-sent"
	ClassManual    Class = "manual-reversal" // no machine can make this reversal
	ClassDefect    Class = "defect"          // the provider panicked or answered nonsense
	ClassNoTime    Class = "no-time"
)

// CodeReversed is the Code of a line that was redeemed and then given back by the
// engine: to the till it is a line that was not redeemed.
const CodeReversed = "reversed"

// Cashier texts of the engine's own outcomes.
const (
	cashierSkipped   = "因同单其他资产未成功，该资产未扣款，请重新发起"
	cashierAbandoned = "该资产未扣款，请重新发起一笔新的核销"
	cashierNotFound  = "会员系统确认未扣款，请重新发起一笔新的核销"
	cashierDecided   = "已由工作人员核实"
	cashierReversed  = "已扣部分已自动退回，请重新发起"
	cashierNoTime    = "系统繁忙，该资产未扣款，请稍后重试"
)

// Final says whether a leg in this state can change no more.
func (s State) Final() bool { return s == StateExecuted || s == StateRefused }

// stateOf is the state that an outcome's kind leads to from StateSent.
func stateOf(k Kind) State {
	switch k {
	case Executed:
		return StateExecuted
	case Refused:
		return StateRefused
	case NotSent:
		return StateNotSent
	}
	return StateUnknown
}

// settled says whether every leg is final.
func settled(r Redemption) bool {
	return !slices.ContainsFunc(r.Legs, func(l Leg) bool { return !l.State.Final() })
}

func anyLeg(r Redemption, states ...State) bool {
	return slices.ContainsFunc(r.Legs, func(l Leg) bool { return slices.Contains(states, l.State) })
}

func legByNo(r Redemption, no int) (Leg, bool) {
	i := slices.IndexFunc(r.Legs, func(l Leg) bool { return l.No == no })
	if i < 0 {
		return Leg{}, false
	}
	return r.Legs[i], true
}

// sane makes an outcome one that can be relied on: an unheard-of kind, or an
// execution whose lines are not all known, is no knowledge.
// A vendor that names no figures executed what it was asked to.
func sane(o Outcome, leg Leg) Outcome {
	switch o.Kind {
	case Executed:
		if o.Total == 0 && len(o.Lines) == 0 {
			o.Total, o.Real, o.Gift = leg.Amount, leg.Amount, 0
		}
		for _, l := range o.Lines {
			if l.Kind != Executed && l.Kind != Refused {
				o.Kind, o.Class = Unknown, ClassDefect
				return o
			}
		}
		if o.Real < 0 || o.Gift < 0 || o.Total != o.Real+o.Gift {
			o.Real, o.Gift = o.Total, 0
		}
	case Refused, NotSent, Unknown:
	default:
		o.Kind, o.Class = Unknown, ClassDefect
	}
	return o
}

// fold is r after the changes, at the given time, and the lines that they change.
// It is what the answer is rendered from, before the ledger stores both at once.
func fold(r Redemption, changes []LegChange, at time.Time) (Redemption, []Line) {
	r.Legs, r.Lines = slices.Clone(r.Legs), slices.Clone(r.Lines)
	var changed []int
	for _, c := range changes {
		i := slices.IndexFunc(r.Legs, func(l Leg) bool { return l.No == c.No })
		if i < 0 {
			continue
		}
		leg := &r.Legs[i]
		if c.Outcome != nil {
			leg.Outcome = *c.Outcome
		}
		if c.To == "" {
			continue
		}
		leg.State = c.To
		if c.To.Final() {
			leg.ResolvedAt = at
			foldLines(r.Lines, *leg)
			changed = append(changed, leg.Lines...)
		}
		if c.Outcome != nil && c.Outcome.MemberName != "" {
			r.MemberName = c.Outcome.MemberName
		}
	}
	var lines []Line
	for _, l := range r.Lines {
		if slices.Contains(changed, l.No) {
			lines = append(lines, l)
		}
	}
	return r, lines
}

// foldLines writes a final leg's outcome into its lines. What was reversed so far is
// the ledger's and stays.
func foldLines(lines []Line, leg Leg) {
	o := leg.Outcome
	left := split{o.Total, o.Real, o.Gift}
	money := slices.DeleteFunc(slices.Clone(leg.Lines), func(no int) bool {
		i := lineIndex(lines, no)
		return i < 0 || lines[i].Asset != StoredValue
	})
	for _, no := range leg.Lines {
		i := lineIndex(lines, no)
		if i < 0 {
			continue
		}
		res := LineResult{Kind: kindOf(leg.State), Code: o.Code, Cashier: o.Cashier,
			Reversed: lines[i].Result.Reversed, ReversedCount: lines[i].Result.ReversedCount}
		if own := slices.IndexFunc(o.Lines, func(l LineOutcome) bool { return l.Line == no }); own >= 0 {
			l := o.Lines[own]
			res.Kind, res.Code, res.Cashier = l.Kind, l.Code, l.Cashier
			res.Total, res.Real, res.Gift = l.Total, l.Real, l.Gift
		} else if res.Kind == Executed && lines[i].Asset == StoredValue {
			share := left.take(lines[i].Amount, no == money[len(money)-1])
			res.Total, res.Real, res.Gift = share.total, share.real, share.gift
		}
		if res.Code == "" && res.Kind == Refused {
			res.Code = string(o.Class)
		}
		lines[i].Result = res
	}
}

func kindOf(s State) Kind {
	if s == StateExecuted {
		return Executed
	}
	return Refused
}

func lineIndex(lines []Line, no int) int {
	return slices.IndexFunc(lines, func(l Line) bool { return l.No == no })
}

// split hands a leg's money to its lines: each gets what it asked for, the paid-in
// part first, and the last one gets the rest, so that the sum is the vendor's.
type split struct{ total, real, gift Fen }

func (s *split) take(amount Fen, last bool) split {
	t := min(amount, s.total)
	if last {
		t = s.total
	}
	real := min(t, s.real)
	got := split{total: t, real: real, gift: t - real}
	s.total, s.real, s.gift = s.total-got.total, s.real-got.real, s.gift-got.gift
	return got
}

// mixed says whether a settled redemption has redeemed some lines and not others.
func mixed(r Redemption) bool {
	return len(executedLines(r)) > 0 && len(executedLines(r)) < len(r.Lines)
}

func executedLines(r Redemption) []Line {
	var out []Line
	for _, l := range r.Lines {
		if l.Result.Kind == Executed {
			out = append(out, l)
		}
	}
	return out
}

// OutcomeWord is how a redemption ended, for metrics: executed, refused, partial, or
// unknown while it is open.
func OutcomeWord(r Redemption) string {
	switch done := len(executedLines(r)); {
	case !settled(r):
		return "unknown"
	case done == len(r.Lines):
		return "executed"
	case done == 0:
		return "refused"
	}
	return "partial"
}

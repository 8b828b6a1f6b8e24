// SPDX-License-Identifier: Apache-2.0

// Package history judges what tills heard over time. It knows nothing of how a
// redemption is made, only what one is: a register for each payment that is open until
// it becomes executed or refused, once, for ever.
//
// A call that heard SUCCESS saw or made it executed; one that heard FAIL saw or made it
// refused; one that heard "nothing was sent" saw it open. A call that heard 3001, or
// nothing, is an interval without an end: it may have done either, at any time after it
// began, or nothing at all. [Check] asks whether there is an order of all calls of a
// payment that fits the times at which they began and ended, and at whose end the
// vendor's books agree. That is linearizability, and package porcupine decides it.
package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Word is what a call heard.
type Word string

const (
	Success Word = "SUCCESS"
	Fail    Word = "FAIL"
	NotSent Word = "NOT SENT" // code 3000
	Unknown Word = "UNKNOWN"  // code 3001, or no answer
)

// Call is one call about a payment.
type Call struct {
	Payment    string
	Till       int
	Start, End time.Time
	Word       Word
}

// state of the register.
type state string

const (
	open     state = "open"
	executed state = "executed"
	refused  state = "refused"
)

// books is the last operation: what the vendor has in the end.
type books struct{ times int }

var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{open} },
	Step: func(s, input, output any) []any {
		now := s.(state)
		if b, end := input.(books); end {
			return atEnd(now, b)
		}
		return step(now, output.(Word))
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, " → ", output) },
}).ToModel()

// step are the states that a call which heard w can have left, coming from s.
func step(s state, w Word) []any {
	switch {
	case w == Success && s != refused:
		return []any{executed}
	case w == Fail && s != executed:
		return []any{refused}
	case w == NotSent && s == open:
		return []any{open}
	case w == Unknown && s == open:
		return []any{open, executed, refused}
	case w == Unknown:
		return []any{s}
	}
	return nil
}

func atEnd(s state, b books) []any {
	if (s == executed) == (b.times == 1) && b.times <= 1 {
		return []any{s}
	}
	return nil
}

// Check judges every payment by itself. deducted says how often the vendor's books have
// a payment in the end; a payment that is not in it is judged by its calls alone. The
// error names the payments that no order explains.
func Check(calls []Call, deducted map[string]int) error {
	byPayment := map[string][]Call{}
	for _, c := range calls {
		byPayment[c.Payment] = append(byPayment[c.Payment], c)
	}
	for p := range deducted {
		if _, heard := byPayment[p]; !heard {
			byPayment[p] = nil // judged too when nobody heard of it
		}
	}
	var wrong []string
	for p, list := range byPayment {
		times, known := deducted[p]
		switch result := porcupine.CheckOperationsTimeout(model, operations(list, times, known), time.Minute); result {
		case porcupine.Ok:
		default:
			wrong = append(wrong, fmt.Sprintf("%s (%s): %s", p, strings.ToLower(string(result)), describe(list, times, known)))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%d payments have a history that no order explains:\n%s", len(wrong), strings.Join(wrong[:min(5, len(wrong))], "\n"))
}

const never = math.MaxInt64 - 1

func operations(calls []Call, times int, known bool) []porcupine.Operation {
	var ops []porcupine.Operation
	for _, c := range calls {
		end := c.End.UnixNano()
		if c.Word == Unknown {
			end = never
		}
		ops = append(ops, porcupine.Operation{ClientId: c.Till, Input: c.Payment, Output: c.Word, Call: c.Start.UnixNano(), Return: end})
	}
	if known {
		// It is read after everything else, the calls without an end too: those have
		// had their effect by then, or never will.
		ops = append(ops, porcupine.Operation{Input: books{times}, Output: Unknown, Call: math.MaxInt64, Return: math.MaxInt64})
	}
	return ops
}

func describe(calls []Call, times int, known bool) string {
	calls = slices.SortedFunc(slices.Values(calls), func(a, b Call) int { return cmp.Compare(a.Start.UnixNano(), b.Start.UnixNano()) })
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "[%s–%s till %d %s] ", c.Start.Format("05.000"), c.End.Format("05.000"), c.Till, c.Word)
	}
	if known {
		fmt.Fprintf(&b, "deducted %d times", times)
	}
	return b.String()
}

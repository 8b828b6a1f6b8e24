// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Direction is which way money went.
type Direction string

// The directions, as seen from the member's account.
const (
	Spent  Direction = "spent"
	Given  Direction = "given"  // given back
	Either Direction = "either" // the vendor does not tell
)

func (d Direction) fits(o Direction) bool { return d == o || d == Either || o == Either }

// Ours is one call that moves stored value, as the ledger has it.
type Ours struct {
	Provider string
	// Key is the one under which the call was made, Keys are all under which the vendor may list it: Key,
	// the vendor's own number, and for a reversal those of what it gives back.
	Key       string
	Keys      []string
	Direction Direction
	Amount    redeem.Fen // above 0
	State     redeem.State
	At        time.Time // when it was sent
	Settled   time.Time // when its outcome was known; zero: it is not
	BizID     string
	FlowID    string // our own, of the redemption
	Action    redeem.Action
	Leg       int
	TraceID   string
}

// Theirs is one flow of stored value, as the vendor lists it.
type Theirs struct {
	Provider  string
	ID        string // the vendor's number of the flow
	Key       string // the caller's number
	Reverses  string // the caller's number of what it gives back, where the vendor tells
	Direction Direction
	Amount    redeem.Fen // without sign
	At        time.Time
	// Readable: amount and time are what the vendor wrote.
	Readable bool
}

// Verdict of a row.
type Verdict string

// The verdicts. Foreign is what other hands did: it is no difference.
const (
	Matched      Verdict = "matched"
	MissingHere  Verdict = "missing-here"
	MissingThere Verdict = "missing-there"
	Differs      Verdict = "differs"
	Foreign      Verdict = "foreign"
)

// Reasons of what is not matched.
const (
	ReasonAmount     = "amount"      // another amount
	ReasonDirection  = "direction"   // spent here, given back there, or the other way
	ReasonUnreadable = "unreadable"  // the vendor's amount or time cannot be read
	ReasonRefused    = "refused"     // the ledger says that it was not done
	ReasonInDoubt    = "in-doubt"    // the ledger does not know yet
	ReasonSecondFlow = "second-flow" // one more flow under a key that has one
	ReasonNoRecord   = "no-record"   // no call of the ledger has this key
	ReasonNoFlow     = "no-flow"     // the vendor lists no flow under the call's key
)

// Row is what became of one call, of one flow, or of a pair of them.
type Row struct {
	Verdict Verdict
	Reason  string // "" when matched or foreign
	Ours    *Ours
	Theirs  *Theirs
}

// At is when the row happened: by our clock where we have it.
func (r Row) At() time.Time {
	if r.Ours != nil {
		return r.Ours.At
	}
	return r.Theirs.At
}

// Provider of the row.
func (r Row) Provider() string {
	if r.Ours != nil {
		return r.Ours.Provider
	}
	return r.Theirs.Provider
}

// Compare finds the pairs of ours and theirs and judges what is left. Each flow and each call that was
// executed or is in doubt stands in exactly one row; a call that was not executed in
// none, unless the vendor has it. The order of the lists does not matter.
//
// A key may have several flows (Zhimai lists a reversal under the number of what it gives back), so the best pairs
// are made first: same amount and direction, then what the vendor leaves open, then what differs.
func Compare(ours []Ours, theirs []Theirs) []Row {
	ours, theirs = slices.Clone(ours), slices.Clone(theirs)
	slices.SortFunc(ours, func(a, b Ours) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.At.Compare(b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Amount, b.Amount))
	})
	slices.SortFunc(theirs, func(a, b Theirs) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Amount, b.Amount))
	})
	byKey := map[[2]string][]int{}
	for i, t := range theirs {
		byKey[[2]string{t.Provider, t.Key}] = append(byKey[[2]string{t.Provider, t.Key}], i)
	}
	pairOf, taken := make([]int, len(ours)), make([]bool, len(theirs))
	for i := range pairOf {
		pairOf[i] = -1
	}
	for _, fits := range passes {
		for i, o := range ours {
			if pairOf[i] >= 0 {
				continue
			}
			if j := find(o, theirs, byKey, taken, fits); j >= 0 {
				pairOf[i], taken[j] = j, true
			}
		}
	}
	return rows(ours, theirs, pairOf, taken)
}

// passes are what makes a pair, the best first.
var passes = []func(o Ours, t Theirs) bool{
	func(o Ours, t Theirs) bool { return t.Readable && o.Amount == t.Amount && o.Direction == t.Direction },
	func(o Ours, t Theirs) bool {
		return t.Readable && o.Amount == t.Amount && o.Direction.fits(t.Direction)
	},
	func(o Ours, t Theirs) bool { return o.Key == t.Key && o.Direction.fits(t.Direction) },
	func(o Ours, t Theirs) bool { return o.Direction.fits(t.Direction) },
	func(o Ours, t Theirs) bool { return o.Key == t.Key },
}

func find(o Ours, theirs []Theirs, byKey map[[2]string][]int, taken []bool, fits func(Ours, Theirs) bool) int {
	for _, key := range o.Keys {
		for _, j := range byKey[[2]string{o.Provider, key}] {
			if !taken[j] && fits(o, theirs[j]) {
				return j
			}
		}
	}
	return -1
}

// rank puts calls that took money before those that may have, and those before the ones that did not.
func rank(s redeem.State) int {
	switch s {
	case redeem.StateExecuted:
		return 0
	case redeem.StateRefused, redeem.StateNotSent:
		return 2
	}
	return 1
}

func rows(ours []Ours, theirs []Theirs, pairOf []int, taken []bool) []Row {
	var out []Row
	listed := map[[2]string]bool{} // keys of ours
	for i := range ours {
		for _, key := range ours[i].Keys {
			listed[[2]string{ours[i].Provider, key}] = true
		}
		if j := pairOf[i]; j >= 0 {
			out = append(out, judge(&ours[i], &theirs[j]))
			continue
		}
		switch rank(ours[i].State) {
		case 0:
			out = append(out, Row{MissingThere, ReasonNoFlow, &ours[i], nil})
		case 1:
			out = append(out, Row{Differs, ReasonInDoubt, &ours[i], nil})
		}
	}
	for j := range theirs {
		if taken[j] {
			continue
		}
		t := &theirs[j]
		switch {
		case listed[[2]string{t.Provider, t.Key}]:
			out = append(out, Row{MissingHere, ReasonSecondFlow, nil, t})
		case own(t.Key) || own(t.Reverses):
			out = append(out, Row{MissingHere, ReasonNoRecord, nil, t})
		default:
			out = append(out, Row{Foreign, "", nil, t})
		}
	}
	slices.SortStableFunc(out, func(a, b Row) int { return a.At().Compare(b.At()) })
	return out
}

// judge says of a pair what differs, the gravest first.
func judge(o *Ours, t *Theirs) Row {
	reason := ""
	switch {
	case rank(o.State) == 2:
		reason = ReasonRefused
	case rank(o.State) == 1:
		reason = ReasonInDoubt
	case !t.Readable:
		reason = ReasonUnreadable
	case !o.Direction.fits(t.Direction):
		reason = ReasonDirection
	case o.Amount != t.Amount:
		reason = ReasonAmount
	default:
		return Row{Matched, "", o, t}
	}
	return Row{Differs, reason, o, t}
}

// upstreamKey is the shape of redeem.UpstreamKey.
var upstreamKey = regexp.MustCompile(`^HX[A-Z2-7]{26}$`)

// own says that a connector made the call.
func own(key string) bool { return upstreamKey.MatchString(key) }

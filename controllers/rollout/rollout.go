// SPDX-License-Identifier: Apache-2.0

// Package rollout decides when a brand may take up a change that the platform made: a new
// version of the operator, or another class. It is pure: what it is told of the brands, it
// judges.
//
// The brands of one class share a budget. Canaries go first; when one of them does not
// become available the roll-out halts, and every other brand keeps what it has. When all
// of them have been available for a while, the others follow, so many at a time. A brand
// that fails keeps its place, so that failures stop a roll-out by themselves. What a
// brand's own team changes waits for the canaries, but not for a place.
package rollout

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Policy of a class.
type Policy struct {
	// MaxConcurrent is the number of brands that may restart at a time.
	MaxConcurrent int
	// Paused lets nobody go.
	Paused bool
	// Canaries selects the brands that go first; nil for none. A selector that matches
	// no brand holds all of them: it may have a typing error.
	Canaries labels.Selector
	// SoakTime is how long the canaries must have been available before the others.
	SoakTime time.Duration
}

// State of a brand towards the newest revision of its platform.
type State int

// States of a brand.
const (
	// Apart is a brand that cannot take part: suspended, not running yet, a canary of no
	// Pods, or one that somebody has to mend first.
	Apart State = iota
	// Waiting is one that has not taken up the newest revision.
	Waiting
	// Rolling is one that is taking it up, or that has not come through with an older one
	// yet: it has a place.
	Rolling
	// Failed is one that took it up and did not become available in time.
	Failed
	// Current is one that runs it.
	Current
)

// HasPlace is true for a brand that has one of the places of the budget.
func (s State) HasPlace() bool { return s == Rolling || s == Failed }

// Member is one brand of a class.
type Member struct {
	Name   string
	State  State
	Canary bool
	// AvailableSince is when a current one became available; zero while it is not.
	AvailableSince time.Time
}

// Survey counts the brands of a class.
type Survey struct {
	Total, Current, Waiting, Rolling, Failed int
	// Canaries counts the selected ones; Capable those of them that can take part;
	// Proven those that run the newest revision and have soaked.
	Canaries, Capable, Proven int
	// FailedCanary is the name of a canary that failed; empty when there is none.
	FailedCanary string
	// SoakLeft is how long the canary that is last needs to have soaked; 0 when none
	// is soaking.
	SoakLeft time.Duration
}

// Add counts one brand.
func (s *Survey) Add(m Member, p Policy, now time.Time) {
	s.Total++
	switch m.State {
	case Waiting:
		s.Waiting++
	case Rolling:
		s.Rolling++
	case Failed:
		s.Failed++
	case Current:
		s.Current++
	case Apart:
	}
	if m.Canary {
		s.addCanary(m, p, now)
	}
}

func (s *Survey) addCanary(m Member, p Policy, now time.Time) {
	s.Canaries++
	if m.State == Apart {
		return
	}
	s.Capable++
	switch {
	case m.State == Failed:
		if s.FailedCanary == "" || m.Name < s.FailedCanary {
			s.FailedCanary = m.Name
		}
	case m.State == Current && !m.AvailableSince.IsZero():
		if left := p.SoakTime - now.Sub(m.AvailableSince); left > 0 {
			s.SoakLeft = max(s.SoakLeft, left)
		} else {
			s.Proven++
		}
	}
}

// Admit counts a brand that was told to go and is not seen to have gone yet. A brand that
// is seen to have a place has been counted already.
func (s *Survey) Admit(is State) {
	if is.HasPlace() {
		return
	}
	if is == Waiting {
		s.Waiting--
	}
	s.Rolling++
}

// Phase of a roll-out.
type Phase int

// Phases of a roll-out.
const (
	// Done: every brand that can take part runs the newest revision, soaked or not.
	Done Phase = iota
	// Canaries: the canaries have not proven it yet.
	Canaries
	// Open: brands take it up within the budget.
	Open
	// Halted: a canary failed, or failed brands have taken all places.
	Halted
	// Paused: somebody said so.
	Paused
)

// Phase that a class is in.
func (s *Survey) Phase(p Policy) Phase {
	switch {
	case s.FailedCanary != "" || (s.Failed > 0 && s.Failed >= p.MaxConcurrent):
		return Halted
	case s.Waiting == 0 && s.Rolling == 0 && s.Failed == 0:
		return Done
	case p.Paused:
		return Paused
	case (p.Canaries != nil || s.Canaries > 0) && (s.Capable == 0 || s.Proven < s.Capable):
		return Canaries
	default:
		return Open
	}
}

// WithoutCanary says that brands wait for canaries, and the selector matches no brand: they
// would wait for ever.
func (s *Survey) WithoutCanary(p Policy) bool { return s.Phase(p) == Canaries && s.Canaries == 0 }

// Candidate is a brand whose Pods would start anew.
type Candidate struct {
	Canary bool
	// Own is true when its own team's change is among what would start them.
	Own bool
	// Idle is true when nothing can be lost: it has no Pods, or its last roll-out
	// failed.
	Idle bool
	// Placed is true when it has a place of the budget already, which it keeps: it has
	// not come through with what it took up before, or failed with it.
	Placed bool
}

// Verdict on a candidate.
type Verdict struct {
	// Go is true when it may start its Pods anew now.
	Go bool
	// Counts is true when it takes a place of the budget, or keeps the one that it has.
	Counts bool
	// Phase is what it waits for when it may not go.
	Phase Phase
}

// Decide on a candidate.
func Decide(p Policy, s Survey, c Candidate) Verdict {
	s.Waiting++ // the candidate does, whatever was surveyed: a roll-out that is done asks no canary
	phase := s.Phase(p)
	free := s.Rolling+s.Failed < p.MaxConcurrent
	switch {
	case p.Paused:
		return Verdict{Go: c.Idle, Counts: c.Placed, Phase: Paused}
	case c.Canary:
		// A canary that failed is what mends a halt: failed brands do not stand in its way.
		return Verdict{Go: c.Own || c.Idle || c.Placed || s.Rolling < p.MaxConcurrent, Counts: true, Phase: phase}
	case c.Idle:
		// What failed because of the platform goes on being the platform's: else each
		// revision that is broken would cost as many brands more.
		return Verdict{Go: true, Counts: c.Placed}
	case phase == Halted, phase == Canaries:
		return Verdict{Phase: phase}
	case c.Own:
		return Verdict{Go: true, Counts: c.Placed}
	default:
		return Verdict{Go: free || c.Placed, Counts: true, Phase: phase}
	}
}

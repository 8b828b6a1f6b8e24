// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decision is a named person's word on a leg in doubt, after a look into the
// vendor's back office. It is kept with its reason, and it concludes the leg.
type Decision struct {
	Key     Key
	Leg     int
	Verdict Kind   // Executed or Refused
	Who     string // the person's account name
	Reason  string // why, for the record; nothing personal about the member
	// Force takes a "refused" that comes too early.
	Force bool
}

// ErrDecision is wrapped by every decision that cannot be taken.
var ErrDecision = errors.New("the decision cannot be taken")

// ErrTooEarly is wrapped when a leg is to be called refused before Config.RefusalWindow
// is over.
var ErrTooEarly = errors.New("it is too early to call it refused")

const decisionTries = 5

// Resolve takes a person's decision. A leg whose call is under way cannot be decided
// on; one in doubt can be told executed, and refused when RefusableFrom is past, one
// that was never sent refused.
// Whoever is working on the leg is fenced off by a new epoch, and evidence of the
// contrary that comes later raises the alarm instead of changing the state.
func (e *Engine) Resolve(ctx context.Context, d Decision) (Redemption, error) {
	if err := d.check(); err != nil {
		return Redemption{}, err
	}
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return Redemption{}, fmt.Errorf("%w: the connector is shutting down", ErrDecision)
	}
	ctx = context.WithoutCancel(ctx)
	for range decisionTries {
		r, err := e.Ledger.Get(ctx, d.Key)
		if err != nil {
			return Redemption{}, fmt.Errorf("read the redemption: %w", err)
		}
		change, err := e.decided(ctx, r, d)
		if err != nil {
			return r, err
		}
		next, err := e.commit(ctx, r, []LegChange{change}, d.Who, d.event())
		if errors.Is(err, ErrFenced) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("record the decision: %w", err)
		}
		next = e.finish(ctx, next)
		e.finishOriginal(ctx, next)
		return next, nil
	}
	return Redemption{}, fmt.Errorf("%w: the leg keeps changing, look again", ErrDecision)
}

func (d Decision) check() error {
	switch {
	case d.Verdict != Executed && d.Verdict != Refused:
		return fmt.Errorf("%w: verdict %q: say executed or refused", ErrDecision, d.Verdict)
	case strings.TrimSpace(d.Who) == "":
		return fmt.Errorf("%w: who: name the person who decides", ErrDecision)
	case strings.TrimSpace(d.Reason) == "":
		return fmt.Errorf("%w: reason: say what was found at the vendor", ErrDecision)
	}
	return nil
}

func (d Decision) event() Event {
	detail, _ := json.Marshal(map[string]string{"who": d.Who, "reason": d.Reason, "verdict": string(d.Verdict)}) // strings always marshal
	return Event{Key: d.Key, LegNo: d.Leg, Actor: d.Who, Kind: "decision", Detail: detail}
}

// RefusableFrom is when a person may call a leg of r refused without force; zero: at any
// time. A false "refused" charges the guest twice, and a vendor may book late, so the
// window runs from the last call that may have left: each time that a machine took the
// leg in hand counts, where it may repeat the call. What never left knows no window, nor
// does a reversal that a person makes. Pure but for the configuration.
func (e *Engine) RefusableFrom(r Redemption, no int, events []Event) time.Time {
	leg, ok := legByNo(r, no)
	if !ok || leg.Operation == OperationManual || leg.State == StateNotSent || leg.State.Final() {
		return time.Time{}
	}
	last := leg.SentAt
	if e.mayHaveRepeated(r, leg) {
		for _, ev := range events {
			if ev.LegNo == no && (ev.Kind == "lease" || ev.Kind == "state" && ev.To == StateUnknown) {
				last = later(last, ev.At)
			}
		}
	}
	return last.Add(e.cfg.RefusalWindow)
}

// late says that a decision does not come too early.
func (e *Engine) late(ctx context.Context, r Redemption, d Decision) error {
	if d.Verdict != Refused || d.Force {
		return nil
	}
	events, err := e.Ledger.Events(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	if from, now := e.RefusableFrom(r, d.Leg, events), e.Now(); now.Before(from) {
		return fmt.Errorf("%w: leg %d may be from %s on, in %s", ErrTooEarly, d.Leg, from.UTC().Format("2006-01-02 15:04:05Z"), from.Sub(now).Round(time.Second))
	}
	return nil
}

// decided is what the decision changes.
func (e *Engine) decided(ctx context.Context, r Redemption, d Decision) (LegChange, error) {
	leg, ok := legByNo(r, d.Leg)
	if !ok {
		return LegChange{}, fmt.Errorf("%w: leg %d: the redemption has legs 0 to %d", ErrDecision, d.Leg, len(r.Legs)-1)
	}
	to := stateOf(d.Verdict)
	if !slices.Contains(Edges[leg.State], to) || leg.State == StateSent {
		return LegChange{}, fmt.Errorf("%w: leg %d is %s", ErrDecision, d.Leg, leg.State)
	}
	if err := e.late(ctx, r, d); err != nil {
		return LegChange{}, err
	}
	out := Outcome{Kind: d.Verdict, Class: ClassDecided, Cashier: cashierDecided, Detail: "decided by a person"}
	if d.Verdict == Executed {
		out = sane(out, leg)
	}
	return LegChange{No: leg.No, From: leg.State, Epoch: leg.Epoch, NewEpoch: leg.Epoch + 1, To: to, Outcome: &out,
		Checks: leg.Checks, NotFound: leg.NotFound, Reason: d.Reason}, nil
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Decision is a named person's word on a leg in doubt, after a look into the
// vendor's back office. It is kept with its reason, and it concludes the leg.
type Decision struct {
	Key     Key
	Leg     int
	Verdict Kind   // Executed or Refused
	Who     string // the person's account name
	Reason  string // why, for the record; nothing personal about the member
}

// ErrDecision is wrapped by every decision that cannot be taken.
var ErrDecision = errors.New("the decision cannot be taken")

const decisionTries = 5

// Resolve takes a person's decision. A leg whose call is under way cannot be decided
// on; one in doubt can be told executed or refused, one that was never sent refused.
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
		change, err := e.decided(r, d)
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

// decided is what the decision changes. Pure but for the clock.
func (e *Engine) decided(r Redemption, d Decision) (LegChange, error) {
	leg, ok := legByNo(r, d.Leg)
	if !ok {
		return LegChange{}, fmt.Errorf("%w: leg %d: the redemption has legs 0 to %d", ErrDecision, d.Leg, len(r.Legs)-1)
	}
	to := stateOf(d.Verdict)
	if !slices.Contains(Edges[leg.State], to) || leg.State == StateSent {
		return LegChange{}, fmt.Errorf("%w: leg %d is %s", ErrDecision, d.Leg, leg.State)
	}
	out := Outcome{Kind: d.Verdict, Class: ClassDecided, Cashier: cashierDecided, Detail: "decided by a person"}
	if d.Verdict == Executed {
		out = sane(out, leg)
	}
	return LegChange{No: leg.No, From: leg.State, Epoch: leg.Epoch, NewEpoch: leg.Epoch + 1, To: to, Outcome: &out,
		Checks: leg.Checks, NotFound: leg.NotFound, Reason: d.Reason}, nil
}

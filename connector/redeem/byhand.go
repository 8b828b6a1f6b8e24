// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// ErrCannotAsk is wrapped when the vendor has no way to say what became of a leg, and
// when no machine can do more for it.
var ErrCannotAsk = errors.New("no machine can find out")

// Prospect is how an open leg will become known.
type Prospect struct {
	Strategy Strategy
	// ByHand: nothing but a person can find out what became of it.
	ByHand bool
	// Asks: the vendor can be asked, by Consult.
	Asks bool
	// Overdue: it was sent, nobody knows yet what became of it, and the till has heard so.
	Overdue bool
}

// Prospect of a leg under the brand's present configuration, which may differ from
// the one that it was recorded under.
func (e *Engine) Prospect(leg Leg) Prospect {
	vendor, asks := e.Providers[leg.Provider].(LookerUp)
	heard := leg.SentAt.Add(e.cfg.ReplyDeadline - e.cfg.ReplyMargin)
	return Prospect{
		Overdue:  leg.State == StateSent && !e.Now().Before(heard),
		Strategy: e.strategy(leg.Provider), ByHand: e.byHand(leg),
		Asks: asks && vendor.CanLookUp(leg) && leg.Operation != OperationManual && leg.State != StateNotSent,
	}
}

// Consultation is what the vendor said to a person's question.
type Consultation struct {
	Redemption Redemption // as it is after the question was recorded
	Leg        Leg
	Finding    Finding
	At         time.Time
	// Alarm: the finding says the contrary of what was concluded.
	Alarm bool
}

// Consult asks the vendor now what became of a leg, for a person who looks at it, and
// keeps the answer in the event log. It concludes nothing: that is the resolver's or
// the person's. Found or Partly for a leg that was concluded as refused raises the alarm.
func (e *Engine) Consult(ctx context.Context, key Key, legNo int, who string) (Consultation, error) {
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return Consultation{}, errDraining
	}
	r, leg, err := e.openLeg(ctx, key, legNo)
	if err != nil {
		return Consultation{}, err
	}
	if !e.Prospect(leg).Asks {
		return Consultation{}, fmt.Errorf("%w: %s cannot be asked about %s in state %s", ErrCannotAsk, leg.Provider, leg.Operation, leg.State)
	}
	ask, cancel := context.WithTimeout(ctx, resolveCall)
	defer cancel()
	c := Consultation{Leg: leg, Finding: lookUp(ask, e.Providers[leg.Provider].(LookerUp), leg), At: e.Now()}
	out := outcomeOf(c.Finding, leg)
	e.note(ctx, slog.LevelInfo, "looked up by hand", key, legNo, out, slog.String("who", who), slog.String("verdict", string(c.Finding.Verdict)))
	if c.Redemption, err = e.witness(ctx, r, leg, out, who, "look-up by hand: "+string(c.Finding.Verdict)); err != nil {
		return Consultation{}, err
	}
	c.Alarm = leg.State == StateRefused && (out.Kind == Executed || c.Finding.Verdict == Partly)
	if c.Alarm && !c.Redemption.Contradiction {
		c.Redemption, _, err = e.contradict(ctx, c.Redemption, leg, out)
	}
	return c, err
}

var errDraining = errors.New("the connector is shutting down")

func (e *Engine) openLeg(ctx context.Context, key Key, legNo int) (Redemption, Leg, error) {
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	r, err := e.Ledger.Get(get, key)
	if err != nil {
		return r, Leg{}, fmt.Errorf("read the redemption: %w", err)
	}
	leg, ok := legByNo(r, legNo)
	if !ok {
		return r, Leg{}, fmt.Errorf("%w: leg %d: the redemption has legs 0 to %d", ErrNotFound, legNo, len(r.Legs)-1)
	}
	return r, leg, nil
}

// outcomeOf is a finding in the words of an outcome.
func outcomeOf(f Finding, leg Leg) Outcome {
	if f.Verdict == Found {
		out := f.Outcome
		out.Kind = Executed
		return sane(out, leg)
	}
	return Outcome{Kind: Unknown, Class: Class(f.Verdict), Detail: f.Detail}
}

// witness keeps what a person was told, without a change of the leg.
func (e *Engine) witness(ctx context.Context, r Redemption, leg Leg, out Outcome, who, what string) (Redemption, error) {
	ev := evidence(r, leg.No, what, out)
	ev.Actor = who
	apply, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	next, err := e.Ledger.Apply(apply, Change{Key: r.Key(), At: e.Now(), Actor: who, Events: []Event{ev}})
	if err != nil {
		return r, fmt.Errorf("keep what the vendor said: %w", err)
	}
	return next, nil
}

// Overruling is evidence that a decision goes against, and that the person knows of.
type Overruling struct {
	Evidence string  // English, for the event log
	Outcome  Outcome // Executed when the vendor has it
}

// DecideOn takes a person's decision on the redemption as that person saw it: when
// the leg has changed since, nothing is written and the error wraps ErrFenced. Of two
// people who decide at once one is heard. Overruled evidence is recorded with the
// decision, and the alarm is raised when it is that the vendor has what is declared
// refused.
func (e *Engine) DecideOn(ctx context.Context, seen Redemption, d Decision, over *Overruling) (Redemption, error) {
	if err := d.check(); err != nil {
		return seen, err
	}
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return seen, errDraining
	}
	if leg, ok := legByNo(seen, d.Leg); ok && leg.State == StateUnknown && leasedNow(leg, e.Now()) {
		// Whoever holds it may be repeating the call at this moment.
		return seen, fmt.Errorf("%w: leg %d is being checked until %s at the latest", ErrFenced, d.Leg, leg.LeaseUntil.UTC().Format(time.RFC3339))
	}
	change, err := e.decided(ctx, seen, d)
	if err != nil {
		return seen, err
	}
	ctx = context.WithoutCancel(ctx)
	next, err := e.commit(ctx, seen, []LegChange{change}, d.Who, d.over(over))
	if err != nil {
		return seen, fmt.Errorf("record the decision: %w", err)
	}
	e.tell(ctx, slog.LevelWarn, "a person decided", d.Key, slog.Int("leg", d.Leg), slog.String("verdict", string(d.Verdict)),
		slog.String("who", d.Who), slog.Bool("overruled", over != nil))
	if over != nil && over.Outcome.Kind == Executed && d.Verdict == Refused {
		leg, _ := legByNo(next, d.Leg)
		if next, _, err = e.contradict(ctx, next, leg, over.Outcome); err != nil {
			return next, err
		}
	}
	next = e.finish(ctx, next)
	e.finishOriginal(ctx, next)
	return next, nil
}

// leasedNow says whether somebody's lease on the leg is not over.
func leasedNow(l Leg, now time.Time) bool { return l.LeaseOwner != "" && l.LeaseUntil.After(now) }

// over is the decision's event, with the evidence that it overrules.
func (d Decision) over(o *Overruling) Event {
	ev := d.event()
	if o == nil {
		return ev
	}
	ev.Detail, _ = json.Marshal(map[string]string{ // strings always marshal
		"who": d.Who, "reason": d.Reason, "verdict": string(d.Verdict), "force": "true", "overrules": o.Evidence,
	})
	return ev
}

// Retry makes everything of a redemption due now that the resolver can do something
// about: legs in doubt, those too that were handed to a person, and legs of a
// reversal that were never sent. It returns the numbers of those legs. ErrCannotAsk
// says that there are open legs and that none of them is a machine's; ErrFenced that
// somebody holds them at this moment.
func (e *Engine) Retry(ctx context.Context, key Key, who string) (Redemption, []int, error) {
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return Redemption{}, nil, errDraining
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	r, err := e.Ledger.Get(ctx, key)
	if err != nil {
		return r, nil, fmt.Errorf("read the redemption: %w", err)
	}
	changes, err := e.dueNow(r)
	if err != nil || len(changes) == 0 {
		return r, nil, err
	}
	next, err := e.Ledger.Apply(ctx, Change{Key: key, At: e.Now(), Actor: who, Legs: changes})
	if err != nil {
		return r, nil, fmt.Errorf("make due: %w", err)
	}
	e.wake()
	var legs []int
	for _, c := range changes {
		legs = append(legs, c.No)
	}
	return next, legs, nil
}

// dueNow are the changes that make r's legs due.
func (e *Engine) dueNow(r Redemption) ([]LegChange, error) {
	now := e.Now()
	var changes []LegChange
	var why []string
	busy := false
	for _, l := range r.Legs {
		again := l.State == StateUnknown || l.State == StateNotSent && r.Action == ReverseVerify
		switch {
		case l.State == StateSent, again && leasedNow(l, now):
			busy = true
		case !again:
		case e.byHand(l) && l.State == StateUnknown:
			why = append(why, fmt.Sprintf("leg %d (%s): the strategy of %s is %s", l.No, l.Operation, l.Provider, e.strategy(l.Provider)))
		default:
			changes = append(changes, LegChange{No: l.No, From: l.State, Epoch: l.Epoch, Checks: l.Checks, NotFound: l.NotFound, NextCheck: now, Reason: "asked for by a person"})
		}
	}
	switch {
	case len(changes) > 0:
		return changes, nil
	case busy:
		return nil, fmt.Errorf("%w: it is being worked on at this moment", ErrFenced)
	case len(why) > 0:
		slices.Sort(why)
		return nil, fmt.Errorf("%w: %s", ErrCannotAsk, strings.Join(why, "; "))
	}
	return nil, nil
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// settleWaits are the pauses between tries of a settle commit. When all are used up
// the lease runs out and the resolver finds the leg.
var settleWaits = []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// settle makes a batch of a flight's outcomes durable and returns the redemption as
// it is then, or as it was when it could not.
func (f *flight) settle(ctx context.Context, r Redemption, batch []landed) (now Redemption) {
	ctx, span := f.e.span(ctx, "ledger.settle", attribute.Int("hexiao.legs", len(batch)))
	var err error
	defer func() { endSpan(span, err) }()
	changes := make([]LegChange, 0, len(batch))
	for _, x := range batch {
		changes = append(changes, f.e.changeOf(r, x.leg, x.out))
		if x.leg.Operation == OperationManual {
			f.rejection = reject(SubManualReversal, "", "recorded; a person makes it at "+x.leg.Provider)
		}
	}
	for _, wait := range settleWaits {
		now, err = f.e.commit(ctx, r, changes, "engine")
		if err == nil {
			return now
		}
		if errors.Is(err, ErrFenced) {
			return f.e.settleStale(ctx, r, batch)
		}
		f.e.tell(ctx, slog.LevelWarn, "the settle commit failed", f.key, errAttr(err))
		if !sleep(ctx, wait) {
			break
		}
	}
	f.e.tell(ctx, slog.LevelError, "nothing was settled: the lease runs out and the resolver takes over", f.key, errAttr(err))
	return r
}

// changeOf is what an outcome does to a leg that this writer holds.
func (e *Engine) changeOf(r Redemption, leg Leg, out Outcome) LegChange {
	c := LegChange{No: leg.No, From: leg.State, Epoch: leg.Epoch, To: stateOf(out.Kind), Outcome: &out,
		Checks: leg.Checks, NotFound: leg.NotFound, Reason: string(out.Class)}
	if c.To == leg.State {
		c.To = ""
	}
	now := e.Now()
	switch out.Kind {
	case NotSent:
		c.NextCheck = now.Add(e.cfg.AbandonAfter)
		if r.Action == ReverseVerify { // once recorded it is retried, not abandoned
			c.NextCheck = now.Add(max(out.RetryAfter, nextDelay(leg.Checks, e.Jitter())))
		}
	case Unknown:
		if !e.byHand(leg) {
			c.NextCheck = now.Add(max(out.RetryAfter, nextDelay(leg.Checks, e.Jitter())))
		}
	}
	return c
}

// byHand says whether nothing but a person can find out what became of the leg.
func (e *Engine) byHand(leg Leg) bool {
	p := e.Providers[leg.Provider]
	s := e.strategy(leg.Provider)
	_, repeats := p.(Repeater)
	asks, looksUp := p.(LookerUp)
	switch {
	case leg.Operation == OperationManual, p == nil:
		return true
	case s.replays():
		return !repeats
	case s.queries():
		return !looksUp || !asks.CanLookUp(leg)
	}
	return true
}

// commit stores changes to r's legs, with the lines that follow from them and, when
// they are the last, with the answer. A commit whose outcome is unclear is re-read.
func (e *Engine) commit(ctx context.Context, r Redemption, changes []LegChange, actor string, more ...Event) (Redemption, error) {
	now := e.Now()
	after, lines := fold(r, changes, now)
	c := Change{Key: r.Key(), At: now, Actor: actor, Legs: changes, Lines: lines, MemberName: after.MemberName, Events: more}
	if r.Action == ReverseVerify {
		for _, l := range lines {
			c.ReleaseReversal = c.ReleaseReversal || l.Result.Kind == Refused
		}
	}
	if settled(after) && r.Answer == nil && !e.mustUndo(after) {
		after.ConcludedAt = now
		answer, err := e.render(after)
		if err != nil {
			return r, err
		}
		c.Answer = answer
	}
	apply, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	stored, err := e.Ledger.Apply(apply, c)
	if err != nil && unclear(err) {
		stored, err = e.reread(ctx, r.Key(), changes, err)
	}
	if err != nil {
		return r, fmt.Errorf("apply: %w", err)
	}
	e.resolved(ctx, stored, changes)
	return stored, nil
}

// reread finds out whether a commit of unclear outcome happened.
func (e *Engine) reread(ctx context.Context, key Key, changes []LegChange, cause error) (Redemption, error) {
	get, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	fresh, err := e.Ledger.Get(get, key)
	if err != nil {
		return Redemption{}, fmt.Errorf("%w: %w", cause, err)
	}
	for _, c := range changes {
		leg, ok := legByNo(fresh, c.No)
		if !ok || (c.To != "" && leg.State != c.To) || (c.To == "" && !leg.NextCheck.Equal(c.NextCheck)) {
			return Redemption{}, cause
		}
	}
	return fresh, nil
}

// render makes the answer; a renderer that panics leaves the redemption open.
func (e *Engine) render(r Redemption) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("render the answer: panic %T", p)
		}
	}()
	if answer = e.Render(r); len(answer) == 0 {
		return nil, errors.New("render the answer: it is empty")
	}
	return answer, nil
}

// resolved reports the legs that left the doubt.
func (e *Engine) resolved(ctx context.Context, r Redemption, changes []LegChange) {
	for _, c := range changes {
		if c.From != StateUnknown || !c.To.Final() {
			continue
		}
		leg, _ := legByNo(r, c.No)
		since := leg.UnknownAt
		if since.IsZero() {
			since = r.CreatedAt
		}
		e.metrics.Resolution(ctx, leg.Provider, kindOf(c.To), max(0, e.Now().Sub(since)))
		e.note(ctx, slog.LevelInfo, "leg resolved", r.Key(), c.No, leg.Outcome)
	}
}

// settleStale takes the outcomes of a writer whose epoch is over: the process slept,
// or its clock is behind. It may add evidence, never overrule.
func (e *Engine) settleStale(ctx context.Context, r Redemption, batch []landed) Redemption {
	for _, x := range batch {
		for try := 0; ; try++ {
			get, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
			fresh, err := e.Ledger.Get(get, r.Key())
			cancel()
			if err == nil {
				r = fresh
				var again bool
				if r, again, err = e.addEvidence(ctx, r, x); err == nil && !again {
					break
				}
			}
			if try >= len(settleWaits)*4 || !sleep(ctx, settleWaits[min(try, len(settleWaits)-1)]) {
				e.note(ctx, slog.LevelError, "late evidence could not be kept", r.Key(), x.leg.No, x.out)
				break
			}
		}
	}
	return r
}

// addEvidence applies one stale outcome to the redemption as it is. again asks to be
// called again after a re-read.
func (e *Engine) addEvidence(ctx context.Context, r Redemption, x landed) (_ Redemption, again bool, err error) {
	leg, ok := legByNo(r, x.leg.No)
	if !ok {
		return r, false, nil
	}
	if leg.State == x.leg.State && leg.Epoch == x.leg.Epoch {
		// Another leg of the batch was fenced; this one is still the writer's own.
		next, err := e.commit(ctx, r, []LegChange{e.changeOf(r, leg, x.out)}, "engine")
		if errors.Is(err, ErrFenced) {
			return r, true, nil
		}
		return next, err != nil, err
	}
	conclusive := x.out.Kind == Executed || x.out.Kind == Refused
	switch {
	case leg.State == stateOf(x.out.Kind):
		return r, false, nil
	case leg.State.Final() && conclusive:
		return e.contradict(ctx, r, leg, x.out)
	case leg.State.Final():
		return r, false, nil
	case leg.State == StateNotSent:
		// A later flight proved that its own call did not leave; this one's did.
		if x.out.Kind == Executed {
			return e.contradict(ctx, r, leg, x.out)
		}
		return r, false, nil
	}
	out := x.out
	switch {
	case out.Kind == NotSent && leg.State == StateUnknown && !e.mayHaveRepeated(r, leg):
		// Nothing left, nobody repeats, and no edge leads back to sent: it never will.
		out.Kind, out.Class, out.Cashier = Refused, ClassNeverSent, cashierNotFound
	case out.Kind == NotSent || out.Kind == Unknown:
		return r, false, nil
	}
	// A refusal of the first call says little while somebody holds the leg, who may be
	// repeating it under the same key at this moment: wait for that one's verdict.
	if out.Kind == Refused && leg.LeaseOwner != x.leg.LeaseOwner && leg.LeaseOwner != "" && leg.LeaseUntil.After(e.Now()) {
		return r, true, nil
	}
	next, err := e.commit(ctx, r, []LegChange{e.changeOf(r, leg, out)}, "engine", evidence(r, leg.No, "late answer", out))
	if errors.Is(err, ErrFenced) {
		return r, true, nil
	}
	return next, err != nil, err
}

// mayHaveRepeated says whether the leg's call may have been made by somebody else too.
func (e *Engine) mayHaveRepeated(r Redemption, leg Leg) bool {
	return r.Action == ReverseVerify || e.strategy(leg.Provider).replays() || Strategy(r.PolicyOnInDoubt[leg.Provider]).replays()
}

// contradict raises the alarm: something was concluded, and now there is evidence of
// the other. The state stays; a person decides what to undo.
func (e *Engine) contradict(ctx context.Context, r Redemption, leg Leg, out Outcome) (Redemption, bool, error) {
	e.note(ctx, slog.LevelError, "contradiction: the leg was concluded otherwise", r.Key(), leg.No, out,
		slog.String("state", string(leg.State)), slog.String("provider", leg.Provider))
	e.metrics.Contradiction(ctx, leg.Provider)
	ev := evidence(r, leg.No, "contradiction", out)
	ev.Kind = "alarm"
	apply, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	next, err := e.Ledger.Apply(apply, Change{Key: r.Key(), At: e.Now(), Actor: "engine", Contradiction: true, Events: []Event{ev}})
	if err != nil {
		return r, true, fmt.Errorf("raise the alarm: %w", err)
	}
	return next, false, nil
}

// evidence is an event that keeps an outcome: kind, class and code, nothing personal.
func evidence(r Redemption, leg int, what string, out Outcome) Event {
	detail, _ := json.Marshal(map[string]string{ // strings always marshal
		"what": what, "kind": string(out.Kind), "class": string(out.Class), "code": out.Code, "flowId": out.FlowID, "detail": out.Detail,
	})
	return Event{Key: r.Key(), LegNo: leg, Kind: "evidence", Detail: detail}
}

// finish gives a settled redemption its answer, after undoing what must be undone.
// It may be called by anyone at any time: the ledger lets one answer in.
func (e *Engine) finish(ctx context.Context, r Redemption) Redemption {
	if !settled(r) || r.Answer != nil {
		return r
	}
	var undone []Line
	if e.mustUndo(r) {
		lines, done := e.undo(ctx, r)
		if !done {
			return r
		}
		undone = lines
	}
	return e.conclude(ctx, r, undone)
}

// finishBy is finish for somebody who waits: an undoing makes a vendor call, which
// goes on when the wait is over.
func (e *Engine) finishBy(ctx context.Context, r Redemption, by time.Time) Redemption {
	work := context.WithoutCancel(ctx)
	if !settled(r) || r.Answer != nil || !e.mustUndo(r) {
		return e.finish(work, r)
	}
	slot := e.begin()
	if !slot.held() {
		return r
	}
	done := make(chan Redemption, 1)
	go func() {
		defer slot.release()
		done <- e.finish(work, r)
	}()
	timer := time.NewTimer(by.Sub(e.Now()))
	defer timer.Stop()
	select {
	case r = <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return r
}

// conclude stores the answer of a settled redemption, with the lines that were
// given back.
func (e *Engine) conclude(ctx context.Context, r Redemption, lines []Line) Redemption {
	now := e.Now()
	after, _ := fold(r, nil, now)
	for _, l := range lines {
		if i := lineIndex(after.Lines, l.No); i >= 0 {
			after.Lines[i] = l
		}
	}
	after.ConcludedAt = now
	answer, err := e.render(after)
	if err != nil {
		e.tell(ctx, slog.LevelError, "no answer could be made", r.Key(), errAttr(err))
		return r
	}
	apply, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	stored, err := e.Ledger.Apply(apply, Change{Key: r.Key(), At: now, Actor: "engine", Lines: lines, Answer: answer})
	if err == nil {
		return stored
	}
	get, cancelGet := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancelGet()
	if fresh, readErr := e.Ledger.Get(get, r.Key()); readErr == nil {
		return fresh // another one's answer, or none yet: whoever asks next tries again
	}
	e.tell(ctx, slog.LevelWarn, "the answer was not stored", r.Key(), errAttr(err))
	return r
}

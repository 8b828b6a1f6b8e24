// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

const (
	resolveBatch = 16
	// resolveCall bounds one look-up or repeat; it ends well within the lease.
	resolveCall = 10 * time.Second
	// missingTwice is how often a vendor must say "not found", past the settle window.
	missingTwice = 2
	missingGap   = 15 * time.Second
	sweepEvery   = time.Minute
)

// Run resolves what is in doubt until ctx ends: legs whose check is due, legs whose
// process died, legs that were never sent and whose repeat did not come, and
// redemptions whose answer was never stored. Any number of replicas may run it.
func (e *Engine) Run(ctx context.Context) error {
	var swept time.Time
	for ctx.Err() == nil {
		if now := e.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("resolver: unanswered redemptions", "brand", e.cfg.BrandID, "error", err)
			}
		}
		n, err := e.ResolveDue(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.Warn("resolver: lease", "brand", e.cfg.BrandID, "error", err)
		}
		if n == resolveBatch {
			continue
		}
		e.idle(ctx)
	}
	return nil
}

// idle waits a little, or until something in this process may have become due.
func (e *Engine) idle(ctx context.Context) {
	d := spread(e.cfg.ResolverIdle, e.Jitter())
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.due:
	case <-ctx.Done():
	}
}

// wake ends the resolver's idling early.
func (e *Engine) wake() {
	select {
	case e.due <- struct{}{}:
	default:
	}
}

// ResolveDue leases the legs that are due now, works on each once, and says how many
// there were.
func (e *Engine) ResolveDue(ctx context.Context) (int, error) {
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return 0, nil
	}
	now := e.Now()
	until := now.Add(e.cfg.ResolverLease)
	owner := e.cfg.Owner + "/" + e.Nonce()
	lease, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	due, err := e.Ledger.Lease(lease, e.cfg.BrandID, owner, now, until, resolveBatch)
	if err != nil {
		return 0, fmt.Errorf("lease what is due: %w", err)
	}
	var wg sync.WaitGroup
	for _, d := range due {
		wg.Go(func() { e.resolve(context.WithoutCancel(ctx), d, now, until) })
	}
	wg.Wait()
	return len(due), nil
}

// resolve works on one leased leg.
func (e *Engine) resolve(ctx context.Context, d Leased, from, until time.Time) {
	leg, ok := legByNo(d.Redemption, d.LegNo)
	if !ok {
		return
	}
	ctx, span := e.linkedSpan(ctx, "redeem.resolve", d.Redemption, leg)
	defer span.End()
	h := &held{e: e, r: d.Redemption, leg: leg, began: from, until: until.Add(-e.cfg.LedgerTimeout)}
	strategy := e.strategy(leg.Provider)
	change, out, event := h.work(ctx, strategy)
	span.SetAttributes(attribute.String("hexiao.strategy", string(strategy)), attribute.String("hexiao.kind", string(out.Kind)))
	e.metrics.ResolverAttempt(ctx, leg.Provider, strategy, attemptWord(out))
	e.note(ctx, slog.LevelInfo, "leg checked", d.Redemption.Key(), leg.No, out, slog.String("strategy", string(strategy)), slog.String("provider", leg.Provider))
	next, err := e.commit(ctx, h.r, []LegChange{change}, "resolver", event)
	if errors.Is(err, ErrFenced) {
		next, err = e.settleStale(ctx, h.r, []landed{{h.leg, out}}), nil
	}
	if err != nil {
		e.note(ctx, slog.LevelWarn, "the check's commit failed: its lease runs out", d.Redemption.Key(), leg.No, out, errAttr(err))
		return
	}
	e.finishOriginal(ctx, e.finish(ctx, next))
}

func attemptWord(o Outcome) string {
	switch o.Kind {
	case Executed, Refused:
		return string(o.Kind)
	case NotSent:
		return "error"
	}
	return "unknown"
}

// held is a leg in the resolver's hands.
type held struct {
	e            *Engine
	r            Redemption
	leg          Leg
	began, until time.Time
}

// work finds out about the leg, and returns what to store.
func (h *held) work(ctx context.Context, s Strategy) (LegChange, Outcome, Event) {
	ctx, cancel := context.WithTimeout(ctx, min(resolveCall, h.e.cfg.ResolverLease/2))
	defer cancel()
	switch {
	case h.leg.State == StateNotSent && h.r.Action == Verify:
		c := h.e.abandoned(h.leg, "no repeat came")
		return c, *c.Outcome, evidence(h.r, h.leg.No, "abandoned", *c.Outcome)
	case h.leg.State == StateNotSent:
		return h.sendAgain(ctx)
	case h.e.byHand(h.leg):
		return h.toPerson(Outcome{Kind: Unknown, Class: h.leg.Outcome.Class}, "the strategy is "+string(s))
	case s.replays():
		return h.repeat(ctx)
	}
	return h.ask(ctx)
}

// toPerson stops the checks: the leg stays in doubt until somebody decides.
func (h *held) toPerson(out Outcome, why string) (LegChange, Outcome, Event) {
	out.Kind, out.Detail = Unknown, why
	c := h.keep()
	c.NextCheck, c.Reason = time.Time{}, "a person must decide: "+why
	return c, out, evidence(h.r, h.leg.No, "handed to a person", out)
}

// keep is the change that leaves the leg as it is and comes back later.
func (h *held) keep() LegChange {
	return LegChange{
		No: h.leg.No, From: h.leg.State, Epoch: h.leg.Epoch, Checks: h.leg.Checks + 1, NotFound: h.leg.NotFound,
		NextCheck: h.e.Now().Add(nextDelay(h.leg.Checks+1, h.e.Jitter())),
	}
}

// conclude is the change that makes the leg final.
func (h *held) conclude(out Outcome, what string) (LegChange, Outcome, Event) {
	c := LegChange{No: h.leg.No, From: h.leg.State, Epoch: h.leg.Epoch, To: stateOf(out.Kind), Outcome: &out,
		Checks: h.leg.Checks + 1, NotFound: h.leg.NotFound, Reason: what}
	return c, out, evidence(h.r, h.leg.No, what, out)
}

// guard keeps a process that slept from sending: its lease is another's by now.
func (h *held) guard() error {
	now := h.e.Now()
	if now.Sub(h.began) >= h.until.Sub(h.began) || !now.Round(0).Before(h.until.Round(0)) {
		return errLeaseOver
	}
	return nil
}

// ask looks the leg up at the vendor.
func (h *held) ask(ctx context.Context) (LegChange, Outcome, Event) {
	f := lookUp(ctx, h.e.Providers[h.leg.Provider].(LookerUp), h.leg)
	c := h.keep()
	out := Outcome{Kind: Unknown, Class: Class(f.Verdict), Detail: f.Detail}
	switch f.Verdict {
	case Found:
		out = f.Outcome
		out.Kind = Executed
		if out = sane(out, h.leg); out.Kind == Executed {
			return h.conclude(out, "found by look-up")
		}
	case Differs:
		return h.toPerson(out, "the vendor has something else under this key")
	case Partly, Unshown:
		return h.partShown(c, f, out)
	case Missing:
		return h.missing(ctx, c, out)
	}
	return c, out, evidence(h.r, h.leg.No, "look-up: "+string(f.Verdict), out)
}

// partShown hands a leg to a person whose fate the vendor's record cannot show as a
// whole: to ask again tells no more. But a vendor may book late, and the parts one after
// the other, so it is asked until the settle window is over.
func (h *held) partShown(c LegChange, f Finding, out Outcome) (LegChange, Outcome, Event) {
	if opens := h.opens(); h.e.Now().Before(opens) {
		c.NotFound = 0
		c.NextCheck = earlier(c.NextCheck, opens)
		return c, out, evidence(h.r, h.leg.No, "look-up: "+string(f.Verdict)+", too early to count", out)
	}
	return h.toPerson(out, "the vendor's record cannot show it: "+f.Detail)
}

// opens is when what the vendor's record lacks begins to count.
func (h *held) opens() time.Time { return h.leg.SentAt.Add(h.e.cfg.SettleWindow) }

// missing weighs a "not found". It proves nothing until the settle window is over (a
// vendor may book late), and nothing once. After that a deduction was not made; a
// reversal was not either, and is made again where its key is idempotent.
func (h *held) missing(ctx context.Context, c LegChange, out Outcome) (LegChange, Outcome, Event) {
	now, opens := h.e.Now(), h.opens()
	if now.Before(opens) {
		c.NotFound = 0
		c.NextCheck = earlier(c.NextCheck, opens) // a till waits: ask as soon as the answer counts
		return c, out, evidence(h.r, h.leg.No, "look-up: missing, too early to count", out)
	}
	if c.NotFound++; c.NotFound < missingTwice {
		c.NextCheck = now.Add(missingGap)
		return c, out, evidence(h.r, h.leg.No, "look-up: missing once", out)
	}
	if h.r.Action == Verify {
		out = Outcome{Kind: Refused, Class: ClassNotFound, Cashier: cashierNotFound, Detail: "not found at the vendor, twice past the settle window"}
		h.leg.NotFound = c.NotFound
		return h.conclude(out, "not found twice")
	}
	p, ok := h.e.Providers[h.leg.Provider].(Repeater)
	if !ok || h.e.strategy(h.leg.Provider) != QueryFlow {
		return h.toPerson(out, "the reversal is not found, and may not be repeated by a machine")
	}
	h.leg.NotFound = c.NotFound
	return h.judge(ctx, h.call(ctx, p))
}

// repeat makes the same call under the same key.
func (h *held) repeat(ctx context.Context) (LegChange, Outcome, Event) {
	return h.judge(ctx, h.call(ctx, h.e.Providers[h.leg.Provider].(Repeater)))
}

func (h *held) call(ctx context.Context, p Repeater) (out Outcome) {
	g := h.e.gates[h.leg.Provider]
	if rej := g.admit(ctx, h.e.Now().Add(time.Second)); rej != nil {
		return Outcome{Kind: NotSent, Class: ClassNoTime, Detail: rej.Detail}
	}
	defer recovered(&out)
	return sane(p.Repeat(ctx, Sending{Leg: h.leg, Action: h.r.Action, Guard: h.guard}), h.leg)
}

// judge weighs the answer to a repeat. Executed is executed. A refusal is checked
// against a look-up where there is one: the refusal of a second call must not hide
// that the first was executed.
func (h *held) judge(ctx context.Context, out Outcome) (LegChange, Outcome, Event) {
	h.e.metrics.Leg(ctx, h.leg.Provider, out.Kind)
	h.e.gates[h.leg.Provider].observe(h.leg, out)
	switch out.Kind {
	case Executed:
		return h.conclude(out, "answered under the same key")
	case Refused:
		return h.judgeRefusal(ctx, out)
	}
	c := h.keep()
	c.NotFound = 0
	c.NextCheck = later(c.NextCheck, h.e.Now().Add(out.RetryAfter))
	return c, out, evidence(h.r, h.leg.No, "repeated, not known", out)
}

func (h *held) judgeRefusal(ctx context.Context, out Outcome) (LegChange, Outcome, Event) {
	if asker, ok := h.e.Providers[h.leg.Provider].(LookerUp); ok {
		switch f := lookUp(ctx, asker, h.leg); f.Verdict {
		case Found:
			found := f.Outcome
			found.Kind = Executed
			if found = sane(found, h.leg); found.Kind == Executed {
				return h.conclude(found, "found by look-up, though a repeat was refused")
			}
		case Differs:
			return h.toPerson(Outcome{Class: Class(Differs)}, "the vendor has something else under this key")
		case Partly:
			return h.toPerson(Outcome{Class: Class(Partly)}, "a repeat was refused, and yet the vendor executed a part: "+f.Detail)
		}
	}
	return h.conclude(out, "refused under the same key")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sendAgain sends a reversal's leg of which nothing had left: recorded is promised.
// It is moved to sent in a commit of its own before a byte goes out.
func (h *held) sendAgain(ctx context.Context) (LegChange, Outcome, Event) {
	callBy := h.e.Now().Add(h.e.cfg.CallWindow)
	next, err := h.e.Ledger.Apply(ctx, Change{Key: h.r.Key(), At: h.e.Now(), Actor: "resolver", Legs: []LegChange{{
		No: h.leg.No, From: StateNotSent, Epoch: h.leg.Epoch, To: StateSent, NextCheck: h.until, Checks: h.leg.Checks,
		NotFound: h.leg.NotFound, LeaseOwner: h.leg.LeaseOwner, LeaseUntil: later(h.leg.LeaseUntil, callBy), Reason: "sent again: nothing had left",
	}}})
	if err != nil {
		// Nothing was sent. Whether the leg moved is seen when its lease is over.
		return h.keep(), Outcome{Kind: NotSent, Class: ClassNoTime, Detail: err.Error()}, evidence(h.r, h.leg.No, "could not record the sending", Outcome{})
	}
	h.r = next
	h.leg, _ = legByNo(next, h.leg.No)
	var out Outcome
	if rej := h.e.gates[h.leg.Provider].admit(ctx, h.e.Now().Add(time.Second)); rej != nil {
		out = Outcome{Kind: NotSent, Class: ClassNoTime, Detail: rej.Detail}
	} else {
		out = sane(h.e.invoke(ctx, Sending{Leg: h.leg, Action: h.r.Action, Guard: h.guard}), h.leg)
		h.e.gates[h.leg.Provider].observe(h.leg, out)
	}
	h.e.metrics.Leg(ctx, h.leg.Provider, out.Kind)
	leg := h.leg
	leg.Checks++
	return h.e.changeOf(h.r, leg, out), out, evidence(h.r, leg.No, "sent again", out)
}

// nudge makes the doubts of r due now. Manual legs are left alone: no machine can
// tell. Best effort.
func (e *Engine) nudge(r Redemption) {
	slot := e.begin()
	if !slot.held() {
		return
	}
	go func() {
		defer slot.release()
		if _, err := e.Nudge(context.Background(), r.Key(), false); err != nil && !errors.Is(err, ErrFenced) {
			e.log.Warn("nudge", "brand", r.BrandID, "bizId", r.BizID, "error", err)
		}
	}()
}

// Nudge makes the legs in doubt due at once ("resolve now"). With manual it takes
// those back too that were handed to a person, which helps after the provider's
// strategy was changed.
func (e *Engine) Nudge(ctx context.Context, key Key, manual bool) (Redemption, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	r, err := e.Ledger.Get(ctx, key)
	if err != nil {
		return r, fmt.Errorf("read the redemption: %w", err)
	}
	now := e.Now()
	c := Change{Key: key, At: now, Actor: "engine"}
	for _, l := range r.Legs {
		leased := l.LeaseOwner != "" && l.LeaseUntil.After(now)
		if l.State == StateUnknown && !leased && (manual || !l.NextCheck.IsZero()) {
			c.Legs = append(c.Legs, LegChange{No: l.No, From: l.State, Epoch: l.Epoch, Checks: l.Checks, NotFound: l.NotFound, NextCheck: now, Reason: "asked for"})
		}
	}
	if len(c.Legs) == 0 {
		return r, nil
	}
	if r, err = e.Ledger.Apply(ctx, c); err != nil {
		return r, fmt.Errorf("make due: %w", err)
	}
	e.wake()
	return r, nil
}

// sweep answers redemptions that are settled and were never answered: a crash
// between the two commits of an undoing, or two writers that each settled a half.
func (e *Engine) sweep(ctx context.Context) error {
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	open, err := e.Ledger.Search(get, Query{BrandID: e.cfg.BrandID, Unanswered: true, To: e.Now().Add(-e.cfg.CallWindow)}, 200)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	for _, r := range open {
		if r.Answer == nil && settled(r) {
			e.finish(context.WithoutCancel(ctx), r)
		}
	}
	return nil
}

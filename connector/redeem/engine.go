// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Engine redeems and reverses for one brand. Its methods may be called from any
// goroutine, and any number of engines may share a ledger.
type Engine struct {
	cfg Config
	Deps
	tracer  trace.Tracer
	log     *slog.Logger
	metrics Metrics
	gates   map[string]*gate

	mu      sync.Mutex
	closing bool
	work    sync.WaitGroup
	flights map[Key]*flight
	due     chan struct{} // wakes the resolver
}

// New makes an engine; it starts nothing. Run the resolver with Run, end with Close.
func New(cfg Config, deps Deps) (*Engine, error) {
	cfg, deps = cfg.orDefaults(), deps.orDefaults()
	if err := cfg.check(deps); err != nil {
		return nil, fmt.Errorf("configure the redemption engine: %w", err)
	}
	e := &Engine{
		cfg: cfg, Deps: deps, log: deps.Logger, metrics: deps.Metrics,
		tracer: deps.TracerProvider.Tracer(tracerName),
		gates:  map[string]*gate{}, flights: map[Key]*flight{}, due: make(chan struct{}, 1),
	}
	for name, p := range deps.Providers {
		e.gates[name] = newGate(name, p, cfg.Limits[name], deps.Now, e.log, e.metrics)
	}
	return e, nil
}

// Verify redeems the lines of req (会员资产核销).
func (e *Engine) Verify(ctx context.Context, req Request) Result {
	req.Action = Verify
	return e.serve(ctx, req, e.draftVerify)
}

// Reverse undoes, wholly or in part, the redemption whose flow id is ThirdFlowNo
// (会员资产反核销).
func (e *Engine) Reverse(ctx context.Context, req Request) Result {
	req.Action = ReverseVerify
	return e.serve(ctx, req, e.draftReversal)
}

// call is one request under way.
type call struct {
	req      Request
	fp       []byte
	deadline time.Time // the reply must be made by then
}

// serve is steps 1 to 5: plan, gate, record, send, settle, reply. Everything after
// the record goes on when the till hangs up; before it, a till that went away gets
// nothing sent.
func (e *Engine) serve(ctx context.Context, req Request, draft func(context.Context, Request, time.Time) (Redemption, *Rejection)) Result {
	work := context.WithoutCancel(ctx)
	c, rej := e.newCall(req)
	if rej != nil {
		return e.rejected(ctx, req, rej)
	}
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return e.turnedBack(ctx, c, reject(SubDraining, "", "the connector is shutting down"))
	}
	r, rej := e.plan(work, c, draft)
	if rej != nil {
		return e.turnedBack(ctx, c, rej)
	}
	p, rej := e.enterGates(work, r.Legs, c)
	if rej != nil {
		return e.turnedBack(ctx, c, rej)
	}
	if ctx.Err() != nil || !c.deadline.After(e.Now()) {
		p.release()
		return e.turnedBack(ctx, c, reject(SubNoTime, "", "the caller went away, or its time was over, before anything was recorded"))
	}
	f := e.newFlight(r.Key(), c.req, c.deadline, p)
	stored, created, err := e.record(work, f, r)
	switch {
	case err != nil:
		p.release()
		return e.recordFailed(ctx, c, err)
	case !created:
		p.release()
		return e.repeated(ctx, c, stored)
	}
	f.launch(work, slot, stored)
	return e.await(ctx, f, c)
}

func (e *Engine) newCall(req Request) (*call, *Rejection) {
	if rej := checkEnvelope(req, e.cfg.BrandID, e.cfg.MaxLines); rej != nil {
		return nil, rej
	}
	fp, err := Fingerprint(FingerprintVersion, req)
	if err != nil {
		return nil, reject(SubUnplannable, "", err.Error())
	}
	now := e.Now()
	deadline := req.ReplyDeadlineAt
	if deadline.IsZero() {
		deadline = now.Add(e.cfg.ReplyDeadline)
	}
	return &call{req: req, fp: fp, deadline: deadline.Add(-e.cfg.ReplyMargin)}, nil
}

func (e *Engine) plan(ctx context.Context, c *call, draft func(context.Context, Request, time.Time) (Redemption, *Rejection)) (Redemption, *Rejection) {
	ctx, span := e.span(ctx, "redeem.plan", attribute.Int("hexiao.lines", len(c.req.Lines)))
	defer span.End()
	r, rej := draft(ctx, c.req, c.deadline)
	if rej != nil {
		span.SetAttributes(attribute.String("hexiao.sub_code", rej.SubCode))
		return Redemption{}, rej
	}
	r.Fingerprint, r.FingerprintVer = c.fp, FingerprintVersion
	span.SetAttributes(attribute.Int("hexiao.legs", len(r.Legs)))
	return r, nil
}

// draftVerify plans a redemption. Pure but for the clock.
func (e *Engine) draftVerify(_ context.Context, req Request, _ time.Time) (Redemption, *Rejection) {
	lines, rej := planLines(req, e.cfg.Routes)
	if rej != nil {
		return Redemption{}, rej
	}
	legs, rej := planLegs(req, lines, e.Providers)
	if rej != nil {
		return Redemption{}, rej
	}
	return e.redemptionOf(req, lines, legs), nil
}

func (e *Engine) redemptionOf(req Request, lines []Line, legs []Leg) Redemption {
	r := Redemption{
		Action: req.Action, BrandID: req.BrandID, BizID: req.BizID,
		FlowID: FlowID(req.BrandID, req.Action, req.BizID),
		ShopID: req.ShopID, TransOrderNo: req.TransOrderNo, PaymentNo: req.PaymentNo, RefundPaymentNo: req.RefundPaymentNo,
		KryMemberID: req.KryMemberID, MemberID: req.MemberID, RequestID: req.RequestID, OperatorID: req.OperatorID,
		TraceID: req.TraceID, Lines: lines, Legs: legs, CreatedAt: e.Now(),
		PolicyOnPartial: string(e.cfg.PartialFailure), PolicyOnInDoubt: map[string]string{},
		ConfigRevision: e.cfg.ConfigRevision, ConnectorVersion: e.cfg.ConnectorVersion,
	}
	r.UpdatedAt = r.CreatedAt
	if req.Mobile != "" {
		r.MobileHash = e.HashMobile(req.Mobile)
	}
	for _, l := range legs {
		r.PolicyOnInDoubt[l.Provider] = string(e.strategy(l.Provider))
	}
	return r
}

func (e *Engine) strategy(provider string) Strategy {
	if s, ok := e.cfg.InDoubt[provider]; ok {
		return s
	}
	return Manual
}

// enterGates passes the gate of every leg that will be sent. At most half of what is
// left of the budget is spent waiting: who is let through at the last moment would
// be told 3001 in place of a clean "nothing was sent".
func (e *Engine) enterGates(ctx context.Context, legs []Leg, c *call) (*pass, *Rejection) {
	var gates []*gate
	for _, l := range legs {
		g, ok := e.gates[l.Provider]
		if !ok {
			return nil, reject(SubNoProvider, "", fmt.Sprintf("provider %q is not configured", l.Provider))
		}
		if l.Operation != OperationManual {
			gates = append(gates, g)
		}
	}
	now := e.Now()
	if !c.deadline.After(now) {
		return nil, reject(SubNoTime, "", "the reply's deadline is over before anything was sent")
	}
	return enter(ctx, gates, now.Add(c.deadline.Sub(now)/2))
}

// record makes the intent durable. A commit whose outcome is unclear is re-read by
// key, and the lease's owner, who is this flight and no other, says whether it was
// this one that got through.
func (e *Engine) record(ctx context.Context, f *flight, r Redemption) (stored Redemption, created bool, err error) {
	ctx, span := e.span(ctx, "ledger.record")
	defer func() { endSpan(span, err) }()
	f.stampLease(r.Legs)
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	stored, created, err = e.Ledger.Record(ctx, r)
	if err == nil || !unclear(err) {
		return stored, created && err == nil, err
	}
	e.tell(ctx, slog.LevelWarn, "the record's commit is unclear: re-reading", r.Key(), errAttr(err))
	again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancelAgain()
	stored, err = e.Ledger.Get(again, r.Key())
	if errors.Is(err, ErrNotFound) {
		// Not there (yet): the unique key decides. Where the lost commit is still
		// under way, this one waits for it or loses to it.
		if stored, created, err = e.Ledger.Record(again, r); created {
			return stored, true, err
		}
	}
	if err != nil {
		return Redemption{}, false, fmt.Errorf("%w: %w", ErrCommitUnclear, err)
	}
	return stored, f.owns(stored), nil
}

// unclear says whether a failed commit may have happened. A deadline that ran out
// inside the ledger is no proof that it did not.
func unclear(err error) bool {
	return errors.Is(err, ErrCommitUnclear) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// recordFailed answers when nothing could be recorded. Nothing was sent by this
// call; but as the ledger cannot be read, nobody knows what an earlier call with
// this bizId did, so the till may not be told that nothing was redeemed.
func (e *Engine) recordFailed(ctx context.Context, c *call, err error) Result {
	switch {
	case errors.Is(err, ErrOverReversed):
		return e.rejected(ctx, c.req, reject(SubOverReversed, "", err.Error()))
	case errors.Is(err, ErrReversalPending):
		return e.rejected(ctx, c.req, reject(SubOriginalPending, "", err.Error()))
	case errors.Is(err, ErrNotFound):
		return e.rejected(ctx, c.req, reject(SubUnknownFlow, "thirdFlowNo", err.Error()))
	}
	e.tell(ctx, slog.LevelError, "the ledger did not record: nothing was sent", c.req.key(), errAttr(err))
	return e.inDoubt(ctx, c.req.Action, "nothing was sent by this call, and the ledger cannot say what an earlier one did: "+err.Error())
}

// turnedBack answers a request that was stopped before it was recorded: with what
// an earlier call with its bizId is known to have done, else with the rejection.
func (e *Engine) turnedBack(ctx context.Context, c *call, rej *Rejection) Result {
	get, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancel()
	stored, err := e.Ledger.Get(get, c.req.key())
	switch {
	case errors.Is(err, ErrNotFound):
		return e.rejected(ctx, c.req, rej)
	case err != nil:
		return e.recordFailed(ctx, c, fmt.Errorf("%s; read what is known of it: %w", rej.Error(), err))
	}
	return e.repeated(ctx, c, stored)
}

// repeated answers a request whose bizId is recorded.
func (e *Engine) repeated(ctx context.Context, c *call, stored Redemption) Result {
	fp, err := Fingerprint(stored.FingerprintVer, c.req)
	if err != nil {
		return e.inDoubt(ctx, c.req.Action, err.Error())
	}
	if !bytes.Equal(fp, stored.Fingerprint) {
		e.metrics.Conflict(ctx, c.req.Action)
		e.tell(ctx, slog.LevelWarn, "a bizId was used again for something else", stored.Key())
		return e.rejected(ctx, c.req, reject(SubConflict, "bizId", "the bizId is recorded with another content"))
	}
	done := e.metrics.DuplicateWaits(ctx)
	defer done()
	return e.follow(ctx, c, stored)
}

const (
	pollFirst = 20 * time.Millisecond
	pollMost  = 250 * time.Millisecond
	nudgeGap  = 10 * time.Second
)

// follow waits for a recorded redemption to become known, whoever works on it, and
// sends what was never sent. It polls the ledger, which every replica shares; a
// flight of this very process only shortens the wait.
func (e *Engine) follow(ctx context.Context, c *call, r Redemption) Result {
	for poll := pollFirst; ; poll = min(2*poll, pollMost) {
		if r.Answer == nil && settled(r) {
			r = e.finishBy(ctx, r, c.deadline)
		}
		if r.Answer != nil {
			e.metrics.Replay(ctx, r.Action)
			return e.concluded(ctx, r, true)
		}
		if e.resendable(r) {
			return e.resend(ctx, c, r)
		}
		if !e.worthWaiting(r) {
			return e.inDoubt(ctx, r.Action, "waits for a person, or for a later check")
		}
		if !e.pause(ctx, r.Key(), poll, c.deadline) {
			return e.outOfTime(ctx, c, "still running when the reply was due")
		}
		get, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
		fresh, err := e.Ledger.Get(get, r.Key())
		cancel()
		if err != nil {
			return e.inDoubt(ctx, r.Action, "read it again: "+err.Error())
		}
		r = fresh
	}
}

// pause waits for the poll interval, the end of a flight in this process, or the
// deadline, and says whether there is time left.
func (e *Engine) pause(ctx context.Context, key Key, d time.Duration, deadline time.Time) bool {
	left := deadline.Sub(e.Now())
	if left <= 0 {
		return false
	}
	e.mu.Lock()
	f := e.flights[key]
	e.mu.Unlock()
	var done <-chan struct{}
	if f != nil {
		done = f.done
	}
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
		return false
	}
	return e.Now().Before(deadline)
}

// resendable says whether a repeat may send the legs that were never sent: none is
// on its way, and where a later leg depends on an earlier one, none is in doubt.
func (e *Engine) resendable(r Redemption) bool {
	if !anyLeg(r, StateNotSent) || anyLeg(r, StateSent) {
		return false
	}
	return r.PolicyOnPartial != string(ReversePartial) || !anyLeg(r, StateUnknown)
}

// worthWaiting says whether the redemption may become known within a call's budget.
// Where the next check is far off it asks for one now.
func (e *Engine) worthWaiting(r Redemption) bool {
	if anyLeg(r, StateSent) {
		return true
	}
	now, machine, far := e.Now(), false, false
	for _, l := range r.Legs {
		if l.State == StateUnknown && !l.NextCheck.IsZero() {
			machine = true
			far = far || l.NextCheck.Sub(now) > e.cfg.ResolverIdle
		}
	}
	if far && now.Sub(r.UpdatedAt) >= nudgeGap {
		e.nudge(r)
	}
	return machine || settled(r)
}

// resend sends the legs that were never sent. The ledger decides who may: of two
// repeats one moves them to sent, the other follows.
func (e *Engine) resend(ctx context.Context, c *call, r Redemption) Result {
	slot := e.begin()
	defer slot.release()
	if !slot.held() {
		return e.stillUnsent(ctx, r, reject(SubDraining, "", "the connector is shutting down"))
	}
	work := context.WithoutCancel(ctx)
	var legs []Leg
	for _, l := range r.Legs {
		if l.State == StateNotSent {
			legs = append(legs, l)
		}
	}
	p, rej := e.enterGates(work, legs, c)
	if rej != nil {
		return e.stillUnsent(ctx, r, rej)
	}
	f := e.newFlight(r.Key(), c.req, c.deadline, p)
	taken, err := e.retake(work, f, r, legs)
	if errors.Is(err, ErrFenced) {
		p.release()
		if !e.pause(ctx, r.Key(), pollFirst, c.deadline) {
			return e.outOfTime(ctx, c, "another call sends it")
		}
		fresh, err := e.Ledger.Get(work, r.Key())
		if err != nil {
			return e.inDoubt(ctx, r.Action, err.Error())
		}
		return e.follow(ctx, c, fresh)
	}
	if err != nil {
		p.release()
		return e.inDoubt(ctx, r.Action, "record the sending again: "+err.Error())
	}
	f.launch(work, slot, taken)
	return e.await(ctx, f, c)
}

// retake moves the legs from not_sent to sent, leased to f under a new epoch.
func (e *Engine) retake(ctx context.Context, f *flight, r Redemption, legs []Leg) (taken Redemption, err error) {
	ctx, span := e.span(ctx, "ledger.record")
	defer func() { endSpan(span, err) }()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	c := Change{Key: r.Key(), At: e.Now(), Actor: "engine"}
	for _, l := range legs {
		c.Legs = append(c.Legs, LegChange{
			No: l.No, From: StateNotSent, Epoch: l.Epoch, NewEpoch: l.Epoch + 1, To: StateSent,
			NextCheck: f.leaseUntil, LeaseOwner: f.owner, LeaseUntil: f.leaseUntil, Reason: "sent again: nothing had left",
		})
	}
	taken, err = e.Ledger.Apply(ctx, c)
	if err == nil || !unclear(err) {
		return taken, err
	}
	again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LedgerTimeout)
	defer cancelAgain()
	taken, readErr := e.Ledger.Get(again, r.Key())
	switch {
	case readErr != nil:
		return Redemption{}, fmt.Errorf("%w: %w", ErrCommitUnclear, readErr)
	case f.owns(taken):
		return taken, nil
	}
	return Redemption{}, err
}

// stillUnsent answers when the legs that were never sent cannot be sent now: the
// whole redemption is untouched, or a part of it is.
func (e *Engine) stillUnsent(ctx context.Context, r Redemption, rej *Rejection) Result {
	if e.untouched(r) {
		return e.rejectedAs(ctx, r.Action, rej)
	}
	return e.inDoubt(ctx, r.Action, "a part is done and a part was never sent: "+rej.Detail)
}

// untouched says whether it is certain that nothing was sent, nor will be without a
// repeat. A reversal is never that: once recorded it is retried by the resolver.
func (e *Engine) untouched(r Redemption) bool {
	if r.Action == ReverseVerify {
		return false
	}
	for _, l := range r.Legs {
		if l.State != StateNotSent {
			return false
		}
	}
	return true
}

// await waits for the flight, within the caller's budget.
func (e *Engine) await(ctx context.Context, f *flight, c *call) Result {
	timer := time.NewTimer(c.deadline.Sub(e.Now()))
	defer timer.Stop()
	select {
	case <-f.done:
		return e.resultOf(ctx, f.last, f.rejection)
	case <-timer.C:
	case <-ctx.Done():
	}
	return e.outOfTime(ctx, c, "the vendor has not answered in time")
}

// resultOf says how a redemption stands after its flight.
func (e *Engine) resultOf(ctx context.Context, r Redemption, rej *Rejection) Result {
	switch {
	case r.Answer != nil:
		return e.concluded(ctx, r, false)
	case e.untouched(r):
		return e.rejectedAs(ctx, r.Action, unreachable(r))
	}
	detail := "a leg is not known yet"
	if rej != nil {
		detail = rej.Detail
	}
	res := e.inDoubt(ctx, r.Action, detail)
	res.Rejection = rej
	return res
}

// unreachable tells the till why nothing was sent, in the vendor's words if it has any.
func unreachable(r Redemption) *Rejection {
	rej := reject(SubUnreachable, "", "no leg could be sent")
	for _, l := range r.Legs {
		if l.Outcome.Kind == NotSent {
			rej.Detail = fmt.Sprintf("%s: %s %s", l.Provider, l.Outcome.Class, l.Outcome.Detail)
			if l.Outcome.Cashier != "" {
				rej.Cashier = l.Outcome.Cashier
			}
			break
		}
	}
	return rej
}

func (e *Engine) concluded(ctx context.Context, r Redemption, replayed bool) Result {
	sub := SubCodeOf(r)
	if !replayed {
		e.metrics.Redemption(ctx, r.Action, OutcomeWord(r), sub)
	}
	return Result{Ending: Concluded, Answer: r.Answer, SubCode: sub, Replayed: replayed}
}

// outOfTime answers a call that cannot wait any longer: its reply is due, or the
// caller went away before it was.
func (e *Engine) outOfTime(ctx context.Context, c *call, detail string) Result {
	if e.Now().Before(c.deadline) {
		return e.inDoubt(ctx, c.req.Action, "the caller went away")
	}
	e.metrics.ReplyTimeout(ctx, c.req.Action)
	return e.inDoubt(ctx, c.req.Action, detail)
}

func (e *Engine) inDoubt(ctx context.Context, a Action, detail string) Result {
	e.metrics.Redemption(ctx, a, "unknown", "")
	return Result{Ending: InDoubt, Detail: detail}
}

func (e *Engine) rejected(ctx context.Context, req Request, rej *Rejection) Result {
	return e.rejectedAs(ctx, req.Action, rej)
}

func (e *Engine) rejectedAs(ctx context.Context, a Action, rej *Rejection) Result {
	e.metrics.Redemption(ctx, a, "rejected", rej.SubCode)
	return Result{Ending: Rejected, Rejection: rej, SubCode: rej.SubCode}
}

func (req Request) key() Key { return Key{req.BrandID, req.Action, req.BizID} }

// Breakers says each provider's breaker state: closed, open or half-open.
func (e *Engine) Breakers() map[string]string {
	out := map[string]string{}
	for name := range maps.Keys(e.gates) {
		out[name] = e.gates[name].breaker.State().String()
	}
	return out
}

// slot is one piece of work that Close waits for.
type slot struct {
	e    *Engine
	once sync.Once
}

func (e *Engine) begin() *slot {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return &slot{}
	}
	e.work.Add(1)
	return &slot{e: e}
}

func (s *slot) held() bool { return s.e != nil }

func (s *slot) release() {
	if s.e != nil {
		s.once.Do(s.e.work.Done)
	}
}

// hand gives the slot to other work: the giver's release does nothing any more.
func (s *slot) hand() *slot {
	e := s.e
	s.once.Do(func() {})
	return &slot{e: e}
}

// Close lets no new work begin and waits for what is under way, until ctx ends.
// What is still flying then is found by the resolver of whoever comes next.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { e.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the redemption engine: calls are still under way: %w", ctx.Err())
	}
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "ledger")
	}
	span.End()
}

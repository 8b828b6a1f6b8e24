// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// OperationManual is the operation of a reversal leg that no machine can make.
const OperationManual = "manual-reversal"

const (
	// notSentTries bounds how often one flight tries a leg of which nothing left.
	notSentTries = 3
	retryGap     = 50 * time.Millisecond
)

var errLeaseOver = errors.New("the flight's lease is over: another process may hold the leg")

// flight is the sending of a redemption's legs by this process: from the commit that
// records them as sent to the commit that settles the last of them. It belongs to
// nobody's connection.
type flight struct {
	e     *Engine
	key   Key
	owner string // unique over all flights of all processes
	req   Request
	pass  *pass
	// replyBy is when the till hears something: retries of what was not sent end then.
	replyBy time.Time
	// callBy ends every vendor call; leaseUntil is when another process may take over.
	began, callBy, leaseUntil time.Time

	done      chan struct{}
	last      Redemption // set before done is closed
	rejection *Rejection // why a person is needed, if so
}

func (e *Engine) newFlight(key Key, req Request, replyBy time.Time, p *pass) *flight {
	now := e.Now()
	return &flight{
		e: e, key: key, owner: e.cfg.Owner + "/" + e.Nonce(), req: req, pass: p, replyBy: replyBy,
		began: now, callBy: now.Add(e.cfg.CallWindow), leaseUntil: now.Add(e.cfg.CallWindow + e.cfg.LeaseMargin),
		done: make(chan struct{}),
	}
}

// stampLease leases legs to f. NextCheck is set too: when this process dies, the
// resolver finds a leg that is due, not one that waits for a person.
func (f *flight) stampLease(legs []Leg) {
	for i := range legs {
		legs[i].State, legs[i].Epoch = StateSent, 1
		legs[i].LeaseOwner, legs[i].LeaseUntil, legs[i].NextCheck = f.owner, f.leaseUntil, f.leaseUntil
		legs[i].SentAt = f.began
	}
}

// owns says whether a leg is in this flight's hands.
func (f *flight) owns(r Redemption) bool {
	return slices.ContainsFunc(r.Legs, func(l Leg) bool { return l.State == StateSent && l.LeaseOwner == f.owner })
}

// guard is asked right before the first byte leaves. The monotonic clock sees a
// process that was stopped, the wall clock a machine that slept; either is enough.
func (f *flight) guard() error {
	now := f.e.Now()
	if now.Sub(f.began) >= f.e.cfg.CallWindow || !now.Round(0).Before(f.callBy.Round(0)) {
		return errLeaseOver
	}
	return nil
}

// launch starts the flight; the slot goes over to it.
func (f *flight) launch(ctx context.Context, s *slot, r Redemption) {
	f.e.mu.Lock()
	f.e.flights[f.key] = f
	f.e.mu.Unlock()
	own := s.hand()
	go func() {
		defer own.release()
		f.fly(ctx, r)
	}()
}

// landed is the outcome of one leg of a flight.
type landed struct {
	leg Leg
	out Outcome
}

// fly sends the legs and settles each as soon as it is known: evidence that only
// memory holds is evidence that a crash destroys. What arrives together is settled
// together.
func (f *flight) fly(ctx context.Context, r Redemption) {
	f.last = r
	defer func() {
		f.e.mu.Lock()
		if f.e.flights[f.key] == f {
			delete(f.e.flights, f.key)
		}
		f.e.mu.Unlock()
		close(f.done)
	}()
	var mine []Leg
	for _, l := range r.Legs {
		if l.State == StateSent && l.LeaseOwner == f.owner {
			mine = append(mine, l)
		}
	}
	results := make(chan landed, len(mine))
	if r.Action == Verify && r.PolicyOnPartial == string(ReversePartial) {
		go f.sequence(ctx, r, mine, results)
	} else {
		for _, l := range mine {
			go func() { results <- landed{l, f.send(ctx, l)} }()
		}
	}
	for left := len(mine); left > 0; {
		batch := []landed{<-results}
		for more := true; more; {
			select {
			case x := <-results:
				batch = append(batch, x)
			default:
				more = false
			}
		}
		if left -= len(batch); left == 0 {
			f.pass.release()
		}
		f.last = f.settle(ctx, f.last, batch)
	}
	f.last = f.e.finish(ctx, f.last)
}

// sequence sends one leg after the other and stops at the first that was not
// executed. What was not tried is known not to have been sent.
func (f *flight) sequence(ctx context.Context, r Redemption, legs []Leg, results chan<- landed) {
	stop := Outcome{}
	for _, l := range r.Legs { // legs of an earlier flight count too
		if l.State == StateRefused {
			stop = Outcome{Kind: Refused, Class: ClassSkipped, Cashier: cashierSkipped}
		}
	}
	for _, l := range legs {
		if stop.Kind != "" {
			results <- landed{l, stop}
			continue
		}
		out := f.send(ctx, l)
		results <- landed{l, out}
		switch out.Kind {
		case Executed:
		case NotSent:
			stop = Outcome{Kind: NotSent, Class: ClassSkipped, Detail: "an earlier leg was not sent"}
		default:
			stop = Outcome{Kind: Refused, Class: ClassSkipped, Cashier: cashierSkipped}
		}
	}
}

// send makes the leg's call, and again under the same key only while there is proof
// that nothing left, the till still waits, and the gate lets it.
func (f *flight) send(ctx context.Context, leg Leg) Outcome {
	if leg.Operation == OperationManual {
		return Outcome{Kind: Unknown, Class: ClassManual, Detail: "no machine can make this reversal"}
	}
	g := f.e.gates[leg.Provider]
	ctx, cancel := context.WithDeadline(ctx, f.callBy)
	defer cancel()
	s := Sending{Leg: leg, Action: f.key.Action, Request: f.req, Guard: f.guard}
	for try := 1; ; try++ {
		out := sane(f.e.invoke(ctx, s), leg)
		g.observe(leg, out)
		f.e.metrics.Leg(ctx, leg.Provider, out.Kind)
		f.e.note(ctx, slog.LevelInfo, "leg sent", f.key, leg.No, out, slog.String("provider", leg.Provider), slog.Int("try", try))
		if out.Kind != NotSent || try == notSentTries || !f.mayTryAgain(ctx, g, try, out) {
			return out
		}
	}
}

func (f *flight) mayTryAgain(ctx context.Context, g *gate, try int, out Outcome) bool {
	wait := max(out.RetryAfter, retryGap<<(try-1))
	if !f.e.Now().Add(wait).Before(f.replyBy) || !g.breaker.IsClosed() || f.guard() != nil {
		return false
	}
	return sleep(ctx, wait) && g.admit(ctx, f.replyBy) == nil && f.guard() == nil
}

// invoke makes one call of the provider: the redemption's or the reversal's. A
// panic may have come after the bytes, so it is no knowledge.
func (e *Engine) invoke(ctx context.Context, s Sending) (out Outcome) {
	defer recovered(&out)
	p, ok := e.Providers[s.Leg.Provider]
	if !ok {
		return Outcome{Kind: NotSent, Class: ClassDefect, Detail: "the provider is not configured"}
	}
	if s.Action != ReverseVerify {
		return p.Send(ctx, s)
	}
	rev, ok := p.(Reverser)
	if !ok {
		return Outcome{Kind: NotSent, Class: ClassManual, Detail: "the provider cannot reverse"}
	}
	return rev.Reverse(ctx, s)
}

func recovered(out *Outcome) {
	if p := recover(); p != nil {
		*out = Outcome{Kind: Unknown, Class: ClassDefect, Detail: fmt.Sprintf("the provider panicked: %T", p)}
	}
}

// lookUp asks, and takes a panic for no answer.
func lookUp(ctx context.Context, l LookerUp, leg Leg) (f Finding) {
	defer func() {
		if p := recover(); p != nil {
			f = Finding{Verdict: Inconclusive, Detail: fmt.Sprintf("the provider panicked: %T", p)}
		}
	}()
	return l.LookUp(ctx, leg)
}

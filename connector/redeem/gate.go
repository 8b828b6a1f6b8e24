// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/time/rate"
)

// Limit is what a provider's gate lets through. Zero fields take the defaults.
type Limit struct {
	//nolint:forbidigo // a rate, not money
	PerSecond  float64       // calls a second; 0: no limit
	Burst      int           // default: PerSecond rounded up
	Concurrent int           // requests under way at once; default 64
	Failures   int           // calls within Window of which half failed, to open the breaker; default 10
	Window     time.Duration // default 30 s
	OpenFor    time.Duration // how long the breaker keeps calls back; default 5 s
}

func (l Limit) orDefaults() Limit {
	if l.Burst == 0 {
		l.Burst = max(1, int(l.PerSecond+0.999))
	}
	if l.Concurrent == 0 {
		l.Concurrent = 64
	}
	if l.Failures == 0 {
		l.Failures = 10
	}
	if l.Window == 0 {
		l.Window = 30 * time.Second
	}
	if l.OpenFor == 0 {
		l.OpenFor = 5 * time.Second
	}
	return l
}

const (
	probeTimeout = 3 * time.Second
	// blindAfter is how many look-ups in a row must fail before a deduction may be
	// the probe: a vendor whose look-up does not work for this brand would otherwise
	// never be called again.
	blindAfter = 3
)

// gate stands before one provider: breaker, call limit and bulkhead. It is passed
// before anything is recorded as sent, so that whoever is kept back here is told
// the plain truth: nothing was sent.
//
// The breaker half-opens with a question, not with a guest's money: when its delay
// is over, a look-up of the last leg probes the vendor. Only a provider that cannot
// be asked, or whose look-up failed blindAfter times in a row, is tried with one
// real call.
type gate struct {
	name    string
	ask     LookerUp // nil when the provider cannot look up
	breaker circuitbreaker.CircuitBreaker[any]
	limiter *rate.Limiter
	slots   chan struct{}
	now     func() time.Time
	log     *slog.Logger
	metrics Metrics

	mu          sync.Mutex
	pausedUntil time.Time     // the vendor asked to be left alone
	lastLeg     *Leg          // what a probe asks about
	probing     chan struct{} // closed when the probe that is under way is over
	failed      int           // probes that failed in a row
	trial       bool          // one real call is through as a probe
}

func newGate(name string, p Provider, l Limit, now func() time.Time, log *slog.Logger, m Metrics) *gate {
	l = l.orDefaults()
	limit := rate.Limit(l.PerSecond)
	if l.PerSecond == 0 {
		limit = rate.Inf
	}
	g := &gate{name: name, limiter: rate.NewLimiter(limit, l.Burst), slots: make(chan struct{}, l.Concurrent), now: now, log: log, metrics: m}
	g.ask, _ = p.(LookerUp)
	g.breaker = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(0.5, uint(l.Failures), l.Window).
		WithDelay(l.OpenFor).
		OnStateChanged(func(ev circuitbreaker.StateChangedEvent) {
			log.Warn("breaker changed", "provider", name, "from", ev.OldState.String(), "to", ev.NewState.String())
		}).Build()
	return g
}

// pass is leave to make calls; release it once, used or not.
type pass struct {
	gates []*gate
	once  sync.Once
	trial []*gate
}

func (p *pass) release() {
	if p == nil {
		return
	}
	p.once.Do(func() {
		for _, g := range p.gates {
			<-g.slots
		}
		for _, g := range p.trial {
			g.endTrial()
		}
	})
}

// enter passes the gates of the providers, one entry a leg, waiting no longer than
// until. Gates are entered in the order of their names, so that two requests cannot
// wait for each other. A request takes one place in a bulkhead, and a token of the
// call limit for each leg.
func enter(ctx context.Context, gates []*gate, until time.Time) (*pass, *Rejection) {
	slices.SortFunc(gates, func(a, b *gate) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	p := &pass{}
	for i, g := range gates {
		var rej *Rejection
		if i > 0 && gates[i-1] == g { // another leg of the same provider: one more call
			rej = g.admit(ctx, until)
		} else {
			rej = g.enter(ctx, p, until)
		}
		if rej != nil {
			p.release()
			return nil, rej
		}
	}
	return p, nil
}

func (g *gate) enter(ctx context.Context, p *pass, until time.Time) *Rejection {
	trial, rej := g.allow(ctx, until)
	if rej != nil {
		return rej
	}
	if trial {
		p.trial = append(p.trial, g)
	}
	if rej := g.admit(ctx, until); rej != nil {
		return rej
	}
	timer := time.NewTimer(until.Sub(g.now()))
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		p.gates = append(p.gates, g)
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return reject(SubBulkhead, "", fmt.Sprintf("%d calls to %s are under way", cap(g.slots), g.name))
}

// allow asks the breaker. trial means that this caller's real call is the probe.
func (g *gate) allow(ctx context.Context, until time.Time) (trial bool, rej *Rejection) {
	for {
		if g.breaker.IsClosed() {
			return false, nil
		}
		wait, trial, ok := g.halfOpen(ctx)
		if ok {
			return trial, nil
		}
		if wait == nil {
			return false, reject(SubBreakerOpen, "", fmt.Sprintf("the breaker of %s is open", g.name))
		}
		timer := time.NewTimer(until.Sub(g.now()))
		select {
		case <-wait:
			timer.Stop()
			if !g.breaker.IsClosed() {
				return false, reject(SubBreakerOpen, "", fmt.Sprintf("the breaker of %s is open: the probe failed", g.name))
			}
		case <-timer.C:
			return false, reject(SubBreakerOpen, "", fmt.Sprintf("the breaker of %s is open: the probe is under way", g.name))
		}
	}
}

// halfOpen says what a caller does at a breaker that is not closed: wait for the
// probe (wait is not nil), be the probe (ok and trial), or turn back.
func (g *gate) halfOpen(ctx context.Context) (wait <-chan struct{}, trial, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.breaker.IsClosed():
		return nil, false, true
	case g.breaker.RemainingDelay() > 0, g.trial:
		return nil, false, false
	case g.probing != nil:
		return g.probing, false, false
	case g.ask == nil || g.lastLeg == nil || g.failed >= blindAfter:
		g.trial = true
		g.log.Warn("breaker is probed with one real call: the vendor cannot be asked", "provider", g.name, "failedProbes", g.failed)
		return nil, true, true
	}
	g.probing = make(chan struct{})
	go g.probe(context.WithoutCancel(ctx), *g.lastLeg, g.probing)
	return g.probing, false, false
}

func (g *gate) probe(ctx context.Context, leg Leg, done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	answered := lookUp(ctx, g.ask, leg).Verdict != Inconclusive
	g.mu.Lock()
	g.probing = nil
	if answered {
		g.failed = 0
	} else {
		g.failed++
	}
	g.mu.Unlock()
	g.conclude(answered)
}

// conclude ends a half-open phase. Opening anew starts the delay again.
func (g *gate) conclude(healthy bool) {
	if healthy {
		g.breaker.Close()
		return
	}
	g.breaker.HalfOpen()
	g.breaker.Open()
}

func (g *gate) endTrial() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trial = false
}

// admit takes a token of the call limit, waiting for it if that ends before until.
func (g *gate) admit(ctx context.Context, until time.Time) *Rejection {
	now := g.now()
	g.mu.Lock()
	pause := g.pausedUntil.Sub(now)
	g.mu.Unlock()
	r := g.limiter.ReserveN(now, 1)
	wait := max(r.DelayFrom(now), pause)
	if !r.OK() || now.Add(wait).After(until) {
		r.CancelAt(now)
		g.metrics.RateLimited(ctx, g.name)
		return reject(SubRateLimited, "", fmt.Sprintf("%s takes no more calls within the budget", g.name))
	}
	if !sleep(ctx, wait) {
		r.CancelAt(g.now())
		return reject(SubRateLimited, "", fmt.Sprintf("gave up waiting for %s's call limit", g.name))
	}
	return nil
}

// observe learns from an outcome. Business refusals say that the vendor is well;
// a vendor that asks for quiet is not ill.
func (g *gate) observe(leg Leg, o Outcome) {
	g.mu.Lock()
	g.lastLeg = &leg
	trial := g.trial
	if o.RetryAfter > 0 {
		if t := g.now().Add(o.RetryAfter); t.After(g.pausedUntil) {
			g.pausedUntil = t
		}
	}
	g.mu.Unlock()
	healthy := o.Kind == Executed || o.Kind == Refused
	switch {
	case o.RetryAfter > 0 && o.Kind == NotSent, o.Class == ClassNoTime:
	case trial && !g.breaker.IsClosed():
		g.conclude(healthy)
	case healthy:
		g.breaker.RecordSuccess()
	default:
		g.breaker.RecordFailure()
	}
}

// sleep waits and says whether it could to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

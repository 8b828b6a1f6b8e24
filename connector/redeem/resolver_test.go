// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

// plain hides what a vendor can do beside spending.
type plain struct{ redeem.Provider }

func TestResolution(t *testing.T) {
	found := func(v ...redeem.Verdict) func(redeem.Leg) redeem.Verdict {
		var mu sync.Mutex
		return func(redeem.Leg) redeem.Verdict {
			mu.Lock()
			defer mu.Unlock()
			if len(v) == 0 {
				return ""
			}
			now := v[0]
			v = v[1:]
			return now
		}
	}
	always := func(v redeem.Verdict) func(redeem.Leg) redeem.Verdict {
		return func(redeem.Leg) redeem.Verdict { return v }
	}
	m := redeem.Missing
	tests := map[string]struct {
		strategy redeem.Strategy
		provider func(*redeemtest.Vendor) redeem.Provider
		acts     []redeemtest.Act // the first is the deduction's
		finds    func(redeem.Leg) redeem.Verdict
		run      time.Duration
		state    redeem.State
		class    redeem.Class
		manual   bool
		times    int
	}{
		"a look-up finds it": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.DoesLost},
			run: 2 * time.Second, state: redeem.StateExecuted, times: 1,
		},
		"a look-up that finds nothing proves nothing before the settle window": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.LostBefore},
			run: 59 * time.Second, state: redeem.StateUnknown, class: "lost",
		},
		"what cannot be looked up waits for a person": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.DoesLost},
			provider: func(v *redeemtest.Vendor) redeem.Provider {
				v.NoLookUp = "alsc.spend"
				return redeemtest.Asked{Vendor: v}
			},
			run: 2 * time.Second, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"nor once after it": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.LostBefore},
			run: 65 * time.Second, state: redeem.StateUnknown, class: "lost",
		},
		"not found twice after the settle window is a refusal": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.LostBefore},
			run: 80 * time.Second, state: redeem.StateRefused, class: redeem.ClassNotFound,
		},
		"a vendor that books late is found, not refused": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{{Apply: true, Lose: true, Delay: 50 * time.Second}},
			run: 2 * time.Minute, state: redeem.StateExecuted, times: 1,
		},
		"a look-up that fails is no evidence": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.LostBefore},
			finds: func(redeem.Leg) redeem.Verdict { return redeem.Inconclusive },
			run:   2 * time.Hour, state: redeem.StateUnknown, class: "lost",
		},
		"something else under our key is a person's": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.DoesLost}, finds: found(redeem.Differs),
			run: time.Minute, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"a part that is shown as executed may become the whole": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.DoesLost}, finds: found(redeem.Partly, redeem.Partly),
			run: time.Minute, state: redeem.StateExecuted, times: 1,
		},
		"and is asked about until the settle window is over": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.DoesLost}, finds: always(redeem.Partly),
			run: 59 * time.Second, state: redeem.StateUnknown, class: "lost", times: 1,
		},
		"then it is a person's": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.DoesLost}, finds: always(redeem.Partly),
			run: 61 * time.Second, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"what the record cannot show is asked about until then, too": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.LostBefore}, finds: always(redeem.Unshown),
			run: 59 * time.Second, state: redeem.StateUnknown, class: "lost",
		},
		"and then a person's": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.LostBefore}, finds: always(redeem.Unshown),
			run: 61 * time.Second, state: redeem.StateUnknown, class: "lost", manual: true,
		},
		"a repeat that is refused although a part was executed is a person's": {
			strategy: redeem.ReplaySameBizID, acts: []redeemtest.Act{redeemtest.DoesLost, redeemtest.Refuses}, finds: always(redeem.Partly),
			run: 2 * time.Second, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"bills are searched the same way": {
			strategy: redeem.QueryBills, acts: []redeemtest.Act{redeemtest.DoesLost}, finds: found(m, m),
			run: time.Minute, state: redeem.StateExecuted, times: 1,
		},
		"a repeat under the same key gets the first answer": {
			strategy: redeem.ReplaySameRequestID, acts: []redeemtest.Act{redeemtest.DoesLost},
			run: 2 * time.Second, state: redeem.StateExecuted, times: 1,
		},
		"a repeat makes what was never made": {
			strategy: redeem.ReplaySameBizID, acts: []redeemtest.Act{redeemtest.LostBefore},
			run: 2 * time.Second, state: redeem.StateExecuted, times: 1,
		},
		"a repeat that is refused, and nothing is there": {
			strategy: redeem.ReplaySameRequestID, acts: []redeemtest.Act{redeemtest.LostBefore, redeemtest.Refuses},
			run: 2 * time.Second, state: redeem.StateRefused, class: "insufficient-balance",
		},
		"a repeat that is refused although the first was executed": {
			strategy: redeem.ReplaySameRequestID, acts: []redeemtest.Act{redeemtest.DoesLost, redeemtest.Refuses},
			run: 2 * time.Second, state: redeem.StateExecuted, times: 1,
		},
		"a repeat that is lost is repeated": {
			strategy: redeem.ReplaySameRequestID, acts: []redeemtest.Act{redeemtest.DoesLost, redeemtest.LostBefore, redeemtest.LostBefore},
			run: 20 * time.Second, state: redeem.StateExecuted, times: 1,
		},
		"a vendor that asks for quiet gets it": {
			strategy: redeem.ReplaySameRequestID,
			acts:     []redeemtest.Act{redeemtest.DoesLost, {Lose: true, RetryAfter: 40 * time.Second}},
			run:      30 * time.Second, state: redeem.StateUnknown, class: "lost", times: 1,
		},
		"by hand: nothing is sent and a person is asked": {
			strategy: redeem.Manual, acts: []redeemtest.Act{redeemtest.DoesLost},
			run: 2 * time.Hour, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"a vendor that cannot be asked is a person's": {
			strategy: redeem.QueryFlow, acts: []redeemtest.Act{redeemtest.DoesLost},
			provider: func(v *redeemtest.Vendor) redeem.Provider { return plain{v} },
			run:      time.Hour, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
		"a vendor whose calls may not be repeated is a person's": {
			strategy: redeem.ReplaySameBizID, acts: []redeemtest.Act{redeemtest.DoesLost},
			provider: func(v *redeemtest.Vendor) redeem.Provider { return redeemtest.Asked{Vendor: v} },
			run:      time.Hour, state: redeem.StateUnknown, class: "lost", manual: true, times: 1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.cfg.InDoubt = map[string]redeem.Strategy{"alsc": tt.strategy}
				w.alsc.Next, w.alsc.Finds = script(tt.acts...), tt.finds
				if tt.provider != nil {
					w.deps.Providers = map[string]redeem.Provider{"alsc": tt.provider(w.alsc), "zhimai": w.zhimai}
				}
				e := w.engine()
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
				w.resolveFor(e, tt.run)
				leg := w.get(key("b1")).Legs[0]
				type seen struct {
					State  redeem.State
					Class  redeem.Class
					Manual bool
					Times  int
				}
				got := seen{leg.State, leg.Outcome.Class, leg.State == redeem.StateUnknown && leg.NextCheck.IsZero(), w.alsc.Entry(leg.Key).Times}
				if d := cmp.Diff(seen{tt.state, tt.class, tt.manual, tt.times}, got); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if answered := w.get(key("b1")).Answer != nil; answered != tt.state.Final() {
					t.Errorf("answered: %v", answered)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// crashed is a ledger whose process died: nothing that it is told is kept.
type crashed struct {
	*redeemtest.Ledger
	mu   sync.Mutex
	dead bool
}

var errDead = errors.New("this process is dead")

func (c *crashed) isDead() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.dead }

func (c *crashed) kill() { c.mu.Lock(); defer c.mu.Unlock(); c.dead = true }

func (c *crashed) Record(ctx context.Context, r redeem.Redemption) (redeem.Redemption, bool, error) {
	if c.isDead() {
		return redeem.Redemption{}, false, errDead
	}
	return c.Ledger.Record(ctx, r)
}

func (c *crashed) Apply(ctx context.Context, ch redeem.Change) (redeem.Redemption, error) {
	if c.isDead() {
		return redeem.Redemption{}, errDead
	}
	return c.Ledger.Apply(ctx, ch)
}

func (c *crashed) Get(ctx context.Context, k redeem.Key) (redeem.Redemption, error) {
	if c.isDead() {
		return redeem.Redemption{}, errDead
	}
	return c.Ledger.Get(ctx, k)
}

func (c *crashed) Lease(ctx context.Context, brandID, owner string, now, until time.Time, n int) ([]redeem.Leased, error) {
	if c.isDead() {
		return nil, errDead
	}
	return c.Ledger.Lease(ctx, brandID, owner, now, until, n)
}

func TestAnotherProcessTakesOverWhatACrashedOneSent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		dying := &crashed{Ledger: w.ledger}
		alive := w.engine()
		w.deps.Ledger = dying
		first := w.engine()
		w.alsc.Next = script(redeemtest.Act{Apply: true, Linger: time.Second})
		go first.Verify(t.Context(), request("b1", pay("balance", 1000)))
		time.Sleep(500 * time.Millisecond)
		dying.kill()
		w.resolveFor(alive, 15*time.Second)
		if d := cmp.Diff([]redeem.State{redeem.StateSent}, w.states(key("b1"))); d != "" {
			t.Fatalf("taken over before the lease was over: %s", d)
		}
		w.resolveFor(alive, 10*time.Second)
		wantEnding(t, alive.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		if n := w.alsc.Entry(upstream("b1", 0)).Times; n != 1 {
			t.Errorf("deducted %d times", n)
		}
		time.Sleep(time.Hour)
	})
}

func TestAResolverThatDiesWithALeaseLeavesTheLegToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		dying := &crashed{Ledger: w.ledger}
		alive := w.engine()
		w.deps.Ledger = dying
		first := w.engine()
		w.alsc.Next = script(redeemtest.Act{Apply: true, Linger: time.Second})
		go first.Verify(t.Context(), request("b1", pay("balance", 1000)))
		time.Sleep(500 * time.Millisecond)
		dying.kill()
		time.Sleep(30 * time.Second)
		now := time.Now()
		if got, err := w.ledger.Lease(t.Context(), brand, "a resolver that dies", now, now.Add(30*time.Second), 5); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		w.resolveFor(alive, time.Minute)
		if d := cmp.Diff([]redeem.State{redeem.StateExecuted}, w.states(key("b1"))); d != "" {
			t.Error(d)
		}
	})
}

// stepping is a clock that can be set ahead, as a process that slept finds it.
type stepping struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (s *stepping) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

func (s *stepping) step(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.ahead += d }

// sleepy steps the clock between the record and the first byte.
type sleepy struct {
	redeemtest.Repeating
	clock *stepping
	by    time.Duration
}

// Send first lets the till's reply be waited for: a clock that steps before that is
// another story, in which the till was told "in doubt" for its time was over.
func (s sleepy) Send(ctx context.Context, x redeem.Sending) redeem.Outcome {
	time.Sleep(time.Millisecond)
	s.clock.step(s.by)
	return s.Repeating.Send(ctx, x)
}

func TestAProcessThatSleptPastItsLeaseSendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		clock := &stepping{}
		w.deps.Now = clock.now
		w.deps.Providers = map[string]redeem.Provider{"zhimai": w.zhimai,
			"alsc": sleepy{redeemtest.Repeating{Asked: redeemtest.Asked{Vendor: w.alsc}}, clock, time.Minute}}
		e := w.engine()
		got := e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		if n := len(w.alsc.Calls()); n != 0 {
			t.Errorf("%d calls were made", n)
		}
		wantEnding(t, got, redeem.Rejected, redeem.SubUnreachable)
	})
}

func TestLateEvidence(t *testing.T) {
	tests := map[string]struct {
		act           redeemtest.Act
		decide        redeem.Kind
		state         redeem.State
		contradiction bool
	}{
		"a success after a person said executed": {redeemtest.Act{Apply: true, Linger: 10 * time.Second}, redeem.Executed, redeem.StateExecuted, false},
		"a success after a person said refused":  {redeemtest.Act{Apply: true, Linger: 10 * time.Second}, redeem.Refused, redeem.StateRefused, true},
		"a refusal after a person said executed": {redeemtest.Act{Refuse: true, Linger: 10 * time.Second}, redeem.Executed, redeem.StateExecuted, true},
		"a success of a leg that is in doubt":    {redeemtest.Act{Apply: true, Linger: 10 * time.Second}, "", redeem.StateExecuted, false},
		"a refusal of a leg that is in doubt":    {redeemtest.Act{Refuse: true, Linger: 10 * time.Second}, "", redeem.StateRefused, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				// The other replica's clock is ahead: it takes the leg for abandoned while
				// the call is still under way.
				clock := &stepping{}
				clock.step(time.Minute)
				w.cfg.InDoubt["alsc"] = redeem.Manual
				e := w.engine()
				w.deps.Now = clock.now
				hasty := w.engine()
				w.alsc.Next = always(tt.act)
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
				if _, err := hasty.ResolveDue(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff([]redeem.State{redeem.StateUnknown}, w.states(key("b1"))); d != "" {
					t.Fatal(d)
				}
				if tt.decide != "" {
					if _, err := hasty.Resolve(t.Context(), redeem.Decision{Key: key("b1"), Verdict: tt.decide, Who: "li", Reason: "seen in the back office", Force: true}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Second)
				r := w.get(key("b1"))
				if r.Legs[0].State != tt.state || r.Contradiction != tt.contradiction {
					t.Errorf("state %s, contradiction %v; want %s, %v", r.Legs[0].State, r.Contradiction, tt.state, tt.contradiction)
				}
			})
		})
	}
}

func TestOneFencedLegDoesNotSpoilTheOthersOfItsBatch(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.PerLine = true
		w.cfg.Routes[1].Provider = "alsc"
		w.alsc.Next = script(redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached)
		e := w.engine()
		stolen := false
		w.ledger.FailWith(func(op string) redeemtest.Failure {
			if op == "apply" && !stolen { // somebody takes the first leg right before the settle
				stolen = true
				return redeemtest.Failure{Before: redeem.ErrFenced}
			}
			return redeemtest.Failure{}
		})
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1), pay("card", 1))), redeem.Rejected, redeem.SubUnreachable)
		if d := cmp.Diff([]redeem.State{redeem.StateNotSent, redeem.StateNotSent}, w.states(key("b1"))); d != "" {
			t.Error(d)
		}
	})
}

func TestALateRefusalWaitsForWhoeverMayBeRepeatingTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		clock := &stepping{}
		clock.step(time.Minute)
		e := w.engine()
		w.deps.Now = clock.now
		hasty := w.engine()
		w.alsc.Next = always(redeemtest.Act{Refuse: true, Linger: 6 * time.Second})
		w.alsc.Finds = func(redeem.Leg) redeem.Verdict {
			time.Sleep(5 * time.Second)
			return redeem.Inconclusive
		}
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
		go func() { _, _ = hasty.ResolveDue(context.Background()) }()
		time.Sleep(3 * time.Second) // the refusal is there, the other still holds the leg
		if d := cmp.Diff([]redeem.State{redeem.StateUnknown}, w.states(key("b1"))); d != "" {
			t.Errorf("while held (-want +got):\n%s", d)
		}
		time.Sleep(20 * time.Second)
		if d := cmp.Diff([]redeem.State{redeem.StateRefused}, w.states(key("b1"))); d != "" {
			t.Errorf("after (-want +got):\n%s", d)
		}
	})
}

func TestDecisions(t *testing.T) {
	tests := map[string]struct {
		decision redeem.Decision
		err      bool
		sub      string
	}{
		"executed":           {redeem.Decision{Key: key("b1"), Verdict: redeem.Executed, Who: "li", Reason: "bill 77"}, false, redeem.SubOK},
		"refused":            {redeem.Decision{Key: key("b1"), Verdict: redeem.Refused, Who: "li", Reason: "no bill"}, false, redeem.SubRefused},
		"nobody":             {redeem.Decision{Key: key("b1"), Verdict: redeem.Refused, Who: " ", Reason: "no bill"}, true, ""},
		"no reason":          {redeem.Decision{Key: key("b1"), Verdict: redeem.Refused, Who: "li"}, true, ""},
		"neither":            {redeem.Decision{Key: key("b1"), Verdict: redeem.Unknown, Who: "li", Reason: "?"}, true, ""},
		"no such leg":        {redeem.Decision{Key: key("b1"), Leg: 3, Verdict: redeem.Refused, Who: "li", Reason: "?"}, true, ""},
		"no such redemption": {redeem.Decision{Key: key("b9"), Verdict: redeem.Refused, Who: "li", Reason: "?"}, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.engine()
				w.zhimai.Next = always(redeemtest.DoesLost)
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("card", 1000))), redeem.InDoubt, "")
				time.Sleep(10 * time.Minute) // earlier, it may not be called refused
				_, err := e.Resolve(t.Context(), tt.decision)
				if (err != nil) != tt.err {
					t.Fatalf("error %v", err)
				}
				got := e.Verify(t.Context(), request("b1", pay("card", 1000)))
				if tt.err {
					wantEnding(t, got, redeem.InDoubt, "")
					return
				}
				wantEnding(t, got, redeem.Concluded, tt.sub)
				if _, err := e.Resolve(t.Context(), tt.decision); !errors.Is(err, redeem.ErrDecision) {
					t.Errorf("decided twice: %v", err)
				}
				events, _ := w.ledger.Events(t.Context(), key("b1"))
				decided := false
				for _, ev := range events {
					decided = decided || ev.Kind == "decision" && ev.Actor == "li" && bytes.Contains(ev.Detail, []byte(tt.decision.Reason))
				}
				if !decided {
					t.Errorf("the decision is not in the log: %+v", events)
				}
			})
		})
	}
}

func TestRefusedIsNotSaidBeforeAVendorCanHaveBookedLate(t *testing.T) {
	tests := map[string]struct {
		strategy redeem.Strategy
		verdict  redeem.Kind
		checked  time.Duration // by the resolver until then
		after    time.Duration
		force    bool
		early    bool
	}{
		"refused seconds after the sending":            {redeem.Manual, redeem.Refused, 0, 21 * time.Second, false, true},
		"refused right before the window is over":      {redeem.Manual, redeem.Refused, 0, 10*time.Minute - 20*time.Second, false, true},
		"refused when the window is over":              {redeem.Manual, redeem.Refused, 0, 10 * time.Minute, false, false},
		"refused by force":                             {redeem.Manual, redeem.Refused, 0, 21 * time.Second, true, false},
		"executed at any time":                         {redeem.Manual, redeem.Executed, 0, 21 * time.Second, false, false},
		"refused, though the call was repeated since":  {redeem.ReplaySameBizID, redeem.Refused, 8 * time.Minute, 3 * time.Minute, false, true},
		"refused, and only look-ups were made since":   {redeem.QueryFlow, redeem.Refused, 8 * time.Minute, 3 * time.Minute, false, false},
		"refused, long after the call's last repeat":   {redeem.ReplaySameBizID, redeem.Refused, time.Minute, 10 * time.Minute, false, false},
		"refused by force, in spite of a young repeat": {redeem.ReplaySameBizID, redeem.Refused, 8 * time.Minute, 3 * time.Minute, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.cfg.InDoubt["alsc"] = tt.strategy
				w.alsc.Next = always(redeemtest.LostBefore)
				w.alsc.Finds = func(redeem.Leg) redeem.Verdict { return redeem.Inconclusive }
				e := w.engine()
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
				for end := time.Now().Add(tt.checked); time.Now().Before(end); time.Sleep(10 * time.Second) {
					if _, err := e.ResolveDue(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tt.after)
				seen := w.get(key("b1"))
				d := redeem.Decision{Key: key("b1"), Verdict: tt.verdict, Who: "li", Reason: "no bill", Force: tt.force}
				if _, err := e.DecideOn(t.Context(), seen, d, nil); errors.Is(err, redeem.ErrTooEarly) != tt.early || (err != nil) != tt.early {
					t.Errorf("decided: %v", err)
				}
			})
		})
	}
}

func TestWhatNeverLeftMayBeRefusedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.zhimai.Next = always(redeemtest.Unreached)
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("card", 1000)))
		if _, err := e.Resolve(t.Context(), redeem.Decision{Key: key("b1"), Verdict: redeem.Refused, Who: "li", Reason: "the guest left"}); err != nil {
			t.Error(err)
		}
	})
}

func TestALegUnderWayCannotBeDecided(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.zhimai.Next = always(redeemtest.Act{Apply: true, Linger: 10 * time.Second})
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("card", 1000)))
		_, err := e.Resolve(t.Context(), redeem.Decision{Key: key("b1"), Verdict: redeem.Refused, Who: "li", Reason: "?"})
		if !errors.Is(err, redeem.ErrDecision) {
			t.Errorf("decided: %v", err)
		}
		time.Sleep(time.Minute)
	})
}

func TestNudge(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		w.zhimai.Next = always(redeemtest.DoesLost)
		e.Verify(t.Context(), request("b1", pay("card", 1000)))
		w.deps.Providers["zhimai"] = redeemtest.Asked{Vendor: w.zhimai}
		w.cfg.InDoubt["zhimai"] = redeem.QueryBills
		changed := w.engine()
		w.resolveFor(changed, time.Hour)
		if d := cmp.Diff([]redeem.State{redeem.StateUnknown}, w.states(key("b1"))); d != "" {
			t.Fatalf("a person's leg was taken by the machine: %s", d)
		}
		if _, err := changed.Nudge(t.Context(), key("b1"), true); err != nil {
			t.Fatal(err)
		}
		w.resolveFor(changed, 2*time.Second)
		if d := cmp.Diff([]redeem.State{redeem.StateExecuted}, w.states(key("b1"))); d != "" {
			t.Error(d)
		}
	})
}

func TestARepeatAsksForACheckWhenNoneIsNear(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		blind := true
		w.alsc.Next = always(redeemtest.DoesLost)
		w.alsc.Finds = func(redeem.Leg) redeem.Verdict {
			if blind {
				return redeem.Inconclusive
			}
			return ""
		}
		e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		w.resolveFor(e, 90*time.Minute)
		blind = false
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = e.Run(ctx) }()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		stop()
	})
}

func TestFind(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		ask := redeem.Lookup{BrandID: brand, TransOrderNo: "T1", PaymentNo: "P1", Action: redeem.Verify}
		if _, err := e.Find(t.Context(), ask); !errors.Is(err, redeem.ErrNotFound) {
			t.Errorf("found something in an empty ledger: %v", err)
		}
		w.alsc.Next = script(redeemtest.Refuses, redeemtest.Does, redeemtest.DoesLost, redeemtest.Refuses)
		wants := []string{"b1", "b2", "b3", "b3"} // refused, executed, in doubt, refused
		for i, want := range wants {
			r := request("b"+string(rune('1'+i)), pay("balance", 100))
			r.TransOrderNo, r.PaymentNo = "T1", "P1"
			e.Verify(t.Context(), r)
			time.Sleep(time.Second)
			got, err := e.Find(t.Context(), ask)
			if err != nil || got.BizID != want {
				t.Errorf("after %s: found %q, %v; want %q", r.BizID, got.BizID, err, want)
			}
		}
		for _, wrong := range []redeem.Lookup{{BrandID: "2", TransOrderNo: "T1"}, {BrandID: brand}, {BrandID: brand, TransOrderNo: "T1", Action: redeem.ReverseVerify}} {
			if _, err := e.Find(t.Context(), wrong); !errors.Is(err, redeem.ErrNotFound) {
				t.Errorf("%+v: %v", wrong, err)
			}
		}
	})
}

func TestTheSweepAnswersWhatWasLeftSettled(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		w.zhimai.Next = always(redeemtest.Refuses)
		e := w.engine()
		records := 0
		w.ledger.FailWith(func(op string) redeemtest.Failure {
			if op == "record" {
				if records++; records == 2 { // the undoing's
					return redeemtest.Failure{Before: errDown}
				}
			}
			return redeemtest.Failure{}
		})
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 5))), redeem.InDoubt, "")
		found, err := w.engine().Search(t.Context(), redeem.Query{BrandID: "2"}, 5)
		if err != nil || len(found) != 0 {
			t.Errorf("another brand's: %v, %v", found, err)
		}
		w.resolveFor(e, 2*time.Minute)
		if r := w.get(key("b1")); r.Answer == nil || redeem.SubCodeOf(r) != redeem.SubReversed {
			t.Errorf("not answered: %+v", r.Lines)
		}
	})
}

func TestWhoAsksDoesNotWaitForASlowUndoing(t *testing.T) {
	asks := map[string]func(e *redeem.Engine){
		"a repeat": func(e *redeem.Engine) {
			e.Verify(context.Background(), request("b1", pay("balance", 1000), pay("card", 5)))
		},
		"a reversal":     func(e *redeem.Engine) { e.Reverse(context.Background(), undo("r1", "b1", pay("balance", 1000))) },
		"a result query": func(e *redeem.Engine) { _, _ = e.Search(context.Background(), redeem.Query{BrandID: brand}, 5) },
		"the other query": func(e *redeem.Engine) {
			_, _ = e.Find(context.Background(), redeem.Lookup{BrandID: brand, PaymentNo: "Pb1"})
		},
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.cfg.PartialFailure = redeem.ReversePartial
				w.zhimai.Next = always(redeemtest.Refuses)
				w.alsc.Next = script(redeemtest.Does, redeemtest.Act{Apply: true, Linger: 12 * time.Second})
				e, records := w.engine(), 0
				w.ledger.FailWith(func(op string) redeemtest.Failure {
					if op == "record" {
						if records++; records == 2 { // the undoing's
							return redeemtest.Failure{Before: errDown}
						}
					}
					return redeemtest.Failure{}
				})
				e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 5)))
				start := time.Now()
				ask(e)
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("waited %s", took)
				}
				time.Sleep(20 * time.Second)
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 5))), redeem.Concluded, redeem.SubReversed)
			})
		})
	}
}

func TestALineIsNotToldWhileItIsBeingGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		w.zhimai.Next = always(redeemtest.Refuses)
		w.alsc.Next = script(redeemtest.Does, redeemtest.DoesLost)
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 5))), redeem.InDoubt, "")
		for _, want := range []redeem.Kind{"", redeem.Refused} {
			found, err := e.Search(t.Context(), redeem.Query{BrandID: brand, TransOrderNo: "Tb1", Action: redeem.Verify}, 5)
			if err != nil || len(found) != 1 {
				t.Fatal(found, err)
			}
			for _, l := range found[0].Lines {
				if l.Result.Kind != want {
					t.Errorf("line %d is told %q, want %q", l.No, l.Result.Kind, want)
				}
			}
			w.resolveFor(e, 10*time.Second)
			if w.get(key("b1")).Answer == nil {
				t.Error("the undoing is known, and its sale is not answered")
			}
		}
	})
}

func TestTheUndoingOfACrashedProcessIsFinished(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		dying := &crashed{Ledger: w.ledger}
		alive := w.engine()
		w.deps.Ledger = dying
		first := w.engine()
		w.zhimai.Next = func(string, redeem.Leg) redeemtest.Act { return redeemtest.Refuses }
		w.alsc.Next = func(purpose string, _ redeem.Leg) redeemtest.Act {
			if purpose == "reverse" {
				dying.kill() // the undoing is made, and nobody writes it down
			}
			return redeemtest.Does
		}
		wantEnding(t, first.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 5))), redeem.InDoubt, "")
		if w.get(key("b1")).Answer != nil {
			t.Fatal("answered by a dead process")
		}
		w.resolveFor(alive, 2*time.Minute)
		r := w.get(key("b1"))
		if r.Answer == nil || redeem.SubCodeOf(r) != redeem.SubReversed || len(w.alsc.Reversals(upstream("b1", 0))) != 1 {
			t.Errorf("after the sweep: answer %s", r.Answer)
		}
		time.Sleep(time.Hour)
	})
}

func TestSpansAndLogs(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		spans := tracetest.NewSpanRecorder()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		var log bytes.Buffer
		w.deps.TracerProvider = tp
		w.deps.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.alsc.Next = script(redeemtest.DoesLost)
		e := w.engine()
		ctx, root := tp.Tracer("test").Start(t.Context(), "POST")
		req := request("b1", pay("balance", 1000))
		req.TraceID, req.OperatorName = root.SpanContext().TraceID().String(), "王五"
		e.Verify(ctx, req)
		root.End()
		w.resolveFor(e, 10*time.Second)
		names := map[string]int{}
		for _, s := range spans.Ended() {
			names[s.Name()]++
			if s.Name() == "redeem.resolve" {
				if len(s.Links()) != 1 || s.Links()[0].SpanContext.TraceID() != root.SpanContext().TraceID() || s.Parent().IsValid() {
					t.Errorf("the resolver's span is not a root with a link to the redemption: %+v", s.Links())
				}
			} else if s.Name() != "POST" && s.Parent().SpanID() != root.SpanContext().SpanID() {
				t.Errorf("%s is not a child of the call's span", s.Name())
			}
		}
		if d := cmp.Diff(map[string]int{"POST": 1, "redeem.plan": 1, "ledger.record": 1, "ledger.settle": 1, "redeem.resolve": 1}, names); d != "" {
			t.Errorf("spans (-want +got):\n%s", d)
		}
		for _, secret := range []string{req.Mobile, req.PaymentToken, req.OperatorName, "张三"} {
			if bytes.Contains(log.Bytes(), []byte(secret)) {
				t.Errorf("the log tells %q", secret)
			}
		}
		for _, word := range []string{`"brand":"11342"`, `"bizId":"b1"`, `"leg":0`, `"kind":"unknown"`} {
			if !bytes.Contains(log.Bytes(), []byte(word)) {
				t.Errorf("the log lacks %s:\n%s", word, log.String())
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package alsc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
)

// bench is a client against the vendor's stand-in, which was written from the
// vendor's documents alone.
type bench struct {
	*alsc.Client
	srv *sandbox.Server
}

func newBench(t *testing.T, change func(*sandbox.Config), cfg alsc.Config) bench {
	t.Helper()
	sc := sandbox.DemoConfig()
	if change != nil {
		change(&sc)
	}
	srv := sandboxtest.Start(t, sc)
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	cfg.Endpoint = srv.ALSCURL
	a := sc.ALSC.Apps[0]
	cfg.Credentials = alsc.Credentials{AppKey: a.AppKey, AppSecret: a.AppSecret, Session: a.Session}
	c, err := alsc.New(cfg, alsc.Deps{HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	return bench{c, srv}
}

func own(cfg alsc.Config) alsc.Config {
	cfg.BrandID, cfg.Shops = "3742863742", map[string]alsc.Shop{"8066287": {ID: "73527452"}}
	return cfg
}

func (b bench) leg(t *testing.T, n int, lines ...redeem.Line) redeem.Leg {
	t.Helper()
	plans, err := b.Plan(redeem.Request{
		Action: redeem.Verify, BrandID: "11342", MemberID: "1001", ShopID: "8066287", OperatorID: "1543", ReceivedAt: time.Now(),
	}, lines)
	if err != nil {
		t.Fatal(err)
	}
	return made(plans[0], n)
}

func made(p redeem.LegPlan, n int) redeem.Leg {
	return redeem.Leg{
		Operation: p.Operation, Key: fmt.Sprintf("HXTEST%d", n), Lines: p.Lines, Call: p.Call, MemberRef: p.MemberRef,
		Amount: p.Amount, Points: p.Points, Coupons: p.Coupons, SentAt: time.Now(),
	}
}

func (b bench) spent(t *testing.T, legKey string) (times int, entry books.Entry) {
	t.Helper()
	for _, e := range b.srv.Sandbox.Books().ByKey(books.ALSC, legKey) {
		times, entry = times+1, e
	}
	return times, entry
}

func stored(fen redeem.Fen) redeem.Line {
	return redeem.Line{Asset: redeem.StoredValue, AssetID: "7328763784623", Amount: fen}
}

func TestTheSandboxBooksWhatWasAsked(t *testing.T) {
	for _, method := range []alsc.SignMethod{alsc.MD5, alsc.HMAC, alsc.HMACSHA256} {
		for _, simplify := range []bool{false, true} {
			for _, account := range []alsc.Account{alsc.ByCustomer, alsc.ByCard, alsc.ByBoth} {
				t.Run(fmt.Sprint(method, " simplified ", simplify, " by ", account), func(t *testing.T) {
					b := newBench(t, nil, alsc.Config{SignMethod: method, Simplify: simplify, Account: account})
					leg := b.leg(t, 1, stored(35000))
					o := b.Send(t.Context(), redeem.Sending{Leg: leg})
					n, e := b.spent(t, leg.Key)
					if o.Kind != redeem.Executed || o.Class != "executed" || n != 1 || o.FlowID != e.FlowID || e.AmountFen != 35000 || e.Member != "1001" {
						t.Fatalf("got %+v, booked %d times as %+v", o, n, e)
					}
					got, want := [3]redeem.Fen{o.Total, o.Real, o.Gift}, [3]redeem.Fen{35000, redeem.Fen(e.Split.Real + e.Split.Pre), redeem.Fen(e.Split.Gift)}
					if got != want || o.Gift == 0 || e.Split.Pre == 0 {
						t.Errorf("got %v, booked %v", got, e.Split)
					}
					if u := b.srv.Sandbox.Calls(sandbox.CallFilter{})[0].Unknown; len(u) != 0 {
						t.Errorf("sent fields that the vendor does not know: %v", u)
					}
				})
			}
		}
	}
}

func TestTheSandboxRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*sandbox.Config)
		fen    redeem.Fen
		class  redeem.Class
	}{
		"more than is there": {fen: 99_999_999, class: "refused"},
		"a wrong secret":     {change: func(c *sandbox.Config) { c.ALSC.Apps = []sandbox.TOPApp{{AppKey: "12345678", AppSecret: "x"}} }, fen: 1, class: "configuration"},
		"a missing session": {change: func(c *sandbox.Config) {
			c.ALSC.Apps = []sandbox.TOPApp{{AppKey: "12345678", AppSecret: "demo-app-secret", Session: "s"}}
		}, fen: 1, class: "configuration"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			srv := sandbox.DemoConfig()
			if tc.change != nil {
				tc.change(&srv)
			}
			live := sandboxtest.Start(t, srv)
			http := oneshot.New(oneshot.Config{})
			defer http.Close()
			c, err := alsc.New(alsc.Config{Endpoint: live.ALSCURL, Credentials: alsc.Credentials{AppKey: "12345678", AppSecret: "demo-app-secret"}}, alsc.Deps{HTTP: http})
			if err != nil {
				t.Fatal(err)
			}
			b := bench{c, live}
			leg := b.leg(t, 1, stored(tc.fen))
			o := b.Send(t.Context(), redeem.Sending{Leg: leg})
			if n, _ := b.spent(t, leg.Key); o.Kind != redeem.Refused || o.Class != tc.class || n != 0 {
				t.Errorf("got %+v, booked %d times", o, n)
			}
		})
	}
}

// Whatever befalls the call: it is delivered at most once, "executed" and "refused" are
// true, and so is "not sent".
func TestNoFaultMakesTheClientLieOrRepeat(t *testing.T) {
	for _, kind := range fault.Kinds {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " applied ", apply), func(t *testing.T) {
				rule := fault.Rule{Vendor: "alsc", Method: alsc.Dedut, Kind: kind, Nth: 2, Apply: &apply}
				if rule.Validate() != nil {
					rule.Apply = nil
				}
				switch kind {
				case fault.Truncate, fault.Clip:
					rule.Bytes = 60
				case fault.Slow:
					rule.DelayAfter = fault.Duration(20 * time.Millisecond)
				case fault.NotFound:
					rule.Seconds = 60
				}
				b := newBench(t, func(c *sandbox.Config) { c.Faults = []fault.Rule{rule} }, alsc.Config{})
				for n := 1; n <= 3; n++ { // the fault meets a connection that is used again
					leg := b.leg(t, n, stored(1000))
					ctx, giveUp := oneshottest.Deadline(t.Context())
					if kind == fault.ApplyThenHang && n == 2 {
						go func() { sandboxtest.AwaitFault(t, b.srv); giveUp() }()
					}
					o := b.Send(ctx, redeem.Sending{Leg: leg})
					booked, _ := b.spent(t, leg.Key)
					if booked > 1 {
						t.Fatalf("call %d was booked %d times", n, booked)
					}
					if o.Kind == redeem.Executed && booked != 1 || (o.Kind == redeem.Refused || o.Kind == redeem.NotSent) && booked != 0 {
						t.Errorf("call %d: got %s (%s), booked %d times", n, o.Kind, o.Class, booked)
					}
					if n != 2 && o.Kind != redeem.Executed && kind != fault.RateLimit {
						t.Errorf("call %d: got %s (%s) without a fault", n, o.Kind, o.Class)
					}
					if kind == fault.RateLimit && n == 2 && (o.Kind != redeem.NotSent || o.RetryAfter == 0) {
						t.Errorf("limited: got %+v", o)
					}
				}
				for _, d := range b.srv.Sandbox.Deliveries(false) {
					if d.Deliveries != 1 {
						t.Errorf("%s was delivered %d times", d.Key, d.Deliveries)
					}
				}
			})
		}
	}
}

func TestALostAnswerBecomesKnown(t *testing.T) {
	b := newBench(t, func(c *sandbox.Config) {
		c.ALSC.FlowNotFound = "empty"
		c.Faults = []fault.Rule{{Vendor: "alsc", Method: alsc.Dedut, Nth: 1, Kind: fault.ApplyThenReset}}
	}, alsc.Config{})
	lost := b.leg(t, 1, stored(25000))
	if o := b.Send(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Unknown {
		t.Fatalf("got %+v", o)
	}
	if f := b.LookUp(t.Context(), lost); f.Verdict != redeem.Found || f.Outcome.Total != 25000 || f.Outcome.Gift == 0 || f.Outcome.FlowID == "" {
		t.Errorf("asked: got %+v", f)
	}
	if o := b.Repeat(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Executed || o.Total != 25000 {
		t.Errorf("repeated: got %+v", o)
	}
	if n, _ := b.spent(t, lost.Key); n != 1 {
		t.Errorf("booked %d times", n)
	}
	if f := b.LookUp(t.Context(), b.leg(t, 2, stored(25000))); f.Verdict != redeem.Missing {
		t.Errorf("what was never sent: got %+v", f)
	}
}

func TestTheSandboxGivesBackStoredValueInParts(t *testing.T) {
	b := newBench(t, nil, alsc.Config{})
	leg := b.leg(t, 1, stored(1000))
	leg.Outcome = b.Send(t.Context(), redeem.Sending{Leg: leg})
	for n, fen := range []redeem.Fen{300, 700, 1} {
		plan, err := b.PlanReversal(redeem.Request{}, leg, []redeem.Line{stored(fen)})
		if err != nil {
			t.Fatal(err)
		}
		back := made(plan, n+2)
		o := b.Reverse(t.Context(), redeem.Sending{Leg: back, Action: redeem.ReverseVerify})
		if n == 2 {
			if o.Kind != redeem.Refused {
				t.Errorf("more than was taken: got %+v", o)
			}
			continue
		}
		if o.Kind != redeem.Executed || o.Class != "executed" || o.Total != fen {
			t.Errorf("got %+v", o)
		}
		if f := b.LookUp(t.Context(), back); f.Verdict != redeem.Found {
			t.Errorf("the reversal is not found: %+v", f)
		}
	}
	_, spend := b.spent(t, leg.Key)
	if left := b.srv.Sandbox.Books().Left(spend.Seq); !left.Empty() {
		t.Errorf("left %+v", left)
	}
}

func TestTheSandboxTakesAndGivesBackPointsAndCoupons(t *testing.T) {
	for _, scope := range []string{"all", "listed"} {
		t.Run(scope, func(t *testing.T) {
			b := newBench(t, func(c *sandbox.Config) { c.ALSC.RefundScope = scope }, own(alsc.Config{}))
			taken := redeem.Line{No: 1, Asset: redeem.Coupon, AssetID: "490962138708451328", Count: 1}
			basket := []redeem.Line{{Asset: redeem.Points, Count: 50}, taken, {No: 2, Asset: redeem.Coupon, AssetID: "nobody's", Count: 1}}
			leg := b.leg(t, 1, basket...)
			leg.Outcome = b.Send(t.Context(), redeem.Sending{Leg: leg})
			var kinds []redeem.Kind
			for _, l := range leg.Outcome.Lines {
				kinds = append(kinds, l.Kind)
			}
			if diff := cmp.Diff([]redeem.Kind{redeem.Executed, redeem.Executed, redeem.Refused}, kinds); diff != "" || leg.Outcome.Kind != redeem.Executed {
				t.Fatalf("got %+v, lines (-want +got):\n%s", leg.Outcome, diff)
			}
			_, spend := b.spent(t, leg.Key)
			if spend.Points != 50 || !cmp.Equal(spend.Coupons, []string{taken.AssetID}) {
				t.Errorf("booked %+v", spend)
			}
			plan, err := b.PlanReversal(redeem.Request{}, leg, basket[:2])
			if err != nil {
				t.Fatal(err)
			}
			o := b.Reverse(t.Context(), redeem.Sending{Leg: made(plan, 2), Action: redeem.ReverseVerify})
			if left := b.srv.Sandbox.Books().Left(spend.Seq); o.Kind != redeem.Executed || !left.Empty() {
				t.Errorf("got %+v, left %+v", o, left)
			}
		})
	}
}

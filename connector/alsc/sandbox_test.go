// SPDX-License-Identifier: Apache-2.0

package alsc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
)

type bench = providertest.Bench[*alsc.Client]

func newBench(t *testing.T, change func(*sandbox.Config), cfg alsc.Config) bench {
	t.Helper()
	sc := sandbox.DemoConfig()
	a := sc.ALSC.Apps[0] // what the client has, whatever the change makes the vendor want
	cfg.Credentials = alsc.Credentials{AppKey: a.AppKey, AppSecret: a.AppSecret, Session: a.Session}
	if change != nil {
		change(&sc)
	}
	srv := sandboxtest.Start(t, sc)
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	cfg.Endpoint = srv.ALSCURL
	c, err := alsc.New(cfg, alsc.Deps{HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	return bench{
		Client: c, Server: srv, Vendor: books.ALSC,
		Request: redeem.Request{
			Action: redeem.Verify, BrandID: "11342", MemberID: "1001", ShopID: "8066287", OperatorID: "1543", ReceivedAt: time.Now(),
		},
	}
}

func own(cfg alsc.Config) alsc.Config {
	cfg.BrandID, cfg.Shops = "3742863742", map[string]alsc.Shop{"8066287": {ID: "73527452"}}
	return cfg
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
					leg := b.Leg(t, 1, stored(35000))
					o := b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
					n, e := b.Spent(leg.Key)
					if o.Kind != redeem.Executed || o.Class != "executed" || n != 1 || o.FlowID != e.FlowID || e.AmountFen != 35000 || e.Member != "1001" {
						t.Fatalf("got %+v, booked %d times as %+v", o, n, e)
					}
					got, want := [3]redeem.Fen{o.Total, o.Real, o.Gift}, [3]redeem.Fen{35000, redeem.Fen(e.Split.Real + e.Split.Pre), redeem.Fen(e.Split.Gift)}
					if got != want || o.Gift == 0 || e.Split.Pre == 0 {
						t.Errorf("got %v, booked %v", got, e.Split)
					}
					if u := b.Server.Sandbox.Calls(sandbox.CallFilter{})[0].Unknown; len(u) != 0 {
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
			b := newBench(t, tc.change, alsc.Config{})
			leg := b.Leg(t, 1, stored(tc.fen))
			o := b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
			if n, _ := b.Spent(leg.Key); o.Kind != redeem.Refused || o.Class != tc.class || n != 0 {
				t.Errorf("got %+v, booked %d times", o, n)
			}
		})
	}
}

func TestNoFaultMakesTheClientLieOrRepeat(t *testing.T) {
	start := func(t *testing.T, faults ...fault.Rule) bench {
		return newBench(t, func(c *sandbox.Config) { c.Faults = faults }, alsc.Config{})
	}
	limited := func(t *testing.T, o redeem.Outcome) {
		if o.Kind != redeem.NotSent || o.RetryAfter == 0 {
			t.Errorf("limited: got %+v", o)
		}
	}
	providertest.Endure(t, alsc.Dedut, stored(1000), start, limited)
}

func TestALostAnswerBecomesKnown(t *testing.T) {
	b := newBench(t, func(c *sandbox.Config) {
		c.ALSC.FlowNotFound = "empty"
		c.Faults = []fault.Rule{{Vendor: "alsc", Method: alsc.Dedut, Nth: 1, Kind: fault.ApplyThenReset}}
	}, alsc.Config{})
	lost := b.Leg(t, 1, stored(25000))
	if o := b.Client.Send(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Unknown {
		t.Fatalf("got %+v", o)
	}
	if f := b.Client.LookUp(t.Context(), lost); f.Verdict != redeem.Found || f.Outcome.Total != 25000 || f.Outcome.Gift == 0 || f.Outcome.FlowID == "" {
		t.Errorf("asked: got %+v", f)
	}
	if o := b.Client.Repeat(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Executed || o.Total != 25000 {
		t.Errorf("repeated: got %+v", o)
	}
	if n, _ := b.Spent(lost.Key); n != 1 {
		t.Errorf("booked %d times", n)
	}
	if f := b.Client.LookUp(t.Context(), b.Leg(t, 2, stored(25000))); f.Verdict != redeem.Missing {
		t.Errorf("what was never sent: got %+v", f)
	}
}

func TestTheSandboxGivesBackStoredValueInParts(t *testing.T) {
	b := newBench(t, nil, alsc.Config{})
	leg := b.Leg(t, 1, stored(1000))
	leg.Outcome = b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
	for n, fen := range []redeem.Fen{300, 700, 1} {
		plan, err := b.Client.PlanReversal(redeem.Request{}, leg, []redeem.Line{stored(fen)})
		if err != nil {
			t.Fatal(err)
		}
		back := b.Made(plan, n+2)
		o := b.Client.Reverse(t.Context(), redeem.Sending{Leg: back, Action: redeem.ReverseVerify})
		if n == 2 {
			if o.Kind != redeem.Refused {
				t.Errorf("more than was taken: got %+v", o)
			}
			continue
		}
		if o.Kind != redeem.Executed || o.Class != "executed" || o.Total != fen {
			t.Errorf("got %+v", o)
		}
		if f := b.Client.LookUp(t.Context(), back); f.Verdict != redeem.Found {
			t.Errorf("the reversal is not found: %+v", f)
		}
	}
	_, spend := b.Spent(leg.Key)
	if left := b.Server.Sandbox.Books().Left(spend.Seq); !left.Empty() {
		t.Errorf("left %+v", left)
	}
}

func TestTheSandboxTakesAndGivesBackPointsAndCoupons(t *testing.T) {
	for _, scope := range []string{"all", "listed"} {
		t.Run(scope, func(t *testing.T) {
			b := newBench(t, func(c *sandbox.Config) { c.ALSC.RefundScope = scope }, own(alsc.Config{}))
			taken := redeem.Line{No: 1, Asset: redeem.Coupon, AssetID: "490962138708451328", Count: 1}
			basket := []redeem.Line{{Asset: redeem.Points, Count: 50}, taken, {No: 2, Asset: redeem.Coupon, AssetID: "nobody's", Count: 1}}
			leg := b.Leg(t, 1, basket...)
			leg.Outcome = b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
			var kinds []redeem.Kind
			for _, l := range leg.Outcome.Lines {
				kinds = append(kinds, l.Kind)
			}
			if diff := cmp.Diff([]redeem.Kind{redeem.Executed, redeem.Executed, redeem.Refused}, kinds); diff != "" || leg.Outcome.Kind != redeem.Executed {
				t.Fatalf("got %+v, lines (-want +got):\n%s", leg.Outcome, diff)
			}
			_, spend := b.Spent(leg.Key)
			if spend.Points != 50 || !cmp.Equal(spend.Coupons, []string{taken.AssetID}) {
				t.Errorf("booked %+v", spend)
			}
			plan, err := b.Client.PlanReversal(redeem.Request{}, leg, basket[:2])
			if err != nil {
				t.Fatal(err)
			}
			o := b.Client.Reverse(t.Context(), redeem.Sending{Leg: b.Made(plan, 2), Action: redeem.ReverseVerify})
			if left := b.Server.Sandbox.Books().Left(spend.Seq); o.Kind != redeem.Executed || !left.Empty() {
				t.Errorf("got %+v, left %+v", o, left)
			}
		})
	}
}

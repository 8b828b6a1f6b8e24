// SPDX-License-Identifier: Apache-2.0

package zhimai_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

type bench = providertest.Bench[*zhimai.Client]

func newBench(t *testing.T, change func(*sandbox.Config), cfg zhimai.Config) bench {
	t.Helper()
	sc := sandbox.DemoConfig()
	if change != nil {
		change(&sc)
	}
	srv := sandboxtest.Start(t, sc)
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	cfg.Endpoint = srv.ZhimaiURL
	a := sc.Zhimai.Accounts[0]
	cfg.Credentials = zhimai.Credentials{OpenID: a.OpenID, OpenKey: a.OpenKey, GrantCode: a.GrantCode}
	c, err := zhimai.New(cfg, zhimai.Deps{HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	return bench{
		Client: c, Server: srv, Vendor: books.Zhimai,
		Request: redeem.Request{Action: redeem.Verify, MemberID: "1001", ShopID: "8066287", OperatorID: "1543"},
	}
}

var basket = []redeem.Line{
	{No: 0, Asset: redeem.StoredValue, Amount: 25000},
	{No: 1, Asset: redeem.Coupon, AssetID: "390962138708451328", Count: 1},
	{No: 2, Asset: redeem.Points, Count: 50},
}

func TestTheSandboxBooksWhatWasAsked(t *testing.T) {
	for _, types := range []string{"sample", "table"} {
		t.Run(types, func(t *testing.T) {
			b := newBench(t, func(c *sandbox.Config) { c.Zhimai.ReplyTypes = types }, zhimai.Config{})
			leg := b.Leg(t, 1, basket...)
			o := b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
			n, e := b.Spent(leg.Key)
			if o.Kind != redeem.Executed || o.Class != "executed" || n != 1 || o.FlowID != e.FlowID {
				t.Fatalf("got %+v, booked %d times as %+v", o, n, e)
			}
			if got, want := [3]redeem.Fen{o.Total, o.Real, o.Gift}, [3]redeem.Fen{25000, redeem.Fen(e.Split.Real), redeem.Fen(e.Split.Gift)}; got != want || o.Gift == 0 {
				t.Errorf("got %v, booked %v", got, want)
			}
			if e.AmountFen != 25000 || e.Points != 50 || !cmp.Equal(e.Coupons, []string{"390962138708451328"}) || e.Shop != "8066287" {
				t.Errorf("booked %+v", e)
			}
			if u := b.Server.Sandbox.Calls(sandbox.CallFilter{})[0].Unknown; len(u) != 0 {
				t.Errorf("sent fields that the vendor does not know: %v", u)
			}
		})
	}
}

func TestTheSandboxRefuses(t *testing.T) {
	b := newBench(t, nil, zhimai.Config{})
	leg := b.Leg(t, 1, redeem.Line{Asset: redeem.StoredValue, Amount: 99_999_999})
	o := b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
	if n, _ := b.Spent(leg.Key); o.Kind != redeem.Refused || n != 0 {
		t.Errorf("got %+v, booked %d times", o, n)
	}
}

func TestNoFaultMakesTheClientLieOrRepeat(t *testing.T) {
	start := func(t *testing.T, faults ...fault.Rule) bench {
		return newBench(t, func(c *sandbox.Config) { c.Faults = faults }, zhimai.Config{})
	}
	providertest.Endure(t, zhimai.Consume, redeem.Line{Asset: redeem.StoredValue, Amount: 1000}, start, nil)
}

func TestALostAnswerIsFoundInTheSandboxsBills(t *testing.T) {
	b := newBench(t, func(c *sandbox.Config) {
		c.Faults = []fault.Rule{{Vendor: "zhimai", Method: zhimai.Consume, Nth: 1, Kind: fault.ApplyThenReset}}
	}, zhimai.Config{})
	lost := b.Leg(t, 1, redeem.Line{Asset: redeem.StoredValue, Amount: 25000})
	if o := b.Client.Send(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Unknown {
		t.Fatalf("got %+v", o)
	}
	f := b.Client.LookUp(t.Context(), lost)
	if f.Verdict != redeem.Found || f.Outcome.Total != 25000 || f.Outcome.Real+f.Outcome.Gift != 25000 || f.Outcome.Gift == 0 {
		t.Errorf("got %+v", f)
	}
	if f := b.Client.LookUp(t.Context(), b.Leg(t, 2, redeem.Line{Asset: redeem.StoredValue, Amount: 25000})); f.Verdict != redeem.Missing {
		t.Errorf("what was never sent: got %+v", f)
	}
}

// What the look-up concludes of a call with more than stored value, held against the books.
func TestTheSandboxShowsWhatItCanOfAMixedCall(t *testing.T) {
	const reversal = "communal.user.consume-reverse"
	one := basket[:2]
	tests := map[string]struct {
		lines []redeem.Line
		fault fault.Kind
		then  func(t *testing.T, b bench, leg redeem.Leg)
		want  redeem.Verdict
	}{
		"stored value and a coupon, executed":        {lines: one, fault: fault.ApplyThenReset, want: redeem.Partly},
		"stored value, a coupon and points":          {lines: basket, fault: fault.ApplyThenReset, want: redeem.Partly},
		"stored value and a coupon, never booked":    {lines: one, fault: fault.ResetBeforeApply, want: redeem.Missing},
		"stored value and points, never booked":      {lines: []redeem.Line{basket[0], basket[2]}, fault: fault.ResetBeforeApply, want: redeem.Unshown},
		"never booked, and another spent the coupon": {lines: one, fault: fault.ResetBeforeApply, then: spendCoupon, want: redeem.Unshown},
		"executed, and another amount is shown": {lines: one, fault: fault.ApplyThenReset, want: redeem.Differs, then: func(t *testing.T, b bench, leg redeem.Leg) {
			less := int64(24999)
			if err := b.Server.Sandbox.Plant(sandbox.Plant{Vendor: books.Zhimai, Key: leg.Key, ShowFen: &less}); err != nil {
				t.Fatal(err)
			}
		}},
		"executed, and the coupon was given back alone": {lines: one, fault: fault.ApplyThenReset, want: redeem.Differs, then: func(t *testing.T, b bench, leg redeem.Leg) {
			_, spend := b.Spent(leg.Key)
			if _, err := b.Server.Sandbox.Books().Reverse(books.Reversal{Vendor: books.Zhimai, Original: spend.Seq, Key: "back", Coupons: spend.Coupons}); err != nil {
				t.Fatal(err)
			}
		}},
		"executed, and given back as a whole": {lines: one, fault: fault.ApplyThenReset, want: redeem.Differs, then: func(t *testing.T, b bench, leg redeem.Leg) {
			_, spend := b.Spent(leg.Key)
			if _, err := b.Server.Sandbox.Books().Reverse(books.Reversal{Vendor: books.Zhimai, Original: spend.Seq, Key: "back", Rest: true}); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tc := range tests {
		for _, types := range []string{"sample", "table"} {
			t.Run(name+", "+types, func(t *testing.T) {
				b := newBench(t, func(c *sandbox.Config) {
					c.Zhimai.ReplyTypes, c.Zhimai.ReversalAction = types, reversal
					c.Faults = []fault.Rule{{Vendor: "zhimai", Method: zhimai.Consume, Nth: 1, Kind: tc.fault}}
				}, zhimai.Config{})
				leg := b.Leg(t, 1, tc.lines...)
				leg.SentAt = time.Now().Add(-10 * time.Minute) // so long ago that nothing is on its way
				if o := b.Client.Send(t.Context(), redeem.Sending{Leg: leg}); o.Kind != redeem.Unknown {
					t.Fatalf("got %+v", o)
				}
				if tc.then != nil {
					tc.then(t, b, leg)
				}
				got := b.Client.LookUp(t.Context(), leg)
				if got.Verdict != tc.want {
					t.Errorf("got %s (%s), want %s", got.Verdict, got.Detail, tc.want)
				}
				for _, call := range b.Server.Sandbox.Calls(sandbox.CallFilter{}) {
					if len(call.Unknown) != 0 || call.Rejected != "" {
						t.Errorf("%s: unknown fields %v, rejected %q", call.Method, call.Unknown, call.Rejected)
					}
				}
			})
		}
	}
}

// spendCoupon redeems the leg's coupon by another call, as a till does that was told to
// try again.
func spendCoupon(t *testing.T, b bench, leg redeem.Leg) {
	t.Helper()
	other := b.Leg(t, 2, redeem.Line{Asset: redeem.Coupon, AssetID: leg.Coupons[0], Count: 1})
	if o := b.Client.Send(t.Context(), redeem.Sending{Leg: other}); o.Kind != redeem.Executed {
		t.Fatalf("got %+v", o)
	}
}

// Look-ups that lag show nothing of a call, and then all of it.
func TestTheSandboxsLookUpsMayLag(t *testing.T) {
	b := newBench(t, func(c *sandbox.Config) {
		c.Faults = []fault.Rule{
			{Vendor: "zhimai", Method: zhimai.Consume, Nth: 1, Kind: fault.ApplyThenReset},
			{Vendor: "zhimai", Method: "user.*", Count: 2, Kind: fault.NotFound, Seconds: 600},
		}
	}, zhimai.Config{})
	leg := b.Leg(t, 1, basket[:2]...)
	b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
	for _, want := range []redeem.Verdict{redeem.Missing, redeem.Partly} {
		if got := b.Client.LookUp(t.Context(), leg); got.Verdict != want {
			t.Errorf("got %s (%s), want %s", got.Verdict, got.Detail, want)
		}
	}
}

func TestTheSandboxGivesBack(t *testing.T) {
	const action = "communal.user.consume-reverse"
	b := newBench(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = action }, zhimai.Config{ReversalAction: action})
	leg := b.Leg(t, 1, basket...)
	leg.Outcome = b.Client.Send(t.Context(), redeem.Sending{Leg: leg})
	plan, err := b.Client.PlanReversal(redeem.Request{}, leg, basket)
	if err != nil {
		t.Fatal(err)
	}
	o := b.Client.Reverse(t.Context(), redeem.Sending{Leg: b.Made(plan, 2), Action: redeem.ReverseVerify})
	_, spend := b.Spent(leg.Key)
	if left := b.Server.Sandbox.Books().Left(spend.Seq); o.Kind != redeem.Executed || o.Total != 25000 || !left.Empty() {
		t.Errorf("got %+v, left %+v", o, left)
	}
}

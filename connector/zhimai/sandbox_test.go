// SPDX-License-Identifier: Apache-2.0

package zhimai_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

// bench is a client against the vendor's stand-in, which was written from the
// vendor's documents alone.
type bench struct {
	*zhimai.Client
	srv *sandbox.Server
}

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
	return bench{c, srv}
}

func (b bench) leg(t *testing.T, n int, lines ...redeem.Line) redeem.Leg {
	t.Helper()
	plans, err := b.Plan(redeem.Request{Action: redeem.Verify, MemberID: "1001", ShopID: "8066287", OperatorID: "1543"}, lines)
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
	for _, e := range b.srv.Sandbox.Books().ByKey(books.Zhimai, legKey) {
		times, entry = times+1, e
	}
	return times, entry
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
			leg := b.leg(t, 1, basket...)
			o := b.Send(t.Context(), redeem.Sending{Leg: leg})
			n, e := b.spent(t, leg.Key)
			if o.Kind != redeem.Executed || o.Class != "executed" || n != 1 || o.FlowID != e.FlowID {
				t.Fatalf("got %+v, booked %d times as %+v", o, n, e)
			}
			if got, want := [3]redeem.Fen{o.Total, o.Real, o.Gift}, [3]redeem.Fen{25000, redeem.Fen(e.Split.Real), redeem.Fen(e.Split.Gift)}; got != want || o.Gift == 0 {
				t.Errorf("got %v, booked %v", got, want)
			}
			if e.AmountFen != 25000 || e.Points != 50 || !cmp.Equal(e.Coupons, []string{"390962138708451328"}) || e.Shop != "8066287" {
				t.Errorf("booked %+v", e)
			}
			if u := b.srv.Sandbox.Calls(sandbox.CallFilter{})[0].Unknown; len(u) != 0 {
				t.Errorf("sent fields that the vendor does not know: %v", u)
			}
		})
	}
}

func TestTheSandboxRefuses(t *testing.T) {
	b := newBench(t, nil, zhimai.Config{})
	leg := b.leg(t, 1, redeem.Line{Asset: redeem.StoredValue, Amount: 99_999_999})
	o := b.Send(t.Context(), redeem.Sending{Leg: leg})
	if n, _ := b.spent(t, leg.Key); o.Kind != redeem.Refused || n != 0 {
		t.Errorf("got %+v, booked %d times", o, n)
	}
}

// Whatever befalls the call: it is delivered at most once, "executed" and "refused" are
// true, and so is "not sent".
func TestNoFaultMakesTheClientLieOrRepeat(t *testing.T) {
	for _, kind := range fault.Kinds {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " applied ", apply), func(t *testing.T) {
				rule := fault.Rule{Vendor: "zhimai", Method: zhimai.Consume, Kind: kind, Nth: 2, Apply: &apply}
				if rule.Validate() != nil {
					rule.Apply = nil
				}
				if kind == fault.Truncate || kind == fault.Clip {
					rule.Bytes = 60
				}
				if kind == fault.Slow {
					rule.DelayAfter = fault.Duration(20 * time.Millisecond)
				}
				if kind == fault.NotFound {
					rule.Seconds = 60
				}
				b := newBench(t, func(c *sandbox.Config) { c.Faults = []fault.Rule{rule} }, zhimai.Config{})
				for n := 1; n <= 3; n++ { // the fault meets a connection that is used again
					leg := b.leg(t, n, redeem.Line{Asset: redeem.StoredValue, Amount: 1000})
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

func TestALostAnswerIsFoundInTheSandboxsBills(t *testing.T) {
	b := newBench(t, func(c *sandbox.Config) {
		c.Faults = []fault.Rule{{Vendor: "zhimai", Method: zhimai.Consume, Nth: 1, Kind: fault.ApplyThenReset}}
	}, zhimai.Config{})
	lost := b.leg(t, 1, redeem.Line{Asset: redeem.StoredValue, Amount: 25000})
	if o := b.Send(t.Context(), redeem.Sending{Leg: lost}); o.Kind != redeem.Unknown {
		t.Fatalf("got %+v", o)
	}
	f := b.LookUp(t.Context(), lost)
	if f.Verdict != redeem.Found || f.Outcome.Total != 25000 || f.Outcome.Real+f.Outcome.Gift != 25000 || f.Outcome.Gift == 0 {
		t.Errorf("got %+v", f)
	}
	if f := b.LookUp(t.Context(), b.leg(t, 2, redeem.Line{Asset: redeem.StoredValue, Amount: 25000})); f.Verdict != redeem.Missing {
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
			if err := b.srv.Sandbox.Plant(sandbox.Plant{Vendor: books.Zhimai, Key: leg.Key, ShowFen: &less}); err != nil {
				t.Fatal(err)
			}
		}},
		"executed, and the coupon was given back alone": {lines: one, fault: fault.ApplyThenReset, want: redeem.Differs, then: func(t *testing.T, b bench, leg redeem.Leg) {
			_, spend := b.spent(t, leg.Key)
			if _, err := b.srv.Sandbox.Books().Reverse(books.Reversal{Vendor: books.Zhimai, Original: spend.Seq, Key: "back", Coupons: spend.Coupons}); err != nil {
				t.Fatal(err)
			}
		}},
		"executed, and given back as a whole": {lines: one, fault: fault.ApplyThenReset, want: redeem.Differs, then: func(t *testing.T, b bench, leg redeem.Leg) {
			_, spend := b.spent(t, leg.Key)
			if _, err := b.srv.Sandbox.Books().Reverse(books.Reversal{Vendor: books.Zhimai, Original: spend.Seq, Key: "back", Rest: true}); err != nil {
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
				leg := b.leg(t, 1, tc.lines...)
				leg.SentAt = time.Now().Add(-10 * time.Minute) // so long ago that nothing is on its way
				if o := b.Send(t.Context(), redeem.Sending{Leg: leg}); o.Kind != redeem.Unknown {
					t.Fatalf("got %+v", o)
				}
				if tc.then != nil {
					tc.then(t, b, leg)
				}
				got := b.LookUp(t.Context(), leg)
				if got.Verdict != tc.want {
					t.Errorf("got %s (%s), want %s", got.Verdict, got.Detail, tc.want)
				}
				for _, call := range b.srv.Sandbox.Calls(sandbox.CallFilter{}) {
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
	other := b.leg(t, 2, redeem.Line{Asset: redeem.Coupon, AssetID: leg.Coupons[0], Count: 1})
	if o := b.Send(t.Context(), redeem.Sending{Leg: other}); o.Kind != redeem.Executed {
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
	leg := b.leg(t, 1, basket[:2]...)
	b.Send(t.Context(), redeem.Sending{Leg: leg})
	for _, want := range []redeem.Verdict{redeem.Missing, redeem.Partly} {
		if got := b.LookUp(t.Context(), leg); got.Verdict != want {
			t.Errorf("got %s (%s), want %s", got.Verdict, got.Detail, want)
		}
	}
}

func TestTheSandboxGivesBack(t *testing.T) {
	const action = "communal.user.consume-reverse"
	b := newBench(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = action }, zhimai.Config{ReversalAction: action})
	leg := b.leg(t, 1, basket...)
	leg.Outcome = b.Send(t.Context(), redeem.Sending{Leg: leg})
	plan, err := b.PlanReversal(redeem.Request{}, leg, basket)
	if err != nil {
		t.Fatal(err)
	}
	o := b.Reverse(t.Context(), redeem.Sending{Leg: made(plan, 2), Action: redeem.ReverseVerify})
	_, spend := b.spent(t, leg.Key)
	if left := b.srv.Sandbox.Books().Left(spend.Seq); o.Kind != redeem.Executed || o.Total != 25000 || !left.Empty() {
		t.Errorf("got %+v, left %+v", o, left)
	}
}

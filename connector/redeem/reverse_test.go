// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

func undoKey(bizID string) redeem.Key {
	return redeem.Key{BrandID: brand, Action: redeem.ReverseVerify, BizID: bizID}
}

func TestReverse(t *testing.T) {
	whole := []redeem.Line{pay("balance", 1000)}
	tests := map[string]struct {
		original []redeemtest.Act
		reversal []redeemtest.Act
		req      redeem.Request
		ending   redeem.Ending
		sub      string
		back     redeem.Fen
		reserved redeem.Fen
	}{
		"the whole":               {req: undo("r1", "b1", whole...), ending: redeem.Concluded, sub: redeem.SubOK, back: 1000, reserved: 1000},
		"a part":                  {req: undo("r1", "b1", pay("balance", 400)), ending: redeem.Concluded, sub: redeem.SubOK, back: 400, reserved: 400},
		"more than was redeemed":  {req: undo("r1", "b1", pay("balance", 1001)), ending: redeem.Rejected, sub: redeem.SubOverReversed},
		"nothing":                 {req: undo("r1", "b1", pay("balance", 0)), ending: redeem.Rejected, sub: redeem.SubAmount},
		"no line":                 {req: undo("r1", "b1"), ending: redeem.Rejected, sub: redeem.SubNoLines},
		"what was not redeemed":   {req: undo("r1", "b1", pay("card", 1)), ending: redeem.Rejected, sub: redeem.SubNotRedeemed},
		"the same asset twice":    {req: undo("r1", "b1", pay("balance", 1), pay("balance", 1)), ending: redeem.Rejected, sub: redeem.SubDuplicateLine},
		"of an unknown flow":      {req: undo("r1", "b2", whole...), ending: redeem.Rejected, sub: redeem.SubUnknownFlow},
		"of another order":        {req: func() redeem.Request { r := undo("r1", "b1", whole...); r.TransOrderNo = "other"; return r }(), ending: redeem.Rejected, sub: redeem.SubReversalConflict},
		"without a flow":          {req: func() redeem.Request { r := undo("r1", "b1", whole...); r.ThirdFlowNo = ""; return r }(), ending: redeem.Rejected, sub: redeem.SubNoFlow},
		"of a refused redemption": {original: []redeemtest.Act{redeemtest.Refuses}, req: undo("r1", "b1", whole...), ending: redeem.Rejected, sub: redeem.SubNotRedeemed},
		"of one that is in doubt": {original: []redeemtest.Act{redeemtest.DoesLost}, req: undo("r1", "b1", whole...), ending: redeem.Rejected, sub: redeem.SubOriginalPending},
		"of one that was never sent closes it": {
			original: []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached},
			req:      undo("r1", "b1", whole...), ending: redeem.Rejected, sub: redeem.SubNotRedeemed,
		},
		"that the vendor refuses gives the reservation back": {
			reversal: []redeemtest.Act{redeemtest.Refuses}, req: undo("r1", "b1", whole...), ending: redeem.Concluded, sub: redeem.SubRefused,
		},
		"that is lost is in doubt and keeps the reservation": {
			reversal: []redeemtest.Act{redeemtest.DoesLost}, req: undo("r1", "b1", whole...), ending: redeem.InDoubt, back: 1000, reserved: 1000,
		},
		"that never left is in doubt: it will be made": {
			reversal: []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached},
			req:      undo("r1", "b1", whole...), ending: redeem.InDoubt, reserved: 1000,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.engine()
				w.alsc.Next = script(tt.original...)
				e.Verify(t.Context(), request("b1", whole...))
				w.alsc.Next = script(tt.reversal...)
				wantEnding(t, e.Reverse(t.Context(), tt.req), tt.ending, tt.sub)
				var back redeem.Fen
				for _, x := range w.alsc.Reversals(upstream("b1", 0)) {
					back += x.Amount
				}
				if d := cmp.Diff([]redeem.Fen{tt.back, tt.reserved}, []redeem.Fen{back, w.get(key("b1")).Lines[0].Result.Reversed}); d != "" {
					t.Errorf("booked back and reserved (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestPartialReversalsNeverGiveBackMoreThanWasRedeemed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		engines := []*redeem.Engine{w.engine(), w.engine()}
		engines[0].Verify(t.Context(), request("b1", pay("balance", 1000)))
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: 100 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { engines[i%2].Reverse(t.Context(), undo(fmt.Sprint("r", i), "b1", pay("balance", 300))) })
		}
		wg.Wait()
		var back redeem.Fen
		for _, x := range w.alsc.Reversals(upstream("b1", 0)) {
			back += x.Amount * redeem.Fen(x.Times)
		}
		if back != 900 {
			t.Errorf("gave back %d fen of 1000 in parts of 300", back)
		}
	})
}

func TestARepeatedReversalGetsTheRecordedAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		first := e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000)))
		again := e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000)))
		if string(first.Answer) != string(again.Answer) || !again.Replayed {
			t.Errorf("%s, then %s", first.Answer, again.Answer)
		}
		wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 500))), redeem.Rejected, redeem.SubConflict)
	})
}

func TestAReversalIsMadeOnceWhateverHappensToItsAnswer(t *testing.T) {
	lost := redeemtest.LostBefore
	tests := map[string]struct {
		strategy redeem.Strategy
		acts     []redeemtest.Act
		want     redeem.State
		times    int
	}{
		"never left":                         {redeem.QueryFlow, []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached}, redeem.StateExecuted, 1},
		"lost after it was made":             {redeem.QueryFlow, []redeemtest.Act{redeemtest.DoesLost}, redeem.StateExecuted, 1},
		"lost before it was made":            {redeem.QueryFlow, []redeemtest.Act{lost}, redeem.StateExecuted, 1},
		"lost before it was made, replayed":  {redeem.ReplaySameRequestID, []redeemtest.Act{lost, lost, lost}, redeem.StateExecuted, 1},
		"lost, and only bills can be looked": {redeem.QueryBills, []redeemtest.Act{lost}, redeem.StateUnknown, 0},
		"lost, by hand":                      {redeem.Manual, []redeemtest.Act{redeemtest.DoesLost}, redeem.StateUnknown, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.cfg.InDoubt["alsc"] = tt.strategy
				e := w.engine()
				e.Verify(t.Context(), request("b1", pay("balance", 1000)))
				w.alsc.Next = script(tt.acts...)
				wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000))), redeem.InDoubt, "")
				w.resolveFor(e, 10*time.Minute)
				leg := w.get(undoKey("r1")).Legs[0]
				if leg.State != tt.want || w.alsc.Entry(leg.Key).Times != tt.times {
					t.Errorf("%s, made %d times; want %s, %d", leg.State, w.alsc.Entry(leg.Key).Times, tt.want, tt.times)
				}
				if tt.want == redeem.StateUnknown && !leg.NextCheck.IsZero() {
					t.Error("no person is asked")
				}
			})
		})
	}
}

func TestAReversalThatNoMachineCanMakeWaitsForAPerson(t *testing.T) {
	for name, provider := range map[string]func(*redeemtest.Vendor) redeem.Provider{
		"the vendor has no reversal":     func(v *redeemtest.Vendor) redeem.Provider { return plain{v} },
		"the reversal is not configured": func(v *redeemtest.Vendor) redeem.Provider { v.NotReversible = true; return v },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.deps.Providers["zhimai"] = provider(w.zhimai)
				e := w.engine()
				e.Verify(t.Context(), request("b1", pay("card", 1000), coupon("C1")))
				got := e.Reverse(t.Context(), undo("r1", "b1", pay("card", 1000), coupon("C1")))
				if got.Ending != redeem.InDoubt || got.Rejection == nil || got.Rejection.SubCode != redeem.SubManualReversal {
					t.Fatalf("%+v", got)
				}
				w.resolveFor(e, time.Hour)
				wantEnding(t, e.Reverse(t.Context(), undo("r2", "b1", pay("card", 1))), redeem.Rejected, redeem.SubOverReversed)
				_, err := e.Resolve(t.Context(), redeem.Decision{Key: undoKey("r1"), Verdict: redeem.Refused, Who: "li", Reason: "not possible any more"})
				if err != nil {
					t.Fatal(err)
				}
				wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("card", 1000), coupon("C1"))), redeem.Concluded, redeem.SubRefused)
				r := w.get(key("b1"))
				if r.Lines[0].Result.Reversed != 0 || r.Lines[1].Result.ReversedCount != 0 {
					t.Errorf("the reservation was not given back: %+v", r.Lines)
				}
			})
		})
	}
}

func TestAReversalWaitsForTheRunningRedemption(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = script(redeemtest.Act{Apply: true, Linger: 2 * time.Second})
		e := w.engine()
		go e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		time.Sleep(100 * time.Millisecond)
		wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
	})
}

func TestAReversalIsNotSentAgainUnlessTheSendingIsRecorded(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		w.alsc.Next = script(redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached)
		wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000))), redeem.InDoubt, "")
		before := len(w.alsc.Calls())
		w.ledger.FailWith(func(op string) redeemtest.Failure {
			if op == "apply" {
				return redeemtest.Failure{Before: errDown}
			}
			return redeemtest.Failure{}
		})
		w.resolveFor(e, 10*time.Second)
		if n := len(w.alsc.Calls()); n != before {
			t.Errorf("%d calls that are not recorded", n-before)
		}
		w.ledger.FailWith(nil)
		w.resolveFor(e, 2*time.Minute)
		wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
	})
}

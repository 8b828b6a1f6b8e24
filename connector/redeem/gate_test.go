// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

func TestTheCallLimitHoldsBackWithinTheBudgetAndRejectsBeyond(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.Limits["alsc"] = redeem.Limit{PerSecond: 2, Burst: 1}
		e := w.engine()
		var ok, limited atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				switch got := e.Verify(t.Context(), request(fmt.Sprint("b", i), pay("balance", 1))); {
				case got.Ending == redeem.Concluded:
					ok.Add(1)
				case got.Ending == redeem.Rejected && got.SubCode == redeem.SubRateLimited && got.Rejection.Retryable:
					limited.Add(1)
				default:
					t.Errorf("%+v", got)
				}
			})
		}
		wg.Wait()
		// One at once and two a second within half of the 3.8 s before the reply is due.
		if ok.Load() != 4 || limited.Load() != 16 {
			t.Errorf("%d went through, %d were held back", ok.Load(), limited.Load())
		}
		if n := len(w.ledger.All()); n != 4 {
			t.Errorf("%d were recorded: who is held back is not recorded as sent", n)
		}
	})
}

func TestAVendorsQuietTimeIsRespected(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = script(redeemtest.Act{NotSent: true, RetryAfter: 30 * time.Second})
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Rejected, redeem.SubUnreachable)
		wantEnding(t, e.Verify(t.Context(), request("b2", pay("balance", 1))), redeem.Rejected, redeem.SubRateLimited)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Rejected, redeem.SubRateLimited)
		if n := len(w.alsc.Calls()); n != 1 {
			t.Errorf("%d calls although the vendor asked for quiet", n)
		}
		time.Sleep(30 * time.Second)
		wantEnding(t, e.Verify(t.Context(), request("b2", pay("balance", 1))), redeem.Concluded, redeem.SubOK)
	})
}

func TestOneSlowVendorDoesNotHoldTheOther(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.Limits["zhimai"] = redeem.Limit{Concurrent: 1}
		w.zhimai.Next = always(redeemtest.Act{Apply: true, Linger: 10 * time.Second})
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("card", 1))), redeem.InDoubt, "")
		wantEnding(t, e.Verify(t.Context(), request("b2", pay("card", 1))), redeem.Rejected, redeem.SubBulkhead)
		wantEnding(t, e.Verify(t.Context(), request("b3", pay("balance", 1))), redeem.Concluded, redeem.SubOK)
		// A repeat is answered, however full the house is.
		time.Sleep(10 * time.Second)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("card", 1))), redeem.Concluded, redeem.SubOK)
	})
}

func openBreaker(t *testing.T, w *world, e *redeem.Engine) {
	t.Helper()
	for i := range 10 {
		e.Verify(t.Context(), request(fmt.Sprint("ill", i), pay("balance", 1)))
	}
	if got := e.Breakers()["alsc"]; got != "open" {
		t.Fatalf("the breaker is %s", got)
	}
}

func TestTheBreakerIsProbedWithAQuestionNotWithAGuestsMoney(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.LostBefore)
		healthy := false
		w.alsc.Finds = func(redeem.Leg) redeem.Verdict {
			if healthy {
				return ""
			}
			return redeem.Inconclusive
		}
		e := w.engine()
		openBreaker(t, w, e)
		before := len(w.alsc.Calls())
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Rejected, redeem.SubBreakerOpen)
		time.Sleep(6 * time.Second)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Rejected, redeem.SubBreakerOpen)
		if n := len(w.alsc.Calls()); n != before {
			t.Errorf("%d deductions went out as probes", n-before)
		}
		if _, err := w.ledger.Get(t.Context(), key("b1")); err == nil {
			t.Error("a request that was held back is recorded as sent")
		}
		healthy, w.alsc.Next = true, nil
		time.Sleep(6 * time.Second)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Concluded, redeem.SubOK)
	})
}

func TestAVendorThatCannotBeAskedIsTriedWithOneCall(t *testing.T) {
	tests := map[string]func(w *world){
		"no look-up": func(w *world) { w.deps.Providers["alsc"] = plain{w.alsc} },
		"a look-up that never works": func(w *world) {
			w.alsc.Finds = func(redeem.Leg) redeem.Verdict { return redeem.Inconclusive }
		},
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				set(w)
				w.alsc.Next = always(redeemtest.LostBefore)
				e := w.engine()
				openBreaker(t, w, e)
				w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: time.Second})
				for range 3 { // blind probes
					time.Sleep(6 * time.Second)
					if e.Breakers()["alsc"] == "closed" {
						break
					}
					e.Verify(t.Context(), request("b0", pay("balance", 1)))
				}
				time.Sleep(6 * time.Second)
				before := len(w.alsc.Calls())
				var wg sync.WaitGroup
				for i := range 5 {
					wg.Go(func() { e.Verify(t.Context(), request(fmt.Sprint("b", i+1), pay("balance", 1))) })
				}
				wg.Wait()
				time.Sleep(10 * time.Second)
				if got := e.Breakers()["alsc"]; got != "closed" {
					t.Errorf("the breaker is %s after a good call", got)
				}
				if n := len(w.alsc.Calls()) - before; name != "no look-up" && n != 1 {
					t.Errorf("%d calls probed", n)
				}
			})
		})
	}
}

func TestRefusalsAndDuplicatesDoNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Refuses)
		e := w.engine()
		for i := range 40 {
			wantEnding(t, e.Verify(t.Context(), request(fmt.Sprint("b", i), pay("balance", 1))), redeem.Concluded, redeem.SubRefused)
		}
		if got := e.Breakers()["alsc"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
	})
}

func TestAnOpenBreakerDoesNotHideARecordedAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Concluded, redeem.SubOK)
		time.Sleep(time.Minute)
		w.alsc.Next = always(redeemtest.LostBefore)
		w.alsc.Finds = func(redeem.Leg) redeem.Verdict { return redeem.Inconclusive }
		openBreaker(t, w, e)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1))), redeem.Concluded, redeem.SubOK)
	})
}

// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

const brand = "11342"

// world is a ledger, two vendors and as many engines as a test starts.
type world struct {
	t      testing.TB
	ledger *redeemtest.Ledger
	zhimai *redeemtest.Vendor // by hand unless a test says otherwise
	alsc   *redeemtest.Vendor // idempotent, can be asked
	cfg    redeem.Config
	deps   redeem.Deps
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, ledger: redeemtest.NewLedger(),
		zhimai: &redeemtest.Vendor{ID: "zhimai"},
		alsc:   &redeemtest.Vendor{ID: "alsc", Idempotent: true},
	}
	w.cfg = redeem.Config{
		BrandID: brand,
		Routes: []redeem.Route{
			{Name: "balance", AssetMappingIDs: []string{"balance"}, Asset: redeem.StoredValue, Provider: "alsc"},
			{Name: "card", AssetMappingIDs: []string{"card"}, Asset: redeem.StoredValue, Provider: "zhimai"},
			{Name: "coupons", AssetMappingIDs: []string{"coupon"}, Asset: redeem.Coupon, Provider: "zhimai"},
			{Name: "points", AssetMappingIDs: []string{"points"}, Asset: redeem.Points, Provider: "zhimai"},
		},
		InDoubt: map[string]redeem.Strategy{"alsc": redeem.QueryFlow, "zhimai": redeem.Manual},
		Limits:  map[string]redeem.Limit{},
	}
	w.deps = redeem.Deps{
		Ledger:    w.ledger,
		Providers: map[string]redeem.Provider{"zhimai": w.zhimai, "alsc": redeemtest.Repeating{Asked: redeemtest.Asked{Vendor: w.alsc}}},
		Render:    render,
		Jitter:    func() float64 { return 0.5 },
	}
	return w
}

// render says of each line what became of it, and when it was asked.
func render(r redeem.Redemption) []byte {
	type line struct {
		Asset string
		Kind  redeem.Kind
		Code  string
		Fen   redeem.Fen
	}
	var lines []line
	for _, l := range r.Lines {
		lines = append(lines, line{l.AssetMappingID, l.Result.Kind, l.Result.Code, l.Result.Total})
	}
	b, _ := json.Marshal(map[string]any{"bizId": r.BizID, "sub": redeem.SubCodeOf(r), "lines": lines, "at": r.ConcludedAt})
	return b
}

func (w *world) engine() *redeem.Engine {
	e, err := redeem.New(w.cfg, w.deps)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func pay(asset string, fen redeem.Fen) redeem.Line {
	return redeem.Line{AssetMappingID: asset, AssetID: asset + "-1", Amount: fen}
}

func coupon(id string) redeem.Line {
	return redeem.Line{AssetMappingID: "coupon", AssetID: id, Count: 1}
}

func request(bizID string, lines ...redeem.Line) redeem.Request {
	return redeem.Request{
		BrandID: brand, BizID: bizID, ShopID: "8066287", TransOrderNo: "T" + bizID, PaymentNo: "P" + bizID,
		KryMemberID: "1001", MemberID: "1001", Mobile: "15000001111", PaymentToken: "11100001", Lines: lines,
	}
}

func undo(bizID, original string, lines ...redeem.Line) redeem.Request {
	r := request(bizID, lines...)
	r.TransOrderNo, r.PaymentNo = "T"+original, "P"+original
	r.ThirdFlowNo = redeem.FlowID(brand, redeem.Verify, original)
	return r
}

func key(bizID string) redeem.Key {
	return redeem.Key{BrandID: brand, Action: redeem.Verify, BizID: bizID}
}

func upstream(bizID string, leg int) string {
	return redeem.UpstreamKey(brand, redeem.Verify, bizID, leg)
}

func (w *world) get(k redeem.Key) redeem.Redemption {
	w.t.Helper()
	r, err := w.ledger.Get(context.Background(), k)
	if err != nil {
		w.t.Fatalf("get %v: %v", k, err)
	}
	return r
}

func (w *world) states(k redeem.Key) []redeem.State {
	w.t.Helper()
	var out []redeem.State
	for _, l := range w.get(k).Legs {
		out = append(out, l.State)
	}
	return out
}

// resolveFor lets the resolver run for d.
func (w *world) resolveFor(e *redeem.Engine, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := e.Run(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func wantEnding(t testing.TB, got redeem.Result, ending redeem.Ending, sub string) {
	t.Helper()
	if got.Ending != ending || got.SubCode != sub {
		t.Fatalf("ended %s %q (%s; %v), want %s %q", got.Ending, got.SubCode, got.Detail, got.Rejection, ending, sub)
	}
}

func bubble(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t)) })
}

func always(a redeemtest.Act) func(string, redeem.Leg) redeemtest.Act {
	return func(string, redeem.Leg) redeemtest.Act { return a }
}

// script plays the acts in turn, then does everything.
func script(acts ...redeemtest.Act) func(string, redeem.Leg) redeemtest.Act {
	var mu sync.Mutex
	return func(string, redeem.Leg) redeemtest.Act {
		mu.Lock()
		defer mu.Unlock()
		if len(acts) == 0 {
			return redeemtest.Does
		}
		a := acts[0]
		acts = acts[1:]
		return a
	}
}

func TestVerify(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		alsc, zhimai []redeemtest.Act
		policy       redeem.PartialPolicy
		lines        []redeem.Line
		ending       redeem.Ending
		sub          string
		states       []redeem.State
	}{
		"one line is executed": {
			lines: []redeem.Line{pay("balance", 1000)}, ending: redeem.Concluded, sub: redeem.SubOK,
			states: []redeem.State{redeem.StateExecuted},
		},
		"two vendors execute": {
			lines: []redeem.Line{pay("balance", 1000), coupon("C1"), pay("card", 300)}, ending: redeem.Concluded, sub: redeem.SubOK,
			states: []redeem.State{redeem.StateExecuted, redeem.StateExecuted},
		},
		"a refusal is a conclusion": {
			alsc: []redeemtest.Act{redeemtest.Refuses}, lines: []redeem.Line{pay("balance", 1000)},
			ending: redeem.Concluded, sub: redeem.SubRefused, states: []redeem.State{redeem.StateRefused},
		},
		"one vendor refuses, and it is reported": {
			alsc: []redeemtest.Act{redeemtest.Refuses}, lines: []redeem.Line{pay("balance", 1000), pay("card", 300)},
			ending: redeem.Concluded, sub: redeem.SubPartial, states: []redeem.State{redeem.StateRefused, redeem.StateExecuted},
		},
		"a lost answer is in doubt, whatever the other vendor did": {
			alsc: []redeemtest.Act{redeemtest.DoesLost}, lines: []redeem.Line{pay("balance", 1000), pay("card", 300)},
			ending: redeem.InDoubt, states: []redeem.State{redeem.StateUnknown, redeem.StateExecuted},
		},
		"what never left is tried again at once": {
			alsc: []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached}, lines: []redeem.Line{pay("balance", 1000)},
			ending: redeem.Concluded, sub: redeem.SubOK, states: []redeem.State{redeem.StateExecuted},
		},
		"what never leaves is not sent, and says so": {
			alsc:  []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached},
			lines: []redeem.Line{pay("balance", 1000)}, ending: redeem.Rejected, sub: redeem.SubUnreachable,
			states: []redeem.State{redeem.StateNotSent},
		},
		"a part never left: not known": {
			alsc:  []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached},
			lines: []redeem.Line{pay("balance", 1000), pay("card", 5)}, ending: redeem.InDoubt,
			states: []redeem.State{redeem.StateNotSent, redeem.StateExecuted},
		},
		"a vendor's quiet time longer than the budget is not waited for": {
			alsc:  []redeemtest.Act{{NotSent: true, RetryAfter: time.Minute}},
			lines: []redeem.Line{pay("balance", 1000)}, ending: redeem.Rejected, sub: redeem.SubUnreachable,
			states: []redeem.State{redeem.StateNotSent},
		},
		"a panicking client may have sent": {
			alsc: []redeemtest.Act{{Apply: true, Panic: true}}, lines: []redeem.Line{pay("balance", 1000)},
			ending: redeem.InDoubt, states: []redeem.State{redeem.StateUnknown},
		},
		"one after the other: a refusal stops the rest": {
			policy: redeem.ReversePartial, alsc: []redeemtest.Act{redeemtest.Refuses},
			lines: []redeem.Line{pay("balance", 1000), pay("card", 300)}, ending: redeem.Concluded, sub: redeem.SubRefused,
			states: []redeem.State{redeem.StateRefused, redeem.StateRefused},
		},
		"one after the other: the first is given back when the second refuses": {
			policy: redeem.ReversePartial, zhimai: []redeemtest.Act{redeemtest.Refuses},
			lines: []redeem.Line{pay("balance", 1000), pay("card", 300)}, ending: redeem.Concluded, sub: redeem.SubReversed,
			states: []redeem.State{redeem.StateExecuted, redeem.StateRefused},
		},
		"one after the other: what never left stops the rest unsent": {
			policy: redeem.ReversePartial, alsc: []redeemtest.Act{redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached},
			lines: []redeem.Line{pay("balance", 1000), pay("card", 300)}, ending: redeem.Rejected, sub: redeem.SubUnreachable,
			states: []redeem.State{redeem.StateNotSent, redeem.StateNotSent},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				w.alsc.Next, w.zhimai.Next = script(tt.alsc...), script(tt.zhimai...)
				if tt.policy != "" {
					w.cfg.PartialFailure = tt.policy
				}
				e := w.engine()
				got := e.Verify(ctx, request("b1", tt.lines...))
				wantEnding(t, got, tt.ending, tt.sub)
				if d := cmp.Diff(tt.states, w.states(key("b1"))); d != "" {
					t.Errorf("states (-want +got):\n%s", d)
				}
				r := w.get(key("b1"))
				if d := cmp.Diff(string(r.Answer), string(got.Answer)); d != "" {
					t.Errorf("the till did not hear what was recorded (-recorded +said):\n%s", d)
				}
				if err := e.Close(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTheGivenBackPartIsBookedBack(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		w.zhimai.Next = always(redeemtest.Refuses)
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300))), redeem.Concluded, redeem.SubReversed)
		back := w.alsc.Reversals(upstream("b1", 0))
		if len(back) != 1 || back[0].Amount != 1000 || back[0].Times != 1 {
			t.Fatalf("booked back: %+v, want 1000 fen once", back)
		}
	})
}

func TestTheUndoingThatIsLostKeepsTheTillInDoubtUntilItIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		w.zhimai.Next = always(redeemtest.Refuses)
		w.alsc.Next = script(redeemtest.Does, redeemtest.LostBefore) // the deduction, then the undoing
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300))), redeem.InDoubt, "")
		w.resolveFor(e, 5*time.Minute)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300))), redeem.Concluded, redeem.SubReversed)
		if back := w.alsc.Reversals(upstream("b1", 0)); len(back) != 1 {
			t.Fatalf("booked back %d times", len(back))
		}
	})
}

func TestWhatNoMachineCanUndoIsReportedLineByLine(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.PartialFailure = redeem.ReversePartial
		w.alsc.NotReversible = true
		w.alsc.Next = always(redeemtest.Refuses)
		e := w.engine()
		// The reversible card goes first, the irreversible balance last, and is refused.
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300))), redeem.Concluded, redeem.SubReversed)
		w.zhimai.NotReversible = true
		wantEnding(t, e.Verify(t.Context(), request("b2", pay("card", 300), pay("balance", 1000))), redeem.Concluded, redeem.SubPartial)
	})
}

func TestRepeatsGetTheRecordedAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, b := w.engine(), w.engine()
		first := a.Verify(t.Context(), request("b1", pay("balance", 1000)))
		time.Sleep(24 * time.Hour)
		again := request("b1", pay("balance", 1000))
		again.PaymentToken, again.RequestID, again.OperatorID, again.DeviceID = "fresh", "other", "other", "other"
		for _, e := range []*redeem.Engine{a, b} {
			got := e.Verify(t.Context(), again)
			if string(got.Answer) != string(first.Answer) || !got.Replayed {
				t.Errorf("repeat got %s, want %s", got.Answer, first.Answer)
			}
		}
		if n := w.alsc.Entry(upstream("b1", 0)).Times; n != 1 {
			t.Errorf("deducted %d times", n)
		}
	})
}

func TestABizIDUsedForSomethingElseIsRefusedAndNothingIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		before := len(w.alsc.Calls())
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 2000))), redeem.Rejected, redeem.SubConflict)
		if got := len(w.alsc.Calls()); got != before {
			t.Errorf("%d calls were made", got-before)
		}
	})
}

func TestEightAtOnceOnTwoReplicasDeductOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: time.Second})
		engines := []*redeem.Engine{w.engine(), w.engine()}
		answers := make([]redeem.Result, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = engines[i%2].Verify(t.Context(), request("b1", pay("balance", 1000))) })
		}
		wg.Wait()
		for i, got := range answers {
			if got.Ending != redeem.Concluded || string(got.Answer) != string(answers[0].Answer) {
				t.Errorf("caller %d: %s %s, want %s", i, got.Ending, got.Answer, answers[0].Answer)
			}
		}
		if n := len(w.alsc.Calls()); n != 1 {
			t.Errorf("%d vendor calls", n)
		}
	})
}

func TestALateAnswerIsTakenAfterTheTillHeardDoubt(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: 8 * time.Second})
		e := w.engine()
		start := time.Now()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("the till waited %s", took)
		}
		time.Sleep(5 * time.Second)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		if n := len(w.alsc.Calls()); n != 1 {
			t.Errorf("%d vendor calls", n)
		}
	})
}

func TestTheCallGoesOnWhenTheTillHangsUp(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: time.Second})
		e := w.engine()
		ctx, hangUp := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer hangUp()
		wantEnding(t, e.Verify(ctx, request("b1", pay("balance", 1000))), redeem.InDoubt, "")
		time.Sleep(2 * time.Second)
		if d := cmp.Diff([]redeem.State{redeem.StateExecuted}, w.states(key("b1"))); d != "" {
			t.Error(d)
		}
	})
}

func TestATillThatHangsUpBeforeTheRecordGetsNothingSent(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		wantEnding(t, e.Verify(ctx, request("b1", pay("balance", 1000))), redeem.Rejected, redeem.SubNoTime)
		late := request("b1", pay("balance", 1000))
		late.ReplyDeadlineAt = time.Now().Add(-time.Second)
		wantEnding(t, e.Verify(t.Context(), late), redeem.Rejected, redeem.SubNoTime)
		if n := len(w.ledger.All()); n != 0 {
			t.Errorf("%d recorded", n)
		}
	})
}

func TestAVendorThatNeverAnswersEndsInTheResolversHands(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: time.Hour})
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
		w.resolveFor(e, time.Minute)
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		time.Sleep(2 * time.Hour)
	})
}

func TestARepeatSendsWhatWasNeverSentAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = script(redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached)
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300))), redeem.InDoubt, "")
		again := request("b1", pay("balance", 1000), pay("card", 300))
		again.PaymentToken = "fresh"
		wantEnding(t, e.Verify(t.Context(), again), redeem.Concluded, redeem.SubOK)
		if n := len(w.zhimai.Calls()); n != 1 {
			t.Errorf("the vendor that had executed was called %d times", n)
		}
		calls := w.alsc.Calls()
		if last := calls[len(calls)-1]; last.Token != "fresh" || last.Key != upstream("b1", 0) {
			t.Errorf("sent again with %+v, want the fresh token under the same key", last)
		}
		if epoch := w.get(key("b1")).Legs[0].Epoch; epoch != 2 {
			t.Errorf("sent again in epoch %d", epoch)
		}
	})
}

func TestTwoRepeatsAtOnceSendOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = script(redeemtest.Unreached, redeemtest.Unreached, redeemtest.Unreached)
		engines := []*redeem.Engine{w.engine(), w.engine()}
		wantEnding(t, engines[0].Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Rejected, redeem.SubUnreachable)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				wantEnding(t, engines[i%2].Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
			})
		}
		wg.Wait()
		if n := w.alsc.Entry(upstream("b1", 0)).Times; n != 1 || len(w.alsc.Calls()) != 4 {
			t.Errorf("booked %d times in %d calls", n, len(w.alsc.Calls()))
		}
	})
}

func TestWhatWasNeverSentIsClosedWhenNoRepeatComes(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Unreached)
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("balance", 1000), pay("card", 300)))
		w.resolveFor(e, 9*time.Minute)
		if d := cmp.Diff([]redeem.State{redeem.StateNotSent, redeem.StateExecuted}, w.states(key("b1"))); d != "" {
			t.Fatal(d)
		}
		w.resolveFor(e, 2*time.Minute)
		r := w.get(key("b1"))
		if r.Answer == nil || r.Legs[0].Outcome.Class != redeem.ClassAbandoned || redeem.SubCodeOf(r) != redeem.SubPartial {
			t.Errorf("after the window: %+v", r)
		}
	})
}

var errDown = errors.New("the ledger is down")

func TestLedgerFailures(t *testing.T) {
	once := func(op string, f redeemtest.Failure) func(string) redeemtest.Failure {
		done := false
		return func(o string) redeemtest.Failure {
			if o != op || done {
				return redeemtest.Failure{}
			}
			done = true
			return f
		}
	}
	forever := func(f redeemtest.Failure, ops ...string) func(string) redeemtest.Failure {
		return func(o string) redeemtest.Failure {
			for _, op := range ops {
				if op == o {
					return f
				}
			}
			return redeemtest.Failure{}
		}
	}
	tests := map[string]struct {
		fail   func(string) redeemtest.Failure
		ending redeem.Ending
		sub    string
		calls  int
	}{
		"the record fails: nothing is sent":                         {forever(redeemtest.Failure{Before: errDown}, "record"), redeem.InDoubt, "", 0},
		"the record's commit is unclear but happened":               {once("record", redeemtest.Failure{After: redeem.ErrCommitUnclear}), redeem.Concluded, redeem.SubOK, 1},
		"the record's commit is unclear and did not happen":         {once("record", redeemtest.Failure{Before: redeem.ErrCommitUnclear}), redeem.Concluded, redeem.SubOK, 1},
		"the record times out although it happened":                 {once("record", redeemtest.Failure{After: context.DeadlineExceeded}), redeem.Concluded, redeem.SubOK, 1},
		"the record stays unclear: nothing is sent":                 {forever(redeemtest.Failure{After: redeem.ErrCommitUnclear, Before: nil}, "record", "get"), redeem.Concluded, redeem.SubOK, 1},
		"the record is unclear and cannot be read: nothing is sent": {forever(redeemtest.Failure{Before: redeem.ErrCommitUnclear}, "record", "get"), redeem.InDoubt, "", 0},
		"the settle fails once":                                     {once("apply", redeemtest.Failure{Before: errDown}), redeem.Concluded, redeem.SubOK, 1},
		"the settle's commit is unclear but happened":               {once("apply", redeemtest.Failure{After: redeem.ErrCommitUnclear}), redeem.Concluded, redeem.SubOK, 1},
		"the settle never commits: no success from memory":          {forever(redeemtest.Failure{Before: errDown}, "apply"), redeem.InDoubt, "", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				e := w.engine()
				w.ledger.FailWith(tt.fail)
				wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), tt.ending, tt.sub)
				if n := len(w.alsc.Calls()); n != tt.calls {
					t.Errorf("%d vendor calls, want %d", n, tt.calls)
				}
				time.Sleep(10 * time.Second)
				w.ledger.FailWith(nil)
				w.resolveFor(e, 5*time.Minute)
				got := e.Verify(t.Context(), request("b1", pay("balance", 1000)))
				wantEnding(t, got, redeem.Concluded, redeem.SubOK)
				if n := w.alsc.Entry(upstream("b1", 0)).Times; n != 1 {
					t.Errorf("deducted %d times", n)
				}
			})
		})
	}
}

func TestAnUnclearRecordThatAnotherReplicaWonIsNotSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = script(redeemtest.Act{Apply: true, Linger: time.Second}, redeemtest.Act{Apply: true, Linger: time.Second})
		w.alsc.Idempotent = false
		winner, loser := w.engine(), w.engine()
		var wg sync.WaitGroup
		wg.Go(func() { winner.Verify(t.Context(), request("b1", pay("balance", 1000))) })
		time.Sleep(100 * time.Millisecond)
		w.ledger.FailWith(func(op string) redeemtest.Failure {
			if op == "record" {
				return redeemtest.Failure{Before: redeem.ErrCommitUnclear}
			}
			return redeemtest.Failure{}
		})
		wantEnding(t, loser.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		wg.Wait()
		if n := len(w.alsc.Calls()); n != 1 {
			t.Errorf("%d vendor calls", n)
		}
	})
}

func TestARepeatDuringALedgerOutageIsNotToldThatNothingWasRedeemed(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		e := w.engine()
		e.Verify(t.Context(), request("b1", pay("balance", 1000)))
		w.ledger.FailWith(func(string) redeemtest.Failure { return redeemtest.Failure{Before: errDown} })
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
	})
}

func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: 6 * time.Second})
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.InDoubt, "")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(short); err == nil {
			t.Error("closed although a call was under way")
		}
		wantEnding(t, e.Verify(t.Context(), request("b2", pay("balance", 1000))), redeem.Rejected, redeem.SubDraining)
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
	})
}

func TestConfig(t *testing.T) {
	w := newWorld(t)
	tests := map[string]func(*redeem.Config, *redeem.Deps){
		"no brand":                     func(c *redeem.Config, _ *redeem.Deps) { c.BrandID = "" },
		"no ledger":                    func(_ *redeem.Config, d *redeem.Deps) { d.Ledger = nil },
		"an unheard-of policy":         func(c *redeem.Config, _ *redeem.Deps) { c.PartialFailure = "Ignore" },
		"an unheard-of strategy":       func(c *redeem.Config, _ *redeem.Deps) { c.InDoubt = map[string]redeem.Strategy{"alsc": "Guess"} },
		"a route to an unknown vendor": func(c *redeem.Config, _ *redeem.Deps) { c.Routes = []redeem.Route{{Provider: "other"}} },
		"a margin beyond the deadline": func(c *redeem.Config, _ *redeem.Deps) { c.ReplyMargin = time.Hour },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			c, d := w.cfg, w.deps
			spoil(&c, &d)
			if _, err := redeem.New(c, d); err == nil {
				t.Error("accepted")
			}
		})
	}
}

var _ = fmt.Sprint

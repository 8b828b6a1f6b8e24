// SPDX-License-Identifier: Apache-2.0

package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
	"github.com/hexiao-dev/hexiao/hack/faults/history"
)

func at(ms int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(ms)) }

func heard(from, to int, w history.Word) history.Call {
	return history.Call{Payment: "B1", Start: at(from), End: at(to), Word: w}
}

func TestCheckJudgesHistoriesByTheirOrderAndTheBooks(t *testing.T) {
	cases := map[string]struct {
		calls    []history.Call
		deducted int
		ok       bool
	}{
		"a success that is booked":                       {[]history.Call{heard(0, 1, history.Success)}, 1, true},
		"a success that is not booked":                   {[]history.Call{heard(0, 1, history.Success)}, 0, false},
		"a success that is booked twice":                 {[]history.Call{heard(0, 1, history.Success)}, 2, false},
		"a failure that is booked":                       {[]history.Call{heard(0, 1, history.Fail)}, 1, false},
		"a failure that is not":                          {[]history.Call{heard(0, 1, history.Fail)}, 0, true},
		"unknown, and booked":                            {[]history.Call{heard(0, 1, history.Unknown)}, 1, true},
		"unknown, and not booked":                        {[]history.Call{heard(0, 1, history.Unknown)}, 0, true},
		"unknown, then success":                          {[]history.Call{heard(0, 1, history.Unknown), heard(5, 6, history.Success)}, 1, true},
		"unknown, then failure, not booked":              {[]history.Call{heard(0, 1, history.Unknown), heard(5, 6, history.Fail)}, 0, true},
		"success after failure":                          {[]history.Call{heard(0, 1, history.Fail), heard(5, 6, history.Success)}, 1, false},
		"nothing sent after success":                     {[]history.Call{heard(0, 1, history.Success), heard(5, 6, history.NotSent)}, 1, false},
		"nothing sent, then success":                     {[]history.Call{heard(0, 1, history.NotSent), heard(5, 6, history.Success)}, 1, true},
		"nothing sent while another call succeeds":       {[]history.Call{heard(0, 9, history.Success), heard(5, 6, history.NotSent)}, 1, true},
		"nothing sent, beside an unknown one, booked":    {[]history.Call{heard(0, 9, history.Unknown), heard(20, 21, history.NotSent)}, 1, true},
		"nothing sent, and booked":                       {[]history.Call{heard(0, 1, history.NotSent)}, 1, false},
		"nobody heard of it, and it is booked":           {nil, 1, false},
		"two at once hear different ends":                {[]history.Call{heard(0, 9, history.Success), heard(0, 9, history.Fail)}, 1, false},
		"unknown between a success and its repetition":   {[]history.Call{heard(0, 1, history.Success), heard(2, 3, history.Unknown), heard(4, 5, history.Success)}, 1, true},
		"a failure after an unknown call that is booked": {[]history.Call{heard(0, 1, history.Unknown), heard(4, 5, history.Fail)}, 1, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := history.Check(c.calls, map[string]int{"B1": c.deducted})
			if (err == nil) != c.ok {
				t.Errorf("Check: %v, want ok %v", err, c.ok)
			}
		})
	}
}

// Three engines share a ledger whose commits fail now and then; the vendor loses
// answers, and some of its bookings. Tills repeat at random, at any replica.
func TestConcurrentEnginesHaveAHistory(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { concurrent(t, seed) })
		})
	}
}

const brand = "11342"

func concurrent(t *testing.T, seed uint64) {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 7))
	number := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	ledger := redeemtest.NewLedger()
	ledger.FailWith(func(op string) redeemtest.Failure {
		if op != "record" && op != "apply" {
			return redeemtest.Failure{}
		}
		switch number(20) {
		case 0:
			return redeemtest.Failure{Before: redeem.ErrCommitUnclear}
		case 1:
			return redeemtest.Failure{After: redeem.ErrCommitUnclear}
		}
		return redeemtest.Failure{}
	})
	vendor := &redeemtest.Vendor{ID: "alsc", Idempotent: false, Next: func(string, redeem.Leg) redeemtest.Act {
		act := redeemtest.Act{Apply: true, Delay: time.Duration(number(300)) * time.Millisecond}
		switch number(10) {
		case 0:
			act.Lose = true
		case 1:
			act.Apply, act.Lose = false, true
		case 2:
			act.NotSent = true
		case 3:
			act.Linger = 5 * time.Second
		}
		return act
	}}
	engines := make([]*redeem.Engine, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range engines {
		e, err := redeem.New(redeem.Config{
			BrandID: brand, Owner: fmt.Sprint("replica ", i), InDoubt: map[string]redeem.Strategy{"alsc": redeem.QueryFlow},
			Routes: []redeem.Route{{Name: "balance", AssetMappingIDs: []string{"1"}, Asset: redeem.StoredValue, Provider: "alsc"}},
			Limits: map[string]redeem.Limit{"alsc": {PerSecond: 100_000, Concurrent: 100, Failures: 100_000}},
		}, redeem.Deps{
			Ledger: ledger, Providers: map[string]redeem.Provider{"alsc": redeemtest.Asked{Vendor: vendor}}, Render: render,
		})
		if err != nil {
			t.Fatal(err)
		}
		engines[i] = e
		running.Go(func() { _ = e.Run(ctx) })
	}
	calls := pay(ctx, engines, number)
	time.Sleep(5 * time.Minute) // what is in doubt becomes known
	for p := range 40 {
		calls = append(calls, ask(ctx, engines[0], 99, payment(p)))
	}
	cancel()
	running.Wait()

	deducted := map[string]int{}
	for p := range 40 {
		deducted[payment(p)] = vendor.Entry(redeem.UpstreamKey(brand, redeem.Verify, payment(p), 0)).Times
		if w := calls[len(calls)-40+p].Word; w == history.Unknown {
			t.Errorf("%s: not known after five minutes", payment(p))
		}
	}
	if err := history.Check(calls, deducted); err != nil {
		t.Error(err)
	}
	words := map[history.Word]int{}
	for _, c := range calls {
		words[c.Word]++
	}
	if words[history.Success] < 100 || words[history.Unknown] < 10 {
		t.Errorf("heard %v: too little happened for a history to mean anything", words)
	}
}

func payment(n int) string { return fmt.Sprint("B", n) }

// pay has 12 tills call 40 payments eight times each, at random replicas.
func pay(ctx context.Context, engines []*redeem.Engine, number func(int) int) []history.Call {
	var mu sync.Mutex
	var calls []history.Call
	var tills sync.WaitGroup
	for till := range 12 {
		tills.Go(func() {
			for range 40 * 8 / 12 {
				c := ask(ctx, engines[number(len(engines))], till, payment(number(40)))
				mu.Lock()
				calls = append(calls, c)
				mu.Unlock()
				time.Sleep(time.Duration(number(2000)) * time.Millisecond)
			}
		})
	}
	tills.Wait()
	return calls
}

func ask(ctx context.Context, e *redeem.Engine, till int, bizID string) history.Call {
	c := history.Call{Payment: bizID, Till: till, Start: time.Now(), Word: history.Unknown}
	r := e.Verify(ctx, redeem.Request{
		BrandID: brand, BizID: bizID, TransOrderNo: "T" + bizID, PaymentNo: "P" + bizID, MemberID: "1001", ShopID: "1",
		Lines: []redeem.Line{{AssetMappingID: "1", AssetID: "1", Amount: 1000}},
	})
	c.End = time.Now()
	switch {
	case r.Ending == redeem.Rejected:
		c.Word = history.NotSent
	case r.Ending == redeem.Concluded && r.SubCode == redeem.SubOK:
		c.Word = history.Success
	case r.Ending == redeem.Concluded:
		c.Word = history.Fail
	}
	return c
}

func render(r redeem.Redemption) []byte {
	raw, _ := json.Marshal(r.Lines) // texts and numbers
	return raw
}

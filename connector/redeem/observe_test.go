// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

// counted keeps what the engine reports of the answers that it gave.
type counted struct {
	redeem.NoMetrics
	mu       sync.Mutex
	answers  map[string]int
	timeouts map[redeem.Action]int
}

func newCounted() *counted {
	return &counted{answers: map[string]int{}, timeouts: map[redeem.Action]int{}}
}

func (c *counted) Redemption(_ context.Context, _ redeem.Action, outcome, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[outcome]++
}

func (c *counted) ReplyTimeout(_ context.Context, a redeem.Action) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timeouts[a]++
}

func TestAnAnswerIsATimeoutOnlyWhenItsTimeWasOver(t *testing.T) {
	slow, never := redeemtest.Act{Apply: true, Linger: 3 * time.Second}, redeemtest.Act{Apply: true, Linger: 10 * time.Second}
	one := []string{"b1"}
	cases := map[string]struct {
		act     redeemtest.Act
		bizIDs  []string // as they are called, all at once
		asset   string
		hangsUp time.Duration // zero: never
		want    map[redeem.Action]int
		answers map[string]int
	}{
		"in time, if slow":                     {slow, one, "balance", 0, map[redeem.Action]int{}, map[string]int{"executed": 1}},
		"too late":                             {never, one, "balance", 0, map[redeem.Action]int{redeem.Verify: 1}, map[string]int{"unknown": 1}},
		"too late, and so for who repeats it":  {never, []string{"b1", "b1", "b1"}, "balance", 0, map[redeem.Action]int{redeem.Verify: 3}, map[string]int{"unknown": 3}},
		"a lost answer is known to be lost":    {redeemtest.DoesLost, one, "card", 0, map[redeem.Action]int{}, map[string]int{"unknown": 1}},
		"the till went away before":            {never, one, "balance", time.Second, map[redeem.Action]int{}, map[string]int{"unknown": 1}},
		"both tills of a bizId went away, too": {never, []string{"b1", "b1"}, "balance", time.Second, map[redeem.Action]int{}, map[string]int{"unknown": 2}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				metrics := newCounted()
				w.deps.Metrics = metrics
				w.alsc.Next, w.zhimai.Next = always(tc.act), always(tc.act)
				e := w.engine()
				ctx, hangUp := context.WithCancel(t.Context())
				defer hangUp()
				if tc.hangsUp > 0 {
					time.AfterFunc(tc.hangsUp, hangUp)
				}
				var wg sync.WaitGroup
				for _, id := range tc.bizIDs {
					wg.Go(func() { e.Verify(ctx, request(id, pay(tc.asset, 1000))) })
				}
				wg.Wait()
				if d := cmp.Diff(tc.want, metrics.timeouts); d != "" {
					t.Errorf("timeouts (-want +got):\n%s", d)
				}
				if d := cmp.Diff(tc.answers, metrics.answers); d != "" {
					t.Errorf("answers (-want +got):\n%s", d)
				}
				time.Sleep(time.Minute) // what still flies lands
				synctest.Wait()
			})
		})
	}
}

func TestAReversalsTimeoutIsItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		metrics := newCounted()
		w.deps.Metrics = metrics
		e := w.engine()
		wantEnding(t, e.Verify(t.Context(), request("b1", pay("balance", 1000))), redeem.Concluded, redeem.SubOK)
		w.alsc.Next = always(redeemtest.Act{Apply: true, Linger: 10 * time.Second})
		wantEnding(t, e.Reverse(t.Context(), undo("r1", "b1", pay("balance", 1000))), redeem.InDoubt, "")
		if d := cmp.Diff(map[redeem.Action]int{redeem.ReverseVerify: 1}, metrics.timeouts); d != "" {
			t.Errorf("timeouts (-want +got):\n%s", d)
		}
		time.Sleep(time.Minute) // what still flies lands
		synctest.Wait()
	})
}

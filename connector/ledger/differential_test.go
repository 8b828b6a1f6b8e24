// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

// TestBackendsAgree runs random operations on both databases: every result is the same, money never leaves its bounds, and the chains verify.
func TestBackendsAgree(t *testing.T) {
	both := [2]*Ledger{openConfig(t, sqliteConfig(t)), openConfig(t, Config{DSN: pgtest.DSN(t)})}
	var brands atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{rt: rt, t: t, both: both, brand: fmt.Sprint("brand", brands.Add(1)), now: ledgertest.T0}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check, "record": m.record, "reverse": m.reverse, "apply": m.apply, "settle": m.settle, "lease": m.lease, "seal": m.seal, "retain": m.retain,
		})
		for _, l := range both {
			if r, err := l.Verify(t.Context(), m.brand); err != nil || r.Break != nil {
				rt.Fatalf("verify: %v, break %v", err, r.Break)
			}
		}
	})
}

type machine struct {
	rt    *rapid.T
	t     *testing.T
	both  [2]*Ledger
	brand string
	now   time.Time
}

// same runs op on both and compares result and kind of error.
func same[T any](m *machine, rt *rapid.T, what string, op func(l *Ledger) (T, error)) T {
	var results [2]T
	var kinds [2]string
	for i, l := range m.both {
		var err error
		results[i], err = op(l)
		kinds[i] = kindOf(rt, err)
	}
	if diff := cmp.Diff(results[0], results[1]); diff != "" || kinds[0] != kinds[1] {
		rt.Fatalf("%s: SQLite says %s, PostgreSQL %s; (-SQLite +PostgreSQL):\n%s", what, kinds[0], kinds[1], diff)
	}
	return results[0]
}

func kindOf(rt *rapid.T, err error) string {
	kind := ""
	for _, e := range []error{redeem.ErrNotFound, redeem.ErrFenced, redeem.ErrOverReversed, redeem.ErrReversalPending, redeem.ErrRetired, ErrIllegal} {
		if errors.Is(err, e) {
			kind += e.Error() + "; "
		}
	}
	if err != nil && kind == "" {
		rt.Fatalf("an error of no kind: %v", err)
	}
	return kind
}

func (m *machine) tick() time.Time {
	m.now = m.now.Add(time.Second)
	return m.now
}

func (m *machine) bizID(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "bizID")
}

func (m *machine) pick(rt *rapid.T) (redeem.Redemption, bool) {
	k := redeem.Key{BrandID: m.brand, Action: rapid.SampledFrom([]redeem.Action{redeem.Verify, redeem.Verify, redeem.ReverseVerify}).Draw(rt, "action"), BizID: m.bizID(rt)}
	r, err := m.both[0].Get(m.t.Context(), k)
	return r, err == nil
}

func (m *machine) put(rt *rapid.T, r redeem.Redemption) {
	r.BrandID, r.FlowID, r.CreatedAt = m.brand, "F"+string(r.Action)+r.BizID, m.tick()
	same(m, rt, "record", func(l *Ledger) (struct {
		R redeem.Redemption
		C bool
	}, error) {
		stored, created, err := l.Record(m.t.Context(), r)
		return struct {
			R redeem.Redemption
			C bool
		}{stored, created}, err
	})
}

func (m *machine) record(rt *rapid.T) { m.put(rt, ledgertest.New(m.bizID(rt))) }

func (m *machine) reverse(rt *rapid.T) {
	m.put(rt, ledgertest.Reversal(m.bizID(rt), m.bizID(rt), redeem.Fen(rapid.Int64Range(1, 700).Draw(rt, "fen")), rapid.Int64Range(0, 2).Draw(rt, "coupons")))
}

func (m *machine) change(rt *rapid.T, c redeem.Change) {
	same(m, rt, "apply", func(l *Ledger) (redeem.Redemption, error) { return l.Apply(m.t.Context(), c) })
}

// apply makes a change that may be legal or not.
func (m *machine) apply(rt *rapid.T) {
	r, ok := m.pick(rt)
	if !ok {
		return
	}
	c := redeem.Change{Key: r.Key(), At: m.tick(), Actor: "engine", Contradiction: rapid.IntRange(0, 9).Draw(rt, "alarm") == 0}
	for _, g := range r.Legs {
		if !rapid.Bool().Draw(rt, "this leg") {
			continue
		}
		lc := redeem.LegChange{No: g.No, From: g.State, Epoch: g.Epoch, To: rapid.SampledFrom(append([]redeem.State{""}, ledgertest.States...)).Draw(rt, "to")}
		if rapid.IntRange(0, 4).Draw(rt, "old epoch") == 0 {
			lc.Epoch--
		}
		if rapid.Bool().Draw(rt, "check") {
			lc.NextCheck = m.now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "seconds")) * time.Second)
		}
		c.Legs = append(c.Legs, lc)
	}
	if rapid.IntRange(0, 3).Draw(rt, "answer") == 0 {
		c.Answer = []byte("answer")
	}
	m.change(rt, c)
}

// settle concludes as an engine would.
func (m *machine) settle(rt *rapid.T) {
	r, ok := m.pick(rt)
	if !ok {
		return
	}
	c := ledgertest.Executed(r, m.tick())
	if rapid.Bool().Draw(rt, "refused") {
		c = ledgertest.Refused(r, m.now)
		c.ReleaseReversal = r.Action == redeem.ReverseVerify
	}
	m.change(rt, c)
}

func (m *machine) lease(rt *rapid.T) {
	now := m.tick().Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "later")) * time.Second)
	type leased map[string]redeem.Redemption
	var got [2]leased
	for i, l := range m.both {
		legs, err := l.Lease(m.t.Context(), m.brand, "resolver", now, now.Add(10*time.Second), 100)
		if err != nil {
			rt.Fatal(err)
		}
		got[i] = leased{}
		for _, x := range legs {
			got[i][fmt.Sprint(x.Redemption.Action, x.Redemption.BizID, x.LegNo)] = x.Redemption
		}
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		rt.Fatalf("lease (-SQLite +PostgreSQL):\n%s", diff)
	}
}

func (m *machine) seal(rt *rapid.T) {
	now := m.tick()
	// The hashes differ, for each writer draws its own write id.
	same(m, rt, "seal", func(l *Ledger) ([2]int64, error) {
		s, err := l.Seal(m.t.Context(), m.brand, now)
		return [2]int64{s.No, s.Members}, err
	})
}

func (m *machine) retain(rt *rapid.T) {
	if rapid.IntRange(0, 5).Draw(rt, "retain") != 0 {
		return
	}
	now := m.tick()
	same(m, rt, "retain", func(l *Ledger) (int64, error) { return l.Retain(m.t.Context(), m.brand, now.Add(-2*time.Second), now) })
}

// check compares everything that can be read.
func (m *machine) check(rt *rapid.T) {
	all := same(m, rt, "search", func(l *Ledger) ([]redeem.Redemption, error) {
		return l.Search(m.t.Context(), redeem.Query{BrandID: m.brand}, 100)
	})
	same(m, rt, "in doubt", func(l *Ledger) ([]redeem.Doubt, error) { return l.InDoubt(m.t.Context(), m.brand) })
	for _, r := range all {
		for _, line := range r.Lines {
			if res := line.Result; res.Reversed < 0 || res.Reversed > res.Total || res.ReversedCount < 0 || res.ReversedCount > line.Count {
				rt.Fatalf("%s: reversed %d fen of %d, %d of %d", r.BizID, res.Reversed, res.Total, res.ReversedCount, line.Count)
			}
		}
		if r.Answer != nil {
			for _, g := range r.Legs {
				if !settled(g.State) {
					rt.Fatalf("%s has an answer and leg %d is %s", r.BizID, g.No, g.State)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package redeemtest has what tests of the redemption engine stand on: a ledger in
// memory that keeps every promise of redeem.Ledger and can be told to fail at any
// commit, and a vendor with books of its own that can be told to do its worst.
// Nothing here is for production: what it remembers dies with the process.
package redeemtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Failure is what a ledger call does instead of succeeding.
type Failure struct {
	Before error // returned with nothing written
	After  error // returned with everything written
}

// Ledger is a redeem.Ledger in memory.
type Ledger struct {
	mu     sync.Mutex
	rows   map[redeem.Key]*redeem.Redemption
	events map[redeem.Key][]redeem.Event
	fail   func(op string) Failure
}

// NewLedger is an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{rows: map[redeem.Key]*redeem.Redemption{}, events: map[redeem.Key][]redeem.Event{}}
}

// FailWith consults f before every call; op is the method's name in lower case. nil
// ends the failing.
func (l *Ledger) FailWith(f func(op string) Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = f
}

func (l *Ledger) failure(op string) Failure {
	if l.fail == nil {
		return Failure{}
	}
	return l.fail(op)
}

func clone(r redeem.Redemption) redeem.Redemption {
	r.Lines, r.Legs, r.Answer = slices.Clone(r.Lines), slices.Clone(r.Legs), slices.Clone(r.Answer)
	return r
}

// Record implements redeem.Ledger.
func (l *Ledger) Record(_ context.Context, r redeem.Redemption) (redeem.Redemption, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failure("record")
	if f.Before != nil {
		return redeem.Redemption{}, false, f.Before
	}
	if old, ok := l.rows[r.Key()]; ok {
		return clone(*old), false, f.After
	}
	if r.ReversesBizID != "" {
		if err := l.reserve(r); err != nil {
			return redeem.Redemption{}, false, err
		}
	}
	row := clone(r)
	for i := range row.Legs {
		row.Legs[i].State, row.Legs[i].Epoch = redeem.StateSent, 1
	}
	l.rows[r.Key()] = &row
	l.note(r.Key(), redeem.Event{LegNo: -1, Kind: "recorded", Actor: "engine", At: r.CreatedAt})
	return clone(row), true, f.After
}

func (l *Ledger) original(r redeem.Redemption) (*redeem.Redemption, bool) {
	o, ok := l.rows[redeem.Key{BrandID: r.BrandID, Action: redeem.Verify, BizID: r.ReversesBizID}]
	return o, ok
}

func (l *Ledger) reserve(r redeem.Redemption) error {
	o, ok := l.original(r)
	if !ok {
		return redeem.ErrNotFound
	}
	for _, g := range o.Legs {
		if !g.State.Final() {
			return redeem.ErrReversalPending
		}
	}
	lines := slices.Clone(o.Lines)
	for _, x := range r.Lines {
		i := slices.IndexFunc(lines, func(y redeem.Line) bool { return same(x, y) })
		if i < 0 || lines[i].Result.Kind != redeem.Executed {
			return redeem.ErrOverReversed
		}
		res := &lines[i].Result
		if lines[i].Asset == redeem.StoredValue {
			res.Reversed += x.Amount
		} else {
			res.ReversedCount += x.Count
		}
		if res.Reversed > res.Total || res.ReversedCount > lines[i].Count {
			return redeem.ErrOverReversed
		}
	}
	o.Lines = lines
	return nil
}

func same(a, b redeem.Line) bool {
	return a.AssetMappingID == b.AssetMappingID && a.AssetID == b.AssetID
}

func (l *Ledger) release(r redeem.Redemption, lines []redeem.Line) {
	o, ok := l.original(r)
	if !ok {
		return
	}
	for _, x := range lines {
		i := slices.IndexFunc(o.Lines, func(y redeem.Line) bool { return same(x, y) })
		if i < 0 || x.Result.Kind != redeem.Refused {
			continue
		}
		if o.Lines[i].Asset == redeem.StoredValue {
			o.Lines[i].Result.Reversed -= x.Amount
		} else {
			o.Lines[i].Result.ReversedCount -= x.Count
		}
	}
}

// Get implements redeem.Ledger.
func (l *Ledger) Get(_ context.Context, key redeem.Key) (redeem.Redemption, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.failure("get"); f.Before != nil {
		return redeem.Redemption{}, f.Before
	}
	r, ok := l.rows[key]
	if !ok {
		return redeem.Redemption{}, redeem.ErrNotFound
	}
	return clone(*r), nil
}

// ByFlowID implements redeem.Ledger.
func (l *Ledger) ByFlowID(ctx context.Context, brandID, flowID string) (redeem.Redemption, error) {
	found, err := l.Search(ctx, redeem.Query{BrandID: brandID, FlowID: flowID}, 1)
	if err != nil || len(found) == 0 {
		return redeem.Redemption{}, cmp.Or(err, redeem.ErrNotFound)
	}
	return found[0], nil
}

// Search implements redeem.Ledger.
func (l *Ledger) Search(_ context.Context, q redeem.Query, limit int) ([]redeem.Redemption, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.failure("search"); f.Before != nil {
		return nil, f.Before
	}
	var out []redeem.Redemption
	for _, r := range l.rows {
		if matches(q, *r) {
			out = append(out, clone(*r))
		}
	}
	slices.SortFunc(out, func(a, b redeem.Redemption) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.BizID, a.BizID))
	})
	return out[:min(limit, len(out))], nil
}

func matches(q redeem.Query, r redeem.Redemption) bool {
	for _, pair := range [][2]string{
		{q.BrandID, r.BrandID}, {q.BizID, r.BizID}, {q.TransOrderNo, r.TransOrderNo}, {q.PaymentNo, r.PaymentNo},
		{q.TraceID, r.TraceID}, {q.FlowID, r.FlowID}, {string(q.Action), string(r.Action)},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	inState := q.State == "" || slices.ContainsFunc(r.Legs, func(g redeem.Leg) bool { return g.State == q.State })
	return inState && (!q.Unanswered || r.Answer == nil) &&
		(q.From.IsZero() || !r.CreatedAt.Before(q.From)) && (q.To.IsZero() || r.CreatedAt.Before(q.To))
}

// Apply implements redeem.Ledger.
func (l *Ledger) Apply(_ context.Context, c redeem.Change) (redeem.Redemption, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failure("apply")
	if f.Before != nil {
		return redeem.Redemption{}, f.Before
	}
	row, ok := l.rows[c.Key]
	if !ok {
		return redeem.Redemption{}, redeem.ErrNotFound
	}
	next := clone(*row)
	var events []redeem.Event
	for _, change := range c.Legs {
		e, err := move(&next, change, c.At)
		if err != nil {
			return redeem.Redemption{}, err
		}
		events = append(events, e)
	}
	for _, x := range c.Lines {
		i := slices.IndexFunc(next.Lines, func(y redeem.Line) bool { return y.No == x.No })
		if i < 0 {
			return redeem.Redemption{}, fmt.Errorf("line %d: %w", x.No, redeem.ErrNotFound)
		}
		x.Result.Reversed, x.Result.ReversedCount = next.Lines[i].Result.Reversed, next.Lines[i].Result.ReversedCount
		next.Lines[i].Result = x.Result
	}
	if c.Answer != nil {
		if next.Answer != nil || slices.ContainsFunc(next.Legs, func(g redeem.Leg) bool { return !g.State.Final() }) {
			return redeem.Redemption{}, redeem.ErrFenced
		}
		next.Answer, next.ConcludedAt = slices.Clone(c.Answer), c.At
		events = append(events, redeem.Event{LegNo: -1, Kind: "answer"})
	}
	if c.ReleaseReversal {
		l.release(next, c.Lines)
	}
	next.MemberName = cmp.Or(c.MemberName, next.MemberName)
	next.Contradiction = next.Contradiction || c.Contradiction
	next.UpdatedAt = c.At
	*row = next
	for _, e := range append(events, c.Events...) {
		e.At, e.Actor = c.At, cmp.Or(e.Actor, c.Actor)
		l.note(c.Key, e)
	}
	return clone(next), f.After
}

func move(r *redeem.Redemption, c redeem.LegChange, at time.Time) (redeem.Event, error) {
	i := slices.IndexFunc(r.Legs, func(g redeem.Leg) bool { return g.No == c.No })
	if i < 0 {
		return redeem.Event{}, redeem.ErrNotFound
	}
	g := &r.Legs[i]
	if g.State != c.From || g.Epoch != c.Epoch {
		return redeem.Event{}, redeem.ErrFenced
	}
	e := redeem.Event{LegNo: c.No, Kind: "evidence", From: g.State, To: g.State}
	if c.To != "" {
		if !slices.Contains(redeem.Edges[g.State], c.To) {
			return redeem.Event{}, fmt.Errorf("no edge from %s to %s", g.State, c.To)
		}
		e.Kind, e.To = "state", c.To
		g.State = c.To
		switch c.To {
		case redeem.StateSent:
			g.SentAt = at
		case redeem.StateUnknown:
			if g.UnknownAt.IsZero() {
				g.UnknownAt = at
			}
		case redeem.StateExecuted, redeem.StateRefused:
			g.ResolvedAt = at
		}
	}
	if c.NewEpoch != 0 {
		g.Epoch = c.NewEpoch
	}
	if c.Outcome != nil {
		g.Outcome = *c.Outcome
	}
	g.LeaseOwner, g.LeaseUntil, g.NextCheck, g.Checks, g.NotFound = c.LeaseOwner, c.LeaseUntil, c.NextCheck, c.Checks, c.NotFound
	return e, nil
}

// Lease implements redeem.Ledger.
func (l *Ledger) Lease(_ context.Context, brandID, owner string, now, until time.Time, n int) ([]redeem.Leased, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.failure("lease"); f.Before != nil {
		return nil, f.Before
	}
	var out []redeem.Leased
	for _, key := range l.keys() {
		r := l.rows[key]
		for i := range r.Legs {
			g := &r.Legs[i]
			if r.BrandID != brandID || len(out) == n || !due(*g, now) {
				continue
			}
			if g.State == redeem.StateSent {
				g.State, g.UnknownAt = redeem.StateUnknown, now
			}
			g.Epoch++
			g.LeaseOwner, g.LeaseUntil = owner, until
			l.note(key, redeem.Event{LegNo: g.No, Kind: "lease", Actor: owner, At: now})
			out = append(out, redeem.Leased{LegNo: g.No})
			out[len(out)-1].Redemption = redeem.Redemption{BrandID: key.BrandID, Action: key.Action, BizID: key.BizID}
		}
	}
	for i := range out { // as they are after all leases
		out[i].Redemption = clone(*l.rows[out[i].Redemption.Key()])
	}
	return out, nil
}

func due(g redeem.Leg, now time.Time) bool {
	free := g.LeaseOwner == "" || !g.LeaseUntil.After(now)
	switch g.State {
	case redeem.StateSent:
		return !g.LeaseUntil.After(now)
	case redeem.StateUnknown, redeem.StateNotSent:
		return free && !g.NextCheck.IsZero() && !g.NextCheck.After(now)
	}
	return false
}

func (l *Ledger) keys() []redeem.Key {
	keys := make([]redeem.Key, 0, len(l.rows))
	for k := range l.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b redeem.Key) int {
		return cmp.Or(cmp.Compare(a.BizID, b.BizID), cmp.Compare(a.Action, b.Action))
	})
	return keys
}

// All is every redemption, in the order of their keys.
func (l *Ledger) All() []redeem.Redemption {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []redeem.Redemption
	for _, k := range l.keys() {
		out = append(out, clone(*l.rows[k]))
	}
	return out
}

// InDoubt implements redeem.Ledger.
func (l *Ledger) InDoubt(_ context.Context, brandID string) ([]redeem.Doubt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := map[string]*redeem.Doubt{}
	var names []string
	for _, k := range l.keys() {
		for _, g := range l.rows[k].Legs {
			if k.BrandID != brandID || g.State != redeem.StateUnknown {
				continue
			}
			d := by[g.Provider]
			if d == nil {
				d = &redeem.Doubt{Provider: g.Provider, Oldest: g.UnknownAt}
				by[g.Provider] = d
				names = append(names, g.Provider)
			}
			d.Count++
			if g.NextCheck.IsZero() {
				d.Manual++
			}
			if g.UnknownAt.Before(d.Oldest) {
				d.Oldest = g.UnknownAt
			}
		}
	}
	slices.Sort(names)
	var out []redeem.Doubt
	for _, n := range names {
		out = append(out, *by[n])
	}
	return out, nil
}

// Events implements redeem.Ledger. The events are not hash-chained here.
func (l *Ledger) Events(_ context.Context, key redeem.Key) ([]redeem.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[key]), nil
}

func (l *Ledger) note(key redeem.Key, e redeem.Event) {
	e.Key, e.Seq = key, int64(len(l.events[key])+1)
	l.events[key] = append(l.events[key], e)
}

// Ping implements redeem.Ledger.
func (l *Ledger) Ping(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure("ping").Before
}

// Close implements redeem.Ledger.
func (l *Ledger) Close() error { return nil }

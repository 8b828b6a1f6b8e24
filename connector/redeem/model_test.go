// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

// mortal is a process: its view of the ledger and its way to the vendors. It dies at
// a ledger call that was drawn, before or after that call is kept, and then nothing
// of it reaches anybody.
type mortal struct {
	*redeemtest.Ledger
	mu    sync.Mutex
	fates []fate
	dead  bool
}

type fate string

const (
	lives      fate = "lives"
	failsAfter fate = "kept, but says it failed"
	failsUnk   fate = "not kept, and says it may be"
	diesBefore fate = "dies before"
	diesAfter  fate = "dies after"
)

func (m *mortal) next() fate {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return diesBefore
	}
	if len(m.fates) == 0 {
		return lives
	}
	f := m.fates[0]
	m.fates = m.fates[1:]
	if f == diesBefore || f == diesAfter {
		m.dead = true
	}
	return f
}

func (m *mortal) isDead() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.dead }

func (m *mortal) plan(f []fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fates = f
}

// live makes a call under its fate.
func live[T any](m *mortal, call func() (T, error)) (zero T, _ error) {
	switch f := m.next(); f {
	case diesBefore:
		return zero, errDead
	case failsUnk:
		return zero, redeem.ErrCommitUnclear
	case failsAfter, diesAfter:
		if _, err := call(); err != nil {
			return zero, err
		}
		if f == diesAfter {
			return zero, errDead
		}
		return zero, redeem.ErrCommitUnclear
	}
	return call()
}

type recorded struct {
	r       redeem.Redemption
	created bool
}

func (m *mortal) Record(ctx context.Context, r redeem.Redemption) (redeem.Redemption, bool, error) {
	got, err := live(m, func() (recorded, error) {
		s, c, err := m.Ledger.Record(ctx, r)
		return recorded{s, c}, err
	})
	return got.r, got.created, err
}

func (m *mortal) Apply(ctx context.Context, c redeem.Change) (redeem.Redemption, error) {
	return live(m, func() (redeem.Redemption, error) { return m.Ledger.Apply(ctx, c) })
}

func (m *mortal) Get(ctx context.Context, k redeem.Key) (redeem.Redemption, error) {
	if m.isDead() {
		return redeem.Redemption{}, errDead
	}
	return m.Ledger.Get(ctx, k)
}

func (m *mortal) Search(ctx context.Context, q redeem.Query, n int) ([]redeem.Redemption, error) {
	if m.isDead() {
		return nil, errDead
	}
	return m.Ledger.Search(ctx, q, n)
}

func (m *mortal) ByFlowID(ctx context.Context, b, f string) (redeem.Redemption, error) {
	if m.isDead() {
		return redeem.Redemption{}, errDead
	}
	return m.Ledger.ByFlowID(ctx, b, f)
}

func (m *mortal) Lease(ctx context.Context, b, owner string, now, until time.Time, n int) ([]redeem.Leased, error) {
	return live(m, func() ([]redeem.Leased, error) { return m.Ledger.Lease(ctx, b, owner, now, until, n) })
}

// wire is a process's way to a vendor: a dead process sends nothing.
type wire struct {
	redeemtest.Repeating
	m *mortal
}

var gone = redeem.Outcome{Kind: redeem.NotSent, Class: "dead"}

func (w wire) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	if w.m.isDead() {
		return gone
	}
	return w.Repeating.Send(ctx, s)
}

func (w wire) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	if w.m.isDead() {
		return gone
	}
	return w.Repeating.Reverse(ctx, s)
}

func (w wire) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	if w.m.isDead() {
		return gone
	}
	return w.Repeating.Repeat(ctx, s)
}

// machine drives two replicas at random and asks the vendors' books after each step.
type machine struct {
	w        *world
	replicas [2]*redeem.Engine
	lives    [2]*mortal
	sales    []*sale
	n        int
	acts     map[string]*[]redeemtest.Act
	mu       sync.Mutex
}

// sale is a request and everything that its till was told.
type sale struct {
	req    redeem.Request
	answer []byte // the first concluded one
}

func newMachine(t *rapid.T, tb testing.TB) *machine {
	m := &machine{w: newWorld(tb), acts: map[string]*[]redeemtest.Act{"alsc": {}, "zhimai": {}}}
	m.w.cfg.PartialFailure = rapid.SampledFrom([]redeem.PartialPolicy{redeem.ReportPartial, redeem.ReversePartial}).Draw(t, "policy")
	m.w.cfg.InDoubt = map[string]redeem.Strategy{
		"alsc":   rapid.SampledFrom([]redeem.Strategy{redeem.QueryFlow, redeem.ReplaySameRequestID, redeem.Manual}).Draw(t, "alsc in doubt"),
		"zhimai": rapid.SampledFrom([]redeem.Strategy{redeem.QueryBills, redeem.Manual}).Draw(t, "zhimai in doubt"),
	}
	m.w.zhimai.NotReversible = rapid.Bool().Draw(t, "zhimai cannot reverse")
	for _, v := range []*redeemtest.Vendor{m.w.alsc, m.w.zhimai} {
		v.Next = func(string, redeem.Leg) redeemtest.Act { return m.pop(v.ID) }
	}
	for i := range m.replicas {
		m.start(i)
	}
	return m
}

func (m *machine) pop(vendor string) redeemtest.Act {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.acts[vendor]
	if len(*q) == 0 {
		return redeemtest.Does
	}
	a := (*q)[0]
	*q = (*q)[1:]
	return a
}

// start brings replica i up anew.
func (m *machine) start(i int) {
	life := &mortal{Ledger: m.w.ledger}
	m.lives[i] = life
	d := m.w.deps
	d.Ledger = life
	d.Providers = map[string]redeem.Provider{
		"alsc":   wire{redeemtest.Repeating{Asked: redeemtest.Asked{Vendor: m.w.alsc}}, life},
		"zhimai": wire{redeemtest.Repeating{Asked: redeemtest.Asked{Vendor: m.w.zhimai}}, life},
	}
	e, err := redeem.New(m.w.cfg, d)
	if err != nil {
		panic(err)
	}
	m.replicas[i] = e
}

// chaos draws what the vendors and the ledger do during the next step.
func (m *machine) chaos(t *rapid.T) {
	delay := rapid.SampledFrom([]time.Duration{0, 0, 100 * time.Millisecond, 5 * time.Second, 20 * time.Second, 50 * time.Second})
	act := rapid.Custom(func(t *rapid.T) redeemtest.Act {
		a := redeemtest.Act{Delay: delay.Draw(t, "delay"), Linger: delay.Draw(t, "linger")}
		switch rapid.SampledFrom([]string{"does", "does", "refuses", "unreached", "lost", "lost before", "panics"}).Draw(t, "act") {
		case "does":
			a.Apply = true
		case "refuses":
			a.Refuse = true
		case "unreached":
			a.NotSent = true
		case "lost":
			a.Apply, a.Lose = true, true
		case "lost before":
			a.Lose = true
		case "panics":
			a.Apply, a.Panic = true, true
		}
		return a
	})
	m.mu.Lock()
	for _, vendor := range []string{"alsc", "zhimai"} {
		*m.acts[vendor] = rapid.SliceOfN(act, 0, 4).Draw(t, vendor)
	}
	m.mu.Unlock()
	fates := rapid.SliceOfN(rapid.SampledFrom([]fate{lives, lives, lives, lives, lives, failsAfter, failsUnk, diesBefore, diesAfter}), 0, 4)
	for i, l := range m.lives {
		l.plan(fates.Draw(t, fmt.Sprint("fates of replica ", i)))
	}
}

// calm ends the chaos, brings the dead back up, and lets the vendors end their work.
func (m *machine) calm() {
	m.mu.Lock()
	*m.acts["alsc"], *m.acts["zhimai"] = nil, nil
	m.mu.Unlock()
	for i, l := range m.lives {
		l.plan(nil)
		if l.isDead() {
			m.start(i)
		}
	}
}

func (m *machine) lines(t *rapid.T) []redeem.Line {
	all := []redeem.Line{pay("balance", 1000), pay("card", 300), coupon("C1")}
	lines := rapid.Permutation(all).Draw(t, "lines")
	return lines[:rapid.IntRange(1, len(lines)).Draw(t, "how many")]
}

// call sends s to replica i, as action says, and holds what was said against the books.
func (m *machine) call(t *rapid.T, i int, s *sale) {
	e, life := m.replicas[i], m.lives[i]
	do := e.Verify
	if s.req.Action == redeem.ReverseVerify {
		do = e.Reverse
	}
	got := do(context.Background(), s.req)
	if life.isDead() {
		return // nobody heard it
	}
	m.heard(t, s, got)
}

func (m *machine) heard(t *rapid.T, s *sale, got redeem.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch got.Ending {
	case redeem.Concluded:
		if s.answer == nil {
			s.answer = got.Answer
		}
		if string(s.answer) != string(got.Answer) {
			t.Fatalf("%s was told %s, and then %s", s.req.BizID, s.answer, got.Answer)
		}
	case redeem.Rejected:
		if s.answer != nil {
			t.Fatalf("%s was told %s, and then that nothing was sent: %v", s.req.BizID, s.answer, got.Rejection)
		}
		if net := m.net(s); net != 0 {
			t.Fatalf("%s was told that nothing was sent (%v), and %d bookings stand", s.req.BizID, got.Rejection, net)
		}
	}
}

// net counts the bookings of a sale that stand at the vendors.
func (m *machine) net(s *sale) int {
	n := 0
	for leg := range 2 {
		for _, v := range []*redeemtest.Vendor{m.w.alsc, m.w.zhimai} {
			k := redeem.UpstreamKey(brand, s.req.Action, s.req.BizID, leg)
			n += v.Entry(k).Times - len(v.Reversals(k))
		}
	}
	return n
}

func (m *machine) New(t *rapid.T) {
	m.chaos(t)
	m.n++
	s := &sale{req: request(fmt.Sprint("b", m.n), m.lines(t)...)}
	s.req.Action = redeem.Verify
	m.sales = append(m.sales, s)
	m.call(t, rapid.IntRange(0, 1).Draw(t, "replica"), s)
}

func (m *machine) Concurrent(t *rapid.T) {
	m.chaos(t)
	m.n++
	s := &sale{req: request(fmt.Sprint("b", m.n), m.lines(t)...)}
	s.req.Action = redeem.Verify
	m.sales = append(m.sales, s)
	m.crowd(t, s)
}

// crowd sends s four times at once, to both replicas.
func (m *machine) crowd(t *rapid.T, s *sale) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	type said struct {
		got  redeem.Result
		life *mortal
	}
	var all []said
	for i := range 4 {
		wg.Go(func() {
			e, life := m.replicas[i%2], m.lives[i%2]
			do := e.Verify
			if s.req.Action == redeem.ReverseVerify {
				do = e.Reverse
			}
			got := do(context.Background(), s.req)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, said{got, life})
		})
	}
	wg.Wait()
	for _, x := range all {
		// A rejection may be overtaken by a repeat that sent; bytes may not differ.
		if !x.life.isDead() && x.got.Ending == redeem.Concluded {
			m.heard(t, s, x.got)
		}
	}
}

func (m *machine) any(t *rapid.T) *sale {
	if len(m.sales) == 0 {
		t.Skip("nothing was sold yet")
	}
	return m.sales[rapid.IntRange(0, len(m.sales)-1).Draw(t, "sale")]
}

func (m *machine) Repeat(t *rapid.T) {
	s := m.any(t)
	m.chaos(t)
	s.req.PaymentToken += "'"
	m.call(t, rapid.IntRange(0, 1).Draw(t, "replica"), s)
}

func (m *machine) RepeatAtOnce(t *rapid.T) {
	s := m.any(t)
	m.chaos(t)
	m.crowd(t, s)
}

func (m *machine) RepeatChanged(t *rapid.T) {
	s := m.any(t)
	m.calm()
	before := len(m.w.alsc.Calls()) + len(m.w.zhimai.Calls())
	changed := *s
	changed.req.ShopID += "x"
	_, err := m.w.ledger.Get(context.Background(), redeem.Key{BrandID: brand, Action: s.req.Action, BizID: s.req.BizID})
	if errors.Is(err, redeem.ErrNotFound) {
		t.Skip("it never got so far")
	}
	do := m.replicas[0].Verify
	if s.req.Action == redeem.ReverseVerify {
		do = m.replicas[0].Reverse
	}
	if got := do(context.Background(), changed.req); got.Ending != redeem.Rejected || got.SubCode != redeem.SubConflict {
		t.Fatalf("another content under %s: %s %s", s.req.BizID, got.Ending, got.SubCode)
	}
	if after := len(m.w.alsc.Calls()) + len(m.w.zhimai.Calls()); after != before && !m.flying() {
		t.Fatalf("a conflict made %d calls", after-before)
	}
}

// flying says whether a call of an earlier step may still be under way.
func (m *machine) flying() bool {
	return slices.ContainsFunc(m.w.ledger.All(), func(r redeem.Redemption) bool {
		return slices.ContainsFunc(r.Legs, func(l redeem.Leg) bool { return !l.State.Final() })
	})
}

func (m *machine) Reversal(t *rapid.T) {
	s := m.any(t)
	if s.req.Action != redeem.Verify {
		t.Skip("reverses a reversal")
	}
	m.chaos(t)
	m.n++
	var lines []redeem.Line
	for _, l := range s.req.Lines {
		if l.Amount > 0 {
			l.Amount = redeem.Fen(rapid.Int64Range(1, int64(l.Amount)).Draw(t, "fen"))
		}
		lines = append(lines, l)
	}
	r := &sale{req: undo(fmt.Sprint("r", m.n), s.req.BizID, lines...)}
	r.req.Action = redeem.ReverseVerify
	m.sales = append(m.sales, r)
	m.call(t, rapid.IntRange(0, 1).Draw(t, "replica"), r)
}

func (m *machine) Crash(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "replica")
	m.lives[i].plan([]fate{diesBefore})
	_, _ = m.replicas[i].ResolveDue(context.Background())
	m.start(i)
}

func (m *machine) Tick(t *rapid.T) {
	m.chaos(t)
	time.Sleep(rapid.SampledFrom([]time.Duration{0, time.Second, 12 * time.Second, 25 * time.Second, 2 * time.Minute, 15 * time.Minute}).Draw(t, "wait"))
	for _, e := range m.replicas {
		_, _ = e.ResolveDue(context.Background())
	}
}

// Person decides every leg that no machine can, by what stands in the books once the
// vendors have ended their work.
func (m *machine) Person(*rapid.T) {
	m.calm()
	time.Sleep(11 * time.Minute) // earlier, nothing may be called refused
	m.decide()
}

func (m *machine) decide() {
	for _, r := range m.w.ledger.All() {
		for _, l := range r.Legs {
			if l.State != redeem.StateUnknown || !l.NextCheck.IsZero() {
				continue
			}
			v := m.w.alsc
			if l.Provider == "zhimai" {
				v = m.w.zhimai
			}
			verdict := redeem.Refused
			if v.Entry(l.Key).Times > 0 {
				verdict = redeem.Executed
			}
			_, _ = m.replicas[0].Resolve(context.Background(), redeem.Decision{Key: r.Key(), Leg: l.No, Verdict: verdict, Who: "li", Reason: "by the books"})
		}
	}
}

// check is the oracle: it knows the vendors' books and what the tills were told.
func (m *machine) check(t *rapid.T) {
	for _, r := range m.w.ledger.All() {
		if r.Contradiction {
			t.Fatalf("%s: contradiction", r.BizID)
		}
		for _, l := range r.Legs {
			v := m.w.alsc
			if l.Provider == "zhimai" {
				v = m.w.zhimai
			}
			e := v.Entry(l.Key)
			if e.Times > 1 {
				t.Fatalf("%s leg %d was booked %d times", r.BizID, l.No, e.Times)
			}
			var back redeem.Fen
			for _, x := range v.Reversals(l.Key) {
				back += x.Amount
			}
			if back > e.Amount {
				t.Fatalf("%s leg %d: %d fen of %d were given back", r.BizID, l.No, back, e.Amount)
			}
			if r.Answer != nil {
				m.checkSaid(t, r, l, e, back)
			}
		}
	}
	for _, s := range m.sales {
		r, err := m.w.ledger.Get(context.Background(), redeem.Key{BrandID: brand, Action: s.req.Action, BizID: s.req.BizID})
		if s.answer != nil && (err != nil || string(r.Answer) != string(s.answer)) {
			t.Fatalf("%s was told %s, the ledger has %s (%v)", s.req.BizID, s.answer, r.Answer, err)
		}
	}
}

// checkSaid holds the answer of a leg's lines against the books.
func (m *machine) checkSaid(t *rapid.T, r redeem.Redemption, l redeem.Leg, e redeemtest.Entry, back redeem.Fen) {
	var said struct {
		Lines []struct{ Kind redeem.Kind }
	}
	if err := json.Unmarshal(r.Answer, &said); err != nil {
		t.Fatal(err)
	}
	for _, no := range l.Lines {
		switch said.Lines[no].Kind {
		case redeem.Executed:
			if e.Times != 1 {
				t.Fatalf("%s line %d: SUCCESS was said, it is booked %d times", r.BizID, no, e.Times)
			}
		case redeem.Refused:
			if e.Times != 0 && back != e.Amount {
				t.Fatalf("%s line %d: FAIL was said, and %d of %d fen stand", r.BizID, no, e.Amount-back, e.Amount)
			}
		default:
			t.Fatalf("%s line %d: the answer says %q", r.BizID, no, said.Lines[no].Kind)
		}
	}
}

// end lets everything come to rest and demands that nothing stays open.
func (m *machine) end(t *rapid.T) {
	for range 40 {
		m.calm()
		time.Sleep(5 * time.Minute)
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		_ = m.replicas[0].Run(ctx)
		cancel()
		m.decide()
		if !slices.ContainsFunc(m.w.ledger.All(), func(r redeem.Redemption) bool { return r.Answer == nil }) {
			break
		}
	}
	m.check(t)
	for _, r := range m.w.ledger.All() {
		if r.Answer == nil {
			t.Fatalf("%s never ended: %+v", r.BizID, r.Legs)
		}
	}
	for _, s := range m.sales {
		r, err := m.w.ledger.Get(context.Background(), redeem.Key{BrandID: brand, Action: s.req.Action, BizID: s.req.BizID})
		if err != nil {
			continue // it was never recorded
		}
		do := m.replicas[1].Verify
		if strings.HasPrefix(s.req.BizID, "r") {
			do = m.replicas[1].Reverse
		}
		if got := do(context.Background(), s.req); string(got.Answer) != string(r.Answer) {
			t.Fatalf("%s: the repeat got %s, recorded is %s", s.req.BizID, got.Answer, r.Answer)
		}
	}
	m.check(t)
}

// TestModel runs random histories against the oracle, each in a bubble of its own:
// rapid's seed and limits then go by the real clock. What rapid raises inside the
// bubble is carried out of it.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var raised any
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				raised = recover()
				time.Sleep(time.Hour) // what still flies lands: time stands still after this
			}()
			m := newMachine(rt, t)
			rt.Repeat(map[string]func(*rapid.T){
				"new": m.New, "concurrent": m.Concurrent, "repeat": m.Repeat, "repeat at once": m.RepeatAtOnce,
				"repeat changed": m.RepeatChanged, "reversal": m.Reversal, "crash": m.Crash, "tick": m.Tick,
				"person": m.Person, "": m.check,
			})
			m.end(rt)
		})
		if raised != nil {
			panic(raised)
		}
	})
}

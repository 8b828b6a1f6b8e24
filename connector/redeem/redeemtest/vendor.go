// SPDX-License-Identifier: Apache-2.0

package redeemtest

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Act is what the vendor does with one call.
type Act struct {
	// Apply books the call, unless Refuse; Delay passes before it, Linger after it and
	// before the answer.
	Apply, Refuse bool
	Delay, Linger time.Duration
	// NotSent: the call does not reach the vendor, and that is known.
	NotSent bool
	// Lose loses the answer.
	Lose bool
	// Panic panics after the act.
	Panic      bool
	RetryAfter time.Duration
}

// The usual acts.
var (
	Does       = Act{Apply: true}
	Refuses    = Act{Refuse: true}
	Unreached  = Act{NotSent: true}
	DoesLost   = Act{Apply: true, Lose: true}
	LostBefore = Act{Lose: true}
)

// Entry is what the vendor's books say of a key.
type Entry struct {
	Key        string
	Amount     redeem.Fen // deducted, or given back by a reversal
	Times      int        // how often it was booked: more than 1 is a double charge
	Refused    bool       // the verdict that an idempotent vendor repeats
	Reversal   bool
	BookedWith string // the original's key, of a reversal
}

// Vendor is a provider with its own books. It books what it is told to, whether or
// not the engine learns of it.
type Vendor struct {
	ID string
	// Next is consulted for each call; nil does everything. purpose is "send",
	// "reverse" or "repeat".
	Next func(purpose string, leg redeem.Leg) Act
	// Finds is consulted for each look-up; nil tells the truth.
	Finds func(leg redeem.Leg) redeem.Verdict
	// PerLine plans a leg for each line instead of one for all.
	PerLine bool
	// Idempotent books a key once, however often it is called.
	Idempotent bool
	// NoLookUp is an operation that cannot be looked up, empty for none.
	NoLookUp string
	// NotReversible plans legs that cannot be undone; PlanReversal rejects.
	NotReversible bool

	mu    sync.Mutex
	books map[string]*Entry
	calls []Call
}

// Call is one call as the vendor saw it.
type Call struct {
	Purpose, Key, Token string
	At                  time.Time
}

// Name implements redeem.Provider.
func (v *Vendor) Name() string { return v.ID }

// Plan implements redeem.Provider.
func (v *Vendor) Plan(_ redeem.Request, lines []redeem.Line) ([]redeem.LegPlan, error) {
	var plans []redeem.LegPlan
	for i, l := range lines {
		if i == 0 || v.PerLine {
			plans = append(plans, redeem.LegPlan{Operation: v.ID + ".spend", Reversible: !v.NotReversible})
		}
		p := &plans[len(plans)-1]
		p.Lines = append(p.Lines, l.No)
		switch l.Asset {
		case redeem.StoredValue:
			p.Amount += l.Amount
		case redeem.Points:
			p.Points += l.Count
		case redeem.Coupon:
			p.Coupons = append(p.Coupons, l.AssetID)
		}
	}
	return plans, nil
}

type reversalCall struct{ Of string }

// PlanReversal implements redeem.Reverser.
func (v *Vendor) PlanReversal(req redeem.Request, original redeem.Leg, lines []redeem.Line) (redeem.LegPlan, error) {
	if v.NotReversible {
		return redeem.LegPlan{}, &redeem.Rejection{SubCode: redeem.SubManualReversal, Detail: "no reversal action"}
	}
	plans, err := v.Plan(req, lines)
	if err != nil {
		return redeem.LegPlan{}, err
	}
	p := plans[0]
	for _, more := range plans[1:] {
		p.Lines, p.Amount, p.Points = append(p.Lines, more.Lines...), p.Amount+more.Amount, p.Points+more.Points
		p.Coupons = append(p.Coupons, more.Coupons...)
	}
	p.Operation = v.ID + ".undo"
	p.Call, err = json.Marshal(reversalCall{Of: original.Key})
	return p, err
}

// Send implements redeem.Provider.
func (v *Vendor) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return v.do(ctx, "send", s)
}

// Reverse implements redeem.Reverser.
func (v *Vendor) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return v.do(ctx, "reverse", s)
}

func (v *Vendor) act(purpose string, s redeem.Sending) Act {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, Call{purpose, s.Leg.Key, s.Request.PaymentToken, time.Now()})
	if v.Next == nil {
		return Does
	}
	return v.Next(purpose, s.Leg)
}

func (v *Vendor) do(ctx context.Context, purpose string, s redeem.Sending) redeem.Outcome {
	if s.Guard != nil {
		if err := s.Guard(); err != nil {
			return redeem.Outcome{Kind: redeem.NotSent, Class: "guard", Detail: err.Error()}
		}
	}
	a := v.act(purpose, s)
	if a.NotSent {
		return redeem.Outcome{Kind: redeem.NotSent, Class: "unreachable", RetryAfter: a.RetryAfter}
	}
	done := make(chan redeem.Outcome, 1)
	go func() { // the vendor works on, whoever still listens
		time.Sleep(a.Delay)
		v.book(s, a)
		time.Sleep(a.Linger)
		done <- v.outcome(s, a)
	}()
	if a.Lose {
		select {
		case <-ctx.Done():
		case <-time.After(a.Delay + a.Linger + time.Millisecond):
		}
		return redeem.Outcome{Kind: redeem.Unknown, Class: "lost", RetryAfter: a.RetryAfter}
	}
	select {
	case out := <-done:
		if a.Panic {
			panic("told to")
		}
		return out
	case <-ctx.Done():
		return redeem.Outcome{Kind: redeem.Unknown, Class: "timeout"}
	}
}

func (v *Vendor) book(s redeem.Sending, a Act) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.books == nil {
		v.books = map[string]*Entry{}
	}
	e := v.books[s.Leg.Key]
	if e == nil {
		e = &Entry{Key: s.Leg.Key, Reversal: s.Action == redeem.ReverseVerify}
		var c reversalCall
		if e.Reversal && json.Unmarshal(s.Leg.Call, &c) == nil {
			e.BookedWith = c.Of
		}
		v.books[s.Leg.Key] = e
	}
	switch {
	case a.Refuse && e.Times == 0:
		e.Refused = true
	case a.Apply && !e.Refused && (!v.Idempotent || e.Times == 0):
		e.Times++
		e.Amount = s.Leg.Amount
	}
}

func (v *Vendor) outcome(s redeem.Sending, a Act) redeem.Outcome {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.books[s.Leg.Key]
	switch {
	case e != nil && e.Times > 0:
		return redeem.Outcome{Kind: redeem.Executed, FlowID: "V" + s.Leg.Key, Total: s.Leg.Amount, Real: s.Leg.Amount, MemberName: "张三"}
	case e != nil && e.Refused:
		return redeem.Outcome{Kind: redeem.Refused, Class: "insufficient-balance", Code: "4001", Cashier: "余额不足，请更换支付方式"}
	}
	return redeem.Outcome{Kind: redeem.Unknown, Class: "nonsense", RetryAfter: a.RetryAfter}
}

// Entry is what the books say of a key; the zero Entry when they do not know it.
func (v *Vendor) Entry(key string) Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.books[key]; e != nil {
		return *e
	}
	return Entry{}
}

// Reversals are the booked reversals of a key.
func (v *Vendor) Reversals(key string) []Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []Entry
	for _, e := range v.books {
		if e.Reversal && e.BookedWith == key && e.Times > 0 {
			out = append(out, *e)
		}
	}
	return out
}

// Calls are all calls so far.
func (v *Vendor) Calls() []Call {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]Call(nil), v.calls...)
}

// Asked is v with LookUp.
type Asked struct{ *Vendor }

// CanLookUp implements redeem.LookerUp.
func (v Asked) CanLookUp(leg redeem.Leg) bool { return leg.Operation != v.NoLookUp }

// LookUp implements redeem.LookerUp.
func (v Asked) LookUp(_ context.Context, leg redeem.Leg) redeem.Finding {
	verdict := redeem.Verdict("")
	if v.Finds != nil {
		verdict = v.Finds(leg)
	}
	e := v.Entry(leg.Key)
	if verdict == "" {
		verdict = redeem.Missing
		if e.Times > 0 {
			verdict = redeem.Found
		}
	}
	f := redeem.Finding{Verdict: verdict}
	if verdict == redeem.Found {
		f.Outcome = redeem.Outcome{Kind: redeem.Executed, FlowID: "V" + leg.Key, Total: leg.Amount, Real: leg.Amount}
	}
	return f
}

// Repeating is v whose keys are idempotent: Repeat books at most once per key.
type Repeating struct{ Asked }

// Repeat implements redeem.Repeater.
func (v Repeating) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	if e := v.Entry(s.Leg.Key); e.Times > 0 || e.Refused {
		a := v.act("repeat", s)
		if a.Lose || a.NotSent {
			return redeem.Outcome{Kind: redeem.Unknown, Class: "lost", RetryAfter: a.RetryAfter}
		}
		if a.Refuse { // "there is such an order": no word on whether it was executed
			return redeem.Outcome{Kind: redeem.Refused, Class: "duplicate"}
		}
		return v.outcome(s, a)
	}
	return v.do(ctx, "repeat", s)
}

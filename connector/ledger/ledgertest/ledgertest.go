// SPDX-License-Identifier: Apache-2.0

// Package ledgertest is what every implementation of redeem.Ledger must pass.
package ledgertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// T0 is when the redemptions of New are created.
var T0 = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// Brand of the redemptions of New.
const Brand = "11342"

// New is a redemption of two lines in two legs: 1,000 fen stored value at alsc (leg 0, reversible) and two coupons at zhimai (leg 1).
func New(bizID string) redeem.Redemption {
	return redeem.Redemption{
		Action: redeem.Verify, BrandID: Brand, BizID: bizID, FlowID: "F" + bizID, ShopID: "8066287", TransOrderNo: "T" + bizID, PaymentNo: "P" + bizID,
		KryMemberID: "k1", MemberID: "m1", MobileHash: "ab12", RequestID: "req-1", OperatorID: "op", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Fingerprint: []byte{1, 2, 3}, FingerprintVer: 1,
		Lines: []redeem.Line{
			{No: 0, AssetMappingID: "100001", AssetID: "card", Amount: 1000, Asset: redeem.StoredValue, Provider: "alsc"},
			{No: 1, AssetMappingID: "100002", AssetID: "coupon", Count: 2, Asset: redeem.Coupon, Provider: "zhimai"},
		},
		Legs: []redeem.Leg{
			{
				No: 0, Provider: "alsc", Operation: "alibaba.alsc.crm.recharge.dedut.update", Key: "HX0" + bizID, Lines: []int{0}, Reversible: true,
				Call: json.RawMessage(`{"value":1000}`), MemberRef: "c-1", Amount: 1000, LeaseOwner: "engine-a", LeaseUntil: T0.Add(20 * time.Second),
			},
			{
				No: 1, Provider: "zhimai", Operation: "communal.user.consume", Key: "HX1" + bizID, Lines: []int{1}, Call: json.RawMessage(`{"n":2}`),
				MemberRef: "c-2", Coupons: []string{"9", "8"}, LeaseOwner: "engine-a", LeaseUntil: T0.Add(20 * time.Second),
			},
		},
		CreatedAt: T0, PolicyOnPartial: "Report", PolicyOnInDoubt: map[string]string{"alsc": "Query", "zhimai": "Manual"},
		ConfigRevision: "r1", ConnectorVersion: "v1",
	}
}

// Reversal of some fen of the stored value and some coupons of New(original).
func Reversal(bizID, original string, amount redeem.Fen, coupons int64) redeem.Redemption {
	r := New(bizID)
	r.Action, r.ReversesBizID, r.RefundPaymentNo = redeem.ReverseVerify, original, "R"+bizID
	var lines []redeem.Line
	var legs []redeem.Leg
	if amount > 0 {
		line := r.Lines[0]
		line.Amount = amount
		lines, legs = append(lines, line), append(legs, r.Legs[0])
	}
	if coupons > 0 {
		line := r.Lines[1]
		line.Count = coupons
		lines, legs = append(lines, line), append(legs, r.Legs[1])
	}
	r.Lines, r.Legs = lines, legs
	return r
}

// Executed is the change that settles the redemption: every leg executed in epoch 1, every line done, with an answer.
func Executed(r redeem.Redemption, at time.Time) redeem.Change {
	return settle(r, at, redeem.StateExecuted, redeem.Executed)
}

// Refused is the change that settles the redemption as refused.
func Refused(r redeem.Redemption, at time.Time) redeem.Change {
	return settle(r, at, redeem.StateRefused, redeem.Refused)
}

func settle(r redeem.Redemption, at time.Time, to redeem.State, kind redeem.Kind) redeem.Change {
	c := redeem.Change{Key: r.Key(), At: at, Actor: "engine", Answer: []byte(`{"code":0,"biz":"` + r.BizID + `"}`)}
	for _, g := range r.Legs {
		o := redeem.Outcome{Kind: kind, Class: "ok", Code: "200", FlowID: "V" + g.Key, HTTPStatus: 200}
		if kind == redeem.Executed {
			o.Total, o.Real = g.Amount, g.Amount
		}
		c.Legs = append(c.Legs, redeem.LegChange{No: g.No, From: g.State, Epoch: g.Epoch, To: to, Outcome: &o})
	}
	for _, l := range r.Lines {
		l.Result = redeem.LineResult{Kind: kind, Code: "000"}
		if kind == redeem.Executed {
			l.Result.Total, l.Result.Real = l.Amount, l.Amount
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Record stores r, which must be new.
func Record(t *testing.T, l redeem.Ledger, r redeem.Redemption) redeem.Redemption {
	t.Helper()
	stored, created, err := l.Record(t.Context(), r)
	if err != nil || !created {
		t.Fatalf("record %s: created %v, %v", r.BizID, created, err)
	}
	return stored
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func wantEqual[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Run runs the suite; open returns an empty ledger that closes with the test.
func Run(t *testing.T, open func(t *testing.T) redeem.Ledger) {
	for name, test := range map[string]func(*testing.T, redeem.Ledger){
		"Record stores everything and Get reads it back":             recordRoundTrip,
		"Record of a key that exists returns what is stored":         recordTwice,
		"Record of one key from 64 callers creates one":              recordConcurrently,
		"Record refuses text that a database cannot hold":            recordText,
		"Apply settles legs, lines and the answer in one":            applySettles,
		"Apply with an old epoch or state is fenced":                 applyFenced,
		"Apply of two writers with the same epoch lets one win":      applyConcurrently,
		"Apply on two legs at once loses neither":                    applyTwoLegs,
		"Apply is all or nothing":                                    applyAtomic,
		"Apply moves only along edges":                               applyEdges,
		"Apply keeps the first answer":                               applyAnswerOnce,
		"Apply in place stores evidence and raises the epoch":        applyInPlace,
		"Apply sends a leg again that was not sent":                  applyResend,
		"Apply cleans what a vendor wrote":                           applyCleans,
		"Apply of an unknown key is not found":                       applyNotFound,
		"The member's name is kept in its one place":                 memberName,
		"A contradiction raises an alarm and changes no state":       contradiction,
		"Lease takes what is due and fences the one before":          leaseFences,
		"Lease leaves alone what waits for a person":                 leaseManual,
		"Lease of two owners gives no leg to both":                   leaseConcurrently,
		"Lease gives a leg again when its owner died":                leaseAgain,
		"A reversal reserves, and never more than was redeemed":      reversalReserves,
		"Two reversals at once do not take more than there is":       reversalConcurrently,
		"A reversal of what is open waits, of what is unknown fails": reversalPending,
		"A reversal that is refused gives back, once":                reversalReleases,
		"A reversal that is repeated reserves once":                  reversalRepeated,
		"Search finds by each of its fields":                         search,
		"InDoubt counts by provider":                                 inDoubt,
		"Events tell the whole story in order":                       events,
		"Ping commits":                                               func(t *testing.T, l redeem.Ledger) { must(t, 0, l.Ping(t.Context())) },
		"A context that is over writes nothing":                      cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func recordRoundTrip(t *testing.T, l redeem.Ledger) {
	r := New("b1")
	r.CreatedAt = T0.In(time.FixedZone("CST", 8*3600)).Add(999 * time.Nanosecond)
	r.Legs[0].NextCheck = T0.Add(30 * time.Second)
	got := Record(t, l, r)
	want := New("b1")
	want.UpdatedAt = T0
	want.Legs[0].NextCheck = T0.Add(30 * time.Second)
	for i := range want.Legs {
		want.Legs[i].State, want.Legs[i].Epoch, want.Legs[i].SentAt = redeem.StateSent, 1, T0
	}
	wantEqual(t, "returned", want, got)
	wantEqual(t, "read", want, must2(l.Get(t.Context(), r.Key()))(t))
	wantEqual(t, "read by flow id", want, must2(l.ByFlowID(t.Context(), Brand, "Fb1"))(t))
	_, err := l.Get(t.Context(), redeem.Key{BrandID: Brand, Action: redeem.ReverseVerify, BizID: "b1"})
	wantError(t, err, redeem.ErrNotFound)
	_, err = l.ByFlowID(t.Context(), "other", "Fb1")
	wantError(t, err, redeem.ErrNotFound)
}

func must2[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T { t.Helper(); return must(t, v, err) }
}

func recordTwice(t *testing.T, l redeem.Ledger) {
	first := Record(t, l, New("b1"))
	settled := must2(l.Apply(t.Context(), Executed(first, T0.Add(time.Second))))(t)
	other := New("b1")
	other.Fingerprint, other.FlowID = []byte{9}, "Fother"
	stored, created, err := l.Record(t.Context(), other)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	wantEqual(t, "stored", settled, stored)
}

func recordConcurrently(t *testing.T, l redeem.Ledger) {
	var created atomic.Int32
	owners := make([]string, 64)
	var wg sync.WaitGroup
	for i := range owners {
		wg.Go(func() {
			r := New("b1")
			r.Legs[0].LeaseOwner = fmt.Sprint("engine-", i)
			stored, mine, err := l.Record(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			if mine {
				created.Add(1)
			}
			owners[i] = stored.Legs[0].LeaseOwner
		})
	}
	wg.Wait()
	wantEqual(t, "created", 1, created.Load())
	for _, o := range owners {
		if o != owners[0] {
			t.Fatalf("callers were told of %s and of %s", owners[0], o)
		}
	}
	wantEqual(t, "events", 1, len(must2(l.Events(t.Context(), keyOf("b1")))(t)))
}

func recordText(t *testing.T, l redeem.Ledger) {
	for name, change := range map[string]func(*redeem.Redemption){
		"NUL in an order number": func(r *redeem.Redemption) { r.TransOrderNo = "a\x00b" },
		"broken UTF-8":           func(r *redeem.Redemption) { r.Lines[0].AssetID = "\xff" },
		"a negative amount":      func(r *redeem.Redemption) { r.Lines[0].Amount = -1 },
		"no key":                 func(r *redeem.Redemption) { r.BizID = "" },
		"a call that is no JSON": func(r *redeem.Redemption) { r.Legs[0].Call = json.RawMessage("{") },
	} {
		r := New("b1")
		change(&r)
		if _, created, err := l.Record(t.Context(), r); err == nil || created {
			t.Errorf("%s: created %v, %v", name, created, err)
		}
	}
	_, err := l.Get(t.Context(), keyOf("b1"))
	wantError(t, err, redeem.ErrNotFound)
}

func applySettles(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	at := T0.Add(time.Second)
	got := must2(l.Apply(t.Context(), Executed(r, at)))(t)
	want := r
	want.UpdatedAt, want.ConcludedAt, want.Answer = at, at, []byte(`{"code":0,"biz":"b1"}`)
	want.Legs, want.Lines = append([]redeem.Leg(nil), r.Legs...), append([]redeem.Line(nil), r.Lines...)
	for i := range want.Legs {
		g := &want.Legs[i]
		g.State, g.ResolvedAt, g.LeaseOwner, g.LeaseUntil = redeem.StateExecuted, at, "", time.Time{}
		g.Outcome = redeem.Outcome{Kind: redeem.Executed, Class: "ok", Code: "200", FlowID: "V" + g.Key, HTTPStatus: 200, Total: g.Amount, Real: g.Amount}
	}
	for i := range want.Lines {
		n := want.Lines[i].Amount
		want.Lines[i].Result = redeem.LineResult{Kind: redeem.Executed, Code: "000", Total: n, Real: n}
	}
	wantEqual(t, "returned", want, got)
	wantEqual(t, "read", want, must2(l.Get(t.Context(), r.Key()))(t))
}

func applyFenced(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	for name, change := range map[string]func(*redeem.LegChange){
		"epoch": func(lc *redeem.LegChange) { lc.Epoch = 2 },
		"state": func(lc *redeem.LegChange) { lc.From = redeem.StateUnknown },
	} {
		c := Executed(r, T0)
		change(&c.Legs[1])
		_, err := l.Apply(t.Context(), c)
		if !errors.Is(err, redeem.ErrFenced) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantEqual(t, "unchanged", r, must2(l.Get(t.Context(), r.Key()))(t))
}

func applyConcurrently(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	var won, fenced atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			c := Executed(r, T0.Add(time.Duration(i)*time.Second))
			if i%2 == 1 {
				c = Refused(r, T0.Add(time.Duration(i)*time.Second))
			}
			switch _, err := l.Apply(t.Context(), c); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, redeem.ErrFenced):
				fenced.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "won, fenced", [2]int32{1, 15}, [2]int32{won.Load(), fenced.Load()})
}

func applyTwoLegs(t *testing.T, l redeem.Ledger) {
	for i := range 10 {
		r := Record(t, l, New(fmt.Sprint("b", i)))
		var wg sync.WaitGroup
		for _, g := range r.Legs {
			wg.Go(func() {
				_, err := l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Actor: "engine",
					Legs: []redeem.LegChange{{No: g.No, From: redeem.StateSent, Epoch: 1, To: redeem.StateExecuted}}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := must2(l.Get(t.Context(), r.Key()))(t)
		wantEqual(t, "states", [2]redeem.State{redeem.StateExecuted, redeem.StateExecuted}, [2]redeem.State{got.Legs[0].State, got.Legs[1].State})
		wantEqual(t, "events", 3, len(must2(l.Events(t.Context(), r.Key()))(t)))
	}
}

func applyAtomic(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	c := Executed(r, T0)
	c.Lines = append(c.Lines, redeem.Line{No: 7})
	if _, err := l.Apply(t.Context(), c); err == nil {
		t.Error("a line that is not there was settled")
	}
	c = Executed(r, T0)
	c.Legs = c.Legs[:1] // and an answer, while leg 1 is open
	_, err := l.Apply(t.Context(), c)
	wantError(t, err, redeem.ErrFenced)
	wantEqual(t, "unchanged", r, must2(l.Get(t.Context(), r.Key()))(t))
	wantEqual(t, "events", 1, len(must2(l.Events(t.Context(), r.Key()))(t)))
}

// States is every state, the ones that no edge leads to as well.
var States = []redeem.State{redeem.StateSent, redeem.StateNotSent, redeem.StateUnknown, redeem.StateExecuted, redeem.StateRefused}

// Path leads a new leg to the state along legal edges.
func Path(to redeem.State) []redeem.State {
	if to == redeem.StateSent {
		return nil
	}
	return []redeem.State{to}
}

func applyEdges(t *testing.T, l redeem.Ledger) {
	for _, from := range States {
		for _, to := range States {
			r := Record(t, l, New(string(from)+"-"+string(to)))
			state := redeem.StateSent
			for _, next := range Path(from) {
				must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Legs: []redeem.LegChange{{No: 0, From: state, Epoch: 1, To: next}}}))(t)
				state = next
			}
			_, err := l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Legs: []redeem.LegChange{{No: 0, From: from, Epoch: 1, To: to}}})
			legal := false
			for _, e := range redeem.Edges[from] {
				legal = legal || e == to
			}
			if legal != (err == nil) {
				t.Errorf("from %s to %s: legal %v, error %v", from, to, legal, err)
			}
		}
	}
}

func applyAnswerOnce(t *testing.T, l redeem.Ledger) {
	r := must2(l.Apply(t.Context(), Executed(Record(t, l, New("b1")), T0)))(t)
	for _, answer := range []string{"another", string(r.Answer)} {
		_, err := l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Answer: []byte(answer)})
		wantError(t, err, redeem.ErrFenced)
	}
	wantEqual(t, "answer", string(r.Answer), string(must2(l.Get(t.Context(), r.Key()))(t).Answer))
}

func applyInPlace(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	at := T0.Add(time.Minute)
	unknown := redeem.Outcome{Kind: redeem.Unknown, Class: "timeout", Detail: "no answer", Lines: []redeem.LineOutcome{{Line: 0, Kind: redeem.Unknown}}, RetryAfter: time.Second}
	must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: at, Actor: "engine", Legs: []redeem.LegChange{{
		No: 0, From: redeem.StateSent, Epoch: 1, To: redeem.StateUnknown, Outcome: &unknown, NextCheck: at.Add(time.Second),
	}}}))(t)
	got := must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: at.Add(time.Second), Actor: "resolver", Legs: []redeem.LegChange{{
		No: 0, From: redeem.StateUnknown, Epoch: 1, NewEpoch: 5, NextCheck: at.Add(3 * time.Second), Checks: 2, NotFound: 1, LeaseOwner: "x", LeaseUntil: at.Add(time.Hour),
	}}}))(t)
	want := r.Legs[0]
	want.State, want.Epoch, want.UnknownAt, want.Outcome = redeem.StateUnknown, 5, at, unknown
	want.NextCheck, want.Checks, want.NotFound, want.LeaseOwner, want.LeaseUntil = at.Add(3*time.Second), 2, 1, "x", at.Add(time.Hour)
	wantEqual(t, "leg", want, got.Legs[0])
	_, err := l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: at, Legs: []redeem.LegChange{{No: 0, From: redeem.StateUnknown, Epoch: 5, NewEpoch: 4}}})
	if err == nil {
		t.Error("an epoch fell")
	}
}

func applyResend(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Legs: []redeem.LegChange{{No: 0, From: redeem.StateSent, Epoch: 1, To: redeem.StateNotSent}}}))(t)
	at := T0.Add(time.Minute)
	got := must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: at, Legs: []redeem.LegChange{{
		No: 0, From: redeem.StateNotSent, Epoch: 1, To: redeem.StateSent, NewEpoch: 2, LeaseOwner: "e", LeaseUntil: at.Add(time.Second),
	}}}))(t).Legs[0]
	wantEqual(t, "sent at", at, got.SentAt)
	wantEqual(t, "epoch", 2, got.Epoch)
}

func applyCleans(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	c := Refused(r, T0)
	c.Legs[0].Outcome.Cashier = "余额\x00不足\xff"
	c.Lines[0].Result.Cashier = "余额\x00不足\xff"
	got := must2(l.Apply(t.Context(), c))(t)
	wantEqual(t, "read", got, must2(l.Get(t.Context(), r.Key()))(t))
	wantEqual(t, "text", "余额\uFFFD不足\uFFFD", got.Lines[0].Result.Cashier)
}

func applyNotFound(t *testing.T, l redeem.Ledger) {
	_, err := l.Apply(t.Context(), redeem.Change{Key: keyOf("b1"), At: T0, Answer: []byte("x")})
	wantError(t, err, redeem.ErrNotFound)
}

func memberName(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	c := Executed(r, T0)
	c.MemberName, c.Legs[0].Outcome.MemberName = "王小明", "王小明"
	got := must2(l.Apply(t.Context(), c))(t)
	wantEqual(t, "kept", "王小明", got.MemberName)
	wantEqual(t, "in the outcome", "", got.Legs[0].Outcome.MemberName)
}

func contradiction(t *testing.T, l redeem.Ledger) {
	r := must2(l.Apply(t.Context(), Refused(Record(t, l, New("b1")), T0)))(t)
	got := must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Actor: "engine", Contradiction: true}))(t)
	want := r
	want.Contradiction = true
	wantEqual(t, "redemption", want, got)
	all := must2(l.Events(t.Context(), r.Key()))(t)
	wantEqual(t, "last event", "alarm", all[len(all)-1].Kind)
}

func leaseFences(t *testing.T, l redeem.Ledger) {
	r := New("b1")
	r.Legs[0].NextCheck = T0.Add(20 * time.Second)
	r = Record(t, l, r)
	now := T0.Add(19 * time.Second)
	wantEqual(t, "leased before its time", 0, len(must2(l.Lease(t.Context(), Brand, "a", now, now.Add(time.Second), 10))(t)))
	now = T0.Add(20 * time.Second)
	wantEqual(t, "leased of another brand", 0, len(must2(l.Lease(t.Context(), "other", "a", now, now.Add(time.Second), 10))(t)))
	got := must2(l.Lease(t.Context(), Brand, "a", now, now.Add(time.Minute), 10))(t)
	if len(got) != 2 || got[0].LegNo == got[1].LegNo {
		t.Fatalf("leased %+v", got)
	}
	for _, x := range got {
		g := x.Redemption.Legs[x.LegNo]
		want := r.Legs[x.LegNo]
		want.State, want.Epoch, want.LeaseOwner, want.LeaseUntil, want.UnknownAt = redeem.StateUnknown, 2, "a", now.Add(time.Minute), now
		wantEqual(t, "leg", want, g)
	}
	wantEqual(t, "read", got[0].Redemption, must2(l.Get(t.Context(), r.Key()))(t))
	_, err := l.Apply(t.Context(), Executed(r, now)) // of the process that slept
	wantError(t, err, redeem.ErrFenced)
}

func leaseManual(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	for _, g := range r.Legs {
		to := redeem.StateUnknown
		if g.No == 1 {
			to = redeem.StateNotSent
		}
		must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Legs: []redeem.LegChange{{No: g.No, From: redeem.StateSent, Epoch: 1, To: to}}}))(t)
	}
	now := T0.Add(1000 * time.Hour)
	wantEqual(t, "leased", 0, len(must2(l.Lease(t.Context(), Brand, "a", now, now.Add(time.Second), 10))(t)))
}

func leaseConcurrently(t *testing.T, l redeem.Ledger) {
	const n = 30
	for i := range n {
		Record(t, l, New(fmt.Sprint("b", i)))
	}
	now := T0.Add(time.Minute)
	var mu sync.Mutex
	owners := map[string]string{}
	var wg sync.WaitGroup
	for _, owner := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for idle := 0; idle < 3; {
				got, err := l.Lease(t.Context(), Brand, owner, now, now.Add(time.Hour), 4)
				if err != nil {
					t.Error(err)
					return
				}
				if len(got) == 0 {
					idle++ // others may hold what is left for a moment
				}
				mu.Lock()
				for _, x := range got {
					leg := fmt.Sprint(x.Redemption.BizID, "/", x.LegNo)
					if before, taken := owners[leg]; taken {
						t.Errorf("%s went to %s and %s", leg, before, owner)
					}
					owners[leg] = owner
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	rest := must2(l.Lease(t.Context(), Brand, "d", now, now.Add(time.Hour), 2*n))(t)
	wantEqual(t, "legs leased", 2*n, len(owners)+len(rest))
}

func leaseAgain(t *testing.T, l redeem.Ledger) {
	r := New("b1")
	r.Legs = r.Legs[:1]
	r.Legs[0].NextCheck = T0.Add(20 * time.Second)
	Record(t, l, r)
	now := T0.Add(time.Minute)
	first := must2(l.Lease(t.Context(), Brand, "a", now, now.Add(10*time.Second), 1))(t)
	wantEqual(t, "while it is held", 0, len(must2(l.Lease(t.Context(), Brand, "b", now.Add(9*time.Second), now.Add(time.Hour), 1))(t)))
	second := must2(l.Lease(t.Context(), Brand, "b", now.Add(10*time.Second), now.Add(time.Hour), 1))(t)
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("leased %d, then %d", len(first), len(second))
	}
	resolve := func(x redeem.Leased) error {
		g := x.Redemption.Legs[x.LegNo]
		_, err := l.Apply(t.Context(), redeem.Change{Key: x.Redemption.Key(), At: now, Legs: []redeem.LegChange{{No: g.No, From: g.State, Epoch: g.Epoch, To: redeem.StateExecuted}}})
		return err
	}
	wantError(t, resolve(first[0]), redeem.ErrFenced)
	if err := resolve(second[0]); err != nil {
		t.Error(err)
	}
}

func executed(t *testing.T, l redeem.Ledger, bizID string) redeem.Redemption {
	t.Helper()
	return must2(l.Apply(t.Context(), Executed(Record(t, l, New(bizID)), T0)))(t)
}

func reversed(t *testing.T, l redeem.Ledger, bizID string) [2]int64 {
	t.Helper()
	r := must2(l.Get(t.Context(), keyOf(bizID)))(t)
	return [2]int64{int64(r.Lines[0].Result.Reversed), r.Lines[1].Result.ReversedCount}
}

func reversalReserves(t *testing.T, l redeem.Ledger) {
	executed(t, l, "b1")
	Record(t, l, Reversal("v1", "b1", 400, 1))
	wantEqual(t, "reversed", [2]int64{400, 1}, reversed(t, l, "b1"))
	Record(t, l, Reversal("v2", "b1", 600, 0))
	wantEqual(t, "reversed", [2]int64{1000, 1}, reversed(t, l, "b1"))
	for name, r := range map[string]redeem.Redemption{
		"one fen more":    Reversal("v3", "b1", 1, 0),
		"one coupon more": Reversal("v4", "b1", 0, 2),
		"another asset": func() redeem.Redemption {
			r := Reversal("v5", "b1", 1, 0)
			r.Lines[0].AssetID = "other"
			return r
		}(),
	} {
		_, created, err := l.Record(t.Context(), r)
		if created || !errors.Is(err, redeem.ErrOverReversed) {
			t.Errorf("%s: created %v, %v", name, created, err)
		}
		_, err = l.Get(t.Context(), r.Key())
		wantError(t, err, redeem.ErrNotFound)
	}
	wantEqual(t, "reversed", [2]int64{1000, 1}, reversed(t, l, "b1"))
}

func reversalConcurrently(t *testing.T, l redeem.Ledger) {
	executed(t, l, "b1")
	var created atomic.Int64
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			_, mine, err := l.Record(t.Context(), Reversal(fmt.Sprint("v", i), "b1", 300, 0))
			if mine {
				created.Add(1)
			} else if !errors.Is(err, redeem.ErrOverReversed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "reversals of 300 of 1000 fen", 3, created.Load())
	wantEqual(t, "reversed", [2]int64{900, 0}, reversed(t, l, "b1"))
}

func reversalPending(t *testing.T, l redeem.Ledger) {
	_, _, err := l.Record(t.Context(), Reversal("v0", "b1", 1, 0))
	wantError(t, err, redeem.ErrNotFound)
	r := Record(t, l, New("b1"))
	_, _, err = l.Record(t.Context(), Reversal("v0", "b1", 1, 0))
	wantError(t, err, redeem.ErrReversalPending)
	for state, want := range map[redeem.State]error{redeem.StateUnknown: redeem.ErrReversalPending, redeem.StateNotSent: redeem.ErrReversalPending} {
		r := Record(t, l, New(string(state)))
		must2(l.Apply(t.Context(), redeem.Change{Key: r.Key(), At: T0, Legs: []redeem.LegChange{
			{No: 0, From: redeem.StateSent, Epoch: 1, To: redeem.StateExecuted}, {No: 1, From: redeem.StateSent, Epoch: 1, To: state}}}))(t)
		_, _, err = l.Record(t.Context(), Reversal("v0", r.BizID, 1, 0))
		wantError(t, err, want)
	}
	must2(l.Apply(t.Context(), Refused(r, T0)))(t)
	_, _, err = l.Record(t.Context(), Reversal("v0", "b1", 1, 0))
	wantError(t, err, redeem.ErrOverReversed) // nothing was redeemed
}

func reversalReleases(t *testing.T, l redeem.Ledger) {
	executed(t, l, "b1")
	v := Record(t, l, Reversal("v1", "b1", 400, 2))
	// The vendor refuses the money and does the coupons.
	c := Executed(v, T0)
	no := Refused(v, T0)
	c.Legs[0], c.Lines[0] = no.Legs[0], no.Lines[0]
	c.ReleaseReversal = true
	must2(l.Apply(t.Context(), c))(t)
	wantEqual(t, "reversed", [2]int64{0, 2}, reversed(t, l, "b1"))
	must2(l.Apply(t.Context(), redeem.Change{Key: v.Key(), At: T0, ReleaseReversal: true, Lines: no.Lines[:1]}))(t)
	wantEqual(t, "reversed after a second release", [2]int64{0, 2}, reversed(t, l, "b1"))
	Record(t, l, Reversal("v2", "b1", 1000, 0))

	open := Record(t, l, Reversal("v3", executed(t, l, "b2").BizID, 400, 0))
	_, err := l.Apply(t.Context(), redeem.Change{Key: open.Key(), At: T0, ReleaseReversal: true, Lines: Refused(open, T0).Lines})
	if err == nil {
		t.Error("what an open leg holds was released")
	}
	wantEqual(t, "reversed", [2]int64{400, 0}, reversed(t, l, "b2"))
}

func reversalRepeated(t *testing.T, l redeem.Ledger) {
	executed(t, l, "b1")
	var created atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, mine, err := l.Record(t.Context(), Reversal("v1", "b1", 1000, 0))
			if err != nil {
				t.Error(err)
			} else if mine {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "created", 1, created.Load())
	wantEqual(t, "reversed", [2]int64{1000, 0}, reversed(t, l, "b1"))
}

func search(t *testing.T, l redeem.Ledger) {
	for i := range 3 {
		r := New(fmt.Sprint("b", i))
		r.CreatedAt = T0.Add(time.Duration(i) * time.Hour)
		r.TraceID = fmt.Sprintf("%032d", i)
		Record(t, l, r)
	}
	must2(l.Apply(t.Context(), Executed(must2(l.Get(t.Context(), keyOf("b1")))(t), T0)))(t)
	v := Reversal("v1", "b1", 1, 0)
	v.CreatedAt = T0.Add(-time.Hour)
	Record(t, l, v)
	for name, tc := range map[string]struct {
		q    redeem.Query
		want []string
	}{
		"everything, newest first": {redeem.Query{BrandID: Brand}, []string{"b2", "b1", "b0", "v1"}},
		"another brand":            {redeem.Query{BrandID: "x"}, nil},
		"bizId":                    {redeem.Query{BrandID: Brand, BizID: "b1"}, []string{"b1"}},
		"order number":             {redeem.Query{BrandID: Brand, TransOrderNo: "Tb2"}, []string{"b2"}},
		"payment number":           {redeem.Query{BrandID: Brand, PaymentNo: "Pb0"}, []string{"b0"}},
		"trace id":                 {redeem.Query{BrandID: Brand, TraceID: "00000000000000000000000000000002"}, []string{"b2"}},
		"flow id":                  {redeem.Query{BrandID: Brand, FlowID: "Fb1"}, []string{"b1"}},
		"action":                   {redeem.Query{BrandID: Brand, Action: redeem.ReverseVerify}, []string{"v1"}},
		"state":                    {redeem.Query{BrandID: Brand, State: redeem.StateExecuted}, []string{"b1"}},
		"without an answer":        {redeem.Query{BrandID: Brand, Unanswered: true}, []string{"b2", "b0", "v1"}},
		"time, half open":          {redeem.Query{BrandID: Brand, From: T0.Add(time.Hour), To: T0.Add(2 * time.Hour)}, []string{"b1"}},
		"several fields at once":   {redeem.Query{BrandID: Brand, BizID: "b1", Action: redeem.ReverseVerify}, nil},
		"no brand matches all":     {redeem.Query{BizID: "b1"}, []string{"b1"}},
	} {
		var got []string
		for _, r := range must2(l.Search(t.Context(), tc.q, 10))(t) {
			got = append(got, r.BizID)
			if len(r.Legs) == 0 || len(r.Lines) == 0 {
				t.Errorf("%s: %s without lines or legs", name, r.BizID)
			}
		}
		wantEqual(t, name, tc.want, got)
	}
	wantEqual(t, "limit", 2, len(must2(l.Search(t.Context(), redeem.Query{BrandID: Brand}, 2))(t)))
}

func inDoubt(t *testing.T, l redeem.Ledger) {
	for i := range 3 {
		r := Record(t, l, New(fmt.Sprint("b", i)))
		at := T0.Add(time.Duration(i+1) * time.Minute)
		c := redeem.Change{Key: r.Key(), At: at, Legs: []redeem.LegChange{{No: 0, From: redeem.StateSent, Epoch: 1, To: redeem.StateUnknown, NextCheck: at}}}
		if i == 1 {
			c.Legs = append(c.Legs, redeem.LegChange{No: 1, From: redeem.StateSent, Epoch: 1, To: redeem.StateUnknown})
		}
		must2(l.Apply(t.Context(), c))(t)
	}
	want := []redeem.Doubt{{Provider: "alsc", Count: 3, Oldest: T0.Add(time.Minute)}, {Provider: "zhimai", Count: 1, Manual: 1, Oldest: T0.Add(2 * time.Minute)}}
	wantEqual(t, "doubts", want, must2(l.InDoubt(t.Context(), Brand))(t))
}

func events(t *testing.T, l redeem.Ledger) {
	r := Record(t, l, New("b1"))
	c := Executed(r, T0.Add(time.Second))
	c.Events = []redeem.Event{{LegNo: -1, Kind: "decision", Actor: "李雷", Detail: json.RawMessage(`{"reason":"receipt"}`)}}
	must2(l.Apply(t.Context(), c))(t)
	type short struct {
		Seq         int64
		Leg         int
		Actor, Kind string
		From, To    redeem.State
	}
	var got []short
	all := must2(l.Events(t.Context(), r.Key()))(t)
	for i, e := range all {
		got = append(got, short{e.Seq, e.LegNo, e.Actor, e.Kind, e.From, e.To})
		if i > 0 && string(e.PrevHash) != string(all[i-1].Hash) {
			t.Errorf("event %d does not follow", e.Seq)
		}
		if len(e.Hash) != 32 || e.Key != r.Key() {
			t.Errorf("event %d: key %v, hash %x", e.Seq, e.Key, e.Hash)
		}
	}
	wantEqual(t, "events", []short{
		{1, -1, "engine", "recorded", "", ""},
		{2, 0, "engine", "state", redeem.StateSent, redeem.StateExecuted},
		{3, 1, "engine", "state", redeem.StateSent, redeem.StateExecuted},
		{4, -1, "engine", "answer", "", ""},
		{5, -1, "李雷", "decision", "", ""},
	}, got)
}

func cancelled(t *testing.T, l redeem.Ledger) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, created, err := l.Record(ctx, New("b1")); err == nil || created {
		t.Errorf("created %v, %v", created, err)
	}
	_, err := l.Get(t.Context(), keyOf("b1"))
	wantError(t, err, redeem.ErrNotFound)
}

func keyOf(bizID string) redeem.Key {
	return redeem.Key{BrandID: Brand, Action: redeem.Verify, BizID: bizID}
}

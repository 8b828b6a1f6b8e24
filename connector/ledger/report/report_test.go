// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	t0   = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)
	zone = time.FixedZone("+08", 8*3600)
)

// fixture is a redemption of 10.00 yuan at ALSC and of two coupons at Zhimai, both executed.
func fixture(bizID string) redeem.Redemption {
	return redeem.Redemption{
		Action: redeem.Verify, BrandID: "11342", BizID: bizID, FlowID: "F" + bizID, ShopID: "8066287", TransOrderNo: "T1", PaymentNo: "P1", KryMemberID: "k1", MemberID: "m1",
		MemberName: "张三", MobileHash: "c0ffee", Answer: []byte(`{"memberName":"张三"}`), RequestID: "req-1", OperatorID: "1543", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Lines: []redeem.Line{
			{No: 0, AssetMappingID: "100001", AssetID: "card", Amount: 1000, Asset: redeem.StoredValue, Provider: "alsc",
				Result: redeem.LineResult{Kind: redeem.Executed, Cashier: "核销成功", Total: 1000, Real: 800, Gift: 200}},
			{No: 1, AssetMappingID: "200001", AssetID: "coupon", Count: 2, Asset: redeem.Coupon, Provider: "zhimai",
				Result: redeem.LineResult{Kind: redeem.Executed, Cashier: "核销成功"}},
		},
		Legs: []redeem.Leg{
			{No: 0, Provider: "alsc", Operation: "alibaba.alsc.crm.recharge.dedut.update", Key: "HXA", Lines: []int{0}, Amount: 1000, State: redeem.StateExecuted, Epoch: 1,
				SentAt: t0, ResolvedAt: t0.Add(time.Second), Outcome: redeem.Outcome{Kind: redeem.Executed, Class: "executed", FlowID: "78627", Total: 1000, Real: 800, Gift: 200, HTTPStatus: 200}},
			{No: 1, Provider: "zhimai", Operation: "communal.user.consume", Key: "HXB", Lines: []int{1}, Coupons: []string{"9", "8"}, State: redeem.StateExecuted, Epoch: 1,
				SentAt: t0, ResolvedAt: t0.Add(time.Second), Outcome: redeem.Outcome{Kind: redeem.Executed, Class: "executed", FlowID: "39096", HTTPStatus: 200}},
		},
		CreatedAt: t0, UpdatedAt: t0.Add(time.Second), ConcludedAt: t0.Add(time.Second), PolicyOnPartial: "Report", ConfigRevision: "r1", ConnectorVersion: "v1",
	}
}

func events(r *redeem.Redemption, more ...redeem.Event) []redeem.Event {
	all := append([]redeem.Event{{Seq: 1, At: t0, Key: r.Key(), LegNo: -1, Actor: "engine", Kind: "recorded", Hash: []byte{1, 2, 3, 4, 5, 6},
		Detail: json.RawMessage(`{"legs":[{"no":0,"provider":"alsc"},{"no":1,"provider":"zhimai"}],"traceId":"4bf92f3577b34da6a3ce929d0e0e4736"}`)}}, more...)
	for i := range all {
		all[i].Seq, all[i].At, all[i].Key, all[i].Hash = int64(i+1), t0.Add(time.Duration(i)*time.Second), r.Key(), []byte{byte(i + 1), 2, 3, 4, 5, 6}
	}
	return all
}

func partial() Entry {
	r := fixture("partial")
	r.Lines[1].Result = redeem.LineResult{Kind: redeem.Refused, Code: "40012", Cashier: "券已使用"}
	r.Legs[1].State, r.Legs[1].Outcome = redeem.StateRefused, redeem.Outcome{Kind: redeem.Refused, Class: "coupon-used", Code: "40012", Detail: "documented refusal", Cashier: "券已使用"}
	return Entry{Redemption: r, Events: events(&r,
		redeem.Event{LegNo: 0, Actor: "engine", Kind: "state", From: redeem.StateSent, To: redeem.StateExecuted, Detail: json.RawMessage(`{"epoch":1,"reason":"executed","outcome":{"Kind":"executed","Class":"executed"}}`)},
		redeem.Event{LegNo: 1, Actor: "engine", Kind: "state", From: redeem.StateSent, To: redeem.StateRefused, Detail: json.RawMessage(`{"epoch":1,"outcome":{"Kind":"refused","Class":"coupon-used","Code":"40012","Detail":"documented refusal"}}`)},
		redeem.Event{LegNo: -1, Actor: "engine", Kind: "answer", Detail: json.RawMessage(`{"bytes":1462}`)})}
}

// inDoubt: one call is asked for again, the other waits for a person. The till's ids try to forge a line of the report.
func inDoubt() Entry {
	r := fixture("doubt\n\x1b[31mREDEEMED")
	r.ConcludedAt, r.Answer, r.PaymentNo = time.Time{}, nil, "P2"
	for i := range r.Legs {
		r.Lines[i].Result = redeem.LineResult{}
		r.Legs[i].State, r.Legs[i].ResolvedAt, r.Legs[i].UnknownAt = redeem.StateUnknown, time.Time{}, t0.Add(4*time.Second)
		r.Legs[i].Outcome = redeem.Outcome{Kind: redeem.Unknown, Class: "timeout", Detail: "no answer in time"}
	}
	r.Legs[0].NextCheck, r.Legs[0].Checks, r.Legs[0].NotFound = t0.Add(time.Minute), 3, 1
	return Entry{Redemption: r, Events: events(&r,
		redeem.Event{LegNo: 0, Actor: "engine", Kind: "state", From: redeem.StateSent, To: redeem.StateUnknown, Detail: json.RawMessage(`{"epoch":1,"nextCheck":"2026-03-01T12:01:00Z","notFound":1,"outcome":{"Kind":"unknown","Class":"timeout","Detail":"no answer in time"}}`)},
		redeem.Event{LegNo: 1, Actor: "li.si", Kind: "decision", Detail: json.RawMessage(`{"who":"li.si","reason":"bill 77 shows it","verdict":"executed"}`)})}
}

func reversed() Entry {
	r := fixture("reversed")
	r.Lines[0].Result.Reversed = 400
	back := fixture("back")
	back.Action, back.ReversesBizID, back.RefundPaymentNo, back.CreatedAt = redeem.ReverseVerify, "reversed", "R1", t0.Add(time.Hour)
	back.Lines, back.Legs = back.Lines[:1], back.Legs[:1]
	back.Lines[0].Amount, back.Lines[0].Result.Total, back.Legs[0].Amount = 400, 400, 400
	return Entry{Redemption: r, Events: events(&r), Reversals: []redeem.Redemption{back}}
}

func answers() map[string]Answer {
	return map[string]Answer{
		"partial":  {Entries: []Entry{partial()}},
		"in-doubt": {Entries: []Entry{inDoubt()}, More: true},
		"reversed": {Entries: []Entry{reversed()}},
		"twice":    {Entries: []Entry{reversed(), partial()}},
		"retired": {Tombstones: []ledger.Tombstone{{Key: redeem.Key{BrandID: "11342", Action: redeem.Verify, BizID: "old"}, FlowID: "Fold", Outcome: "executed",
			CreatedAt: t0, ConcludedAt: t0.Add(time.Second), RetiredAt: t0.AddDate(2, 0, 0)}}},
		"nothing": {},
	}
}

func TestRendered(t *testing.T) {
	for name, a := range answers() {
		for ext, render := range map[string]func(io.Writer, Answer) error{
			"txt":      func(w io.Writer, a Answer) error { return Text(w, a, Style{Zone: zone}) },
			"wide.txt": func(w io.Writer, a Answer) error { return Text(w, a, Style{Zone: zone, Wide: true}) },
			"json":     JSON,
			"yaml":     YAML,
		} {
			t.Run(name+"."+ext, func(t *testing.T) {
				var got bytes.Buffer
				if err := render(&got, a); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+ext, got.Bytes())
				for _, personal := range []string{"张三", "c0ffee"} {
					if bytes.Contains(got.Bytes(), []byte(personal)) {
						t.Errorf("%q is shown", personal)
					}
				}
			})
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; refresh with -update):\n%s", path, diff)
	}
}

func TestTheAlarmSaysNothingOfItsDirection(t *testing.T) {
	for _, e := range []Entry{partial(), reversed()} { // concluded as refused in part, and as executed
		e.Redemption.Contradiction = true
		var out bytes.Buffer
		if err := Text(&out, Answer{Entries: []Entry{e}}, Style{Zone: zone}); err != nil {
			t.Fatal(err)
		}
		if want := "evidence against what was concluded, of a success or of a refusal"; !strings.Contains(out.String(), want) {
			t.Errorf("want %q:\n%s", want, out.String())
		}
	}
}

func TestVerification(t *testing.T) {
	for name, r := range map[string]ledger.Report{
		"intact": {Redemptions: 3, Events: 10, Seals: 1, Unsealed: 1, Head: ledger.Seal{No: 1, At: t0, Hash: []byte{0xab, 0xcd}}},
		"broken": {Redemptions: 1, Events: 4, Break: &ledger.Break{Key: redeem.Key{BrandID: "11342", Action: redeem.Verify, BizID: "b2"}, Seq: 3, What: "it was changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := Verification(&got, "11342", r, Style{Zone: zone}); err != nil {
				t.Fatal(err)
			}
			golden(t, "verify-"+name+".txt", got.Bytes())
		})
	}
}

func TestConclude(t *testing.T) {
	ten, coupons := Sum{Fen: 1000}, Sum{Coupons: 2}
	state := func(leg int, s redeem.State) func(*redeem.Redemption) {
		return func(r *redeem.Redemption) {
			r.Legs[leg].State, r.Legs[leg].NextCheck = s, t0
			r.Lines[leg].Result = redeem.LineResult{}
			if s == redeem.StateRefused {
				r.Lines[leg].Result.Kind = redeem.Refused
			}
		}
	}
	for name, tc := range map[string]struct {
		change []func(*redeem.Redemption)
		want   Conclusion
	}{
		"everything was redeemed":                    {nil, Conclusion{Word: Redeemed, Done: ten.Plus(coupons)}},
		"a part was refused":                         {[]func(*redeem.Redemption){state(1, redeem.StateRefused)}, Conclusion{Word: Partly, Done: ten, Refused: coupons}},
		"all was refused":                            {[]func(*redeem.Redemption){state(0, redeem.StateRefused), state(1, redeem.StateRefused)}, Conclusion{Word: NotRedeemed, Refused: ten.Plus(coupons)}},
		"one call in doubt makes the whole in doubt": {[]func(*redeem.Redemption){state(0, redeem.StateUnknown)}, Conclusion{Word: InDoubt, Done: coupons, Open: ten}},
		"in doubt is worse than under way":           {[]func(*redeem.Redemption){state(0, redeem.StateUnknown), state(1, redeem.StateSent)}, Conclusion{Word: InDoubt, Open: ten.Plus(coupons)}},
		"a call that is made now":                    {[]func(*redeem.Redemption){state(1, redeem.StateSent)}, Conclusion{Word: UnderWay, Done: ten, Open: coupons}},
		"a call that could not be made":              {[]func(*redeem.Redemption){state(1, redeem.StateNotSent)}, Conclusion{Word: NotSent, Done: ten, Open: coupons}},
		"a doubt without a next check is a person's": {[]func(*redeem.Redemption){state(0, redeem.StateUnknown), func(r *redeem.Redemption) { r.Legs[0].NextCheck = time.Time{} }}, Conclusion{Word: InDoubt, Done: coupons, Open: ten, Person: true}},
		"a contradiction is a person's":              {[]func(*redeem.Redemption){func(r *redeem.Redemption) { r.Contradiction = true }}, Conclusion{Word: Redeemed, Done: ten.Plus(coupons), Person: true}},
		"what the connector gave back is not redeemed": {[]func(*redeem.Redemption){state(1, redeem.StateRefused), func(r *redeem.Redemption) {
			r.Lines[0].Result = redeem.LineResult{Kind: redeem.Refused, Code: redeem.CodeReversed}
		}}, Conclusion{Word: Undone, Refused: ten.Plus(coupons)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := fixture("b")
			for _, change := range tc.change {
				change(&r)
			}
			if diff := cmp.Diff(tc.want, Conclude(&r)); diff != "" {
				t.Errorf("conclusion (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTally(t *testing.T) {
	got := Tally([]Entry{reversed(), partial(), inDoubt()})
	want := Totals{
		Redemptions: 3, Reversals: 1, Redeemed: Sum{Fen: 2000, Coupons: 2}, GivenBack: Sum{Fen: 400}, Net: Sum{Fen: 1600, Coupons: 2}, InDoubt: Sum{Fen: 1000, Coupons: 2},
		Repeated: []Repeated{{TransOrderNo: "T1", PaymentNo: "P1", BizIDs: []string{"reversed", "partial"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

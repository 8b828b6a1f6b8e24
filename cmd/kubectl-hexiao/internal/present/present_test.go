// SPDX-License-Identifier: Apache-2.0

package present_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func at(clock string) time.Time {
	when, err := time.Parse(time.DateTime, "2026-03-01 "+clock)
	if err != nil {
		panic(err)
	}
	return when
}

func ptr[T any](v T) *T { return &v }

// shanghai is where most who read it are.
var shanghai = time.FixedZone("", 8*60*60)

func doubts() []present.Doubts {
	return []present.Doubts{
		{Of: present.Of{Namespace: "brands", Brand: "xiaowang", Pod: "xiaowang-5d9c-x2k"}, InDoubt: &adminapi.InDoubtList{
			BrandID: "11342", At: at("12:00:00"), Truncated: true, Items: []adminapi.Doubt{
				{Action: "VERIFY", BizID: "20250001", Leg: 0, Provider: "zhimai", Operation: "communal.user.consume", Key: "HXABCDEFGHIJKLMNOPQRSTUVWXYZ",
					OrderNo: "2025121000001", PaymentNo: "1113434444443211", ShopID: "8066287", AmountFen: 2550, Points: 300, Coupons: []string{"1", "2"},
					State: "unknown", Class: "timeout", Since: at("08:59:13"), Strategy: "Manual", WaitsFor: "person", TraceID: "0af7651916cd43dd8448eb211c80319c"},
				{Action: "REVERSE_VERIFY", BizID: "r\x1b[2J1", Leg: 0, Provider: "alsc", Operation: "alibaba.alsc.crm.recharge.undedut.update", Key: "HX2",
					OrderNo: "o2", PaymentNo: "p2", AmountFen: 5, State: "unknown", Since: at("11:59:20"), Checks: 3, NextCheck: ptr(at("12:00:10")),
					Strategy: "Query", WaitsFor: "check", ReversesBizID: "20250000"},
				{Action: "VERIFY", BizID: "b3", Provider: "zhimai", Operation: "communal.user.consume", Key: "HX3", OrderNo: "o3", PaymentNo: "p3", AmountFen: 700,
					State: "sent", Since: at("11:59:54"), NextCheck: ptr(at("12:00:14")), Strategy: "Manual", WaitsFor: "call"},
			},
		}},
		{Of: present.Of{Namespace: "brands", Brand: "zhang", Error: "zhang has no ready Pod: zhang-1 is Pending and not ready"}},
		{Of: present.Of{Namespace: "brands", Brand: "zhao"}, InDoubt: &adminapi.InDoubtList{At: at("12:00:00"), Items: []adminapi.Doubt{}}},
	}
}

func TestInDoubt(t *testing.T) {
	for _, f := range present.Formats {
		t.Run(f, func(t *testing.T) {
			var b bytes.Buffer
			if err := present.InDoubt(&b, present.Format(f), doubts(), shanghai); err != nil {
				t.Fatal(err)
			}
			golden(t, "in-doubt."+f, b.Bytes())
			if f != "json" && f != "yaml" && strings.Contains(b.String(), "\x1b") {
				t.Error("an escape sequence reaches the terminal")
			}
		})
	}
}

func TestNothingIsSaidToBeInDoubtOnlyWhenAllWereAsked(t *testing.T) {
	var b bytes.Buffer
	if err := present.InDoubt(&b, present.Table, doubts()[2:], shanghai); err != nil || b.String() != "nothing is in doubt\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	if err := present.InDoubt(&b, present.Table, doubts()[1:], shanghai); err != nil || strings.Contains(b.String(), "nothing") || !strings.Contains(b.String(), "NOT ASKED: brands/zhang") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestReversals(t *testing.T) {
	list := []present.Reversals{{Of: present.Of{Namespace: "brands", Brand: "xiaowang"}, Reversals: &adminapi.ReversalList{At: at("12:00:00"), Items: []adminapi.Reversal{
		{BizID: "r1", ReversesBizID: "b1", OrderNo: "o", PaymentNo: "p", AmountFen: 2550, Outcome: "unknown", CreatedAt: at("10:00:00"), Open: []adminapi.OpenLeg{
			{Provider: "zhimai", Operation: "manual-reversal", State: "unknown", Class: "manual-reversal", WaitsFor: "person"},
			{No: 1, Provider: "alsc", Operation: "undedut.update", State: "not_sent", WaitsFor: "check", Checks: 2, NextCheck: ptr(at("11:59:00"))}}},
		{BizID: "r2", ReversesBizID: "b2", Points: 10, Outcome: "executed", CreatedAt: at("11:00:00"), ConcludedAt: ptr(at("11:00:01"))},
	}}}}
	for _, f := range []string{"table", "wide"} {
		var b bytes.Buffer
		if err := present.ReversalLists(&b, present.Format(f), list, shanghai); err != nil {
			t.Fatal(err)
		}
		golden(t, "reversals."+f, b.Bytes())
	}
}

func redemption() adminapi.Redemption {
	return adminapi.Redemption{
		BrandID: "11342", Action: "VERIFY", BizID: "20250001", FlowID: "FABC", ShopID: "8066287", OrderNo: "2025121000001", PaymentNo: "1113434444443211",
		TraceID: "0af7651916cd43dd8448eb211c80319c", Outcome: "unknown", Contradiction: true, CreatedAt: at("08:59:00"),
		Lines: []adminapi.Line{{AssetMappingID: "400001", AssetID: "400001", Asset: "StoredValue", AmountFen: 2550},
			{No: 1, AssetMappingID: "300001", AssetID: "300001", Asset: "Points", Count: 300, Result: "executed", ReversedCount: 5},
			{No: 2, AssetMappingID: "200001", AssetID: "77", Asset: "Coupon", AmountFen: 500, Count: 1}},
		Legs: []adminapi.Leg{
			{No: 0, Provider: "zhimai", Operation: "communal.user.consume", Key: "HXABC", Member: "1001", AmountFen: 2550, Lines: []int{0, 2}, Call: json.RawMessage(`{"customerId": "1001"}`),
				State: "unknown", Version: 2, Strategy: "Manual", WaitsFor: "person", SentAt: ptr(at("08:59:00")), UnknownAt: ptr(at("08:59:15")), RefusableFrom: ptr(at("09:09:00")),
				Answer: &adminapi.Answer{Kind: "unknown", Class: "timeout", Detail: "no answer in 15s"}},
			{No: 1, Provider: "alsc", Operation: "open.assert.verify", Key: "HXDEF", Points: 300, Lines: []int{1}, State: "executed", Version: 1, Strategy: "Query",
				SentAt: ptr(at("08:59:00")), ResolvedAt: ptr(at("08:59:01")), Answer: &adminapi.Answer{Kind: "executed", FlowID: "778", HTTPStatus: 200, TotalFen: 0}},
		},
		Reversals: []adminapi.Reversal{{BizID: "r1", Points: 5, Outcome: "executed", CreatedAt: at("09:30:00")}},
		Events: []adminapi.Event{
			{Seq: 1, At: at("08:59:00"), Actor: "engine", Kind: "recorded", Detail: json.RawMessage(`{"legs":[{"provider":"zhimai","operation":"communal.user.consume","key":"HXABC"}]}`)},
			{Seq: 2, At: at("08:59:15"), Leg: ptr(0), Actor: "engine", Kind: "state", From: "sent", To: "unknown", Detail: json.RawMessage(`{"epoch":2,"outcome":{"Kind":"unknown","Class":"timeout","Code":"","Detail":"no answer in 15s","Lines":null,"RetryAfter":0,"HTTPStatus":0},"reason":"timeout"}`)},
			{Seq: 3, At: at("09:00:00"), Leg: ptr(0), Actor: "li@example.com", Kind: "decision", Detail: json.RawMessage(`{"who":"li@example.com","reason":"bill 77","verdict":"executed"}`)},
		},
	}
}

func TestEvidence(t *testing.T) {
	var b bytes.Buffer
	if err := present.Evidence(&b, redemption(), shanghai, trail.Words); err != nil {
		t.Fatal(err)
	}
	for _, f := range []adminapi.Finding{
		{Leg: 0, At: at("12:00:00"), Verdict: "found", Answer: &adminapi.Answer{Kind: "executed", FlowID: "77", TotalFen: 2550}, Alarm: true},
		{Leg: 0, At: at("12:00:00"), Verdict: "missing", Detail: "no bill"},
		{Leg: 1, At: at("12:00:00"), Verdict: "differs"}, {Leg: 1, At: at("12:00:00"), Verdict: "inconclusive"}, {Leg: 1, At: at("12:00:00"), Verdict: "cannot-ask"},
		{Leg: 1, At: at("12:00:00"), Verdict: "partly"}, {Leg: 1, At: at("12:00:00"), Verdict: "unshown"},
	} {
		b.WriteString(present.Finding(f, shanghai) + "\n")
	}
	golden(t, "evidence.txt", b.Bytes())
}

func TestRecorded(t *testing.T) {
	var b bytes.Buffer
	r := redemption()
	resolved := adminapi.Resolved{Decision: "refused", Who: "li@example.com", Reason: "bill 77 was cancelled", Overruled: "at 2026-03-01 08:59:30Z look-up: found", Redemption: r}
	if err := present.Recorded(&b, resolved, 0, shanghai); err != nil {
		t.Fatal(err)
	}
	resolved.Redemption.ConcludedAt, resolved.Redemption.SubCode, resolved.Redemption.Contradiction = ptr(at("09:00:00")), "201", false
	if err := present.Recorded(&b, resolved, 0, shanghai); err != nil {
		t.Fatal(err)
	}
	golden(t, "recorded.txt", b.Bytes())
}

func TestValues(t *testing.T) {
	for fen, want := range map[int64]string{0: "0.00", 5: "0.05", 2550: "25.50", -105: "-1.05", 123456789: "1234567.89"} {
		if got := present.Yuan(fen); got != want {
			t.Errorf("%d fen: %s, want %s", fen, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 200 * time.Second: "3m20s", 5*time.Hour + 12*time.Minute: "5h12m", 76 * time.Hour: "3d4h"} {
		if got := present.Span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	if _, err := present.ParseFormat("xml"); err == nil {
		t.Error("xml was taken for a format")
	}
}

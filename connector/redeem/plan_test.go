// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite golden files")

var testRoutes = []Route{
	{Name: "special", AssetMappingIDs: []string{"1", "2"}, Asset: StoredValue, Provider: "alsc"},
	{Name: "rest", AssetMappingIDs: []string{"2", "3"}, Asset: StoredValue, Provider: "zhimai"},
	{Name: "coupons", AssetMappingIDs: []string{"c"}, Asset: Coupon, Provider: "zhimai"},
	{Name: "points", AssetMappingIDs: []string{"p"}, Asset: Points, Provider: "zhimai"},
	{Name: "typo", AssetMappingIDs: []string{"t"}, Asset: "Gold", Provider: "zhimai"},
}

func verifyOf(lines ...Line) Request {
	return Request{Action: Verify, BrandID: "11342", BizID: "b1", Lines: lines}
}

func TestPlanRejects(t *testing.T) {
	many := make([]Line, 21)
	tests := map[string]struct {
		req        Request
		sub, field string
	}{
		"no line":                        {verifyOf(), SubNoLines, "memberAssetsVerificationList"},
		"no line of a reversal":          {Request{Action: ReverseVerify, BrandID: "11342", BizID: "b"}, SubNoLines, "assetsReverseVerificationList"},
		"too many lines":                 {verifyOf(many...), SubTooManyLines, "memberAssetsVerificationList"},
		"another brand":                  {Request{BrandID: "2", BizID: "b"}, SubBizID, "kryBrandId"},
		"no bizId":                       {Request{BrandID: "11342"}, SubBizID, "bizId"},
		"a bizId without end":            {Request{BrandID: "11342", BizID: strings.Repeat("x", 129)}, SubBizID, "bizId"},
		"a bizId of the connector's own": {Request{BrandID: "11342", BizID: CompensationBizID("b1"), Lines: many[:1]}, SubBizID, "bizId"},
		"no route":                       {verifyOf(Line{AssetMappingID: "9", Amount: 1}), SubNoRoute, "memberAssetsVerificationList[0].assetMappingId"},
		"a route of an unknown asset":    {verifyOf(Line{AssetMappingID: "t", Amount: 1}), SubNoRoute, "memberAssetsVerificationList[0].assetMappingId"},
		"stored value of nothing":        {verifyOf(Line{AssetMappingID: "1", Count: 5}), SubAmount, "memberAssetsVerificationList[0].verifyAmount"},
		"a negative amount":              {verifyOf(Line{AssetMappingID: "1", Amount: -1}), SubAmount, "memberAssetsVerificationList[0].verifyAmount"},
		"a coupon's negative amount":     {verifyOf(Line{AssetMappingID: "c", AssetID: "x", Count: 1, Amount: -1}), SubAmount, "memberAssetsVerificationList[0].verifyAmount"},
		"an amount out of bounds":        {verifyOf(Line{AssetMappingID: "1", Amount: MaxFen + 1}), SubAmount, "memberAssetsVerificationList[0].verifyAmount"},
		"amounts that add up too far":    {verifyOf(Line{AssetMappingID: "1", Amount: MaxFen}, Line{AssetMappingID: "2", Amount: 1}), SubTotal, "memberAssetsVerificationList[1].verifyAmount"},
		"a negative count":               {verifyOf(Line{AssetMappingID: "1", Amount: 1, Count: -1}), SubCount, "memberAssetsVerificationList[0].verifyCnt"},
		"no coupon":                      {verifyOf(Line{AssetMappingID: "c", AssetID: "x"}), SubCount, "memberAssetsVerificationList[0].verifyCnt"},
		"a coupon without id":            {verifyOf(Line{AssetMappingID: "c", Count: 1}), SubAssetID, "memberAssetsVerificationList[0].assetId"},
		"no points, though an amount":    {verifyOf(Line{AssetMappingID: "p", Amount: 100}), SubCount, "memberAssetsVerificationList[0].verifyCnt"},
		"points out of bounds":           {verifyOf(Line{AssetMappingID: "p", Count: MaxCount + 1}), SubCount, "memberAssetsVerificationList[0].verifyCnt"},
		"the same asset twice":           {verifyOf(Line{AssetMappingID: "1", AssetID: "a", Amount: 1}, Line{AssetMappingID: "1", AssetID: "a", Amount: 2}), SubDuplicateLine, "memberAssetsVerificationList[1].assetId"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rej := checkEnvelope(tt.req, "11342", 20)
			if rej == nil {
				_, rej = planLines(tt.req, testRoutes)
			}
			if rej == nil {
				t.Fatal("accepted")
			}
			if d := cmp.Diff([]string{tt.sub, tt.field}, []string{rej.SubCode, rej.Field}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if rej.Cashier == "" || rej.Detail == "" || rej.Retryable {
				t.Errorf("rejection %+v: it must say the next step and must not invite a repeat", rej)
			}
		})
	}
}

func TestTheFirstMatchingRouteWins(t *testing.T) {
	lines, rej := planLines(verifyOf(Line{AssetMappingID: "2", Amount: 1}, Line{AssetMappingID: "3", Amount: 1}), testRoutes)
	if rej != nil {
		t.Fatal(rej)
	}
	if lines[0].Provider != "alsc" || lines[1].Provider != "zhimai" || lines[1].No != 1 {
		t.Errorf("routed to %+v", lines)
	}
}

type planner struct {
	Provider
	plans []LegPlan
	err   error
}

func (p planner) Plan(Request, []Line) ([]LegPlan, error) { return p.plans, p.err }
func (p planner) Send(context.Context, Sending) Outcome   { return Outcome{} }

func TestPlanLegs(t *testing.T) {
	req := verifyOf(Line{AssetMappingID: "3", Amount: 5}, Line{AssetMappingID: "1", Amount: 7})
	good := func(no int, fen Fen, reversible bool) planner {
		return planner{plans: []LegPlan{{Operation: "op", Lines: []int{no}, Amount: fen, Reversible: reversible}}}
	}
	tests := map[string]struct {
		providers map[string]Provider
		want      []string // provider of each leg
		sub       string
	}{
		"in the order of the lines":            {map[string]Provider{"zhimai": good(0, 5, true), "alsc": good(1, 7, true)}, []string{"zhimai", "alsc"}, ""},
		"the reversible first":                 {map[string]Provider{"zhimai": good(0, 5, false), "alsc": good(1, 7, true)}, []string{"alsc", "zhimai"}, ""},
		"a provider that is not configured":    {map[string]Provider{"zhimai": good(0, 5, true)}, nil, SubNoProvider},
		"a provider that plans another amount": {map[string]Provider{"zhimai": good(0, 6, true), "alsc": good(1, 7, true)}, nil, SubUnplannable},
		"a provider that plans another line":   {map[string]Provider{"zhimai": good(1, 5, true), "alsc": good(1, 7, true)}, nil, SubUnplannable},
		"a provider that forgets a line":       {map[string]Provider{"zhimai": planner{}, "alsc": good(1, 7, true)}, nil, SubUnplannable},
		"a provider that rejects":              {map[string]Provider{"zhimai": planner{err: &Rejection{SubCode: "901"}}, "alsc": good(1, 7, true)}, nil, "901"},
		"a provider that fails to plan at all": {map[string]Provider{"zhimai": planner{err: errors.New("x")}, "alsc": good(1, 7, true)}, nil, SubUnplannable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines, rej := planLines(req, testRoutes)
			if rej != nil {
				t.Fatal(rej)
			}
			legs, rej := planLegs(req, lines, tt.providers)
			if rej != nil {
				if rej.SubCode != tt.sub {
					t.Errorf("rejected with %q (%v), want %q", rej.SubCode, rej, tt.sub)
				}
				return
			}
			var got []string
			for i, l := range legs {
				got = append(got, l.Provider)
				if l.No != i || l.Key != UpstreamKey("11342", Verify, "b1", i) || l.State != StateSent {
					t.Errorf("leg %d: %+v", i, l)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" || tt.sub != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestKeysAreForEver(t *testing.T) {
	got := []string{UpstreamKey("11342", Verify, "20250001", 0), UpstreamKey("11342", Verify, "20250001", 1), FlowID("11342", Verify, "20250001")}
	golden(t, "keys.golden", strings.Join(got, "\n")+"\n")
	for i, k := range got {
		if !regexp.MustCompile(`^(HX|F)[A-Z2-7]{26}$`).MatchString(k) {
			t.Errorf("key %d: %q", i, k)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if strings.HasPrefix(name, "..") {
		path = name
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s is not current, run with -update (-want +got):\n%s", path, d)
	}
}

func TestKeysDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type id struct {
			brand, biz string
			action     Action
			leg        int
		}
		gen := rapid.Custom(func(t *rapid.T) id {
			return id{rapid.StringN(0, 4, 8).Draw(t, "brand"), rapid.StringN(0, 4, 8).Draw(t, "biz"),
				rapid.SampledFrom([]Action{Verify, ReverseVerify}).Draw(t, "action"), rapid.IntRange(0, 12).Draw(t, "leg")}
		})
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		same := UpstreamKey(a.brand, a.action, a.biz, a.leg) == UpstreamKey(b.brand, b.action, b.biz, b.leg)
		if same != (a == b) {
			t.Fatalf("%+v and %+v: same key: %v", a, b, same)
		}
	})
}

func genRequest(t *rapid.T) Request {
	text := rapid.StringN(0, 6, 12)
	r := Request{
		Action:  rapid.SampledFrom([]Action{Verify, ReverseVerify}).Draw(t, "action"),
		BrandID: text.Draw(t, "brand"), ShopID: text.Draw(t, "shop"), KryMemberID: text.Draw(t, "kry"), MemberID: text.Draw(t, "member"),
		TransOrderNo: text.Draw(t, "order"), PaymentNo: text.Draw(t, "payment"), RefundPaymentNo: text.Draw(t, "refund"), ThirdFlowNo: text.Draw(t, "flow"),
	}
	for range rapid.IntRange(1, 4).Draw(t, "lines") {
		r.Lines = append(r.Lines, Line{AssetMappingID: text.Draw(t, "mapping"), AssetID: text.Draw(t, "asset"),
			Amount: Fen(rapid.Int64().Draw(t, "fen")), Count: rapid.Int64().Draw(t, "count")})
	}
	return r
}

func print1(t interface{ Fatal(...any) }, r Request) string {
	fp, err := Fingerprint(FingerprintVersion, r)
	if err != nil {
		t.Fatal(err)
	}
	return string(fp)
}

func TestFingerprintIgnoresWhatARetryMayChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRequest(t)
		before := print1(t, r)
		text := rapid.String()
		r.RequestID, r.OperatorID, r.OperatorName, r.DeviceID = text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c"), text.Draw(t, "d")
		r.PaymentToken, r.PaymentTokenType, r.Mobile, r.TraceID = text.Draw(t, "e"), text.Draw(t, "f"), text.Draw(t, "g"), text.Draw(t, "h")
		r.CallInterface, r.CallMethod = text.Draw(t, "i"), text.Draw(t, "j")
		r.ReceivedAt, r.ReplyDeadlineAt = time.Unix(rapid.Int64Range(0, 1e9).Draw(t, "k"), 0), time.Unix(5, 0)
		r.Lines = rapid.Permutation(r.Lines).Draw(t, "order of lines")
		for i := range r.Lines {
			r.Lines[i].No, r.Lines[i].Provider, r.Lines[i].Asset = i, "any", Coupon
		}
		if print1(t, r) != before {
			t.Fatal("the fingerprint changed")
		}
	})
}

func TestFingerprintSeesEveryEconomicField(t *testing.T) {
	changes := map[string]func(*Request){
		"action":          func(r *Request) { r.Action += "x" },
		"brand":           func(r *Request) { r.BrandID += "x" },
		"shop":            func(r *Request) { r.ShopID += "x" },
		"Keruyun member":  func(r *Request) { r.KryMemberID += "x" },
		"member":          func(r *Request) { r.MemberID += "x" },
		"order":           func(r *Request) { r.TransOrderNo += "x" },
		"payment":         func(r *Request) { r.PaymentNo += "x" },
		"refund payment":  func(r *Request) { r.RefundPaymentNo += "x" },
		"flow":            func(r *Request) { r.ThirdFlowNo += "x" },
		"asset mapping":   func(r *Request) { r.Lines[0].AssetMappingID += "x" },
		"asset":           func(r *Request) { r.Lines[0].AssetID += "x" },
		"amount":          func(r *Request) { r.Lines[0].Amount++ },
		"count":           func(r *Request) { r.Lines[0].Count++ },
		"one line more":   func(r *Request) { r.Lines = append(r.Lines, r.Lines[0]) },
		"no line":         func(r *Request) { r.Lines = nil },
		"ids swapped":     func(r *Request) { r.KryMemberID, r.MemberID = r.MemberID+"|", r.KryMemberID },
		"moved character": func(r *Request) { r.TransOrderNo, r.PaymentNo = r.TransOrderNo+"x", "x"+r.PaymentNo },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := genRequest(t)
				before := print1(t, r)
				change(&r)
				if print1(t, r) == before {
					t.Fatal("the fingerprint is the same")
				}
			})
		})
	}
}

func TestAnUnheardOfFingerprintVersionIsAnError(t *testing.T) {
	if _, err := Fingerprint(2, Request{}); err == nil {
		t.Error("no error")
	}
}

func TestALegsMoneyIsSharedOutWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "lines")
		leg := Leg{State: StateExecuted}
		var lines []Line
		for i := range n {
			asset := rapid.SampledFrom([]Asset{StoredValue, Coupon, Points}).Draw(t, "asset")
			lines = append(lines, Line{No: i, Asset: asset, Amount: Fen(rapid.Int64Range(1, 1000).Draw(t, "fen")), Count: 1})
			leg.Lines = append(leg.Lines, i)
			if asset == StoredValue {
				leg.Amount += lines[i].Amount
			}
		}
		leg.Outcome.Kind = Executed
		leg.Outcome.Total = Fen(rapid.Int64Range(0, int64(leg.Amount)+5).Draw(t, "total"))
		leg.Outcome.Gift = Fen(rapid.Int64Range(0, int64(leg.Outcome.Total)).Draw(t, "gift"))
		leg.Outcome.Real = leg.Outcome.Total - leg.Outcome.Gift
		foldLines(lines, leg)
		var total, real, gift Fen
		money := false
		for _, l := range lines {
			if l.Result.Total != l.Result.Real+l.Result.Gift || l.Result.Total < 0 || l.Result.Real < 0 || l.Result.Gift < 0 {
				t.Fatalf("line %+v", l.Result)
			}
			money = money || l.Asset == StoredValue
			total, real, gift = total+l.Result.Total, real+l.Result.Real, gift+l.Result.Gift
		}
		if money && (total != leg.Outcome.Total || real != leg.Outcome.Real || gift != leg.Outcome.Gift) {
			t.Fatalf("shared out %d=%d+%d of %d=%d+%d", total, real, gift, leg.Outcome.Total, leg.Outcome.Real, leg.Outcome.Gift)
		}
	})
}

func TestSane(t *testing.T) {
	tests := map[string]struct{ in, want Outcome }{
		"an unheard-of kind is no knowledge":   {Outcome{Kind: "fine"}, Outcome{Kind: Unknown, Class: ClassDefect}},
		"no kind is no knowledge":              {Outcome{}, Outcome{Kind: Unknown, Class: ClassDefect}},
		"an open line leaves the leg open":     {Outcome{Kind: Executed, Total: 1, Real: 1, Lines: []LineOutcome{{Kind: Unknown}}}, Outcome{Kind: Unknown, Class: ClassDefect, Total: 1, Real: 1, Lines: []LineOutcome{{Kind: Unknown}}}},
		"no figures means what was asked for":  {Outcome{Kind: Executed}, Outcome{Kind: Executed, Total: 7, Real: 7}},
		"a split that does not add up is none": {Outcome{Kind: Executed, Total: 7, Real: 3, Gift: 3}, Outcome{Kind: Executed, Total: 7, Real: 7}},
		"a refusal stays":                      {Outcome{Kind: Refused, Code: "x"}, Outcome{Kind: Refused, Code: "x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, sane(tt.in, Leg{Amount: 7})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestCadence(t *testing.T) {
	var got []string
	for checks := range 9 {
		got = append(got, fmt.Sprint(nextDelay(checks, 0), " ", nextDelay(checks, 0.5), " ", nextDelay(checks, 1)))
	}
	want := []string{
		"800ms 1s 1.2s", "2.4s 3s 3.6s", "8s 10s 12s", "24s 30s 36s", "1m36s 2m0s 2m24s", "8m0s 10m0s 12m0s",
		"48m0s 1h0m0s 1h12m0s", "48m0s 1h0m0s 1h12m0s", "48m0s 1h0m0s 1h12m0s",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestSubCodesPage keeps the reference page equal to the table.
func TestSubCodesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Sub codes\n\n" +
		"`result.subCode` of a reply; where the envelope's code is not 0 there is no result, and the sub code is in the log.\n" +
		"*Repeat* says whether the very same request (same `bizId`) may succeed later.\n" +
		"This page is generated from the engine's table: `go test ./connector/redeem -run SubCodesPage -update`.\n\n" +
		"| sub code | meaning | what the cashier reads | repeat |\n| --- | --- | --- | --- |\n")
	seen := map[string]bool{}
	for _, c := range SubCodes {
		if seen[c.Code] {
			t.Errorf("sub code %s stands twice", c.Code)
		}
		seen[c.Code] = true
		repeat := "no"
		if c.Retryable {
			repeat = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Code, c.Meaning, c.Cashier, repeat)
	}
	golden(t, "../../docs/reference/sub-codes.md", b.String())
}

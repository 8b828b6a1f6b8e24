// SPDX-License-Identifier: Apache-2.0

package basket

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// What was redeemed is dealt out to the fen, whatever the split.
func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []Line
		var value redeem.Fen
		for i := range rapid.IntRange(1, 6).Draw(t, "lines") {
			l := Line{No: i, Asset: rapid.SampledFrom([]redeem.Asset{redeem.StoredValue, redeem.Coupon, redeem.Points}).Draw(t, "asset")}
			l.Amount = redeem.Fen(rapid.Int64Range(1, 100_000).Draw(t, "fen"))
			if l.Asset == redeem.StoredValue {
				value += l.Amount
			}
			lines = append(lines, l)
		}
		gift := redeem.Fen(rapid.Int64Range(0, int64(value)).Draw(t, "gift"))
		var total, paid, given redeem.Fen
		for i, o := range Share(lines, redeem.Executed, "", gift) {
			if o.Total != o.Real+o.Gift || o.Real < 0 || o.Gift < 0 || o.Total != lines[i].Amount || o.Line != lines[i].No {
				t.Fatalf("line %+v of %+v", o, lines[i])
			}
			if lines[i].Asset == redeem.StoredValue {
				total, paid, given = total+o.Total, paid+o.Real, given+o.Gift
			}
		}
		if total != value || given != gift || paid != value-gift {
			t.Fatalf("dealt out %d = %d + %d, had %d with %d gift", total, paid, given, value, gift)
		}
	})
}

func TestALegCarriesItsLines(t *testing.T) {
	lines := Keep([]redeem.Line{
		{No: 0, Asset: redeem.StoredValue, AssetID: "c", Amount: 1000}, {No: 2, Asset: redeem.Coupon, AssetID: "7", Amount: 500, Count: 1},
		{No: 3, Asset: redeem.Points, Count: 50, Amount: 100}, {No: 4, Asset: redeem.StoredValue, Amount: 1},
	})
	got, err := Leg("spend", map[string]any{"lines": lines[1:2]}, lines)
	if err != nil {
		t.Fatal(err)
	}
	want := redeem.LegPlan{
		Operation: "spend", Lines: []int{0, 2, 3, 4}, Amount: 1001, Points: 50, Coupons: []string{"7"},
		Call: []byte(`{"lines":[{"no":2,"asset":"Coupon","id":"7","amount":500,"count":1}]}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if _, err := Leg("spend", func() {}, nil); err == nil {
		t.Error("a call that has no JSON is planned")
	}
}

func TestLinesThatNoCallCanSay(t *testing.T) {
	one := redeem.Line{No: 1, Asset: redeem.Coupon, AssetID: "7", Count: 1}
	tests := map[string]struct {
		lines []redeem.Line
		want  string // the field at fault, of the last line
	}{
		"stored value":         {lines: []redeem.Line{{Asset: redeem.StoredValue, Amount: redeem.MaxFen}}},
		"no stored value":      {lines: []redeem.Line{{Asset: redeem.StoredValue}}, want: "[0].verifyAmount"},
		"too much":             {lines: []redeem.Line{{Asset: redeem.StoredValue, Amount: redeem.MaxFen + 1}}, want: "[0].verifyAmount"},
		"points":               {lines: []redeem.Line{{Asset: redeem.Points, Count: 1}}},
		"no points":            {lines: []redeem.Line{{Asset: redeem.Points, Amount: 1}}, want: "[0].verifyCnt"},
		"too many points":      {lines: []redeem.Line{{Asset: redeem.Points, Count: redeem.MaxCount + 1}}, want: "[0].verifyCnt"},
		"coupons":              {lines: []redeem.Line{one, {Asset: redeem.Coupon, AssetID: "8"}}},
		"a coupon without id":  {lines: []redeem.Line{{Asset: redeem.Coupon, Count: 1}}, want: "[0].assetId"},
		"a coupon twice":       {lines: []redeem.Line{{Asset: redeem.Coupon, AssetID: "7"}, one}, want: "[1].assetId"},
		"two of a coupon":      {lines: []redeem.Line{{Asset: redeem.Coupon, AssetID: "7", Count: 2}}, want: "[0].verifyCnt"},
		"less than no coupon":  {lines: []redeem.Line{{Asset: redeem.Coupon, AssetID: "7", Count: -1}}, want: "[0].verifyCnt"},
		"an id that is unfit":  {lines: []redeem.Line{{Asset: redeem.Coupon, AssetID: "unfit", Count: 1}}, want: "[0].assetId"},
		"an asset of nowhere":  {lines: []redeem.Line{{Asset: "Gold", Amount: 1}}, want: "[0].assetMappingId"},
		"points beside others": {lines: []redeem.Line{one, {No: 2, Asset: redeem.Points}}, want: "[2].verifyCnt"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			check := Checker{CouponID: func(id string) bool { return id != "unfit" }}
			var err error
			for i, l := range tc.lines {
				if err = check.Check(l); err != nil && i < len(tc.lines)-1 {
					t.Fatalf("line %d: %v", i, err)
				}
			}
			field := ""
			if r, ok := errors.AsType[*redeem.Rejection](err); ok {
				field = r.Field
			}
			if want := tc.want; want != "" && field != "memberAssetsVerificationList"+want || want == "" && err != nil {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

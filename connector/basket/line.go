// SPDX-License-Identifier: Apache-2.0

package basket

import (
	"encoding/json"
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Line is what a leg keeps of a line of its request, so that the same outcome can
// be told line by line when the request itself is gone.
type Line struct {
	No     int          `json:"no"`
	Asset  redeem.Asset `json:"asset"`
	ID     string       `json:"id,omitempty"`     // assetId: the coupon of a coupon line
	Amount redeem.Fen   `json:"amount,omitempty"` // fen
	Count  int64        `json:"count,omitempty"`
}

// Keep makes Lines of a request's lines.
func Keep(lines []redeem.Line) []Line {
	kept := make([]Line, 0, len(lines))
	for _, l := range lines {
		kept = append(kept, Line{No: l.No, Asset: l.Asset, ID: l.AssetID, Amount: l.Amount, Count: l.Count})
	}
	return kept
}

// Totals of lines: stored value in fen, points, and the coupons.
func Totals(lines []Line) (value redeem.Fen, points int64, coupons []string) {
	for _, l := range lines {
		switch l.Asset {
		case redeem.StoredValue:
			value += l.Amount
		case redeem.Points:
			points += l.Count
		case redeem.Coupon:
			coupons = append(coupons, l.ID)
		}
	}
	return value, points, coupons
}

// Leg plans the leg that makes call, which is kept as JSON, for lines. Whose member it is
// and whether it can be reversed, the vendor client adds.
func Leg(operation string, call any, lines []Line) (redeem.LegPlan, error) {
	raw, err := json.Marshal(call)
	if err != nil {
		return redeem.LegPlan{}, fmt.Errorf("plan %s: %w", operation, err)
	}
	p := redeem.LegPlan{Operation: operation, Call: raw}
	p.Amount, p.Points, p.Coupons = Totals(lines)
	for _, l := range lines {
		p.Lines = append(p.Lines, l.No)
	}
	return p, nil
}

// Share deals the real and the gift part of an executed call out to its
// stored-value lines, in their order and real money first; together they are what
// was redeemed, to the fen. A line of another asset moved no stored value: it is
// reported with the amount that the till gave it.
func Share(lines []Line, kind redeem.Kind, cashier string, gift redeem.Fen) []redeem.LineOutcome {
	var value redeem.Fen
	for _, l := range lines {
		if l.Asset == redeem.StoredValue {
			value += l.Amount
		}
	}
	realLeft := value - gift
	out := make([]redeem.LineOutcome, 0, len(lines))
	for _, l := range lines {
		o := redeem.LineOutcome{Line: l.No, Kind: kind, Cashier: cashier, Total: l.Amount, Real: l.Amount}
		if l.Asset == redeem.StoredValue {
			o.Real = min(l.Amount, realLeft)
			o.Gift = l.Amount - o.Real
			realLeft -= o.Real
		}
		out = append(out, o)
	}
	return out
}

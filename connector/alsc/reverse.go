// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// PlanReversal plans what undoes lines of the executed leg. Stored value may be given
// back in parts. Of points and coupons, single coupons of a leg without points may
// be; the refund call has no field for points, so they come back with all or by a
// person.
func (c *Client) PlanReversal(req redeem.Request, original redeem.Leg, lines []redeem.Line) (redeem.LegPlan, error) {
	var k call
	if err := json.Unmarshal(original.Call, &k); err != nil {
		return redeem.LegPlan{}, fmt.Errorf("plan reversal: read the call of leg %d: %w", original.No, err)
	}
	did := k.Lines
	k.Reverses, k.BizDate, k.ExtInfo = original.Key, "", ""
	if req.OperatorID != "" {
		k.OperatorID = c.operatorID(req.OperatorID)
	}
	// A chip's number was not kept; the order is found by its number.
	k.ChipCard = false
	k.Lines = basket.Keep(lines)
	switch original.Operation {
	case Dedut:
		if err := partOfValue(did, lines); err != nil {
			return redeem.LegPlan{}, err
		}
		return leg(Undedut, k)
	case Verify:
		whole, err := partOfAssets(done(did, original.Outcome), lines)
		if err != nil {
			return redeem.LegPlan{}, err
		}
		k.Whole = whole
		return leg(Refund, k)
	}
	return redeem.LegPlan{}, basket.ByHand("alsc: a leg of " + original.Operation + " cannot be reversed")
}

// partOfValue demands that no more is given back than the leg took. What earlier
// reversals gave back, the ledger knows.
func partOfValue(did []basket.Line, lines []redeem.Line) error {
	var took, back redeem.Fen
	for _, l := range did {
		took += l.Amount
	}
	for _, l := range lines {
		if l.Asset != redeem.StoredValue || l.Amount <= 0 || l.Amount > redeem.MaxFen {
			return basket.BadAmount(fmt.Sprintf("assetsReverseVerificationList[%d].reverseVerifyAmount", l.No))
		}
		back += l.Amount
	}
	if back == 0 || back > took {
		return &redeem.Rejection{
			SubCode: redeem.SubOverReversed, Field: "assetsReverseVerificationList", Cashier: "反核销超过原核销的数额，请核对后重新发起",
			Detail: fmt.Sprintf("alsc: %d fen were taken, %d cannot be given back", took, back),
		}
	}
	return nil
}

// done leaves out the lines that the vendor refused within an executed leg.
func done(did []basket.Line, o redeem.Outcome) []basket.Line {
	return slices.DeleteFunc(slices.Clone(did), func(l basket.Line) bool {
		return slices.ContainsFunc(o.Lines, func(lo redeem.LineOutcome) bool { return lo.Line == l.No && lo.Kind != redeem.Executed })
	})
}

// partOfAssets demands that lines can be given back, and says whether they are all
// that the leg did.
func partOfAssets(did []basket.Line, lines []redeem.Line) (whole bool, _ error) {
	points, pointsBack := int64(0), int64(0)
	vouchers := map[string]bool{}
	for _, l := range did {
		if l.Asset == redeem.Points {
			points += l.Count
		} else {
			vouchers[l.ID] = true
		}
	}
	all := len(vouchers)
	for _, l := range lines {
		if l.Asset == redeem.Points {
			pointsBack += l.Count
			continue
		}
		if !vouchers[l.AssetID] {
			return false, &redeem.Rejection{
				SubCode: redeem.SubNotRedeemed, Field: fmt.Sprintf("assetsReverseVerificationList[%d].assetId", l.No),
				Cashier: "原单未核销该资产，无需反核销", Detail: "alsc: the coupon was not part of the redemption",
			}
		}
		delete(vouchers, l.AssetID)
	}
	whole = pointsBack == points && len(vouchers) == 0
	if len(lines) == 0 || (points > 0 && !whole) || pointsBack > points {
		return false, basket.ByHand(fmt.Sprintf("alsc: a leg with points is given back as a whole: %d points and %d coupons", points, all))
	}
	return whole, nil
}

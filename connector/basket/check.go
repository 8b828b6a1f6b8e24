// SPDX-License-Identifier: Apache-2.0

package basket

import (
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Checker finds lines of one request that no vendor's call can say. It is used once.
type Checker struct {
	// CouponID says whether the vendor can be sent this coupon id; nil: any that is not
	// empty.
	CouponID func(id string) bool

	seen map[string]bool
}

// Check looks at the next line. The error is a *redeem.Rejection that names the field.
func (c *Checker) Check(l redeem.Line) error {
	at := func(field string) string { return fmt.Sprintf("memberAssetsVerificationList[%d].%s", l.No, field) }
	switch l.Asset {
	case redeem.StoredValue:
		if l.Amount <= 0 || l.Amount > redeem.MaxFen {
			return BadAmount(at("verifyAmount"))
		}
	case redeem.Points:
		if l.Count <= 0 || l.Count > redeem.MaxCount {
			return badCount(at("verifyCnt"))
		}
	case redeem.Coupon:
		return c.coupon(l, at)
	default:
		return badAsset(at("assetMappingId"), l.Asset)
	}
	return nil
}

func (c *Checker) coupon(l redeem.Line, at func(string) string) error {
	switch {
	case l.AssetID == "" || c.CouponID != nil && !c.CouponID(l.AssetID):
		return badCoupon(at("assetId"))
	case c.seen[l.AssetID]:
		return twiceCoupon(at("assetId"))
	case l.Count < 0 || l.Count > 1: // one id is one coupon; 0: the till left it out
		return badCount(at("verifyCnt"))
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[l.AssetID] = true
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Sub codes of what planning rejects; the first three are the ones of a malformed
// request.
const (
	SubMissing       = "102" // a field that the vendor needs is not there
	SubMalformed     = "103" // a field has a value that the vendor cannot take
	SubAmount        = "104" // an amount or count is out of range
	SubNotReversible = "211" // the vendor cannot undo this, or not in part
)

// MaxPoints bounds the points of one line.
const MaxPoints = 1_000_000_000

// BadAmount rejects an amount of stored value.
func BadAmount(field string) error {
	return &redeem.Rejection{
		SubCode: SubAmount, Field: field, Cashier: "核销金额不正确，请检查后重新发起核销。",
		Detail: fmt.Sprintf("must be from 1 to %d fen", redeem.MaxFen),
	}
}

// BadCount rejects a count of points or coupons.
func BadCount(field string) error {
	return &redeem.Rejection{
		SubCode: SubAmount, Field: field, Cashier: "核销数量不正确，请检查后重新发起核销。",
		Detail: fmt.Sprintf("must be 1 for a coupon, from 1 to %d for points", MaxPoints),
	}
}

// BadCoupon rejects a coupon line without a usable coupon id.
func BadCoupon(field string) error {
	return &redeem.Rejection{
		SubCode: SubMalformed, Field: field, Cashier: "优惠券编号缺失或不正确，请重新选择优惠券。",
		Detail: "must be the id of the member's coupon",
	}
}

// TwiceCoupon rejects a coupon that stands in two lines.
func TwiceCoupon(field string) error {
	return &redeem.Rejection{
		SubCode: SubMalformed, Field: field, Cashier: "同一张优惠券重复提交，请删除重复项后重试。",
		Detail: "the same coupon stands in two lines",
	}
}

// BadAsset rejects a line of an asset that the vendor client does not know.
func BadAsset(field string, asset redeem.Asset) error {
	return &redeem.Rejection{
		SubCode: SubMalformed, Field: field, Cashier: TillConfig,
		Detail: fmt.Sprintf("the route's asset %q is none of StoredValue, Coupon, Points", asset),
	}
}

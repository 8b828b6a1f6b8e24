// SPDX-License-Identifier: Apache-2.0

package basket

import (
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Missing rejects a request that lacks what a vendor's call needs.
func Missing(field, cashier, detail string) error {
	return &redeem.Rejection{SubCode: redeem.SubUnplannable, Field: field, Cashier: cashier, Detail: detail}
}

// BadAmount rejects an amount of stored value.
func BadAmount(field string) error {
	return &redeem.Rejection{
		SubCode: redeem.SubAmount, Field: field, Cashier: "核销金额不正确，请核对金额后重新发起",
		Detail: fmt.Sprintf("must be from 1 to %d fen", redeem.MaxFen),
	}
}

// badCount rejects a count of points or coupons.
func badCount(field string) error {
	return &redeem.Rejection{
		SubCode: redeem.SubCount, Field: field, Cashier: "核销数量不正确，请核对数量后重新发起",
		Detail: fmt.Sprintf("must be 1 for a coupon, which is one id, and from 1 to %d for points", redeem.MaxCount),
	}
}

// badCoupon rejects a coupon line without a usable coupon id.
func badCoupon(field string) error {
	return &redeem.Rejection{
		SubCode: redeem.SubAssetID, Field: field, Cashier: "券号缺失或不正确，请重新选择优惠券",
		Detail: "must be the id of the member's coupon",
	}
}

// twiceCoupon rejects a coupon that stands in two lines.
func twiceCoupon(field string) error {
	return &redeem.Rejection{
		SubCode: redeem.SubDuplicateLine, Field: field, Cashier: "同一张优惠券重复提交，请删除重复项后重新发起",
		Detail: "the same coupon stands in two lines",
	}
}

// badAsset rejects a line of an asset that the vendor client does not know.
func badAsset(field string, asset redeem.Asset) error {
	return &redeem.Rejection{
		SubCode: redeem.SubNoRoute, Field: field, Cashier: answer.TillConfig,
		Detail: fmt.Sprintf("the route's asset %q is none of StoredValue, Coupon, Points", asset),
	}
}

// ByHand rejects a reversal that the vendor's interface cannot make. It names no
// field, because the request is not at fault: the engine records the reversal all the
// same and hands it to a person.
func ByHand(detail string) error {
	return &redeem.Rejection{
		SubCode: redeem.SubManualReversal, Cashier: "反核销已登记，需人工处理，请联系门店管理员", Detail: detail,
	}
}

// SPDX-License-Identifier: Apache-2.0

package redeem

// Sub codes that the engine gives. Each is in SubCodes, from which the reference
// page is made; none is ever given a second meaning.
const (
	SubOK = "000"

	// The request itself; the same request is refused again.
	SubNoLines       = "110"
	SubTooManyLines  = "111"
	SubNoRoute       = "112"
	SubAmount        = "113"
	SubCount         = "114"
	SubDuplicateLine = "115"
	SubTotal         = "116"
	SubAssetID       = "117"
	SubBizID         = "118"
	SubUnplannable   = "119"
	SubConflict      = "120"

	// Reversals.
	SubNoFlow           = "130"
	SubUnknownFlow      = "131"
	SubOriginalPending  = "132"
	SubOverReversed     = "133"
	SubNotRedeemed      = "134"
	SubManualReversal   = "135"
	SubReversalConflict = "136"

	// Concluded redemptions.
	SubPartial  = "201"
	SubRefused  = "202"
	SubReversed = "203"

	// Our own side, or a full house: nothing was sent, the same request may succeed.
	SubUnreachable = "510"
	SubBreakerOpen = "511"
	SubRateLimited = "512"
	SubBulkhead    = "513"
	SubDraining    = "514"
	SubNoProvider  = "515"
	SubNoTime      = "516"
)

// SubCode is a row of the reference.
type SubCode struct {
	Code      string
	Meaning   string // English
	Cashier   string // the Chinese text, or its pattern
	Retryable bool   // the same request may succeed later
}

// SubCodes is every sub code of the engine, in order.
var SubCodes = []SubCode{
	{SubOK, "Everything was done.", "成功", false},
	{SubNoLines, "The request lists no asset.", "没有要核销的资产，请重新选择资产后再试", false},
	{SubTooManyLines, "The request lists more assets than one call may carry.", "一次核销的资产过多，请分次核销", false},
	{SubNoRoute, "No route of the brand matches the line's assetMappingId.", "该资产未开通核销，请换一种资产或联系门店管理员", false},
	{SubAmount, "A stored-value line's amount is not positive, is out of bounds, or an amount is negative.", "核销金额不正确，请核对金额后重新发起", false},
	{SubCount, "A coupon's or points line's count is not positive or is out of bounds.", "核销数量不正确，请核对数量后重新发起", false},
	{SubDuplicateLine, "The same asset stands in two lines.", "同一资产重复提交，请合并后重新发起", false},
	{SubTotal, "The amounts add up to more than one call may redeem.", "核销总金额超出上限，请分次核销", false},
	{SubAssetID, "A coupon line names no coupon.", "缺少券号，请重新选择优惠券", false},
	{SubBizID, "bizId is missing or too long, or the brand is not this connector's.", "业务单号不正确，请重新发起", false},
	{SubUnplannable, "The vendor's call cannot be made from this request.", "该资产无法按此方式核销，请联系门店管理员", false},
	{SubConflict, "The bizId was used before for something else. Nothing was sent.", "业务单号已用于另一笔核销，请重新发起一笔新的核销", false},
	{SubNoFlow, "A reversal names no thirdFlowNo.", "缺少原核销流水号，请从原单发起反核销", false},
	{SubUnknownFlow, "No redemption has this thirdFlowNo.", "找不到原核销记录，请核对原单后重试", false},
	{SubOriginalPending, "The redemption to reverse is itself not known yet. Nothing was sent.", "原核销结果确认中，请稍后用同一单号重试反核销", true},
	{SubOverReversed, "More would be reversed than was redeemed.", "反核销超过原核销的数额，请核对后重新发起", false},
	{SubNotRedeemed, "The line was not redeemed by the original, so it cannot be reversed.", "原单未核销该资产，无需反核销", false},
	{SubManualReversal, "The vendor's reversal cannot be made by machine: it is recorded and waits for a person.", "反核销已登记，需人工处理，请联系门店管理员", false},
	{SubReversalConflict, "The reversal and the original do not belong together (shop's brand, order or payment number).", "反核销与原核销单据不符，请从原单重新发起", false},
	{SubPartial, "Some lines were done, others refused.", "部分资产核销成功，请按明细处理未成功的资产", false},
	{SubRefused, "Every line was refused.", "核销未成功，请按明细提示处理", false},
	{SubReversed, "Something was refused, and what had been redeemed was given back.", "核销未成功，已扣部分已退回，请重新发起", false},
	{SubUnreachable, "The vendor could not be reached: no byte was sent.", "会员系统暂时无法连接，本次未扣款，请稍后重试", true},
	{SubBreakerOpen, "The vendor fails too often: calls are held back.", "会员系统暂时不可用，本次未扣款，请稍后重试", true},
	{SubRateLimited, "The vendor's call limit is reached.", "会员系统繁忙，本次未扣款，请稍后重试", true},
	{SubBulkhead, "Too many calls to the vendor are under way.", "会员系统繁忙，本次未扣款，请稍后重试", true},
	{SubDraining, "This connector is shutting down.", "系统正在切换，本次未扣款，请立即重试", true},
	{SubNoProvider, "The vendor that the route or the leg names is not configured.", "该资产的会员系统未配置，请联系门店管理员", true},
	{SubNoTime, "The caller's budget was over before anything was sent.", "系统繁忙，本次未扣款，请稍后重试", true},
}

func reject(code, field, detail string) *Rejection {
	for _, c := range SubCodes {
		if c.Code == code {
			return &Rejection{SubCode: code, Field: field, Cashier: c.Cashier, Detail: detail, Retryable: c.Retryable}
		}
	}
	return &Rejection{SubCode: code, Field: field, Detail: detail}
}

// SubCodeOf is the sub code that a concluded redemption's answer carries.
func SubCodeOf(r Redemption) string {
	done, refused, returned := 0, 0, 0
	for _, l := range r.Lines {
		switch {
		case l.Result.Kind == Executed:
			done++
		case l.Result.Code == CodeReversed:
			returned++
		default:
			refused++
		}
	}
	switch {
	case refused+returned == 0:
		return SubOK
	case done > 0:
		return SubPartial
	case returned > 0:
		return SubReversed
	}
	return SubRefused
}

// SPDX-License-Identifier: Apache-2.0

package keruyun

import "github.com/hexiao-dev/hexiao/connector/redeem"

// Codes of the envelope, Keruyun's own.
const (
	CodeOK      = 0    // the request was judged; result says how
	CodeFault   = 3000 // 系统异常: nothing was redeemed
	CodeInDoubt = 3001 // 请求超时: not known (yet) whether something was redeemed
)

// Sub codes of the faults that this package finds. Those of the engine and of the
// vendors stand in package redeem. Where the envelope's code is not 0 there is no
// result to carry the sub code: it ends the message, and it is in the log.
const (
	// Before the signature is proven; the first three digits are the HTTP status.
	SubMalformedQuery = "400" // a public parameter is missing, doubled or malformed
	SubBadSignature   = "401" // signature, appKey or version not accepted
	SubStale          = "4011"
	SubUnknownPath    = "404" // no such SPI
	SubUnknownBrand   = "4041"
	SubMethod         = "405"
	SubTooLarge       = "413"
	SubMediaType      = "415"
	SubBodyUnread     = "4001" // the body broke off
	SubOverloaded     = "503"
	SubDraining       = "5031"

	// Of the body, after the signature.
	SubNotJSON      = "101" // the body is not one JSON object in UTF-8
	SubMissing      = "102" // a field that is needed is not there
	SubMalformed    = "103" // a field has a wrong type, length or character
	SubAmount       = "104" // an amount or count is not a positive whole number in range
	SubOtherBrand   = "105" // kryBrandId is not the brand that is called
	SubDuplicateKey = "106" // a key stands twice in one JSON object

	// Of the result query.
	SubNoRecord = "301" // nothing was ever redeemed under these numbers

	// Of the member query.
	SubNoMember   = "310" // no vendor knows the guest
	SubIncomplete = "311" // a vendor did not say what the guest has there
	SubUnread     = "312" // no vendor knows the guest, and at least one could not be asked

	// SubInternal: a defect of our own.
	SubInternal = "999"
)

// SubCodes lists them, in order. Together with redeem.SubCodes it is what the reference
// of the member SPIs prints.
var SubCodes = []redeem.SubCode{
	{Code: SubNotJSON, Meaning: "The body is not one JSON object in UTF-8.", Cashier: "请求内容不是有效的JSON对象"},
	{Code: SubMissing, Meaning: "A field that is needed is missing.", Cashier: "缺少必填字段（字段名）"},
	{Code: SubMalformed, Meaning: "A field has a wrong type, is too long, or holds a control character.", Cashier: "字段格式错误（字段名）"},
	{Code: SubAmount, Meaning: "An amount or count is no whole number in digits, negative, zero or too large.", Cashier: "金额（单位：分）或数量必须是整数（字段名）"},
	{Code: SubOtherBrand, Meaning: "`kryBrandId` is not the brand in the path.", Cashier: "品牌与接口地址不一致（kryBrandId）"},
	{Code: SubDuplicateKey, Meaning: "A key stands twice in one JSON object.", Cashier: "字段重复（字段名）"},
	{Code: SubNoRecord, Meaning: "Result query: nothing was ever redeemed under these numbers.", Cashier: textNotFound},
	{Code: SubNoMember, Meaning: "Member query: no vendor of the brand knows the guest.", Cashier: textNoMember},
	{Code: SubIncomplete, Meaning: "Member query: a vendor could not be read; its assets are listed with status `FAIL`, the others as they are.", Cashier: textIncomplete, Retryable: true},
	{Code: SubUnread, Meaning: "Member query: nothing is known, because a vendor could not be read and the others do not know the guest.", Cashier: textUnread, Retryable: true},

	{Code: SubMalformedQuery, Meaning: "A public parameter is missing, doubled or malformed.", Cashier: "公共参数错误，本次未核销，请联系技术支持"},
	{Code: SubBodyUnread, Meaning: "The body broke off.", Cashier: "请求内容不完整，请重试", Retryable: true},
	{Code: SubBadSignature, Meaning: "Signature, `appKey`, `brandId` or `version` is not accepted.", Cashier: "签名校验失败，本次未核销，请联系技术支持检查应用密钥配置"},
	{Code: SubStale, Meaning: "The time stamp is more than 300 s from the connector's clock.", Cashier: "请求时间与服务器时间相差过大，本次未核销，请校准时间后重试"},
	{Code: SubUnknownPath, Meaning: "No such SPI.", Cashier: "接口地址不存在，请联系技术支持"},
	{Code: SubUnknownBrand, Meaning: "The brand in the path is not served here.", Cashier: "品牌不存在，请联系技术支持检查接口地址"},
	{Code: SubMethod, Meaning: "The method is not POST.", Cashier: "请求方式必须是POST，请联系技术支持"},
	{Code: SubTooLarge, Meaning: "The body is larger than 64 KiB.", Cashier: "请求内容过大，本次未核销，请分次核销"},
	{Code: SubMediaType, Meaning: "`Content-Type` is not `application/json` in UTF-8, or the body is compressed.", Cashier: "请求类型必须是application/json，请联系技术支持"},
	{Code: SubOverloaded, Meaning: "Too many requests at once.", Cashier: "系统繁忙，请稍后重试；此前提交过的，以核销结果查询为准", Retryable: true},
	{Code: SubDraining, Meaning: "This connector is shutting down.", Cashier: "服务正在重启，请稍后重试；此前提交过的，以核销结果查询为准", Retryable: true},
	{Code: SubInternal, Meaning: "A defect of the connector; nothing was sent when the code is 3000.", Cashier: "系统异常，本次未核销，请联系技术支持"},
}

// cashierText of a sub code of this package.
func cashierText(subCode string) string {
	for _, c := range SubCodes {
		if c.Code == subCode {
			return c.Cashier
		}
	}
	return textFault
}

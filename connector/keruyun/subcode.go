// SPDX-License-Identifier: Apache-2.0

package keruyun

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

	// SubInternal: a defect of our own.
	SubInternal = "999"
)

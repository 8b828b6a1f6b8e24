// SPDX-License-Identifier: Apache-2.0

package answer

import "github.com/hexiao-dev/hexiao/connector/redeem"

// Values of Keruyun's paymentTokenType (会员资产核销).
const (
	TokenChipCard = "PHYSICAL_CHIP_CARD_NO" // 芯片号: the number of a card's chip
	TokenCode     = "PAYMENT_TOKEN"         // 支付口令: the guest's payment code
)

// IsPaymentCode says whether the request carries a payment code. Without a type it is
// one: that is what the document calls paymentToken.
func IsPaymentCode(req redeem.Request) bool {
	return req.PaymentToken != "" && (req.PaymentTokenType == TokenCode || req.PaymentTokenType == "")
}

// IsChipCard says whether the request carries the number of a card's chip.
func IsChipCard(req redeem.Request) bool {
	return req.PaymentToken != "" && req.PaymentTokenType == TokenChipCard
}

// KnownToken rejects a token of a type that is not documented, for calls that would use
// a token: to take it for the wrong thing could name another account.
func KnownToken(req redeem.Request) error {
	if req.PaymentToken == "" || IsPaymentCode(req) || IsChipCard(req) {
		return nil
	}
	return &redeem.Rejection{
		SubCode: redeem.SubUnplannable, Field: "paymentTokenType", Cashier: "不支持该支付口令类型，请换一种方式识别会员后再试",
		Detail: "must be " + TokenCode + " or " + TokenChipCard,
	}
}

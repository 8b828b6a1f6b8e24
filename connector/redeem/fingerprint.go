// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
)

// FingerprintVersion is the version that new redemptions are recorded with. A
// recorded fingerprint is compared under the version it was made with.
const FingerprintVersion = 1

// Fingerprint condenses the economic content of a request: two requests with the
// same bizId and the same fingerprint are one redemption said twice; with another
// fingerprint the second is refused.
//
// In it: action, brand, shop, the member's two ids, order, payment and refund
// numbers, the flow that is reversed, and the lines (asset, amount, count) in any
// order. Not in it: requestId, operator, device, call interface and trace, which a
// retry may change; the paymentToken, because a refreshed one-time code must not
// turn a legal retry into a conflict; and the mobile, because the till masks it at
// times ("150****1111") and the two ids and the payment number name the member.
func Fingerprint(version int, req Request) ([]byte, error) {
	if version != 1 {
		return nil, fmt.Errorf("fingerprint version %d is not known to this build", version)
	}
	h := sha256.New()
	for _, p := range []string{
		"hexiao fingerprint 1", string(req.Action), req.BrandID, req.ShopID, req.KryMemberID, req.MemberID,
		req.TransOrderNo, req.PaymentNo, req.RefundPaymentNo, req.ThirdFlowNo,
	} {
		writePart(h, p)
	}
	lines := make([]string, 0, len(req.Lines))
	for _, l := range req.Lines {
		lines = append(lines, digestLine(l))
	}
	slices.Sort(lines)
	for _, l := range lines {
		writePart(h, l)
	}
	return h.Sum(nil), nil
}

func digestLine(l Line) string {
	h := sha256.New()
	writePart(h, l.AssetMappingID)
	writePart(h, l.AssetID)
	writePart(h, strconv.FormatInt(int64(l.Amount), 10))
	writePart(h, strconv.FormatInt(l.Count, 10))
	return string(h.Sum(nil))
}

// SPDX-License-Identifier: Apache-2.0

package keruyun

// reverse serves 会员资产反核销, member asset reverse verification.
func (h *Handler) reverse(x *exchange, body []byte) call {
	req, rejection := DecodeReverse(body, h.cfg.BrandID)
	return h.redeem(x, req, rejection, h.cfg.Reverser.Reverse)
}

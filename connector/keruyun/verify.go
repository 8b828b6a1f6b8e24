// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// verify serves 会员资产核销, member asset verification.
func (h *Handler) verify(x *exchange, body []byte) call {
	req, rejection := DecodeVerify(body, h.cfg.BrandID)
	return h.redeem(x, req, rejection, h.engine.Verify)
}

// redeem completes a decoded request and returns the call that has it done.
func (h *Handler) redeem(x *exchange, req redeem.Request, rejection *redeem.Rejection,
	do func(context.Context, redeem.Request) redeem.Result,
) call {
	req.TraceID, req.ReceivedAt, req.ReplyDeadlineAt = x.access.TraceID, x.arrived, x.deadline
	x.access.BizID, x.access.ShopID, x.access.FlowID = req.BizID, req.ShopID, req.ThirdFlowNo
	return func(ctx context.Context) reply {
		if rejection != nil {
			return h.rejected(req, rejection)
		}
		res := do(ctx, req)
		switch {
		case res.Ending == redeem.Concluded && len(res.Answer) > 0:
			return reply{answer: res.Answer, replayed: res.Replayed, refusal: res.SubCode != redeem.SubOK, subCode: res.SubCode, detail: res.Detail}
		case res.Ending == redeem.Rejected && res.Rejection != nil:
			return h.rejected(req, res.Rejection)
		case res.Rejection != nil: // in doubt, and the engine knows what to wait for, such as a person
			return reply{answer: waitingAnswer(res.Rejection.Cashier, req.TraceID), subCode: res.Rejection.SubCode, detail: res.Rejection.Detail}
		default:
			return reply{answer: InDoubtAnswer(req.TraceID), detail: res.Detail}
		}
	}
}

func (h *Handler) rejected(req redeem.Request, r *redeem.Rejection) reply {
	return reply{
		answer:  RejectionAnswer(req, r, h.cfg.Replies),
		refusal: !r.Retryable, subCode: r.SubCode, field: r.Field, detail: r.Detail,
	}
}

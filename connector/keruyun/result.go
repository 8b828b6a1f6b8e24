// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"
	"errors"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// result serves 查询核销结果, the question of a till that did not get our reply.
func (h *Handler) result(x *exchange, body []byte) call {
	l, rejection := DecodeResultQuery(body, h.cfg.BrandID)
	traceID := x.access.TraceID
	return func(ctx context.Context) reply {
		if rejection != nil {
			req := redeem.Request{BrandID: l.BrandID, TransOrderNo: l.TransOrderNo, PaymentNo: l.PaymentNo, TraceID: traceID}
			// Not with code 3000 either, however refusals are told.
			return reply{answer: RejectionAnswer(req, rejection, Options{}), refusal: true, field: rejection.Field, detail: rejection.Detail}
		}
		found, err := h.cfg.Finder.Find(ctx, l)
		switch {
		case errors.Is(err, redeem.ErrNotFound):
			return reply{answer: h.noRecord(l, traceID), subCode: SubNoRecord}
		case err != nil:
			// Not 3000: that could be taken for "not redeemed", which is not known.
			return reply{answer: InDoubtAnswer(traceID), detail: err.Error()}
		}
		return reply{answer: ResultAnswer(found, traceID)}
	}
}

// noRecord is the brand's choice of what to say of a payment that is not known.
func (h *Handler) noRecord(l redeem.Lookup, traceID string) []byte {
	switch h.cfg.Replies.NoRecord {
	case NoRecordFault:
		return FaultAnswer(textNotFound, traceID)
	case NoRecordInDoubt:
		return InDoubtAnswer(traceID)
	}
	return NoRecordAnswer(l, traceID)
}

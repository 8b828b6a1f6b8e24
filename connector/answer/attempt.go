// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Mismatch is the class of a call that was executed, and of which the vendor reports
// other amounts than it was asked for.
const Mismatch redeem.Class = "amount-mismatch"

// Attempts makes the calls of a vendor client's legs, and adds what is the same for each
// vendor: a span, the doubt about a refused repeat, a reversal's words, and an error in
// the log where the amounts do not fit.
type Attempts struct {
	Provider string
	Tracer   trace.Tracer
	Log      *slog.Logger
	// TrustRepeatRefusals takes the refusal of a repeat for the fate of the first call.
	TrustRepeatRefusals bool
}

// Once makes one call by way of call, which sends at most one request and judges what
// came back. repeat says that the same call was made before.
func (a Attempts) Once(ctx context.Context, s redeem.Sending, repeat bool, call func(context.Context, redeem.Sending) redeem.Outcome) redeem.Outcome {
	ctx, span := StartSpan(ctx, a.Tracer, a.Provider, s.Leg.Operation, s.Leg.Key)
	o := call(ctx, s)
	if repeat && o.Kind == redeem.Refused && !a.TrustRepeatRefusals {
		o = rowRepeatRefused.Outcome(o.HTTPStatus, o.Code, "", "")
	}
	if s.Action == redeem.ReverseVerify {
		o = Reversal(o)
	}
	EndSpan(span, o)
	if o.Class == Mismatch {
		a.Log.ErrorContext(ctx, "vendor reports other amounts than it was asked for",
			"provider", a.Provider, "operation", s.Leg.Operation, "upstream_key", s.Leg.Key, "detail", o.Detail)
	}
	return o
}

// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// StartSpan opens the client span of one vendor call, named "<provider>
// <operation>". key is the upstream key, by which the vendor's own logs are found.
// Nothing of the request's or the answer's content is put on it.
func StartSpan(ctx context.Context, tracer trace.Tracer, provider, operation, key string) (context.Context, trace.Span) {
	return tracer.Start(ctx, provider+" "+operation,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("hexiao.provider", provider),
			attribute.String("hexiao.operation", operation),
			attribute.String("hexiao.upstream_key", key),
		))
}

// EndSpan closes it with what is known.
func EndSpan(span trace.Span, o redeem.Outcome) {
	span.SetAttributes(
		attribute.String("hexiao.kind", string(o.Kind)),
		attribute.String("hexiao.class", string(o.Class)),
	)
	if o.Code != "" {
		span.SetAttributes(attribute.String("hexiao.vendor_code", o.Code))
	}
	if o.Kind == redeem.Unknown || o.Kind == redeem.NotSent {
		span.SetStatus(codes.Error, string(o.Class))
	}
	span.End()
}

// EndFinding closes the span of a look-up.
func EndFinding(span trace.Span, f redeem.Finding) {
	span.SetAttributes(attribute.String("hexiao.verdict", string(f.Verdict)))
	if f.Verdict == redeem.Inconclusive {
		span.SetStatus(codes.Error, string(f.Verdict))
	}
	span.End()
}

// Inconclusive is a look-up that proved nothing.
func Inconclusive(detail string) redeem.Finding {
	return redeem.Finding{Verdict: redeem.Inconclusive, Detail: detail}
}

// EndRead closes the span of a question about a member or a page of flows; class is
// what went wrong, "" nothing.
func EndRead(span trace.Span, class redeem.Class) {
	if class != "" {
		span.SetAttributes(attribute.String("hexiao.class", string(class)))
		span.SetStatus(codes.Error, string(class))
	}
	span.End()
}

// Unread is the error of a question whose exchange failed. Such a question moves nothing, so it may be
// asked again.
func Unread(err error) *redeem.ReadError {
	o := Transport(err)
	return &redeem.ReadError{Class: o.Class, Detail: o.Detail, Again: true}
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Metrics is what the engine reports. Every argument is one of a short list.
type Metrics interface {
	// Redemption counts an answer: executed, refused, partial, unknown or rejected.
	Redemption(ctx context.Context, action Action, outcome, subCode string)
	// ReplyTimeout counts an answer that was due before the outcome was known.
	ReplyTimeout(ctx context.Context, action Action)
	// Leg counts the outcome of a leg's sending.
	Leg(ctx context.Context, provider string, kind Kind)
	// Resolution records how long a leg was in doubt.
	Resolution(ctx context.Context, provider string, kind Kind, inDoubt time.Duration)
	// ResolverAttempt counts a check: executed, refused, unknown or error.
	ResolverAttempt(ctx context.Context, provider string, s Strategy, result string)
	// Contradiction counts evidence against what was concluded: an alarm.
	Contradiction(ctx context.Context, provider string)
	// Replay counts a repeat that got its recorded answer.
	Replay(ctx context.Context, action Action)
	// Conflict counts a bizId used twice for different things.
	Conflict(ctx context.Context, action Action)
	// DuplicateWaits counts a repeat as waiting until done is called.
	DuplicateWaits(ctx context.Context) (done func())
	// RateLimited counts a request that the provider's limit kept back.
	RateLimited(ctx context.Context, provider string)
}

// NoMetrics reports nothing.
type NoMetrics struct{}

func (NoMetrics) Redemption(context.Context, Action, string, string)        {}
func (NoMetrics) ReplyTimeout(context.Context, Action)                      {}
func (NoMetrics) Leg(context.Context, string, Kind)                         {}
func (NoMetrics) Resolution(context.Context, string, Kind, time.Duration)   {}
func (NoMetrics) ResolverAttempt(context.Context, string, Strategy, string) {}
func (NoMetrics) Contradiction(context.Context, string)                     {}
func (NoMetrics) Replay(context.Context, Action)                            {}
func (NoMetrics) Conflict(context.Context, Action)                          {}
func (NoMetrics) DuplicateWaits(context.Context) (done func())              { return func() {} }
func (NoMetrics) RateLimited(context.Context, string)                       {}

const tracerName = "github.com/hexiao-dev/hexiao/connector/redeem"

// span starts a child of ctx's span.
func (e *Engine) span(ctx context.Context, name string, attrs ...attribute.KeyValue) (context.Context, trace.Span) {
	return e.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
}

// linkedSpan starts a trace of its own that points back to the redemption's. The
// ledger keeps the trace's id alone, so the link names the trace, and as its span
// the one that the id's own tail spells; backends go by the trace.
func (e *Engine) linkedSpan(ctx context.Context, name string, r Redemption, leg Leg) (context.Context, trace.Span) {
	options := []trace.SpanStartOption{
		trace.WithNewRoot(),
		trace.WithAttributes(
			attribute.String("hexiao.brand.id", r.BrandID), attribute.String("hexiao.biz_id", r.BizID),
			attribute.Int("hexiao.leg", leg.No), attribute.String("hexiao.provider", leg.Provider)),
	}
	if id, err := trace.TraceIDFromHex(r.TraceID); err == nil {
		var tail trace.SpanID
		copy(tail[:], id[8:])
		options = append(options, trace.WithLinks(trace.Link{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: tail, Remote: true}),
			Attributes:  []attribute.KeyValue{attribute.String("hexiao.link", "redemption")},
		}))
	}
	return e.tracer.Start(ctx, name, options...)
}

// note logs one line about a leg: brand, bizId, leg, kind and nothing personal.
func (e *Engine) note(ctx context.Context, level slog.Level, msg string, key Key, leg int, o Outcome, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String("brand", key.BrandID), slog.String("action", string(key.Action)), slog.String("bizId", key.BizID),
		slog.Int("leg", leg), slog.String("kind", string(o.Kind)), slog.String("class", string(o.Class)), slog.String("code", o.Code),
	}, more...)
	e.log.LogAttrs(ctx, level, msg, attrs...)
}

// tell logs one line about a redemption.
func (e *Engine) tell(ctx context.Context, level slog.Level, msg string, key Key, more ...slog.Attr) {
	attrs := append([]slog.Attr{
		slog.String("brand", key.BrandID), slog.String("action", string(key.Action)), slog.String("bizId", key.BizID),
	}, more...)
	e.log.LogAttrs(ctx, level, msg, attrs...)
}

func errAttr(err error) slog.Attr { return slog.String("error", err.Error()) }

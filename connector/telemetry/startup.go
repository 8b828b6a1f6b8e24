// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// parentFromEnv reads the trace that changed this pod's template. What cannot be read counts as absent.
func parentFromEnv(getenv func(string) string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": getenv("TRACEPARENT"), "tracestate": getenv("TRACESTATE")}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// StartupLink is the link to the trace that changed this pod's template; ok is false when the environment names none.
func (t *Telemetry) StartupLink() (link trace.Link, ok bool) {
	return trace.Link{SpanContext: t.parent, Attributes: []attribute.KeyValue{AttrLink.String("rollout")}}, t.parent.IsValid()
}

// Startup is the start of the process as a span.
type Startup struct {
	tracer trace.Tracer
	span   trace.Span
	now    func() time.Time

	endOnce sync.Once
	readyAt atomic.Pointer[time.Time]
	served  atomic.Bool
}

// Startup begins the span of the process's start, in the trace that changed the pod template if there is one, and linked
// to it: the link tells a rollout's pods from its other children. A pod that restarts weeks later joins the
// same trace, which so holds every start of that template.
// The context carries the span; what the start does (open the ledger, listen) are its children.
func (t *Telemetry) Startup(ctx context.Context, name string) (context.Context, *Startup) {
	var options []trace.SpanStartOption
	if link, ok := t.StartupLink(); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, t.parent)
		options = append(options, trace.WithLinks(link))
	}
	tracer := t.Tracer()
	ctx, span := tracer.Start(ctx, name, options...)
	return ctx, &Startup{tracer: tracer, span: span, now: t.now}
}

// Ready ends the span: from here on the process serves. Later calls do nothing.
func (s *Startup) Ready() {
	s.endOnce.Do(func() {
		now := s.now()
		s.readyAt.Store(&now)
		s.span.End(trace.WithTimestamp(now))
	})
}

// FirstRequest joins the first request served to the start. In the start's trace it adds a span from readiness to
// now, linked to the request's span; and to the request's span a link back. The context is the request's.
// Later calls cost one atomic load.
func (s *Startup) FirstRequest(ctx context.Context) {
	if s.served.Load() || !s.served.CompareAndSwap(false, true) {
		return
	}
	s.Ready() // who serves is ready
	request := trace.SpanFromContext(ctx)
	why := []attribute.KeyValue{AttrLink.String("first-request")}
	request.AddLink(trace.Link{SpanContext: s.span.SpanContext(), Attributes: why})
	_, span := s.tracer.Start(trace.ContextWithSpanContext(context.Background(), s.span.SpanContext()), "first request",
		trace.WithTimestamp(*s.readyAt.Load()),
		trace.WithLinks(trace.Link{SpanContext: request.SpanContext(), Attributes: why}))
	span.End(trace.WithTimestamp(s.now()))
}

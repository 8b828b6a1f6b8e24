// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// Access is what is logged of a request. It holds nothing personal and no secret.
type Access struct {
	SPI     string // "verify", "reverse", "result", "query"; empty when no SPI was reached
	BrandID string // the brand that the handler serves
	BizID   string // empty before the body was read
	FlowID  string // thirdFlowNo of a reversal
	ShopID  string
	TraceID string
	// MessageUUID of the answer: TraceID, or that of the request it was recorded for.
	MessageUUID string
	Method      string // of HTTP; _OTHER where the standard has no such method
	Route       string // the path without the brand; empty when no SPI was reached
	HTTPStatus  int
	Code        int    // of the envelope
	SubCode     string // even where the envelope has no place for it
	Version     Version
	// Authenticated: the signature passed.
	Authenticated bool
	// Refusal: the request was judged and refused, in whatever form that is told.
	Refusal bool
	// Replayed: the answer was recorded by an earlier request.
	Replayed bool
	Detail   string // English: why it was not redeemed
	Field    string // JSON path at fault
	Duration time.Duration
}

// startSpan begins the server span. The path's brand stays out of the span's name, and
// the query, which has app key and signature, out of the span.
func (h *Handler) startSpan(r *http.Request, endpoint spi) (context.Context, trace.Span) {
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(knownMethod(r.Method)),
		semconv.URLScheme(scheme(r)),
		semconv.NetworkProtocolVersion(fmt.Sprintf("%d.%d", r.ProtoMajor, r.ProtoMinor)),
	}
	name := knownMethod(r.Method)
	if route := endpoint.route(); route != "" {
		name += " " + route
		attrs = append(attrs, semconv.HTTPRoute(route))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...)}
	ctx := r.Context()
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	switch {
	case remote.IsValid() && h.cfg.TrustTraceParent:
		ctx = trace.ContextWithRemoteSpanContext(ctx, remote)
	case remote.IsValid():
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.Link{
			SpanContext: remote, Attributes: []attribute.KeyValue{telemetry.AttrLink.String("caller")},
		}))
	default:
		options = append(options, trace.WithNewRoot())
	}
	return h.tracer.Start(ctx, name, options...)
}

// route is the endpoint's path, with a place for the brand; empty for none.
func (s spi) route() string {
	if s.name == "" {
		return ""
	}
	return "/keruyun/{brand}/member-assets/" + s.name
}

// knownMethod keeps invented methods out of span names and metrics.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// traceID of the span, or a random one where no trace is kept: messageUuid and the
// ledger's row need one all the same.
func traceID(span trace.Span) string {
	if id := span.SpanContext().TraceID(); id.IsValid() {
		return id.String()
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	return hex.EncodeToString(id[:])
}

// finish reads code and sub code off the answer, and tells span, log and observer.
func (h *Handler) finish(ctx context.Context, span trace.Span, x *exchange, rep reply) {
	a := &x.access
	a.Code, a.SubCode, a.MessageUUID = peek(rep.answer)
	a.SubCode = orElse(a.SubCode, rep.subCode)
	a.Refusal, a.Replayed, a.Field, a.Detail = rep.refusal, rep.replayed, rep.field, rep.detail
	a.Duration = h.cfg.Clock().Sub(x.arrived)

	span.SetAttributes(a.attributes()...)
	if a.fault() || a.HTTPStatus >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, a.Detail)
		span.SetAttributes(semconv.ErrorTypeKey.String(orElse(a.SubCode, "3000")))
	}
	h.cfg.Logger.LogAttrs(ctx, a.level(), "member SPI", a.logAttrs()...)
	if h.cfg.Observe != nil {
		h.cfg.Observe(ctx, *a)
	}
}

// peek reads an envelope. What the engine answers was rendered for an earlier call
// perhaps, so its bytes are the only source.
func peek(answer []byte) (code int, subCode, messageUUID string) {
	var e struct {
		Code        int    `json:"code"`
		MessageUUID string `json:"messageUuid"`
		Result      struct {
			SubCode string `json:"subCode"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		return CodeInDoubt, SubInternal, ""
	}
	return e.Code, e.Result.SubCode, e.MessageUUID
}

func (a *Access) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		semconv.HTTPResponseStatusCode(a.HTTPStatus),
		telemetry.AttrCode.Int(a.Code),
	}
	for key, value := range map[attribute.Key]string{
		telemetry.AttrSPI: a.SPI, telemetry.AttrBrandID: a.BrandID, telemetry.AttrBizID: a.BizID,
		telemetry.AttrShopID: a.ShopID, telemetry.AttrSubCode: a.SubCode, telemetry.AttrFlowID: a.FlowID,
	} {
		if value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	return attrs
}

// fault: the caller did nothing wrong and nothing was redeemed.
func (a *Access) fault() bool { return a.Authenticated && a.Code == CodeFault && !a.Refusal }

// level: a refusal is daily business; what a person may have to look at is a warning;
// our own fault is an error.
func (a *Access) level() slog.Level {
	switch {
	case a.fault():
		return slog.LevelError
	case !a.Authenticated || a.Code == CodeInDoubt:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func (a *Access) logAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("spi", a.SPI),
		slog.String("brand", a.BrandID),
		slog.String("bizId", a.BizID),
		slog.Int("code", a.Code),
		slog.String("subCode", a.SubCode),
		slog.Int("status", a.HTTPStatus),
		slog.Duration("duration", a.Duration),
		slog.String("messageUuid", a.MessageUUID),
	}
	if a.Version != "" {
		attrs = append(attrs, slog.String("version", string(a.Version)))
	}
	if a.Replayed {
		attrs = append(attrs, slog.Bool("replayed", true))
	}
	if a.Field != "" {
		attrs = append(attrs, slog.String("field", a.Field))
	}
	if a.Detail != "" {
		attrs = append(attrs, slog.String("detail", a.Detail))
	}
	return attrs
}

// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

// NewLogger writes JSON lines to w, with trace_id and span_id where the context has a span. What is of a type of package
// redact is masked by itself; an attribute whose key is known to hold such a thing is masked whatever its type, for
// the day when somebody logs the plain string.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(WithTrace(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: maskByKey})))
}

// maskedKeys are the vendors' and our names for what must not be logged, in lower case without separators.
var maskedKeys = []string{
	"appkey", "appsecret", "authorization", "grantcode", "mobile", "memberphone", "membername", "openkey", "operatorname",
	"password", "paypassword", "paymenttoken", "phone", "session", "sign", "token",
}

func maskByKey(_ []string, a slog.Attr) slog.Attr {
	key := strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(a.Key))
	if slices.Contains(maskedKeys, key) {
		return slog.String(a.Key, redact.Mask)
	}
	return a
}

// WithTrace adds trace_id and span_id, in hex, to the records that next gets. They stand at the top of the
// record even when the logger has groups, where log searches look for them.
func WithTrace(next slog.Handler) slog.Handler { return &traceHandler{next: next} }

type traceHandler struct {
	next   slog.Handler
	groups []group // opened by WithGroup, outermost first; next does not know of them
}

type group struct {
	name  string
	attrs []slog.Attr
}

func (h *traceHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *traceHandler) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() && len(h.groups) == 0 {
		return h.next.Handle(ctx, r)
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	if span.IsValid() {
		out.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	out.AddAttrs(h.nest(r)...)
	return h.next.Handle(ctx, out)
}

// nest returns the record's attributes inside the open groups.
func (h *traceHandler) nest(r slog.Record) []slog.Attr {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	for _, g := range slices.Backward(h.groups) {
		attrs = []slog.Attr{{Key: g.name, Value: slog.GroupValue(slices.Concat(g.attrs, attrs)...)}}
	}
	return attrs
}

func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(h.groups) == 0 {
		return &traceHandler{next: h.next.WithAttrs(attrs)}
	}
	groups := slices.Clone(h.groups)
	last := &groups[len(groups)-1]
	last.attrs = slices.Concat(last.attrs, attrs)
	return &traceHandler{next: h.next, groups: groups}
}

func (h *traceHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &traceHandler{next: h.next, groups: append(slices.Clone(h.groups), group{name: name})}
}

// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redact"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

func TestEveryLineOfASpanNamesItsTrace(t *testing.T) {
	tel := setUp(t, telemetry.Config{})
	ctx, span := tel.Tracer().Start(t.Context(), "request")
	ids := map[string]any{
		"trace_id": span.SpanContext().TraceID().String(),
		"span_id":  span.SpanContext().SpanID().String(),
	}
	cases := map[string]struct {
		ctx  context.Context
		log  func(*slog.Logger) *slog.Logger
		want map[string]any
	}{
		"plain":                   {ctx, func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"leg": "L1"}},
		"with attributes":         {ctx, func(l *slog.Logger) *slog.Logger { return l.With("a", "b") }, map[string]any{"a": "b", "leg": "L1"}},
		"with a group":            {ctx, func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") }, map[string]any{"g": map[string]any{"leg": "L1"}}},
		"with a group of no name": {ctx, func(l *slog.Logger) *slog.Logger { return l.WithGroup("") }, map[string]any{"leg": "L1"}},
		"with groups in groups": {ctx, func(l *slog.Logger) *slog.Logger {
			return l.With("a", "b").WithGroup("g").With("c", "d").WithGroup("h")
		}, map[string]any{"a": "b", "g": map[string]any{"c": "d", "h": map[string]any{"leg": "L1"}}}},
		"without a span":           {context.Background(), func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"leg": "L1"}},
		"without a span, in group": {context.Background(), func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") }, map[string]any{"g": map[string]any{"leg": "L1"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			tc.log(telemetry.NewLogger(&out, slog.LevelInfo)).InfoContext(tc.ctx, "leg sent", "leg", "L1")
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "time")
			want := map[string]any{"level": "INFO", "msg": "leg sent"}
			maps.Copy(want, tc.want)
			if tc.ctx == ctx {
				maps.Copy(want, ids)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSiblingLoggersDoNotShareTheirGroups(t *testing.T) {
	var out bytes.Buffer
	parent := telemetry.NewLogger(&out, slog.LevelInfo).WithGroup("g").With("a", 1)
	left, right := parent.With("side", "left"), parent.With("side", "right")
	left.Info("x")
	right.Info("x")
	if strings.Count(out.String(), "left") != 1 || strings.Count(out.String(), "right") != 1 {
		t.Errorf("lines mixed up:\n%s", out.String())
	}
}

func TestTheHandlerKeepsSlogsContract(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return telemetry.NewLogger(&out, slog.LevelDebug).Handler()
	}, func(t *testing.T) map[string]any {
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	})
}

func TestNoLineHoldsASecret(t *testing.T) {
	keys := []string{"mobile", "Mobile", "paymentToken", "payment_token", "payPassword", "PASSWORD", "openKey", "open-key", "appSecret", "sign", "token", "operatorName"}
	rapid.Check(t, func(t *rapid.T) {
		text := "§" + rapid.StringMatching(`[0-9a-zA-Z]{8,20}`).Draw(t, "secret")
		key := rapid.SampledFrom(keys).Draw(t, "key")
		secret, personal := redact.NewSecret(text), redact.NewPersonal(text)
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, slog.LevelInfo).With("typed", secret, key, text).WithGroup("g").With(key, text, "typed", personal)
		log.Info("call", key, text, "typed", secret, "deep", struct{ a, B any }{secret, personal}, slog.Group("h", key, text))
		if strings.Contains(out.String(), text) {
			t.Fatalf("logged %s, it holds the text", out.String())
		}
		if got := strings.Count(out.String(), redact.Mask); got < 7 {
			t.Fatalf("logged %s, want each of the values masked", out.String())
		}
	})
}

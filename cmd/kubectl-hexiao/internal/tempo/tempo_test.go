// SPDX-License-Identifier: Apache-2.0

package tempo_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tempo"
)

const id = "4bf92f3577b34da6a3ce929d0e0e4736"

var traceBytes = []byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36}

func trace(t testing.TB, traceID []byte) []byte {
	t.Helper()
	raw, err := proto.Marshal(&tracev1.TracesData{ResourceSpans: []*tracev1.ResourceSpans{{ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{{
		TraceId: traceID, SpanId: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Name: "GET /member/13912345678", StartTimeUnixNano: 1_000, EndTimeUnixNano: 3_000,
		Status: &tracev1.Status{Code: tracev1.Status_STATUS_CODE_ERROR},
		Attributes: []*commonv1.KeyValue{{Key: "http.response.status_code", Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_IntValue{IntValue: 503}}},
			{Key: "url.full", Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: "http://x/?token=hidden"}}}},
	}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestASpanTellsWhereTimeWentAndNothingElse(t *testing.T) {
	spans, err := tempo.Decode(trace(t, traceBytes), id)
	if err != nil || len(spans) != 1 {
		t.Fatalf("%+v, %v", spans, err)
	}
	if s := spans[0]; s.Name != "GET /member/139****5678" || s.End.Sub(s.Start) != 2*time.Microsecond || !s.Error || s.Status != "503" || s.ID != "0102030405060708" {
		t.Errorf("%+v", s)
	}
	if _, err := tempo.Decode(trace(t, make([]byte, 16)), id); !errors.Is(err, tempo.ErrNotFound) {
		t.Errorf("spans of another trace: %v", err)
	}
}

func TestWhatABackendAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status      int
		contentType string
		body        string
		says        string
	}{
		"the trace":                {200, "application/protobuf", string(trace(t, traceBytes)), ""},
		"no such trace":            {404, "text/plain", "", "no such trace"},
		"something else":           {200, "text/html", "<html>", `"text/html"`},
		"an error":                 {500, "text/plain", "", "HTTP 500"},
		"no message":               {200, "application/protobuf", "\xff\xff", "decode the trace"},
		"an empty message":         {200, "application/protobuf", "", "no such trace"},
		"JSON, which is not asked": {200, "application/json", "{}", "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			var path, user string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				user, _, _ = r.BasicAuth()
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			c, err := tempo.New(strings.Replace(server.URL, "://", "://user:hidden@", 1)+"/tempo/", "", server.Client())
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Trace(t.Context(), id)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
			if path != "/tempo/api/traces/"+id || user != "user" {
				t.Errorf("asked for %s as %q", path, user)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
	c, err := tempo.New("http://127.0.0.1:1?key=hidden", "", &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Trace(t.Context(), id); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("nobody answers: %v", err)
	}
	if _, err := c.Trace(t.Context(), "../../x"); err == nil || !strings.Contains(err.Error(), "no trace id") {
		t.Errorf("a path for a trace id: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(trace(f, traceBytes))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		spans, err := tempo.Decode(raw, id)
		if (err == nil) != (len(spans) > 0) {
			t.Errorf("%d spans, %v", len(spans), err)
		}
	})
}

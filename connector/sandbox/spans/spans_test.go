// SPDX-License-Identifier: Apache-2.0

package spans

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestTheSinkTakesWhatTheSDKSends(t *testing.T) {
	for name, option := range map[string]otlptracehttp.Option{
		"gzip":  otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		"plain": otlptracehttp.WithCompression(otlptracehttp.NoCompression),
	} {
		t.Run(name, func(t *testing.T) {
			store := NewStore(100)
			mux := http.NewServeMux()
			mux.Handle("POST /v1/traces", store)
			srv := httptest.NewServer(mux)
			defer srv.Close()
			ctx := context.Background()
			exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(srv.URL+"/v1/traces"), option)
			if err != nil {
				t.Fatal(err)
			}
			p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
				sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "connector"))))
			ctx, root := p.Tracer("t").Start(ctx, "POST /verify", trace.WithSpanKind(trace.SpanKindServer))
			_, child := p.Tracer("t").Start(ctx, "redeem.plan", trace.WithAttributes(attribute.Int("hexiao.legs", 2), attribute.StringSlice("list", []string{"a", "b"})))
			child.AddEvent("planned")
			child.End()
			root.End()
			if err := p.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := store.Trace(root.SpanContext().TraceID().String())
			if len(got) != 2 || got[0].Name != "POST /verify" || got[0].Kind != "server" || got[1].ParentID != got[0].SpanID ||
				got[1].Service != "connector" || got[1].Attributes["hexiao.legs"] != "2" || got[1].Attributes["list"] != "[a, b]" || len(got[1].Events) != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTheSinkTakesJSON(t *testing.T) {
	store := NewStore(100)
	for name, ids := range map[string]string{
		"ids in hexadecimal": `"traceId":"0000000000000000000000000000000A","spanId":"00f067aa0ba902b7"`,
		"ids in base64":      `"traceId":"AAAAAAAAAAAAAAAAAAAACg==","spanId":"APBnqgupArc="`,
	} {
		store.Reset()
		body := `{"resourceSpans":[{"scopeSpans":[{"spans":[{` + ids + `,"name":"n","unknown":1}]}]}]}`
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		store.ServeHTTP(w, r)
		got := store.Trace("0000000000000000000000000000000a")
		if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != "{}" || len(got) != 1 || got[0].SpanID != "00f067aa0ba902b7" {
			t.Errorf("%s: HTTP %d %s, %+v", name, w.Code, w.Body, store.All())
		}
	}
}

func TestTheSinkRefusesNonsense(t *testing.T) {
	var truncated bytes.Buffer
	z := gzip.NewWriter(&truncated)
	_, _ = z.Write(make([]byte, 1<<16))
	_ = z.Close()
	tests := map[string]struct{ encoding, body string }{
		"not protobuf":     {"", "\xff\xff"},
		"not gzip":         {"gzip", "x"},
		"half a gzip":      {"gzip", truncated.String()[:truncated.Len()/2]},
		"another encoding": {"br", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/traces", strings.NewReader(tc.body))
			r.Header.Set("Content-Encoding", tc.encoding)
			w := httptest.NewRecorder()
			NewStore(1).ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest {
				t.Errorf("HTTP %d, want 400", w.Code)
			}
		})
	}
}

func span(id, parent, name, service string, start, length time.Duration) Span {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(start)
	return Span{TraceID: "t1", SpanID: id, ParentID: parent, Name: name, Service: service, Start: t0, End: t0.Add(length), Kind: "internal"}
}

func sample() []Span {
	verify := span("1", "pos", "POST /keruyun/{brand}/member-assets/verify", "connector", 0, 1234567*time.Nanosecond)
	verify.Attributes = map[string]string{"http.response.status_code": "200", "hexiao.brand": "11342", "user_agent.original": "x"}
	leg := span("4", "1", "zhimai communal.user.consume", "connector", 300*time.Microsecond, 700*time.Microsecond)
	leg.Error, leg.Message = true, "refused"
	leg.Links = []Link{{"t0", "9"}}
	leg.Events = []Event{{Name: "retry", Time: leg.Start.Add(time.Millisecond)}}
	return []Span{
		span("3", "2", "commit", "postgres", 150*time.Microsecond, 50*time.Microsecond),
		leg, verify, span("2", "1", "ledger.record", "connector", 100*time.Microsecond, 2*time.Second),
	}
}

func TestATraceIsDrawnAsATree(t *testing.T) {
	for file, all := range map[string]bool{"tree.txt": false, "tree-all.txt": true} {
		got := Render(sample(), all)
		if *update {
			if err := os.WriteFile("testdata/"+file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Error(diff)
		}
	}
	if got := Render(nil, false); got != "no spans\n" {
		t.Errorf("got %q", got)
	}
}

func TestNoSpanIsLostInATree(t *testing.T) {
	count := func(list []Span) int {
		n := 0
		var walk func([]*Node)
		walk = func(nodes []*Node) {
			for _, c := range nodes {
				n++
				walk(c.Children)
			}
		}
		walk(Tree(list))
		return n
	}
	tests := map[string]struct {
		list []Span
		want int
	}{
		"a tree":                   {sample(), 4},
		"a span sent twice":        {append(sample(), sample()...), 4},
		"its own parent":           {[]Span{span("1", "1", "n", "", 0, 0)}, 1},
		"a cycle of two":           {[]Span{span("1", "2", "a", "", 0, 0), span("2", "1", "b", "", 0, 0)}, 2},
		"an unknown parent":        {[]Span{span("1", "9", "a", "", 0, 0), span("2", "8", "b", "", 0, 0)}, 2},
		"a child that comes first": {[]Span{span("2", "1", "b", "", 0, 0), span("1", "", "a", "", 1, 0)}, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := count(tc.list); got != tc.want {
				t.Errorf("the tree has %d spans, want %d", got, tc.want)
			}
		})
	}
}

func TestTracesAreListedNewestFirst(t *testing.T) {
	s := NewStore(10)
	s.Add(sample()...)
	late := span("1", "", "GET /healthz", "connector", time.Minute, 0)
	late.TraceID = "t2"
	s.Add(late)
	want := []Summary{{"t2", "GET /healthz", late.Start, 1, 0}, {"t1", "POST /keruyun/{brand}/member-assets/verify", sample()[2].Start, 4, 1}}
	if diff := cmp.Diff(want, s.Traces("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], s.Traces("verify")); diff != "" {
		t.Error(diff)
	}
}

func TestTheOldestSpansMakeRoom(t *testing.T) {
	s := NewStore(2)
	for i := range byte(9) {
		s.Add(Span{SpanID: hex.EncodeToString([]byte{i})})
	}
	got := s.All()
	if len(got) != 2 || got[1].SpanID != "08" {
		t.Errorf("got %+v", got)
	}
	s.Reset()
	if len(s.All()) != 0 {
		t.Error("reset must forget")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte(`{"resourceSpans":[]}`), true)
	f.Fuzz(func(t *testing.T, raw []byte, asJSON bool) {
		req, err := Decode(raw, asJSON)
		if err != nil {
			return
		}
		list := fromProto(req)
		_ = Render(list, true) // must neither panic nor loop
	})
}

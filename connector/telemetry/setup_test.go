// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	colmetricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// collector is an OTLP/HTTP receiver on a real socket.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	spans    []*tracepb.Span
	resource map[string]string
	metrics  []string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{resource: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var request coltracepb.ExportTraceServiceRequest
		if !decode(w, r, &request) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range request.ResourceSpans {
			for key, value := range attributesOf(rs.Resource.Attributes) {
				c.resource[key] = value
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var request colmetricpb.ExportMetricsServiceRequest
		if !decode(w, r, &request) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rm := range request.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					c.metrics = append(c.metrics, m.Name)
				}
			}
		}
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func decode(w http.ResponseWriter, r *http.Request, into proto.Message) bool {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return false
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(data, into)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func attributesOf(list []*commonpb.KeyValue) map[string]string {
	values := map[string]string{}
	for _, a := range list {
		values[a.Key] = a.Value.GetStringValue()
	}
	return values
}

// span returns the one span of that name.
func (c *collector) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(c.spans), func(s *tracepb.Span) bool { return s.Name != name })
	if len(found) != 1 {
		t.Fatalf("the collector has %d spans named %q, want 1", len(found), name)
	}
	return found[0]
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func setUp(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	if cfg.ServiceName == "" {
		cfg.ServiceName = "hexiao-test"
	}
	if cfg.Getenv == nil {
		cfg.Getenv = env()
	}
	tel, err := telemetry.Setup(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

func flush(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func scrape(t *testing.T, tel *telemetry.Telemetry, accept string) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", accept)
	reply := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(reply, request)
	if reply.Code != http.StatusOK {
		t.Fatalf("/metrics answered %d: %s", reply.Code, reply.Body)
	}
	return reply.Body.String()
}

const (
	plain       = "text/plain"
	openMetrics = "application/openmetrics-text; version=1.0.0"
)

func TestSpansReachTheCollector(t *testing.T) {
	endpoints := map[string]func(url string) telemetry.Config{
		"by config": func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url}
		},
		"by config with a trailing slash": func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url + "/"}
		},
		"by config against the environment": func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url, Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")}
		},
		"by the general variable": func(url string) telemetry.Config {
			return telemetry.Config{Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT", url)}
		},
		"by the variable for traces, taken as it is": func(url string) telemetry.Config {
			return telemetry.Config{Getenv: env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url+"/v1/traces")}
		},
	}
	for name, config := range endpoints {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			tel := setUp(t, config(c.URL))
			_, span := tel.Tracer().Start(t.Context(), "redeem.plan")
			span.End()
			flush(t, tel)
			id := span.SpanContext().TraceID()
			if got := c.span(t, "redeem.plan").TraceId; !bytes.Equal(got, id[:]) {
				t.Errorf("trace id %x arrived, want %s", got, id)
			}
		})
	}
}

func TestResourceNamesServiceBrandAndPod(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=shop,service.name=overruled")
	c := newCollector(t)
	tel := setUp(t, telemetry.Config{
		ServiceName: "hexiao-connector", ServiceVersion: "1.2.3", BrandID: "11342", OTLPEndpoint: c.URL,
		Getenv: env("K8S_POD_NAME", "xiaowang-1", "K8S_POD_UID", "uid-1", "K8S_NAMESPACE_NAME", "brands"),
	})
	_, span := tel.Tracer().Start(t.Context(), "any")
	span.End()
	flush(t, tel)
	delete(c.resource, "telemetry.sdk.version")
	want := map[string]string{
		"service.name": "hexiao-connector", "service.version": "1.2.3", "service.instance.id": "uid-1", "hexiao.brand.id": "11342",
		"k8s.pod.name": "xiaowang-1", "k8s.pod.uid": "uid-1", "k8s.namespace.name": "brands", "deployment.environment.name": "shop",
		"telemetry.sdk.language": "go", "telemetry.sdk.name": "opentelemetry",
	}
	if diff := cmp.Diff(want, c.resource); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
}

func TestMetricsReachTheCollectorWhereAsked(t *testing.T) {
	cases := map[string]struct {
		config func(url string) telemetry.Config
		want   bool
	}{
		"not by an endpoint alone": {func(url string) telemetry.Config { return telemetry.Config{OTLPEndpoint: url} }, false},
		"by config": {func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url, OTLPMetrics: true}
		}, true},
		"by OTEL_METRICS_EXPORTER": {func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url, Getenv: env("OTEL_METRICS_EXPORTER", "otlp")}
		}, true},
		"by their own endpoint": {func(url string) telemetry.Config {
			return telemetry.Config{Getenv: env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url+"/v1/metrics")}
		}, true},
		"not when the SDK is disabled": {func(url string) telemetry.Config {
			return telemetry.Config{OTLPEndpoint: url, OTLPMetrics: true, Getenv: env("OTEL_SDK_DISABLED", "true")}
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			tel := setUp(t, tc.config(c.URL))
			m := newMetrics(t, tel)
			m.Replay(t.Context(), "VERIFY")
			flush(t, tel)
			if got := slices.Contains(c.metrics, "hexiao.replays"); got != tc.want {
				t.Errorf("the collector has hexiao.replays: %v, want %v (%v)", got, tc.want, c.metrics)
			}
		})
	}
}

func TestEveryRequestHasATraceID(t *testing.T) {
	c := newCollector(t)
	none, all := 0.0, 1.0
	cases := map[string]struct {
		config telemetry.Config
		want   int // spans at the collector
	}{
		"without an endpoint":              {telemetry.Config{SampleRatio: &all}, 0},
		"with the sampler at zero":         {telemetry.Config{OTLPEndpoint: c.URL, SampleRatio: &none}, 0},
		"with the SDK disabled":            {telemetry.Config{OTLPEndpoint: c.URL, Getenv: env("OTEL_SDK_DISABLED", "true")}, 0},
		"with the exporter none":           {telemetry.Config{Getenv: env("OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)}, 0},
		"with the sampler at one":          {telemetry.Config{OTLPEndpoint: c.URL, SampleRatio: &all}, 2},
		"with the sampler left to default": {telemetry.Config{OTLPEndpoint: c.URL}, 2},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c.spans = nil
			tel := setUp(t, tc.config)
			tracer := tel.Tracer()
			seen := map[string]bool{}
			for range 2 {
				ctx, span := tracer.Start(t.Context(), "request")
				id := telemetry.TraceID(ctx)
				if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || seen[id] {
					t.Errorf("trace id %q, want 32 hex characters, each time others", id)
				}
				seen[id] = true
				span.End()
			}
			flush(t, tel)
			if len(c.spans) != tc.want {
				t.Errorf("%d spans arrived, want %d", len(c.spans), tc.want)
			}
			ctx, _ := tracer.Start(context.Background(), "request served while draining")
			if telemetry.TraceID(ctx) == "" {
				t.Error("no trace id after Shutdown")
			}
		})
	}
}

func TestABadConfigIsNamed(t *testing.T) {
	tooMuch := 1.5
	cases := map[string]struct {
		config telemetry.Config
		want   string
	}{
		"endpoint without a scheme": {telemetry.Config{ServiceName: "x", OTLPEndpoint: "collector:4318"}, "OTLPEndpoint is not a URL"},
		"endpoint of another scheme": {telemetry.Config{ServiceName: "x", OTLPEndpoint: "grpc://collector:4317"},
			"OTLPEndpoint is not a URL"},
		"endpoint that does not parse": {telemetry.Config{ServiceName: "x", OTLPEndpoint: "http://user:hunter2@[::1"},
			"OTLPEndpoint is not a URL"},
		"variable that does not parse": {telemetry.Config{ServiceName: "x", Getenv: env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "x")},
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not a URL"},
		"ratio above one":      {telemetry.Config{ServiceName: "x", SampleRatio: &tooMuch}, "SampleRatio is 1.5"},
		"service without name": {telemetry.Config{}, "ServiceName is empty"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if tc.config.Getenv == nil {
				tc.config.Getenv = env()
			}
			_, err := telemetry.Setup(t.Context(), tc.config)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q holds the endpoint's password", err)
			}
		})
	}
}

// deaf returns the address of a socket that accepts connections and never answers, and a channel that
// gets a value for each connection.
func deaf(t *testing.T) (url string, called <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan struct{}, 100)
	var connections []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections = append(connections, connection)
			calls <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, c := range connections {
			_ = c.Close()
		}
	})
	return "http://" + listener.Addr().String(), calls
}

func TestADeafCollectorDoesNotHoldUpSpansNorShutdown(t *testing.T) {
	url, called := deaf(t)
	tel := setUp(t, telemetry.Config{OTLPEndpoint: url, OTLPMetrics: true})
	// More than the queue and a batch hold: had a full queue blocked, this loop would never end.
	for range 10_000 {
		_, span := tel.Tracer().Start(t.Context(), "request")
		span.End()
	}
	<-called // an export hangs now
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tel.Shutdown(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("Shutdown = %v, want the context's end: the collector never answered", err)
	}
}

func TestAClosedCollectorIsLoggedOnceAMinute(t *testing.T) {
	url := "http://" + oneshottest.Nobody(t)
	var lines bytes.Buffer
	tel := setUp(t, telemetry.Config{OTLPEndpoint: url, Logger: slog.New(slog.NewJSONHandler(&lines, nil)), Now: func() time.Time { return time.Unix(0, 0) }})
	for range 3 * 512 { // three full batches, so three exports at least
		_, span := tel.Tracer().Start(t.Context(), "request")
		span.End()
	}
	if err := tel.TracerProvider().(interface{ ForceFlush(context.Context) error }).ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := samples(scrape(t, tel, plain), `export_failures_total{hexiao_signal="traces"} [1-9]`); len(got) != 1 {
		t.Errorf("the failures are not counted: %q", got)
	}
	flush(t, tel)
	if got := strings.Count(lines.String(), "\n"); got != 1 {
		t.Errorf("%d lines logged, want 1:\n%s", got, lines.String())
	}
	if !strings.Contains(lines.String(), `"signal":"traces"`) {
		t.Errorf("logged %s, want the signal named", lines.String())
	}
}

func TestQueriesDoNotReachTheCollector(t *testing.T) {
	c := newCollector(t)
	tel := setUp(t, telemetry.Config{OTLPEndpoint: c.URL})
	vendor := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(vendor.Close)
	client := &http.Client{Transport: otelhttp.NewTransport(vendor.Client().Transport, otelhttp.WithTracerProvider(tel.TracerProvider()))}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, vendor.URL+"/router/rest?session=canary&sign=canary", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	_, span := tel.Tracer().Start(t.Context(), "own", trace.WithAttributes(attribute.String("url.query", "sign=canary")))
	span.End()
	flush(t, tel)
	for _, s := range c.spans {
		if strings.Contains(s.String(), "canary") {
			t.Errorf("span holds the query: %s", s)
		}
	}
	if got := attributesOf(c.span(t, "HTTP POST").Attributes)["url.full"]; got != vendor.URL+"/router/rest" {
		t.Errorf("url.full = %q, want it without the query", got)
	}
}

func TestTheRolloutsTraceRunsToTheFirstRequest(t *testing.T) {
	c := newCollector(t)
	const rollout = "4bf92f3577b34da6a3ce929d0e0e4736"
	tel := setUp(t, telemetry.Config{OTLPEndpoint: c.URL, Getenv: env("TRACEPARENT", "00-"+rollout+"-00f067aa0ba902b7-01")})
	_, startup := tel.Startup(t.Context(), "connector.start")
	startup.Ready()
	for range 2 {
		ctx, request := tel.Tracer().Start(t.Context(), "request")
		startup.FirstRequest(ctx)
		request.End()
	}
	flush(t, tel)

	start, first := c.span(t, "connector.start"), c.span(t, "first request")
	type hop struct{ Trace, Parent, Link string }
	hopOf := func(s *tracepb.Span) hop {
		h := hop{Trace: hexOf(s.TraceId), Parent: hexOf(s.ParentSpanId)}
		for _, l := range s.Links {
			h.Link += hexOf(l.SpanId)
		}
		return h
	}
	if diff := cmp.Diff(hop{rollout, "00f067aa0ba902b7", "00f067aa0ba902b7"}, hopOf(start)); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	var served []*tracepb.Span
	for _, s := range c.spans {
		if s.Name == "request" && len(s.Links) > 0 {
			served = append(served, s)
		}
	}
	if len(served) != 1 {
		t.Fatalf("%d requests are linked to the start, want the first alone", len(served))
	}
	if diff := cmp.Diff(hop{rollout, hexOf(start.SpanId), hexOf(served[0].SpanId)}, hopOf(first)); diff != "" {
		t.Errorf("first request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hexOf(start.SpanId), hopOf(served[0]).Link); diff != "" {
		t.Errorf("the request's link (-want +got):\n%s", diff)
	}
	if hexOf(served[0].TraceId) == rollout {
		t.Error("the request is in the rollout's trace, want its own")
	}
}

func TestAStartWithoutARolloutHasItsOwnTrace(t *testing.T) {
	for name, parent := range map[string]string{"none": "", "unreadable": "00-xyz"} {
		t.Run(name, func(t *testing.T) {
			tel := setUp(t, telemetry.Config{Getenv: env("TRACEPARENT", parent)})
			if _, ok := tel.StartupLink(); ok {
				t.Error("StartupLink is ok, want none")
			}
			ctx, startup := tel.Startup(t.Context(), "connector.start")
			startup.FirstRequest(ctx)
			if telemetry.TraceID(ctx) == "" {
				t.Error("the start has no trace id")
			}
		})
	}
}

func hexOf(id []byte) string {
	switch len(id) {
	case 8:
		return trace.SpanID(id).String()
	case 16:
		return trace.TraceID(id).String()
	}
	return ""
}

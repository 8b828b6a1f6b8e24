// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// signal is what is exported.
type signal string

const (
	signalTraces  signal = "traces"
	signalMetrics signal = "metrics"
)

// endpointOf returns the URL that the signal goes to, or "" when it is not exported. The exporters read the other
// OTEL_EXPORTER_OTLP_* variables (headers, timeout, compression, certificates) themselves.
func endpointOf(s signal, cfg Config) (string, error) {
	own := "OTEL_EXPORTER_OTLP_" + strings.ToUpper(string(s)) + "_ENDPOINT"
	if !wanted(s, cfg) || strings.EqualFold(cfg.Getenv("OTEL_SDK_DISABLED"), "true") {
		return "", nil
	}
	if cfg.OTLPEndpoint != "" {
		return checkedEndpoint("OTLPEndpoint", cfg.OTLPEndpoint, "/v1/"+string(s))
	}
	if endpoint := cfg.Getenv(own); endpoint != "" {
		return checkedEndpoint(own, endpoint, "")
	}
	return checkedEndpoint("OTEL_EXPORTER_OTLP_ENDPOINT", cfg.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/v1/"+string(s))
}

// wanted says whether the signal is to be exported if there is an endpoint. Metrics are scraped by
// default, so a collector that takes traces need not take them.
func wanted(s signal, cfg Config) bool {
	asked := cfg.Getenv("OTEL_" + strings.ToUpper(string(s)) + "_EXPORTER")
	if s == signalMetrics {
		return cfg.OTLPMetrics || asked == "otlp" || (asked == "" && cfg.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") != "")
	}
	return cfg.OTLPEndpoint != "" || asked != "none"
}

// checkedEndpoint appends the path to the endpoint. The message does not repeat the endpoint, which may hold a password.
func checkedEndpoint(field, endpoint, path string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%s is not a URL of a collector: give one such as http://collector:4318", field)
	}
	if path == "" {
		return u.String(), nil
	}
	return u.JoinPath(path).String(), nil
}

// spanExporter keeps a failed export from reaching the SDK, whose only way to report it is OpenTelemetry's
// global error handler.
type spanExporter struct {
	*otlptrace.Exporter
	report *reporter
}

func newSpanExporter(ctx context.Context, endpoint string, report *reporter) (*spanExporter, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("create OTLP trace exporter: %w", err)
	}
	return &spanExporter{Exporter: exporter, report: report}, nil
}

// ExportSpans sends a batch; a failure is reported and not returned.
func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.report.failure(ctx, e.Exporter.ExportSpans(ctx, stripQueries(spans)))
	return nil
}

// metricExporter does the same for metrics.
type metricExporter struct {
	sdkmetric.Exporter
	report *reporter
}

func newMetricExporter(ctx context.Context, endpoint string, report *reporter) (*metricExporter, error) {
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("create OTLP metric exporter: %w", err)
	}
	return &metricExporter{Exporter: exporter, report: report}, nil
}

// Export sends a collection; a failure is reported and not returned.
func (e *metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	e.report.failure(ctx, e.Exporter.Export(ctx, data))
	return nil
}

const (
	reportEvery  = time.Minute
	reportLength = 300 // bytes of an error that are logged; a collector may answer with a page
)

// reporter counts the failed exports of a signal and logs at most one a minute.
type reporter struct {
	signal  signal
	log     *slog.Logger
	now     func() time.Time
	counter atomic.Pointer[metric.Int64Counter]

	mu     sync.Mutex
	next   time.Time // nothing is logged before
	silent int       // failures since the last that was logged
}

func newReporter(s signal, cfg Config, counter metric.Int64Counter) *reporter {
	r := &reporter{signal: s, log: cfg.Logger, now: cfg.Now}
	if counter != nil {
		r.count(counter)
	}
	return r
}

func (r *reporter) count(counter metric.Int64Counter) { r.counter.Store(&counter) }

func (r *reporter) failure(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if counter := r.counter.Load(); counter != nil {
		(*counter).Add(ctx, 1, with(AttrSignal.String(string(r.signal))))
	}
	silent, due := r.due()
	if !due {
		return
	}
	text := err.Error()
	if len(text) > reportLength {
		text = strings.ToValidUTF8(text[:reportLength], "") + "…"
	}
	r.log.WarnContext(ctx, "telemetry is not exported; requests are not affected",
		"signal", string(r.signal), "error", text, "failures_not_logged", silent)
}

// due says whether a failure is to be logged now, and how many were not since the last one.
func (r *reporter) due() (silent int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Before(r.next) {
		r.silent++
		return 0, false
	}
	silent, r.silent, r.next = r.silent, 0, now.Add(reportEvery)
	return silent, true
}

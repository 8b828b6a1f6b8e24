// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TracerName is the instrumentation scope of Hexiao's own spans.
const TracerName = MeterName

// seriesLimit bounds the series of one metric. The data plane's largest has some dozens; what goes beyond lands in one
// overflow series instead of in memory.
const seriesLimit = 500

// Registry is where metrics are registered and gathered from; *prometheus.Registry is one, and so is
// the manager's own.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Config says what to set up. Where a field is unset, the standard OTEL_* variable decides if there is one.
type Config struct {
	ServiceName    string // service.name; else OTEL_SERVICE_NAME; one of them is required
	ServiceVersion string // service.version
	BrandID        string // hexiao.brand.id, on the resource and on every metric; empty in the manager

	// OTLPEndpoint is the collector's base URL, such as http://collector:4318; the paths /v1/traces and
	// /v1/metrics are added. Else OTEL_EXPORTER_OTLP_[TRACES_|METRICS_]ENDPOINT; without any, nothing is exported.
	OTLPEndpoint string
	// OTLPMetrics sends metrics there too. Else OTEL_METRICS_EXPORTER=otlp asks for it.
	OTLPMetrics bool
	// SampleRatio is the share, 0 to 1, of the traces begun here that are recorded; a trace begun elsewhere keeps
	// its beginner's decision. Else OTEL_TRACES_SAMPLER; without any, all.
	SampleRatio *float64

	Registry Registry            // nil: an own one, with the Go runtime's and the process's metrics
	Logger   *slog.Logger        // for export failures; nil: silence
	Getenv   func(string) string // nil: os.Getenv
	Now      func() time.Time    // nil: time.Now
}

// Telemetry is what Setup made. It is used by every goroutine and ended by Shutdown.
type Telemetry struct {
	traces     *sdktrace.TracerProvider
	metrics    *sdkmetric.MeterProvider
	spanExport *spanExporter // nil when traces are not exported
	handler    http.Handler
	parent     trace.SpanContext
	now        func() time.Time
}

// Setup makes the providers and starts the exporters' goroutines; it does not wait for the collector. Its errors
// name the field or the variable to correct.
func Setup(ctx context.Context, cfg Config) (*Telemetry, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	res := newResource(cfg)
	t := &Telemetry{now: cfg.Now, parent: parentFromEnv(cfg.Getenv)}
	if err := t.setUpMetrics(ctx, cfg, res); err != nil {
		return nil, fmt.Errorf("set up metrics: %w", err)
	}
	if err := t.setUpTraces(ctx, cfg, res); err != nil {
		return nil, errors.Join(fmt.Errorf("set up traces: %w", err), t.metrics.Shutdown(ctx))
	}
	return t, nil
}

// complete fills in the defaults and checks what a user can get wrong.
func (c Config) complete() (Config, error) {
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ServiceName == "" && c.Getenv("OTEL_SERVICE_NAME") == "" {
		return c, errors.New("ServiceName is empty: set it, or OTEL_SERVICE_NAME")
	}
	// Written so that NaN is refused too.
	if r := c.SampleRatio; r != nil && !(*r >= 0 && *r <= 1) {
		return c, fmt.Errorf("SampleRatio is %v: give a share from 0 to 1", *r)
	}
	return c, nil
}

func (t *Telemetry) setUpTraces(ctx context.Context, cfg Config, res *resource.Resource) error {
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	endpoint, err := endpointOf(signalTraces, cfg)
	if err != nil {
		return err
	}
	if endpoint == "" {
		// Not the no-op provider: a span that is not recorded still has its ids.
		t.traces = sdktrace.NewTracerProvider(append(options, sdktrace.WithSampler(sdktrace.NeverSample()))...)
		return nil
	}
	t.spanExport, err = newSpanExporter(ctx, endpoint, newReporter(signalTraces, cfg, t.failures()))
	if err != nil {
		return err
	}
	if cfg.SampleRatio != nil {
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(*cfg.SampleRatio))))
	}
	t.traces = sdktrace.NewTracerProvider(append(options, sdktrace.WithBatcher(t.spanExport))...)
	return nil
}

func (t *Telemetry) setUpMetrics(ctx context.Context, cfg Config, res *resource.Resource) error {
	registry := cfg.Registry
	if registry == nil {
		own := prometheus.NewRegistry()
		own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		registry = own
	}
	reader, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithResourceAsConstantLabels(attribute.NewAllowKeysFilter(AttrBrandID)),
	)
	if err != nil {
		return err
	}
	options := []sdkmetric.Option{
		sdkmetric.WithResource(res),
		sdkmetric.WithReader(reader),
		sdkmetric.WithCardinalityLimit(seriesLimit),
	}
	endpoint, err := endpointOf(signalMetrics, cfg)
	if err != nil {
		return err
	}
	if endpoint == "" {
		t.metrics = sdkmetric.NewMeterProvider(options...)
	} else {
		// The reporter counts in the provider that its exporter serves, so it gets its counter afterwards.
		report := newReporter(signalMetrics, cfg, nil)
		exporter, err := newMetricExporter(ctx, endpoint, report)
		if err != nil {
			return err
		}
		t.metrics = sdkmetric.NewMeterProvider(append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))...)
		report.count(t.failures())
	}
	t.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, // exemplars exist in this format only
		ErrorHandling:     promhttp.ContinueOnError,
		// A compressor's window is larger than a whole scrape, and there is a process for each brand.
		DisableCompression: true,
	})
	return nil
}

// failures returns the counter of failed exports.
func (t *Telemetry) failures() metric.Int64Counter {
	counter, err := t.metrics.Meter(MeterName).Int64Counter(exportFailures.name,
		metric.WithUnit(exportFailures.unit), metric.WithDescription(exportFailures.description))
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return counter
}

// TracerProvider gives tracers.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.traces }

// Tracer is the tracer of Hexiao's own spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.traces.Tracer(TracerName) }

// MeterProvider gives meters.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.metrics }

// MetricsHandler serves /metrics in the Prometheus text format, and in OpenMetrics with exemplars to who accepts it.
func (t *Telemetry) MetricsHandler() http.Handler { return t.handler }

// Propagator reads and writes W3C trace context. Baggage is left out: it would carry whatever a caller puts in.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// Shutdown sends what is still queued and ends the exporters. It returns within the context's time also when the
// collector does not answer; the error then says that telemetry was lost. Call it last: spans begun later still have
// ids but are not sent.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	if err := t.traces.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("flush traces: %w", err))
	}
	if t.spanExport != nil && ctx.Err() != nil {
		// The batcher gave up waiting but its goroutine still tries; this breaks its call off.
		_ = t.spanExport.Shutdown(context.WithoutCancel(ctx))
	}
	if err := t.metrics.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("flush metrics: %w", err))
	}
	return errors.Join(errs...)
}

// TraceID returns the id of the context's trace, 32 hex characters: the messageUuid of a reply and the ledger's
// reference. It is empty when the context has no span, which is a fault of the caller's wiring.
func TraceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		return span.TraceID().String()
	}
	return ""
}

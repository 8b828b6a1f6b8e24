// SPDX-License-Identifier: Apache-2.0

// Package telemetry sets up OpenTelemetry for a process: traces, metrics, and a log handler that names the
// trace in every line.
//
//	tel, err := telemetry.Setup(ctx, telemetry.Config{ServiceName: "hexiao-connector", BrandID: brand, …})
//	defer tel.Shutdown(shutdownCtx)
//	metrics, err := telemetry.NewMetrics(tel.MeterProvider(), "zhimai", "alsc")
//	ctx, startup := tel.Startup(ctx, "connector.start")
//	…                                  // open the ledger, listen
//	startup.Ready()
//	…                                  // in the request middleware, inside the server span
//	startup.FirstRequest(r.Context())
//
// # Traces
//
// Spans go out in batches over OTLP/HTTP when an endpoint is configured. Without one nothing is recorded and
// nothing is sent, but each request still gets a trace id, because the id is the messageUuid of its reply
// and stands in its ledger row. A collector that is slow, full or gone costs spans, never
// time: the queue is bounded and drops, and its errors are logged at most once a minute and counted.
//
// # From apply to the first request
//
// Whoever changes a pod template puts its trace context into the environment of the new pods, as TRACEPARENT and
// TRACESTATE. [Telemetry.Startup] continues that trace with the span of the process's start, and
// [Startup.FirstRequest] ends it: a span from readiness to the first request served, linked to the request's own trace, which
// in turn is linked back.
//
// # Metrics
//
// One SDK, two readers: Prometheus, always, with exemplars, and OTLP where asked. The instruments of the data plane
// are declared in one table (instruments.go), from which docs/reference/metrics.md is generated. What a caller can
// attach to a number is fixed by the method it calls, so an order, a shop or a member cannot become a label.
//
// # Nothing global
//
// No OpenTelemetry global is set or read. What needs a tracer or a meter is given one.
package telemetry

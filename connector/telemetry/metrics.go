// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// observeTimeout bounds what a scrape may wait for the ledger.
const observeTimeout = 2 * time.Second

// Metrics are the instruments of the data plane. Its methods may be called from any goroutine; the context's span, when
// it is sampled, becomes the exemplar.
type Metrics struct {
	meter metric.Meter

	serverRequests     metric.Float64Histogram
	requestDuration    metric.Float64Histogram
	replyDeadline      metric.Float64Gauge
	replyTimeouts      metric.Int64Counter
	redemptions        metric.Int64Counter
	legs               metric.Int64Counter
	vendorCallDuration metric.Float64Histogram
	commitDuration     metric.Float64Histogram
	ledgerErrors       metric.Int64Counter
	inDoubt            metric.Int64ObservableGauge
	inDoubtManual      metric.Int64ObservableGauge
	oldestInDoubt      metric.Float64ObservableGauge
	resolutionDuration metric.Float64Histogram
	resolverAttempts   metric.Int64Counter
	contradictions     metric.Int64Counter
	replays            metric.Int64Counter
	conflicts          metric.Int64Counter
	duplicatesWaiting  metric.Int64UpDownCounter
	breakerState       metric.Int64ObservableGauge
	rateLimited        metric.Int64Counter
}

// NewMetrics creates the instruments of the table. The counters that alarms watch start at 0, those of a provider for each of
// them: Prometheus does not see the first increase of a series that was not there before.
// With a provider from go.opentelemetry.io/otel/metric/noop nothing is kept.
func NewMetrics(provider metric.MeterProvider, providers ...string) (*Metrics, error) {
	m := &Metrics{meter: provider.Meter(MeterName)}
	for _, row := range append([]instrument{serverRequests}, instruments...) {
		if err := row.create(m.meter, m); err != nil {
			return nil, err
		}
	}
	ctx := context.Background()
	for _, name := range providers {
		m.contradictions.Add(ctx, 0, with(AttrProvider.String(name)))
		m.legs.Add(ctx, 0, with(AttrProvider.String(name), AttrKind.String("unknown")))
	}
	for _, action := range []string{"VERIFY", "REVERSE_VERIFY"} {
		m.replyTimeouts.Add(ctx, 0, with(AttrAction.String(action)))
	}
	return m, nil
}

// HTTPRequest is a request to the port of the point of sale, whoever sent it.
type HTTPRequest struct {
	Method string // a standard one, or _OTHER
	Route  string // of a short list; empty where the path is none of it
	Status int
	Took   time.Duration
}

// HTTPRequest records a request. The Host header is not recorded: who sends it chooses it, and could fill the memory with it.
func (m *Metrics) HTTPRequest(ctx context.Context, r HTTPRequest) {
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPResponseStatusCode(r.Status)}
	if r.Route != "" {
		attributes = append(attributes, semconv.HTTPRoute(r.Route))
	}
	m.serverRequests.Record(ctx, r.Took.Seconds(), with(attributes...))
}

// Request records the reply to a till's request: the SPI's short name, the envelope's code, and the time it took.
func (m *Metrics) Request(ctx context.Context, spi string, code int, took time.Duration) {
	m.requestDuration.Record(ctx, took.Seconds(), with(AttrSPI.String(spi), AttrCode.String(strconv.Itoa(code))))
}

// ReplyDeadline says what the time of a reply is measured by.
func (m *Metrics) ReplyDeadline(d time.Duration) {
	m.replyDeadline.Record(context.Background(), d.Seconds())
}

// ReplyTimeout counts a reply that was due before the outcome was known.
func (m *Metrics) ReplyTimeout(ctx context.Context, action string) {
	m.replyTimeouts.Add(ctx, 1, with(AttrAction.String(action)))
}

// Redemption is a redemption or reversal that was answered; each field must be one of a short documented list.
type Redemption struct {
	Action  string // VERIFY or REVERSE_VERIFY
	Outcome string // executed, refused, partial, unknown or rejected
	SubCode string // of the reply; empty where the reply has none
}

// Redemption counts an answer.
func (m *Metrics) Redemption(ctx context.Context, r Redemption) {
	m.redemptions.Add(ctx, 1, with(AttrAction.String(r.Action), AttrOutcome.String(r.Outcome), AttrSubCode.String(r.SubCode)))
}

// Leg counts a leg by its outcome kind.
func (m *Metrics) Leg(ctx context.Context, provider, kind string) {
	m.legs.Add(ctx, 1, with(AttrProvider.String(provider), AttrKind.String(kind)))
}

// VendorCall is one call to a vendor.
type VendorCall struct {
	Provider  string
	Operation string // the vendor's method name
	Kind      string // how the answer was classified
	Took      time.Duration
}

// VendorCall records a call.
func (m *Metrics) VendorCall(ctx context.Context, c VendorCall) {
	m.vendorCallDuration.Record(ctx, c.Took.Seconds(),
		with(AttrProvider.String(c.Provider), AttrOperation.String(c.Operation), AttrKind.String(c.Kind)))
}

// LedgerCommit is one durable commit.
type LedgerCommit struct {
	Operation string // record, settle, …
	Backend   string // postgres or sqlite
	Took      time.Duration
	Failed    bool // it failed, or its outcome is unclear
}

// LedgerCommit records a commit's time, and its failure.
func (m *Metrics) LedgerCommit(ctx context.Context, c LedgerCommit) {
	attributes := with(AttrOperation.String(c.Operation), AttrBackend.String(c.Backend))
	m.commitDuration.Record(ctx, c.Took.Seconds(), attributes)
	if c.Failed {
		m.ledgerErrors.Add(ctx, 1, attributes)
	}
}

// Resolution records that a leg became known after the given time in doubt.
func (m *Metrics) Resolution(ctx context.Context, provider, outcome string, inDoubt time.Duration) {
	m.resolutionDuration.Record(ctx, inDoubt.Seconds(), with(AttrProvider.String(provider), AttrOutcome.String(outcome)))
}

// ResolverAttempt is one attempt to learn an outcome.
type ResolverAttempt struct {
	Provider string
	Strategy string // as in spec.providers.*.inDoubt
	Result   string // executed, refused, unknown or error
}

// ResolverAttempt counts an attempt.
func (m *Metrics) ResolverAttempt(ctx context.Context, a ResolverAttempt) {
	m.resolverAttempts.Add(ctx, 1, with(AttrProvider.String(a.Provider), AttrStrategy.String(a.Strategy), AttrResult.String(a.Result)))
}

// Contradiction counts evidence against what had been concluded of a leg, in either direction.
func (m *Metrics) Contradiction(ctx context.Context, provider string) {
	m.contradictions.Add(ctx, 1, with(AttrProvider.String(provider)))
}

// Replay counts a repeated request that got its recorded answer.
func (m *Metrics) Replay(ctx context.Context, action string) {
	m.replays.Add(ctx, 1, with(AttrAction.String(action)))
}

// FingerprintConflict counts a request whose bizId was recorded with another content.
func (m *Metrics) FingerprintConflict(ctx context.Context, action string) {
	m.conflicts.Add(ctx, 1, with(AttrAction.String(action)))
}

// DuplicateWaits counts a repeated request as waiting until done is called; calling done again does nothing.
func (m *Metrics) DuplicateWaits(ctx context.Context) (done func()) {
	m.duplicatesWaiting.Add(ctx, 1)
	return sync.OnceFunc(func() { m.duplicatesWaiting.Add(context.WithoutCancel(ctx), -1) })
}

// RateLimited counts a request that was refused by the provider's limit.
func (m *Metrics) RateLimited(ctx context.Context, provider string) {
	m.rateLimited.Add(ctx, 1, with(AttrLimiter.String(provider)))
}

// InDoubt is what the ledger holds in doubt at a provider.
type InDoubt struct {
	Provider string
	Legs     int64
	Manual   int64         // of these, waiting for a person
	Oldest   time.Duration // age of the oldest; 0 when Legs is 0
}

// ObserveInDoubt has read called at each collection, for at most two seconds. An error leaves the
// gauges absent, for an old number would look like a quiet day; the reader logs it.
// Stop ends it.
func (m *Metrics) ObserveInDoubt(read func(context.Context) ([]InDoubt, error)) (stop func(), err error) {
	return m.observe(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, observeTimeout)
		defer cancel()
		rows, err := read(ctx)
		if err != nil {
			return nil // an absent gauge is the report; see above
		}
		for _, row := range rows {
			provider := with(AttrProvider.String(row.Provider))
			o.ObserveInt64(m.inDoubt, row.Legs, provider)
			o.ObserveInt64(m.inDoubtManual, row.Manual, provider)
			o.ObserveFloat64(m.oldestInDoubt, row.Oldest.Seconds(), provider)
		}
		return nil
	}, m.inDoubt, m.inDoubtManual, m.oldestInDoubt)
}

// BreakerState is the state of a circuit breaker, as the metric's value.
type BreakerState int64

// The states of a circuit breaker.
const (
	BreakerClosed BreakerState = iota
	BreakerHalfOpen
	BreakerOpen
)

// ObserveBreakers has read called at each collection for the breaker of each provider. Stop ends it.
func (m *Metrics) ObserveBreakers(read func() map[string]BreakerState) (stop func(), err error) {
	return m.observe(func(_ context.Context, o metric.Observer) error {
		for provider, state := range read() {
			o.ObserveInt64(m.breakerState, int64(state), with(AttrProvider.String(provider)))
		}
		return nil
	}, m.breakerState)
}

func (m *Metrics) observe(callback metric.Callback, gauges ...metric.Observable) (stop func(), err error) {
	registration, err := m.meter.RegisterCallback(callback, gauges...)
	if err != nil {
		return nil, fmt.Errorf("observe metrics: %w", err)
	}
	return func() { _ = registration.Unregister() }, nil
}

func with(attributes ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attributes...))
}

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
)

// observeTimeout bounds what a scrape may wait for the ledger.
const observeTimeout = 2 * time.Second

// Metrics are the instruments of the data plane. Its methods may be called from any goroutine; the context's span, when
// it is sampled, becomes the exemplar.
type Metrics struct {
	meter metric.Meter

	requestDuration    metric.Float64Histogram
	redemptions        metric.Int64Counter
	legs               metric.Int64Counter
	vendorCallDuration metric.Float64Histogram
	commitDuration     metric.Float64Histogram
	ledgerErrors       metric.Int64Counter
	inDoubt            metric.Int64ObservableGauge
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

// NewMetrics creates the instruments of the table. The counters that alarms watch start at 0 for each of the
// providers: Prometheus does not see the first increase of a series that was not there before.
// With a provider from go.opentelemetry.io/otel/metric/noop nothing is kept.
func NewMetrics(provider metric.MeterProvider, providers ...string) (*Metrics, error) {
	m := &Metrics{meter: provider.Meter(MeterName)}
	for _, row := range instruments {
		if err := row.create(m.meter, m); err != nil {
			return nil, err
		}
	}
	ctx := context.Background()
	for _, name := range providers {
		m.contradictions.Add(ctx, 0, with(AttrProvider.String(name)))
		m.legs.Add(ctx, 0, with(AttrProvider.String(name), AttrKind.String("unknown")))
	}
	return m, nil
}

// Request records the reply to a request: the SPI's short name, the envelope's code, and the time it took.
func (m *Metrics) Request(ctx context.Context, spi string, code int, took time.Duration) {
	m.requestDuration.Record(ctx, took.Seconds(), with(AttrSPI.String(spi), AttrCode.String(strconv.Itoa(code))))
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

// Contradiction counts a success that came after the leg had been answered as refused.
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

// RateLimited counts a request that was refused by the limiter: "inbound", or a provider's name.
func (m *Metrics) RateLimited(ctx context.Context, limiter string) {
	m.rateLimited.Add(ctx, 1, with(AttrLimiter.String(limiter)))
}

// InDoubt is what the ledger holds in doubt at a provider.
type InDoubt struct {
	Provider string
	Legs     int64
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
			o.ObserveInt64(m.inDoubt, row.Legs, with(AttrProvider.String(row.Provider)))
			o.ObserveFloat64(m.oldestInDoubt, row.Oldest.Seconds(), with(AttrProvider.String(row.Provider)))
		}
		return nil
	}, m.inDoubt, m.oldestInDoubt)
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

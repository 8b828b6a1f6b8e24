// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// MeterName is the instrumentation scope of Hexiao's own instruments.
const MeterName = "github.com/hexiao-dev/hexiao"

// tillBuckets are the bounds, in seconds, of what somebody at a till waits for: fine where a
// vendor normally answers, and one bound above any reply deadline.
var tillBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 4, 5, 10, 30}

// commitBuckets are the bounds, in seconds, of a durable commit: from a fast disk's sync to a database that stalls.
var commitBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}

// resolutionBuckets are the bounds, in seconds, of the time in doubt. They follow the resolver's schedule and end where
// people take over.
var resolutionBuckets = []float64{1, 3, 10, 30, 120, 600, 3600, 4 * 3600, 24 * 3600, 72 * 3600}

// instrument is a row of the table: what a metric is called and means, and the field of [Metrics] that holds it.
// The field's type is the instrument's kind.
type instrument struct {
	name        string
	unit        string // UCUM: s, or an annotation such as {leg}
	description string
	attributes  []attribute.Key
	buckets     []float64 // upper bounds in the unit; for histograms
	field       func(*Metrics) any
}

// instruments is the one table of the data plane's metrics, in the order of docs/reference/metrics.md.
var instruments = []instrument{
	{
		name: "hexiao.request.duration", unit: "s", buckets: tillBuckets,
		description: "Time from the request's arrival to the reply, for every request that passed the signature.",
		attributes:  []attribute.Key{AttrSPI, AttrCode},
		field:       func(m *Metrics) any { return &m.requestDuration },
	},
	{
		name: "hexiao.reply.deadline", unit: "s",
		description: "The brand's spec.keruyun.replyDeadline: what a reply's time is measured by.",
		field:       func(m *Metrics) any { return &m.replyDeadline },
	},
	{
		name: "hexiao.reply.timeouts", unit: "{reply}",
		description: "Replies that said \"in doubt\" because they were due before the outcome was known; each is in hexiao.redemptions, too.",
		attributes:  []attribute.Key{AttrAction},
		field:       func(m *Metrics) any { return &m.replyTimeouts },
	},
	{
		name: "hexiao.redemptions", unit: "{redemption}",
		description: "Redemptions and reversals answered, by what the reply said; an answer that was repeated from the ledger is not counted again.",
		attributes:  []attribute.Key{AttrAction, AttrOutcome, AttrSubCode},
		field:       func(m *Metrics) any { return &m.redemptions },
	},
	{
		name: "hexiao.legs", unit: "{leg}",
		description: "Legs classified after their vendor call.",
		attributes:  []attribute.Key{AttrProvider, AttrKind},
		field:       func(m *Metrics) any { return &m.legs },
	},
	{
		name: "hexiao.vendor.call.duration", unit: "s", buckets: tillBuckets,
		description: "Time of one vendor call, from the first byte out to its classification.",
		attributes:  []attribute.Key{AttrProvider, AttrOperation, AttrKind},
		field:       func(m *Metrics) any { return &m.vendorCallDuration },
	},
	{
		name: "hexiao.ledger.commit.duration", unit: "s", buckets: commitBuckets,
		description: "Time of one durable commit, waiting for its group included.",
		attributes:  []attribute.Key{AttrOperation, AttrBackend},
		field:       func(m *Metrics) any { return &m.commitDuration },
	},
	{
		name: "hexiao.ledger.errors", unit: "{error}",
		description: "Ledger commits that failed or whose own outcome was unclear.",
		attributes:  []attribute.Key{AttrOperation, AttrBackend},
		field:       func(m *Metrics) any { return &m.ledgerErrors },
	},
	{
		name: "hexiao.in_doubt", unit: "{leg}",
		description: "Legs whose outcome is not known now, as the ledger has it: each replica reports the same number, so take the maximum, not the sum.",
		attributes:  []attribute.Key{AttrProvider},
		field:       func(m *Metrics) any { return &m.inDoubt },
	},
	{
		// An instrument of its own, not an attribute of hexiao.in_doubt: over that everybody takes the maximum, which would
		// silently be the larger part where the whole is meant.
		name: "hexiao.in_doubt.manual", unit: "{leg}",
		description: "Legs in doubt that no machine checks any more: a person has to decide. Each is in hexiao.in_doubt, too; take the maximum over replicas.",
		attributes:  []attribute.Key{AttrProvider},
		field:       func(m *Metrics) any { return &m.inDoubtManual },
	},
	{
		name: "hexiao.in_doubt.oldest.age", unit: "s",
		description: "Age of the oldest leg in doubt; 0 when there is none.",
		attributes:  []attribute.Key{AttrProvider},
		field:       func(m *Metrics) any { return &m.oldestInDoubt },
	},
	{
		name: "hexiao.resolution.duration", unit: "s", buckets: resolutionBuckets,
		description: "Time a leg was in doubt, from unknown to known.",
		attributes:  []attribute.Key{AttrProvider, AttrOutcome},
		field:       func(m *Metrics) any { return &m.resolutionDuration },
	},
	{
		name: "hexiao.resolver.attempts", unit: "{attempt}",
		description: "Attempts of the resolver to learn an outcome.",
		attributes:  []attribute.Key{AttrProvider, AttrStrategy, AttrResult},
		field:       func(m *Metrics) any { return &m.resolverAttempts },
	},
	{
		name: "hexiao.contradictions", unit: "{contradiction}",
		description: "ALARM: evidence against what was concluded of a leg, in either direction. Executed after \"refused\" or \"not sent\": a member may have been charged " +
			"for a refused payment. Refused after \"executed\": the brand may not have been paid. A person's \"refused\" over a look-up that found the spend counts, too.",
		attributes: []attribute.Key{AttrProvider},
		field:      func(m *Metrics) any { return &m.contradictions },
	},
	{
		name: "hexiao.replays", unit: "{reply}",
		description: "Repeated requests answered with the recorded reply; nothing was sent again.",
		attributes:  []attribute.Key{AttrAction},
		field:       func(m *Metrics) any { return &m.replays },
	},
	{
		name: "hexiao.fingerprint.conflicts", unit: "{request}",
		description: "Requests refused because their bizId was recorded with another economic content.",
		attributes:  []attribute.Key{AttrAction},
		field:       func(m *Metrics) any { return &m.conflicts },
	},
	{
		name: "hexiao.duplicates.waiting", unit: "{request}",
		description: "Repeated requests that wait now for the first one's outcome.",
		field:       func(m *Metrics) any { return &m.duplicatesWaiting },
	},
	{
		name:        "hexiao.breaker.state",
		description: "State of the provider's circuit breaker: 0 closed, 1 half-open, 2 open.",
		attributes:  []attribute.Key{AttrProvider},
		field:       func(m *Metrics) any { return &m.breakerState },
	},
	{
		name: "hexiao.rate_limit.rejections", unit: "{request}",
		description: "Requests refused by a rate limit before anything was sent.",
		attributes:  []attribute.Key{AttrLimiter},
		field:       func(m *Metrics) any { return &m.rateLimited },
	},
}

// exportFailures is the one instrument that Setup itself needs; it stands apart from the table because the manager has it too.
var exportFailures = instrument{
	name: "hexiao.telemetry.export.failures", unit: "{export}",
	description: "Batches of telemetry that the collector did not take.",
	attributes:  []attribute.Key{AttrSignal},
}

// serverRequests is of the semantic conventions, which name it for whatever dashboards there are. It stands apart because
// what it counts is anybody's, not a till's.
var serverRequests = instrument{
	name: "http.server.request.duration", unit: "s", buckets: tillBuckets,
	description: "Time of every HTTP request to the port of the point of sale, also of those that did not pass the signature.",
	attributes:  []attribute.Key{semconv.HTTPRequestMethodKey, semconv.HTTPRouteKey, semconv.HTTPResponseStatusCodeKey},
	field:       func(m *Metrics) any { return &m.serverRequests },
}

// create makes the row's instrument and stores it in its field.
func (i instrument) create(meter metric.Meter, m *Metrics) (err error) {
	describe, unit := metric.WithDescription(i.description), metric.WithUnit(i.unit)
	switch field := i.field(m).(type) {
	case *metric.Int64Counter:
		*field, err = meter.Int64Counter(i.name, describe, unit)
	case *metric.Int64UpDownCounter:
		*field, err = meter.Int64UpDownCounter(i.name, describe, unit)
	case *metric.Float64Histogram:
		*field, err = meter.Float64Histogram(i.name, describe, unit, metric.WithExplicitBucketBoundaries(i.buckets...))
	case *metric.Float64Gauge:
		*field, err = meter.Float64Gauge(i.name, describe, unit)
	case *metric.Int64ObservableGauge:
		*field, err = meter.Int64ObservableGauge(i.name, describe, unit)
	case *metric.Float64ObservableGauge:
		*field, err = meter.Float64ObservableGauge(i.name, describe, unit)
	default:
		err = fmt.Errorf("no instrument of type %T", field)
	}
	if err != nil {
		return fmt.Errorf("create metric %s: %w", i.name, err)
	}
	return nil
}

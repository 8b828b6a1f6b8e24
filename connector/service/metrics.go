// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"time"

	"github.com/hexiao-dev/hexiao/connector/keruyun"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// engineMetrics reports what the engine does with the instruments of telemetry,
// which knows nothing of redemptions.
type engineMetrics struct{ *telemetry.Metrics }

var _ redeem.Metrics = engineMetrics{}

func (m engineMetrics) Redemption(ctx context.Context, action redeem.Action, outcome, subCode string) {
	m.Metrics.Redemption(ctx, telemetry.Redemption{Action: string(action), Outcome: outcome, SubCode: subCode})
}

func (m engineMetrics) ReplyTimeout(ctx context.Context, action redeem.Action) {
	m.Metrics.ReplyTimeout(ctx, string(action))
}

func (m engineMetrics) Leg(ctx context.Context, provider string, kind redeem.Kind) {
	m.Metrics.Leg(ctx, provider, string(kind))
}

func (m engineMetrics) Resolution(ctx context.Context, provider string, kind redeem.Kind, inDoubt time.Duration) {
	m.Metrics.Resolution(ctx, provider, string(kind), inDoubt)
}

func (m engineMetrics) ResolverAttempt(ctx context.Context, provider string, s redeem.Strategy, result string) {
	m.Metrics.ResolverAttempt(ctx, telemetry.ResolverAttempt{Provider: provider, Strategy: string(s), Result: result})
}

func (m engineMetrics) Replay(ctx context.Context, a redeem.Action) {
	m.Metrics.Replay(ctx, string(a))
}

func (m engineMetrics) Conflict(ctx context.Context, a redeem.Action) {
	m.FingerprintConflict(ctx, string(a))
}

// ledgerMetrics reports commits.
type ledgerMetrics struct {
	meter   *telemetry.Metrics
	backend string
}

func (m ledgerMetrics) Commit(op string, took time.Duration, err error) {
	m.meter.LedgerCommit(context.Background(), telemetry.LedgerCommit{Operation: op, Backend: m.backend, Took: took, Failed: err != nil})
}

// requests reports what the port answered, and apart from it what a till was answered: what
// anybody may send would hide that no till is heard any more.
func requests(meter *telemetry.Metrics, startup *telemetry.Startup) func(context.Context, keruyun.Access) {
	return func(ctx context.Context, a keruyun.Access) {
		meter.HTTPRequest(ctx, telemetry.HTTPRequest{Method: a.Method, Route: a.Route, Status: a.HTTPStatus, Took: a.Duration})
		if a.Authenticated {
			meter.Request(ctx, a.SPI, a.Code, a.Duration)
			startup.FirstRequest(ctx)
		}
	}
}

// observe has the gauges read the ledger and the breakers.
func (s *Service) observe() error {
	brandID := s.brand.Object.Spec.BrandID
	if _, err := s.meter.ObserveInDoubt(func(ctx context.Context) ([]telemetry.InDoubt, error) {
		doubts, err := s.ledger.InDoubt(ctx, brandID)
		if err != nil {
			s.log.WarnContext(ctx, "read what is in doubt for the metrics", "error", err)
			return nil, err
		}
		byProvider := map[string]redeem.Doubt{}
		for _, d := range doubts {
			byProvider[d.Provider] = d
		}
		out := make([]telemetry.InDoubt, 0, len(s.providers))
		for name := range s.providers {
			row := telemetry.InDoubt{Provider: name, Legs: byProvider[name].Count, Manual: byProvider[name].Manual}
			if row.Legs > 0 {
				row.Oldest = time.Since(byProvider[name].Oldest)
			}
			out = append(out, row)
		}
		return out, nil
	}); err != nil {
		return err
	}
	states := map[string]telemetry.BreakerState{
		"closed": telemetry.BreakerClosed, "half-open": telemetry.BreakerHalfOpen, "open": telemetry.BreakerOpen,
	}
	_, err := s.meter.ObserveBreakers(func() map[string]telemetry.BreakerState {
		out := map[string]telemetry.BreakerState{}
		for name, state := range s.engine.Breakers() {
			out[name] = states[state]
		}
		return out
	})
	return err
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Config is what one brand decided. Zero durations and sizes take the defaults.
type Config struct {
	BrandID        string
	Routes         []Route
	PartialFailure PartialPolicy // default Report
	// InDoubt is each provider's strategy; default Manual.
	InDoubt map[string]Strategy
	Limits  map[string]Limit

	// ReplyDeadline is the budget of a whole call when the request names no
	// ReplyDeadlineAt; default 4 s. ReplyMargin is kept of it for rendering and the
	// way back; default 200 ms.
	ReplyDeadline, ReplyMargin time.Duration
	// CallWindow is how long a vendor call may take, whatever the till was told
	// meanwhile: a late answer is taken until then; default 15 s. LeaseMargin is
	// added to it before another process may take the leg for abandoned; it must
	// exceed the replicas' clock difference; default 5 s.
	CallWindow, LeaseMargin time.Duration
	// LedgerTimeout bounds one ledger call; default 3 s.
	LedgerTimeout time.Duration
	// SettleWindow is how long after the sending a vendor's "not found" proves
	// nothing; default 60 s.
	SettleWindow time.Duration
	// RefusalWindow is how long after the last sending a person's "refused" is not
	// taken without force; default 10 min. It is longer than SettleWindow, for a back
	// office is not the vendor's record of our key: it may show a booking later, and
	// what is called refused is paid anew.
	RefusalWindow time.Duration
	// AbandonAfter is how long a leg that was never sent waits for a repeat;
	// default 10 min.
	AbandonAfter time.Duration
	// ResolverIdle is how often the resolver looks for due legs; default 500 ms.
	// ResolverLease is how long it holds one; default 30 s.
	ResolverIdle, ResolverLease time.Duration
	MaxLines                    int // default 20

	// Owner names this process in leases and logs, such as the pod's name.
	Owner                            string
	ConfigRevision, ConnectorVersion string
}

// Deps are the engine's edges. Ledger, Providers and Render are required.
type Deps struct {
	Ledger    Ledger
	Providers map[string]Provider
	// Render makes the reply that is stored with the conclusion. Pure.
	Render func(Redemption) []byte
	// HashMobile makes the keyed hash of a mobile that the ledger keeps; nil keeps
	// none.
	HashMobile func(mobile string) string

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Metrics        Metrics
	Now            func() time.Time
	// Jitter is in [0,1).
	Jitter func() float64 //nolint:forbidigo // a share of a pause, not money
	// Nonce is never the same twice, over all processes: it tells this process's
	// commits from another's.
	Nonce func() string
}

func (c Config) orDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.ReplyDeadline, 4*time.Second)
	set(&c.ReplyMargin, 200*time.Millisecond)
	set(&c.CallWindow, 15*time.Second)
	set(&c.LeaseMargin, 5*time.Second)
	set(&c.LedgerTimeout, 3*time.Second)
	set(&c.SettleWindow, time.Minute)
	set(&c.RefusalWindow, 10*time.Minute)
	set(&c.AbandonAfter, 10*time.Minute)
	set(&c.ResolverIdle, 500*time.Millisecond)
	set(&c.ResolverLease, 30*time.Second)
	if c.MaxLines == 0 {
		c.MaxLines = 20
	}
	if c.PartialFailure == "" {
		c.PartialFailure = ReportPartial
	}
	return c
}

func (c Config) check(d Deps) error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if c.BrandID == "" {
		fail("brandID is empty")
	}
	if d.Ledger == nil || d.Render == nil {
		fail("a ledger and a renderer are required")
	}
	if c.PartialFailure != ReportPartial && c.PartialFailure != ReversePartial {
		fail("partialFailure %q: use Report or Reverse", c.PartialFailure)
	}
	for name, s := range c.InDoubt {
		if s != Manual && !s.replays() && !s.queries() {
			fail("providers.%s.inDoubt %q is not a strategy", name, s)
		}
	}
	for i, r := range c.Routes {
		if _, ok := d.Providers[r.Provider]; !ok {
			fail("routes[%d].provider %q is not configured: add it under providers", i, r.Provider)
		}
	}
	if c.ReplyMargin >= c.ReplyDeadline {
		fail("replyDeadline %s leaves nothing beside the margin of %s", c.ReplyDeadline, c.ReplyMargin)
	}
	return errors.Join(errs...)
}

func (d Deps) orDefaults() Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.TracerProvider == nil {
		d.TracerProvider = noop.NewTracerProvider()
	}
	if d.Metrics == nil {
		d.Metrics = NoMetrics{}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Jitter == nil {
		d.Jitter = mathrand.Float64
	}
	if d.Nonce == nil {
		d.Nonce = rand.Text
	}
	if d.HashMobile == nil {
		d.HashMobile = func(string) string { return "" }
	}
	return d
}

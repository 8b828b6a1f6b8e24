// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"
)

// resyncPeriod is how often a cache of controller-runtime shows every object again, when nothing else is
// set (cache.Options, SyncPeriod). The operator sets nothing else.
const resyncPeriod = 10 * time.Hour

// atRest lets nothing happen.
func (b *bench) atRest(ctx context.Context) error {
	if err := b.startNamespaced(ctx); err != nil { // to have been at rest, too, when Secrets come
		return err
	}
	// An operator that does not come to rest is measured all the same: the figures say what it does.
	if err := b.quiet(ctx, 3*silence); err != nil && !errors.Is(err, errRestless) {
		return err
	}
	from, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	if err := b.say.Step("  nothing happens", func() error { return pause(ctx, b.rest) }); err != nil {
		return err
	}
	to, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	requests, err := b.since(from, b.leader)
	if err != nil {
		return err
	}
	t := tallyOf(requests)
	b.found("writes, without leases", float64(t.writes+t.events), "")
	b.found("writes that the operator counts, without leases", to.metrics.written()-from.metrics.written(), "")
	b.found("reconciles", to.metrics.reconciles()-from.metrics.reconciles(), "")
	b.found("reads", float64(t.reads), "")
	b.found("watches begun anew", float64(t.watches), "")
	b.found("requests about leases", float64(t.leases), "")
	b.found("operator's CPU", 100*(to.usage.cpu-from.usage.cpu).Seconds()/to.at.Sub(from.at).Seconds(), "% of one")
	b.found("memory", float64(to.usage.rss)/mebibyte, "MiB")
	b.found("live heap", to.metrics.liveHeap()/mebibyte, "MiB")
	b.note("the cache shows every brand again each %s, %d times in this window", resyncPeriod, int(b.rest/resyncPeriod))
	return nil
}

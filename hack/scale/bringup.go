// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const mebibyte = 1 << 20

// silence is how long nobody must write before a phase counts as over.
const silence = 3 * time.Second

// bringUp creates all brands, whose Secrets are there, as fast as the API server takes them.
func (b *bench) bringUp(ctx context.Context) error {
	brands := names("brand", b.brands)
	if err := b.fleet.createSecrets(ctx, brands); err != nil {
		return fmt.Errorf("create Secrets: %w", err)
	}
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	idle, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	serverBefore, err := b.plane.serverCPU(ctx)
	if err != nil {
		return err
	}
	b.found("memory before the first brand", float64(idle.usage.rss)/mebibyte, "MiB")
	began := time.Now()
	if err := b.fleet.createBrands(ctx, brands); err != nil {
		return fmt.Errorf("create brands: %w", err)
	}
	b.found("all brands created", time.Since(began).Seconds(), "s")
	for _, step := range []struct {
		name  string
		holds func(sight) bool
	}{{"all Deployments seen", hasDeployment}, {"all brands Ready", hasBeenReady}} {
		if err := b.awaitAll(ctx, step.name, len(brands), step.holds); err != nil {
			return err
		}
		b.found(step.name, time.Since(began).Seconds(), "s")
	}
	atReady, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	server, err := b.plane.serverCPU(ctx)
	if err != nil {
		return err
	}
	b.found("operator's CPU time", (atReady.usage.cpu - idle.usage.cpu).Seconds(), "s")
	b.found("API server's CPU time", (server - serverBefore).Seconds(), "s")
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	after, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	b.found("peak memory", float64(after.usage.peak)/mebibyte, "MiB")
	return b.countRequests(idle, atReady, after)
}

// awaitAll waits until something holds of all brands.
func (b *bench) awaitAll(ctx context.Context, what string, brands int, holds func(sight) bool) error {
	patience := time.Minute + time.Duration(brands)*time.Second
	return b.say.Step("  "+what, func() error {
		err := poll(ctx, patience, what, func() bool { return b.fleet.seen("brand-", holds) == brands })
		if err != nil {
			return fmt.Errorf("%w: %d of %d", err, b.fleet.seen("brand-", holds), brands)
		}
		return nil
	})
}

// countRequests tells what the operator asked for, and compares the API server's count with its own.
func (b *bench) countRequests(from, ready, to moment) error {
	requests, err := b.since(from, b.leader)
	if err != nil {
		return err
	}
	t := tallyOf(requests)
	late := 0
	for _, r := range requests {
		if r.isWrite() && !r.isLease() && !r.isEvent() && r.at.After(ready.at) {
			late++
		}
	}
	most := 0
	for _, n := range t.written {
		most = max(most, n)
	}
	b.found("writes a brand, without events", float64(t.writes)/float64(b.brands), "")
	b.found("most writes to objects of one name", float64(most), "")
	b.found("events a brand", float64(t.events)/float64(b.brands), "")
	b.found("reads a brand", float64(t.reads)/float64(b.brands), "")
	b.found("writes refused", float64(t.refused), "")
	b.found("writes after the last brand was Ready", float64(late), "")
	b.found("reconciles a brand", (to.metrics.reconciles()-from.metrics.reconciles())/float64(b.brands), "")
	applied := 0
	for _, r := range requests {
		if r.verb == "patch" && r.subresource == "" && !r.isEvent() {
			applied++
		}
	}
	b.found("writes that the operator counts otherwise", difference(float64(t.writes+t.events), to.metrics.written()-from.metrics.written()), "")
	b.found("applies that the operator counts otherwise", difference(float64(applied), to.metrics.applied()-from.metrics.applied()), "")
	b.note("requests by the audit log: %s", listOf(t.kinds))
	return nil
}

func difference(a, b float64) float64 { return max(a-b, b-a) }

// listOf writes counts, the largest first.
func listOf(counts map[string]int) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%d × %s", counts[k], k))
	}
	return strings.Join(parts, ", ")
}

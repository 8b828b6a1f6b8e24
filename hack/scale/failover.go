// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// changeEvery is how often a brand changes while the replicas take turns, so that whoever leads writes at once.
const changeEvery = 100 * time.Millisecond

// failover ends one leader after another while a brand changes all the time.
func (b *bench) failover(ctx context.Context) (err error) {
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	before, err := b.fleet.children(ctx)
	if err != nil {
		return err
	}
	stop := b.startChanging(ctx, "brand-0000")
	standby, err := b.endLeaders(ctx)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if err := standby.end(); err != nil {
		return err
	}
	return b.compareChildren(ctx, before)
}

// endLeaders ends leaders by SIGTERM and then by SIGKILL, and returns the replica that stands by in the end.
func (b *bench) endLeaders(ctx context.Context) (standby *operator, err error) {
	if standby, err = b.startStandby(ctx); err != nil {
		return nil, err
	}
	late := 0
	for _, way := range []struct {
		name string
		end  func(*operator) error
	}{
		{"SIGTERM", func(o *operator) error { return o.end() }},
		{"SIGKILL", func(o *operator) error { o.kill(); return nil }},
	} {
		var took []time.Duration
		for range b.takeovers {
			t, n, err := b.takeover(ctx, standby, way.end)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			b.say.Say("  %s: %s", way.name, t.Round(time.Millisecond))
			took, late = append(took, t), late+n
			b.leader = standby
			if standby, err = b.startStandby(ctx); err != nil {
				return nil, err
			}
		}
		s := spreadOf(seconds(took))
		b.found(way.name+" to the other's first write, median", s.P50, "s")
		b.found(way.name+" to the other's first write, longest", s.Max, "s")
	}
	b.found("writes by the old leader after the new one's first", float64(late), "")
	return standby, nil
}

// startChanging changes a brand again and again until stop is called, which says whether that worked.
func (b *bench) startChanging(ctx context.Context, brand string) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- b.keepChanging(ctx, brand) }()
	return func() error {
		cancel()
		return <-result
	}
}

// takeover ends the leader and says after how long the other one wrote, and how many writes of the old
// leader came in after that.
func (b *bench) takeover(ctx context.Context, standby *operator, end func(*operator) error) (took time.Duration, late int, err error) {
	old := b.leader
	if err := pause(ctx, 2*time.Second); err != nil { // it works for a while
		return 0, 0, err
	}
	from, err := b.mark()
	if err != nil {
		return 0, 0, err
	}
	if err := end(old); err != nil {
		return 0, 0, err
	}
	var first time.Time
	err = standby.await(ctx, "write", func() bool {
		requests, err := b.since(from, standby)
		if err != nil {
			return false
		}
		for _, r := range requests {
			if r.isWrite() && !r.isLease() {
				first = r.at
				return true
			}
		}
		return false
	})
	if err != nil {
		return 0, 0, err
	}
	requests, err := b.since(from, old)
	for _, r := range requests {
		if r.isWrite() && r.at.After(first) {
			late++
		}
	}
	return first.Sub(from.at), late, err
}

// keepChanging changes a brand until ctx ends.
func (b *bench) keepChanging(ctx context.Context, brand string) error {
	object := &v1alpha1.BrandConnector{}
	object.Namespace, object.Name = fleetNamespace, brand
	for i := 0; ctx.Err() == nil; i++ {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"workload":{"podAnnotations":{"change":"%d"}}}}`, i))
		if err := b.plane.api.Patch(ctx, object, patch); err != nil && ctx.Err() == nil {
			return fmt.Errorf("change brand %s: %w", brand, err)
		}
		_ = pause(ctx, changeEvery) // it fails when ctx ends, which is the end
	}
	return nil
}

// compareChildren asks that the brands have the objects that they had, the very same ones.
func (b *bench) compareChildren(ctx context.Context, before map[child]bool) error {
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	after, err := b.fleet.children(ctx)
	if err != nil {
		return err
	}
	more, fewer := 0, 0
	for c := range after {
		if !before[c] {
			more++
		}
	}
	for c := range before {
		if !after[c] {
			fewer++
		}
	}
	b.found("objects that the brands had before", float64(len(before)), "")
	b.found("objects made twice or anew", float64(more), "")
	b.found("objects lost", float64(fewer), "")
	return nil
}

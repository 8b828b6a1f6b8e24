// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// changeEvery is how often the brand changes that both replicas are waited for with.
const changeEvery = 100 * time.Millisecond

// failover ends one leader after another while a brand changes all the time.
func (b *bench) failover(ctx context.Context) error {
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	before, err := b.fleet.children(ctx)
	if err != nil {
		return err
	}
	standby, err := b.startStandby(ctx)
	if err != nil {
		return err
	}
	changing, stopChanging := context.WithCancel(ctx)
	var changer sync.WaitGroup
	var changeErr error
	changer.Go(func() { changeErr = b.keepChanging(changing, "brand-0000") })
	after := 0
	for _, way := range []struct {
		name string
		end  func(*operator) error
	}{
		{"SIGTERM", func(o *operator) error { return o.end() }},
		{"SIGKILL", func(o *operator) error { o.kill(); return nil }},
	} {
		var took []time.Duration
		for range b.takeovers {
			t, late, err := b.takeover(ctx, standby, way.end)
			if err != nil {
				stopChanging()
				changer.Wait()
				return fmt.Errorf("%s: %w", way.name, err)
			}
			took, after = append(took, t), after+late
			b.say.Say("  %s: %s", way.name, t.Round(time.Millisecond))
			b.leader = standby
			if standby, err = b.startStandby(ctx); err != nil {
				stopChanging()
				changer.Wait()
				return err
			}
		}
		s := spreadOf(seconds(took))
		b.found(way.name+" to the other's first write, median", s.P50, "s")
		b.found(way.name+" to the other's first write, longest", s.Max, "s")
	}
	stopChanging()
	changer.Wait()
	if changeErr != nil {
		return changeErr
	}
	b.found("writes by the old leader after the new one's first", float64(after), "")
	if err := standby.end(); err != nil {
		return err
	}
	return b.compareChildren(ctx, before)
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
	for i := 0; ; i++ {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"workload":{"podAnnotations":{"change":"%d"}}}}`, i))
		if err := b.plane.api.Patch(ctx, object, patch); err != nil && ctx.Err() == nil {
			return fmt.Errorf("change brand %s: %w", brand, err)
		}
		if pause(ctx, changeEvery) != nil {
			return nil
		}
	}
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

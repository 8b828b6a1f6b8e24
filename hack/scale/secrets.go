// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// elsewhere has the Secrets that no brand names.
	elsewhere = "elsewhere"
	// secretSize is what each of them holds, in bytes.
	secretSize = 8 << 10
	// settling is how long watches, garbage collections and the scavenger get before memory is measured.
	settling = 8 * time.Second
	// measuring is over how long the median of the memory is taken.
	measuring = 6 * time.Second
)

// memory is what an operator holds.
type memory struct {
	// rss is the median over a while, in bytes; live what the last garbage collection left.
	rss, live float64
}

// memories lets operators settle and looks at them. Nothing is forced: no collection, no scavenging.
func (b *bench) memories(ctx context.Context, operators []*operator) ([]memory, error) {
	if err := pause(ctx, settling); err != nil {
		return nil, err
	}
	samples := make([][]float64, len(operators))
	for end := time.Now().Add(measuring); time.Now().Before(end); {
		for i, o := range operators {
			u, err := o.usage()
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], float64(u.rss))
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
	}
	all := make([]memory, len(operators))
	for i, o := range operators {
		m, err := o.scrape(ctx)
		if err != nil {
			return nil, err
		}
		all[i] = memory{rss: spreadOf(samples[i]).P50, live: m.liveHeap()}
	}
	return all, nil
}

// startNamespaced starts an operator that watches the brands' namespace alone, beside the leader. It runs no
// brand, because no brand has its label; what it holds of Secrets does not depend on that.
func (b *bench) startNamespaced(ctx context.Context) (err error) {
	if b.namespaced == nil {
		b.namespaced, err = b.startLeader(ctx, "--watch-namespaces="+fleetNamespace, "--watch-label-selector=scale=nothing")
	}
	return err
}

// unrelatedSecrets creates Secrets beside two operators that have been at rest, one of all namespaces and one of
// the brands' alone, and then starts the first one anew among them.
func (b *bench) unrelatedSecrets(ctx context.Context) error {
	if err := b.plane.namespace(ctx, elsewhere); err != nil {
		return err
	}
	if err := b.startNamespaced(ctx); err != nil {
		return err
	}
	if err := b.growth(ctx); err != nil {
		return err
	}
	if err := b.namespaced.end(); err != nil {
		return err
	}
	among, err := b.afterRestart(ctx)
	if err != nil {
		return err
	}
	if err := b.deleteSecrets(ctx); err != nil {
		return err
	}
	without, err := b.afterRestart(ctx)
	if err != nil {
		return err
	}
	b.found("memory of a process started without them", without.rss/mebibyte, "MiB")
	b.found("more memory of a process started among them", (among.rss-without.rss)/mebibyte, "MiB")
	return nil
}

// growth measures both operators before and after.
func (b *bench) growth(ctx context.Context) error {
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	both := []*operator{b.leader, b.namespaced}
	before, err := b.memories(ctx, both)
	if err != nil {
		return err
	}
	from, err := b.moments(ctx, both)
	if err != nil {
		return err
	}
	if err := b.say.Step("  creating Secrets", func() error { return b.createUnrelated(ctx) }); err != nil {
		return err
	}
	after, err := b.memories(ctx, both)
	if err != nil {
		return err
	}
	to, err := b.moments(ctx, both)
	if err != nil {
		return err
	}
	for i, who := range []string{"all namespaces", "one namespace"} {
		requests, err := b.since(from[i], both[i])
		if err != nil {
			return err
		}
		t := tallyOf(requests)
		b.found(who+": memory before", before[i].rss/mebibyte, "MiB")
		b.found(who+": growth of memory", (after[i].rss-before[i].rss)/mebibyte, "MiB")
		b.found(who+": growth of the live heap", (after[i].live-before[i].live)/mebibyte, "MiB")
		b.found(who+": reconciles", to[i].metrics.reconciles()-from[i].metrics.reconciles(), "")
		b.found(who+": requests but leases and watches", float64(t.writes+t.events+t.reads), "")
		b.found(who+": operator's CPU time", (to[i].usage.cpu - from[i].usage.cpu).Seconds(), "s")
	}
	return nil
}

func (b *bench) moments(ctx context.Context, operators []*operator) ([]moment, error) {
	var all []moment
	for _, o := range operators {
		m, err := b.moment(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// afterRestart measures a new process that has looked at all brands.
func (b *bench) afterRestart(ctx context.Context) (memory, error) {
	if err := b.leader.end(); err != nil {
		return memory{}, err
	}
	var err error
	if b.leader, err = b.startLeader(ctx); err != nil {
		return memory{}, err
	}
	if err := b.quiet(ctx, silence); err != nil {
		return memory{}, err
	}
	m, err := b.memories(ctx, []*operator{b.leader})
	if err != nil {
		return memory{}, err
	}
	return m[0], nil
}

func (b *bench) createUnrelated(ctx context.Context) error {
	data := map[string][]byte{"content": bytes.Repeat([]byte("s"), secretSize)}
	return each(ctx, names("unrelated", b.secrets), func(ctx context.Context, name string) error {
		return b.plane.api.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: elsewhere, Name: name}, Data: data})
	})
}

func (b *bench) deleteSecrets(ctx context.Context) error {
	return b.say.Step("  deleting Secrets", func() error {
		err := b.plane.api.DeleteAllOf(ctx, &corev1.Secret{}, client.InNamespace(elsewhere))
		if err != nil {
			return fmt.Errorf("delete the Secrets: %w", err)
		}
		return nil
	})
}

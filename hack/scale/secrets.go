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

// memoryOf lets an operator settle and looks at it. Nothing is forced: no collection, no scavenging.
func (b *bench) memoryOf(ctx context.Context, o *operator) (memory, error) {
	if err := pause(ctx, settling); err != nil {
		return memory{}, err
	}
	var values []float64
	for end := time.Now().Add(measuring); time.Now().Before(end); {
		u, err := o.usage()
		if err != nil {
			return memory{}, err
		}
		values = append(values, float64(u.rss))
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return memory{}, err
		}
	}
	m, err := o.scrape(ctx)
	return memory{rss: spreadOf(values).P50, live: m.liveHeap()}, err
}

// unrelatedSecrets creates Secrets while an operator of all namespaces runs, and then starts it anew among them.
func (b *bench) unrelatedSecrets(ctx context.Context) error {
	if err := b.plane.namespace(ctx, elsewhere); err != nil {
		return err
	}
	if err := b.growth(ctx); err != nil {
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

// namespaced does the same for an operator that watches the brands' namespace alone.
func (b *bench) namespaced(ctx context.Context) error {
	if err := b.leader.end(); err != nil {
		return err
	}
	if err := b.plane.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: elsewhere}}); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	var err error
	if b.leader, err = b.startLeader(ctx, "--watch-namespaces="+fleetNamespace); err != nil {
		return err
	}
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	return b.growth(ctx)
}

// growth measures the leader before and after Secrets appear elsewhere.
func (b *bench) growth(ctx context.Context) error {
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	before, err := b.memoryOf(ctx, b.leader)
	if err != nil {
		return err
	}
	from, err := b.moment(ctx, b.leader)
	if err != nil {
		return err
	}
	if err := b.say.Step("  creating Secrets", func() error { return b.createUnrelated(ctx) }); err != nil {
		return err
	}
	after, err := b.memoryOf(ctx, b.leader)
	if err != nil {
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
	b.found("memory before", before.rss/mebibyte, "MiB")
	b.found("growth of memory", (after.rss-before.rss)/mebibyte, "MiB")
	b.found("growth of the live heap", (after.live-before.live)/mebibyte, "MiB")
	b.found("reconciles", to.metrics.reconciles()-from.metrics.reconciles(), "")
	b.found("requests but leases and watches", float64(t.writes+t.events+t.reads), "")
	b.found("operator's CPU time", (to.usage.cpu - from.usage.cpu).Seconds(), "s")
	return nil
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
	return b.memoryOf(ctx, b.leader)
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

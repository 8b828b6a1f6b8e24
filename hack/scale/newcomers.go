// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// newcomers creates one brand after another.
func (b *bench) newcomers(ctx context.Context) error {
	late := names("newcomer", b.samples)
	if err := b.fleet.createSecrets(ctx, late); err != nil {
		return err
	}
	var deployments, ready []time.Duration
	for _, name := range late {
		d, r, err := b.newcomer(ctx, name)
		if err != nil {
			return err
		}
		deployments, ready = append(deployments, d), append(ready, r)
	}
	b.foundSpread("until the Deployment", deployments)
	b.foundSpread("until Ready", ready)
	return nil
}

// newcomer creates a brand, whose Secret is there, and says after how long its Deployment and
// its readiness were seen.
func (b *bench) newcomer(ctx context.Context, name string) (deployment, ready time.Duration, err error) {
	began := time.Now()
	if err := b.fleet.createBrands(ctx, []string{name}); err != nil {
		return 0, 0, err
	}
	if err := poll(ctx, patience, name+" to be Ready", func() bool { return hasBeenReady(b.fleet.sight(name)) }); err != nil {
		return 0, 0, err
	}
	s := b.fleet.sight(name)
	return s.deployment.Sub(began), s.ready.Sub(began), nil
}

// foundSpread notes a sample of durations.
func (b *bench) foundSpread(name string, durations []time.Duration) {
	s := spreadOf(seconds(durations))
	b.found(fmt.Sprintf("%s, median", name), s.P50, "s")
	b.found(fmt.Sprintf("%s, 99th percentile", name), s.P99, "s")
}

// rotation changes the Secret of one brand after another.
func (b *bench) rotation(ctx context.Context) error {
	var changed []time.Duration
	revisions := b.fleet.revisions()
	for i, name := range names("brand", min(b.samples, b.brands)) {
		before := b.fleet.sight(name)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: fleetNamespace, Name: secretOf(name)}}
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"stringData":{"token":"rotated-%d"}}`, i))
		began := time.Now()
		if err := b.plane.api.Patch(ctx, secret, patch); err != nil {
			return fmt.Errorf("change Secret %s: %w", secret.Name, err)
		}
		err := poll(ctx, patience, "the Pod template of "+name+" to change", func() bool { return b.fleet.sight(name).revisions > before.revisions })
		if err != nil {
			return err
		}
		changed = append(changed, b.fleet.sight(name).revised.Sub(began))
	}
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	b.foundSpread("until the Pod template", changed)
	b.found("changes of Pod templates beyond one for each Secret", float64(b.fleet.revisions()-revisions-len(changed)), "")
	return nil
}

// restart ends the operator and starts it anew. It then looks at every brand, and meanwhile brands are created.
func (b *bench) restart(ctx context.Context) error {
	late := names("interrupter", b.samples)
	if err := b.fleet.createSecrets(ctx, late); err != nil {
		return err
	}
	revisions := b.fleet.revisions()
	if err := b.leader.end(); err != nil {
		return err
	}
	began := time.Now()
	mark, err := b.mark()
	if err != nil {
		return err
	}
	if b.leader, err = b.startLeader(ctx); err != nil {
		return err
	}
	b.found("until the new process leads", time.Since(began).Seconds(), "s")
	if err := b.interrupt(ctx, late); err != nil {
		return err
	}
	drained := func() bool {
		m, err := b.leader.scrape(ctx)
		return err == nil && m.backlog() == 0
	}
	if err := poll(ctx, 10*time.Minute, "the operator to have looked at all brands", drained); err != nil {
		return err
	}
	b.found("until all brands were looked at", time.Since(began).Seconds(), "s")
	if err := b.quiet(ctx, silence); err != nil {
		return err
	}
	requests, err := b.since(mark, b.leader)
	if err != nil {
		return err
	}
	t := tallyOf(requests)
	old := 0
	for name, n := range t.written {
		if !strings.HasPrefix(name, "interrupter-") {
			old += n
		}
	}
	b.found("writes a brand, without events", float64(old)/float64(b.fleet.seen("brand-", hasBeenReady)+b.fleet.seen("newcomer-", hasBeenReady)), "")
	b.found("changes of Pod templates", float64(b.fleet.revisions()-revisions), "")
	b.note("requests by the audit log, with those for the brands created meanwhile: %s", listOf(t.kinds))
	return nil
}

// mark is a moment of which only the requests matter.
func (b *bench) mark() (moment, error) {
	all, err := b.plane.audit.all()
	return moment{at: time.Now(), requests: len(all)}, err
}

// interrupt creates brands as long as the operator has others to look at.
func (b *bench) interrupt(ctx context.Context, late []string) error {
	var deployments, ready []time.Duration
	most := 0.0
	waiting := func() bool {
		m, err := b.leader.scrape(ctx)
		if err != nil {
			return false
		}
		most = max(most, m.backlog())
		return m.backlog() > 0
	}
	begun := func() bool {
		m, err := b.leader.scrape(ctx)
		// What it has only to look at may be worked off before anybody looks.
		return waiting() || (err == nil && m.reconciles() >= float64(b.brands))
	}
	if err := poll(ctx, patience, "the operator to begin", begun); err != nil {
		return err
	}
	b.found("brands that wait when the first one is created", most, "")
	for _, name := range late {
		d, r, err := b.newcomer(ctx, name)
		if err != nil {
			return err
		}
		deployments, ready = append(deployments, d), append(ready, r)
		if !waiting() {
			break
		}
	}
	b.found("brands created meanwhile", float64(len(ready)), "")
	b.foundSpread("until the Deployment", deployments)
	b.foundSpread("until Ready", ready)
	return nil
}

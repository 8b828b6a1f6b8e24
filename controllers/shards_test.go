// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// operator is one more operator, whose writes are counted by themselves.
type operator struct {
	writes   *writeCounter
	registry *prometheus.Registry
	stop     func()
}

// operator starts one for the brands of a shard.
func (w *world) operator(shard string) *operator {
	w.t.Helper()
	return w.operatorOf(part{selector: shardLabel + "=" + w.shard(shard), ofFleet: true, image: testImage})
}

func (w *world) operatorOf(p part) *operator {
	w.t.Helper()
	o := &operator{writes: &writeCounter{}, registry: prometheus.NewRegistry()}
	counted := rest.CopyConfig(config)
	counted.QPS = -1
	counted.Impersonate.UserName = operatorUser
	counted.WrapTransport = func(next http.RoundTripper) http.RoundTripper { return o.writes.wrap(next) }
	ctx, cancel := context.WithCancel(w.t.Context())
	mgr, err := newOperator(ctx, counted, o.registry, p)
	must(w.t, err)
	done := start(ctx, mgr)
	o.stop = func() { cancel(); <-done }
	w.t.Cleanup(o.stop)
	return o
}

// shard is the label's value: worlds that are left behind by other tests have others.
func (w *world) shard(name string) string { return w.namespace + "-" + name }

func (w *world) ofShard(name string) func(*v1alpha1.BrandConnector) {
	return func(b *v1alpha1.BrandConnector) {
		metav1.SetMetaDataLabel(&b.ObjectMeta, shardLabel, w.shard(name))
	}
}

// sample is a metric's labels and value.
type sample struct {
	labels map[string]string
	value  float64
}

// samples of one of the operator's metrics.
func (o *operator) samples(t *testing.T, name string) (all []sample) {
	t.Helper()
	families, err := o.registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all = append(all, sample{labels, m.GetCounter().GetValue() + m.GetGauge().GetValue()})
		}
	}
	return all
}

// sums are the operator's samples, added up by one label.
func (o *operator) sums(t *testing.T, name, label string) map[string]int {
	t.Helper()
	sums := map[string]int{}
	for _, s := range o.samples(t, name) {
		sums[s.labels[label]] += int(s.value)
	}
	return sums
}

// applies are the operator's by result.
func (o *operator) applies(t *testing.T) map[string]int {
	t.Helper()
	return o.sums(t, "hexiao_operator_apply_total", "result")
}

// brands that the operator's metrics have.
func (o *operator) brands(t *testing.T) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(o.sums(t, "hexiao_brandconnector_info", "name")))
}

// versions of a brand's objects.
func (w *world) versions(brand string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, o := range children() {
		w.mustGet(brand, o)
		all[fmt.Sprintf("%T", o)] = o.GetResourceVersion()
	}
	return all
}

func (w *world) version(brand string) string {
	w.t.Helper()
	b := &v1alpha1.BrandConnector{}
	w.mustGet(brand, b)
	return b.ResourceVersion
}

func TestEachBrandIsItsShardsAlone(t *testing.T) {
	w := newWorld(t)
	a, b := w.operator("a"), w.operator("b")
	w.create(w.brand("three", w.ofShard("c"))) // first, so that there was time to see it
	w.up(w.brand("one", w.ofShard("a")))
	w.up(w.brand("two", w.ofShard("b")))
	w.settled("one")
	w.settled("two")

	for name, o := range map[string]struct {
		*operator
		brand string
	}{"a": {a, "one"}, "b": {b, "two"}} {
		if diff := cmp.Diff([]string{o.brand}, o.brands(t)); diff != "" {
			t.Errorf("the brands that shard %s counts (-want +got):\n%s", name, diff)
		}
		for _, line := range o.writes.in(w.namespace) {
			if !strings.Contains(line, "/"+o.brand) {
				t.Errorf("shard %s wrote %s", name, line)
			}
		}
	}
	if strangers := writes.in(w.namespace); len(strangers) > 0 {
		t.Errorf("an operator of neither wrote:\n%s", strings.Join(strangers, "\n"))
	}
	nobodys := &v1alpha1.BrandConnector{}
	w.mustGet("three", nobodys)
	if got := nobodys.Status; got.ObservedGeneration != -1 || len(got.Conditions) > 0 {
		t.Errorf("a brand of no shard has the status %+v", got)
	}
	if problem := w.gone("three", &corev1.ConfigMap{}); problem != "" {
		t.Error(problem)
	}
}

func TestABrandIsHandedFromOneShardToTheOtherWithoutAWrite(t *testing.T) {
	w := newWorld(t)
	a, b := w.operator("a"), w.operator("b")
	w.up(w.brand("xiaowang", w.ofShard("a")))
	w.settled("xiaowang")

	for _, hand := range []struct {
		to       string
		from, by *operator
	}{{"b", a, b}, {"a", b, a}, {"b", a, b}} {
		before, from, by := w.versions("xiaowang"), len(hand.from.writes.in(w.namespace)), len(hand.by.writes.in(w.namespace))
		w.change("xiaowang", w.ofShard(hand.to))
		labelled := w.version("xiaowang")
		w.eventually(func() string {
			return same("true true", fmt.Sprint(len(hand.from.brands(t)) == 0, len(hand.by.brands(t)) == 1))
		})
		if now := w.version("xiaowang"); now != labelled {
			t.Errorf("to shard %s: the brand was written: version %s, then %s", hand.to, labelled, now)
		}
		w.settled("xiaowang") // is noted by one write of the status
		w.settled("xiaowang")
		if diff := cmp.Diff(before, w.versions("xiaowang")); diff != "" {
			t.Errorf("to shard %s: its objects were written (-before +after):\n%s", hand.to, diff)
		}
		if got := hand.by.writes.in(w.namespace)[by:]; len(got) != 2 {
			t.Errorf("to shard %s: it wrote\n%s\nwant the status twice", hand.to, strings.Join(got, "\n"))
		}
		if got := hand.from.writes.in(w.namespace)[from:]; len(got) > 0 {
			t.Errorf("to shard %s: the other one wrote\n%s", hand.to, strings.Join(got, "\n"))
		}
	}

	// It is b's now.
	before, wrote := w.revision("xiaowang"), len(a.writes.in(w.namespace))
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	w.eventually(func() string {
		if w.revision("xiaowang") == before {
			return "the rotation was not seen"
		}
		return ""
	})
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { delete(b.Labels, shardLabel) }) // and the suite's operator's now
	w.rollOut("xiaowang")
	w.settled("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	if got := a.writes.in(w.namespace)[wrote:]; len(got) > 0 {
		t.Errorf("shard a wrote\n%s", strings.Join(got, "\n"))
	}
}

func TestAnOperatorThatStartsAnewWritesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.operator("a")
	objects := 0
	for name, change := range map[string]func(*v1alpha1.BrandConnector){
		"plain": func(*v1alpha1.BrandConnector) {},
		"scaled": func(b *v1alpha1.BrandConnector) {
			b.Spec.Workload.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 5}
			b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", IngressClassName: "nginx"}
		},
		"routed": func(b *v1alpha1.BrandConnector) {
			b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", GatewayRef: &v1alpha1.GatewayReference{Name: "g"}}
		},
		"scheduled": scheduled,
		"embedded": func(b *v1alpha1.BrandConnector) {
			b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}
		},
	} {
		b := w.brand(name, w.ofShard("a"), change)
		w.create(b)
		w.rollOut(name)
		if b.Spec.Exposure != nil && b.Spec.Exposure.GatewayRef != nil {
			w.gatewayAnswers(name, metav1.ConditionTrue, "Accepted")
		}
		w.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		w.settled(name)
		w.mustGet(name, b)
		if len(b.Status.Objects) < 5 {
			t.Errorf("the status of brand %s lists the objects %v", name, b.Status.Objects)
		}
		objects += len(b.Status.Objects)
	}
	first.stop()

	second := w.operator("a")
	w.eventually(func() string {
		return same(fmt.Sprint(map[string]int{"skipped": objects}), fmt.Sprint(second.applies(t)))
	})
	second.stop()
	if got := second.writes.in(w.namespace); len(got) > 0 {
		t.Errorf("it wrote\n%s", strings.Join(got, "\n"))
	}
}

func TestWhatIsChangedWhileNoOperatorRunsIsSetRight(t *testing.T) {
	var worlds []*world
	runs := newWorld(t)
	first := runs.operator("a")
	for range drifts() {
		w := newWorld(t)
		w.up(w.brand("xiaowang", runs.ofShard("a")))
		w.settled("xiaowang")
		worlds = append(worlds, w)
	}
	first.stop()
	checks := map[string]func() string{}
	for name, tamper := range drifts() {
		checks[name] = tamper(worlds[len(checks)])
	}
	runs.operator("a")
	for name, check := range checks {
		t.Run(name, func(t *testing.T) { (&world{t: t, namespace: runs.namespace}).eventually(check) })
	}
}

func TestADigestThatNoOperatorWroteIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	first := w.operator("a")
	w.up(w.brand("xiaowang", w.ofShard("a")))
	w.settled("xiaowang")
	first.stop()
	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)
	before := b.DeepCopy()
	objects := len(b.Status.Objects)
	for i := range b.Status.Objects {
		b.Status.Objects[i].Digest = strings.Repeat("0", 16)
	}
	must(t, api.Status().Patch(t.Context(), b, client.MergeFrom(before)))

	second := w.operator("a")
	w.eventually(func() string {
		w.mustGet("xiaowang", b)
		return same(fmt.Sprint(before.Status.Objects), fmt.Sprint(b.Status.Objects))
	})
	if got := second.applies(t); got["unchanged"] != objects {
		t.Errorf("applies %v, want %d that change nothing", got, objects)
	}
}

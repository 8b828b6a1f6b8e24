// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func TestThePlatformsRevisionIsNewWhenPodsAre(t *testing.T) {
	revision := func(change func(*render.Installation, *v1alpha1.ConnectorClass)) string {
		in, class := installation, &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}}
		change(&in, class)
		r, err := render.PlatformRevision(in, class)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	base := revision(func(*render.Installation, *v1alpha1.ConnectorClass) {})
	without, err := render.PlatformRevision(installation, nil)
	if err != nil || without != base {
		t.Errorf("an empty class makes %s, no class %s (%v): want the same", base, without, err)
	}
	tests := map[string]struct {
		change func(*render.Installation, *v1alpha1.ConnectorClass)
		isNew  bool
	}{
		"another image of the operator": {func(i *render.Installation, _ *v1alpha1.ConnectorClass) { i.Image = "other" }, true},
		"another image of the class":    {func(_ *render.Installation, c *v1alpha1.ConnectorClass) { c.Spec.Image = "other" }, true},
		"another pull policy":           {func(_ *render.Installation, c *v1alpha1.ConnectorClass) { c.Spec.ImagePullPolicy = "Always" }, true},
		"another receiver of traces": {func(_ *render.Installation, c *v1alpha1.ConnectorClass) {
			c.Spec.Telemetry.OTLPEndpoint = "http://otel:4318"
		}, true},
		"a patch of the Pods": {func(_ *render.Installation, c *v1alpha1.ConnectorClass) {
			c.Spec.Workload.Patch = &runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"spec":{"dnsPolicy":"Default"}}}}`)}
		}, true},
		"more replicas": {func(_ *render.Installation, c *v1alpha1.ConnectorClass) { c.Spec.Workload.Replicas = new(int32(4)) }, false},
		"a patch of the Deployment": {func(_ *render.Installation, c *v1alpha1.ConnectorClass) {
			c.Spec.Workload.Patch = &runtime.RawExtension{Raw: []byte(`{"spec":{"minReadySeconds":3}}`)}
		}, false},
		"another budget": {func(_ *render.Installation, c *v1alpha1.ConnectorClass) {
			c.Spec.Rollout = v1alpha1.RolloutPolicy{MaxConcurrent: 1, ProgressDeadline: &metav1.Duration{Duration: time.Minute}}
		}, false},
		"who may read metrics": {func(i *render.Installation, _ *v1alpha1.ConnectorClass) { i.MonitoringNamespaces = nil }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := revision(tc.change) != base; got != tc.isNew {
				t.Errorf("a new revision: %v, want %v", got, tc.isNew)
			}
		})
	}
}

func TestAClassThatNoBrandCanHaveIsAnInvalidOne(t *testing.T) {
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}}
	class.Spec.Workload.Patch = &runtime.RawExtension{Raw: []byte(`{"spec":{"replicas":3}}`)}
	_, err := render.PlatformRevision(installation, class)
	var invalid *render.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "spec.workload.patch of ConnectorClass standard" {
		t.Errorf("got %v", err)
	}
}

// How Pods take turns cannot be patched where the ledger is one file, and can be anywhere else.
func TestAClassWhosePatchOneKindOfLedgerForbidsIsForBrandsOfTheOther(t *testing.T) {
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}}
	class.Spec.Workload.Patch = &runtime.RawExtension{Raw: []byte(`{"spec":{"strategy":{"rollingUpdate":{"maxSurge":2}}}}`)}
	one, err := render.PlatformRevision(installation, class)
	if err != nil {
		t.Fatal(err)
	}
	class.Spec.Image = "other"
	if another, err := render.PlatformRevision(installation, class); err != nil || another == one {
		t.Errorf("with another image the revision is %s (%v), as before", another, err)
	}
	class.Spec.Ledger = &v1alpha1.ClassLedger{Embedded: &v1alpha1.EmbeddedLedger{}}
	_, err = render.Render(render.Inputs{Brand: load(t, "testdata/class.in.yaml").Brand, Class: class, Installation: installation})
	if invalid := (*render.InvalidError)(nil); !errors.As(err, &invalid) {
		t.Errorf("a brand with an embedded ledger: %v, want that it is refused", err)
	}
}

func TestWhatABrandAndItsClassMakeTogetherIsJudged(t *testing.T) {
	brand := func(change func(*v1alpha1.BrandConnector)) *v1alpha1.BrandConnector {
		b := load(t, "testdata/class.in.yaml").Brand
		change(b)
		return b
	}
	class := load(t, "testdata/class.in.yaml").Class
	embedded := class.DeepCopy()
	embedded.Spec.Ledger = &v1alpha1.ClassLedger{Embedded: &v1alpha1.EmbeddedLedger{}}
	tests := map[string]struct {
		brand *v1alpha1.BrandConnector
		class *v1alpha1.ConnectorClass
		want  string
	}{
		"no ledger anywhere":   {brand(func(*v1alpha1.BrandConnector) {}), nil, "spec.ledger: it is missing"},
		"replicas on one file": {brand(func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(2)) }), embedded, "with what ConnectorClass standard adds"},
		"retention beside a file": {brand(func(b *v1alpha1.BrandConnector) {
			b.Spec.Retention = &v1alpha1.RetentionSpec{Schedule: "@monthly", OlderThan: 400}
		}), embedded, "spec.retention needs spec.ledger.postgres"},
		"a host that is too long":  {brand(func(b *v1alpha1.BrandConnector) { b.Name = "-" }), class, "with what ConnectorClass standard adds"},
		"what the class completes": {brand(func(*v1alpha1.BrandConnector) {}), class, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render.Render(render.Inputs{Brand: tc.brand, Class: tc.class, Installation: installation})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestAnIntentTellsTheBrandsHandFromThePlatforms(t *testing.T) {
	in := load(t, "testdata/class.in.yaml")
	intent := func(key string, change func(*v1alpha1.BrandConnector), values []render.Value) render.Intent {
		b := in.Brand.DeepCopy()
		change(b)
		i, err := render.IntentOf([]byte(key), b, values)
		if err != nil {
			t.Fatal(err)
		}
		if back := render.ParseIntent(i.String()); back != i {
			t.Errorf("%s was read as %s", i, back)
		}
		return i
	}
	none := func(*v1alpha1.BrandConnector) {}
	base := intent("k", none, in.Values)
	rotated := append([]render.Value(nil), in.Values...)
	rotated[0].Bytes = []byte("rotated")
	for name, tc := range map[string]struct {
		got               render.Intent
		key, spec, values bool // the same as before
	}{
		"the same":  {intent("k", none, in.Values), true, true, true},
		"suspended": {intent("k", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true }, in.Values), true, true, true},
		"defaulted": {intent("k", func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = "Report" }, in.Values), true, true, true},
		"scheduled": {intent("k", func(b *v1alpha1.BrandConnector) {
			b.Spec.Reconciliation = &v1alpha1.ReconciliationSpec{Schedule: "@daily"}
			b.Spec.Workload.Replicas = new(int32(9))
			b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "h"}
		}, in.Values), true, true, true},
		"changed":       {intent("k", func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = "Reverse" }, in.Values), true, false, true},
		"asked for 100": {intent("k", func(b *v1alpha1.BrandConnector) { b.Spec.Telemetry.SamplingPercent = new(int32(100)) }, in.Values), true, false, true},
		"rotated":       {intent("k", none, rotated), true, true, false},
		"another key":   {intent("x", none, in.Values), false, false, false},
	} {
		if (tc.got.Key == base.Key) != tc.key || (tc.got.Spec == base.Spec) != tc.spec || (tc.got.Values == base.Values) != tc.values {
			t.Errorf("%s: %s, before %s", name, tc.got, base)
		}
	}
	for _, text := range []string{"", "a", "a.b", "a.b.c.d"} {
		if got := render.ParseIntent(text); got != (render.Intent{}) {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

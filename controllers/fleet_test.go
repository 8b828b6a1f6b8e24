// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// class creates a ConnectorClass of a name of its own.
func (w *world) class(change func(*v1alpha1.ConnectorClassSpec)) string {
	w.t.Helper()
	c := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "class-"}}
	c.Spec.Image = "connector:1"
	change(&c.Spec)
	w.create(c)
	w.t.Cleanup(func() { _ = api.Delete(w.t.Context(), c) })
	return c.Name
}

func (w *world) changeClass(name string, change func(*v1alpha1.ConnectorClassSpec)) {
	w.t.Helper()
	c := &v1alpha1.ConnectorClass{}
	must(w.t, api.Get(w.t.Context(), client.ObjectKey{Name: name}, c))
	before := c.DeepCopy()
	change(&c.Spec)
	must(w.t, api.Patch(w.t.Context(), c, client.MergeFrom(before)))
}

// classStatus waits for the condition Ready of a class, with a reason.
func (w *world) classStatus(name, reason string) v1alpha1.ConnectorClassStatus {
	w.t.Helper()
	c := &v1alpha1.ConnectorClass{}
	w.eventually(func() string {
		must(w.t, api.Get(w.t.Context(), client.ObjectKey{Name: name}, c))
		if ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Reason != reason || ready.ObservedGeneration != c.Generation {
			return fmt.Sprintf("the class says %+v, want %s", c.Status, reason)
		}
		return ""
	})
	return c.Status
}

// rollOutNewest plays the Deployment's controller with what a real one says of progress.
func (w *world) rollOutNewest(name string) {
	w.t.Helper()
	w.rollOut(name)
	w.progress(name, corev1.ConditionTrue, "NewReplicaSetAvailable")
}

// upNewest creates a brand that serves on its first Pods, and whose roll-out is over.
func (w *world) upNewest(b *v1alpha1.BrandConnector) {
	w.t.Helper()
	w.create(b)
	w.rollOutNewest(b.Name)
	w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

// held is the class of a brand that serves and is held back from a change of that class.
func (w *world) held(name string) (class string) {
	w.t.Helper()
	class = w.class(func(*v1alpha1.ConnectorClassSpec) {})
	w.upNewest(w.brand(name, ofClass(class)))
	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image, s.Rollout.Paused = "connector:2", true })
	w.condition(name, v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonRolloutPending)
	return class
}

// failRollOut plays it when the new Pods do not become available and the old ones serve on.
func (w *world) failRollOut(name string) {
	w.t.Helper()
	w.progress(name, corev1.ConditionFalse, "ProgressDeadlineExceeded")
}

func (w *world) progress(name string, status corev1.ConditionStatus, reason string) {
	w.t.Helper()
	d := w.deployment(name)
	before := d.DeepCopy()
	d.Status.ObservedGeneration = d.Generation
	if status == corev1.ConditionFalse {
		d.Status.Replicas, d.Status.UpdatedReplicas = *d.Spec.Replicas+1, 1
	}
	d.Status.Conditions = append(d.Status.Conditions[:1:1], appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: status, Reason: reason,
		LastUpdateTime: metav1.NewTime(time.Now().Add(-time.Hour))})
	must(w.t, api.Status().Patch(w.t.Context(), d, client.MergeFrom(before)))
}

// images of brands' Pods.
func (w *world) images(names ...string) string {
	var all []string
	for _, name := range names {
		all = append(all, strings.TrimPrefix(w.deployment(name).Spec.Template.Spec.Containers[0].Image, "connector:"))
	}
	return strings.Join(all, " ")
}

func (w *world) waitImages(want string, names ...string) {
	w.t.Helper()
	w.eventually(func() string {
		if got := w.images(names...); got != want {
			return fmt.Sprintf("images of %v are %q, want %q", names, got, want)
		}
		return ""
	})
}

// startedFor sees whose change brands' Pods were started for last.
func (w *world) startedFor(want render.Cause, names ...string) {
	w.t.Helper()
	for _, name := range names {
		if got := render.NotesOf(w.deployment(name).Annotations).Cause; got != want {
			w.t.Errorf("the Pods of %s were started for the change of %q, want %q", name, got, want)
		}
	}
}

func ofClass(class string, labels ...string) func(*v1alpha1.BrandConnector) {
	return func(b *v1alpha1.BrandConnector) {
		b.Spec.ConnectorClassName = class
		for _, l := range labels {
			metav1.SetMetaDataLabel(&b.ObjectMeta, l, "true")
		}
	}
}

func TestAClassGivesWhatABrandDoesNotSay(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Ledger = &v1alpha1.ClassLedger{Postgres: &v1alpha1.ClassPostgresLedger{
			DSNSecretRef: v1alpha1.SecretKeyReference{Name: "fleet", Key: "dsn"}, SchemaPrefix: "brand_"}}
		s.Exposure = &v1alpha1.ClassExposure{Hostname: "{name}.pos.example.com", IngressClassName: "nginx"}
		s.Telemetry.OTLPEndpoint = "http://otel:4318"
		s.Workload.Replicas = new(int32(3))
	})
	b := w.brand("xiao-wang", ofClass(class), func(b *v1alpha1.BrandConnector) { b.Spec.Ledger = v1alpha1.LedgerSpec{} })
	w.create(b)
	w.condition(b.Name, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	w.secret("fleet", map[string]string{"dsn": "postgres://u:p@pg:5432/fleet"}) // found by the class, whose reference it is
	w.rollOut(b.Name)
	w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	d := w.deployment(b.Name)
	if got := w.images(b.Name); got != "1" || *d.Spec.Replicas != 3 {
		t.Errorf("image %s, %d replicas", got, *d.Spec.Replicas)
	}
	config := &corev1.ConfigMap{}
	w.mustGet(b.Name, config)
	for _, want := range []string{"schema: brand_xiao_wang", "otlpEndpoint: http://otel:4318"} {
		if !strings.Contains(config.Data["brand.yaml"], want) {
			t.Errorf("the connector is not told %q:\n%s", want, config.Data["brand.yaml"])
		}
	}
	live := &v1alpha1.BrandConnector{}
	w.mustGet(b.Name, live)
	want := &v1alpha1.ResolvedStatus{ConnectorClassName: class, Ledger: "postgres:fleet/dsn:brand_xiao_wang", Hostname: "xiao-wang.pos.example.com", OTLPEndpoint: "http://otel:4318"}
	if diff := cmp.Diff(want, live.Status.Resolved); diff != "" {
		t.Errorf("status.resolved (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(live.Status.Endpoints[0].URL, "http://xiao-wang.pos.example.com/") {
		t.Errorf("endpoints: %+v", live.Status.Endpoints)
	}
	if live.Generation != 1 || live.Spec.Ledger.String() != "" || live.Spec.Exposure != nil {
		t.Errorf("the class was written into the spec: %+v", live.Spec)
	}

	before := w.revision(b.Name)
	w.secret("fleet", map[string]string{"dsn": "postgres://u:rotated@pg:5432/fleet"})
	w.eventually(func() string {
		if w.revision(b.Name) == before {
			return "the rotation of the class's Secret was not seen"
		}
		return ""
	})
}

func TestAMissingClassIsNamedAndTheBrandRecoversByItself(t *testing.T) {
	w := newWorld(t)
	name := "late-" + w.namespace
	b := w.brand("xiaowang", ofClass(name))
	w.create(b)
	c := w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonClassNotFound)
	if !strings.Contains(c.Message, "ConnectorClass "+name) || !strings.Contains(c.Message, "spec.connectorClassName") {
		t.Errorf("message: %s", c.Message)
	}
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.create(class)
	t.Cleanup(func() { _ = api.Delete(t.Context(), class) })
	w.rollOut(b.Name)
	w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	w.classStatus(name, v1alpha1.ReasonRolledOut)
}

func TestAClassThatCannotBeIsRefusedWithItsField(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Rollout.Canary = &v1alpha1.CanaryPolicy{Selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}}
	})
	status := w.classStatus(class, v1alpha1.ReasonInvalidSpec)
	if !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("conditions: %+v", status.Conditions)
	}
	b := w.brand("xiaowang", ofClass(class))
	w.create(b)
	if c := w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec); !strings.Contains(c.Message, "spec.rollout.canary.selector of ConnectorClass "+class) {
		t.Errorf("message: %s", c.Message)
	}
}

func TestAChangeOfTheClassReachesTheCanaryFirstAndTheOthersOneByOne(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Rollout = v1alpha1.RolloutPolicy{MaxConcurrent: 1, Canary: &v1alpha1.CanaryPolicy{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"canary": "true"}}, SoakTime: &metav1.Duration{}}}
	})
	names := []string{"a", "b", "c"}
	for _, name := range names {
		labels := []string{}
		if name == "c" {
			labels = append(labels, "canary")
		}
		w.upNewest(w.brand(name, ofClass(class, labels...)))
	}
	w.classStatus(class, v1alpha1.ReasonRolledOut)

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:2" })
	w.waitImages("1 1 2", names...)
	for _, waiting := range []string{"a", "b"} {
		w.condition(waiting, v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonRolloutPending)
		w.condition(waiting, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	}
	if got := w.classStatus(class, v1alpha1.ReasonRollingOut).Brands; got.Total != 3 || got.Current+got.Waiting+got.Rolling != 3 {
		t.Errorf("brands: %+v", got)
	}
	w.startedFor(render.CausePlatform, "c")
	w.startedFor(render.CauseBrand, "a", "b") // which created them
	w.rollOutNewest("c")
	w.waitImages("2 1 2", names...)
	w.settled("b")
	w.waitImages("2 1 2", names...) // there is one place, and a has it
	w.rollOutNewest("a")
	w.waitImages("2 2 2", names...)
	w.rollOutNewest("b")
	for _, name := range names {
		w.condition(name, v1alpha1.ConditionUpToDate, metav1.ConditionTrue, v1alpha1.ReasonCurrent)
	}
	w.startedFor(render.CausePlatform, names...)
	if diff := cmp.Diff(v1alpha1.ClassBrands{Total: 3, Current: 3}, w.classStatus(class, v1alpha1.ReasonRolledOut).Brands); diff != "" {
		t.Errorf("brands (-want +got):\n%s", diff)
	}

	// A rotation takes no place from those who wait, be it the whole class's.
	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image, s.Rollout.Paused = "connector:3", true })
	before := map[string]string{}
	for _, name := range names {
		w.condition(name, v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonRolloutPending)
		before[name] = w.revision(name)
	}
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	for _, name := range names {
		w.eventually(func() string {
			if w.revision(name) == before[name] {
				return "the rotation of " + name + " is not rolled out"
			}
			return ""
		})
	}
	w.waitImages("2 2 2", names...)
	w.startedFor(render.CauseBrand, names...)
}

func TestACanaryThatFailsHaltsTheRolloutAndCostsNobodyElseAnything(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Rollout = v1alpha1.RolloutPolicy{Canary: &v1alpha1.CanaryPolicy{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"canary": "true"}}, SoakTime: &metav1.Duration{}}}
	})
	w.secret("other", map[string]string{"openId": "i", "openKey": "k", "grantCode": "g"})
	w.create(w.brand("canary", ofClass(class, "canary")))
	w.create(w.brand("steady", ofClass(class), func(b *v1alpha1.BrandConnector) { b.Spec.Providers.Zhimai.CredentialsSecretRef.Name = "other" }))
	for _, name := range []string{"canary", "steady"} {
		w.rollOutNewest(name)
		w.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	}

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:broken" })
	w.waitImages("broken 1", "canary", "steady")
	w.failRollOut("canary")
	w.startedFor(render.CausePlatform, "canary")
	status := w.classStatus(class, v1alpha1.ReasonRolloutHalted)
	halted := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRolledOut)
	if halted == nil || halted.Status != metav1.ConditionFalse || !strings.Contains(halted.Message, w.namespace+"/canary") ||
		!meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("conditions: %+v", status.Conditions)
	}
	w.eventually(func() string {
		var list eventsv1.EventList
		must(t, api.List(t.Context(), &list, client.InNamespace("default")))
		for _, e := range list.Items {
			if e.Regarding.Name == class && e.Reason == v1alpha1.ReasonRolloutHalted && e.Type == corev1.EventTypeWarning {
				return ""
			}
		}
		return "no event says that the roll-out is halted"
	})
	if got := gauge(t, "hexiao_operator_rollout_halted", class); got != 1 {
		t.Errorf("hexiao_operator_rollout_halted is %v, want 1", got)
	}
	w.condition("canary", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed)
	w.condition("steady", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	// The number of Pods is the brand's at any time.
	w.change("steady", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(4)) })
	w.eventually(func() string {
		if n := *w.deployment("steady").Spec.Replicas; n != 4 {
			return fmt.Sprintf("%d replicas, want 4", n)
		}
		return ""
	})
	// Rotated credentials start the Pods anew, on the image that they have.
	before := w.revision("steady")
	w.secret("other", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	w.eventually(func() string {
		if w.revision("steady") == before {
			return "the rotation is not rolled out while the platform's change waits"
		}
		return ""
	})
	w.startedFor(render.CauseBrand, "steady")
	rotated := w.revision("steady")
	w.settled("steady")
	if got := w.images("steady"); got != "1" || w.revision("steady") != rotated {
		t.Errorf("after the rotation: image %s, revision %s then %s", got, rotated, w.revision("steady"))
	}
	w.rollOutNewest("steady")
	// What the team changes in the spec waits, and says so.
	config := &corev1.ConfigMap{}
	w.mustGet("steady", config)
	w.change("steady", func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = v1alpha1.PartialFailureReverse })
	if c := w.condition("steady", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonRolloutPending); !strings.Contains(c.Message, "halted") {
		t.Errorf("message: %s", c.Message)
	}
	now := &corev1.ConfigMap{}
	w.mustGet("steady", now)
	if diff := cmp.Diff(config.Data, now.Data); diff != "" {
		t.Errorf("what the old Pods read was changed:\n%s", diff)
	}

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:3" })
	w.waitImages("3 1", "canary", "steady")
	w.rollOutNewest("canary")
	w.waitImages("3 3", "canary", "steady")
	w.rollOutNewest("steady")
	w.condition("steady", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	w.classStatus(class, v1alpha1.ReasonRolledOut)
}

func TestACanarySelectorThatMatchesNobodyIsWarnedOf(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Rollout = v1alpha1.RolloutPolicy{Canary: &v1alpha1.CanaryPolicy{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"canary": "true"}}, SoakTime: &metav1.Duration{}}}
	})
	w.upNewest(w.brand("steady", ofClass(class)))
	w.classStatus(class, v1alpha1.ReasonRolledOut) // nobody waits: it is no fault yet

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:2" })
	if status := w.classStatus(class, v1alpha1.ReasonNoCanary); !meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("conditions: %+v", status.Conditions)
	}
	w.warnedIn("default", class, v1alpha1.ReasonNoCanary)
	if got := gauge(t, "hexiao_operator_rollout_without_canary", class); got != 1 {
		t.Errorf("hexiao_operator_rollout_without_canary is %v, want 1", got)
	}

	w.change("steady", ofClass(class, "canary"))
	w.waitImages("2", "steady")
	w.rollOutNewest("steady")
	w.classStatus(class, v1alpha1.ReasonRolledOut)
	if got := gauge(t, "hexiao_operator_rollout_without_canary", class); got != 0 {
		t.Errorf("hexiao_operator_rollout_without_canary is %v, want 0", got)
	}
}

func TestALedgerThatWouldMoveIsNamedBeforeTheSecretOfTheOther(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) {
		s.Ledger = &v1alpha1.ClassLedger{Postgres: &v1alpha1.ClassPostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "of-the-class", Key: "dsn"}}}
	})
	w.up(w.brand("xiaowang", ofClass(class)))
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger = v1alpha1.LedgerSpec{} })
	c := w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLedgerMoved)
	if strings.Contains(c.Message, "create it") {
		t.Errorf("message: %s", c.Message)
	}
	w.condition("xiaowang", v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonResolved)

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger = w.brand("xiaowang").Spec.Ledger })
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func TestARolloutOfBrandsWithoutAClassIsPausedByTheOperatorsFlag(t *testing.T) {
	w := newWorld(t)
	run := func(image string, paused bool) *operator {
		return w.operatorOf(part{selector: shardLabel + "=" + w.shard("a"), ofFleet: true, image: image, rollout: rollout.Policy{MaxConcurrent: 5, Paused: paused}})
	}
	first := run("connector:1", true)
	for _, name := range []string{"steady", "changed"} { // what has nothing to lose is not held
		w.create(w.brand(name, w.ofShard("a")))
		w.rollOutNewest(name)
		w.condition(name, v1alpha1.ConditionUpToDate, metav1.ConditionTrue, v1alpha1.ReasonCurrent)
	}
	first.stop()

	paused := run("connector:2", true)
	for _, name := range []string{"steady", "changed"} {
		w.condition(name, v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonRolloutPending)
		w.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	}
	w.change("changed", func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = v1alpha1.PartialFailureReverse })
	if c := w.condition("changed", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonRolloutPending); !strings.Contains(c.Message, "paused") {
		t.Errorf("message: %s", c.Message)
	}
	if got := w.images("steady", "changed"); got != "1 1" {
		t.Errorf("images while it is paused: %s", got)
	}
	want := map[string]int{"current": 0, "waiting": 2, "rolling": 0, "failed": 0}
	if diff := cmp.Diff(want, paused.sums(t, "hexiao_operator_rollout_brands", "state")); diff != "" {
		t.Errorf("brands by state (-want +got):\n%s", diff)
	}
	if got := paused.sums(t, "hexiao_operator_rollout_halted", "class")[""]; got != 0 {
		t.Error("a roll-out that is paused counts as halted")
	}
	paused.stop()

	run("connector:2", false)
	w.waitImages("2 2", "steady", "changed")
}

// gauge is a metric of one class; -1 when there is none.
func gauge(t *testing.T, name, class string) float64 {
	t.Helper()
	families, err := gather.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == class {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

func TestALedgerDoesNotMoveWithAClass(t *testing.T) {
	w := newWorld(t)
	ledger := func(key string) string {
		return w.class(func(s *v1alpha1.ConnectorClassSpec) {
			s.Ledger = &v1alpha1.ClassLedger{Postgres: &v1alpha1.ClassPostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: key}}}
		})
	}
	w.secret("ledger", map[string]string{"dsn": "postgres://u:p@pg:5432/l", "other": "postgres://u:p@other:5432/l"})
	first, second := ledger("dsn"), ledger("other")
	b := w.brand("xiaowang", ofClass(first), func(b *v1alpha1.BrandConnector) { b.Spec.Ledger = v1alpha1.LedgerSpec{} })
	w.up(b)
	before := w.deployment(b.Name)
	w.change(b.Name, func(b *v1alpha1.BrandConnector) { b.Spec.ConnectorClassName = second })
	c := w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLedgerMoved)
	if !strings.Contains(c.Message, "postgres:ledger/dsn to postgres:ledger/other") {
		t.Errorf("message: %s", c.Message)
	}
	if after := w.deployment(b.Name); after.Generation != before.Generation {
		t.Error("the Deployment was changed")
	}
	// Nor does it when somebody takes the Deployment away, which knew it.
	must(t, api.Delete(t.Context(), before))
	w.change(b.Name, func(b *v1alpha1.BrandConnector) { b.Spec.Telemetry.LogLevel = "debug" })
	w.settled(b.Name)
	if err := w.get(b.Name, &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment was made anew on another ledger (%v)", err)
	}
	c = w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLedgerMoved)
	if !strings.Contains(c.Message, "postgres:ledger/dsn to postgres:ledger/other") {
		t.Errorf("message without the Deployment: %s", c.Message)
	}
	// Whoever means it writes it into the brand.
	w.change(b.Name, func(b *v1alpha1.BrandConnector) {
		b.Spec.Ledger.Postgres = &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "other"}}
	})
	w.eventually(func() string {
		d := &appsv1.Deployment{}
		if err := w.get(b.Name, d); err != nil {
			return err.Error()
		}
		if got := d.Annotations[render.AnnotationLedger]; got != "postgres:ledger/other" {
			return "the ledger is still " + got
		}
		return ""
	})
}

func TestABrandThatFailedWithTheClassKeepsItsPlaceWhateverStartsItsPodsNext(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(s *v1alpha1.ConnectorClassSpec) { s.Rollout = v1alpha1.RolloutPolicy{MaxConcurrent: 1} })
	for _, name := range []string{"a", "b"} {
		w.upNewest(w.brand(name, ofClass(class)))
	}
	var took string // one of them, whichever came first
	held := func() {
		t.Helper()
		w.startedFor(render.CausePlatform, took)
		w.failRollOut(took)
		w.condition(took, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed)
		status := w.classStatus(class, v1alpha1.ReasonRolloutHalted)
		if diff := cmp.Diff(v1alpha1.ClassBrands{Total: 2, Waiting: 1, Failed: 1}, status.Brands); diff != "" {
			t.Errorf("brands (-want +got):\n%s", diff)
		}
	}
	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:broken" })
	w.eventually(func() string {
		switch got := w.images("a", "b"); got {
		case "broken 1":
			took = "a"
		case "1 broken":
			took = "b"
		default:
			return "images " + got
		}
		return ""
	})
	held()

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:worse" })
	w.waitImages("worse", took)
	held()

	before := w.revision(took)
	w.change(took, func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = v1alpha1.PartialFailureReverse })
	w.eventually(func() string {
		if w.revision(took) == before {
			return "the team's change is not rolled out"
		}
		return ""
	})
	held()
}

// What the operator still owns of a Deployment lacks what a person changed there: applied as if all
// else were to go, it would start a connector without arguments.
func TestWhatAPersonChangedWhileABrandIsHeldKeepsNoRotationBack(t *testing.T) {
	w := newWorld(t)
	class := w.held("xiaowang")

	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	connector := &d.Spec.Template.Spec.Containers[0]
	connector.Args = append(connector.Args, "--log-level=debug")
	d.Spec.Template.Spec.HostNetwork = true
	must(t, api.Patch(t.Context(), d, client.StrategicMergeFrom(before), client.FieldOwner("kubectl-edit")))
	changed := w.deployment("xiaowang").Spec.Template.Spec
	w.settled("xiaowang")

	old := w.revision("xiaowang")
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	w.eventually(func() string {
		if w.revision("xiaowang") == old {
			return "the rotation is not rolled out"
		}
		return ""
	})
	w.settled("xiaowang")
	if diff := cmp.Diff(changed, w.deployment("xiaowang").Spec.Template.Spec); diff != "" {
		t.Errorf("the Pods start anew, and not as they are (-before +after):\n%s", diff)
	}

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Rollout.Paused = false })
	w.waitImages("2", "xiaowang")
	now := w.deployment("xiaowang").Spec.Template.Spec
	if diff := cmp.Diff(before.Spec.Template.Spec.Containers[0].Args, now.Containers[0].Args); diff != "" || now.HostNetwork {
		t.Errorf("when its turn has come: host network %t, arguments (-want +got):\n%s", now.HostNetwork, diff)
	}
}

// What somebody added long ago, before it was taken away, must not restart a fleet at once.
func TestWhatWasAddedLongAgoGoesWithTheNextChangeOfThePods(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(*v1alpha1.ConnectorClassSpec) {})
	w.upNewest(w.brand("xiaowang", ofClass(class)))
	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "HTTPS_PROXY", Value: "http://proxy:3128"})
	must(t, api.Patch(t.Context(), d, client.StrategicMergeFrom(before), client.FieldOwner("long-ago")))
	w.settled("xiaowang")
	w.rename("xiaowang", "long-ago", "kubectl-set")
	w.settled("xiaowang")
	proxied := func() string { return fmt.Sprint(w.deployment("xiaowang").Spec.Template.Spec.Containers[0].Env) }
	with := proxied()

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) {
		s.Rollout.ProgressDeadline = &metav1.Duration{Duration: 77 * time.Second}
	})
	w.eventually(func() string { return same("77", fmt.Sprint(*w.deployment("xiaowang").Spec.ProgressDeadlineSeconds)) })
	w.settled("xiaowang")
	if diff := cmp.Diff(with, proxied()); diff != "" {
		t.Errorf("Pods start anew for a change that is none of theirs (-before +after):\n%s", diff)
	}
	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Image = "connector:2" })
	w.waitImages("2", "xiaowang")
	if env := proxied(); strings.Contains(env, "HTTPS_PROXY") {
		t.Errorf("it is there still: %s", env)
	}
}

// rename a manager of a brand's Deployment.
func (w *world) rename(name, from, to string) {
	w.t.Helper()
	w.setManagers(name, func(fields []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
		for i := range fields {
			if fields[i].Manager == from {
				fields[i].Manager = to
			}
		}
		return fields
	})
}

// setManagers writes what the API server remembers of who wrote a brand's Deployment.
func (w *world) setManagers(name string, change func([]metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry) {
	w.t.Helper()
	d := w.deployment(name)
	patch, err := json.Marshal([]map[string]any{{"op": "replace", "path": "/metadata/managedFields", "value": change(d.ManagedFields)}})
	must(w.t, err)
	must(w.t, api.Patch(w.t.Context(), d, client.RawPatch(types.JSONPatchType, patch)))
}

// A backup that was restored may be without it, and a rotation must not wait unseen.
func TestABrandThatIsHeldAndWhoseManagedFieldsAreGoneSaysSo(t *testing.T) {
	w := newWorld(t)
	class := w.held("xiaowang")
	w.setManagers("xiaowang", func([]metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry { return []metav1.ManagedFieldsEntry{{}} })
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "kubectl -n "+w.namespace+" rollout restart deployment xiaowang")

	w.changeClass(class, func(s *v1alpha1.ConnectorClassSpec) { s.Rollout.Paused = false })
	w.waitImages("2", "xiaowang")
	w.rollOutNewest("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func children() []client.Object {
	return []client.Object{&corev1.ServiceAccount{}, &corev1.ConfigMap{}, &networkingv1.NetworkPolicy{}, &corev1.Service{}, &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}}
}

func TestABrandComesUpWithAllItsObjectsInEightWrites(t *testing.T) {
	w := newWorld(t)
	b := w.brand("xiaowang")
	w.create(b)
	progressing := w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
	w.condition(b.Name, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	if !strings.Contains(progressing.Message, "Deployment xiaowang") {
		t.Errorf("the message %q names no Deployment", progressing.Message)
	}
	w.rollOut(b.Name)
	w.condition(b.Name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	for _, o := range children() {
		w.mustGet(b.Name, o)
		if !metav1.IsControlledBy(o, b) {
			t.Errorf("%T is not controlled by the brand", o)
		}
	}
	if got := writes.in(w.namespace); len(got) > 8 {
		t.Errorf("it took %d writes, want 8 at most:\n%s", len(got), strings.Join(got, "\n"))
	}

	live := &v1alpha1.BrandConnector{}
	w.mustGet(b.Name, live)
	base := "http://xiaowang." + w.namespace + ".svc/keruyun/" + w.brandID("xiaowang") + "/member-assets/"
	want := v1alpha1.BrandConnectorStatus{
		ObservedGeneration: live.Generation,
		Resolved:           &v1alpha1.ResolvedStatus{Ledger: "postgres:ledger/dsn"},
		Endpoints: []v1alpha1.Endpoint{
			{SPI: "verify", URL: base + "verify"}, {SPI: "query", URL: base + "query"},
			{SPI: "reverse", URL: base + "reverse"}, {SPI: "result", URL: base + "result"},
		},
		Replicas: 2, Selector: "app.kubernetes.io/instance=xiaowang,app.kubernetes.io/name=hexiao-connector",
		ConfigRevision: w.revision(b.Name), Image: testImage,
	}
	for _, kind := range []string{"ServiceAccount", "ConfigMap", "NetworkPolicy", "Service", "Deployment", "PodDisruptionBudget"} {
		want.Objects = append(want.Objects, v1alpha1.AppliedObject{Kind: kind, Name: "xiaowang"})
	}
	got := live.Status
	got.Conditions = nil
	for i := range got.Objects {
		if got.Objects[i].Digest == "" {
			t.Errorf("%s has no digest", got.Objects[i].Kind)
		}
		got.Objects[i].Digest = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	wantConditions := []string{"CredentialsResolved=True", "Exposed=False", "LedgerReady=True", "Ready=True", "UpToDate=True", "WorkloadAvailable=True"}
	if diff := cmp.Diff(wantConditions, conditions(live)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func conditions(b *v1alpha1.BrandConnector) []string {
	var all []string
	for _, c := range b.Status.Conditions {
		all = append(all, c.Type+"="+string(c.Status))
	}
	slices.Sort(all)
	return all
}

func TestAtRestNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	w.up(w.brand("scaled", func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 5}
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", IngressClassName: "nginx"}
	}))
	w.up(w.brand("scheduled", scheduled))
	versions := func() map[string]string {
		all := map[string]string{}
		for _, name := range []string{"xiaowang", "scaled", "scheduled"} {
			for _, o := range children() {
				w.mustGet(name, o)
				all[fmt.Sprintf("%T %s", o, name)] = o.GetResourceVersion()
			}
		}
		for _, o := range scheduledChildren("scheduled") {
			w.mustGet(o.GetName(), o)
			all[fmt.Sprintf("%T %s", o, o.GetName())] = o.GetResourceVersion()
		}
		return all
	}
	w.settled("xiaowang")
	w.settled("scaled")
	w.settled("scheduled")
	before, wrote := versions(), len(writes.in(w.namespace))
	const rounds = 5
	for range rounds {
		w.settled("xiaowang")
		w.settled("scaled")
		w.settled("scheduled")
	}
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("objects changed at rest (-before +after):\n%s", diff)
	}
	// Each forced reconcile notes in the status that it was handled, and that is all.
	var other []string
	for _, line := range writes.in(w.namespace)[wrote:] {
		if !strings.HasSuffix(line, "/status") {
			other = append(other, line)
		}
	}
	if len(other) > 0 || len(writes.in(w.namespace))-wrote != 3*rounds {
		t.Errorf("%d writes for %d reconciles:\n%s", len(writes.in(w.namespace))-wrote, 3*rounds, strings.Join(writes.in(w.namespace)[wrote:], "\n"))
	}
}

// drifts change an object of the brand xiaowang behind the operator's back. Each returns
// what is wrong until the operator has done something about it.
func drifts() map[string]func(w *world) (check func() string) {
	return map[string]func(w *world) func() string{
		"a Deployment's image": func(w *world) func() string {
			d := w.deployment("xiaowang")
			before := d.DeepCopy()
			d.Spec.Template.Spec.Containers[0].Image = "evil"
			must(w.t, api.Patch(w.t.Context(), d, client.MergeFrom(before)))
			return func() string {
				return same(testImage, w.deployment("xiaowang").Spec.Template.Spec.Containers[0].Image)
			}
		},
		"a ConfigMap's file": func(w *world) func() string {
			c := &corev1.ConfigMap{}
			w.mustGet("xiaowang", c)
			want := c.Data[render.ConfigKey]
			before := c.DeepCopy()
			c.Data[render.ConfigKey] = "gone"
			must(w.t, api.Patch(w.t.Context(), c, client.MergeFrom(before)))
			return func() string { w.mustGet("xiaowang", c); return same(want, c.Data[render.ConfigKey]) }
		},
		"a NetworkPolicy's rules": func(w *world) func() string {
			p := &networkingv1.NetworkPolicy{}
			w.mustGet("xiaowang", p)
			before := p.DeepCopy()
			p.Spec.Egress = nil
			must(w.t, api.Patch(w.t.Context(), p, client.MergeFrom(before)))
			return func() string {
				w.mustGet("xiaowang", p)
				return cmp.Diff(before.Spec.Egress, p.Spec.Egress)
			}
		},
		"a Service that was deleted": func(w *world) func() string {
			must(w.t, api.Delete(w.t.Context(), &corev1.Service{ObjectMeta: w.meta("xiaowang")}))
			return func() string { return problem(w.get("xiaowang", &corev1.Service{})) }
		},
		"a budget that somebody else has made anew": func(w *world) func() string {
			p := &policyv1.PodDisruptionBudget{}
			w.mustGet("xiaowang", p)
			must(w.t, api.Delete(w.t.Context(), p))
			made := &policyv1.PodDisruptionBudget{ObjectMeta: w.meta("xiaowang"), Spec: p.Spec}
			made.Labels, made.Annotations, made.OwnerReferences = p.Labels, p.Annotations, p.OwnerReferences
			made.Spec.MaxUnavailable = new(intstr.FromInt32(7))
			if err := api.Create(w.t.Context(), made); !apierrors.IsAlreadyExists(err) { // it was the operator who was quicker
				must(w.t, err)
			}
			return func() string {
				w.mustGet("xiaowang", made)
				return same(p.Spec.MaxUnavailable.String(), made.Spec.MaxUnavailable.String())
			}
		},
		"the label by which the operator finds an object": func(w *world) func() string {
			s := &corev1.ServiceAccount{}
			w.mustGet("xiaowang", s)
			before := s.DeepCopy()
			delete(s.Labels, render.LabelManagedBy)
			must(w.t, api.Patch(w.t.Context(), s, client.MergeFrom(before)))
			return func() string {
				w.mustGet("xiaowang", s)
				return same(render.ManagedBy, s.Labels[render.LabelManagedBy])
			}
		},
		"a Deployment's owner": func(w *world) func() string {
			d := w.deployment("xiaowang")
			before := d.DeepCopy()
			d.OwnerReferences[0].Controller = new(false)
			must(w.t, api.Patch(w.t.Context(), d, client.MergeFrom(before)))
			return func() string {
				b := &v1alpha1.BrandConnector{}
				w.mustGet("xiaowang", b)
				return same(v1alpha1.ReasonNotOwned, meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady).Reason)
			}
		},
	}
}

func TestDriftIsCorrected(t *testing.T) {
	for name, tamper := range drifts() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.up(w.brand("xiaowang"))
			w.settled("xiaowang")
			w.eventually(tamper(w))
		})
	}
	families, err := gather.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "hexiao_operator_drift_corrections_total" {
			return
		}
	}
	t.Error("no drift was counted")
}

func same(want, got string) string {
	if want == got {
		return ""
	}
	return fmt.Sprintf("got %q, want %q", got, want)
}

func problem(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestKubectlRolloutRestartIsRespected(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] = "now"
	must(t, api.Patch(t.Context(), d, client.MergeFrom(before)))
	w.settled("xiaowang")
	w.settled("xiaowang")
	after := w.deployment("xiaowang")
	if got := after.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]; got != "now" {
		t.Errorf("restartedAt = %q", got)
	}
	if after.Generation != d.Generation {
		t.Errorf("the Deployment went from generation %d to %d", d.Generation, after.Generation)
	}
}

func TestAMissingCredentialIsNamedAndTheBrandRecoversByItself(t *testing.T) {
	tests := map[string]struct {
		spoil, mend func(*world)
		reason      string
		names       []string
	}{
		"no Secret": {
			spoil: func(w *world) {
				must(w.t, api.Delete(w.t.Context(), &corev1.Secret{ObjectMeta: w.meta("kry")}))
			},
			mend:   func(w *world) { w.secret("kry", map[string]string{"appKey": "a", "token": "t"}) },
			reason: v1alpha1.ReasonSecretNotFound, names: []string{"Secret kry", "spec.keruyun.credentialsSecretRef"},
		},
		"no key": {
			spoil: func(w *world) { w.secret("zhimai", map[string]string{"openId": "i", "openKey": "k"}) },
			mend: func(w *world) {
				w.secret("zhimai", map[string]string{"openId": "i", "openKey": "k", "grantCode": "g"})
			},
			reason: v1alpha1.ReasonSecretKeyMissing, names: []string{"Secret zhimai", "grantCode"},
		},
		"an empty key": {
			spoil:  func(w *world) { w.secret("ledger", map[string]string{"dsn": " \n"}) },
			mend:   func(w *world) { w.secret("ledger", map[string]string{"dsn": "postgres://u:p@pg:5432/l"}) },
			reason: v1alpha1.ReasonSecretKeyInvalid, names: []string{"Secret ledger", "dsn"},
		},
	}
	for name, tc := range tests {
		t.Run(name+" from the start", func(t *testing.T) {
			w := newWorld(t)
			tc.spoil(w)
			w.create(w.brand("xiaowang"))
			c := w.condition("xiaowang", v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, tc.reason)
			for _, want := range tc.names {
				if !strings.Contains(c.Message, want) {
					t.Errorf("the message %q does not name %s", c.Message, want)
				}
			}
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, tc.reason)
			w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, tc.reason)
			if err := w.get("xiaowang", &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
				t.Errorf("there is a Deployment whose Pods cannot start (%v)", err)
			}
			tc.mend(w)
			w.rollOut("xiaowang")
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
		t.Run(name+" later", func(t *testing.T) {
			w := newWorld(t)
			w.up(w.brand("xiaowang"))
			before := w.deployment("xiaowang")
			tc.spoil(w)
			w.condition("xiaowang", v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, tc.reason)
			w.condition("xiaowang", v1alpha1.ConditionWorkloadAvailable, metav1.ConditionTrue, v1alpha1.ReasonWorkloadAvailable)
			w.settled("xiaowang")
			if after := w.deployment("xiaowang"); after.Generation != before.Generation {
				t.Error("the Deployment changed although a credential is missing")
			}
			tc.mend(w)
			w.rollOut("xiaowang")
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

func TestARotationRollsTheBrandThatUsesItOnce(t *testing.T) {
	w := newWorld(t)
	o := w.operator("rotation") // so that nobody else's rotations are counted
	w.secret("kry2", map[string]string{"appKey": "a", "token": "t"})
	w.up(w.brand("one", w.ofShard("rotation")))
	w.up(w.brand("two", w.ofShard("rotation"), func(b *v1alpha1.BrandConnector) {
		b.Spec.Keruyun.CredentialsSecretRef.Name = "kry2"
	}))
	w.settled("one")
	w.settled("two")
	one, two := w.deployment("one"), w.deployment("two")

	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	w.eventually(func() string {
		if w.revision("one") == one.Spec.Template.Annotations[render.AnnotationConfigRevision] {
			return "the revision did not change"
		}
		return ""
	})
	w.condition("one", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
	w.rollOut("one")
	w.condition("one", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	w.settled("one")
	w.settled("two")
	if got := w.deployment("one").Generation; got != one.Generation+1 {
		t.Errorf("the Deployment went from generation %d to %d, want one step", one.Generation, got)
	}
	if got := w.deployment("two"); got.ResourceVersion != two.ResourceVersion {
		t.Error("the other brand's Deployment was written to")
	}
	if count, seconds := o.rotations(t); count != 1 || seconds <= 0 || seconds > 300 {
		t.Errorf("%d rotations were timed, want one; all took %.1f s", count, seconds)
	}
	if got, made := o.secretWritten(t, "one", "kry"), o.secretWritten(t, "two", "kry2"); got < made || made == 0 {
		t.Errorf("the metrics say that the rotated Secret was written at %.0f, and one that was made before at %.0f", got, made)
	}

	t.Run("the same bytes again write nothing", func(t *testing.T) {
		before := w.deployment("one").ResourceVersion
		s := &corev1.Secret{}
		w.mustGet("kry", s)
		s.Labels = map[string]string{"touched": "yes"}
		must(t, api.Update(t.Context(), s))
		w.settled("one")
		if got := w.deployment("one").ResourceVersion; got != before {
			t.Error("the Deployment was written to")
		}
	})
	t.Run("a key that nobody refers to writes nothing", func(t *testing.T) {
		before := w.deployment("one").ResourceVersion
		w.secret("kry", map[string]string{"appKey": "a", "token": "new", "note": "x"})
		w.settled("one")
		if got := w.deployment("one").ResourceVersion; got != before {
			t.Error("the Deployment was written to")
		}
	})
}

// secretWritten is when a brand's Secret was given its data, by the metric; 0 when there is none.
func (o *operator) secretWritten(t *testing.T, brand, secret string) float64 {
	t.Helper()
	families, err := o.registry.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "hexiao_brandconnector_secret_written_timestamp_seconds" && l[0].GetValue() == brand && l[2].GetValue() == secret {
				return m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// rotations is how many were timed, and how long all of them took.
func (o *operator) rotations(t *testing.T) (count uint64, seconds float64) {
	t.Helper()
	families, err := o.registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "hexiao_operator_rotation_rollout_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount(), f.GetMetric()[0].GetHistogram().GetSampleSum()
		}
	}
	return 0, 0
}

func TestATraceReachesThePodsAndIsNoReasonForARollout(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	first := w.deployment("xiaowang").Spec.Template.Annotations[render.AnnotationTraceParent]
	parts := strings.Split(first, "-")
	if len(parts) != 4 {
		t.Fatalf("traceparent = %q", first)
	}
	w.settled("xiaowang") // so that the reconcile which that is of has ended
	names := map[string]bool{}
	for _, s := range spans.GetSpans() {
		if s.SpanContext.TraceID().String() == parts[1] {
			names[s.Name] = true
		}
	}
	for _, want := range []string{"BrandConnector.Reconcile", "reconcile.resolve", "reconcile.render", "reconcile.apply", "reconcile.prune", "reconcile.observe"} {
		if !names[want] {
			t.Errorf("the trace has no span %s: %v", want, names)
		}
	}
	for range 3 {
		w.settled("xiaowang")
	}
	if got := w.deployment("xiaowang").Spec.Template.Annotations[render.AnnotationTraceParent]; got != first {
		t.Errorf("the traceparent went from %s to %s without a change", first, got)
	}
	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	w.eventually(func() string {
		if w.deployment("xiaowang").Spec.Template.Annotations[render.AnnotationTraceParent] == first {
			return "the changed template has the old traceparent"
		}
		return ""
	})
}

func TestASuspendedBrandIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	before := w.revision("xiaowang")
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true })
	w.condition("xiaowang", v1alpha1.ConditionSuspended, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	must(t, api.Delete(t.Context(), &corev1.Service{ObjectMeta: w.meta("xiaowang")}))
	w.settled("xiaowang")
	if got := w.revision("xiaowang"); got != before {
		t.Error("a suspended brand was rolled")
	}
	if err := w.get("xiaowang", &corev1.Service{}); !apierrors.IsNotFound(err) {
		t.Errorf("a suspended brand's Service came back (%v)", err)
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = false })
	w.eventually(func() string {
		if w.revision("xiaowang") == before {
			return "the rotation was not taken up"
		}
		return problem(w.get("xiaowang", &corev1.Service{}))
	})
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)
	if meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionSuspended) != nil {
		t.Error("Suspended is still there")
	}
}

func TestAForeignObjectIsNotAdopted(t *testing.T) {
	tests := map[string]struct {
		owners []metav1.OwnerReference
		want   string
	}{
		"of nobody":    {nil, "nobody that the operator knows"},
		"of a web app": {[]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "u", Controller: new(true)}}, "ReplicaSet web"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			foreign := &corev1.Service{ObjectMeta: w.meta("xiaowang"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 5432}}}}
			foreign.OwnerReferences = tc.owners
			w.create(foreign)
			w.create(w.brand("xiaowang"))
			c := w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
			if !strings.Contains(c.Message, "Service xiaowang") || !strings.Contains(c.Message, tc.want) {
				t.Errorf("the message %q does not say that Service xiaowang belongs to %s", c.Message, tc.want)
			}
			got := &corev1.Service{}
			w.mustGet("xiaowang", got)
			if got.ResourceVersion != foreign.ResourceVersion {
				t.Error("the foreign object was written to")
			}
			must(t, api.Delete(t.Context(), foreign))
			w.settled("xiaowang")
			w.rollOut("xiaowang")
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		})
	}
}

func TestAutoscalingLeavesReplicasAlone(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(4)) }))
	replicas := func() int32 { return *w.deployment("xiaowang").Spec.Replicas }

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.Replicas = nil
		b.Spec.Workload.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 9}
	})
	w.eventually(func() string { return problem(w.get("xiaowang", &autoscalingv2.HorizontalPodAutoscaler{})) })
	w.settled("xiaowang")
	if got := replicas(); got != 4 {
		t.Fatalf("switching autoscaling on went from 4 to %d Pods", got)
	}
	// The autoscaler's turn.
	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	d.Spec.Replicas = new(int32(7))
	must(t, api.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("horizontal-pod-autoscaler")))
	w.settled("xiaowang")
	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	w.eventually(func() string {
		if w.revision("xiaowang") == d.Spec.Template.Annotations[render.AnnotationConfigRevision] {
			return "the revision did not change"
		}
		return ""
	})
	if got := replicas(); got != 7 {
		t.Fatalf("the operator set replicas to %d while the autoscaler wants 7", got)
	}
	// A person's, which the operator takes back from him and leaves to the autoscaler.
	d = w.deployment("xiaowang")
	before = d.DeepCopy()
	d.Spec.Replicas, d.Spec.Template.Spec.HostNetwork = new(int32(6)), true
	must(t, api.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("kubectl-edit")))
	w.eventually(func() string {
		return same("false", fmt.Sprint(w.deployment("xiaowang").Spec.Template.Spec.HostNetwork))
	})
	if got := replicas(); got != 6 {
		t.Fatalf("the operator set replicas to %d after a person set them to 6", got)
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Autoscaling = nil })
	w.eventually(func() string {
		if err := w.get("xiaowang", &autoscalingv2.HorizontalPodAutoscaler{}); !apierrors.IsNotFound(err) {
			return fmt.Sprintf("the autoscaler is still there (%v)", err)
		}
		return ""
	})
	w.settled("xiaowang")
	if got := replicas(); got != 6 {
		t.Errorf("switching autoscaling off, without another number, went from 6 to %d Pods", got)
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(5)) })
	w.eventually(func() string { return same("5", fmt.Sprint(replicas())) })
}

func TestWhatIsNoLongerAskedForIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", IngressClassName: "nginx"}
	}))
	w.mustGet("xiaowang", &networkingv1.Ingress{})
	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)
	if got := b.Status.Endpoints[0].URL; got != "http://pos.example.com/keruyun/"+w.brandID("xiaowang")+"/member-assets/verify" {
		t.Errorf("the first endpoint is %s", got)
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Exposure = nil
		b.Spec.Workload.Replicas = new(int32(1))
	})
	w.eventually(func() string {
		for _, o := range []client.Object{&networkingv1.Ingress{}, &policyv1.PodDisruptionBudget{}} {
			if err := w.get("xiaowang", o); !apierrors.IsNotFound(err) {
				return fmt.Sprintf("%T is still there (%v)", o, err)
			}
		}
		return ""
	})
}

// scheduled asks for all that runs on a schedule.
func scheduled(b *v1alpha1.BrandConnector) {
	b.Spec.Reconciliation = &v1alpha1.ReconciliationSpec{Schedule: "0 5 * * *"}
	b.Spec.Retention = &v1alpha1.RetentionSpec{Schedule: "@monthly", OlderThan: 400}
}

func scheduledChildren(brand string) []client.Object {
	return []client.Object{
		&batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: brand + "-reconciliation"}},
		&batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: brand + "-retention"}},
		&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: brand + "-jobs"}},
	}
}

func TestSchedulesComeAndGoWithoutARestart(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	w.settled("xiaowang")
	before := w.deployment("xiaowang")
	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)

	w.change("xiaowang", scheduled)
	for _, o := range scheduledChildren("xiaowang") {
		w.eventually(func() string { return problem(w.get(o.GetName(), o)) })
		if !metav1.IsControlledBy(o, b) {
			t.Errorf("%T %s is not controlled by the brand", o, o.GetName())
		}
	}
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	job := &batchv1.CronJob{}
	w.mustGet("xiaowang-retention", job)
	drifted := job.DeepCopy()
	drifted.Spec.Suspend = new(true)
	drifted.Spec.Schedule = "@hourly"
	must(t, api.Patch(t.Context(), drifted, client.MergeFrom(job)))
	w.eventually(func() string { w.mustGet("xiaowang-retention", job); return same("@monthly", job.Spec.Schedule) })
	if !*job.Spec.Suspend {
		t.Error("a CronJob that was suspended by hand was resumed")
	}

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Reconciliation.TimeZone = "Asia/Nowhere" })
	c := w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	if !strings.Contains(c.Message, "CronJob xiaowang-reconciliation") || !strings.Contains(c.Message, "Asia/Nowhere") {
		t.Errorf("the message %q names neither object nor time zone", c.Message)
	}

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Reconciliation = nil })
	w.eventually(func() string { return w.gone("xiaowang-reconciliation", &batchv1.CronJob{}) })
	w.mustGet("xiaowang-retention", &batchv1.CronJob{})
	w.mustGet("xiaowang-jobs", &networkingv1.NetworkPolicy{})

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Retention = nil })
	for _, o := range scheduledChildren("xiaowang") {
		w.eventually(func() string { return w.gone(o.GetName(), o) })
	}
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	if got := w.deployment("xiaowang"); got.ResourceVersion != before.ResourceVersion {
		t.Error("the Deployment was written to")
	}
}

func TestAGatewaysAnswerBecomesACondition(t *testing.T) {
	w := newWorld(t)
	b := w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", GatewayRef: &v1alpha1.GatewayReference{Name: "public"}}
	})
	w.create(b)
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionUnknown, v1alpha1.ReasonNotExposed)
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonNotExposed)

	w.gatewayAnswers("xiaowang", metav1.ConditionFalse, "NotAllowedByListeners")
	c := w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted)
	if !strings.Contains(c.Message, "NotAllowedByListeners") {
		t.Errorf("the message %q does not say why", c.Message)
	}
	// A route that is refused now may be let in by its Gateway without the brand's doing.
	w.condition("xiaowang", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonRouteNotAccepted)
	w.gatewayAnswers("xiaowang", metav1.ConditionTrue, "Accepted")
	w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionTrue, v1alpha1.ReasonExposed)
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

// gatewayAnswers plays the controller of a brand's Gateway.
func (w *world) gatewayAnswers(brand string, status metav1.ConditionStatus, reason string) {
	w.t.Helper()
	route := &gatewayv1.HTTPRoute{}
	w.eventually(func() string { return problem(w.get(brand, route)) })
	before := route.DeepCopy()
	c := func(t string) metav1.Condition {
		return metav1.Condition{Type: t, Status: status, Reason: reason, Message: "m", ObservedGeneration: route.Generation, LastTransitionTime: metav1.Now()}
	}
	route.Status.Parents = []gatewayv1.RouteParentStatus{{ParentRef: route.Spec.ParentRefs[0], ControllerName: "example.com/gw",
		Conditions: []metav1.Condition{c("Accepted"), c("ResolvedRefs")}}}
	must(w.t, api.Status().Patch(w.t.Context(), route, client.MergeFrom(before)))
}

func TestAnEmbeddedLedgersClaimOutlivesItsBrandUnlessToldOtherwise(t *testing.T) {
	embedded := func(onDelete v1alpha1.LedgerOnDelete, brandID string) func(*v1alpha1.BrandConnector) {
		return func(b *v1alpha1.BrandConnector) {
			b.Spec.BrandID = brandID
			b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{OnDelete: onDelete}}
		}
	}
	w := newWorld(t)
	collectGarbage(w)
	w.up(w.brand("kept", embedded("", "1")))
	w.up(w.brand("gone", embedded(v1alpha1.LedgerOnDeleteDelete, "2")))
	kept, gone := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaim{}
	w.mustGet("kept-ledger", kept)
	w.mustGet("gone-ledger", gone)
	if len(kept.OwnerReferences) != 0 || len(gone.OwnerReferences) != 1 {
		t.Errorf("owners: kept %v, gone %v", kept.OwnerReferences, gone.OwnerReferences)
	}
	w.change("gone", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger.Embedded.OnDelete = v1alpha1.LedgerOnDeleteRetain })
	w.eventually(func() string {
		w.mustGet("gone-ledger", gone)
		return same("0", fmt.Sprint(len(gone.OwnerReferences)))
	})

	// The same name for another brand must not get the ledger.
	must(t, api.Delete(t.Context(), &v1alpha1.BrandConnector{ObjectMeta: w.meta("kept")}))
	w.create(w.brand("kept", embedded("", "99")))
	w.eventually(func() string {
		c := w.condition("kept", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
		if !strings.Contains(c.Message, "the ledger of brand 1") {
			return fmt.Sprintf("the message %q does not say whose ledger it is", c.Message)
		}
		return ""
	})
	must(t, api.Delete(t.Context(), &v1alpha1.BrandConnector{ObjectMeta: w.meta("kept")}))
	w.up(w.brand("kept", embedded("", "1")))
	again := &corev1.PersistentVolumeClaim{}
	w.mustGet("kept-ledger", again)
	if again.UID != kept.UID {
		t.Error("the brand did not take its ledger up again")
	}
}

// A full disk is not waited out until the brand's object is changed, and no claim can shrink.
func TestALedgersClaimThatSomebodyMadeLargerKeepsNoRotationBack(t *testing.T) {
	w := newWorld(t)
	grows := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "grows-"}, Provisioner: "example.com/none", AllowVolumeExpansion: new(true)}
	w.create(grows)
	t.Cleanup(func() { _ = api.Delete(context.WithoutCancel(t.Context()), grows) })
	w.up(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{Size: new(resource.MustParse("1Gi")), StorageClassName: grows.Name}}
	}))
	claim := &corev1.PersistentVolumeClaim{}
	w.mustGet("xiaowang-ledger", claim)
	before := claim.DeepCopy()
	claim.Status.Phase, claim.Status.Capacity = corev1.ClaimBound, claim.Spec.Resources.Requests
	must(t, api.Status().Patch(t.Context(), claim, client.MergeFrom(before)))
	w.eventually(func() string { // the API server looks for the StorageClass in a cache
		before := claim.DeepCopy()
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("3Gi")}
		if err := api.Patch(t.Context(), claim, client.MergeFrom(before), client.FieldOwner("kubectl-patch")); err != nil {
			return err.Error()
		}
		return ""
	})
	size := func() string {
		w.mustGet("xiaowang-ledger", claim)
		return claim.Spec.Resources.Requests.Storage().String()
	}
	w.settled("xiaowang")
	if _, problem := w.conditionNow("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady); problem != "" {
		t.Error(problem)
	}
	old := w.revision("xiaowang")
	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger.Embedded.Size = new(resource.MustParse("2Gi")) })
	w.eventually(func() string { return same("true", fmt.Sprint(w.revision("xiaowang") != old)) })
	w.settled("xiaowang")
	if got := size(); got != "3Gi" {
		t.Errorf("the claim is for %s, want the 3Gi that somebody made of it", got)
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger.Embedded.Size = new(resource.MustParse("4Gi")) })
	w.eventually(func() string { return same("4Gi", size()) })
}

// collectGarbage plays the garbage collector until the test ends: it deletes, again
// and again, what brands that are gone had owned.
func collectGarbage(w *world) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			w.collectOnce(ctx)
			time.Sleep(50 * time.Millisecond)
		}
	}()
}

// collectOnce looks for an object's owner after it has seen the object: one that is not
// there then is gone, for it was there before the object.
func (w *world) collectOnce(ctx context.Context) {
	for _, name := range []string{"kept", "gone", "xiaowang"} {
		for _, o := range children() {
			if api.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, o) != nil {
				continue
			}
			owner, b := metav1.GetControllerOf(o), &v1alpha1.BrandConnector{}
			if owner == nil {
				continue
			}
			err := api.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: owner.Name}, b)
			if apierrors.IsNotFound(err) || (err == nil && b.UID != owner.UID) {
				uid := o.GetUID()
				_ = api.Delete(ctx, o, client.Preconditions{UID: &uid})
			}
		}
	}
}

func TestABrandOfTheSameNameWaitsForTheOldOnesObjects(t *testing.T) {
	w := newWorld(t)
	old := w.brand("xiaowang")
	w.up(old)
	must(t, api.Delete(t.Context(), old))
	w.create(w.brand("xiaowang"))
	c := w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNotOwned)
	if !strings.Contains(c.Message, "deleted BrandConnector") {
		t.Errorf("message %q", c.Message)
	}
	w.condition("xiaowang", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonNotOwned)
	collectGarbage(w)
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func TestABadPatchStallsAndNamesItsField(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang"))
	before := w.deployment("xiaowang").ResourceVersion
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.Patch = raw(`{"spec":{"template":{"spec":{"hostNetwrk":true}}}}`)
	})
	c := w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
	if !strings.Contains(c.Message, "spec.workload.patch") || !strings.Contains(c.Message, "hostNetwrk") {
		t.Errorf("message %q", c.Message)
	}
	if got := w.deployment("xiaowang").ResourceVersion; got != before {
		t.Error("the Deployment was written to")
	}
	// What fits the types and the API server still refuses.
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.Patch = raw(`{"spec":{"template":{"spec":{"restartPolicy":"Never"}}}}`)
	})
	w.eventually(func() string {
		c := w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalidSpec)
		if !strings.Contains(c.Message, "restartPolicy") {
			return c.Message
		}
		return ""
	})
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Patch = nil })
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func TestAShopTableInAConfigMapIsChecked(t *testing.T) {
	w := newWorld(t)
	shops := &corev1.ConfigMap{ObjectMeta: w.meta("shops"), Data: map[string]string{"shops.yaml": "- {kryShopID: a, zhimai: {multiMrk: x}}"}}
	w.create(shops)
	w.create(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.ShopsConfigMapRef = &v1alpha1.LocalObjectReference{Name: "shops"}
	}))
	c := w.condition("xiaowang", v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonConfigMapInvalid)
	if !strings.Contains(c.Message, "multiMrk") {
		t.Errorf("message %q", c.Message)
	}
	shops.Data["shops.yaml"] = "- {kryShopID: a, zhimai: {multiMark: x}}"
	must(t, api.Update(t.Context(), shops))
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func TestEventsAreSentOnChangeOnly(t *testing.T) {
	w := newWorld(t)
	w.create(w.brand("xiaowang"))
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	events := func() []string {
		var list eventsv1.EventList
		must(t, api.List(t.Context(), &list, client.InNamespace(w.namespace)))
		var all []string
		for _, e := range list.Items {
			if e.Regarding.Kind != v1alpha1.KindBrandConnector {
				continue // the API server looks after Services' addresses, and sometimes says so
			}
			n := int32(1)
			if e.Series != nil {
				n = e.Series.Count
			}
			all = append(all, fmt.Sprintf("%s x%d", e.Reason, n))
		}
		slices.Sort(all)
		return all
	}
	want := []string{"Progressing x1", "Ready x1"}
	w.eventually(func() string { return cmp.Diff(want, events()) })
	for range 3 {
		w.settled("xiaowang")
	}
	if diff := cmp.Diff(want, events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestADeletedBrandLeavesNoSeries(t *testing.T) {
	w := newWorld(t)
	b := w.brand("xiaowang")
	w.up(b)
	series := func() int {
		families, err := gather.Gather()
		must(t, err)
		n := 0
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "namespace" && l.GetValue() == w.namespace {
						n++
					}
				}
			}
		}
		return n
	}
	w.eventually(func() string {
		if series() == 0 {
			return "a brand has no series"
		}
		return ""
	})
	must(t, api.Delete(t.Context(), b))
	w.eventually(func() string { return same("0", fmt.Sprint(series())) })
}

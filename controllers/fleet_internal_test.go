// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// fleetOf brands that all run revision old; the last is of a class of its own.
func fleetOf(t *testing.T, brands int) (*fleet, client.Client, *testclock.FakeClock) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&appsv1.Deployment{}).
		WithIndex(&v1alpha1.BrandConnector{}, indexClass, classIndex)
	for i := range brands {
		b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: fmt.Sprintf("b%d", i), UID: types.UID(fmt.Sprint(i))}}
		if i == brands-1 {
			b.Spec.ConnectorClassName = "own"
		}
		builder = builder.WithObjects(b, deploymentOf(b, "old", true))
	}
	c := builder.Build()
	clock := testclock.NewFakeClock(time.Unix(1_800_000_000, 0))
	return newFleet(c, clock), c, clock
}

func TestSeveralSurveysShareOneListing(t *testing.T) {
	f, c, _ := fleetOf(t, 3)
	listed := 0
	f.reader = interceptor.NewClient(c.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, next client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
			if _, ok := list.(*appsv1.DeploymentList); ok {
				listed++
			}
			return next.List(ctx, list, o...)
		}})
	reconciler := &Reconciler{fleet: f, platforms: newPlatforms(render.Installation{}, rollout.Policy{MaxConcurrent: 1})}
	reconciler.Client, reconciler.Classes = c, true
	for _, name := range []string{"own", "others"} {
		class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		if err := c.Create(t.Context(), class); err != nil {
			t.Fatal(err)
		}
	}
	total := map[string]int{}
	for p, survey := range reconciler.surveys(t.Context()) {
		total[p.name()] = survey.Total
	}
	if diff := cmp.Diff(map[string]int{"": 2, "own": 1, "others": 0}, total); diff != "" {
		t.Errorf("brands by class (-want +got):\n%s", diff)
	}
	if listed != 1 {
		t.Errorf("the Deployments were listed %d times for one scrape, want once", listed)
	}
}

func deploymentOf(b *v1alpha1.BrandConnector, revision string, available bool) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name, Generation: 1,
		Annotations:     render.Notes{Platform: revision, Cause: render.CausePlatform}.Annotations(),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindBrandConnector, Name: b.Name, UID: b.UID, Controller: new(true)}}}}
	d.Spec.Replicas = new(int32(1))
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1}
	if available {
		d.Status.AvailableReplicas = 1
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}}
	}
	return d
}

func TestBrandsWithoutAClassShareTheOperatorsBudget(t *testing.T) {
	f, c, clock := fleetOf(t, 6)
	p := &platform{revision: "new", policy: rollout.Policy{MaxConcurrent: 2}}
	key := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "brands", Name: fmt.Sprintf("b%d", i)}
	}
	decide := func(i int) bool {
		t.Helper()
		v, err := f.decide(t.Context(), p, key(i), rollout.Candidate{})
		if err != nil {
			t.Fatal(err)
		}
		return v.Go
	}
	roll := func(i int, available bool) {
		t.Helper()
		b := &v1alpha1.BrandConnector{}
		if err := c.Get(t.Context(), key(i), b); err != nil {
			t.Fatal(err)
		}
		d := deploymentOf(b, "new", available)
		if err := c.Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		d.Status = deploymentOf(b, "new", available).Status
		if err := c.Status().Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		clock.Step(time.Second)
	}
	want := []bool{true, true, false, false, false}
	var got []bool
	for i := range want {
		got = append(got, decide(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("who may go (-want +got):\n%s", diff)
	}
	if due := f.due(t.Context()); len(due) > 0 {
		t.Errorf("%v may go, but both places are taken", due)
	}
	roll(0, false)
	roll(1, false)
	if due := f.due(t.Context()); len(due) > 0 {
		t.Errorf("%v may go while two brands restart", due)
	}
	roll(1, true)
	if diff := cmp.Diff([]types.NamespacedName{key(2)}, f.due(t.Context())); diff != "" {
		t.Errorf("one place is free (-want +got):\n%s", diff)
	}
	if !decide(2) || decide(3) {
		t.Error("the place that became free is one brand's")
	}
	f.forget(key(2)) // it could not take the change up
	if !decide(3) {
		t.Error("the place of a brand that could not go is still taken")
	}
	f.settled(key(4))
	roll(0, true)
	roll(3, true)
	if due := f.due(t.Context()); len(due) > 0 {
		t.Errorf("%v may go, and nobody waits", due)
	}
	survey, _, err := f.take(t.Context(), p, f.listing(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rollout.Survey{Total: 5, Current: 3, Waiting: 2}, survey); diff != "" {
		t.Errorf("survey (-want +got):\n%s", diff)
	}
}

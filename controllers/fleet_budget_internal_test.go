// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

var (
	tillNoon  = time.Unix(1_800_000_000, 0)
	sinceNine = metav1.NewTime(tillNoon.Add(-3 * time.Hour))
	justNow   = metav1.NewTime(tillNoon.Add(-time.Second))
)

// standing is a brand with its Deployment, which runs the newest revision since nine and
// was started for the platform.
type standing struct {
	brand      *v1alpha1.BrandConnector
	deployment *appsv1.Deployment
}

func (s standing) older() standing {
	s.note(func(n *render.Notes) { n.Platform = "old" })
	return s
}

func (s standing) byItsTeam() standing {
	s.note(func(n *render.Notes) { n.Cause = render.CauseBrand })
	return s
}

func (s standing) note(change func(*render.Notes)) {
	notes := render.NotesOf(s.deployment.Annotations)
	change(&notes)
	s.deployment.Annotations = notes.Annotations()
}

func (s standing) canary() standing {
	s.brand.Labels = map[string]string{"tier": "canary"}
	return s
}

func (s standing) stalled(reason string) standing {
	s.brand.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason}}
	return s
}

// restarting: a new Pod is there beside the old one, and not available.
func (s standing) restarting() standing {
	status := &s.deployment.Status
	status.Replicas, status.UpdatedReplicas, status.AvailableReplicas = 2, 1, 1
	s.progress(corev1.ConditionTrue, "ReplicaSetUpdated")
	return s
}

func (s standing) failed() standing {
	s.restarting()
	s.progress(corev1.ConditionFalse, "ProgressDeadlineExceeded")
	return s
}

// away: it was rolled out, and its Pod is lost since.
func (s standing) away() standing {
	s.deployment.Status.AvailableReplicas = 0
	s.available(corev1.ConditionFalse, justNow)
	return s
}

func (s standing) progress(status corev1.ConditionStatus, reason string) {
	c := &s.deployment.Status.Conditions[0]
	c.Status, c.Reason = status, reason
}

func (s standing) available(status corev1.ConditionStatus, since metav1.Time) standing {
	c := &s.deployment.Status.Conditions[1]
	c.Status, c.LastTransitionTime = status, since
	return s
}

func TestHowABrandStandsTowardsTheNewestRevision(t *testing.T) {
	tests := map[string]struct {
		is   func(standing) standing
		want rollout.Member
	}{
		"it runs it":                                    {func(s standing) standing { return s }, rollout.Member{State: rollout.Current, AvailableSince: sinceNine.Time}},
		"it runs an older one":                          {standing.older, rollout.Member{State: rollout.Waiting}},
		"it takes it up":                                {standing.restarting, rollout.Member{State: rollout.Rolling}},
		"it still takes an older one up":                {func(s standing) standing { return s.older().restarting() }, rollout.Member{State: rollout.Rolling}},
		"it is still to take an older one up":           {func(s standing) standing { s.deployment.Generation++; return s.older() }, rollout.Member{State: rollout.Rolling}},
		"it failed with it":                             {standing.failed, rollout.Member{State: rollout.Failed}},
		"it failed with an older one":                   {func(s standing) standing { return s.older().failed() }, rollout.Member{State: rollout.Rolling}},
		"it takes its team's change up":                 {func(s standing) standing { return s.byItsTeam().restarting() }, rollout.Member{State: rollout.Current}},
		"its team's change failed":                      {func(s standing) standing { return s.byItsTeam().failed() }, rollout.Member{State: rollout.Apart}},
		"its team's change failed on an older one":      {func(s standing) standing { return s.byItsTeam().older().failed() }, rollout.Member{State: rollout.Waiting}},
		"it takes its team's change up on an older one": {func(s standing) standing { return s.byItsTeam().older().restarting() }, rollout.Member{State: rollout.Waiting}},
		"it lost its Pod":                               {standing.away, rollout.Member{State: rollout.Rolling}},
		"it runs an older one and lost its Pod":         {func(s standing) standing { return s.older().away() }, rollout.Member{State: rollout.Waiting}},
		"it goes back to a template it had, and still says that all is done": {func(s standing) standing {
			s.older().restarting().progress(corev1.ConditionTrue, "NewReplicaSetAvailable")
			return s
		}, rollout.Member{State: rollout.Rolling}},

		"a canary is away since a second":      {func(s standing) standing { return s.canary().away() }, rollout.Member{State: rollout.Rolling, Canary: true}},
		"a canary came back a second ago":      {func(s standing) standing { return s.canary().available(corev1.ConditionTrue, justNow) }, rollout.Member{State: rollout.Current, Canary: true, AvailableSince: justNow.Time}},
		"a canary is said not to be available": {func(s standing) standing { return s.canary().available(corev1.ConditionFalse, sinceNine) }, rollout.Member{State: rollout.Current, Canary: true}},
		"nobody says whether a canary is available": {func(s standing) standing {
			s.deployment.Status.Conditions = s.deployment.Status.Conditions[:1]
			return s.canary()
		}, rollout.Member{State: rollout.Current, Canary: true}},
		"a canary that took it up later than it was lost": {func(s standing) standing {
			s.deployment.Status.Conditions[0].LastUpdateTime = justNow
			return s.canary()
		}, rollout.Member{State: rollout.Current, Canary: true, AvailableSince: justNow.Time}},
		"a canary fails with its team's change": {func(s standing) standing { return s.canary().byItsTeam().failed() }, rollout.Member{State: rollout.Failed, Canary: true}},
		"a canary of no Pods": {func(s standing) standing {
			s.deployment.Spec.Replicas, s.deployment.Status.Replicas, s.deployment.Status.UpdatedReplicas, s.deployment.Status.AvailableReplicas = new(int32(0)), 0, 0, 0
			return s.canary()
		}, rollout.Member{Canary: true}},
		"a canary of no Pods runs an older one": {func(s standing) standing { s.deployment.Spec.Replicas = new(int32(0)); return s.canary().older() }, rollout.Member{Canary: true}},

		"it is suspended":                                       {func(s standing) standing { s.brand.Spec.Suspend = true; return s }, rollout.Member{}},
		"it is being deleted":                                   {func(s standing) standing { s.brand.DeletionTimestamp = &justNow; return s.restarting() }, rollout.Member{}},
		"its Deployment is another brand's":                     {func(s standing) standing { s.deployment.OwnerReferences[0].UID = "other"; return s }, rollout.Member{}},
		"it waits to be mended":                                 {func(s standing) standing { return s.older().stalled(v1alpha1.ReasonSecretNotFound) }, rollout.Member{}},
		"it waits to be mended, and failed with an older one":   {func(s standing) standing { return s.older().failed().stalled(v1alpha1.ReasonSecretNotFound) }, rollout.Member{}},
		"it waits to be mended, and restarts with an older one": {func(s standing) standing { return s.older().restarting().stalled(v1alpha1.ReasonSecretNotFound) }, rollout.Member{State: rollout.Rolling}},
		"it waits for a roll-out to be mended":                  {func(s standing) standing { return s.older().byItsTeam().failed().stalled(v1alpha1.ReasonRolloutFailed) }, rollout.Member{State: rollout.Waiting}},
		"it runs it and waits to be mended":                     {func(s standing) standing { return s.stalled(v1alpha1.ReasonSecretNotFound) }, rollout.Member{State: rollout.Current, AvailableSince: sinceNine.Time}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: "b", UID: "1"}}
			d := deploymentOf(b, "new", true)
			d.Status.Conditions[0].LastUpdateTime = sinceNine
			d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, LastTransitionTime: sinceNine})
			s := tc.is(standing{b, d})
			p := &platform{revision: "new", policy: rollout.Policy{Canaries: labels.SelectorFromSet(labels.Set{"tier": "canary"})}}
			tc.want.Name = "brands/b"
			if diff := cmp.Diff(tc.want, memberOf(s.brand, s.deployment, p)); diff != "" {
				t.Errorf("the brand (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABrandWithoutADeploymentTakesNoPart(t *testing.T) {
	b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: "b"}}
	if diff := cmp.Diff(rollout.Member{Name: "brands/b"}, memberOf(b, nil, &platform{revision: "new"})); diff != "" {
		t.Errorf("the brand (-want +got):\n%s", diff)
	}
}

func TestAStandbyLetsNobodyGo(t *testing.T) {
	var f manager.LeaderElectionRunnable = newFleet(nil, nil)
	if !f.NeedLeaderElection() {
		t.Error("a standby wakes brands")
	}
}

func brandKey(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: "brands", Name: fmt.Sprintf("b%d", i)}
}

// asks a fleet whether a brand may go.
func asks(t *testing.T, f *fleet, p *platform, brand int) bool {
	t.Helper()
	v, err := f.decide(t.Context(), p, brandKey(brand), rollout.Candidate{})
	if err != nil {
		t.Fatal(err)
	}
	return v.Go
}

// takesUp plays a brand that takes a revision up.
func takesUp(t *testing.T, c client.Client, brand int, revision string, available bool) {
	t.Helper()
	b := &v1alpha1.BrandConnector{}
	if err := c.Get(t.Context(), brandKey(brand), b); err != nil {
		t.Fatal(err)
	}
	d := deploymentOf(b, revision, available)
	if err := c.Update(t.Context(), d.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), brandKey(brand), d); err != nil {
		t.Fatal(err)
	}
	d.Status = deploymentOf(b, revision, available).Status
	if err := c.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestABrandThatMovedToAnotherClassDoesNotWaitInItsOldOne(t *testing.T) {
	f, c, clock := fleetOf(t, 5)
	old := &platform{revision: "new", policy: rollout.Policy{MaxConcurrent: 1, Paused: true}}
	for brand := range 3 {
		asks(t, f, old, brand)
	}
	b := &v1alpha1.BrandConnector{}
	if err := c.Get(t.Context(), brandKey(0), b); err != nil {
		t.Fatal(err)
	}
	b.Spec.ConnectorClassName = "other"
	if err := c.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	other := &platform{class: &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, revision: "x", policy: rollout.Policy{MaxConcurrent: 1, Paused: true}}
	if asks(t, f, other, 0) {
		t.Fatal("a paused class lets a brand go")
	}
	f.groups[""].platform = &platform{revision: "new", policy: rollout.Policy{MaxConcurrent: 1}} // it is resumed
	clock.Step(time.Second)
	if diff := cmp.Diff([]types.NamespacedName{brandKey(1)}, f.due(t.Context())); diff != "" {
		t.Errorf("who may go (-want +got):\n%s", diff)
	}
}

func TestABrandThatWasToldToGoAndMovedGivesItsPlaceBack(t *testing.T) {
	f, _, _ := fleetOf(t, 5)
	p := &platform{revision: "new", policy: rollout.Policy{MaxConcurrent: 1}}
	if !asks(t, f, p, 0) || asks(t, f, p, 1) {
		t.Fatal("there is one place")
	}
	other := &platform{class: &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, revision: "x", policy: rollout.Policy{MaxConcurrent: 1}}
	asks(t, f, other, 0)
	if !asks(t, f, p, 1) {
		t.Error("a place is kept for a brand that is of another class by now")
	}
}

func TestBrandsThatStillRestartKeepTheirPlacesWhenThePlatformChangesAgain(t *testing.T) {
	f, c, clock := fleetOf(t, 6)
	restarting := map[int]bool{}
	for revision := range 4 {
		p := &platform{revision: fmt.Sprint("revision", revision), policy: rollout.Policy{MaxConcurrent: 1}}
		for i := range 5 {
			brand := (revision + i) % 5 // another one is the first to ask
			if asks(t, f, p, brand) {
				restarting[brand] = true
				takesUp(t, c, brand, p.revision, false)
			}
			clock.Step(time.Second)
		}
	}
	if diff := cmp.Diff(map[int]bool{0: true}, restarting); diff != "" {
		t.Errorf("brands that restart, and one may (-want +got):\n%s", diff)
	}
}

func TestABrandThatWasToldToGoAndIsNotSeenToHaveGoneKeepsItsPlaceWhenThePlatformChangesAgain(t *testing.T) {
	f, c, clock := fleetOf(t, 6)
	first := &platform{revision: "first", policy: rollout.Policy{MaxConcurrent: 1}}
	second := &platform{revision: "second", policy: rollout.Policy{MaxConcurrent: 1}}
	if !asks(t, f, first, 0) {
		t.Fatal("nobody restarts, and one may")
	}
	if asks(t, f, second, 1) {
		t.Fatal("two were told to go, and one may")
	}
	takesUp(t, c, 0, "first", true) // now it is seen, and has come through
	clock.Step(time.Second)
	if !asks(t, f, second, 1) {
		t.Error("a place is kept for a brand that has come through")
	}
}

func TestABrandThatRestartsTakesANewerRevisionUpInItsOwnPlace(t *testing.T) {
	f, c, clock := fleetOf(t, 6)
	takesUp(t, c, 0, "first", false)
	p := &platform{revision: "second", policy: rollout.Policy{MaxConcurrent: 1}}
	if asks(t, f, p, 1) {
		t.Fatal("there is no place")
	}
	if !asks(t, f, p, 0) || asks(t, f, p, 1) {
		t.Error("the place is that of the brand which restarts already")
	}
	clock.Step(time.Second)
	if asks(t, f, p, 1) {
		t.Error("two restart, and one may")
	}
	takesUp(t, c, 0, "second", true)
	clock.Step(time.Second)
	if !asks(t, f, p, 1) {
		t.Error("nobody restarts, and one may")
	}
}

type noEvents struct{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

var _ events.EventRecorder = noEvents{}

// smallFleet is two brands without a class that wait for one place, and their operator.
// Every apply ends in refused.
func smallFleet(t *testing.T, refused error, change func(*v1alpha1.BrandConnector)) (*Reconciler, client.Client) {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	secret := func(name string, keys ...string) *corev1.Secret {
		o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: name}, Data: map[string][]byte{}}
		for _, key := range keys {
			o.Data[key] = []byte("x")
		}
		return o
	}
	builder := memoryServer(scheme).WithObjects(secret("kry", "appKey", "token"), secret("zhimai", "openId", "openKey", "grantCode")).
		WithInterceptorFuncs(interceptor.Funcs{Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return refused
		}})
	for i := range 2 {
		b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: brandKey(i).Name, UID: types.UID(fmt.Sprint(i)), Generation: 1}}
		b.Spec.BrandID = fmt.Sprint(i)
		b.Spec.Keruyun.CredentialsSecretRef.Name = "kry"
		b.Spec.Providers.Zhimai = &v1alpha1.ZhimaiSpec{CredentialsSecretRef: v1alpha1.LocalObjectReference{Name: "zhimai"}}
		b.Spec.Routes = []v1alpha1.Route{{Name: "balance", Match: v1alpha1.RouteMatch{AssetMappingIDs: []string{"100001"}}, Asset: v1alpha1.AssetStoredValue, Provider: v1alpha1.ProviderZhimai}}
		b.Spec.Ledger.Embedded = &v1alpha1.EmbeddedLedger{}
		if i == 0 {
			change(b)
		}
		builder = builder.WithObjects(b, deploymentOf(b, "old", true))
	}
	c := builder.Build()
	m, err := NewMetrics(prometheus.NewRegistry(), c)
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Client: c, APIReader: c, Recorder: noEvents{}, Clock: testclock.NewFakeClock(tillNoon), Metrics: m,
		Installation: render.Installation{Image: "i", RevisionKey: []byte("0123456789abcdef")}, Rollout: rollout.Policy{MaxConcurrent: 1}}), c
}

func TestABrandThatCouldNotTakeAChangeUpGivesItsPlaceBack(t *testing.T) {
	quota := apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "b0", errors.New("exceeded quota"))
	r, _ := smallFleet(t, quota, func(*v1alpha1.BrandConnector) {})
	_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: brandKey(0)})
	if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Fatalf("the quota refuses, and the error is %v", err)
	}
	p, err := r.platforms.of(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !asks(t, r.fleet, p, 1) {
		t.Error("a place is kept for a brand that could not go")
	}
}

func TestABrandThatIsBeingDeletedOrSuspendedWaitsNoMore(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.BrandConnector){
		"in foreground deletion": func(b *v1alpha1.BrandConnector) {
			b.DeletionTimestamp, b.Finalizers = &justNow, []string{metav1.FinalizerDeleteDependents}
		},
		"suspended":          func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true },
		"waits to be mended": func(b *v1alpha1.BrandConnector) { b.Spec.Keruyun.CredentialsSecretRef.Name = "missing" },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := smallFleet(t, nil, change)
			p, err := r.platforms.of(nil)
			if err != nil {
				t.Fatal(err)
			}
			paused := *p
			paused.policy.Paused = true
			asks(t, r.fleet, &paused, 0)
			asks(t, r.fleet, &paused, 1)
			r.fleet.groups[""].platform = p // it is resumed
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: brandKey(0)}); err != nil {
				t.Log(err) // what is to be mended
			}
			if diff := cmp.Diff([]types.NamespacedName{brandKey(1)}, r.fleet.due(t.Context())); diff != "" {
				t.Errorf("who may go (-want +got):\n%s", diff)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
	"github.com/hexiao-dev/hexiao/hack/gitops"
)

// kstatus is how tools that follow kstatus read a brand, by their own code.
func kstatus(b *v1alpha1.BrandConnector) string {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
	if err != nil {
		return err.Error()
	}
	read, err := gitops.Flux(object)
	if err != nil {
		return err.Error()
	}
	return string(read)
}

// anyScope draws what the phases may have found.
func anyScope(t *rapid.T) (*Reconciler, *scope) {
	draw := func(name string) bool { return rapid.Bool().Draw(t, name) }
	b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y", Generation: rapid.Int64Range(1, 3).Draw(t, "generation")}}
	b.Spec.Suspend = draw("suspend")
	if draw("exposed") {
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "h"}
		if draw("by a gateway") {
			b.Spec.Exposure.GatewayRef = &v1alpha1.GatewayReference{Name: "g"}
		} else {
			b.Spec.Exposure.IngressClassName = "c"
			if draw("with a certificate") {
				b.Spec.Exposure.TLSSecretRef = &v1alpha1.LocalObjectReference{Name: "tls"}
			}
		}
	}
	if draw("an earlier status") {
		b.Status.ObservedGeneration = b.Generation - 1
		for _, c := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionSuspended, v1alpha1.ConditionExposed, v1alpha1.ConditionLedgerReady, v1alpha1.ConditionUpToDate} {
			if draw("had " + c) {
				meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{Type: c, Status: metav1.ConditionTrue, Reason: "Earlier"})
			}
		}
	}
	s := &scope{brand: b, before: b.DeepCopy(), key: types.NamespacedName{Namespace: "y", Name: "x"}}
	for range rapid.IntRange(0, 2).Draw(t, "faults") {
		s.fault(rapid.SampledFrom([]fault{
			unresolved(render.Need{Source: render.SourceSecret, Name: "ledger", Key: "dsn", Field: "f", DSN: true}, v1alpha1.ReasonSecretNotFound, "m"),
			{reason: v1alpha1.ReasonInvalidSpec, message: "m", stalled: true},
			{reason: v1alpha1.ReasonNotOwned, message: "m", stalled: true},
			{reason: v1alpha1.ReasonNotOwned, message: "m"},
			{reason: v1alpha1.ReasonApplyFailed, message: "m"},
		}).Draw(t, "fault"))
	}
	if draw("a Deployment") {
		s.deployment = anyDeployment(t)
		s.appliedGeneration = rapid.Int64Range(0, 2).Draw(t, "applied generation")
	}
	switch {
	case draw("embedded"):
		b.Spec.Ledger.Embedded = &v1alpha1.EmbeddedLedger{}
		if draw("a claim") {
			s.diagnosis.claim = &claimState{name: "x-ledger", phase: rapid.SampledFrom([]corev1.PersistentVolumeClaimPhase{
				corev1.ClaimPending, corev1.ClaimBound, corev1.ClaimLost}).Draw(t, "claim")}
		}
	case draw("postgres"):
		b.Spec.Ledger.Postgres = &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}}
	}
	if draw("a diagnosis") && s.deployment != nil && !available(s) {
		s.diagnosis.text, s.diagnosis.ledgerFault = "m", draw("of the ledger")
	}
	if draw("a route") {
		s.exposure.route = anyRoute(t)
	}
	if draw("an Ingress") {
		s.exposure.ingress = &networkingv1.Ingress{}
		if draw("with an address") {
			s.exposure.ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		}
	}
	s.exposure.certificate = draw("a certificate")
	if draw("the class is not known") {
		s.fault(classFault("m"))
	} else {
		s.resolved = b
	}
	if !b.Spec.Suspend && draw("rendered") {
		s.output, s.platform = &render.Output{}, &platform{}
		s.applied = len(s.faults) == 0
		if draw("of a class") {
			s.platform.class = &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
		}
		if draw("held") {
			s.hold = &hold{phase: rapid.SampledFrom([]rollout.Phase{rollout.Canaries, rollout.Open, rollout.Halted}).Draw(t, "phase"), spec: draw("a change of its own is held")}
		}
	}
	return &Reconciler{Config: Config{Clock: testclock.NewFakePassiveClock(time.Unix(1, 0)), GatewayAPI: draw("Gateway API")}}, s
}

func anyDeployment(t *rapid.T) *appsv1.Deployment {
	n := func(name string) int32 { return rapid.Int32Range(0, 2).Draw(t, name) }
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: rapid.Int64Range(1, 2).Draw(t, "deployment generation")}}
	d.Spec.Replicas = new(n("replicas"))
	if rapid.Bool().Draw(t, "rolled out") { // by chance alone it hardly ever would be
		d.Generation = 2
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas, AvailableReplicas: *d.Spec.Replicas,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}}
		return d
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: rapid.Int64Range(0, 2).Draw(t, "deployment observed"),
		Replicas: n("pods"), UpdatedReplicas: n("updated"), AvailableReplicas: n("available")}
	status := rapid.SampledFrom([]corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown})
	if rapid.Bool().Draw(t, "Available") {
		d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentAvailable, Status: status.Draw(t, "Available is")})
	}
	if rapid.Bool().Draw(t, "Progressing") {
		d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing,
			Status: status.Draw(t, "Progressing is"), Reason: rapid.SampledFrom([]string{"ProgressDeadlineExceeded", "ReplicaSetUpdated"}).Draw(t, "reason")})
	}
	return d
}

func anyRoute(t *rapid.T) *gatewayv1.HTTPRoute {
	route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	for range rapid.IntRange(0, 2).Draw(t, "parents") {
		var parent gatewayv1.RouteParentStatus
		for _, c := range []string{"Accepted", "ResolvedRefs"} {
			if rapid.Bool().Draw(t, c) {
				parent.Conditions = append(parent.Conditions, metav1.Condition{Type: c, Reason: "R", Message: "m",
					Status:             rapid.SampledFrom([]metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse}).Draw(t, c+" is"),
					ObservedGeneration: rapid.Int64Range(1, 2).Draw(t, c+" observed")})
			}
		}
		route.Status.Parents = append(route.Status.Parents, parent)
	}
	return route
}

func TestEveryStatusReadsTheSameByReadyAndByKstatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, s := anyScope(t)
		r.fold(s)
		conditions := s.brand.Status.Conditions
		ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
		reconciling := meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)
		stalled := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
		if ready == nil || ready.Reason == "" || ready.Message == "" {
			t.Fatalf("Ready is %+v", ready)
		}
		want := map[bool]string{true: "Current", false: "InProgress"}[ready.Status == metav1.ConditionTrue]
		if stalled != nil {
			want = "Failed"
		}
		if got := kstatus(s.brand); got != want {
			t.Fatalf("kstatus reads %s, want %s: %+v", got, want, conditions)
		}
		if ready.Status == metav1.ConditionTrue && (reconciling != nil || stalled != nil) {
			t.Fatalf("Ready beside Reconciling or Stalled: %+v", conditions)
		}
		if ready.Status != metav1.ConditionTrue && (reconciling == nil) == (stalled == nil) {
			t.Fatalf("a brand that is not ready is either reconciling or stalled: %+v", conditions)
		}
		for _, c := range conditions {
			if c.ObservedGeneration != s.brand.Generation && c.Type != v1alpha1.ConditionCredentialsResolved {
				t.Fatalf("%s speaks of generation %d, not %d", c.Type, c.ObservedGeneration, s.brand.Generation)
			}
			if c.Reason == "Earlier" {
				t.Fatalf("%s is left over", c.Type)
			}
		}
		if ready.Status == metav1.ConditionTrue && !s.brand.Spec.Suspend && (len(s.faults) > 0 || !rolledOut(s.deployment, s.appliedGeneration)) {
			t.Fatalf("Ready although it is not: %+v", conditions)
		}
		checkLedgerReady(t, s)
		checkExposed(t, s)
		checkNothingIsThere(t, s)
		// Folding what did not change changes nothing.
		before := s.brand.DeepCopy()
		r.fold(s)
		if a, b := digest(before.Status), digest(s.brand.Status); a != b {
			t.Fatalf("a second fold changed the status: %+v %+v", before.Status, s.brand.Status)
		}
	})
}

// checkLedgerReady holds LedgerReady against what it is a statement of.
func checkLedgerReady(t *rapid.T, s *scope) {
	c := meta.FindStatusCondition(s.brand.Status.Conditions, v1alpha1.ConditionLedgerReady)
	if c == nil || c.Reason == "" || c.Message == "" {
		t.Fatalf("LedgerReady is %+v", c)
	}
	if (c.Status == metav1.ConditionTrue) != (c.Reason == v1alpha1.ReasonLedgerOpen) {
		t.Fatalf("LedgerReady is %s for %s", c.Status, c.Reason)
	}
	if c.Status == metav1.ConditionTrue && (!available(s) || s.diagnosis.lost()) {
		t.Fatalf("the ledger is open, and no Pod can have it: %+v", s.diagnosis)
	}
	ready := meta.FindStatusCondition(s.brand.Status.Conditions, v1alpha1.ConditionReady)
	scaledToZero := c.Reason == v1alpha1.ReasonScaledToZero
	if ready.Reason == v1alpha1.ReasonReady && c.Status != metav1.ConditionTrue && !scaledToZero {
		t.Fatalf("the brand serves without its ledger: %+v", c)
	}
}

// checkExposed holds Exposed against Ready: what nobody knows keeps no brand from being
// ready, and what is known to be amiss does.
func checkExposed(t *rapid.T, s *scope) {
	c := meta.FindStatusCondition(s.brand.Status.Conditions, v1alpha1.ConditionExposed)
	if c == nil {
		t.Fatal("there is no condition Exposed")
	}
	unasked := c.Reason == v1alpha1.ReasonClusterInternal || c.Reason == v1alpha1.ReasonClassNotFound
	if (s.brand.Spec.Exposure == nil) != unasked || (c.Reason == v1alpha1.ReasonClassNotFound && s.resolved != nil) {
		t.Fatalf("Exposed is %+v with the exposure %+v", c, s.brand.Spec.Exposure)
	}
	ready := meta.FindStatusCondition(s.brand.Status.Conditions, v1alpha1.ConditionReady)
	notKnown := c.Reason == v1alpha1.ReasonClusterInternal || c.Reason == v1alpha1.ReasonAwaitingAddress
	if ready.Reason == v1alpha1.ReasonReady && c.Status != metav1.ConditionTrue && !notKnown {
		t.Fatalf("the brand is ready, and is known not to be reached: %+v", c)
	}
	if notKnown && ready.Reason == c.Reason {
		t.Fatalf("what nobody knows decides on Ready: %+v", ready)
	}
}

// checkNothingIsThere sees that no condition speaks of Pods where there can be none.
func checkNothingIsThere(t *rapid.T, s *scope) {
	if s.deployment != nil || len(s.faults) == 0 {
		return
	}
	for _, c := range s.brand.Status.Conditions {
		if c.Type == v1alpha1.ConditionUpToDate && c.Status == metav1.ConditionTrue || strings.Contains(c.Message, "waiting for") {
			t.Fatalf("there is no Deployment, and there is a fault: %+v", c)
		}
	}
}

func TestANewObjectIsInProgressBeforeAnybodyLooked(t *testing.T) {
	b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Status: v1alpha1.BrandConnectorStatus{ObservedGeneration: -1}}
	if got := kstatus(b); got != "InProgress" {
		t.Errorf("got %s", got)
	}
}

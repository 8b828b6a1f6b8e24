// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func servingDeployment(replicas int32) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 1}}
	d.Spec.Replicas = &replicas
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: replicas, UpdatedReplicas: replicas, AvailableReplicas: replicas,
		Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}}
	return d
}

func TestLedgerReadyIsWhatTheConnectorsPodsShow(t *testing.T) {
	dsn := v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "pg", Key: "dsn"}}}
	embedded := v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}
	need := func(name, key string) render.Need {
		return render.Need{Source: render.SourceSecret, Name: name, Key: key, Field: "f"}
	}
	claim := func(phase corev1.PersistentVolumeClaimPhase, text string) diagnosis {
		return diagnosis{claim: &claimState{name: "x-ledger", phase: phase, text: text}}
	}
	notYet := servingDeployment(2)
	notYet.Status.UpdatedReplicas = 1
	const waitingFor = "waiting for the connector's Pods to open the ledger"
	tests := map[string]struct {
		ledger     v1alpha1.LedgerSpec
		deployment *appsv1.Deployment
		diagnosis  diagnosis
		fault      *fault
		suspended  bool
		want       string
		stalls     bool // Ready is False for it, and stalled
	}{
		"all Pods are available": {ledger: dsn, deployment: servingDeployment(2),
			want: "True LedgerOpen: the connector's Pods have opened the ledger"},
		"the one with the claim is":         {ledger: embedded, deployment: servingDeployment(1), diagnosis: claim(corev1.ClaimBound, ""), want: "True LedgerOpen: the connector's Pods have opened the ledger"},
		"nothing has been applied yet":      {ledger: dsn, want: "Unknown Progressing: " + waitingFor},
		"new Pods are not there yet":        {ledger: dsn, deployment: notYet, want: "Unknown Progressing: " + waitingFor},
		"new Pods have another trouble":     {ledger: dsn, deployment: notYet, diagnosis: diagnosis{text: "Unschedulable: no node fits"}, want: "Unknown Progressing: " + waitingFor + ": Unschedulable: no node fits"},
		"new Pods say that it is not there": {ledger: dsn, deployment: notYet, diagnosis: diagnosis{text: "container connector: CrashLoopBackOff: open ledger: no", ledgerFault: true}, want: "False LedgerUnavailable: container connector: CrashLoopBackOff: open ledger: no"},
		"the Secret is not there": {ledger: dsn, fault: new(unresolved(need("pg", "zz"), v1alpha1.ReasonSecretNotFound, "does not exist")),
			want: "False SecretNotFound: Secret pg, which f names, does not exist"},
		"the Secret's key is not there, and old Pods serve": {ledger: dsn, deployment: servingDeployment(2), fault: new(unresolved(need("pg", "dsn"), v1alpha1.ReasonSecretKeyMissing, "has no key dsn")),
			want: "False SecretKeyMissing: Secret pg, which f names, has no key dsn"},
		"another key of the Secret is not there": {ledger: dsn, deployment: servingDeployment(2), fault: new(unresolved(need("pg", "other"), v1alpha1.ReasonSecretKeyMissing, "has no key")),
			want: "True LedgerOpen: the connector's Pods have opened the ledger"},
		"another Secret is not there": {ledger: embedded, deployment: servingDeployment(1), fault: new(unresolved(need("kry", "token"), v1alpha1.ReasonSecretNotFound, "does not exist")),
			want: "True LedgerOpen: the connector's Pods have opened the ledger"},
		"the claim is not bound": {ledger: embedded, deployment: notYet, diagnosis: claim(corev1.ClaimPending, ""), want: "Unknown Progressing: PersistentVolumeClaim x-ledger is Pending"},
		"the claim is not bound, and it is said why": {ledger: embedded, deployment: notYet, diagnosis: claim(corev1.ClaimPending, "ProvisioningFailed: no class"),
			want: "Unknown Progressing: PersistentVolumeClaim x-ledger is Pending: ProvisioningFailed: no class"},
		"the claim is bound and no Pod is there yet": {ledger: embedded, deployment: notYet, diagnosis: claim(corev1.ClaimBound, ""), want: "Unknown Progressing: " + waitingFor},
		"the volume is gone while a Pod serves": {ledger: embedded, deployment: servingDeployment(1), diagnosis: claim(corev1.ClaimLost, ""), stalls: true,
			want: "False LedgerUnavailable: PersistentVolumeClaim x-ledger is Lost: the volume with the ledger is gone; bring the volume back, or restore a backup"},
		"scaled to zero":                      {ledger: dsn, deployment: servingDeployment(0), want: "Unknown ScaledToZero: the connector is scaled to zero: nobody has the ledger open"},
		"suspended, and serving":              {ledger: dsn, deployment: servingDeployment(2), suspended: true, want: "True LedgerOpen: the connector's Pods have opened the ledger"},
		"suspended, and its ledger not there": {ledger: dsn, deployment: notYet, suspended: true, diagnosis: diagnosis{text: "open ledger: no", ledgerFault: true}, want: "False LedgerUnavailable: open ledger: no"},
		"there is no Deployment, for another fault": {ledger: dsn, fault: &fault{reason: v1alpha1.ReasonNotOwned, message: "m", stalled: true},
			want: "Unknown NotApplied: there is no Deployment, so nobody has the ledger open: Ready says why"},
		"there is no Deployment, for a quota": {ledger: embedded, diagnosis: claim(corev1.ClaimPending, ""), fault: &fault{reason: v1alpha1.ReasonApplyFailed, message: "m"},
			want: "Unknown NotApplied: there is no Deployment, so nobody has the ledger open: Ready says why"},
		"suspended before anything was applied": {ledger: dsn, suspended: true, want: "Unknown Suspended: reconciling is suspended and there is no connector"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scope{brand: &v1alpha1.BrandConnector{}, deployment: tc.deployment, diagnosis: tc.diagnosis}
			s.brand.Spec.Ledger, s.brand.Spec.Suspend = tc.ledger, tc.suspended
			if tc.fault != nil {
				s.fault(*tc.fault)
			}
			c := ledgerReady(s)
			if diff := cmp.Diff(tc.want, string(c.Status)+" "+c.Reason+": "+c.Message); diff != "" {
				t.Errorf("LedgerReady (-want +got):\n%s", diff)
			}
			v, decides := ledgerLost(nil, s)
			if decides != tc.stalls || (decides && (v.ready != metav1.ConditionFalse || !v.stalled || v.reconciling || v.message != c.Message)) {
				t.Errorf("it decides on Ready: %v, %+v", decides, v)
			}
		})
	}
}

func TestALedgerThatTheClassGivesIsTheBrands(t *testing.T) {
	s := &scope{brand: &v1alpha1.BrandConnector{}, resolved: &v1alpha1.BrandConnector{}, deployment: servingDeployment(2)}
	s.resolved.Spec.Ledger.Postgres = &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "pg", Key: "dsn"}}
	s.fault(unresolved(render.Need{Source: render.SourceSecret, Name: "pg", Key: "dsn", Field: "f"}, v1alpha1.ReasonSecretKeyMissing, "has no key dsn"))
	if c := ledgerReady(s); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonSecretKeyMissing {
		t.Errorf("LedgerReady is %+v", c)
	}
}

func TestTheReasonIsInEachMessageThatWaitsForPods(t *testing.T) {
	const why = "container connector: ImagePullBackOff: image x: the registry does not have it"
	failed := servingDeployment(2)
	failed.Status.UpdatedReplicas = 1
	failed.Status.Conditions = append(failed.Status.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"})
	failed.Name = "xiaowang"
	rolling := servingDeployment(2)
	rolling.Status.UpdatedReplicas = 1
	gone := servingDeployment(2)
	gone.Status.Conditions = nil
	for name, tc := range map[string]struct {
		deployment *appsv1.Deployment
		policy     policy
		reason     string
		want       string
	}{
		"a rollout under way":             {rolling, rollingOut, v1alpha1.ReasonProgressing, "waiting for the rollout of Deployment xiaowang: " + why},
		"a Deployment that has too few":   {gone, unavailable, v1alpha1.ReasonProgressing, "waiting for Deployment xiaowang to become available: " + why},
		"a rollout past its deadline":     {failed, rolloutFailed, v1alpha1.ReasonRolloutFailed, "the new Pods of Deployment xiaowang do not become ready, and Pods that were ready before go on serving: " + why},
		"a rollout that is not past that": {rolling, rolloutFailed, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scope{brand: &v1alpha1.BrandConnector{}, deployment: tc.deployment, diagnosis: diagnosis{text: why}}
			s.key.Name = "xiaowang"
			v, _ := tc.policy(nil, s)
			if diff := cmp.Diff([]string{tc.reason, tc.want}, []string{v.reason, v.message}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	s := &scope{deployment: &appsv1.Deployment{}, diagnosis: diagnosis{text: why}}
	if diff := cmp.Diff("there are not enough available Pods: "+why, workloadAvailable(s).Message); diff != "" {
		t.Errorf("WorkloadAvailable (-want +got):\n%s", diff)
	}
}

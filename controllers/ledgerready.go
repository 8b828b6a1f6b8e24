// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// ledgerReady is the condition LedgerReady. A Pod becomes ready only when it has opened
// its ledger; afterwards it stays so, whatever happens to a database, for a till that is
// refused at once is no better off than one that is told of a fault.
func ledgerReady(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionLedgerReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonProgressing}
	is := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		c.Status, c.Reason, c.Message = status, reason, message
		return c
	}
	unresolved, atFault := s.ledgerFault()
	claim := s.diagnosis.claim
	switch {
	case s.diagnosis.lost():
		return is(metav1.ConditionFalse, v1alpha1.ReasonLedgerUnavailable,
			"PersistentVolumeClaim "+claim.name+" is Lost: the volume with the ledger is gone; bring the volume back, or restore a backup")
	case atFault:
		return is(metav1.ConditionFalse, unresolved.reason, unresolved.message)
	case available(s) && s.deployment.Spec.Replicas != nil && *s.deployment.Spec.Replicas == 0:
		return is(metav1.ConditionUnknown, v1alpha1.ReasonScaledToZero, "the connector is scaled to zero: nobody has the ledger open")
	case available(s):
		return is(metav1.ConditionTrue, v1alpha1.ReasonLedgerOpen, "the connector's Pods have opened the ledger")
	case s.diagnosis.ledgerFault:
		return is(metav1.ConditionFalse, v1alpha1.ReasonLedgerUnavailable, s.diagnosis.text)
	case s.deployment == nil && s.brand.Spec.Suspend:
		return is(metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "reconciling is suspended and there is no connector")
	case s.hasNone():
		return is(metav1.ConditionUnknown, v1alpha1.ReasonNotApplied, "there is no Deployment, so nobody has the ledger open: Ready says why")
	case claim != nil && claim.phase == corev1.ClaimPending:
		c.Message = "PersistentVolumeClaim " + claim.name + " is Pending"
		if claim.text != "" {
			c.Message += ": " + claim.text
		}
		return c
	}
	c.Message = s.diagnosis.after("waiting for the connector's Pods to open the ledger")
	return c
}

// ledgerFault is the fault of the Secret with the ledger's DSN, if it has one.
func (s *scope) ledgerFault() (fault, bool) {
	p := s.spec().Ledger.Postgres
	if p == nil {
		return fault{}, false
	}
	for _, f := range s.faults {
		if f.source == render.SourceSecret && f.object == p.DSNSecretRef.Name && (f.key == "" || f.key == p.DSNSecretRef.Key) {
			return f, true
		}
	}
	return fault{}, false
}

// ledgerLost makes a brand whose ledger is gone not ready, even while a Pod still has the
// volume: the next start would have no proof of what members were charged.
func ledgerLost(_ *Reconciler, s *scope) (verdict, bool) {
	c := ledgerReady(s)
	return verdict{ready: metav1.ConditionFalse, reason: c.Reason, message: c.Message, stalled: true}, s.diagnosis.lost()
}

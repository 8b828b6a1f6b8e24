// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// verdict is what a brand's state amounts to.
type verdict struct {
	ready           metav1.ConditionStatus
	reason, message string
	// reconciling: it is on its way by itself. stalled: somebody has to act. Never
	// both, and neither when ready; this is what kstatus reads.
	reconciling, stalled bool
}

// policy looks at one thing, and has a verdict if that decides.
type policy func(*Reconciler, *scope) (verdict, bool)

// readiness is the definition of Ready: the first policy with a verdict decides.
var readiness = []policy{
	suspended,
	ledgerLost,
	faulty,
	heldUp,
	rolloutFailed,
	rollingOut,
	unavailable,
	notExposed,
	serving,
}

func suspended(_ *Reconciler, s *scope) (verdict, bool) {
	if !s.brand.Spec.Suspend {
		return verdict{}, false
	}
	v := verdict{ready: metav1.ConditionTrue, reason: v1alpha1.ReasonSuspended,
		message: "reconciling is suspended; the connector serves what was applied last"}
	if c := deploymentCondition(s.deployment, appsv1.DeploymentAvailable); c == nil || c.Status != corev1.ConditionTrue {
		v.ready, v.stalled = metav1.ConditionFalse, true
		v.message = "reconciling is suspended and the connector is not available: set spec.suspend to false"
	}
	return v, true
}

func faulty(_ *Reconciler, s *scope) (verdict, bool) {
	if len(s.faults) == 0 {
		return verdict{}, false
	}
	f := s.faults[0]
	for _, other := range s.faults {
		if other.stalled { // what somebody has to mend comes before what passes
			f = other
			break
		}
	}
	v := verdict{ready: metav1.ConditionFalse, reason: f.reason, message: f.message, stalled: f.stalled, reconciling: !f.stalled}
	if more := len(s.faults) - 1; more > 0 {
		v.message += fmt.Sprintf(" (and %d more)", more)
	}
	return v, true
}

// heldUp is a brand whose own change waits for the platform's roll-out. One that waits for
// the platform's change alone serves what its team asked for, and is ready.
func heldUp(_ *Reconciler, s *scope) (verdict, bool) {
	if s.hold == nil || !s.hold.spec {
		return verdict{}, false
	}
	return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonRolloutPending, reconciling: true,
		message: "the change goes out with one of the platform's, which waits: " + waitsFor(s.hold)}, true
}

// waitsFor says what a brand that is held waits for.
func waitsFor(h *hold) string {
	switch h.phase {
	case rollout.Canaries:
		return "the canaries have not been available for long enough"
	case rollout.Halted:
		return "its roll-out is halted, because brands that took it up did not become available; see the platform team"
	case rollout.Paused:
		return "the platform team has paused it"
	default:
		return "as many brands as may restart at a time do so"
	}
}

// upToDate says whether the brand runs what the platform makes of it now.
func upToDate(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionUpToDate}
	switch {
	case s.brand.Spec.Suspend:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonSuspended, "reconciling is suspended: nobody compares"
	case s.hold != nil:
		c.Status, c.Reason = metav1.ConditionFalse, v1alpha1.ReasonRolloutPending
		// Not what it waits for: this changes while nobody looks at the brand.
		c.Message = "a change of the platform waits for this brand's turn"
		if class := s.platform.name(); class != "" {
			c.Message += ": see ConnectorClass " + class
		}
	case s.applied || s.isDeployed():
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonCurrent, "the Pods are of the platform's newest revision"
	case s.deployment == nil:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotApplied, "there are no Pods: Ready says why"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotApplied, "the Pods are of what was applied last, and what is asked for now is not applied: Ready says why"
	}
	return c
}

// isDeployed says that the Deployment has the pod template that was rendered.
func (s *scope) isDeployed() bool {
	return s.output != nil && s.deployment != nil && s.deployment.Annotations[render.AnnotationTemplateHash] == s.output.TemplateHash
}

// hasNone says that there is no Deployment, and that one has to wait until a fault is
// mended.
func (s *scope) hasNone() bool { return s.deployment == nil && len(s.faults) > 0 }

func rolloutFailed(_ *Reconciler, s *scope) (verdict, bool) {
	if d := s.deployment; d == nil || d.Generation < s.appliedGeneration {
		return verdict{}, false
	}
	if !rolloutHasFailed(s.deployment) {
		return verdict{}, false
	}
	why := s.diagnosis.text
	if why == "" {
		why = "see kubectl describe pods -l app.kubernetes.io/instance=" + s.deployment.Name
	}
	return verdict{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonRolloutFailed, stalled: true,
		message: fmt.Sprintf("the new Pods of Deployment %s do not become ready, and Pods that were ready before go on serving: %s", s.deployment.Name, why)}, true
}

func rollingOut(_ *Reconciler, s *scope) (verdict, bool) {
	if rolledOut(s.deployment, s.appliedGeneration) {
		return verdict{}, false
	}
	return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonProgressing, reconciling: true,
		message: s.diagnosis.after("waiting for the rollout of Deployment " + s.key.Name)}, true
}

func unavailable(_ *Reconciler, s *scope) (verdict, bool) {
	if c := deploymentCondition(s.deployment, appsv1.DeploymentAvailable); c != nil && c.Status == corev1.ConditionTrue {
		return verdict{}, false
	}
	return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonProgressing, reconciling: true,
		message: s.diagnosis.after(fmt.Sprintf("waiting for Deployment %s to become available", s.key.Name))}, true
}

func serving(_ *Reconciler, s *scope) (verdict, bool) {
	v := verdict{ready: metav1.ConditionTrue, reason: v1alpha1.ReasonReady, message: "the connector serves"}
	if n := s.deployment.Spec.Replicas; n != nil && *n == 0 {
		v.message = "the connector is scaled to zero and serves nobody"
	}
	return v, true
}

// foldError says in the status that a reconcile failed, unless it is likely to pass with
// the next try and the status is true all the same: what a brand asks for now was applied
// before. The other conditions stay as they are, for not everything was looked at.
func (r *Reconciler) foldError(s *scope, err error) {
	refused := apierrors.APIStatus(nil)
	said := errors.As(err, &refused) && !passes(err)
	if !said && s.brand.Status.ObservedGeneration == s.brand.Generation {
		return
	}
	s.fault(fault{reason: v1alpha1.ReasonApplyFailed, message: steady(redacted(s.known, err.Error()), nil) + "; it is tried again"})
	r.judge(s)
	s.brand.Status.ObservedGeneration = s.brand.Generation
}

// passes says that the API server's answer to the next try may well be another one.
func passes(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err)
}

// judge decides on Ready, and on Reconciling and Stalled with it.
func (r *Reconciler) judge(s *scope) {
	for _, p := range readiness {
		if v, ok := p(r, s); ok {
			if !v.reconciling {
				// On the way there the number changes with every Pod, and each change
				// would be a write.
				s.brand.Status.Replicas = observedReplicas(s)
				r.keepObjects(s)
			}
			r.set(s, metav1.Condition{Type: v1alpha1.ConditionReady, Status: v.ready, Reason: v.reason, Message: v.message}, true)
			r.setWhileTrue(s, v1alpha1.ConditionReconciling, v.reconciling, v.reason, v.message)
			r.setWhileTrue(s, v1alpha1.ConditionStalled, v.stalled, v.reason, v.message)
			return
		}
	}
}

// fold turns what the phases found into conditions.
func (r *Reconciler) fold(s *scope) {
	r.judge(s)
	r.setWhileTrue(s, v1alpha1.ConditionSuspended, s.brand.Spec.Suspend, v1alpha1.ReasonSuspended, "spec.suspend is true")
	if !s.brand.Spec.Suspend {
		r.set(s, credentialsResolved(s), true)
	}
	r.set(s, ledgerReady(s), true)
	r.set(s, workloadAvailable(s), true)
	r.set(s, upToDate(s), true)
	r.set(s, r.exposed(s), true)
	s.brand.Status.ObservedGeneration = s.brand.Generation
	s.brand.Status.LastHandledReconcileAt = s.brand.Annotations[v1alpha1.AnnotationReconcileRequestedAt]
}

func observedReplicas(s *scope) int32 {
	if s.deployment == nil {
		return 0
	}
	return s.deployment.Status.Replicas
}

func credentialsResolved(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionCredentialsResolved, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonResolved, Message: "everything that is referred to is there"}
	if f, ok := s.faultOf(c.Type); ok {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, f.reason, f.message
	}
	return c
}

func workloadAvailable(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionWorkloadAvailable, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonWorkloadUnavailable, Message: s.diagnosis.after("there are not enough available Pods")}
	if s.hasNone() {
		c.Message = "there is no Deployment: Ready says why"
	}
	if s.deployment == nil {
		return c
	}
	// Its last word counts here, whatever generation it speaks of: old Pods serve.
	for _, d := range s.deployment.Status.Conditions {
		if d.Type == appsv1.DeploymentAvailable && d.Status == corev1.ConditionTrue {
			c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonWorkloadAvailable, "there are enough available Pods"
		}
	}
	return c
}

// maxMessage bounds a condition's message.
const maxMessage = 1024

// set sets a condition, or removes it when it does not apply.
func (r *Reconciler) set(s *scope, c metav1.Condition, applies bool) {
	if !applies {
		meta.RemoveStatusCondition(&s.brand.Status.Conditions, c.Type)
		return
	}
	if runes := []rune(c.Message); len(runes) > maxMessage {
		c.Message = string(runes[:maxMessage-1]) + "…"
	}
	c.ObservedGeneration = s.brand.Generation
	c.LastTransitionTime = metav1.NewTime(r.Clock.Now())
	meta.SetStatusCondition(&s.brand.Status.Conditions, c)
}

// setWhileTrue keeps a condition of negative polarity only while it is true.
func (r *Reconciler) setWhileTrue(s *scope, conditionType string, is bool, reason, message string) {
	r.set(s, metav1.Condition{Type: conditionType, Status: metav1.ConditionTrue, Reason: reason, Message: message}, is)
}

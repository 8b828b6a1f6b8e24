// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// observe reads the Deployment and the way in from the cache, and fills what the status
// says of them.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	var err error
	if s.deployment, err = r.cachedDeployment(ctx, s); err != nil {
		return err
	}
	if err := r.observeExposure(ctx, s); err != nil {
		return err
	}
	r.describe(s)
	r.observeRotation(s)
	return nil
}

// cachedDeployment is the brand's Deployment as the cache has it; nil when there is none,
// or it is somebody else's.
func (r *Reconciler) cachedDeployment(ctx context.Context, s *scope) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	own, err := r.own(ctx, s, d)
	if err != nil {
		return nil, fmt.Errorf("get the Deployment: %w", err)
	}
	if !own {
		return nil, nil
	}
	return d, nil
}

// own reads an object of the brand's name from the cache, and says whether it is the
// brand's.
func (r *Reconciler) own(ctx context.Context, s *scope, o client.Object) (bool, error) {
	err := r.Client.Get(ctx, s.key, o)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && metav1.IsControlledBy(o, s.brand), err
}

// describe fills the plain fields of the status.
func (r *Reconciler) describe(s *scope) {
	status := &s.brand.Status
	if !s.has(v1alpha1.ReasonClassNotFound) { // else what it served at stays
		status.Endpoints = render.Endpoints(s.whole())
	}
	if s.resolved != nil {
		status.Resolved = resolvedStatus(s)
	}
	status.Selector = labels.SelectorFromSet(render.SelectorLabels(s.brand)).String()
	if s.deployment != nil {
		status.ConfigRevision = s.deployment.Spec.Template.Annotations[render.AnnotationConfigRevision]
		status.Image = connectorImage(&s.deployment.Spec.Template.Spec)
	}
	if s.applied && s.hold == nil {
		// The cache may not have seen our own apply yet.
		status.ConfigRevision = s.output.ConfigRevision
		status.Image = s.output.Image()
	}
}

// resolvedStatus says what came of the brand and its class.
func resolvedStatus(s *scope) *v1alpha1.ResolvedStatus {
	spec := s.spec()
	out := &v1alpha1.ResolvedStatus{Ledger: spec.Ledger.String(), OTLPEndpoint: spec.Telemetry.OTLPEndpoint}
	if s.platform != nil {
		out.ConnectorClassName = s.platform.name()
	}
	if spec.Exposure != nil {
		out.Hostname = spec.Exposure.Hostname
	}
	if was := s.before.Status.Resolved; was != nil && s.has(v1alpha1.ReasonLedgerMoved) {
		out.Ledger = was.Ledger // the one that the brand must not lose
	}
	return out
}

func connectorImage(pod *corev1.PodSpec) string {
	for _, c := range pod.Containers {
		if c.Name == render.ContainerName {
			return c.Image
		}
	}
	return ""
}

// observeRotation ends the clock of a rotation when the Pods of its revision are
// available.
func (r *Reconciler) observeRotation(s *scope) {
	if rolledOut(s.deployment, s.appliedGeneration) {
		if took, ok := r.rotations.end(s.key, s.deployment.Spec.Template.Annotations[render.AnnotationConfigRevision], r.Clock.Now()); ok {
			r.Metrics.rotated(took)
		}
	}
}

// rolloutHasFailed says that the newest Pods did not become available in time.
func rolloutHasFailed(d *appsv1.Deployment) bool {
	c := deploymentCondition(d, appsv1.DeploymentProgressing)
	return c != nil && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
}

// rolledOut says that all Pods are of the applied template, available, and alone.
func rolledOut(d *appsv1.Deployment, appliedGeneration int64) bool {
	if d == nil || d.Generation < appliedGeneration || d.Status.ObservedGeneration < d.Generation {
		return false
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	return d.Status.UpdatedReplicas == want && d.Status.Replicas == want && d.Status.AvailableReplicas == want
}

// deploymentCondition finds a condition of a Deployment that speaks of its newest
// generation.
func deploymentCondition(d *appsv1.Deployment, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	if d == nil || d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == t {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

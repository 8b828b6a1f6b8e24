// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Rollout says how far a Deployment's newest template has come.
func Rollout(d *appsv1.Deployment) (verdict Verdict, say string) {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	switch {
	case s.ObservedGeneration < d.Generation:
		return Waits, "Kubernetes has not looked at it yet"
	case deadlineExceeded(d):
		return Bad, fmt.Sprintf("the new Pods did not become available in time (%d of %d were started)", s.UpdatedReplicas, want)
	case s.UpdatedReplicas < want:
		return Waits, fmt.Sprintf("%d of %d new Pods were started", s.UpdatedReplicas, want)
	case s.Replicas > s.UpdatedReplicas:
		return Waits, fmt.Sprintf("%d old Pods are to end", s.Replicas-s.UpdatedReplicas)
	case s.AvailableReplicas < want:
		return Waits, fmt.Sprintf("%d of %d Pods are available", s.AvailableReplicas, want)
	}
	return Good, fmt.Sprintf("%d of %d Pods are available", s.AvailableReplicas, want)
}

func deadlineExceeded(d *appsv1.Deployment) bool {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			return true
		}
	}
	return false
}

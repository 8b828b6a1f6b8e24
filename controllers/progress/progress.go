// SPDX-License-Identifier: Apache-2.0

// Package progress says how far a Deployment's newest generation has come. It is the one
// judgement of that: the operator draws conclusions from it, and kubectl hexiao puts it
// into words.
package progress

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Progress of a Deployment.
type Progress struct {
	// Seen is true when Kubernetes has looked at the newest generation. While it has not,
	// the rest is of an older one.
	Seen bool
	// Failed is true when the new Pods did not become available within the Deployment's
	// progressDeadlineSeconds. Pods that were available before go on serving.
	Failed bool
	// Want is the number of Pods that there should be, Total of those that there are.
	Want, Total int32
	// New is the number of Pods of the newest template, Available of those, of any
	// template, that are available.
	New, Available int32
}

// Of a Deployment.
func Of(d *appsv1.Deployment) Progress {
	p := Progress{
		Seen: d.Status.ObservedGeneration >= d.Generation,
		Want: 1, Total: d.Status.Replicas, New: d.Status.UpdatedReplicas, Available: d.Status.AvailableReplicas,
	}
	if d.Spec.Replicas != nil {
		p.Want = *d.Spec.Replicas
	}
	c := Condition(d, appsv1.DeploymentProgressing)
	p.Failed = c != nil && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
	return p
}

// Complete says that all Pods are of the newest template, available, and alone.
func (p Progress) Complete() bool {
	return p.Seen && p.New == p.Want && p.Total == p.Want && p.Available == p.Want
}

// Condition of a Deployment that speaks of its newest generation; nil when there is none
// yet.
func Condition(d *appsv1.Deployment, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	if d.Status.ObservedGeneration < d.Generation {
		return nil
	}
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == t {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

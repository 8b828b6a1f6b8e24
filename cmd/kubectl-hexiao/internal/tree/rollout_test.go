// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestARolloutInWords(t *testing.T) {
	tests := map[string]struct {
		change func(*appsv1.Deployment)
		want   Verdict
		say    string
	}{
		"it is complete":          {func(*appsv1.Deployment) {}, Good, "2 of 2 Pods are available"},
		"nobody has looked":       {func(d *appsv1.Deployment) { d.Generation++ }, Waits, "Kubernetes has not looked at it yet"},
		"a new Pod is missing":    {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, Waits, "1 of 2 new Pods were started"},
		"old Pods are left":       {func(d *appsv1.Deployment) { d.Status.Replicas = 4 }, Waits, "2 old Pods are to end"},
		"one is not available":    {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, Waits, "1 of 2 Pods are available"},
		"it was just scaled down": {func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(1)) }, Waits, "there are 2 Pods, and there should be 1"},
		"the new ones are too late": {func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas = 1
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
		}, Bad, "the new Pods did not become available in time (1 of 2 were started)"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{}
			d.Generation, d.Spec.Replicas = 3, new(int32(2))
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}
			tc.change(d)
			if got, say := Rollout(d); got != tc.want || say != tc.say {
				t.Errorf("got %v %q, want %v %q", got, say, tc.want, tc.say)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package progress_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/hexiao-dev/hexiao/controllers/progress"
)

func TestHowFarADeploymentHasCome(t *testing.T) {
	late := appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}
	tests := map[string]struct {
		change       func(*appsv1.Deployment)
		want         func(*progress.Progress)
		wantComplete bool
	}{
		"all Pods are new, available and alone": {func(*appsv1.Deployment) {}, func(*progress.Progress) {}, true},
		"nobody has looked at it":               {func(d *appsv1.Deployment) { d.Generation++ }, func(p *progress.Progress) { p.Seen = false }, false},
		"it says nothing of the number of Pods": {func(d *appsv1.Deployment) { d.Spec.Replicas = nil }, func(p *progress.Progress) { p.Want = 1 }, false},
		"a new Pod is missing":                  {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, func(p *progress.Progress) { p.New = 1 }, false},
		"an old Pod is left":                    {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, func(p *progress.Progress) { p.Total = 3 }, false},
		"a Pod is not available":                {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, func(p *progress.Progress) { p.Available = 1 }, false},
		"it was scaled down a moment ago":       {func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(1)) }, func(p *progress.Progress) { p.Want = 1 }, false},
		"the new Pods are late": {func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas = 1
			d.Status.Conditions = append(d.Status.Conditions, late)
		},
			func(p *progress.Progress) { p.New, p.Failed = 1, true }, false},
		"those of the generation before were late": {func(d *appsv1.Deployment) { d.Generation++; d.Status.Conditions = append(d.Status.Conditions, late) },
			func(p *progress.Progress) { p.Seen = false }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{}
			d.Generation, d.Spec.Replicas = 3, new(int32(2))
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2,
				Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}}
			tc.change(d)
			want := progress.Progress{Seen: true, Want: 2, Total: 2, New: 2, Available: 2}
			tc.want(&want)
			got := progress.Of(d)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			if got.Complete() != tc.wantComplete {
				t.Errorf("complete: %t", got.Complete())
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// patchDeployment as somebody else than the operator.
func (w *world) patchDeployment(name string, change func(*appsv1.Deployment)) {
	w.t.Helper()
	d := w.deployment(name)
	before := d.DeepCopy()
	change(d)
	must(w.t, api.Patch(w.t.Context(), d, client.MergeFrom(before)))
}

// An alert goes by this counter, and who counts what is not drift cries wolf.
func TestDriftIsCountedOnceAndNothingElseIs(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(w *world)
		want   map[string]int
		// mended says what is wrong until the operator has dealt with the change.
		mended func(w *world) string
	}{
		"somebody changes a Service": {
			func(w *world) {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				before := s.DeepCopy()
				s.Spec.Ports[0].TargetPort = intstr.FromInt32(81)
				must(w.t, api.Patch(w.t.Context(), s, client.MergeFrom(before)))
			}, map[string]int{"Service": 1},
			func(w *world) string {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				if port := s.Spec.Ports[0].TargetPort; port.IntValue() == 81 {
					return "the Service leads to the port of somebody else"
				}
				return ""
			},
		},
		"somebody changes the number of a Service's port": {
			func(w *world) {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				before := s.DeepCopy()
				s.Spec.Ports[0].Port = 8081
				must(w.t, api.Patch(w.t.Context(), s, client.MergeFrom(before)))
			}, map[string]int{"Service": 1},
			func(w *world) string {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				if len(s.Spec.Ports) != 1 || s.Spec.Ports[0].Port == 8081 {
					return fmt.Sprintf("the ports are %+v", s.Spec.Ports)
				}
				return ""
			},
		},
		"somebody changes the image of a Deployment": {
			func(w *world) {
				w.patchDeployment("xiaowang", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "evil" })
			}, map[string]int{"Deployment": 1},
			func(w *world) string {
				return same(testImage, w.deployment("xiaowang").Spec.Template.Spec.Containers[0].Image)
			},
		},
		"somebody restarts the Pods": {
			func(w *world) {
				w.patchDeployment("xiaowang", func(d *appsv1.Deployment) {
					metav1.SetMetaDataAnnotation(&d.Spec.Template.ObjectMeta, "kubectl.kubernetes.io/restartedAt", "now")
				})
			}, map[string]int{}, nil,
		},
		"somebody notes something on a Service": {
			func(w *world) {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				before := s.DeepCopy()
				metav1.SetMetaDataAnnotation(&s.ObjectMeta, "example.com/note", "seen")
				must(w.t, api.Patch(w.t.Context(), s, client.MergeFrom(before)))
			}, map[string]int{}, nil,
		},
		"the brand itself changes": {
			func(w *world) {
				w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Routes[0].Match.AssetMappingIDs = []string{"100002"} })
			}, map[string]int{}, nil,
		},
		"the number of Pods is changed in the brand": {
			func(w *world) {
				w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(3)) })
			}, map[string]int{},
			func(w *world) string { return same("3", fmt.Sprint(*w.deployment("xiaowang").Spec.Replicas)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := w.operator("drift")
			w.up(w.brand("xiaowang", w.ofShard("drift")))
			w.settled("xiaowang")
			tc.change(w)
			w.settled("xiaowang")
			if tc.mended != nil {
				w.eventually(func() string { return tc.mended(w) })
			}
			w.settled("xiaowang")
			w.settled("xiaowang")
			if diff := cmp.Diff(tc.want, o.sums(t, "hexiao_operator_drift_corrections_total", "kind")); diff != "" {
				t.Errorf("drift counted by kind (-want +got):\n%s", diff)
			}
		})
	}
}

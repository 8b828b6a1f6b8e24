// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// patchDeployment as somebody else than the operator.
func (w *world) patchDeployment(name string, change func(*appsv1.Deployment)) {
	w.t.Helper()
	d := w.deployment(name)
	before := d.DeepCopy()
	change(d)
	must(w.t, api.Patch(w.t.Context(), d, client.MergeFrom(before)))
}

// addTo a brand's Deployment a sidecar, a setting and a restart, in one write of a manager.
func (w *world) addTo(name, manager string) {
	w.t.Helper()
	d := w.deployment(name)
	before := d.DeepCopy()
	d.Spec.Template.Spec.HostNetwork = true
	d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, corev1.Container{Name: "sidecar", Image: "hexiao/sidecar:1"})
	metav1.SetMetaDataAnnotation(&d.ObjectMeta, "example.com/note", "seen")
	metav1.SetMetaDataAnnotation(&d.Spec.Template.ObjectMeta, "kubectl.kubernetes.io/restartedAt", "now")
	must(w.t, api.Patch(w.t.Context(), d, client.StrategicMergeFrom(before), client.FieldOwner(manager)))
}

// added says what of that is not as it should be.
func (w *world) added(name string, stays bool) string {
	w.t.Helper()
	d := w.deployment(name)
	is := fmt.Sprintf("host network %t, %d containers", d.Spec.Template.Spec.HostNetwork, len(d.Spec.Template.Spec.Containers))
	want := "host network false, 1 containers"
	if stays {
		want = "host network true, 2 containers"
	}
	if d.Annotations["example.com/note"] != "seen" || d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "now" {
		is += fmt.Sprintf(", and without a note or the restart: %v, %v", d.Annotations, d.Spec.Template.Annotations)
	}
	return same(want, is)
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
		"somebody adds to a Deployment with kubectl edit": {
			func(w *world) { w.addTo("xiaowang", "kubectl-edit") }, map[string]int{"Deployment": 1},
			func(w *world) string { return w.added("xiaowang", false) },
		},
		"a controller adds to a Deployment": {
			func(w *world) { w.addTo("xiaowang", "mesh-controller") }, map[string]int{},
			func(w *world) string { return w.added("xiaowang", true) },
		},
		"somebody adds to a Service with kubectl patch": {
			func(w *world) {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				before := s.DeepCopy()
				s.Spec.ExternalIPs = []string{"192.0.2.1"}
				must(w.t, api.Patch(w.t.Context(), s, client.MergeFrom(before), client.FieldOwner("kubectl-patch")))
			}, map[string]int{"Service": 1},
			func(w *world) string {
				s := &corev1.Service{}
				w.mustGet("xiaowang", s)
				return same("[]", fmt.Sprint(s.Spec.ExternalIPs))
			},
		},
		"somebody gives the service account pull secrets with kubectl patch": {
			func(w *world) {
				a := &corev1.ServiceAccount{}
				w.mustGet("xiaowang", a)
				before := a.DeepCopy()
				a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
				must(w.t, api.Patch(w.t.Context(), a, client.MergeFrom(before), client.FieldOwner("kubectl-patch")))
			}, map[string]int{},
			func(w *world) string {
				a := &corev1.ServiceAccount{}
				w.mustGet("xiaowang", a)
				return same("[{registry}]", fmt.Sprint(a.ImagePullSecrets))
			},
		},
		"somebody makes the ConfigMap immutable with kubectl patch": {
			func(w *world) {
				m := &corev1.ConfigMap{}
				w.mustGet("xiaowang", m)
				before := m.DeepCopy()
				m.Immutable = new(true)
				must(w.t, api.Patch(w.t.Context(), m, client.MergeFrom(before), client.FieldOwner("kubectl-patch")))
				w.settled("xiaowang")
			}, map[string]int{},
			func(w *world) string {
				_, problem := w.conditionNow("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
				return problem
			},
		},
		"a disruption budget goes and comes with the number of Pods": {
			func(w *world) {
				for _, n := range []int32{1, 2} {
					w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = &n })
					w.eventually(func() string {
						err := w.get("xiaowang", &policyv1.PodDisruptionBudget{})
						return same(fmt.Sprint(n < 2), fmt.Sprint(apierrors.IsNotFound(err)))
					})
				}
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

// Who pauses has a reason, and the brand's team has to know why its change does not arrive.
func TestOfADeploymentThatSomebodyPausedItIsSaid(t *testing.T) {
	w := newWorld(t)
	w.operator("pause")
	w.up(w.brand("xiaowang", w.ofShard("pause")))
	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	d.Spec.Paused = true
	must(t, api.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("kubectl-rollout")))
	w.secret("kry", map[string]string{"appKey": "a", "token": "new"})
	w.eventually(func() string {
		return same(
			"waiting for the rollout of Deployment xiaowang: somebody has paused the Deployment: kubectl -n "+w.namespace+" rollout resume deployment xiaowang",
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing).Message)
	})
	if !w.deployment("xiaowang").Spec.Paused {
		t.Error("the operator resumed it")
	}
}

// What an earlier pod template had and this one has not is nobody's but of who put it back.
func TestOfARollOutThatIsUndoneNothingStays(t *testing.T) {
	w := newWorld(t)
	w.operator("undo")
	w.up(w.brand("xiaowang", w.ofShard("undo"), func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.PodAnnotations = map[string]string{"example.com/old": "1"}
	}))
	old := w.deployment("xiaowang")
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Workload.PodAnnotations = map[string]string{"example.com/new": "1"}
	})
	w.rollOutNewest("xiaowang")
	w.settled("xiaowang")
	now := w.deployment("xiaowang")

	d := now.DeepCopy()
	d.Annotations, d.Spec.Template = old.Annotations, old.Spec.Template
	must(t, api.Patch(t.Context(), d, client.MergeFrom(now), client.FieldOwner("kubectl")))
	w.eventually(func() string {
		got := w.deployment("xiaowang")
		// The Pods start anew, in a trace of their own.
		got.Spec.Template.Annotations[render.AnnotationTraceParent] = now.Spec.Template.Annotations[render.AnnotationTraceParent]
		if diff := cmp.Diff(now.Spec.Template, got.Spec.Template); diff != "" {
			return "pod template (-before +after):\n" + diff
		}
		return ""
	})
	w.rests("xiaowang")
}

// An object that was put there from a file is the brand's, and has nothing that the operator
// applied.
func TestWhatIsInADeploymentThatSomebodyMadeAnewIsTakenAway(t *testing.T) {
	w := newWorld(t)
	w.operator("anew")
	w.up(w.brand("xiaowang", w.ofShard("anew")))
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true })
	w.settled("xiaowang")
	d := w.deployment("xiaowang")
	must(t, api.Delete(t.Context(), d.DeepCopy()))
	again := &appsv1.Deployment{ObjectMeta: w.meta("xiaowang"), Spec: d.Spec}
	again.Labels, again.Annotations, again.OwnerReferences = d.Labels, d.Annotations, d.OwnerReferences
	again.Spec.Template.Spec.Containers = append(again.Spec.Template.Spec.Containers, corev1.Container{Name: "sidecar", Image: "hexiao/sidecar:1"})
	must(t, api.Create(t.Context(), again, client.FieldOwner("kubectl-create")))
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = false })
	w.eventually(func() string {
		return same("1", fmt.Sprint(len(w.deployment("xiaowang").Spec.Template.Spec.Containers)))
	})
	w.rollOutNewest("xiaowang")
	w.rests("xiaowang")
}

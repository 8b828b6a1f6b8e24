// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// kept are what the cache keeps of each kind, by the Go type.
func kept(o cache.Options) map[string]cache.ByObject {
	kinds := map[string]cache.ByObject{}
	for object, by := range o.ByObject {
		kinds[fmt.Sprintf("%T", object)] = by
	}
	return kinds
}

func TestTheCacheHoldsTheOperatorsObjectsAlone(t *testing.T) {
	selector, err := labels.Parse("shard=a")
	must(t, err)
	o := controllers.CacheOptions(nil, selector, true, true)
	if !o.ReaderFailOnMissingInformer {
		t.Error("a read of what is not watched begins to watch it")
	}
	got := map[string]string{}
	for kind, by := range kept(o) {
		got[kind] = "all"
		if by.Label != nil {
			got[kind] = by.Label.String()
		}
	}
	ours := render.LabelManagedBy + "=" + render.ManagedBy
	want := map[string]string{
		"*v1alpha1.BrandConnector": "shard=a", "*v1alpha1.ConnectorClass": "all", "*v1.Secret": "all", "*v1.ConfigMap": "all",
		"*v1.Deployment": ours, "*v1.Service": ours, "*v1.ServiceAccount": ours, "*v1.PersistentVolumeClaim": ours, "*v1.PodDisruptionBudget": ours,
		"*v2.HorizontalPodAutoscaler": ours, "*v1.NetworkPolicy": ours, "*v1.Ingress": ours, "*v1.CronJob": ours, "*v1.HTTPRoute": ours,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels by kind (-want +got):\n%s", diff)
	}
	if len(o.DefaultNamespaces) > 0 {
		t.Errorf("the namespaces are %v, want all", o.DefaultNamespaces)
	}
	less := kept(controllers.CacheOptions([]string{"a", "b"}, selector, false, false))
	for _, kind := range []string{"*v1.HTTPRoute", "*v1alpha1.ConnectorClass"} {
		if _, ok := less[kind]; ok {
			t.Errorf("%s is watched, which the cluster does not serve or the operator may not read", kind)
		}
	}
	some := controllers.CacheOptions([]string{"a", "b"}, selector, false, false).DefaultNamespaces
	if _, a := some["a"]; !a || len(some) != 2 {
		t.Errorf("the namespaces are %v, want a and b", some)
	}
}

func TestWhatIsKeptOfAnObject(t *testing.T) {
	o := controllers.CacheOptions(nil, labels.Everything(), true, true)
	whole := metav1.ObjectMeta{
		Namespace: "brands", Name: "kry", UID: "1", ResourceVersion: "7", Generation: 3,
		Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "the token"},
		OwnerReferences: []metav1.OwnerReference{{Name: "owner"}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
	for _, kind := range []string{"*v1.Secret", "*v1.ConfigMap"} {
		t.Run(kind, func(t *testing.T) {
			transform := kept(o)[kind].Transform
			if transform == nil {
				t.Fatal("everything is kept")
			}
			got, err := transform(&metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "K"}, ObjectMeta: *whole.DeepCopy()})
			must(t, err)
			want := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: "K"}, ObjectMeta: metav1.ObjectMeta{
				Namespace: "brands", Name: "kry", UID: "1", ResourceVersion: "7", OwnerReferences: []metav1.OwnerReference{{Name: "owner"}}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			gone := toolscache.DeletedFinalStateUnknown{Key: "brands/kry", Obj: got}
			if after, err := transform(gone); err != nil || !cmp.Equal(gone, after) {
				t.Errorf("of a deletion that was missed: %v, %v", after, err)
			}
		})
	}
	t.Run("a Deployment", func(t *testing.T) {
		d := &appsv1.Deployment{ObjectMeta: *whole.DeepCopy()}
		d.Spec.Template.Spec = corev1.PodSpec{ServiceAccountName: "sa", Containers: []corev1.Container{{Name: "c", Image: "i", Args: []string{"long"}}}}
		got, err := kept(o)["*v1.Deployment"].Transform(d)
		must(t, err)
		want := &appsv1.Deployment{ObjectMeta: *whole.DeepCopy()}
		want.ManagedFields = nil
		want.Spec.Template.Spec = corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
	})
	t.Run("anything else", func(t *testing.T) {
		if o.DefaultTransform == nil {
			t.Fatal("the managed fields are kept")
		}
		got, err := o.DefaultTransform(&v1alpha1.BrandConnector{ObjectMeta: *whole.DeepCopy()})
		must(t, err)
		want := &v1alpha1.BrandConnector{ObjectMeta: *whole.DeepCopy()}
		want.ManagedFields = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
	})
	for kind, by := range kept(o) {
		own := map[string]bool{"*v1.Secret": true, "*v1.ConfigMap": true, "*v1.Deployment": true}
		if by.Transform != nil && !own[kind] {
			t.Errorf("%s has a transform of its own, so that the default one does not hold for it", kind)
		}
	}
}

func TestAReadOfWhatIsNotWatchedFails(t *testing.T) {
	mgr := idleManager(t)
	var pods corev1.PodList
	ctx := t.Context()
	go func() { _ = mgr.GetCache().Start(ctx) }()
	err := mgr.GetClient().List(ctx, &pods)
	if _, missing := err.(*cache.ErrResourceNotCached); !missing { //nolint:errorlint // it is the cache's own
		t.Errorf("a list of Pods from the cache: %v, want that they are not cached", err)
	}
}

func idleManager(t *testing.T) ctrl.Manager {
	t.Helper()
	scheme, err := controllers.Scheme()
	must(t, err)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(nil, labels.Everything(), true, true), Client: controllers.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"}, Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	must(t, err)
	return mgr
}

// observed is a manager that keeps what is added to it.
type observed struct {
	ctrl.Manager
	added []manager.Runnable
}

func (o *observed) Add(r manager.Runnable) error {
	o.added = append(o.added, r)
	return o.Manager.Add(r)
}

func TestTheControllerIsToldItsOptions(t *testing.T) {
	mgr := &observed{Manager: idleManager(t)}
	metrics, err := controllers.NewMetrics(prometheus.NewRegistry(), mgr.GetCache())
	must(t, err)
	r := controllers.New(controllers.Config{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Metrics: metrics, Classes: true,
		Installation: render.Installation{Image: testImage}})
	must(t, r.SetupWithManager(t.Context(), mgr, controllers.ControllerOptions{MaxConcurrentReconciles: 7, ReconciliationTimeout: 9 * time.Second}))

	found := map[string]bool{}
	for _, added := range mgr.added {
		c := reflect.Indirect(reflect.ValueOf(added))
		field := func(name string) any {
			if f := c.FieldByName(name); f.IsValid() {
				return f.Interface()
			}
			return nil
		}
		name, _ := field("Name").(string)
		found[name] = true
		if warm, _ := field("EnableWarmup").(*bool); name != "" && (warm == nil || !*warm) {
			t.Errorf("the controller %s of a standby does not fill its queue before it leads", name)
		}
		if name != "brandconnector" {
			continue
		}
		if got := field("MaxConcurrentReconciles"); got != 7 {
			t.Errorf("%v reconciles at once, want 7", got)
		}
		if got := field("ReconciliationTimeout"); got != 9*time.Second {
			t.Errorf("a reconcile may take %v, want 9s", got)
		}
	}
	if !found["brandconnector"] {
		t.Errorf("the controllers are %v, without brandconnector", found)
	}
	led := 0
	for _, added := range mgr.added {
		if e, ok := added.(manager.LeaderElectionRunnable); ok && e.NeedLeaderElection() {
			led++
		}
	}
	if led != len(mgr.added) {
		t.Errorf("%d of %d runnables write without leading", len(mgr.added)-led, len(mgr.added))
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// applyWhole is an apply that knows one owner of fields alone: what is there is replaced. The
// fake client's own knows no schema of a NetworkPolicy.
func applyWhole(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	want, live := &unstructured.Unstructured{}, &unstructured.Unstructured{}
	if err := want.UnmarshalJSON(raw); err != nil {
		return err
	}
	live.SetGroupVersionKind(want.GroupVersionKind())
	err = c.Get(ctx, client.ObjectKeyFromObject(want), live)
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(ctx, want)
	case err == nil:
		want.SetUID(live.GetUID())
		want.SetResourceVersion(live.GetResourceVersion())
		err = c.Update(ctx, want)
	}
	if err != nil {
		return err
	}
	if raw, err = want.MarshalJSON(); err != nil {
		return err
	}
	return json.Unmarshal(raw, o)
}

func TestACacheThatIsBehindOurOwnStatusIsWaitedFor(t *testing.T) {
	b := sampleBrand(t)
	var stale *v1alpha1.BrandConnector
	asked := 0
	r := against(t, b, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if brand, ok := o.(*v1alpha1.BrandConnector); ok && stale != nil {
				stale.DeepCopyInto(brand)
				return nil
			}
			asked++
			return c.Get(ctx, key, o, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			asked++
			return applyWhole(ctx, c, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			asked++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)}
	old, newest := &v1alpha1.BrandConnector{}, &v1alpha1.BrandConnector{}
	for _, into := range []*v1alpha1.BrandConnector{old, newest} {
		if err := r.Client.Get(t.Context(), request.NamespacedName, into); err != nil {
			t.Fatal(err)
		}
		if into == newest {
			break
		}
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if old.ResourceVersion == newest.ResourceVersion {
		t.Fatal("the first reconcile wrote no status: the test proves nothing")
	}

	stale, asked = old, 0
	result, err := r.Reconcile(t.Context(), request)
	if err != nil || result.RequeueAfter != conflictPause || asked > 0 {
		t.Errorf("with the object of before the write: %+v, %v and %d requests; want none, and to look again after %s", result, err, asked, conflictPause)
	}
	stale, asked = newest, 0
	if result, err := r.Reconcile(t.Context(), request); err != nil || result.RequeueAfter == conflictPause || asked == 0 {
		t.Errorf("with the object of the write: %+v, %v and %d requests; want a reconcile", result, err, asked)
	}
	r.statuses.forget(request.NamespacedName)
	stale, asked = old, 0
	if _, _ = r.Reconcile(t.Context(), request); asked == 0 {
		t.Error("a brand that was forgotten, and may have been made anew, is not looked at")
	}
}

func TestOnlyTheBrandsObjectsArePruned(t *testing.T) {
	b := sampleBrand(t)
	owner := func(uid types.UID, controls *bool) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindBrandConnector, Name: b.Name, UID: uid, Controller: controls}}
	}
	for name, tc := range map[string]struct {
		owners []metav1.OwnerReference
		gone   bool
	}{
		"the brand's": {owner(b.UID, new(true)), true},
		"nobody's, though with the operator's label": {nil, false},
		"that of a brand of this name before it":     {owner("2", new(true)), false},
		"one that the brand owns and does not run":   {owner(b.UID, nil), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := against(t, b, interceptor.Funcs{})
			ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name, UID: "9",
				Labels: map[string]string{render.LabelManagedBy: render.ManagedBy}, OwnerReferences: tc.owners}}
			if err := r.Client.Create(t.Context(), ingress); err != nil {
				t.Fatal(err)
			}
			s := &scope{brand: b, before: b, key: client.ObjectKeyFromObject(b), applied: true,
				output: &render.Output{Children: []render.Child{{Kind: render.IngressKind, Name: b.Name}}}}
			if err := r.prune(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(ingress), ingress)
			if apierrors.IsNotFound(err) != tc.gone {
				t.Errorf("afterwards: %v; want it gone: %t", err, tc.gone)
			}
		})
	}
}

// contents of the objects of a held kind, and of one that is not held.
func contents(t *testing.T, r *Reconciler, key client.ObjectKey) map[string]any {
	t.Helper()
	all := map[string]any{}
	for kind, name := range map[schema.GroupVersionKind]string{
		render.ConfigMapKind: key.Name, render.NetworkPolicyKind: key.Name, render.DeploymentKind: key.Name,
		render.CronJobKind: key.Name + "-reconciliation",
	} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(kind)
		if err := r.Client.Get(t.Context(), client.ObjectKey{Namespace: key.Namespace, Name: name}, u); err != nil {
			t.Fatal(err)
		}
		all[kind.Kind] = map[string]any{"spec": u.Object["spec"], "data": u.Object["data"]}
	}
	return all
}

func TestABrandThatIsHeldKeepsWhatItsPodsRead(t *testing.T) {
	b := sampleBrand(t)
	b.Spec.Reconciliation = &v1alpha1.ReconciliationSpec{Schedule: "0 3 * * *"}
	b.Spec.ConnectorClassName, b.Spec.Telemetry = "own", v1alpha1.TelemetrySpec{}
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "own", UID: "c", Generation: 1}}
	class.Spec.Image = "connector:1"
	first := against(t, b, interceptor.Funcs{Apply: applyWhole})
	if err := first.Client.Create(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	// As an operator of another version that comes after the first one.
	next := func(change func(*Config), paused bool) *Reconciler {
		c := first.Config
		c.Classes = true
		change(&c)
		live := &v1alpha1.ConnectorClass{}
		if err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(class), live); err != nil {
			t.Fatal(err)
		}
		live.Spec.Rollout.Paused = paused
		if err := c.Client.Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		return New(c)
	}
	key := client.ObjectKeyFromObject(b)
	reconcile := func(r *Reconciler) {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(next(func(*Config) {}, false))
	before := contents(t, first, key)

	change := func(c *Config) {
		c.Installation.ClientNamespaces = map[string]string{"team": "gateway"}
		live := &v1alpha1.ConnectorClass{}
		if err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(class), live); err != nil {
			t.Fatal(err)
		}
		live.Generation++
		live.Spec.Image = "connector:2"
		live.Spec.Telemetry = v1alpha1.TelemetrySpec{OTLPEndpoint: "http://otel:4318", SamplingPercent: new(int32(5)), LogLevel: "debug"}
		if err := c.Client.Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(next(change, true))
	if diff := cmp.Diff(before, contents(t, first, key)); diff != "" {
		t.Errorf("while the roll-out is paused (-before +after):\n%s", diff)
	}
	reconcile(next(func(c *Config) { c.Installation.ClientNamespaces = map[string]string{"team": "gateway"} }, false))
	for kind, content := range contents(t, first, key) {
		if cmp.Equal(before[kind], content) {
			t.Errorf("%s is the same when the brand may go: nothing of it was held", kind)
		}
	}
}

func TestWhatAHeldBrandHasIsNotPruned(t *testing.T) {
	b := sampleBrand(t)
	for kind, stays := range map[schema.GroupVersionKind]bool{
		render.CronJobKind: true, render.NetworkPolicyKind: true, render.BudgetKind: false, render.IngressKind: false,
	} {
		t.Run(kind.Kind, func(t *testing.T) {
			r := against(t, b, interceptor.Funcs{})
			u := &unstructured.Unstructured{Object: map[string]any{}}
			u.SetGroupVersionKind(kind)
			u.SetNamespace(b.Namespace)
			u.SetName(b.Name)
			u.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindBrandConnector, Name: b.Name, UID: b.UID, Controller: new(true)}})
			if err := r.Client.Create(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			s := &scope{brand: b, before: b, key: client.ObjectKeyFromObject(b), applied: true, hold: &hold{phase: rollout.Paused},
				output: &render.Output{Children: []render.Child{{Kind: kind, Name: b.Name}}}}
			if err := r.prune(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(u), u); (err == nil) != stays {
				t.Errorf("%v; want that it stays: %t", err, stays)
			}
		})
	}
}

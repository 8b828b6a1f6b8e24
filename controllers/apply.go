// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/ownership"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// apply brings every child that should exist to what was rendered.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	if s.output == nil {
		return nil
	}
	var errs []error
	all := true
	for _, child := range s.output.Children {
		if child.Apply == nil || !r.served(child.Kind) {
			continue
		}
		if child.Kind == render.DeploymentKind && !all {
			// A Pod must not start before what it mounts is as it should be.
			continue
		}
		child, wanted, err := r.whileHeld(ctx, s, child)
		if err == nil && !wanted {
			continue
		}
		if err == nil && child.Kind == render.NetworkPolicyKind {
			child, err = r.keepWaysOut(ctx, s, child)
		}
		var result application
		if err == nil {
			result, err = r.applier.apply(ctx, s.brand, child, additionsToTake(s, child.Kind))
		}
		if err == nil {
			if child.Kind == render.DeploymentKind {
				s.appliedGeneration = result.generation
				r.contests.leads(s.key, result.resourceVersion, s.noted)
			}
			continue
		}
		all = false
		if f, ok := applyFault(child, err); ok {
			s.fault(f)
		} else {
			errs = append(errs, err)
		}
	}
	s.applied = all
	if !all && s.appliedGeneration == 0 {
		r.fleet.forget(s.key) // its Pods do not start anew
	}
	if all && s.rotated {
		began := s.written
		if began.IsZero() {
			began = r.Clock.Now()
		}
		r.rotations.start(s.key, s.output.ConfigRevision, began)
	}
	return errors.Join(errs...)
}

// served is false for kinds that this cluster does not have.
func (r *Reconciler) served(kind schema.GroupVersionKind) bool {
	return kind != render.HTTPRouteKind || r.GatewayAPI
}

// applyFault says what a failed apply means to the user; false when it is likely to
// pass by itself.
func applyFault(child render.Child, err error) (fault, bool) {
	what := child.Kind.Kind + " " + child.Name
	var foreign *notOwnedError
	switch {
	case errors.As(err, &foreign):
		return fault{reason: v1alpha1.ReasonNotOwned, message: foreign.Error(), stalled: !foreign.passing, unwatched: true}, true
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		// It may be an admission policy that refuses, and policies are mended, too.
		return fault{reason: v1alpha1.ReasonInvalidSpec, stalled: true, unwatched: true,
			message: fmt.Sprintf("%s is refused by the API server: %s", what, firstLine(err.Error()))}, true
	case apierrors.IsForbidden(err):
		// A quota may grow and a role may be mended without the brand's doing.
		return fault{reason: v1alpha1.ReasonApplyFailed,
			message: fmt.Sprintf("%s is forbidden by the API server: %s", what, firstLine(err.Error()))}, true
	case errors.Is(err, errNothingApplied):
		return fault{reason: v1alpha1.ReasonApplyFailed, message: firstLine(err.Error())}, true
	default:
		return fault{}, false
	}
}

// notOwnedError says that an object of a child's name is somebody else's.
type notOwnedError struct {
	what, owner string
	// passing is true when it will be gone by itself.
	passing bool
}

func (e *notOwnedError) Error() string {
	if e.passing {
		return fmt.Sprintf("%s is still there from %s and is being deleted", e.what, e.owner)
	}
	return fmt.Sprintf("%s exists and belongs to %s: it is left alone; rename one of the two, or delete it", e.what, e.owner)
}

// applier applies children and remembers what it applied, so that an object which
// is as it was left costs no request.
type applier struct {
	client    client.Client
	apiReader client.Reader
	metrics   *Metrics
	// key of the digests in a brand's status.
	key []byte

	mu     sync.Mutex
	brands map[types.NamespacedName]map[objectID]application
}

// objectID is one of a brand's objects.
type objectID struct {
	kind schema.GroupVersionKind
	name string
}

// application is what the last apply of an object left.
type application struct {
	intent          string // digest of what was sent
	fingerprint     string // of what came back
	resourceVersion string
	uid             types.UID
	generation      int64
}

func newApplier(c client.Client, apiReader client.Reader, m *Metrics, key []byte) *applier {
	return &applier{client: c, apiReader: apiReader, metrics: m, key: key,
		brands: map[types.NamespacedName]map[objectID]application{}}
}

func (a *applier) forget(brand types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.brands, brand)
}

// drop forgets one object of a brand, which is to go: that it is made again later is no drift.
func (a *applier) drop(brand types.NamespacedName, id objectID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.brands[brand], id)
}

func (a *applier) recall(brand types.NamespacedName, id objectID) (application, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, ok := a.brands[brand][id]
	return last, ok
}

func (a *applier) remember(brand types.NamespacedName, id objectID, now application) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.brands[brand] == nil {
		a.brands[brand] = map[objectID]application{}
	}
	a.brands[brand][id] = now
}

// additions say which of the fields that people added to an object an apply takes away.
type additions int

const (
	noAdditions additions = iota
	// newAdditions are taken away where the object is not as the last apply left it, and
	// that same thing is applied again.
	newAdditions
	allAdditions
)

// additionsToTake says what goes of what people added to an object of a kind. What is applied to a
// Deployment that is held may be what the operator still owns of it, see heldDeployment; what
// people made their own is missing there, and cannot be put right before the brand's turn
// comes. What was added to a Deployment long ago goes only when its Pods start anew anyway, in
// their turn: a write that leaves the pod template alone must not restart a fleet.
func additionsToTake(s *scope, kind schema.GroupVersionKind) additions {
	switch {
	case s.hold != nil:
		return noAdditions
	case kind == render.DeploymentKind && !s.templateChanged:
		return newAdditions
	default:
		return allAdditions
	}
}

// apply applies one child unless it is as it was left.
func (a *applier) apply(ctx context.Context, brand *v1alpha1.BrandConnector, child render.Child, take additions) (application, error) {
	intent, err := toUnstructured(child.Apply)
	if err != nil {
		return application{}, err
	}
	key := client.ObjectKey{Namespace: brand.Namespace, Name: child.Name}
	live, err := a.live(ctx, child.Kind, key)
	if err != nil {
		return application{}, err
	}
	if live != nil {
		if err := checkOwner(brand, child, live); err != nil {
			return application{}, err
		}
	}
	id := objectID{kind: child.Kind, name: child.Name}
	sent := digest(intent.Object)
	last, known := a.recall(client.ObjectKeyFromObject(brand), id)
	if !known && live != nil {
		last, known = a.takeOver(brand, id, applicationOf(child.Kind, sent, live))
	}
	if known && last.intent == sent && live != nil && last.isCurrent(child.Kind, live) {
		a.metrics.applied(child.Kind.Kind, resultSkipped)
		return last, nil
	}
	if live != nil {
		again := known && last.intent == sent
		if err := a.prepare(ctx, child.Kind, key, intent, take == allAdditions || again && take == newAdditions); err != nil {
			return application{}, err
		}
	}
	err = a.send(ctx, intent)
	if apierrors.IsInvalid(err) && child.Kind == render.ServiceKind && live != nil {
		err = a.replacePorts(ctx, intent)
	}
	if err != nil {
		a.metrics.applied(child.Kind.Kind, resultFailed)
		return application{}, fmt.Errorf("apply %s %s: %w", child.Kind.Kind, child.Name, err)
	}
	now := applicationOf(child.Kind, sent, intent)
	// Not by the resourceVersion: the cache may be a status behind.
	changed := live == nil || now.fingerprint != fingerprint(child.Kind, live)
	if changed {
		a.metrics.applied(child.Kind.Kind, resultApplied)
	} else {
		a.metrics.applied(child.Kind.Kind, resultUnchanged)
	}
	if changed && known && last.intent == sent {
		a.metrics.driftCorrected(child.Kind.Kind)
	}
	a.remember(client.ObjectKeyFromObject(brand), id, now)
	return now, nil
}

// prepare an apply to an object that is there.
func (a *applier) prepare(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey, intent *unstructured.Unstructured, take bool) error {
	if take {
		if err := a.takeBack(ctx, kind, key); err != nil {
			return err
		}
	}
	switch kind {
	case render.DeploymentKind:
		return a.handOverReplicas(ctx, key, intent)
	case render.ClaimKind:
		return a.keepSize(ctx, key, intent)
	default:
		return nil
	}
}

// keepSize prepares an apply to a ledger's claim that somebody made larger.
func (a *applier) keepSize(ctx context.Context, key client.ObjectKey, intent *unstructured.Unstructured) error {
	live := &corev1.PersistentVolumeClaim{}
	if err := a.apiReader.Get(ctx, key, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	return render.KeepSize(intent, live.Spec.Resources.Requests)
}

func (a *applier) send(ctx context.Context, intent *unstructured.Unstructured) error {
	return a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(intent), client.FieldOwner(FieldManager), client.ForceOwnership)
}

// replacePorts puts a Service's ports right where somebody changed a port's number. The
// number is the key by which an apply merges the list: ours would come beside theirs, under
// the same name, which the API server refuses.
func (a *applier) replacePorts(ctx context.Context, intent *unstructured.Unstructured) error {
	ports, _, err := unstructured.NestedFieldNoCopy(intent.Object, "spec", "ports")
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ports": ports}})
	if err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: intent.GetNamespace(), Name: intent.GetName()}}
	if err := a.client.Patch(ctx, service, client.RawPatch(types.MergePatchType, patch), client.FieldOwner(FieldManager)); err != nil {
		return err
	}
	return a.send(ctx, intent)
}

// isCurrent says that an object is as the last apply left it, or that the cache has
// not seen that apply yet.
func (l application) isCurrent(kind schema.GroupVersionKind, live client.Object) bool {
	if l.uid != live.GetUID() {
		return false
	}
	if l.fingerprint == fingerprint(kind, live) {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(live.GetResourceVersion(), l.resourceVersion)
	return err == nil && order < 0
}

// live reads what the operator knows of an object: from the cache and, if it is not
// there, past it. The cache holds only objects with the operator's label; somebody
// else's object of the same name must be seen before it is written to.
func (a *applier) live(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) (client.Object, error) {
	cached := cachedObject(kind)
	err := a.client.Get(ctx, key, cached)
	if err == nil {
		return cached, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("get %s %s from the cache: %w", kind.Kind, key.Name, err)
	}
	var direct client.Object = &metav1.PartialObjectMetadata{}
	if kind == render.AutoscalerKind {
		direct = cachedObject(kind) // its fingerprint needs the spec
	}
	direct.GetObjectKind().SetGroupVersionKind(kind)
	err = a.apiReader.Get(ctx, key, direct)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s: %w", kind.Kind, key.Name, err)
	}
	return direct, nil
}

// cachedObject is an object of the representation in which a kind is watched: whole
// where the operator reads more than metadata.
func cachedObject(kind schema.GroupVersionKind) client.Object {
	switch kind {
	case render.DeploymentKind:
		return &appsv1.Deployment{}
	case render.HTTPRouteKind:
		return &gatewayv1.HTTPRoute{}
	case render.IngressKind:
		return &networkingv1.Ingress{}
	case render.AutoscalerKind:
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(kind)
		return u
	default:
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(kind)
		return m
	}
}

// checkOwner returns a *notOwnedError unless the object is the brand's.
func checkOwner(brand *v1alpha1.BrandConnector, child render.Child, live client.Object) error {
	foreign := &notOwnedError{what: child.Kind.Kind + " " + child.Name}
	if owner := metav1.GetControllerOf(live); owner != nil {
		if owner.UID == brand.UID {
			return nil
		}
		foreign.owner = owner.Kind + " " + owner.Name
		if owner.Kind == v1alpha1.KindBrandConnector && owner.Name == brand.Name {
			foreign.owner, foreign.passing = "a deleted BrandConnector of this name", true
		}
		return foreign
	}
	if child.Kind == render.ClaimKind && live.GetLabels()[render.LabelInstance] == brand.Name && live.GetLabels()[render.LabelManagedBy] == render.ManagedBy {
		if id := live.GetAnnotations()[render.AnnotationBrandID]; id != brand.Spec.BrandID {
			foreign.owner = "the ledger of brand " + id
			return foreign
		}
		return nil // a retained ledger is taken up again
	}
	foreign.owner = "nobody that the operator knows"
	return foreign
}

// takeBack prepares an apply that takes away what a person added to an object with
// kubectl.
func (a *applier) takeBack(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) error {
	if render.KeepsAdditions(kind) {
		return nil
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(kind)
	if err := a.apiReader.Get(ctx, key, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	moved, some, err := ownership.TakeBack(live.ManagedFields, FieldManager)
	if err != nil || !some {
		return err
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": moved},
		// A conflict, instead of owners as they were before somebody's next write.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.ResourceVersion},
	})
	if err != nil {
		return err
	}
	if err := a.client.Patch(ctx, live, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("take back what was added to %s %s: %w", kind.Kind, key.Name, err)
	}
	return nil
}

// handOverReplicas prepares an apply that no longer sets replicas, because an
// autoscaler took over. A field that its only owner stops applying is reset to its
// default, one Pod; so somebody else has to own it first, with the value that it has.
func (a *applier) handOverReplicas(ctx context.Context, key client.ObjectKey, intent *unstructured.Unstructured) error {
	if _, set, _ := unstructured.NestedFieldNoCopy(intent.Object, "spec", "replicas"); set {
		return nil
	}
	live := &appsv1.Deployment{}
	if err := a.apiReader.Get(ctx, key, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	if live.Spec.Replicas == nil || !ownership.Applied(live.ManagedFields, FieldManager).Has(fieldpath.MakePathOrDie("spec", "replicas")) {
		return nil
	}
	keep := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": key.Name, "namespace": key.Namespace, "uid": string(live.UID)},
		"spec":     map[string]any{"replicas": int64(*live.Spec.Replicas)},
	}}
	keep.SetGroupVersionKind(render.DeploymentKind)
	err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(keep), client.FieldOwner(replicasManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("hand over the replicas of Deployment %s: %w", key.Name, err)
	}
	return nil
}

func toUnstructured(c runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("marshal an apply configuration: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(raw, &u.Object); err != nil {
		return nil, fmt.Errorf("unmarshal an apply configuration: %w", err)
	}
	return u, nil
}

// prune deletes children that should no longer exist, if they are the brand's. A
// ledger's claim is never deleted: who wants that says so in the object, and the
// garbage collector does it.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	if s.output == nil || !s.applied {
		return nil
	}
	var errs []error
	for _, child := range s.output.Children {
		if child.Apply != nil || child.Kind == render.ClaimKind || !r.served(child.Kind) || s.hold.keeps(child.Kind) {
			continue
		}
		r.applier.drop(s.key, objectID{kind: child.Kind, name: child.Name})
		live := cachedObject(child.Kind)
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: child.Name}, live)
		if apierrors.IsNotFound(err) || (err == nil && (!metav1.IsControlledBy(live, s.brand) || live.GetDeletionTimestamp() != nil)) {
			continue
		}
		if err == nil {
			uid := live.GetUID()
			err = client.IgnoreNotFound(r.Client.Delete(ctx, live, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground)))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("delete %s %s: %w", child.Kind.Kind, child.Name, err))
		}
	}
	return errors.Join(errs...)
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Scheme has the types that the operator reads.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, gatewayv1.Install} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build the scheme: %w", err)
		}
	}
	return scheme, nil
}

// ServesGatewayAPI says whether the cluster has HTTPRoutes.
func ServesGatewayAPI(mapper meta.RESTMapper) (bool, error) {
	_, err := mapper.RESTMapping(render.HTTPRouteKind.GroupKind(), render.HTTPRouteKind.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the Gateway API: %w", err)
	}
	return true, nil
}

// CacheOptions say what the operator keeps in memory: of its own objects those with
// its label, of everybody's Secrets and ConfigMaps the name and the version.
//
// A read of anything that is not watched is an error instead of a new watch: caching
// every Secret of a cluster by mistake then fails a test.
func CacheOptions(namespaces []string, brands labels.Selector, gatewayAPI, classes bool) cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy})}
	byObject := map[client.Object]cache.ByObject{
		&v1alpha1.BrandConnector{}:               {Label: brands},
		&appsv1.Deployment{}:                     {Label: ours.Label, Transform: slimDeployment},
		&corev1.Service{}:                        ours,
		&corev1.ServiceAccount{}:                 ours,
		&corev1.PersistentVolumeClaim{}:          ours,
		&policyv1.PodDisruptionBudget{}:          ours,
		&autoscalingv2.HorizontalPodAutoscaler{}: ours,
		&networkingv1.NetworkPolicy{}:            ours,
		&networkingv1.Ingress{}:                  ours,
		&batchv1.CronJob{}:                       ours,
		&corev1.Secret{}:                         {Transform: onlyVersion},
		&corev1.ConfigMap{}:                      {Transform: onlyVersion},
	}
	if gatewayAPI {
		byObject[&gatewayv1.HTTPRoute{}] = ours
	}
	if classes {
		byObject[&v1alpha1.ConnectorClass{}] = cache.ByObject{}
	}
	options := cache.Options{
		ReaderFailOnMissingInformer: true,
		DefaultTransform:            cache.TransformStripManagedFields(),
		ByObject:                    byObject,
	}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range namespaces {
			options.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	return options
}

// slimDeployment keeps what observe and keepTrace read.
func slimDeployment(in any) (any, error) {
	d, ok := in.(*appsv1.Deployment)
	if !ok {
		return in, nil
	}
	d.ManagedFields = nil
	var containers []corev1.Container
	for _, c := range d.Spec.Template.Spec.Containers {
		containers = append(containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	d.Spec.Template.Spec = corev1.PodSpec{Containers: containers}
	return d, nil
}

// onlyVersion keeps an object's name, version and owners.
func onlyVersion(in any) (any, error) {
	if tombstone, ok := in.(toolscache.DeletedFinalStateUnknown); ok {
		return tombstone, nil
	}
	m, ok := in.(*metav1.PartialObjectMetadata)
	if !ok {
		return in, nil
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: m.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion,
			OwnerReferences: m.OwnerReferences, DeletionTimestamp: m.DeletionTimestamp,
		},
	}, nil
}

// ClientOptions let unstructured reads come from the cache too.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{Unstructured: true}}
}

// Keys of the indexes from what is referred to, to the brands that refer to it.
var indexes = map[render.Source]string{
	render.SourceSecret:    ".spec.secrets",
	render.SourceConfigMap: ".spec.configMaps",
}

// ControllerOptions tune the controller.
type ControllerOptions struct {
	// MaxConcurrentReconciles is the number of brands reconciled at once.
	MaxConcurrentReconciles int
	// ReconciliationTimeout bounds one reconcile.
	ReconciliationTimeout time.Duration
	// PartOfFleet is true when there are brands that this operator does not see.
	PartOfFleet bool
}

// SetupWithManager watches brands, their objects and what they refer to.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, o ControllerOptions) error {
	for source, index := range indexes {
		err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.BrandConnector{}, index, func(obj client.Object) []string {
			return render.References(obj.(*v1alpha1.BrandConnector), source)
		})
		if err != nil {
			return fmt.Errorf("index brands by %s: %w", source, err)
		}
	}
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.BrandConnector{}, indexClass, classIndex)
	if err != nil {
		return fmt.Errorf("index brands by their class: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.BrandConnector{}, indexBrandID, brandIDIndex); err != nil {
		return fmt.Errorf("index brands by their number: %w", err)
	}
	if err := mgr.Add(r.fleet); err != nil {
		return fmt.Errorf("add the roll-outs: %w", err)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("brandconnector").
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.MaxConcurrentReconciles,
			ReconciliationTimeout:   o.ReconciliationTimeout,
			EnableWarmup:            new(true),
		}).
		For(&v1alpha1.BrandConnector{}, builder.WithPredicates(asked())).
		Owns(&appsv1.Deployment{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(unstructuredAutoscaler(), builder.WithPredicates(touched())).
		// Whole, for its status says whether a controller serves it.
		Owns(&networkingv1.Ingress{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesMetadata(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(claimsBrand), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, r.referrers(render.SourceSecret), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesMetadata(&corev1.ConfigMap{}, r.referrers(render.SourceConfigMap), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{}))
	for _, child := range []client.Object{
		&corev1.ConfigMap{}, &corev1.Service{}, &corev1.ServiceAccount{}, &policyv1.PodDisruptionBudget{},
		&networkingv1.NetworkPolicy{}, &batchv1.CronJob{},
	} {
		b = b.Owns(child, builder.OnlyMetadata, builder.WithPredicates(touched()))
	}
	b = b.Watches(&v1alpha1.BrandConnector{}, handler.EnqueueRequestsFromMapFunc(r.twins), builder.WithPredicates(cameOrWent()))
	b = b.WatchesRawSource(source.Channel(r.fleet.wake, &handler.EnqueueRequestForObject{}))
	if r.Classes {
		b = b.Watches(&v1alpha1.ConnectorClass{}, handler.EnqueueRequestsFromMapFunc(r.brandsOf), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	if r.GatewayAPI {
		b = b.Owns(&gatewayv1.HTTPRoute{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{}))
	}
	if err := b.Complete(r); err != nil || !r.Classes || o.PartOfFleet {
		return err
	}
	return r.setupClasses(mgr)
}

// classIndex is a brand's value in the index by class.
func classIndex(obj client.Object) []string {
	if name := obj.(*v1alpha1.BrandConnector).Spec.ConnectorClassName; name != "" {
		return []string{name}
	}
	return []string{noClass}
}

// brandsOf finds the brands of a class.
func (r *Reconciler) brandsOf(ctx context.Context, class client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, name := range indexed(class.GetName()) {
		requests = append(requests, r.listed(ctx, "naming a ConnectorClass", client.MatchingFields{indexClass: name})...)
	}
	return requests
}

// listed are the brands that a list has.
func (r *Reconciler) listed(ctx context.Context, which string, options ...client.ListOption) []reconcile.Request {
	var brands v1alpha1.BrandConnectorList
	if err := r.Client.List(ctx, &brands, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing brands", "which", which)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(brands.Items))
	for i := range brands.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&brands.Items[i])})
	}
	return requests
}

func unstructuredAutoscaler() client.Object { return cachedObject(render.AutoscalerKind) }

// asked lets through what a user changes: the spec, the labels, or a request to reconcile
// now.
func asked() predicate.Predicate {
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			const a = v1alpha1.AnnotationReconcileRequestedAt
			if !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) {
				return true // it may have become a canary
			}
			return e.ObjectOld.GetAnnotations()[a] != e.ObjectNew.GetAnnotations()[a]
		},
		CreateFunc:  func(event.CreateEvent) bool { return true },
		DeleteFunc:  func(event.DeleteEvent) bool { return true },
		GenericFunc: func(event.GenericEvent) bool { return true },
	})
}

// touched lets an update of a child through only when there may be something to set
// right: its status alone is no reason.
func touched() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		kind := e.ObjectNew.GetObjectKind().GroupVersionKind()
		return fingerprint(kind, e.ObjectOld) != fingerprint(kind, e.ObjectNew)
	}}
}

// claimsBrand finds the brand of a claim, which may have no owner, by its label.
func claimsBrand(_ context.Context, claim client.Object) []reconcile.Request {
	brand := claim.GetLabels()[render.LabelInstance]
	if brand == "" || claim.GetLabels()[render.LabelManagedBy] != render.ManagedBy {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: claim.GetNamespace(), Name: brand}}}
}

// referrers finds the brands that refer to an object, by themselves or by their class.
func (r *Reconciler) referrers(source render.Source) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, obj client.Object) []reconcile.Request {
		in := client.InNamespace(obj.GetNamespace())
		requests := r.listed(ctx, "referring to a "+string(source), in, client.MatchingFields{indexes[source]: obj.GetName()})
		if source != render.SourceSecret || !r.Classes {
			return requests
		}
		var classes v1alpha1.ConnectorClassList
		if err := r.Client.List(ctx, &classes, client.UnsafeDisableDeepCopy); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Listing the ConnectorClasses")
			return requests
		}
		for i := range classes.Items {
			if !slices.Contains(render.ClassSecrets(&classes.Items[i]), obj.GetName()) {
				continue
			}
			for _, name := range indexed(classes.Items[i].Name) {
				requests = append(requests, r.listed(ctx, "whose class refers to a Secret", in, client.MatchingFields{indexClass: name})...)
			}
		}
		return requests
	})
}

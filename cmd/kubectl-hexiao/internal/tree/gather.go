// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"cmp"
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Kinds that the operator does not make.
var (
	replicaSetKind    = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
	podKind           = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	endpointSliceKind = schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"}
	eventKind         = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
	ingressClassKind  = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "IngressClass"}
)

// Snapshot is a brand and what belongs to it. What is nil or empty is not there, unless
// it is among Hidden.
type Snapshot struct {
	Brand      *v1alpha1.BrandConnector
	Class      *v1alpha1.ConnectorClass
	Deployment *appsv1.Deployment
	Sets       []*appsv1.ReplicaSet
	Pods       []*corev1.Pod
	Service    *corev1.Service
	Endpoints  []*discoveryv1.EndpointSlice
	Autoscaler *autoscalingv2.HorizontalPodAutoscaler
	Budget     *policyv1.PodDisruptionBudget
	Ingress    *networkingv1.Ingress
	// IngressClass is looked up while the Ingress has no address.
	IngressClass *networkingv1.IngressClass
	Route        *gatewayv1.HTTPRoute
	Claim        *corev1.PersistentVolumeClaim
	CronJobs     []*batchv1.CronJob
	Events       []*corev1.Event
	// Hidden are the kinds that the caller may not read.
	Hidden []string
}

// Gather reads a brand's snapshot. What the caller may not read is left out and noted.
func Gather(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector) (*Snapshot, error) {
	s := &Snapshot{Brand: b}
	g := &gatherer{ctx: ctx, c: c, namespace: b.Namespace, s: s}
	s.Class = one[v1alpha1.ConnectorClass](g, live.ClassKind, cmp.Or(b.Spec.ConnectorClassName, v1alpha1.DefaultConnectorClass))
	s.Deployment = one[appsv1.Deployment](g, render.DeploymentKind, b.Name)
	s.Service = one[corev1.Service](g, render.ServiceKind, b.Name)
	s.Autoscaler = one[autoscalingv2.HorizontalPodAutoscaler](g, render.AutoscalerKind, b.Name)
	s.Budget = one[policyv1.PodDisruptionBudget](g, render.BudgetKind, b.Name)
	s.Ingress = one[networkingv1.Ingress](g, render.IngressKind, b.Name)
	if s.Ingress != nil && s.Ingress.Spec.IngressClassName != nil && len(s.Ingress.Status.LoadBalancer.Ingress) == 0 {
		s.IngressClass = one[networkingv1.IngressClass](g, ingressClassKind, *s.Ingress.Spec.IngressClassName)
	}
	s.Route = one[gatewayv1.HTTPRoute](g, render.HTTPRouteKind, b.Name)
	s.Claim = one[corev1.PersistentVolumeClaim](g, render.ClaimKind, render.LedgerClaimName(b))
	selector := labels.Set(render.SelectorLabels(b)).String()
	s.Sets = all[appsv1.ReplicaSet](g, replicaSetKind, metav1.ListOptions{LabelSelector: selector})
	s.Pods = all[corev1.Pod](g, podKind, metav1.ListOptions{LabelSelector: selector})
	s.Endpoints = all[discoveryv1.EndpointSlice](g, endpointSliceKind, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + b.Name})
	s.CronJobs = all[batchv1.CronJob](g, render.CronJobKind, metav1.ListOptions{
		LabelSelector: labels.Set{render.LabelName: render.JobAppName, render.LabelInstance: b.Name}.String()})
	s.Events = all[corev1.Event](g, eventKind, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
	return s, g.err
}

// gatherer reads one kind after the other until there is an error.
type gatherer struct {
	ctx       context.Context
	c         *live.Cluster
	namespace string
	s         *Snapshot
	err       error
}

// readable notes what may not be read; any other error ends the reading.
func (g *gatherer) readable(kind schema.GroupVersionKind, err error) bool {
	switch {
	case err == nil:
		return true
	case apierrors.IsForbidden(err):
		g.s.Hidden = append(g.s.Hidden, kind.Kind)
	default:
		g.err = fmt.Errorf("look at %s/%s: %w", g.namespace, g.s.Brand.Name, err)
	}
	return false
}

func one[T any](g *gatherer, kind schema.GroupVersionKind, name string) *T {
	if g.err != nil {
		return nil
	}
	namespace := g.namespace
	if kind == live.ClassKind || kind == ingressClassKind {
		namespace = ""
	}
	u, err := g.c.Get(g.ctx, kind, namespace, name)
	if !g.readable(kind, err) {
		return nil
	}
	out, err := live.As[T](u)
	g.readable(kind, err)
	return out
}

func all[T any](g *gatherer, kind schema.GroupVersionKind, o metav1.ListOptions) []*T {
	if g.err != nil {
		return nil
	}
	list, err := g.c.List(g.ctx, kind, g.namespace, o)
	if !g.readable(kind, err) {
		return nil
	}
	return typed[T](g, kind, list)
}

func typed[T any](g *gatherer, kind schema.GroupVersionKind, list []unstructured.Unstructured) []*T {
	out := make([]*T, 0, len(list))
	for i := range list {
		v, err := live.As[T](&list[i])
		if !g.readable(kind, err) {
			return nil
		}
		out = append(out, v)
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// exposure is what the cache has of a brand's way in.
type exposure struct {
	// route and ingress are the brand's own, or nil.
	route   *gatewayv1.HTTPRoute
	ingress *networkingv1.Ingress
	// certificate is true when the Secret that spec.exposure.tlsSecretRef names is there.
	certificate bool
}

// observeExposure reads the route or the Ingress from the cache. Of the Secret with the
// certificate it needs to know that it is there, which the cache's metadata say: the
// private key is never read.
func (r *Reconciler) observeExposure(ctx context.Context, s *scope) error {
	e := s.spec().Exposure
	if e == nil {
		return nil
	}
	if e.IngressClassName == "" {
		if !r.GatewayAPI {
			return nil
		}
		route := &gatewayv1.HTTPRoute{}
		if own, err := r.own(ctx, s, route); err != nil {
			return fmt.Errorf("get the HTTPRoute: %w", err)
		} else if own {
			s.exposure.route = route
		}
		return nil
	}
	ingress := &networkingv1.Ingress{}
	if own, err := r.own(ctx, s, ingress); err != nil {
		return fmt.Errorf("get the Ingress: %w", err)
	} else if own {
		s.exposure.ingress = ingress
	}
	if e.TLSSecretRef == nil {
		return nil
	}
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: e.TLSSecretRef.Name}, secret)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("look for the Secret with the certificate: %w", err)
	}
	s.exposure.certificate = err == nil
	return nil
}

// exposed is the condition Exposed.
func (r *Reconciler) exposed(s *scope) metav1.Condition {
	e := s.spec().Exposure
	c := metav1.Condition{Type: v1alpha1.ConditionExposed}
	is := func(status metav1.ConditionStatus, reason, message string) {
		c.Status, c.Reason, c.Message = status, reason, message
	}
	switch {
	case e == nil && s.resolved == nil:
		is(metav1.ConditionUnknown, v1alpha1.ReasonClassNotFound,
			"without its ConnectorClass it is not known how the brand is to be exposed; what was applied last stays")
	case e == nil:
		is(metav1.ConditionFalse, v1alpha1.ReasonClusterInternal,
			"spec.exposure is not set: the endpoints can be reached from inside the cluster only, and not by Keruyun")
	case e.IngressClassName != "":
		is(throughIngress(s, e))
	case !r.GatewayAPI:
		is(metav1.ConditionFalse, v1alpha1.ReasonNotExposed,
			"spec.exposure.gatewayRef needs the Gateway API, which this cluster does not serve: install its CRDs and restart the operator, or use spec.exposure.ingressClassName")
	default:
		is(throughGateway(s, e))
	}
	return c
}

// throughIngress says what there is to be seen of an Ingress. Its API has one sign that a
// controller serves it, an address in its status, and some controllers never give one.
func throughIngress(s *scope, e *v1alpha1.ExposureSpec) (status metav1.ConditionStatus, reason, message string) {
	switch {
	case e.TLSSecretRef != nil && !s.exposure.certificate:
		return metav1.ConditionFalse, v1alpha1.ReasonCertificateNotFound, fmt.Sprintf(
			"Secret %s, which spec.exposure.tlsSecretRef names, does not exist in this namespace: create it with the certificate of %s", e.TLSSecretRef.Name, e.Hostname)
	case s.exposure.ingress == nil || len(s.exposure.ingress.Status.LoadBalancer.Ingress) == 0:
		return metav1.ConditionUnknown, v1alpha1.ReasonAwaitingAddress, fmt.Sprintf(
			"no ingress controller has given Ingress %s an address: see that IngressClass %s exists and that its controller runs; some controllers serve and never give one",
			s.key.Name, e.IngressClassName)
	}
	return metav1.ConditionTrue, v1alpha1.ReasonExposed, fmt.Sprintf("Ingress %s has an address and serves %s", s.key.Name, e.Hostname)
}

func throughGateway(s *scope, e *v1alpha1.ExposureSpec) (status metav1.ConditionStatus, reason, message string) {
	problem, pending := routeProblem(s.exposure.route)
	switch {
	case pending:
		return metav1.ConditionUnknown, v1alpha1.ReasonNotExposed, problem
	case problem != "":
		return metav1.ConditionFalse, v1alpha1.ReasonRouteNotAccepted, problem
	}
	return metav1.ConditionTrue, v1alpha1.ReasonExposed, "Gateway " + e.GatewayRef.Name + " serves " + e.Hostname
}

// routeProblem says why a Gateway does not serve a route: nothing when it does, and
// pending when it has not answered yet.
func routeProblem(route *gatewayv1.HTTPRoute) (problem string, pending bool) {
	if route == nil || len(route.Status.Parents) == 0 {
		return "no Gateway controller has answered for the HTTPRoute yet", true
	}
	for _, parent := range route.Status.Parents {
		for _, t := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
			c := meta.FindStatusCondition(parent.Conditions, string(t))
			switch {
			case c == nil || c.ObservedGeneration < route.Generation:
				return "the Gateway controller has not looked at the HTTPRoute's newest generation yet", true
			case c.Status != metav1.ConditionTrue:
				return fmt.Sprintf("the Gateway does not serve the HTTPRoute (%s: %s): %s", t, c.Reason, c.Message), false
			}
		}
	}
	return "", false
}

// notExposed is a brand that is not reached as it asks to be. That of which nobody knows
// it does not decide: an Ingress whose controller gives no address would never be ready.
func notExposed(r *Reconciler, s *scope) (verdict, bool) {
	c := r.exposed(s)
	if c.Status == metav1.ConditionTrue || c.Reason == v1alpha1.ReasonClusterInternal || c.Reason == v1alpha1.ReasonAwaitingAddress {
		return verdict{}, false
	}
	v := verdict{ready: c.Status, reason: c.Reason, message: c.Message}
	// A route that is not accepted may wait for its Gateway, and a certificate for its
	// issuer; a cluster without the Gateway API waits for nothing.
	v.stalled = c.Reason == v1alpha1.ReasonNotExposed && c.Status == metav1.ConditionFalse
	v.reconciling = !v.stalled
	return v, true
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/hexiao-dev/hexiao/controllers/ownership"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// keepWaysOut leaves a brand's Pods every way out that they have until newer ones have taken
// their place. A NetworkPolicy holds for Pods that run: with the ways of a new DSN alone, those
// that serve would lose their ledger while the new ones start, and for good if the new DSN is
// wrong. What somebody else made of the policy is no way of theirs.
func (r *Reconciler) keepWaysOut(ctx context.Context, s *scope, child render.Child) (render.Child, error) {
	d, err := r.cachedDeployment(ctx, s)
	if err != nil || d == nil || d.Annotations[render.AnnotationTemplateHash] == s.output.TemplateHash && rolledOut(d, 0) {
		return child, err
	}
	if applied, err := r.applier.hasApplied(s.key, child); err != nil || applied {
		return child, err
	}
	live := &networkingv1.NetworkPolicy{}
	if err := r.APIReader.Get(ctx, client.ObjectKey{Namespace: s.key.Namespace, Name: child.Name}, live); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return child, nil
		}
		return child, fmt.Errorf("get NetworkPolicy %s: %w", child.Name, err)
	}
	if !metav1.IsControlledBy(live, s.brand) || !ownership.Applied(live.ManagedFields, FieldManager).Has(fieldpath.MakePathOrDie("spec", "egress")) {
		return child, nil
	}
	return withWaysOut(child, live.Spec.Egress)
}

// withWaysOut is a NetworkPolicy with the rules that it lacks at the end of its own.
func withWaysOut(child render.Child, rules []networkingv1.NetworkPolicyEgressRule) (render.Child, error) {
	raw, err := json.Marshal(child.Apply)
	if err != nil {
		return child, fmt.Errorf("marshal an apply configuration: %w", err)
	}
	var wanted networkingv1.NetworkPolicy
	wide := &networkingv1ac.NetworkPolicyApplyConfiguration{}
	for _, into := range []any{&wanted, wide} {
		if err := json.Unmarshal(raw, into); err != nil {
			return child, fmt.Errorf("read a NetworkPolicy: %w", err)
		}
	}
	for _, rule := range rules {
		if slices.ContainsFunc(wanted.Spec.Egress, func(w networkingv1.NetworkPolicyEgressRule) bool { return equality.Semantic.DeepEqual(w, rule) }) {
			continue
		}
		raw, err := json.Marshal(rule)
		if err != nil {
			return child, fmt.Errorf("marshal a rule: %w", err)
		}
		more := networkingv1ac.NetworkPolicyEgressRule()
		if err := json.Unmarshal(raw, more); err != nil {
			return child, fmt.Errorf("read a rule: %w", err)
		}
		wide.Spec.WithEgress(more)
	}
	child.Apply = wide
	return child, nil
}

// hasApplied says that the last apply of an object was of this very child.
func (a *applier) hasApplied(brand client.ObjectKey, child render.Child) (bool, error) {
	intent, err := toUnstructured(child.Apply)
	if err != nil {
		return false, err
	}
	last, known := a.recall(brand, objectID{kind: child.Kind, name: child.Name})
	return known && last.intent == digest(intent.Object), nil
}

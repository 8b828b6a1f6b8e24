// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Two BrandConnectors of one brand, each with a ledger of its own, know nothing of each
// other: a request that was redeemed by the one and is repeated at the other is charged
// again. Both are told so, in the condition BrandIDShared and in an event. Neither is
// stopped: a brand that moves exists twice for a while, and nobody may stop another team's
// brand by writing its number into an object in a namespace of his own.

// indexBrandID is the index from brands' numbers to their BrandConnectors.
const indexBrandID = ".spec.brandID"

func brandIDIndex(obj client.Object) []string {
	return []string{obj.(*v1alpha1.BrandConnector).Spec.BrandID}
}

// findTwin looks in the cache for another BrandConnector of the brand whose ledger is not
// known to be the same.
func (r *Reconciler) findTwin(ctx context.Context, s *scope) error {
	var brands v1alpha1.BrandConnectorList
	if err := r.Client.List(ctx, &brands, client.MatchingFields{indexBrandID: s.brand.Spec.BrandID}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the BrandConnectors of a brand: %w", err)
	}
	var twin string
	for i := range brands.Items {
		b := &brands.Items[i]
		if client.ObjectKeyFromObject(b) == s.key || !b.DeletionTimestamp.IsZero() || sameLedger(s.whole(), b) {
			continue
		}
		if b.Namespace == s.key.Namespace && (twin == "" || b.Name < twin) {
			twin = b.Name
		}
		s.twin = "a BrandConnector of another namespace"
	}
	if twin != "" {
		s.twin = "BrandConnector " + twin
	}
	return nil
}

// sameLedger says whether two brands are seen to record in one database: the same Secret
// and the same schema. Across namespaces nobody can see that.
func sameLedger(b, other *v1alpha1.BrandConnector) bool {
	ledger := b.Spec.Ledger.String()
	return b.Namespace == other.Namespace && strings.HasPrefix(ledger, "postgres:") && ledger == ledgerOf(other)
}

// ledgerOf a brand as its spec names it, or else as its class was found to.
func ledgerOf(b *v1alpha1.BrandConnector) string {
	if own := b.Spec.Ledger.String(); own != "" || b.Status.Resolved == nil {
		return own
	}
	return b.Status.Resolved.Ledger
}

// foldTwin tells what findTwin found. The other one is not named across namespaces: who
// may read one need not know of the other.
func (r *Reconciler) foldTwin(s *scope) {
	r.setWhileTrue(s, v1alpha1.ConditionBrandIDShared, s.twin != "", v1alpha1.ReasonSeparateLedgers, s.twin+
		" has the same spec.brandID, and a ledger that is not known to be this one's: a request that is repeated at the other one would be charged again. "+
		"Delete the one that is not needed; while a brand moves with its PostgreSQL database, nothing is to be done")
}

// twins are the BrandConnectors of the brand that one is of.
func (r *Reconciler) twins(ctx context.Context, brand client.Object) []reconcile.Request {
	return r.listed(ctx, "of the same brand", client.MatchingFields{indexBrandID: brand.(*v1alpha1.BrandConnector).Spec.BrandID})
}

// cameOrWent lets through what may give a brand a twin, or take it away.
func cameOrWent() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		is, was := e.ObjectNew.(*v1alpha1.BrandConnector), e.ObjectOld.(*v1alpha1.BrandConnector)
		return ledgerOf(is) != ledgerOf(was) || is.DeletionTimestamp.IsZero() != was.DeletionTimestamp.IsZero()
	}}
}

// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// LedgerMoves says whether a brand would come by another ledger than the one that its
// Deployment, of which these are the annotations, was made with, without its team's doing:
// what it redeemed would be forgotten. resolved is the brand with its class under it. A
// team that gives the ledger itself may name another database, but not another kind.
// Where there is no such Deployment, because somebody deleted it, the brand's status
// remembers.
func LedgerMoves(deployment map[string]string, brand, resolved *v1alpha1.BrandConnector) (was, is string, moves bool) {
	was, is = deployment[AnnotationLedger], resolved.Spec.Ledger.String()
	if status := brand.Status; was == "" && status.ConfigRevision != "" && status.Resolved != nil {
		was = status.Resolved.Ledger
	}
	if was == "" || was == is || is == "" {
		return was, is, false
	}
	kind := func(ledger string) string { k, _, _ := strings.Cut(ledger, ":"); return k }
	own := brand.Spec.Ledger.String() != ""
	return was, is, !own || kind(was) != kind(is)
}

// KeepSize gives a ledger's claim that is to be applied the size that it has, if somebody made it
// larger. No claim can shrink: the API server would refuse it, and with it everything else that
// the brand asks for.
func KeepSize(intent *unstructured.Unstructured, has corev1.ResourceList) error {
	path := []string{"spec", "resources", "requests", string(corev1.ResourceStorage)}
	text, _, err := unstructured.NestedString(intent.Object, path...)
	if err != nil {
		return fmt.Errorf("read the size of the ledger's claim: %w", err)
	}
	want, err := resource.ParseQuantity(text)
	if err != nil {
		return fmt.Errorf("read the size of the ledger's claim: %w", err)
	}
	if size := has.Storage(); size.Cmp(want) > 0 {
		return unstructured.SetNestedField(intent.Object, size.String(), path...)
	}
	return nil
}

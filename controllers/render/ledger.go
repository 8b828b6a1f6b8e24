// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

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

// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func TestALedgerMovesOnlyByItsTeamsHandAndNeverToAnotherKind(t *testing.T) {
	postgres := func(key string) v1alpha1.LedgerSpec {
		return v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: key}}}
	}
	embedded, none := v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}, v1alpha1.LedgerSpec{}
	tests := map[string]struct {
		was           string
		own, resolved v1alpha1.LedgerSpec
		want          bool
	}{
		"the class's stays":                          {"postgres:ledger/dsn", none, postgres("dsn"), false},
		"the class's is another one":                 {"postgres:ledger/dsn", none, postgres("other"), true},
		"the class's is of another kind":             {"postgres:ledger/dsn", none, embedded, true},
		"the team gives what the class gave":         {"postgres:ledger/dsn", postgres("dsn"), postgres("dsn"), false},
		"the team gives another database":            {"postgres:ledger/dsn", postgres("other"), postgres("other"), false},
		"the team gives another kind":                {"postgres:ledger/dsn", embedded, embedded, true},
		"a Deployment from before there were notes":  {"", none, postgres("dsn"), false},
		"nothing is known to move to":                {"postgres:ledger/dsn", none, none, false},
		"an embedded one that the class gives stays": {"embedded", none, embedded, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			brand := &v1alpha1.BrandConnector{Spec: v1alpha1.BrandConnectorSpec{Ledger: tc.own}}
			resolved := &v1alpha1.BrandConnector{Spec: v1alpha1.BrandConnectorSpec{Ledger: tc.resolved}}
			was, is, moves := render.LedgerMoves(map[string]string{render.AnnotationLedger: tc.was}, brand, resolved)
			if moves != tc.want || was != tc.was || is != tc.resolved.String() {
				t.Errorf("from %q to %q: %v, want %v", was, is, moves, tc.want)
			}
		})
	}
}

func TestALedgerIsRememberedWithoutItsDeployment(t *testing.T) {
	brand := &v1alpha1.BrandConnector{Status: v1alpha1.BrandConnectorStatus{
		ConfigRevision: "1", Resolved: &v1alpha1.ResolvedStatus{Ledger: "embedded"}}}
	resolved := &v1alpha1.BrandConnector{Spec: v1alpha1.BrandConnectorSpec{
		Ledger: v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}}}}}
	if was, _, moves := render.LedgerMoves(nil, brand, resolved); was != "embedded" || !moves {
		t.Errorf("a brand that ran on the embedded ledger: from %q: %v", was, moves)
	}
	brand.Status.ConfigRevision = ""
	if was, _, moves := render.LedgerMoves(nil, brand, resolved); was != "" || moves {
		t.Errorf("a brand of which nothing was applied yet: from %q: %v", was, moves)
	}
}

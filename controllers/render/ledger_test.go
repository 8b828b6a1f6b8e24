// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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

func TestALedgersClaimKeepsALargerSize(t *testing.T) {
	for name, tc := range map[string]struct{ asks, has, want string }{
		"it is as it is asked for":   {"1Gi", "1Gi", "1Gi"},
		"the brand asks for more":    {"2Gi", "1Gi", "2Gi"},
		"somebody made it larger":    {"1Gi", "3Gi", "3Gi"},
		"larger, in another unit":    {"1Gi", "1025Mi", "1025Mi"},
		"the same, in another unit":  {"1Gi", "1024Mi", "1Gi"},
		"a claim that asks for none": {"1Gi", "", "1Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			size := func(text string) map[string]any {
				return map[string]any{"spec": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": text}}}}
			}
			has := corev1.ResourceList{}
			if tc.has != "" {
				has[corev1.ResourceStorage] = resource.MustParse(tc.has)
			}
			intent := &unstructured.Unstructured{Object: size(tc.asks)}
			if err := render.KeepSize(intent, has); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(size(tc.want), intent.Object); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := render.KeepSize(&unstructured.Unstructured{Object: map[string]any{}}, nil); err == nil {
		t.Error("a claim that asks for no size is no error")
	}
}

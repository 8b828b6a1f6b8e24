// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
)

func TestAnIngressThatNobodyServesNamesItsClass(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*tree.Snapshot)
		want   string
	}{
		"its class is not there": {func(*tree.Snapshot) {}, "bad: there is no IngressClass nginx, so no controller serves it"},
		"its class is there": {func(s *tree.Snapshot) { s.IngressClass = &networkingv1.IngressClass{} },
			"waits: no controller has given it an address yet"},
		"its class may not be read": {func(s *tree.Snapshot) { s.Hidden = append(s.Hidden, "IngressClass") },
			"waits: no controller has given it an address yet"},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			s.Ingress.Status = networkingv1.IngressStatus{}
			s.Ingress.Spec.IngressClassName = new("nginx")
			tc.change(s)
			for _, n := range tree.Build(s, now).Root.Children {
				if n.Kind == "Ingress" {
					if diff := cmp.Diff(tc.want, string(n.Verdict)+": "+n.State); diff != "" {
						t.Errorf("(-want +got):\n%s", diff)
					}
				}
			}
		})
	}
}

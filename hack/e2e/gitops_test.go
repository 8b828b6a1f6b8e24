//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/hack/gitops"
)

// gitops applies what the GitOps guides tell to apply to the CRDs of Argo CD and Flux, and
// asks both tools' health what they make of the brands that serve.
func (s *story) gitops(t *testing.T) {
	s.brandsAreHealthy(t)
	applyManifests(t)
}

func applyManifests(t *testing.T) {
	crds, err := gitops.CRDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	names := make([]string, 0, len(crds))
	for _, crd := range crds {
		raw, err := yaml.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n")
		text.Write(raw)
		names = append(names, "crd/"+crd.Name)
	}
	t.Cleanup(func() { forget(t, names) })
	anywhere(t, text.String(), "apply", "--server-side", "-f", "-")
	eventually(t, "the CRDs are served", func() error { // kubectl wait fails on one without any condition
		_, err := command(t.Context(), "", kubectlProgram(), append([]string{"wait", "--for=condition=Established", "--timeout=10s"}, names...)...)
		return err
	})
	for _, name := range gitopsNamespaces {
		anywhere(t, "", "create", "namespace", name)
	}
	files, err := gitops.Files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		path := filepath.Join(root, f.Path)
		anywhere(t, "", "apply", "--server-side", "--validate=strict", "-f", path)
		anywhere(t, "", "diff", "--server-side", "-f", path) // fails when it would change anything
	}
	t.Logf("%d files were applied to %d CRDs", len(files), len(crds))
}

var gitopsNamespaces = []string{"argocd", "flux-system"}

// anywhere runs kubectl without the brands' namespace.
func anywhere(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), stdin, kubectlProgram(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forget deletes the CRDs, all their objects with them, and the namespaces.
func forget(t *testing.T, crds []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	for _, objects := range [][]string{crds, {"namespace", gitopsNamespaces[0], gitopsNamespaces[1]}} {
		if _, err := command(ctx, "", kubectlProgram(), append([]string{"delete", "--ignore-not-found", "--timeout=5m"}, objects...)...); err != nil {
			t.Error(err)
		}
	}
}

// brandsAreHealthy reads the brands by Flux's own code and by Argo CD's Lua.
func (s *story) brandsAreHealthy(t *testing.T) {
	ready(t, postgresBrand, embeddedBrand)
	script, err := os.ReadFile(filepath.Join(root, gitops.HealthScript))
	if err != nil {
		t.Fatal(err)
	}
	for _, brand := range []string{postgresBrand, embeddedBrand} {
		object := unstructured.Unstructured{}
		if err := object.UnmarshalJSON([]byte(kubectl(t, "get", "bc", brand, "-o", "json"))); err != nil {
			t.Fatal(err)
		}
		flux, err := gitops.Flux(object.Object)
		if err != nil || flux != status.CurrentStatus {
			t.Errorf("Flux reads %s as %s (%v), want %s", brand, flux, err, status.CurrentStatus)
		}
		argo, err := gitops.ArgoCD(t.Context(), string(script), object.Object)
		if err != nil || argo.Status != gitops.Healthy {
			t.Errorf("Argo CD shows %s as %+v (%v), want %s", brand, argo, err, gitops.Healthy)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// TestAnAPIServerTakesEveryManifest applies what the guides tell to apply, to the CRDs of
// the product, of Argo CD and of Flux: their schemas, their CEL rules, and no field that
// they do not have.
func TestAnAPIServerTakesEveryManifest(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	crds, err := CRDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join(root, "config/crd")}, CRDs: crds, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	loose, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api := client.WithFieldValidation(loose, metav1.FieldValidationStrict)
	for _, name := range []string{"argocd", "flux-system"} {
		if err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(o *unstructured.Unstructured) error {
		raw, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		return api.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.ApplyPatchType, raw), client.FieldOwner("kubectl"))
	}

	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, f := range files {
		t.Run(f.Path, func(t *testing.T) {
			for _, o := range f.Objects {
				kinds[o.GetKind()] = true
				if err := apply(o); err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
		})
	}
	for _, kind := range []string{"AppProject", "Application", "ApplicationSet", "GitRepository", "HelmRelease", "Kustomization", "ConfigMap"} {
		if !kinds[kind] {
			t.Errorf("no manifest has a %s: the test would not see a wrong one", kind)
		}
	}

	t.Run("a misspelt field is refused", func(t *testing.T) {
		for _, f := range files {
			for _, o := range f.Objects {
				if o.GetKind() == "ConfigMap" {
					continue
				}
				wrong := o.DeepCopy()
				if err := unstructured.SetNestedField(wrong.Object, "x", "spec", "syncPolicyy"); err != nil {
					t.Fatal(err)
				}
				if err := apply(wrong); err == nil || !strings.Contains(err.Error(), "syncPolicyy") {
					t.Errorf("%s %s of %s was taken with it (%v)", o.GetKind(), o.GetName(), f.Path, err)
				}
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// product is a tool whose CRDs the manifests of the guides must fit. Its module is used
// for these files alone: nothing of it is compiled, so it is not in go.mod.
type product struct {
	module, version string
	// sum is the module's, as go.sum would have it.
	sum string
	// files of the module that have the CRDs, beside other objects.
	files []string
}

// products are pinned here and nowhere else. To take a newer version, change version and
// sum (`go mod download -json` prints it) and run the tests.
var products = []product{
	{
		module: "github.com/argoproj/argo-cd/v3", version: "v3.6.1", sum: "h1:OmhqeKiR3C//awbFrhQqFdtRI+Qiv17j8vqm3UkMj/g=",
		files: []string{"manifests/crds/application-crd.yaml", "manifests/crds/applicationset-crd.yaml", "manifests/crds/appproject-crd.yaml"},
	},
	{ // Flux's own modules lack the HelmRelease; this one has all of Flux as it is released.
		module: "github.com/controlplaneio-fluxcd/flux-operator", version: "v0.59.0", sum: "h1:jByuiWYtjSJxucGHuz68tV0DeVFz5CYrKQYfxAwE7lE=",
		files: []string{"config/data/flux/v2.9.4/source-controller.yaml", "config/data/flux/v2.9.4/kustomize-controller.yaml", "config/data/flux/v2.9.4/helm-controller.yaml"},
	},
}

// CRDs are those of Argo CD (Application, ApplicationSet, AppProject) and of Flux (its
// sources, Kustomization, HelmRelease), as these projects release them. The modules are
// downloaded once for a machine.
func CRDs(ctx context.Context) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, p := range products {
		for _, file := range p.files {
			raw, err := p.read(ctx, file)
			if err != nil {
				return nil, err
			}
			found, err := definitions(raw)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", file, p.module, err)
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// definitions are the CRDs among the documents of a YAML file.
func definitions(raw []byte) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var found []*apiextensionsv1.CustomResourceDefinition
	for _, doc := range documents(raw) {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(doc, crd); err != nil {
			return nil, err
		}
		if crd.Kind == "CustomResourceDefinition" {
			found = append(found, crd)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("there is no CustomResourceDefinition")
	}
	return found, nil
}

func documents(raw []byte) [][]byte {
	return bytes.Split(append([]byte("\n"), raw...), []byte("\n---\n"))
}

// read reads a file of the product's module out of its archive, which is there even where
// the module's code needs a newer Go than ours.
func (p product) read(ctx context.Context, file string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", p.module+"@"+p.version)
	cmd.Dir = os.TempDir() // outside of our module: go.sum stays as it is
	out, runErr := cmd.Output()
	var got struct{ Zip, Sum, Error string }
	if err := json.Unmarshal(out, &got); err != nil || got.Zip == "" {
		return nil, fmt.Errorf("go mod download %s@%s: %w %s", p.module, p.version, errors.Join(runErr, err), got.Error)
	}
	if got.Sum != p.sum {
		return nil, fmt.Errorf("%s@%s has the sum %s, not %s as pinned in hack/gitops", p.module, p.version, got.Sum, p.sum)
	}
	archive, err := zip.OpenReader(got.Zip)
	if err != nil {
		return nil, fmt.Errorf("open the archive of %s: %w", p.module, err)
	}
	defer func() { _ = archive.Close() }() // it was only read
	f, err := archive.Open(p.module + "@" + p.version + "/" + strings.TrimPrefix(file, "/"))
	if err != nil {
		return nil, fmt.Errorf("%s of %s@%s: %w", file, p.module, p.version, err)
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

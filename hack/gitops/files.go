// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// HealthScript and ConfigMap are the health script and what is made from it, by their
// paths in the repository.
const (
	HealthScript = "config/argocd/health/health.lua"
	ConfigMap    = "config/argocd/health/argocd-cm.yaml"
)

// kinds have a health of their own in Argo CD.
var kinds = []string{"BrandConnector", "ConnectorClass"}

// configMap is the patch of Argo CD's argocd-cm that teaches it the script.
func configMap(script string) string {
	var out strings.Builder
	out.WriteString(`# Made from health.lua by hack/gitops.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/name: argocd-cm
    app.kubernetes.io/part-of: argocd
data:
`)
	for _, kind := range kinds {
		fmt.Fprintf(&out, "  resource.customizations.health.connect.hexiao.dev_%s: |\n", kind)
		for line := range strings.Lines(script) {
			if line != "\n" {
				line = "    " + line
			}
			out.WriteString(line)
		}
	}
	return out.String()
}

// File is a manifest that a guide tells its readers to apply.
type File struct {
	// Path in the repository, with slashes.
	Path string
	// Text is the whole file.
	Text string
	// Objects are its documents.
	Objects []*unstructured.Unstructured
}

// Files reads the manifests under config/argocd and config/flux. What is kustomize's own
// is left out. The root is the repository's.
func Files(root string) ([]File, error) {
	var all []File
	for _, dir := range []string{"config/argocd", "config/flux"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || d.Name() == "kustomization.yaml" {
				return err
			}
			f, err := read(root, path)
			if err == nil {
				all = append(all, f)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func read(root, path string) (File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return File{}, err
	}
	f := File{Path: filepath.ToSlash(rel), Text: string(raw)}
	for _, doc := range documents(raw) {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(doc, &o.Object); err != nil {
			return File{}, fmt.Errorf("%s: %w", f.Path, err)
		}
		if len(o.Object) > 0 {
			f.Objects = append(f.Objects, o)
		}
	}
	if len(f.Objects) == 0 {
		return File{}, fmt.Errorf("%s has no object", f.Path)
	}
	return f, nil
}

// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write config/argocd/health/argocd-cm.yaml and the manifests in docs/guides/gitops-*.md")

// guides quote what is under config, by directory.
var guides = map[string]string{
	"config/argocd/": "docs/guides/gitops-argocd.md",
	"config/flux/":   "docs/guides/gitops-flux.md",
}

// current compares a file with what it should be, or writes it.
func current(t *testing.T, path, want string) {
	t.Helper()
	full := filepath.Join(root, path)
	if *update {
		if err := os.WriteFile(full, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not current, run `go test ./hack/gitops -update` (-want +got):\n%s", path, diff)
	}
}

func TestTheConfigMapHasTheScript(t *testing.T) {
	script := healthScript(t)
	current(t, ConfigMap, configMap(script))
	raw, err := os.ReadFile(filepath.Join(root, ConfigMap))
	if err != nil {
		t.Fatal(err)
	}
	var cm struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(raw, &cm); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, kind := range kinds {
		want["resource.customizations.health.connect.hexiao.dev_"+kind] = script
	}
	if diff := cmp.Diff(want, cm.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// quoted is a link to a file followed by a block with its text.
var quoted = regexp.MustCompile("(?s)\\[`((?:config)/[a-z0-9./-]+)`\\]\\([^)]*\\)[^\n]*\n\n```(?:yaml|lua)\n(.*?)```\n")

func TestTheGuidesQuoteTheFilesAsTheyAre(t *testing.T) {
	for dir, guide := range guides {
		raw, err := os.ReadFile(filepath.Join(root, guide))
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		want := quoted.ReplaceAllStringFunc(string(raw), func(s string) string {
			m := quoted.FindStringSubmatchIndex(s)
			path := s[m[2]:m[3]]
			found = append(found, path)
			text, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Error(err)
			}
			return s[:m[4]] + string(text) + s[m[5]:]
		})
		current(t, guide, want)
		for _, path := range quotable(t, dir) {
			if !slices.Contains(found, path) {
				t.Errorf("%s does not quote %s", guide, path)
			}
		}
		if blocks := strings.Count(want, "```yaml\n") + strings.Count(want, "```lua\n"); blocks != len(found) {
			t.Errorf("%s has %d blocks of YAML and Lua and quotes %d files: a manifest belongs in a file under %s, so that it is checked", guide, blocks, len(found), dir)
		}
	}
}

// quotable are the files under a directory that a person writes.
func quotable(t *testing.T, dir string) []string {
	t.Helper()
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		if strings.HasPrefix(f.Path, dir) && f.Path != ConfigMap {
			paths = append(paths, f.Path)
		}
	}
	if dir == "config/argocd/" {
		paths = append(paths, HealthScript)
	}
	if len(paths) < 3 {
		t.Fatalf("found %d files under %s", len(paths), dir)
	}
	return paths
}

// TestKustomizeAddsTheHealthToArgoCDsOwnConfigMap builds the component over the
// ConfigMap that Argo CD is installed with.
func TestKustomizeAddsTheHealthToArgoCDsOwnConfigMap(t *testing.T) {
	theirs, err := products[0].read(t.Context(), "manifests/base/config/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	disk := filesys.MakeFsInMemory()
	write := func(path string, text []byte) {
		t.Helper()
		if err := disk.WriteFile(path, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"kustomization.yaml", "argocd-cm.yaml"} {
		raw, err := os.ReadFile(filepath.Join(root, "config/argocd/health", name))
		if err != nil {
			t.Fatal(err)
		}
		write("/health/"+name, raw)
	}
	write("/install/argocd-cm.yaml", theirs)
	write("/install/kustomization.yaml", []byte("namespace: argo\nresources: [argocd-cm.yaml]\ncomponents: [../health]\n"))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/install")
	if err != nil {
		t.Fatal(err)
	}
	if built.Size() != 1 {
		t.Fatalf("%d objects", built.Size())
	}
	var before struct{ Data map[string]string }
	if err := yaml.Unmarshal(theirs, &before); err != nil {
		t.Fatal(err)
	}
	got := built.Resources()[0]
	if got.GetNamespace() != "argo" {
		t.Errorf("namespace %q: the component must leave it to who installs Argo CD", got.GetNamespace())
	}
	want := before.Data
	if len(want) == 0 {
		t.Fatal("Argo CD's own ConfigMap has no data")
	}
	for _, kind := range kinds {
		want["resource.customizations.health.connect.hexiao.dev_"+kind] = healthScript(t)
	}
	if diff := cmp.Diff(want, got.GetDataMap()); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

// release is a chart of ours with values, wherever a manifest has one.
type release struct {
	chart  string
	values map[string]any
}

func releases(o *unstructured.Unstructured) []release {
	text := func(path ...string) string { s, _, _ := unstructured.NestedString(o.Object, path...); return s }
	values := func(path ...string) map[string]any {
		m, _, _ := unstructured.NestedMap(o.Object, path...)
		return m
	}
	switch o.GetKind() {
	case "HelmRelease":
		return []release{{text("spec", "chart", "spec", "chart"), values("spec", "values")}}
	case "Application":
		if strings.HasSuffix(text("spec", "source", "repoURL"), "/hexiao-dev/hexiao.git") {
			return []release{{text("spec", "source", "path"), values("spec", "source", "helm", "valuesObject")}}
		}
	}
	return nil
}

func TestTheChartsAreThereAndTakeTheValues(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		for _, o := range f.Objects {
			for _, r := range releases(o) {
				seen++
				if problem := misfit(r); problem != nil {
					t.Errorf("%s, %s %s: %v", f.Path, o.GetKind(), o.GetName(), problem)
				}
			}
		}
	}
	if seen < 4 {
		t.Errorf("found %d releases", seen)
	}
	if misfit(release{"charts/hexiao", map[string]any{"imagee": map[string]any{}}}) == nil {
		t.Error("a misspelt value was not seen")
	}
	if misfit(release{chart: "charts/hexiaoo"}) == nil {
		t.Error("a chart that does not exist was not seen")
	}
}

func misfit(r release) error {
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, r.chart, "values.schema.json"))
	if err != nil {
		return err
	}
	values := r.values
	if values == nil {
		values = map[string]any{}
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

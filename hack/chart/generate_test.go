// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

// checkout is the repository that the tests run in.
const checkout = repository("../..")

// TestACRDAppearsAndDisappears adds a second CRD, cluster-scoped, and takes it away again.
func TestACRDAppearsAndDisappears(t *testing.T) {
	there := repository(t.TempDir())
	for _, name := range []string{"charts", "config"} {
		must(t, os.CopyFS(there.path(name), os.DirFS(checkout.path(name))))
	}
	must(t, there.generate())
	before := files(t, there.path("charts"))
	raw, err := there.read("config/crd/connect.hexiao.dev_brandconnectors.yaml")
	must(t, err)
	second := strings.NewReplacer("brandconnector", "testkind", "BrandConnector", "TestKind", "scope: Namespaced", "scope: Cluster").Replace(string(raw))
	must(t, there.write("config/crd/connect.hexiao.dev_testkinds.yaml", second))
	must(t, there.generate())
	for _, chart := range []string{operatorChart, crdChart} {
		text, err := there.read(chart + "/templates/crd-testkinds.yaml")
		must(t, err)
		if !strings.Contains(string(text), "name: testkinds.connect.hexiao.dev") {
			t.Errorf("%s does not have the second CRD", chart)
		}
		about, err := there.read(chart + "/Chart.yaml")
		must(t, err)
		if !strings.Contains(string(about), "displayName: Test Kind") {
			t.Errorf("%s does not tell Artifact Hub of the second CRD", chart)
		}
	}
	must(t, os.Remove(there.path("config/crd/connect.hexiao.dev_testkinds.yaml")))
	must(t, there.generate())
	if diff := cmp.Diff(before, files(t, there.path("charts"))); diff != "" {
		t.Errorf("the second CRD has left something (-before +after):\n%s", diff)
	}
}

func TestACRDThatATemplateWouldMisreadIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"has braces":         "metadata:\n  annotations:\n    a: '{{ b }}'\n",
		"has no annotations": "metadata:\n  name: a\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := (crd{file: "a.yaml", text: text}).template(condition{keep: ".Values.keep"}); err == nil || !strings.HasPrefix(err.Error(), "a.yaml has ") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestRulesArePartedByTheScopeOfTheirResources(t *testing.T) {
	get := []string{"get", "list"}
	namespaced, cluster := split([]rbacv1.PolicyRule{
		{APIGroups: []string{"g"}, Resources: []string{"brands", "classes"}, Verbs: get},
		{APIGroups: []string{"g"}, Resources: []string{"classes/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: get},
	}, map[string]bool{"classes": true})
	wantNamespaced := []rbacv1.PolicyRule{
		{APIGroups: []string{"g"}, Resources: []string{"brands"}, Verbs: get},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: get},
	}
	wantCluster := []rbacv1.PolicyRule{
		{APIGroups: []string{"g"}, Resources: []string{"classes"}, Verbs: get},
		{APIGroups: []string{"g"}, Resources: []string{"classes/status"}, Verbs: []string{"patch"}},
	}
	if diff := cmp.Diff(wantNamespaced, namespaced); diff != "" {
		t.Errorf("of namespaces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantCluster, cluster); diff != "" {
		t.Errorf("of the cluster (-want +got):\n%s", diff)
	}
}

func TestAValueWithoutAMeaningIsRefused(t *testing.T) {
	if table, err := valuesTable([]byte("a:\n  b: 1\n")); err == nil || !strings.Contains(err.Error(), "a.b has no comment") {
		t.Errorf("got %q, %v", table, err)
	}
	want := "| value | default | meaning |\n| --- | --- | --- |\n| `a.b` | `{c: [1, 2]}` | One \\| two. |\n"
	table, err := valuesTable([]byte("a:\n  # -- One |\n  # two.\n  b: {c: [1,\n    2]}\n"))
	must(t, err)
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// files are the texts below a directory, by their paths in it.
func files(t *testing.T, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		relative, relErr := filepath.Rel(directory, path)
		found[filepath.ToSlash(relative)] = string(raw)
		if err == nil {
			err = relErr
		}
		return err
	}))
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

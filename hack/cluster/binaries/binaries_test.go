// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// testCache has a source whose name server is a program that builds at once.
func testCache(t *testing.T) Cache {
	t.Helper()
	c := Cache{Source: t.TempDir(), Directory: t.TempDir()}
	write(t, filepath.Join(c.Source, "coredns", "go.mod"), "module x\n\ngo 1.26.0\n\n// require github.com/coredns/coredns v9\n\nrequire ("+
		"\n\tgithub.com/coredns/coredns v1.2.3\n)\n\nreplace github.com/coredns/coredns => ./other\n")
	write(t, filepath.Join(c.Source, "coredns", "other", "go.mod"), "module github.com/coredns/coredns\n")
	write(t, filepath.Join(c.Source, "coredns", "go.sum"), "")
	write(t, filepath.Join(c.Source, "coredns", "main.go"), "package main\n\nfunc main() {}\n")
	return c
}

func ensure(t *testing.T, c Cache) string {
	t.Helper()
	paths, err := c.Ensure(t.Context(), "coredns")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(paths["coredns"]); err != nil {
		t.Fatal(err)
	}
	return paths["coredns"]
}

func TestEnsure(t *testing.T) {
	t.Run("builds once and tells the version in the path", func(t *testing.T) {
		c := testCache(t)
		path := ensure(t, c)
		if !strings.Contains(path, "coredns-v1.2.3-") {
			t.Errorf("path %s", path)
		}
		write(t, path, "kept")
		if content, _ := os.ReadFile(ensure(t, c)); string(content) != "kept" {
			t.Error("it was built again")
		}
	})
	t.Run("builds anew when a source changes", func(t *testing.T) {
		c := testCache(t)
		before := ensure(t, c)
		write(t, filepath.Join(c.Source, "coredns", "main.go"), "package main\n\nfunc main() { println() }\n")
		if ensure(t, c) == before {
			t.Error("the same path")
		}
	})
	t.Run("leaves nothing half built and shows what the compiler says", func(t *testing.T) {
		c := testCache(t)
		write(t, filepath.Join(c.Source, "coredns", "main.go"), "package main\n\nfunc main() { wrong }\n")
		_, err := c.Ensure(t.Context(), "coredns")
		if err == nil || !strings.Contains(err.Error(), "undefined: wrong") {
			t.Errorf("error %v", err)
		}
		found, globErr := filepath.Glob(filepath.Join(c.Directory, "*", "[^.]*"))
		if aside, asideErr := filepath.Glob(filepath.Join(c.Directory, "*", ".build-*")); len(aside) > 0 || asideErr != nil {
			t.Errorf("left aside: %v, %v", aside, asideErr)
		}
		if globErr != nil || len(found) != 0 {
			t.Errorf("left behind: %v, %v", found, globErr)
		}
	})
	t.Run("refuses a program that nobody builds", func(t *testing.T) {
		_, err := testCache(t).Ensure(t.Context(), "coredns", "kubeadm")
		if err == nil || !strings.Contains(err.Error(), `"kubeadm"`) {
			t.Errorf("error %v", err)
		}
	})
}

func TestUpstreams(t *testing.T) {
	source, err := SourceIn(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range upstreams {
		t.Run(u.directory+" has a version in its module", func(t *testing.T) {
			version, _, err := Cache{Source: source}.key(u)
			if err != nil || !strings.HasPrefix(version, "v") {
				t.Errorf("version %q, %v", version, err)
			}
		})
	}
}

func TestKubernetesVersion(t *testing.T) {
	want := "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if diff := cmp.Diff(want, kubernetesVersion("v1.36.3")); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
}

func TestTheOldestAPIServerIsThatOfTheCharts(t *testing.T) {
	source, err := SourceIn(".")
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(source, "kubernetes-oldest", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := requiredVersion(goMod, "k8s.io/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	for _, chart := range []string{"hexiao", "hexiao-crds"} {
		content, err := os.ReadFile(filepath.Join(source, "..", "..", "..", "charts", chart, "Chart.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if want := `kubeVersion: ">=` + strings.TrimPrefix(version, "v") + `-0"`; !strings.Contains(string(content), want) {
			t.Errorf("chart %s does not say %s", chart, want)
		}
	}
}

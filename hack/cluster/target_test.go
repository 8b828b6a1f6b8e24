// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/hack/cluster/native"
)

// existing is a target of which only one thing matters: whether it is there.
type existing struct {
	target
	name string
	yes  bool
}

func (e existing) Exists() bool { return e.yes }

func TestChoose(t *testing.T) {
	for name, tc := range map[string]struct {
		driver                         string
		kindThere, nativeThere, docker bool
		want                           string
	}{
		"kind where Docker answers":                              {docker: true, want: "kind"},
		"native where it does not":                               {want: "native"},
		"a native cluster that is there, whatever Docker":        {nativeThere: true, docker: true, want: "native"},
		"a cluster of kind that is there, even with Docker gone": {kindThere: true, want: "kind"},
		"native when asked for":                                  {driver: "native", docker: true, want: "native"},
		"kind when asked for":                                    {driver: "kind", nativeThere: true, want: "kind"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := options{driver: tc.driver}.choose(
				existing{name: "kind", yes: tc.kindThere}, existing{name: "native", yes: tc.nativeThere}, func() bool { return tc.docker })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.(existing).name); diff != "" {
				t.Errorf("driver (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("another driver is refused", func(t *testing.T) {
		if _, err := (options{driver: "minikube"}).choose(existing{}, existing{}, nil); err == nil || !strings.Contains(err.Error(), `"minikube": give kind or native`) {
			t.Errorf("error %v", err)
		}
	})
}

func TestTarget(t *testing.T) {
	root := t.TempDir()
	o := options{name: "x", driver: "native", root: root, repository: "."}
	for name, tc := range map[string]struct {
		kubeconfig string
		given      bool
	}{
		"somebody's KUBECONFIG is used as it is":               {kubeconfig: "/home/me/.kube/config", given: true},
		"our own KUBECONFIG still means our cluster":           {kubeconfig: filepath.Join(root, "x", "admin.kubeconfig")},
		"our own KUBECONFIG of kind still means our cluster":   {kubeconfig: filepath.Join(root, "kind-x", "kubeconfig")},
		"no KUBECONFIG means our cluster":                      {},
		"the KUBECONFIG of another cluster of ours is a given": {kubeconfig: filepath.Join(root, "y", "admin.kubeconfig"), given: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := o.target(t.Context(), func(string) string { return tc.kubeconfig }, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if _, given := got.(givenCluster); given != tc.given {
				t.Errorf("got %T", got)
			}
		})
	}
}

func TestGivenCluster(t *testing.T) {
	g := givenCluster{kubeconfig: "/home/me/.kube/config"}
	t.Run("up and down do nothing", func(t *testing.T) {
		if err := g.Up(t.Context()); err != nil {
			t.Error(err)
		}
		if err := g.Down(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("load says what to do", func(t *testing.T) {
		if err := g.Load(t.Context(), "connector.tar"); err == nil || !strings.Contains(err.Error(), "crane push connector.tar") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("exec says what to do", func(t *testing.T) {
		if _, err := g.Command(t.Context(), "true"); err == nil || !strings.Contains(err.Error(), "kubectl exec") {
			t.Errorf("error %v", err)
		}
	})
}

func TestEnvironment(t *testing.T) {
	got := environment(native.Info{Kubeconfig: "/it's/here", HostAddress: "10.200.0.1"})
	want := "export KUBECONFIG='/it'\\''s/here'\nexport HEXIAO_CLUSTER_HOST='10.200.0.1'\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestKindConfig(t *testing.T) {
	var parsed struct {
		Nodes []struct {
			ExtraMounts          []struct{ HostPath, ContainerPath string }
			KubeadmConfigPatches []string
		}
	}
	if err := yaml.Unmarshal([]byte(kindConfig("/cache/audit")), &parsed); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("/cache/audit", parsed.Nodes[0].ExtraMounts[0].HostPath); diff != "" {
		t.Errorf("mount (-want +got):\n%s", diff)
	}
	var patch any
	if err := yaml.UnmarshalStrict([]byte(parsed.Nodes[0].KubeadmConfigPatches[0]), &patch); err != nil {
		t.Error(err)
	}
}

func TestExitCode(t *testing.T) {
	failed := exec.CommandContext(t.Context(), "sh", "-c", "exit 7").Run()
	var exit *exec.ExitError
	if !errors.As(failed, &exit) {
		t.Fatalf("unexpected %v", failed)
	}
	for name, tc := range map[string]struct {
		err  error
		want int
	}{
		"the code of an executed command is passed on":  {childExit{exit}, 7},
		"a tool of ours that failed is a plain failure": {fmt.Errorf("build: %w", exit), 1},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, exitCode(tc.err)); diff != "" {
				t.Errorf("code (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMain(m *testing.M) {
	if err := os.Unsetenv("KUBECONFIG"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

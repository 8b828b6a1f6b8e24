// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
	"github.com/hexiao-dev/hexiao/hack/cluster/native"
	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

// A target is a cluster and the way it is made.
type target interface {
	Up(context.Context) error
	Down(context.Context) error
	// Ready returns nil where the cluster takes Pods.
	Ready(context.Context) error
	Load(ctx context.Context, tarball string) error
	Command(ctx context.Context, args ...string) (*exec.Cmd, error)
	Info() (native.Info, error)
	// Exists tells whether there is anything of the cluster, running or not.
	Exists() bool
}

// options of the command line.
type options struct{ name, driver, root, repository string }

// target decides which cluster the command is about.
func (o options) target(ctx context.Context, getenv func(string) string, out io.Writer) (target, error) {
	cache, err := binaries.DefaultDirectory()
	if err != nil {
		return nil, err
	}
	root := o.root
	if root == "" {
		root = filepath.Join(cache, "clusters")
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	source, err := binaries.SourceIn(o.repository)
	if err != nil {
		return nil, err
	}
	p := progress.Printer{To: out}
	programs := binaries.Cache{Source: source, Directory: filepath.Join(cache, "programs"), Progress: p}
	byNative := native.Cluster{Name: o.name, Root: root, Programs: programs, Progress: p}
	byKind := kindCluster{name: o.name, root: root, programs: programs, progress: p}
	if given := getenv("KUBECONFIG"); given != "" && given != byNative.Kubeconfig() && given != byKind.kubeconfig() {
		return givenCluster{kubeconfig: given, progress: p}, nil
	}
	return o.choose(byKind, byNative, func() bool { return dockerAnswers(ctx) })
}

// choose prefers what is asked for, then what is there, then what can be had.
func (o options) choose(byKind, byNative target, docker func() bool) (target, error) {
	switch {
	case o.driver == "kind":
		return byKind, nil
	case o.driver == "native":
		return byNative, nil
	case o.driver != "":
		return nil, fmt.Errorf("driver %q: give kind or native", o.driver)
	case byNative.Exists():
		return byNative, nil
	case byKind.Exists() || docker():
		return byKind, nil
	default:
		return byNative, nil
	}
}

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// environment is what a shell needs to work with a cluster.
func environment(info native.Info) string {
	var lines strings.Builder
	for _, variable := range []struct{ name, value string }{
		{"KUBECONFIG", info.Kubeconfig},
		{"HEXIAO_CLUSTER_AUDIT_LOG", info.AuditLog},
		{"HEXIAO_CLUSTER_HOST", info.HostAddress},
		{"HEXIAO_CLUSTER_NETNS", info.NetworkNamespace},
		{"HEXIAO_CLUSTER_KUBECTL", info.Kubectl},
	} {
		if variable.value != "" {
			fmt.Fprintf(&lines, "export %s='%s'\n", variable.name, strings.ReplaceAll(variable.value, "'", `'\''`))
		}
	}
	return lines.String()
}

// A givenCluster is somebody else's: it is used as it is.
type givenCluster struct {
	kubeconfig string
	progress   progress.Printer
}

func (g givenCluster) Up(context.Context) error {
	g.progress.Say("using the cluster of KUBECONFIG=%s as it is; unset KUBECONFIG for one of this machine's own", g.kubeconfig)
	return nil
}

func (g givenCluster) Down(context.Context) error {
	g.progress.Say("leaving the cluster of KUBECONFIG=%s as it is", g.kubeconfig)
	return nil
}

func (g givenCluster) Ready(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "kubectl", "get", "--raw", "/readyz")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the cluster of KUBECONFIG=%s does not answer: %w: %s", g.kubeconfig, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (g givenCluster) Load(_ context.Context, tarball string) error {
	return fmt.Errorf("load %s: the nodes of the cluster of KUBECONFIG=%s are not ours to write to: push the image to a registry that they pull from "+
		"(for instance `crane push %s REGISTRY/NAME:TAG`) and install with that image", tarball, g.kubeconfig, tarball)
}

func (g givenCluster) Command(context.Context, ...string) (*exec.Cmd, error) {
	return nil, errors.New("exec: the network of the cluster of KUBECONFIG is not on this machine: use `kubectl exec` or `kubectl port-forward`")
}

func (g givenCluster) Info() (native.Info, error) { return native.Info{Kubeconfig: g.kubeconfig}, nil }
func (g givenCluster) Exists() bool               { return true }

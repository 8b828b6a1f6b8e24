// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
	"github.com/hexiao-dev/hexiao/hack/cluster/native"
	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

// A kindCluster is made by kind, inside a container of a Docker engine.
type kindCluster struct {
	name, root string
	programs   binaries.Cache
	progress   progress.Printer
}

func (k kindCluster) directory() string  { return filepath.Join(k.root, "kind-"+k.name) }
func (k kindCluster) kubeconfig() string { return filepath.Join(k.directory(), "kubeconfig") }
func (k kindCluster) cluster() string    { return "hexiao-" + k.name }
func (k kindCluster) node() string       { return k.cluster() + "-control-plane" }

// Up creates the cluster unless it is there. kind removes what it half made by itself.
func (k kindCluster) Up(ctx context.Context) error {
	if k.Exists() && k.Ready(ctx) == nil {
		k.progress.Say("cluster %s runs already, by kind", k.name)
		return nil
	}
	if err := k.Down(ctx); err != nil {
		return err
	}
	audit := filepath.Join(k.directory(), "audit")
	config := filepath.Join(k.directory(), "kind.yaml")
	err := errors.Join(
		os.MkdirAll(audit, 0o755),
		os.WriteFile(filepath.Join(audit, "policy.yaml"), []byte(native.AuditPolicy), 0o644),
		os.WriteFile(config, []byte(kindConfig(audit)), 0o644),
	)
	if err != nil {
		return err
	}
	return k.progress.Step("creating cluster "+k.name+" by kind", func() error {
		return k.kind(ctx, "create", "cluster", "--config", config, "--kubeconfig", k.kubeconfig(), "--wait", "3m")
	})
}

func (k kindCluster) Down(ctx context.Context) error {
	if !k.Exists() {
		return nil
	}
	return errors.Join(k.kind(ctx, "delete", "cluster", "--kubeconfig", k.kubeconfig()), os.RemoveAll(k.directory()))
}

func (k kindCluster) Ready(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "docker", "exec", k.node(), "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf",
		"wait", "--for=condition=Ready", "--timeout=5s", "node", k.node())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster %s is not ready: %w: %s", k.name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (k kindCluster) Load(ctx context.Context, tarball string) error {
	if !k.Exists() {
		return native.ErrDown
	}
	return k.kind(ctx, "load", "image-archive", tarball)
}

// Command runs inside the node's container, whose programs it takes.
func (k kindCluster) Command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	if !k.Exists() {
		return nil, native.ErrDown
	}
	return exec.CommandContext(ctx, "docker", append([]string{"exec", "-i", "-e", "KUBECONFIG=/etc/kubernetes/admin.conf", k.node()}, args...)...), nil
}

func (k kindCluster) Info() (native.Info, error) {
	if !k.Exists() {
		return native.Info{}, native.ErrDown
	}
	info := native.Info{Kubeconfig: k.kubeconfig(), AuditLog: filepath.Join(k.directory(), "audit", "audit.log")}
	gateways, err := exec.Command("docker", "network", "inspect", "kind", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}").Output()
	if err != nil {
		return native.Info{}, fmt.Errorf("ask for the address of this machine in the network of kind: %w", err)
	}
	for gateway := range strings.FieldsSeq(string(gateways)) {
		if !strings.Contains(gateway, ":") { // IPv4
			info.HostAddress = gateway
		}
	}
	return info, nil
}

func (k kindCluster) Exists() bool {
	_, err := os.Stat(k.directory())
	return err == nil
}

// kind runs an installed kind, or one that is built from its module.
func (k kindCluster) kind(ctx context.Context, args ...string) error {
	program, err := exec.LookPath("kind")
	if err != nil {
		built, err := k.programs.Ensure(ctx, "kind")
		if err != nil {
			return err
		}
		program = built["kind"]
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--name", k.cluster())...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kind %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// kindConfig turns the audit log on, which lies in a directory of this machine.
func kindConfig(audit string) string {
	return fmt.Sprintf(`kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: %q, containerPath: /etc/kubernetes/audit}
  kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiServer:
      extraArgs:
        audit-policy-file: /etc/kubernetes/audit/policy.yaml
        audit-log-path: /etc/kubernetes/audit/audit.log
      extraVolumes:
      - {name: audit, hostPath: /etc/kubernetes/audit, mountPath: /etc/kubernetes/audit, readOnly: false, pathType: Directory}
`, audit)
}

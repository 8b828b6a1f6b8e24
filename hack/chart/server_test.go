// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// server is a real API server and nothing behind it: no controller, no garbage collector.
type server struct {
	config     *rest.Config
	kubeconfig string // of its administrator
	client.Client
}

// startServer runs an API server with the CRDs of the given files until the test ends.
func startServer(t *testing.T, crds ...string) *server {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make chart`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	log.SetLogger(logr.Discard())
	env := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: patience, ControlPlaneStopTimeout: patience}
	config, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	api, err := client.New(config, client.Options{})
	must(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	return &server{config: config, kubeconfig: kubeconfig, Client: api}
}

// createNamespaces makes namespaces that take restricted Pods only.
func (s *server) createNamespaces(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
		}}))
	}
}

// helm runs helm as the server's administrator.
func (s *server) helm(t *testing.T, values string, args ...string) string {
	t.Helper()
	out, err := helmIn(t, s.kubeconfig, values, args...)
	must(t, err)
	return out
}

// monitoringCRDs are files of the Prometheus Operator's CRDs, out of its Go module.
func monitoringCRDs(t *testing.T) []string {
	t.Helper()
	const module = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	must(t, errors.Join(json.Unmarshal(out, &found), err))
	if found.Error != "" {
		t.Fatalf("download %s: %s", module, found.Error)
	}
	var files []string
	for _, kind := range []string{"podmonitors", "prometheusrules"} {
		files = append(files, filepath.Join(found.Dir, "example/prometheus-operator-crd", "monitoring.coreos.com_"+kind+".yaml"))
	}
	return files
}

// patience is for what hangs: a machine may be slow, and busy with other things.
const patience = 3 * time.Minute

// eventually waits until a check finds nothing wrong.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func want(condition bool, format string, args ...any) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/config/crd"
	"github.com/hexiao-dev/hexiao/controllers/crdcheck"
	"github.com/hexiao-dev/hexiao/hack/freeport"
)

// TestTheOperatorStartsServesAndGivesItsLeaseBack runs the whole program once: what
// only main puts together is otherwise seen first in a cluster.
func TestTheOperatorStartsServesAndGivesItsLeaseBack(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd"}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: atMost, ControlPlaneStopTimeout: atMost}
	config, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	t.Setenv("KUBECONFIG", kubeconfig)
	api, err := client.New(config, client.Options{})
	must(t, err)
	must(t, api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "hexiao-system"}}))
	// The API server publishes the schemas some time after the CRDs are established, and
	// one CRD's before the other's. The operator looks once in an hour.
	schemas, err := discovery.NewDiscoveryClientForConfig(config)
	must(t, err)
	waitFor(t, nil, func() string {
		all, err := crdcheck.Compare(t.Context(), schemas.RESTClient(), crd.Files)
		for _, m := range all {
			if len(m.Fields) > 0 {
				return fmt.Sprintf("%s is not published", m.CRD)
			}
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})

	metrics, probes := freeport.Address(t), freeport.Address(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := command(io.Discard)
	cmd.SetArgs([]string{"--namespace=hexiao-system", "--connector-image=c", "--metrics-bind-address=" + metrics, "--health-probe-bind-address=" + probes,
		"--leader-election-lease-duration=2m", "--leader-election-renew-deadline=1m"}) // the machine may be busy
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()

	waitFor(t, ended, func() string { return get("http://"+probes+"/readyz", "ok") })
	waitFor(t, ended, func() string { return get("http://"+metrics+"/metrics", "leader_election_master_status") })
	waitFor(t, ended, func() string { return get("http://"+metrics+"/metrics", `name="hexiao-manager"} 1`) })
	waitFor(t, ended, func() string {
		return get("http://"+metrics+"/metrics", `hexiao_operator_crd_outdated{crd="brandconnectors.connect.hexiao.dev"} 0`)
	})

	t.Run("and check says so", func(t *testing.T) {
		said, err := checked(t, "--watch-namespaces=") // empty: all
		must(t, err)
		for _, want := range []string{"serves BrandConnectors and ConnectorClasses of connect.hexiao.dev/v1alpha1", "leads: it has just renewed the lease hexiao-system/hexiao-manager\n"} {
			if !strings.Contains(said, want) {
				t.Errorf("check says %q, without %q", said, want)
			}
		}
	})
	t.Run("and check does not say so of another shard", func(t *testing.T) {
		_, err := checked(t, "--watch-label-selector=shard=a", "--patience=10s")
		if err == nil || !strings.Contains(err.Error(), "nobody renews the lease hexiao-system/hexiao-manager-") {
			t.Errorf("got %v", err)
		}
	})

	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Run("and check does not say so when it has ended", func(t *testing.T) {
		if _, err := checked(t, "--patience=10s"); err == nil || !strings.Contains(err.Error(), "nobody renews the lease") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nor without the CRD", func(t *testing.T) {
		classes := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "connectorclasses.connect.hexiao.dev"}}
		classes.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
		must(t, api.Delete(t.Context(), classes))
		ended := make(chan error, 1)
		waitFor(t, ended, func() string {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindConnectorClass + "List"))
			if err := api.List(t.Context(), list); !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
				return fmt.Sprintf("ConnectorClasses are still served: %v", err)
			}
			return ""
		})
		if _, err := checked(t); err == nil || !strings.Contains(err.Error(), "the API server does not serve ConnectorClass of connect.hexiao.dev/v1alpha1: install the CRDs") {
			t.Errorf("got %v", err)
		}
	})
	lease := &coordinationv1.Lease{}
	must(t, api.Get(t.Context(), client.ObjectKey{Namespace: "hexiao-system", Name: "hexiao-manager"}, lease))
	if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
		t.Errorf("the lease is still held by %s", *holder)
	}
}

// atMost is for what hangs: a machine may be busy.
const atMost = 3 * time.Minute

// checked runs the command check against the server of KUBECONFIG.
func checked(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	cmd := command(io.Discard)
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"check", "--namespace=hexiao-system", "--connector-image=c"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get says what is wrong with a page that should hold a text.
func get(url, want string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		return fmt.Sprintf("%s: %s, %v, without %q", url, resp.Status, err, want)
	}
	return ""
}

func waitFor(t *testing.T, ended <-chan error, check func() string) {
	t.Helper()
	deadline := time.Now().Add(atMost)
	for {
		problem := check()
		if problem == "" {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the operator ended: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
	}
}

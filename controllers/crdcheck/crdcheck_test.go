// SPDX-License-Identifier: Apache-2.0

package crdcheck_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/config/crd"
	"github.com/hexiao-dev/hexiao/controllers/crdcheck"
)

// older is a CRD of this version without some fields.
func older(t *testing.T, name string, without func(spec map[string]apiextensionsv1.JSONSchemaProps)) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../config/crd", name))
	must(t, err)
	c := &apiextensionsv1.CustomResourceDefinition{}
	must(t, yaml.Unmarshal(raw, c))
	without(c.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type counter struct {
	next http.RoundTripper
	n    atomic.Int32
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(req)
}

func TestAFieldThatTheClusterDoesNotServeIsNamed(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	env := &envtest.Environment{CRDs: []*apiextensionsv1.CustomResourceDefinition{
		older(t, "connect.hexiao.dev_brandconnectors.yaml", func(spec map[string]apiextensionsv1.JSONSchemaProps) {
			delete(spec, "retention")
			delete(spec["routes"].Items.Schema.Properties, "match")
			// A newer one has more.
			spec["novelty"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
			routes := spec["routes"].Items.Schema
			routes.XValidations, routes.Required = nil, []string{"name"}
			list := spec["routes"]
			list.XValidations = nil
			spec["routes"] = list
		}),
		older(t, "connect.hexiao.dev_connectorclasses.yaml", func(map[string]apiextensionsv1.JSONSchemaProps) {}),
	}}
	for _, version := range env.CRDs[0].Spec.Versions {
		root := version.Schema.OpenAPIV3Schema
		spec := root.Properties["spec"]
		spec.XValidations, root.XValidations = nil, nil
		root.Properties["spec"] = spec
	}
	env.ControlPlaneStartTimeout, env.ControlPlaneStopTimeout, env.CRDInstallOptions.MaxTime = 2*time.Minute, 2*time.Minute, 2*time.Minute
	config, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })

	// Whoever has signed in may ask: an operator without a ClusterRole, too.
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:hexiao-system:nobody", Groups: []string{"system:authenticated"}}
	requests := &counter{}
	config.WrapTransport = func(next http.RoundTripper) http.RoundTripper { requests.next = next; return requests }
	api, err := kubernetes.NewForConfig(config)
	must(t, err)

	want := []crdcheck.Missing{
		{CRD: "brandconnectors.connect.hexiao.dev", Fields: []string{"spec.retention", "spec.routes[].match"}},
		{CRD: "connectorclasses.connect.hexiao.dev"},
	}
	// The API server publishes the schemas some time after the CRDs are established.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		before := requests.n.Load()
		got, err := crdcheck.Compare(ctx, api.Discovery().RESTClient(), crd.Files)
		if n := requests.n.Load() - before; n != 1 {
			t.Fatalf("it took %d requests, want 1", n)
		}
		diff := cmp.Diff(want, got)
		if err == nil && diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestWhatIsNoCRDOfThisVersionIsAnError(t *testing.T) {
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"none":           {fstest.MapFS{}, "there are no CRDs"},
		"no YAML":        {fstest.MapFS{"a.yaml": {Data: []byte("a: b: c")}}, "read the CRD a.yaml"},
		"without schema": {fstest.MapFS{"a.yaml": {Data: []byte("spec: {versions: [{name: v1}]}")}}, "has not one version with a schema"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := crdcheck.Compare(t.Context(), nil, tc.files)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

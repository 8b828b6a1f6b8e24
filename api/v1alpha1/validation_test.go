// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

type validationTable struct {
	Base  map[string]any   `json:"base"`
	Cases []validationCase `json:"cases"`
}

type validationCase struct {
	Name  string          `json:"name"`
	From  *map[string]any `json:"from"`
	Patch map[string]any  `json:"patch"`
	Want  string          `json:"want"`
}

func loadTable(t *testing.T) validationTable {
	t.Helper()
	raw, err := os.ReadFile("testdata/validation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table validationTable
	if err := yaml.UnmarshalStrict(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 80 {
		t.Fatalf("the table has %d cases; it lost some", len(table.Cases))
	}
	return table
}

// merged is base with a JSON merge patch (RFC 7396) applied.
func merged(base, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			below, _ := out[k].(map[string]any)
			out[k] = merged(below, v)
		default:
			out[k] = v
		}
	}
	return out
}

func object(t *testing.T, fields map[string]any) *unstructured.Unstructured {
	t.Helper()
	raw, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return u
}

func typed(t *testing.T, u *unstructured.Unstructured) *v1alpha1.BrandConnector {
	t.Helper()
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	b := &v1alpha1.BrandConnector{}
	if err := yaml.UnmarshalStrict(raw, b); err != nil {
		t.Fatalf("strict decoding: %v", err)
	}
	return b
}

func connect(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd"}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatalf("start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(v1alpha1.GroupVersion.WithResource("brandconnectors")).Namespace("default")
}

func TestAnAPIServerAcceptsAndRefusesAsTheTableSays(t *testing.T) {
	table := loadTable(t)
	api := connect(t)
	for _, tc := range table.Cases {
		t.Run(tc.Name, func(t *testing.T) {
			got := tryCase(t, api, table.Base, tc)
			if tc.Want == "" && got != nil {
				t.Fatalf("refused: %v", got)
			}
			if tc.Want != "" && (got == nil || !strings.Contains(got.Error(), tc.Want)) {
				t.Fatalf("want a refusal that says %q, got: %v", tc.Want, got)
			}
		})
	}
}

// tryCase creates the object without keeping it, or updates one that it made.
func tryCase(t *testing.T, api dynamic.ResourceInterface, base map[string]any, tc validationCase) error {
	t.Helper()
	ctx := t.Context()
	dryRun := []string{metav1.DryRunAll}
	if tc.From == nil {
		_, err := api.Create(ctx, object(t, merged(base, tc.Patch)), metav1.CreateOptions{DryRun: dryRun})
		return err
	}
	from := merged(base, *tc.From)
	created, err := api.Create(ctx, object(t, from), metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create what is updated: %v", err)
	}
	next := object(t, merged(from, tc.Patch))
	next.SetResourceVersion(created.GetResourceVersion())
	_, err = api.Update(ctx, next, metav1.UpdateOptions{DryRun: dryRun})
	if derr := api.Delete(ctx, created.GetName(), metav1.DeleteOptions{}); derr != nil {
		t.Errorf("delete: %v", derr)
	}
	return err
}

func TestAFileIsJudgedAsTheAPIServerJudges(t *testing.T) {
	table := loadTable(t)
	for _, tc := range table.Cases {
		if tc.From != nil {
			continue // a file has no older self
		}
		t.Run(tc.Name, func(t *testing.T) {
			b := typed(t, object(t, merged(table.Base, tc.Patch)))
			b.Default()
			errs := b.Validate()
			if tc.Want == "" && len(errs) > 0 {
				t.Fatalf("refused: %v", errs.ToAggregate())
			}
			if tc.Want != "" && len(errs) == 0 {
				// Default fills what a file left empty, and an empty text or list of
				// a defaulted field is one that was left empty.
				t.Fatalf("accepted, but the API server says %q", tc.Want)
			}
		})
	}
}

func TestDefaultFillsWhatTheAPIServerFills(t *testing.T) {
	table := loadTable(t)
	api := connect(t)
	for _, tc := range table.Cases {
		if tc.From != nil || tc.Want != "" {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			u := object(t, merged(table.Base, tc.Patch))
			b := typed(t, u)
			b.Default()
			created, err := api.Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				t.Fatal(err)
			}
			want := typed(t, created).Spec
			if diff := cmp.Diff(want, b.Spec); diff != "" {
				t.Errorf("spec (-API server +Default):\n%s", diff)
			}
		})
	}
}

func TestStatusStartsAsNotObserved(t *testing.T) {
	table := loadTable(t)
	api := connect(t)
	created, err := api.Create(t.Context(), object(t, table.Base), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if got := typed(t, created).Status.ObservedGeneration; got != -1 {
		t.Errorf("observedGeneration of a new object is %d, want -1", got)
	}
}

func TestUndefaultTakesOutWhatDefaultFillsIn(t *testing.T) {
	table := loadTable(t)
	for _, tc := range table.Cases {
		if tc.From != nil || tc.Want != "" {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			full := typed(t, object(t, merged(table.Base, tc.Patch)))
			full.Default()
			bare := full.DeepCopy()
			bare.Undefault()
			raw, err := json.Marshal(bare)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"replyDeadline\":\"4s", "samplingPercent\":100", "LowerCamel", "hmac-sha256", "\"Retain\"", "requestsPerSecond\":10,"} {
				if strings.Contains(string(raw), word) {
					t.Errorf("the default %s is still there: %s", word, raw)
				}
			}
			bare.Default()
			if diff := cmp.Diff(full, bare); diff != "" {
				t.Errorf("filled in again (-before +after):\n%s", diff)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
	// File is "accepted" where a file is judged otherwise, because what the API server
	// refuses cannot be told there from what was left out, and "unreadable" where it is
	// refused before it is judged.
	File string `json:"file"`
}

// checked is what both kinds have.
type checked interface {
	Default()
	Validate() field.ErrorList
}

// kinds are the kinds of this API with the table of each.
var kinds = map[string]struct {
	table, resource, namespace string
	least                      int
	decode                     func(*testing.T, *unstructured.Unstructured) checked
}{
	"BrandConnector": {"validation.yaml", "brandconnectors", "default", 80,
		func(t *testing.T, u *unstructured.Unstructured) checked {
			return typed(t, u, &v1alpha1.BrandConnector{})
		}},
	"ConnectorClass": {"validation_class.yaml", "connectorclasses", "", 30,
		func(t *testing.T, u *unstructured.Unstructured) checked {
			return typed(t, u, &v1alpha1.ConnectorClass{})
		}},
}

func loadTable(t *testing.T, kind string) validationTable {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + kinds[kind].table)
	if err != nil {
		t.Fatal(err)
	}
	var table validationTable
	if err := yaml.UnmarshalStrict(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < kinds[kind].least {
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

func typed[T any](t *testing.T, u *unstructured.Unstructured, into T) T {
	t.Helper()
	raw, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, into); err != nil {
		t.Fatalf("strict decoding: %v", err)
	}
	return into
}

func brand(t *testing.T, u *unstructured.Unstructured) *v1alpha1.BrandConnector {
	t.Helper()
	return typed(t, u, &v1alpha1.BrandConnector{})
}

// server is the API server that all tests share; none is started before one asks.
var server struct {
	once   sync.Once
	env    *envtest.Environment
	client dynamic.Interface
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.env != nil {
		if err := server.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func connect(t *testing.T) func(kind string) dynamic.ResourceInterface {
	t.Helper()
	server.once.Do(func() {
		if os.Getenv("KUBEBUILDER_ASSETS") == "" {
			server.err = errors.New("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(hack/assets/assets)")
			return
		}
		server.env = &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd"}, ErrorIfCRDPathMissing: true,
			ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: 2 * time.Minute,
			CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 2 * time.Minute}}
		config, err := server.env.Start()
		if err == nil {
			server.client, err = dynamic.NewForConfig(config)
		}
		server.err = err
	})
	if server.err != nil {
		t.Fatalf("start the API server: %v", server.err)
	}
	return func(kind string) dynamic.ResourceInterface {
		resource := server.client.Resource(v1alpha1.GroupVersion.WithResource(kinds[kind].resource))
		if kinds[kind].namespace == "" {
			return resource
		}
		return resource.Namespace(kinds[kind].namespace)
	}
}

func TestAnAPIServerAcceptsAndRefusesAsTheTableSays(t *testing.T) {
	api := connect(t)
	eachCase(t, func(t *testing.T, kind string, base map[string]any, tc validationCase) {
		got := tryCase(t, api(kind), base, tc)
		if tc.Want == "" && got != nil {
			t.Fatalf("refused: %v", got)
		}
		if tc.Want != "" && (got == nil || !strings.Contains(got.Error(), tc.Want)) {
			t.Fatalf("want a refusal that says %q, got: %v", tc.Want, got)
		}
	})
}

// eachCase runs a test over the tables of both kinds.
func eachCase(t *testing.T, run func(t *testing.T, kind string, base map[string]any, tc validationCase)) {
	t.Helper()
	for kind := range kinds {
		table := loadTable(t, kind)
		for _, tc := range table.Cases {
			t.Run(kind+"/"+tc.Name, func(t *testing.T) { run(t, kind, table.Base, tc) })
		}
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
	eachCase(t, func(t *testing.T, kind string, base map[string]any, tc validationCase) {
		if tc.From != nil {
			return // a file has no older self
		}
		if tc.File == "unreadable" {
			raw, err := object(t, merged(base, tc.Patch)).MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if err := v1alpha1.Decode(raw, &v1alpha1.BrandConnector{}); err == nil {
				t.Fatal("it can be read")
			}
			return
		}
		object := kinds[kind].decode(t, object(t, merged(base, tc.Patch)))
		object.Default()
		errs := object.Validate()
		accept := tc.Want == "" || tc.File == "accepted"
		if accept && len(errs) > 0 {
			t.Fatalf("refused: %v", errs.ToAggregate())
		}
		if !accept && len(errs) == 0 {
			// Default fills what a file left empty, and an empty text or list of
			// a defaulted field is one that was left empty.
			t.Fatalf("accepted, but the API server says %q", tc.Want)
		}
	})
}

// TestABrandWithEveryRouteIsAccepted: the rules over the routes must be within what an API
// server allows them to cost, for the largest brand too.
func TestABrandWithEveryRouteIsAccepted(t *testing.T) {
	var routes []any
	for i := range 16 {
		var ids []any
		for j := range 64 {
			ids = append(ids, fmt.Sprintf("%064d", i*64+j))
		}
		routes = append(routes, map[string]any{
			"name": fmt.Sprintf("route-%d", i), "match": map[string]any{"assetMappingIDs": ids}, "asset": "StoredValue", "provider": "alsc",
		})
	}
	base := loadTable(t, "BrandConnector").Base
	u := object(t, merged(base, map[string]any{"spec": map[string]any{"routes": routes}}))
	if _, err := connect(t)("BrandConnector").Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("the API server: %v", err)
	}
	b := brand(t, u)
	b.Default()
	if errs := b.Validate(); len(errs) > 0 {
		t.Errorf("a file: %v", errs.ToAggregate())
	}
}

func TestAMappingOfTwoRoutesIsNamedByItsField(t *testing.T) {
	b := brand(t, object(t, loadTable(t, "BrandConnector").Base))
	second := b.Spec.Routes[0]
	second.Name, second.Match.AssetMappingIDs = "gift-card", []string{"400001", "100001"}
	b.Spec.Routes = append(b.Spec.Routes, second)
	b.Default()
	want := `spec.routes[1].match.assetMappingIDs[1]: Invalid value: "100001": the route balance has this id already`
	if errs := b.Validate(); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want) {
		t.Errorf("got %v, want %s …", errs, want)
	}
}

func TestDefaultFillsWhatTheAPIServerFills(t *testing.T) {
	api := connect(t)
	eachCase(t, func(t *testing.T, kind string, base map[string]any, tc validationCase) {
		if tc.From != nil || tc.Want != "" {
			return
		}
		u := object(t, merged(base, tc.Patch))
		got := kinds[kind].decode(t, u)
		got.Default()
		created, err := api(kind).Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatal(err)
		}
		want := kinds[kind].decode(t, created)
		if b, ok := want.(*v1alpha1.BrandConnector); ok {
			b.DefaultForClass()
		}
		if diff := cmp.Diff(specOf(want), specOf(got)); diff != "" {
			t.Errorf("spec (-API server +Default):\n%s", diff)
		}
	})
}

func specOf(c checked) any {
	switch c := c.(type) {
	case *v1alpha1.BrandConnector:
		return c.Spec
	case *v1alpha1.ConnectorClass:
		return c.Spec
	default:
		return nil
	}
}

func TestTheAPIServerLeavesToTheClassWhatABrandDoesNotSay(t *testing.T) {
	u, err := connect(t)("BrandConnector").Create(t.Context(), object(t, loadTable(t, "BrandConnector").Base), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if got := brand(t, u).Spec.Telemetry; got != (v1alpha1.TelemetrySpec{}) {
		t.Errorf("telemetry of a brand that says nothing of it is stored as %+v: no class could change it", got)
	}
}

func TestStatusStartsAsNotObserved(t *testing.T) {
	api := connect(t)
	for kind := range kinds {
		created, err := api(kind).Create(t.Context(), object(t, loadTable(t, kind).Base), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := unstructured.NestedInt64(created.Object, "status", "observedGeneration"); got != -1 {
			t.Errorf("observedGeneration of a new %s is %d, want -1", kind, got)
		}
	}
}

func TestUndefaultTakesOutWhatDefaultFillsIn(t *testing.T) {
	table := loadTable(t, "BrandConnector")
	for _, tc := range table.Cases {
		if tc.From != nil || tc.Want != "" {
			continue
		}
		t.Run(tc.Name, func(t *testing.T) {
			full := brand(t, object(t, merged(table.Base, tc.Patch)))
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

func TestWhatATextMustBeIsSaidInWords(t *testing.T) {
	for name, c := range map[string]struct {
		kind, patch string
		want        []string
	}{
		"an id of a brand":         {"BrandConnector", `{spec: {brandID: "11342/x"}}`, []string{`spec.brandID: Invalid value: "11342/x": must be letters, digits, - and _`}},
		"a URL for a host":         {"BrandConnector", `{spec: {exposure: {hostname: "https://pos.example.com", ingressClassName: nginx}}}`, []string{`spec.exposure.hostname: Invalid value: "https://pos.example.com": must be a host name of lower-case letters, digits, - and ., such as pos.example.com, without https:// and path`}},
		"a URL for a template":     {"ConnectorClass", `{spec: {exposure: {hostname: "https://{name}.example.com", ingressClassName: nginx}}}`, []string{`spec.exposure.hostname: Invalid value: "https://{name}.example.com": must be a host name of lower-case letters, digits, - and ., with {name} or {namespace} in it, such as {name}.pos.example.com, without https:// and path`}},
		"a schema with a hyphen":   {"BrandConnector", `{spec: {ledger: {embedded: null, postgres: {dsnSecretRef: {name: ledger, key: dsn}, schema: brand-1}}}}`, []string{`spec.ledger.postgres.schema: Invalid value: "brand-1": must be lower-case letters, digits and _, and not begin with a digit`}},
		"a prefix with a hyphen":   {"ConnectorClass", `{spec: {ledger: {embedded: null, postgres: {dsnSecretRef: {name: ledger, key: dsn}, schemaPrefix: brand-}}}}`, []string{`spec.ledger.postgres.schemaPrefix: Invalid value: "brand-": must be lower-case letters, digits and _, and not begin with a digit`}},
		"an asset in another case": {"BrandConnector", `{spec: {routes: [{name: balance, match: {assetMappingIDs: ["1"]}, asset: Storedvalue, provider: alsc}]}}`, []string{`spec.routes[0].asset: Unsupported value: "Storedvalue": supported values: "StoredValue", "Coupon", "Points"`}},
	} {
		t.Run(name, func(t *testing.T) {
			var patch map[string]any
			if err := yaml.Unmarshal([]byte(c.patch), &patch); err != nil {
				t.Fatal(err)
			}
			object := kinds[c.kind].decode(t, object(t, merged(loadTable(t, c.kind).Base, patch)))
			object.Default()
			var got []string
			for _, e := range object.Validate() {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

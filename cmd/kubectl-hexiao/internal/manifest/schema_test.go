// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/config/crd"
)

// The CRDs use no keyword that this schema does not know.
func TestEveryKeywordOfTheCRDsIsKnown(t *testing.T) {
	checked := []string{"type", "properties", "additionalProperties", "items", "required", "default", "enum", "pattern", "minLength", "maxLength",
		"minimum", "maximum", "minItems", "maxItems", "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
	// The decoder sees to types; the rules in CEL are Validate's; the others demand nothing.
	others := []string{"description", "format", "anyOf", "x-kubernetes-int-or-string", "x-kubernetes-validations",
		"x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields"}
	var walk func(path string, s map[string]any)
	walk = func(path string, s map[string]any) {
		for word, v := range s {
			if !slices.Contains(checked, word) && !slices.Contains(others, word) {
				t.Errorf("%s: the keyword %s is not known", path, word)
			}
			if word == "items" || word == "additionalProperties" {
				walk(path+"[]", v.(map[string]any))
			}
		}
		properties, _ := s["properties"].(map[string]any)
		for name, p := range properties {
			if path != "" || name != "status" {
				walk(child(path, name), p.(map[string]any))
			}
		}
	}
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		raw, err := fs.ReadFile(crd.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			Spec struct {
				Versions []struct {
					Schema struct{ OpenAPIV3Schema map[string]any }
				}
			}
		}
		if err := yaml.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		walk("", c.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
}

type apiCase struct {
	Name, Want string
	From       *map[string]any
	Patch      map[string]any
}

// overlaid is base with a JSON merge patch applied. A null takes a field away, unless nulls
// are to stand there.
func overlaid(base, patch map[string]any, nulls bool) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		if inner, is := v.(map[string]any); is {
			old, _ := out[k].(map[string]any)
			out[k] = overlaid(old, inner, nulls)
		} else if v == nil && !nulls {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// An API server is held against these tables, too, by the tests of the API: what it refuses is
// refused here, and what it takes is taken.
func TestAFileIsJudgedAsTheAPIServerJudges(t *testing.T) {
	const dir = "../../../../api/v1alpha1/testdata/"
	for _, file := range []string{"validation.yaml", "validation_class.yaml"} {
		raw, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		var table struct {
			Base  map[string]any
			Cases []apiCase
		}
		if err := yaml.Unmarshal(raw, &table); err != nil || len(table.Cases) < 30 {
			t.Fatal(len(table.Cases), err)
		}
		for _, c := range table.Cases {
			if c.From != nil {
				continue // a file has no older self
			}
			t.Run(file+"/"+c.Name, func(t *testing.T) {
				got := complaints(t, overlaid(table.Base, c.Patch, false))
				if (c.Want == "") != (len(got) == 0) {
					t.Errorf("the API server says %q, and the file is told %q", c.Want, got)
				}
			})
		}
	}
}

// complaints are what is said of an object, a line each; a class is none that a brand names.
func complaints(t *testing.T, object map[string]any) []string {
	t.Helper()
	if spec, is := object["spec"].(map[string]any); is && object["kind"] == "BrandConnector" && spec["connectorClassName"] == "standard" {
		delete(spec, "connectorClassName")
	}
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	set, err := Read(bytes.NewReader(raw), "-")
	if err == nil {
		err = set.Complete("", "default", NoClasses)
	}
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

const small = `
apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: x}
spec:
  brandID: "1"
  keruyun: {credentialsSecretRef: {name: k}}
  providers: {zhimai: {credentialsSecretRef: {name: z}}}
  routes: [{name: b, match: {assetMappingIDs: ["1"]}, asset: StoredValue, provider: zhimai}]
`

const smallClass = `
apiVersion: connect.hexiao.dev/v1alpha1
kind: ConnectorClass
metadata: {name: x}
`

func TestWhatIsWrittenDownEmptyIsNotLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		object, patch string
		want          []string
	}{
		"nothing":                                 {small, `{}`, nil},
		"what is null is left out":                {small, `{spec: {exposure: ~, workload: {replicas: ~}, telemetry: {logLevel: ~}}}`, nil},
		"a status is not looked at":               {small, `{status: {observedGeneration: -1, conditions: []}}`, nil},
		"a patch may hold anything":               {small, `{spec: {workload: {patch: {spec: {replicas: 0, template: {}}}}}}`, nil},
		"a class":                                 {small, `{spec: {connectorClassName: ""}}`, []string{"spec.connectorClassName: it is empty: give a value, or leave the field out"}},
		"a ledger":                                {small, `{spec: {ledger: {}}}`, []string{"spec.ledger: it is empty: give exactly one of spec.ledger.postgres and spec.ledger.embedded, or leave the field out"}},
		"a number where 1 is the least":           {small, `{spec: {providers: {zhimai: {limits: {requestsPerSecond: 0}}}}}`, []string{"spec.providers.zhimai.limits.requestsPerSecond: it is 0, and 1 is the least: give more, or leave the field out"}},
		"connections":                             {small, `{spec: {ledger: {postgres: {dsnSecretRef: {name: l, key: d}, maxConnections: 0, schema: ""}}}}`, []string{"spec.ledger.postgres.maxConnections: it is 0, and 2 is the least: give more, or leave the field out", "spec.ledger.postgres.schema: it is empty: give a value, or leave the field out"}},
		"the bounds of an autoscaler":             {small, `{spec: {workload: {autoscaling: {minReplicas: 0, maxReplicas: 3, targetCPUUtilizationPercent: 0}}}}`, []string{"spec.workload.autoscaling.minReplicas: it is 0, and 1 is the least: give more, or leave the field out", "spec.workload.autoscaling.targetCPUUtilizationPercent: it is 0, and 1 is the least: give more, or leave the field out"}},
		"one of some words":                       {small, `{spec: {providers: {zhimai: {inDoubt: ""}}}}`, []string{`spec.providers.zhimai.inDoubt: "" is none of Manual, ReplaySameBizID, QueryBills: give one of them, or leave the field out`}},
		"a level, an end and a partial failure":   {small, `{spec: {partialFailure: "", telemetry: {logLevel: ""}, ledger: {embedded: {onDelete: ""}}}}`, []string{`spec.ledger.embedded.onDelete: "" is none of Retain, Delete: give one of them, or leave the field out`, `spec.partialFailure: "" is none of Report, Reverse: give one of them, or leave the field out`, `spec.telemetry.logLevel: "" is none of debug, info, warn, error: give one of them, or leave the field out`}},
		"an endpoint":                             {small, `{spec: {providers: {zhimai: {endpoint: ""}}}}`, []string{"spec.providers.zhimai.endpoint: it is empty: give a value, or leave the field out"}},
		"lists":                                   {small, `{spec: {shops: [], operators: []}}`, []string{"spec.operators: the list is empty: give at least one item, or leave the field out", "spec.shops: the list is empty: give at least one item, or leave the field out"}},
		"what is needed cannot be left out":       {small, `{spec: {exposure: {hostname: a.b, gatewayRef: {name: g, sectionName: ""}}}}`, []string{"spec.exposure.gatewayRef.sectionName: it is empty: give a value, or leave the field out"}},
		"too much":                                {small, `{spec: {workload: {priorityClassName: ` + strings.Repeat("p", 254) + `}}}`, []string{"spec.workload.priorityClassName: it has 254 characters, and 253 are the most: shorten it, or leave the field out"}},
		"a word of a toleration":                  {small, `{spec: {workload: {tolerations: [{operator: Is}]}}}`, []string{`spec.workload.tolerations[0].operator: "Is" is none of Equal, Exists: give one of them, or leave the field out`}},
		"an item twice":                           {small, `{spec: {workload: {imagePullSecrets: [{name: a}, {name: a}]}}}`, []string{"spec.workload.imagePullSecrets[1]: it is in the list already: leave one out"}},
		"no name among those of pull secrets":     {small, `{spec: {workload: {imagePullSecrets: [{}]}}}`, []string{"spec.workload.imagePullSecrets[0].name: it is missing: add it"}},
		"what Validate says is not said again":    {small, `{spec: {brandID: "", routes: [], partialFailure: Never}}`, []string{`spec.brandID: Required value: must not be empty`, `spec.partialFailure: Unsupported value: "Never": supported values: "Report", "Reverse"`, `spec.routes: Required value: route at least one asset`}},
		"nor what is needed in what is missing":   {small, `{spec: {keruyun: ~, routes: [{name: a, asset: Points, provider: zhimai}]}}`, []string{"spec.keruyun.credentialsSecretRef.name: Required value: must not be empty", "spec.routes[0].match.assetMappingIDs: Required value: name at least one assetMappingId"}},
		"a class that restarts no brand":          {smallClass, `{spec: {rollout: {maxConcurrent: 0}}}`, []string{"spec.rollout.maxConcurrent: it is 0, and 1 is the least: give more, or leave the field out"}},
		"a class with an image that is empty":     {smallClass, `{spec: {image: "", imagePullPolicy: ""}}`, []string{"spec.image: it is empty: give a value, or leave the field out", `spec.imagePullPolicy: "" is none of Always, IfNotPresent, Never: give one of them, or leave the field out`}},
		"a class that says nothing":               {smallClass, `{}`, nil},
		"a class with a ledger of no kind at all": {smallClass, `{spec: {ledger: {}}}`, []string{`spec.ledger: Invalid value: "": give exactly one of spec.ledger.postgres and spec.ledger.embedded`}},
	} {
		t.Run(name, func(t *testing.T) {
			var object, patch map[string]any
			if err := yaml.Unmarshal([]byte(c.object), &object); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(c.patch), &patch); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range complaints(t, overlaid(object, patch, true)) {
				got = append(got, strings.TrimPrefix(strings.TrimPrefix(line, "stdin: BrandConnector x: "), "stdin: ConnectorClass x: "))
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// change is another legal value, as YAML, and the values without which it has nothing to change.
type change struct {
	to   string
	with string
}

// changes has another value for every value of the charts.
var changes = map[string]map[string]change{
	operatorChart: {
		"nameOverride":                            {to: "pos"},
		"fullnameOverride":                        {to: "pos"},
		"commonLabels":                            {to: "{team: platform}"},
		"replicas":                                {to: "1"},
		"image.repository":                        {to: "registry.example/manager"},
		"image.tag":                               {to: "v9"},
		"image.digest":                            {to: digest},
		"image.pullPolicy":                        {to: "Always"},
		"connector.image.repository":              {to: "registry.example/connector"},
		"connector.image.tag":                     {to: "v9"},
		"connector.image.digest":                  {to: digest},
		"connector.image.pullPolicy":              {to: "Never"},
		"connector.imagePullSecrets":              {to: "[{name: registry}]"},
		"imagePullSecrets":                        {to: "[{name: registry}]"},
		"watchNamespaces":                         {to: "[brands]"},
		"watchLabelSelector":                      {to: "shard=a"},
		"maxConcurrentReconciles":                 {to: "3"},
		"rollout.paused":                          {to: "true"},
		"rollout.maxConcurrent":                   {to: "3"},
		"rollout.canary.selector":                 {to: "canary=yes"},
		"rollout.canary.soakTime":                 {to: "90s"},
		"rollout.progressDeadline":                {to: "10m"},
		"connectorClasses.enabled":                {to: "false"},
		"connectorClass.create":                   {to: "true", with: "crds: {enabled: false}"},
		"connectorClass.keep":                     {to: "false", with: "{crds: {enabled: false}, connectorClass: {create: true}}"},
		"connectorClass.spec":                     {to: "{image: a}", with: "{crds: {enabled: false}, connectorClass: {create: true}}"},
		"logLevel":                                {to: "debug"},
		"telemetry.otlpEndpoint":                  {to: "http://collector:4318"},
		"networkPolicy.operator.enabled":          {to: "true"},
		"networkPolicy.operator.apiServerPorts":   {to: "[8443]", with: "networkPolicy: {operator: {enabled: true}}"},
		"networkPolicy.monitoringNamespaceLabels": {to: "{team: monitoring}"},
		"networkPolicy.clientNamespaceLabels":     {to: "{team: edge}"},
		"crds.enabled":                            {to: "false"},
		"crds.keep":                               {to: "false"},
		"rbac.create":                             {to: "false"},
		"rbac.aggregate":                          {to: "false"},
		"serviceAccount.create":                   {to: "false", with: "serviceAccount: {name: operator}"},
		"serviceAccount.name":                     {to: "operator"},
		"serviceAccount.annotations":              {to: "{a: b}"},
		"resources":                               {to: "{limits: {cpu: 1}}"},
		"nodeSelector":                            {to: "{pool: system}"},
		"tolerations":                             {to: "[{operator: Exists}]"},
		"affinity":                                {to: "{nodeAffinity: {}}"},
		"priorityClassName":                       {to: "system-cluster-critical"},
		"topologySpreadConstraints":               {to: "[]"},
		"podDisruptionBudget.enabled":             {to: "false"},
		"podDisruptionBudget.maxUnavailable":      {to: "50%"},
		"deploymentAnnotations":                   {to: "{a: b}"},
		"podSecurityContext":                      {to: "{runAsUser: 1000}"},
		"securityContext":                         {to: "{privileged: false}"},
		"extraEnv":                                {to: "[{name: HTTPS_PROXY, value: http://proxy}]"},
		"extraVolumes":                            {to: "[{name: ca, configMap: {name: ca}}]"},
		"extraVolumeMounts":                       {to: "[{name: ca, mountPath: /ca}]"},
		"podLabels":                               {to: "{team: platform}"},
		"podAnnotations":                          {to: "{a: b}"},
		"extraArgs":                               {to: "[--leader-elect=false]"},
		"metrics.service.enabled":                 {to: "true"},
		"metrics.podMonitor.enabled":              {to: "true"},
		"metrics.podMonitor.interval":             {to: "15s", with: "metrics: {podMonitor: {enabled: true}}"},
		"metrics.podMonitor.labels":               {to: "{release: prometheus}", with: "metrics: {podMonitor: {enabled: true}}"},
		"prometheusRule.enabled":                  {to: "true"},
		"prometheusRule.labels":                   {to: "{release: prometheus}", with: "prometheusRule: {enabled: true}"},
		"prometheusRule.repositoryURL":            {to: "https://git.example/", with: "prometheusRule: {enabled: true}"},
		"dashboard.enabled":                       {to: "true"},
		"dashboard.labels":                        {to: "{team: platform}", with: "dashboard: {enabled: true}"},
		"dashboard.annotations":                   {to: "{folder: Hexiao}", with: "dashboard: {enabled: true}"},
	},
	crdChart: {
		"keep": {to: "false"},
	},
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestEveryValueChangesSomething sets each value of values.yaml by itself: a value that
// changes nothing is a promise that the chart does not keep.
func TestEveryValueChangesSomething(t *testing.T) {
	for chart, changes := range changes {
		values := documentedValues(t, chart)
		for path := range changes {
			if values[path] == nil {
				t.Errorf("%s: %s has a change here, but values.yaml does not have it", chart, path)
			}
		}
		for path := range values {
			t.Run(chart+"/"+path, func(t *testing.T) {
				t.Parallel()
				c, ok := changes[path]
				if !ok {
					t.Fatal("no other value is known: add one to changes")
				}
				before, err := unchanged(t, chart, c.with)
				must(t, err)
				after, err := template(t, chart, c.with, "--set-json", path+"="+toJSON(t, c.to))
				must(t, err)
				if before == after {
					t.Errorf("nothing changes when it is %s", c.to)
				}
			})
		}
	}
}

// rendered are the charts with the values that several changes begin with.
var rendered sync.Map

// unchanged renders a chart with the same values once.
func unchanged(t *testing.T, chart, values string) (string, error) {
	t.Helper()
	if text, ok := rendered.Load(chart + " " + values); ok {
		return text.(string), nil
	}
	text, err := template(t, chart, values)
	if err == nil {
		rendered.Store(chart+" "+values, text)
	}
	return text, err
}

// TestTheSchemaRefusesAnotherType gives each value one of another type: a value that the schema
// does not know is refused for being unknown, and one that it does not type is accepted.
func TestTheSchemaRefusesAnotherType(t *testing.T) {
	for chart := range changes {
		for path, value := range documentedValues(t, chart) {
			t.Run(chart+"/"+path, func(t *testing.T) {
				t.Parallel()
				wrong := `"of another type"`
				if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str" {
					wrong = `{"of": "another type"}`
				}
				_, err := template(t, chart, "", "--set-json", path+"="+wrong)
				refused(t, err, "/"+strings.ReplaceAll(path, ".", "/"))
			})
		}
	}
}

// TestTheSchemaRefusesAMisspeltKey adds a key to every level of the values.
func TestTheSchemaRefusesAMisspeltKey(t *testing.T) {
	for chart := range changes {
		levels := map[string]bool{"": true}
		for path := range documentedValues(t, chart) {
			for at := strings.LastIndex(path, "."); at > 0; at = strings.LastIndex(path, ".") {
				path = path[:at]
				levels[path+"."] = true
			}
		}
		for level := range levels {
			t.Run(chart+"/"+level, func(t *testing.T) {
				t.Parallel()
				_, err := template(t, chart, "", "--set", level+"misspelt=1")
				refused(t, err, "'misspelt' not allowed")
			})
		}
	}
}

func TestTheSchemaRefusesWhatCannotBe(t *testing.T) {
	for name, test := range map[string]struct{ values, want string }{
		"a name in capitals":                    {"fullnameOverride: POS", "/fullnameOverride"},
		"a name of 41 characters":               {"nameOverride: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddx", "/nameOverride"},
		"a common label that gives rights":      {"commonLabels: {rbac.authorization.k8s.io/aggregate-to-view: 'true'}", "'rbac.authorization.k8s.io/aggregate-to-view'"},
		"a label with a blank":                  {"podLabels: {a: b c}", "/podLabels/a"},
		"namespaces by a label with a comma":    {"networkPolicy: {clientNamespaceLabels: {a: 'b,c=d'}}", "/networkPolicy/clientNamespaceLabels/a"},
		"a connector's pull secret by its name": {"connector: {imagePullSecrets: [registry]}", "/connector/imagePullSecrets/0"},
		"a soak time that no clock could count": {"rollout: {canary: {soakTime: 99999999h}}", "/rollout/canary/soakTime"},
		"a budget that lets nobody go":          {"podDisruptionBudget: {maxUnavailable: 0}", "/podDisruptionBudget/maxUnavailable"},
		"a spread without its key":              {"topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: ScheduleAnyway}]", "/topologySpreadConstraints/0"},
		"a security context of another level":   {"podSecurityContext: {readOnlyRootFilesystem: true}", "'readOnlyRootFilesystem' not allowed"},
		"the operator's own environment":        {"extraEnv: [{name: POD_NAMESPACE, value: a}]", "/extraEnv/0/name"},
		"less than no replica":                  {"replicas: -1", "/replicas"},
		"an image of no name":                   {"image: {repository: ''}", "/image/repository"},
		"a digest without its algorithm":        {"image: {digest: 0123abc}", "/image/digest"},
		"a shortened digest":                    {"connector: {image: {digest: 'sha256:0123'}}", "/connector/image/digest"},
		"a pull policy that is none":            {"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
		"a pull secret by its name alone":       {"imagePullSecrets: [registry]", "/imagePullSecrets/0"},
		"a namespace in capitals":               {"watchNamespaces: [Brands]", "/watchNamespaces/0"},
		"a namespace twice":                     {"watchNamespaces: [brands, brands]", "/watchNamespaces"},
		"no reconcile at a time":                {"maxConcurrentReconciles: 0", "/maxConcurrentReconciles"},
		"a pause that is a text":                {"rollout: {paused: 'false'}", "/rollout/paused"},
		"no brand at a time":                    {"rollout: {maxConcurrent: 0}", "/rollout/maxConcurrent"},
		"a time without a unit":                 {"rollout: {canary: {soakTime: '60'}}", "/rollout/canary/soakTime"},
		"a class with a misspelt key":           {"connectorClass: {spec: {images: a}}", "'images' not allowed"},
		"classes perhaps":                       {"connectorClasses: {enabled: perhaps}", "/connectorClasses/enabled"},
		"a log level that is none":              {"logLevel: verbose", "/logLevel"},
		"a receiver without a scheme":           {"telemetry: {otlpEndpoint: 'collector:4318'}", "/telemetry/otlpEndpoint"},
		"a label that is a number":              {"podLabels: {a: 1}", "/podLabels/a"},
		"an API server without a port":          {"networkPolicy: {operator: {apiServerPorts: []}}", "/networkPolicy/operator/apiServerPorts"},
		"a port that is none":                   {"networkPolicy: {operator: {apiServerPorts: [70000]}}", "/networkPolicy/operator/apiServerPorts/0"},
		"resources with a misspelt key":         {"resources: {request: {cpu: 1}}", "'request' not allowed"},
		"a quantity that is none":               {"resources: {limits: {memory: 512 MB}}", "/resources/limits/memory"},
		"a toleration with a misspelt key":      {"tolerations: [{keys: a}]", "'keys' not allowed"},
		"a toleration with an unknown effect":   {"tolerations: [{effect: Never}]", "/tolerations/0/effect"},
		"affinity with a misspelt key":          {"affinity: {podAntiaffinity: {}}", "'podAntiaffinity' not allowed"},
		"affinity with a misspelt key below":    {"affinity: {podAntiAffinity: {required: []}}", "'required' not allowed"},
		"an argument that is a number":          {"extraArgs: [1]", "/extraArgs/0"},
		"an interval without a unit":            {"metrics: {podMonitor: {interval: '30'}}", "/metrics/podMonitor/interval"},
		"a repository's URL without its ending": {"prometheusRule: {repositoryURL: 'https://git.example'}", "/prometheusRule/repositoryURL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := template(t, operatorChart, test.values)
			refused(t, err, test.want)
		})
	}
}

// TestWhatTheSchemaCannotSayIsRefusedWithARemedy is of values that would have a new Pod crash
// while an old one serves, and nobody look; or that would give the operator's rights to others.
func TestWhatTheSchemaCannotSayIsRefusedWithARemedy(t *testing.T) {
	for name, test := range map[string]struct{ values, want string }{
		"a shard that is no selector":        {"watchLabelSelector: '(('", `watchLabelSelector is "((": give a label selector`},
		"canaries that are no selector":      {"rollout: {canary: {selector: 'a in b'}}", `rollout.canary.selector is "a in b": give a label selector`},
		"a deadline of two hours":            {"rollout: {progressDeadline: 2h}", `rollout.progressDeadline is "2h": give 10s to 1h`},
		"a deadline of nine seconds":         {"rollout: {progressDeadline: 9s}", `rollout.progressDeadline is "9s"`},
		"a deadline of 61 minutes":           {"rollout: {progressDeadline: 61m}", `rollout.progressDeadline is "61m"`},
		"an image in capitals":               {"connector: {image: {repository: Reg/Foo}}", `connector.image.repository is "Reg/Foo": give the name of an image`},
		"an image with its tag in the name":  {"image: {repository: 'registry.example/manager:v1'}", `image.repository is "registry.example/manager:v1"`},
		"a tag with a tag":                   {"image: {tag: 'v1:2'}", `image.tag is "v1:2"`},
		"a digest for a tag":                 {"connector: {image: {tag: 'sha256:0123'}}", `connector.image.tag is "sha256:0123": give a tag`},
		"a receiver with a blank":            {"telemetry: {otlpEndpoint: 'http://a b'}", `telemetry.otlpEndpoint is "http://a b": give the base URL`},
		"somebody else's account, unnamed":   {"serviceAccount: {create: false}", `serviceAccount.name is "" while serviceAccount.create is false: the operator's rights`},
		"the account of every Pod":           {"serviceAccount: {create: false, name: default}", `serviceAccount.name is "default" while serviceAccount.create is false`},
		"no account, and roles by hand":      {"{serviceAccount: {create: false}, rbac: {create: false, aggregate: false}}", "name an account of the operator's own"},
		"a class with an ellipsis for image": {"connectorClass: {spec: {image: 'connector@sha256:…'}}", "connectorClass.spec.image is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := template(t, operatorChart, test.values); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %s", err, test.want)
			}
		})
	}
}

// TestWhatTheChartTakesTheOperatorTakes runs the operator with the arguments that the chart
// makes of values at the edges, and without a cluster: that is all that it may miss.
func TestWhatTheChartTakesTheOperatorTakes(t *testing.T) {
	program := buildOperator(t)
	values := ciValues(t, operatorChart)
	for i, selector := range []string{"a", "!a", "! a", "a=", "a=b", "a==b", "a!=b", "a = b", "a>5", "a < 5", "a in (b)", "a in (b, c)", "a in ()", "a notin (b,)", "x.y/a=b,!c , d in (e,f)", "a.b-c/D_e.f=G"} {
		values[fmt.Sprintf("selector %d", i)] = fmt.Sprintf("{watchLabelSelector: %q, rollout: {canary: {selector: %q}}}", selector, selector)
	}
	for _, deadline := range []string{"10s", "99s", "100s", "3599s", "3600s", "1m", "59m59s", "60m", "60m0s", "1h", "1h0m0s", "1m5s"} {
		values["deadline "+deadline] = "rollout: {progressDeadline: " + deadline + ", canary: {soakTime: 99999h}}"
	}
	for _, collector := range []string{"http://a", "https://a.b.svc:4318/", "http://[::1]:4318/a/b", "http://10.0.0.1:65535"} {
		values["collector "+collector] = "telemetry: {otlpEndpoint: '" + collector + "'}"
	}
	for name, given := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), program, arguments(t, render(t, operatorChart, given))...)
			cmd.Env = []string{"POD_NAMESPACE=" + namespace, "KUBECONFIG=" + filepath.Join(t.TempDir(), "none")}
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "find the cluster: ") {
				t.Errorf("the operator ended with %v and\n%s", err, out)
			}
		})
	}
}

// TestEveryValueIsDescribedToAnEditor: an editor shows what the README says.
func TestEveryValueIsDescribedToAnEditor(t *testing.T) {
	for chart := range changes {
		for _, part := range []struct {
			change func(string) string
			want   string
		}{
			{func(s string) string { return s }, ""},
			{func(s string) string { return s + "\nunknown: # none\n  # -- A value without a schema.\n  value: 1\n" }, "it does not have unknown.value"},
		} {
			values, err := checkout.read(chart + "/values.yaml")
			must(t, err)
			schema, err := checkout.read(chart + "/values.schema.json")
			must(t, err)
			got, err := describe(schema, []byte(part.change(string(values))))
			if part.want != "" {
				if err == nil || err.Error() != part.want {
					t.Errorf("%s: got the error %v, want %s", chart, err, part.want)
				}
				continue
			}
			must(t, err)
			if diff := cmp.Diff(string(schema), got); diff != "" {
				t.Errorf("%s: run go run ./hack/chart (-schema +described):\n%s", chart, diff)
			}
		}
	}
}

// TestEveryValueMayBeSetToItsDefault catches a schema that is stricter than the chart.
func TestEveryValueMayBeSetToItsDefault(t *testing.T) {
	for chart := range changes {
		raw, err := checkout.read(chart + "/values.yaml")
		must(t, err)
		if _, err := template(t, chart, string(raw)); err != nil {
			t.Errorf("%s: %v", chart, err)
		}
	}
}

// TestTheFullExampleSetsEveryValue keeps ci/full.yaml from falling behind.
func TestTheFullExampleSetsEveryValue(t *testing.T) {
	var set map[string]any
	must(t, yaml.Unmarshal([]byte(ciValues(t, operatorChart)["full.yaml"]), &set))
	for path := range documentedValues(t, operatorChart) {
		var at any = set
		for key := range strings.SplitSeq(path, ".") {
			level, _ := at.(map[string]any)
			if at = level[key]; at == nil {
				t.Errorf("ci/full.yaml does not set %s", path)
				break
			}
		}
	}
}

// TestTheSchemaKnowsTheClass holds the keys of connectorClass.spec against the CRD.
func TestTheSchemaKnowsTheClass(t *testing.T) {
	raw, err := checkout.read(operatorChart + "/values.schema.json")
	must(t, err)
	type object struct {
		Properties map[string]object `json:"properties"`
	}
	var schema object
	must(t, json.Unmarshal(raw, &schema))
	got := slices.Sorted(maps.Keys(schema.Properties["connectorClass"].Properties["spec"].Properties))
	crds, err := checkout.crds()
	must(t, err)
	for _, c := range crds {
		if c.Spec.Names.Kind != "ConnectorClass" {
			continue
		}
		want := slices.Sorted(maps.Keys(c.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-CRD +schema):\n%s", diff)
		}
		return
	}
	t.Error("there is no CRD of ConnectorClass")
}

func TestAnOlderKubernetesIsRefused(t *testing.T) {
	for chart := range changes {
		_, err := template(t, chart, "", "--kube-version", "1.30.9")
		if err == nil || !strings.Contains(err.Error(), "requires kubeVersion: >=1.31") {
			t.Errorf("%s: got the error %v", chart, err)
		}
	}
}

// refused wants an error of the schema that names the value.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "don't meet the specifications of the schema") || !strings.Contains(err.Error(), want) {
		t.Errorf("got the error %v, want one of the schema with %q", err, want)
	}
}

// documentedValues are the values with a comment of their own, by their paths.
func documentedValues(t *testing.T, chart string) map[string]*yaml.Node {
	t.Helper()
	raw, err := checkout.read(chart + "/values.yaml")
	must(t, err)
	var doc yaml.Node
	must(t, yaml.Unmarshal(raw, &doc))
	found := map[string]*yaml.Node{}
	collect(found, "", doc.Content[0])
	if len(found) == 0 {
		t.Fatalf("%s has no values", chart)
	}
	return found
}

func collect(found map[string]*yaml.Node, prefix string, node *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if strings.HasPrefix(key.HeadComment, "# -- ") {
			found[prefix+key.Value] = value
			continue
		}
		collect(found, prefix+key.Value+".", value)
	}
}

func toJSON(t *testing.T, text string) string {
	t.Helper()
	out, err := sigsyaml.YAMLToJSON([]byte(text))
	must(t, err)
	return string(out)
}

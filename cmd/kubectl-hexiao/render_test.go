// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// offline makes sure that no cluster can be asked.
func offline(t *testing.T) { t.Setenv("KUBECONFIG", "/nowhere") }

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRenderPrintsWhatTheOperatorApplies(t *testing.T) {
	offline(t)
	code, out, errOut := plugin(t, "", "render", "-f", "testdata/render.in.yaml", "--image", "registry.example/hexiao/connector:1", "--image-pull-secrets", "registry")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "imagePullSecrets:\n      - name: registry\n")
	_, out, errOut = plugin(t, "", "render", "-f", "testdata/render.in.yaml", "--image", "registry.example/hexiao/connector:1")
	golden(t, "render.out.yaml", out)
	if want := "left out: testdata/render.in.yaml:3: Secret xiaowang-keruyun\n"; errOut != want {
		t.Errorf("stderr is %q, want %q", errOut, want)
	}
	raw, err := os.ReadFile("testdata/render.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	code, fromStdin, errOut := plugin(t, string(raw), "render", "-f", "-", "--image", "registry.example/hexiao/connector:1", "-o", "json")
	wantCode(t, 0, code, fromStdin, errOut)
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(fromStdin), &list); err != nil {
		t.Fatal(err)
	}
	var docs []map[string]any
	for doc := range strings.SplitSeq(strings.TrimPrefix(out, "---\n"), "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, o)
	}
	if diff := cmp.Diff(docs, list.Items); diff != "" {
		t.Errorf("YAML and JSON differ (-yaml +json):\n%s", diff)
	}
}

var mustNotExist = regexp.MustCompile(`(?m)^---\n# .*: must not exist\n`)

// goldenImage is the operator's in its golden files; its digest is too short for a flag.
const goldenImage = "registry.example/hexiao-connector@sha256:0123"

// templateHash is over the whole template, and so over the image.
var templateHash = regexp.MustCompile(`(connect.hexiao.dev/template-hash: )[0-9a-f]{32}\b`)

// The operator's own golden files, by the plugin: credentials and key are known.
func TestRenderIsTheOperatorsOwn(t *testing.T) {
	offline(t)
	const dir = "../../controllers/render/testdata/"
	inputs, err := filepath.Glob(dir + "*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases (%v)", err)
	}
	key := write(t, filepath.Join(t.TempDir(), "key"), "the installation's key")
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			credentials := t.TempDir()
			raw, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			for doc := range bytes.SplitSeq(raw, []byte("\n---\n")) {
				var s corev1.Secret
				if err := yaml.Unmarshal(doc, &s); err == nil && s.Kind == "Secret" {
					for k, v := range s.StringData {
						write(t, filepath.Join(credentials, s.Name, k), v)
					}
				}
			}
			want, err := os.ReadFile(strings.TrimSuffix(in, ".in.yaml") + ".out.yaml")
			if err != nil {
				t.Fatal(err)
			}
			code, out, errOut := plugin(t, "", "render", "-f", in, "--credentials-dir", credentials, "--revision-key-file", key,
				"--image", goldenImage+strings.Repeat("0", 60), "--monitoring-namespace-labels", "kubernetes.io/metadata.name=monitoring")
			wantCode(t, 0, code, out, errOut)
			out = templateHash.ReplaceAllString(strings.ReplaceAll(out, goldenImage+strings.Repeat("0", 60), goldenImage), "$1")
			if diff := cmp.Diff(templateHash.ReplaceAllString(mustNotExist.ReplaceAllString(string(want), ""), "$1"), out); diff != "" {
				t.Errorf("it is not what the operator renders (-operator +plugin):\n%s", diff)
			}
		})
	}
}

const brandFile = `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: xiaowang}
spec:
  brandID: "11342"
  keruyun: {credentialsSecretRef: {name: kry}}
  providers: {zhimai: {credentialsSecretRef: {name: zm}}}
  routes: [{name: balance, match: {assetMappingIDs: ["100001"]}, asset: StoredValue, provider: zhimai}]
  ledger: {embedded: {}}
`

const classFile = `apiVersion: connect.hexiao.dev/v1alpha1
kind: ConnectorClass
metadata: {name: default}
spec:
  image: registry.example/hexiao/connector@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  imagePullPolicy: IfNotPresent
  workload: {replicas: 3, priorityClassName: payments}
  ledger: {postgres: {dsnSecretRef: {name: ledger, key: dsn}, schemaPrefix: brand_}}
  exposure: {hostname: "{name}.pos.example.com", gatewayRef: {name: public, namespace: gateways}}
`

func TestRenderTakesWhatABrandDoesNotSayFromItsClass(t *testing.T) {
	offline(t)
	dir := t.TempDir()
	class := write(t, filepath.Join(dir, "class.yaml"), classFile)
	brand := write(t, filepath.Join(dir, "brand.yaml"), strings.Replace(brandFile, "  ledger: {embedded: {}}\n", "", 1))
	code, out, errOut := plugin(t, "", "render", "-f", brand, "-f", class, "--image", "registry.example/hexiao/connector:of-the-operator")
	wantCode(t, 0, code, out, errOut)
	golden(t, "render-class.out.yaml", out)
}

func TestTheImageIsTheOneOfThisVersionsChart(t *testing.T) {
	offline(t)
	read := func(file string, into any) {
		raw, err := os.ReadFile(filepath.Join("../../charts/hexiao", file))
		if err == nil {
			err = yaml.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var chart struct{ AppVersion string }
	read("Chart.yaml", &chart)
	var values struct {
		Connector struct {
			Image struct{ Repository, Tag, Digest string }
		}
	}
	read("values.yaml", &values)
	image := values.Connector.Image
	if image.Tag != "" || image.Digest != "" || chart.AppVersion == "" {
		t.Fatalf("the values name an image of their own: %+v", values)
	}
	want := image.Repository + ":" + chart.AppVersion
	if defaultImage != want {
		t.Errorf("defaultImage is %s, and the chart runs %s: change it in image.go", defaultImage, want)
	}
	code, out, errOut := plugin(t, brandFile, "render", "-f", "-")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "image: "+want+"\n")
}

func TestRenderSaysWhatIsWrongWithAFile(t *testing.T) {
	offline(t)
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good.yaml"), brandFile)
	for name, c := range map[string]struct {
		file string
		args []string
		want []string
	}{
		"no file":                      {args: []string{}, want: []string{"-f is missing"}},
		"a file that is not there":     {args: []string{"-f", dir + "/none.yaml"}, want: []string{"none.yaml", "no such file"}},
		"a directory without files":    {args: []string{"-f", t.TempDir()}, want: []string{"there is no .yaml, .yml or .json file"}},
		"no brand in it":               {file: "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", want: []string{"there is no BrandConnector in"}},
		"no kind":                      {file: "a: b\n", want: []string{"kind is missing", "kind: BrandConnector"}},
		"another version":              {file: strings.Replace(brandFile, "v1alpha1", "v1beta9", 1), want: []string{"BrandConnector xiaowang", `apiVersion is "connect.hexiao.dev/v1beta9": use connect.hexiao.dev/v1alpha1`}},
		"no YAML, in line 11":          {file: brandFile + "---\nkind: [\n", want: []string{"line 11"}},
		"a field that is not there":    {file: strings.Replace(brandFile, "ledger:", "leger:", 1), want: []string{"BrandConnector xiaowang", `unknown field "spec.leger"`}},
		"a number that is to be text":  {file: strings.Replace(brandFile, `"11342"`, "11342", 1), want: []string{"BrandConnector xiaowang: spec.brandID: 11342 is a number, and text is wanted: put it into quotes"}},
		"a size that is none":          {file: strings.Replace(brandFile, "{embedded: {}}", "{embedded: {size: 1gb}}", 1), want: []string{`spec.ledger.embedded.size: "1gb" is text, and a quantity is wanted`, "1Gi"}},
		"a resource that is none":      {file: brandFile + "  workload: {resources: {requests: {memory: 1 GB}}}\n", want: []string{`spec.workload.resources.requests.memory: "1 GB" is text`}},
		"a duration without a unit":    {file: strings.Replace(brandFile, "keruyun: {", "keruyun: {replyDeadline: 5, ", 1), want: []string{"spec.keruyun.replyDeadline: 5 is a number, and a duration is wanted", "90s"}},
		"a class's duration":           {file: strings.Replace(classFile, "spec:", "spec:\n  rollout: {progressDeadline: 5minutes}", 1) + "---\n" + brandFile, want: []string{`ConnectorClass default: spec.rollout.progressDeadline: "5minutes" is text`}},
		"several things, each":         {file: strings.Replace(strings.Replace(brandFile, `"11342"`, "11342", 1), "ledger:", "leger:", 1) + "  suspend: 'yes'\n  workload: {replicas: '2'}\n", want: []string{`unknown field "spec.leger"`, "spec.brandID: 11342 is a number", `spec.suspend: "yes" is text, and true or false is wanted`, `spec.workload.replicas: "2" is text, and a whole number is wanted`}},
		"a list where none is":         {file: strings.Replace(brandFile, "metadata:", "metadata: [x]\nmeta:", 1), want: []string{"metadata: it is a list, and an object with fields is wanted"}},
		"demands of the API, each":     {file: strings.NewReplacer(`"11342"`, `"a b"`, "provider: zhimai", "provider: alsc").Replace(brandFile), want: []string{"spec.brandID: Invalid value", "every route's provider must be configured"}},
		"what the API cannot demand":   {file: brandFile + "  workload: {patch: {spec: {replicas: 3}}}\n", want: []string{"spec.workload.patch", "use spec.workload.replicas"}},
		"a brand twice":                {args: []string{"-f", good, "-f", good}, want: []string{"BrandConnector xiaowang is in", "leave one out"}},
		"another namespace than -n":    {file: strings.Replace(brandFile, "name: xiaowang", "name: xiaowang, namespace: a", 1), args: []string{"-n", "b"}, want: []string{`metadata.namespace is "a", and -n says "b"`}},
		"a pull policy that is none":   {args: []string{"-f", good, "--image-pull-policy", "Often"}, want: []string{"--image-pull-policy", "Always, IfNotPresent, Never"}},
		"an image that is none":        {args: []string{"-f", good, "--image", "x y"}, want: []string{`--image is "x y": it must be the name of an image: registry.example/hexiao/connector with a tag`}},
		"a pull secret that is none":   {args: []string{"-f", good, "--image-pull-secrets", "Two words"}, want: []string{`--image-pull-secrets has "Two words", which is no name of a Secret`}},
		"a table":                      {args: []string{"-f", good, "-o", "wide"}, want: []string{"yaml or json"}},
		"credentials that are missing": {args: []string{"-f", good, "--credentials-dir", dir}, want: []string{"spec.keruyun.credentialsSecretRef", "kry/appKey", "key token of Secret kry is needed", "zm/grantCode"}},
		"a key without credentials":    {args: []string{"-f", good, "--revision-key-file", good}, want: []string{"--credentials-dir"}},
		"a class that is not there":    {file: strings.Replace(brandFile, "spec:", "spec:\n  connectorClassName: gold", 1), want: []string{"spec.connectorClassName: there is no ConnectorClass gold here", "-f"}},
		"a class twice":                {file: classFile + "---\n" + classFile + "---\n" + brandFile, want: []string{"ConnectorClass default is in", "leave one out"}},
		"a class that is wrong":        {file: strings.Replace(classFile, "{name}.", "", 1) + "---\n" + brandFile, want: []string{"ConnectorClass default: spec.exposure.hostname", "must contain {name}"}},
		"a class in another case":      {file: strings.Replace(classFile, "ConnectorClass", "Connectorclass", 1) + "---\n" + brandFile, want: []string{`Connectorclass default: connect.hexiao.dev has no kind "Connectorclass": did you mean ConnectorClass?`}},
		"a brand in another case":      {file: strings.Replace(brandFile, "BrandConnector", "Brandconnector", 1), want: []string{`brand.yaml: Brandconnector xiaowang: connect.hexiao.dev has no kind "Brandconnector": did you mean BrandConnector?`}},
		"a misspelt kind":              {file: strings.Replace(classFile, "ConnectorClass", "ConectorClasses", 1) + "---\n" + brandFile, want: []string{`has no kind "ConectorClasses": did you mean ConnectorClass?`}},
		"a kind that no version has":   {file: strings.Replace(classFile, "ConnectorClass", "Fleet", 1) + "---\n" + brandFile, want: []string{`has no kind "Fleet": its kinds are BrandConnector and ConnectorClass`}},
		"a number that is too small":   {file: strings.Replace(classFile, "  image:", "  rollout: {maxConcurrent: 0}\n  image:", 1) + "---\n" + brandFile, want: []string{"ConnectorClass default: spec.rollout.maxConcurrent: it is 0, and 1 is the least: give more, or leave the field out"}},
		"what is written down empty":   {file: strings.Replace(brandFile, "spec:", "spec:\n  connectorClassName: \"\"", 1), want: []string{"BrandConnector xiaowang: spec.connectorClassName: it is empty: give a value, or leave the field out"}},
		"no ledger anywhere":           {file: strings.Replace(brandFile, "  ledger: {embedded: {}}\n", "", 1), want: []string{"spec.ledger: it is missing, and no ConnectorClass has one"}},
		"a bad shop table":             {file: brandFile + "  shopsConfigMapRef: {name: shops}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shops}\ndata: {shops.yaml: '[{kryShopID: \"1\"}]'}\n", want: []string{"spec.shopsConfigMapRef", "ConfigMap shops", "give zhimai or alsc"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"render"}, c.args...)
			if c.file != "" {
				args = append(args, "-f", write(t, filepath.Join(t.TempDir(), "brand.yaml"), c.file))
			}
			code, out, errOut := plugin(t, "", args...)
			wantCode(t, exitUsage, code, out, errOut)
			wantText(t, errOut, c.want...)
			if out != "" {
				t.Errorf("something was printed:\n%s", out)
			}
		})
	}
}

func TestRenderTellsNothingOfACredential(t *testing.T) {
	offline(t)
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "brand.yaml"), strings.Replace(brandFile, "{embedded: {}}", "{postgres: {dsnSecretRef: {name: pg, key: dsn}}}", 1)+
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: kry}\nstringData: {appKey: canary-1}\n")
	credentials := filepath.Join(dir, "credentials")
	for path, value := range map[string]string{"kry/appKey": "canary-1", "kry/token": "canary-2", "zm/openId": "canary-3", "zm/openKey": "canary-4",
		"zm/grantCode": "canary-5", "pg/dsn": "postgres://u:canary-6@pg.databases.svc:6432/l"} {
		write(t, filepath.Join(credentials, path), value)
	}
	render := []string{"render", "-f", file, "--credentials-dir", credentials}
	code, out, errOut := plugin(t, "", render...)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "connect.hexiao.dev/config-revision: unknown-without-the-installation", "kubernetes.io/metadata.name: databases")
	if strings.Contains(out+errOut, "canary") {
		t.Errorf("a credential got out:\n%s\n%s", out, errOut)
	}
	write(t, filepath.Join(credentials, "kry/token"), "\n")
	code, out, errOut = plugin(t, "", render...)
	wantCode(t, exitUsage, code, out, errOut)
	wantText(t, errOut, "kry/token is empty: fill it")
	// Two guesses at a credential must look alike.
	write(t, filepath.Join(credentials, "kry/token"), "another")
	_, again, _ := plugin(t, "", render...)
	write(t, filepath.Join(credentials, "kry/token"), "and-another")
	if _, other, _ := plugin(t, "", render...); other != again {
		t.Errorf("it depends on a credential (-one +other):\n%s", cmp.Diff(again, other))
	}
}

// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

var installation = render.Installation{
	Image:                "registry.example/hexiao-connector@sha256:0123",
	MonitoringNamespaces: map[string]string{"kubernetes.io/metadata.name": "monitoring"},
	RevisionKey:          []byte("the installation's key"),
}

// load reads a BrandConnector and, behind it, the Secrets and ConfigMaps that it
// refers to.
func load(t *testing.T, file string) render.Inputs {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := render.Inputs{Installation: installation, Brand: &v1alpha1.BrandConnector{}}
	data := map[string]string{}
	for _, doc := range bytes.Split(raw, []byte("\n---\n")) {
		var meta metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &meta); err != nil {
			t.Fatal(err)
		}
		switch meta.Kind {
		case v1alpha1.KindBrandConnector:
			if err := yaml.UnmarshalStrict(doc, in.Brand); err != nil {
				t.Fatal(err)
			}
		case v1alpha1.KindConnectorClass:
			in.Class = &v1alpha1.ConnectorClass{}
			if err := yaml.UnmarshalStrict(doc, in.Class); err != nil {
				t.Fatal(err)
			}
		case "Secret":
			var s corev1.Secret
			if err := yaml.UnmarshalStrict(doc, &s); err != nil {
				t.Fatal(err)
			}
			for k, v := range s.StringData {
				data["Secret/"+s.Name+"/"+k] = v
			}
		case "ConfigMap":
			var c corev1.ConfigMap
			if err := yaml.UnmarshalStrict(doc, &c); err != nil {
				t.Fatal(err)
			}
			for k, v := range c.Data {
				data["ConfigMap/"+c.Name+"/"+k] = v
			}
		}
	}
	for _, n := range render.Needs(v1alpha1.Resolve(in.Brand, in.Class)) {
		if v, ok := data[string(n.Source)+"/"+n.Name+"/"+n.Key]; ok {
			in.Values = append(in.Values, render.Value{Need: n, Bytes: []byte(v)})
		}
	}
	return in
}

func marshal(t *testing.T, out *render.Output) []byte {
	t.Helper()
	var all bytes.Buffer
	for _, c := range out.Children {
		all.WriteString("---\n")
		if c.Apply == nil {
			all.WriteString("# " + c.Kind.Kind + " " + c.Name + ": must not exist\n")
			continue
		}
		doc, err := yaml.Marshal(c.Apply)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(doc)
	}
	return all.Bytes()
}

func TestPullSecretsAreTheBrandsElseItsClasssElseTheInstallations(t *testing.T) {
	secrets := func(names ...string) v1alpha1.WorkloadSpec {
		var w v1alpha1.WorkloadSpec
		for _, name := range names {
			w.ImagePullSecrets = append(w.ImagePullSecrets, v1alpha1.LocalObjectReference{Name: name})
		}
		return w
	}
	for name, test := range map[string]struct {
		brand, class v1alpha1.WorkloadSpec
		want         []string
	}{
		"nobody's but the installation's": {want: []string{"registry", "mirror"}},
		"the class's":                     {class: secrets("class"), want: []string{"class"}},
		"the brand's":                     {brand: secrets("own", "other"), class: secrets("class"), want: []string{"own", "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "testdata/embedded-scheduled.in.yaml") // a Deployment and a CronJob
			in.Installation.ImagePullSecrets = []string{"registry", "mirror"}
			in.Brand.Spec.Workload = test.brand
			in.Class = &v1alpha1.ConnectorClass{Spec: v1alpha1.ConnectorClassSpec{Workload: test.class}}
			out, err := render.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			pods := map[string]*corev1ac.PodSpecApplyConfiguration{}
			for _, c := range out.Children {
				switch apply := c.Apply.(type) {
				case *appsv1ac.DeploymentApplyConfiguration:
					pods[c.Kind.Kind] = apply.Spec.Template.Spec
				case *batchv1ac.CronJobApplyConfiguration:
					pods[c.Kind.Kind] = apply.Spec.JobTemplate.Spec.Template.Spec
				}
			}
			for _, kind := range []string{"Deployment", "CronJob"} {
				var got []string
				for _, secret := range pods[kind].ImagePullSecrets {
					got = append(got, *secret.Name)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("of the %s (-want +got):\n%s", kind, diff)
				}
			}
		})
	}
}

func TestRenderedObjectsAreTheGoldenOnes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases under testdata (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			in := load(t, file)
			out, err := render.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			got := marshal(t, out)
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs (-want +got); run with -update if it should:\n%s", golden, diff)
			}
			for _, v := range in.Values {
				if len(v.Bytes) > 3 && v.Source == render.SourceSecret && bytes.Contains(got, v.Bytes) {
					t.Errorf("the value of %s/%s is in a rendered object", v.Name, v.Key)
				}
			}
		})
	}
}

func TestTheSameInputsGiveTheSameBytes(t *testing.T) {
	in := load(t, "testdata/full.in.yaml")
	first, err := render.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	want := marshal(t, first)
	for range 50 {
		again, err := render.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(marshal(t, again))); diff != "" {
			t.Fatalf("a second rendering differs (-first +second):\n%s", diff)
		}
	}
}

func TestWhatRestartsABrand(t *testing.T) {
	tests := map[string]struct {
		change   func(*render.Inputs)
		restarts bool
	}{
		"another byte in a credential": {func(in *render.Inputs) {
			in.Values[0].Bytes = append(in.Values[0].Bytes[:0:0], "other"...)
		}, true},
		"another route": {func(in *render.Inputs) { in.Brand.Spec.Routes[0].Name = "other" }, true},
		"another image": {func(in *render.Inputs) { in.Installation.Image = "other" }, true},
		"another key of the installation": {func(in *render.Inputs) {
			in.Installation.RevisionKey = []byte("other")
		}, true},
		"more replicas":         {func(in *render.Inputs) { in.Brand.Spec.Workload.Replicas = new(int32(7)) }, false},
		"no exposure":           {func(in *render.Inputs) { in.Brand.Spec.Exposure = nil }, false},
		"suspension":            {func(in *render.Inputs) { in.Brand.Spec.Suspend = true }, false},
		"a label on the object": {func(in *render.Inputs) { in.Brand.Labels = map[string]string{"a": "b"} }, false},
		"a new generation":      {func(in *render.Inputs) { in.Brand.Generation++ }, false},
		"another monitoring":    {func(in *render.Inputs) { in.Installation.MonitoringNamespaces = nil }, false},
		"a scheduled reconciliation": {func(in *render.Inputs) {
			in.Brand.Spec.Reconciliation = &v1alpha1.ReconciliationSpec{Schedule: "@daily"}
		}, false},
		"a scheduled retention": {func(in *render.Inputs) {
			in.Brand.Spec.Retention = &v1alpha1.RetentionSpec{Schedule: "@monthly", OlderThan: 400}
		}, false},
		"autoscaling, not replicas": {func(in *render.Inputs) { autoscale(in.Brand) }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			in := load(t, "testdata/full.in.yaml")
			before, err := render.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(&in)
			after, err := render.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			if got := before.TemplateHash != after.TemplateHash; got != tc.restarts {
				t.Errorf("restarts = %v, want %v", got, tc.restarts)
			}
		})
	}
}

func autoscale(b *v1alpha1.BrandConnector) {
	b.Spec.Workload.Replicas = nil
	b.Spec.Workload.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 9}
}

func TestATraceParentIsNoPartOfTheTemplatesHash(t *testing.T) {
	in := load(t, "testdata/minimal.in.yaml")
	out, err := render.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	hash := out.TemplateHash
	out.SetTraceParent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if got := string(marshal(t, out)); !strings.Contains(got, render.AnnotationTraceParent+": 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") {
		t.Errorf("the trace parent is not on the pod template:\n%s", got)
	}
	if !strings.Contains(string(marshal(t, out)), render.AnnotationTemplateHash+": "+hash) {
		t.Error("the template's hash changed")
	}
}

func TestPodsThatAreThereStayWhereNobodyGivesANumber(t *testing.T) {
	for name, tc := range map[string]struct {
		file   string
		change func(*v1alpha1.WorkloadSpec)
		has    *int32
		want   *int32
	}{
		"an autoscaler left seven":             {"postgres", func(*v1alpha1.WorkloadSpec) {}, new(int32(7)), new(int32(7))},
		"there are fewer than the default":     {"postgres", func(*v1alpha1.WorkloadSpec) {}, new(int32(1)), new(int32(2))},
		"nothing is known":                     {"postgres", func(*v1alpha1.WorkloadSpec) {}, nil, new(int32(2))},
		"the brand gives a number":             {"postgres", func(w *v1alpha1.WorkloadSpec) { w.Replicas = new(int32(3)) }, new(int32(7)), new(int32(3))},
		"an autoscaler chooses":                {"postgres", autoscaling, new(int32(7)), nil},
		"the embedded ledger has but one user": {"embedded", func(*v1alpha1.WorkloadSpec) {}, new(int32(7)), new(int32(1))},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "testdata/"+tc.file+".in.yaml")
			in.Brand.Spec.Workload.Replicas, in.Brand.Spec.Workload.Autoscaling = nil, nil
			tc.change(&in.Brand.Spec.Workload)
			out, err := render.Render(in)
			if err != nil {
				t.Fatal(err)
			}
			out.KeepReplicas(tc.has)
			if diff := cmp.Diff(tc.want, out.Replicas()); diff != "" {
				t.Errorf("replicas (-want +got):\n%s", diff)
			}
		})
	}
}

func autoscaling(w *v1alpha1.WorkloadSpec) { w.Autoscaling = &v1alpha1.AutoscalingSpec{MaxReplicas: 9} }

func TestABrandThatWasStoredBeforeTodaysRulesIsJudgedByThem(t *testing.T) {
	in := load(t, "testdata/embedded.in.yaml")
	in.Brand.Spec.Workload.Replicas = new(int32(5))
	_, err := render.Render(in)
	var invalid *render.InvalidError
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Problem, "replicas") {
		t.Errorf("five Pods on one file: got %v, want an InvalidError about the replicas", err)
	}
}

func TestAPatchThatCannotBeTakenNamesItsField(t *testing.T) {
	tests := map[string]struct {
		patch, want string
		embedded    bool
	}{
		"a misspelt field":           {patch: `{"spec":{"template":{"spec":{"hostNetwrk":true}}}}`, want: `unknown field "spec.template.spec.hostNetwrk"`},
		"a wrong type":               {patch: `{"spec":{"template":{"spec":{"hostNetwork":"yes"}}}}`, want: "hostNetwork"},
		"no object":                  {patch: `["a"]`, want: "must be an object"},
		"replicas":                   {patch: `{"spec":{"replicas":3}}`, want: "use spec.workload.replicas"},
		"the selector":               {patch: `{"spec":{"selector":{"matchLabels":{"a":"b"}}}}`, want: "spec.selector cannot be patched"},
		"the selector removed":       {patch: `{"spec":{"$retainKeys":["template"]}}`, want: "spec.selector cannot be patched"},
		"metadata removed":           {patch: `{"metadata":null}`, want: "removes metadata or spec"},
		"the spec removed":           {patch: `{"spec":null}`, want: "removes metadata or spec"},
		"a Deployment that waits":    {patch: `{"spec":{"paused":true}}`, want: "spec.paused cannot be patched"},
		"an own annotation":          {patch: `{"spec":{"template":{"metadata":{"annotations":{"connect.hexiao.dev/config-revision":"frozen"}}}}}`, want: "the operator's own annotations connect.hexiao.dev/*"},
		"own annotations removed":    {patch: `{"spec":{"template":{"metadata":{"annotations":{"$patch":"replace","a":"b"}}}}}`, want: "the operator's own annotations connect.hexiao.dev/*"},
		"the name":                   {patch: `{"metadata":{"name":"x"}}`, want: "metadata.name cannot be patched"},
		"the status":                 {patch: `{"status":{}}`, want: "status cannot be patched"},
		"an own label":               {patch: `{"spec":{"template":{"metadata":{"labels":{"app.kubernetes.io/name":"x"}}}}}`, want: "app.kubernetes.io/*"},
		"an own label removed":       {patch: `{"metadata":{"labels":{"app.kubernetes.io/instance":null}}}`, want: "app.kubernetes.io/*"},
		"the connector removed":      {patch: `{"spec":{"template":{"spec":{"containers":[{"name":"connector","$patch":"delete"}]}}}}`, want: "removes the container connector"},
		"the template removed":       {patch: `{"spec":{"template":null}}`, want: "removes the pod template"},
		"two writers of one file":    {patch: `{"spec":{"strategy":{"type":"RollingUpdate"}}}`, want: "spec.strategy cannot be patched", embedded: true},
		"the one writer forgotten":   {patch: `{"spec":{"$retainKeys":["selector","template","replicas","progressDeadlineSeconds","revisionHistoryLimit"]}}`, want: "spec.strategy cannot be patched", embedded: true},
		"the ledger in a Pod's own":  {patch: `{"spec":{"template":{"spec":{"volumes":[{"name":"ledger","$retainKeys":["name","emptyDir"],"emptyDir":{}}]}}}}`, want: "the volume ledger", embedded: true},
		"the ledger's mount removed": {patch: `{"spec":{"template":{"spec":{"containers":[{"name":"connector","volumeMounts":[{"mountPath":"/var/lib/hexiao","$patch":"delete"}]}]}}}}`, want: "its mount", embedded: true},
		"a mount over the ledger":    {patch: `{"spec":{"template":{"spec":{"containers":[{"name":"connector","volumeMounts":[{"mountPath":"/var/lib/hexiao/","name":"tmp"}]}]}}}}`, want: "its mount", embedded: true},
		"a ledger in another file":   {patch: `{"spec":{"template":{"spec":{"containers":[{"name":"connector","args":["serve","--ledger-path=/tmp/ledger.db"]}]}}}}`, want: "--ledger-path", embedded: true},
		"a list that names a mount":  {patch: `{"spec":{"template":{"spec":{"containers":[{"name":"connector","volumeMounts":[{"mountPath":["x"]}]}]}}}}`, want: "must be a text or a number"},
		"the node's network":         {patch: `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`, want: "spec.template.spec.hostNetwork cannot be patched"},
		"an unknown patch command":   {patch: `{"spec":{"template":{"$patch":"explode"}}}`, want: "strategic merge patch"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			file := "testdata/postgres.in.yaml"
			if tc.embedded {
				file = "testdata/embedded.in.yaml"
			}
			in := load(t, file)
			in.Brand.Spec.Workload.Patch = rawExtension(tc.patch)
			_, err := render.Render(in)
			var invalid *render.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if invalid.Field != "spec.workload.patch" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %q, want spec.workload.patch and %q", err, tc.want)
			}
		})
	}
}

func TestAHostThatOnlyLooksLikeAServicesOpensNoNamespace(t *testing.T) {
	in := load(t, "testdata/postgres.in.yaml")
	for host, opens := range map[string]bool{"pg.databases.svc": true, "pg.data!bases.svc": false, "pg.Data.svc": false, "pg..svc": false} {
		for i := range in.Values {
			if in.Values[i].DSN {
				in.Values[i].Bytes = []byte("postgres://u:p@" + host + ":6432/ledger")
			}
		}
		out, err := render.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		rendered := string(marshal(t, out))
		// An API server would refuse the policy, and repeat what the Secret holds.
		if got := !strings.Contains(rendered, "port: 6432"); got != opens {
			t.Errorf("%s: opens a namespace: %t, want %t", host, got, opens)
		}
		if namespace, _, _ := strings.Cut(strings.TrimPrefix(host, "pg."), ".svc"); !opens && namespace != "" && strings.Contains(rendered, namespace) {
			t.Errorf("%s: a part of it is in a rendered object", host)
		}
	}
}

func TestNeedsNameEachKeyOnceAndTheStricterWins(t *testing.T) {
	b := &v1alpha1.BrandConnector{}
	b.Spec.Keruyun.CredentialsSecretRef.Name = "all"
	b.Spec.Providers.Alsc = &v1alpha1.AlscSpec{CredentialsSecretRef: v1alpha1.LocalObjectReference{Name: "all"}}
	b.Spec.Ledger.Postgres = &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "all", Key: "session"}}
	var got []string
	for _, n := range render.Needs(b) {
		line := n.Name + "/" + n.Key
		if n.Optional {
			line += " optional"
		}
		got = append(got, line)
	}
	want := []string{"all/appKey", "all/appSecret", "all/session", "all/token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}

func TestTheRevisionKeepsPartsApart(t *testing.T) {
	value := func(name, key, bytes string) render.Value {
		return render.Value{Need: render.Need{Source: render.SourceSecret, Name: name, Key: key}, Bytes: []byte(bytes)}
	}
	key := []byte("k")
	seen := map[string]string{}
	for name, r := range map[string]string{
		"no values":           render.Revision(key, []byte("c"), nil),
		"one value":           render.Revision(key, []byte("c"), []render.Value{value("a", "b", "cd")}),
		"a shifted border":    render.Revision(key, []byte("c"), []render.Value{value("a", "bc", "d")}),
		"an empty value":      render.Revision(key, []byte("c"), []render.Value{value("a", "b", "")}),
		"another key":         render.Revision([]byte("l"), []byte("c"), nil),
		"another config":      render.Revision(key, []byte("d"), nil),
		"two values, not one": render.Revision(key, []byte("c"), []render.Value{value("a", "b", "c"), value("a", "d", "")}),
	} {
		if other, ok := seen[r]; ok {
			t.Errorf("%q and %q have the same revision", name, other)
		}
		seen[r] = name
	}
}

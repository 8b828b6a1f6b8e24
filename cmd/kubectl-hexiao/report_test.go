// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/zip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/bundle"
)

// The canaries: what is planted, and must be in no file of a bundle.
const (
	canarySecret = `CANARY/of+a"Secret`
	canaryDSN    = "CANARYofTheDSN"
	canaryEnv    = "CANARY-of-a-variable"
	canaryLooks  = "CANARYlooksLikeASecret"
	canaryMobile = "13912345678"
)

// canaries are their forms: as they are, in base64 at any alignment, and so on.
func canaries() map[string]string {
	all := map[string]string{}
	for _, c := range []string{canarySecret, canaryDSN, canaryEnv, canaryLooks, canaryMobile} {
		all["as it is: "+c] = c
		all["in hexadecimal: "+c] = hex.EncodeToString([]byte(c))
		all["in a URL: "+c] = url.QueryEscape(c)
		quoted, _ := json.Marshal(c)
		all["in JSON: "+c] = strings.Trim(string(quoted), `"`)
		for shift := range 3 {
			text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), c...))
			all[fmt.Sprintf("in base64, %d bytes before: %s", shift, c)] = text[4 : len(text)-2]
		}
	}
	return all
}

// kubelet answers for a node: the logs of its Pods.
func kubelet(w *world, name string, lines map[string]string) {
	w.t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, ok := lines[path.Base(r.URL.Path)]
		if !ok || !strings.HasPrefix(r.URL.Path, "/containerLogs/") {
			http.NotFound(rw, r)
			return
		}
		if r.URL.Query().Get("previous") == "true" {
			text = "the one before: " + text
		}
		_, _ = io.WriteString(rw, text)
	}))
	w.t.Cleanup(server.Close)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	w.create(node)
	w.t.Cleanup(func() { _ = w.api.Delete(context.Background(), node) })
	node.Status = corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(server.Listener.Addr().(*net.TCPAddr).Port)}}}
	if err := w.api.Status().Update(w.t.Context(), node); err != nil {
		w.t.Fatal(err)
	}
}

// planted is a brand with canaries wherever somebody could put them.
func planted(t *testing.T) *world {
	w := newWorld(t)
	w.create(w.secret("extra", map[string]string{"value": canarySecret, "on": "x"}))
	w.create(w.secret("pg2", map[string]string{"dsn": "postgres://hexiao:" + canaryDSN + "@pg.databases.svc:5432/ledger"}))
	w.create(&corev1.Secret{ObjectMeta: w.meta("release"), Type: "helm.sh/release.v1", StringData: map[string]string{"release": "a compressed record"}})
	b := &v1alpha1.BrandConnector{}
	text := strings.Replace(onPostgres(""), "name: pg,", "name: pg2,", 1) + `
  workload:
    patch: {spec: {template: {spec: {containers: [{name: connector, env: [{name: HTTP_PROXY, value: ` + canaryEnv + `}]}]}}}}
`
	if err := v1alpha1.Decode([]byte(text), b); err != nil {
		t.Fatal(err)
	}
	b.Namespace = w.namespace
	applied, err := json.Marshal(map[string]any{"kind": "BrandConnector", "spec": map[string]any{"patch": b.Spec.Workload.Patch, "note": canarySecret, "env": []any{map[string]any{"name": "A", "value": canaryEnv}}}})
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte("{" + canarySecret + "}"))
	b.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(applied), "example.com/note": encoded, "example.com/api-token": canaryLooks}
	w.create(b)
	w.handled(b)
	w.pods(b, encoded)
	return w
}

// pods plays what Kubernetes' controllers would make of the Deployment: a Pod that
// crashed, with a log, and an event.
func (w *world) pods(b *v1alpha1.BrandConnector, encoded string) {
	w.t.Helper()
	d := &appsv1.Deployment{}
	w.get(b.Name, d)
	set := &appsv1.ReplicaSet{ObjectMeta: w.meta(b.Name + "-5d9c"), Spec: appsv1.ReplicaSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template}}
	set.Labels = d.Spec.Template.Labels
	set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	w.create(set)
	pod := &corev1.Pod{ObjectMeta: w.meta(set.Name + "-x2k4j"), Spec: corev1.PodSpec{NodeName: w.namespace, Containers: []corev1.Container{{Name: "connector", Image: operatorImage,
		Env: []corev1.EnvVar{{Name: "HTTP_PROXY", Value: canaryEnv}}}}}}
	pod.Labels = d.Spec.Template.Labels
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	w.create(pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", Message: "containers with unready status: [connector]"}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "connector", Image: operatorImage, RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off, it said " + canarySecret}}}}}
	if err := w.api.Status().Update(w.t.Context(), pod); err != nil {
		w.t.Fatal(err)
	}
	foreign := pod.DeepCopy()
	foreign.ObjectMeta = w.meta("foreign")
	foreign.Labels = map[string]string{"app.kubernetes.io/instance": b.Name}
	w.create(foreign)
	w.create(&corev1.Event{ObjectMeta: w.meta("e1"), InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: w.namespace, Name: pod.Name},
		Type: "Warning", Reason: "BackOff", Message: "failed with " + canarySecret + " alias " + encoded})
	w.create(&corev1.Event{ObjectMeta: w.meta("e2"), InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: w.namespace, Name: "foreign"}, Type: "Warning", Reason: "Foreign", Message: "not ours"})
	kubelet(w, w.namespace, map[string]string{"connector": strings.Join([]string{
		`{"level":"INFO","msg":"ready"}`,
		`{"level":"ERROR","msg":"open ledger: dial postgres://hexiao:` + canaryDSN + `@pg:5432"}`,
		`tried password ` + canaryDSN + ` and ` + canarySecret,
		`encoded ` + encoded + ` hex ` + hex.EncodeToString([]byte(canarySecret)) + ` escaped ` + url.QueryEscape(canarySecret),
		`Authorization: Bearer ` + canaryLooks,
		`GET /top?appKey=` + canaryLooks + `&sign=` + canaryLooks + `&v=2.0`,
		`{"paymentToken":"` + canaryLooks + `","mobile":"` + canaryMobile + `"} called by ` + canaryMobile,
	}, "\n") + "\n"})
}

// unzip reads a bundle: file, without its folder, to text.
func unzip(t *testing.T, name string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(f.Name, "/")
		files[rest] = string(raw)
	}
	return files
}

// report runs the command and reads what it wrote.
func (w *world) report(args ...string) (files map[string]string, m bundle.Manifest, errOut string) {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "bundle.zip")
	code, out, errOut := w.run(append([]string{"report", "--file", name}, args...)...)
	wantCode(w.t, 0, code, out, errOut)
	files = unzip(w.t, name)
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil {
		w.t.Fatalf("manifest.json: %v\n%s", err, files["manifest.json"])
	}
	return files, m, errOut
}

func wantNoCanary(t *testing.T, files map[string]string, except ...string) {
	t.Helper()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for what, text := range canaries() {
			if strings.Contains(files[file], text) && !slices.ContainsFunc(except, func(e string) bool { return strings.HasSuffix(what, e) }) {
				t.Errorf("%s holds a canary, %s", file, what)
			}
		}
	}
}

func TestNoCanaryLeavesTheClusterInAReport(t *testing.T) {
	w := planted(t)
	files, m, errOut := w.report("xiaowang")
	wantNoCanary(t, files)
	dir := "brands/" + w.namespace + "/xiaowang/"
	for _, name := range []string{"brandconnector.yaml", "deployments.yaml", "replicasets.yaml", "pods.yaml", "services.yaml", "configmaps.yaml", "serviceaccounts.yaml",
		"networkpolicies.yaml", "events.yaml", "secrets.txt", "logs/xiaowang-5d9c-x2k4j.connector.log", "logs/xiaowang-5d9c-x2k4j.connector.previous.log"} {
		if files[dir+name] == "" {
			t.Errorf("there is no %s among %q", name, slices.Sorted(maps.Keys(files)))
		}
	}
	wantText(t, files[dir+"logs/xiaowang-5d9c-x2k4j.connector.log"], `"msg":"ready"`, "postgres://[redacted]@pg:5432", "Authorization: [redacted]", "v=2.0")
	wantText(t, files[dir+"secrets.txt"], "zm (Opaque): grantCode, openId, openKey", "pg2 (Opaque): dsn", "kry (Opaque): appKey, token")
	wantText(t, files["summary.txt"], "xiaowang: Ready=", "Pod "+w.namespace+"/xiaowang-5d9c-x2k4j: Ready=False (ContainersNotReady)", "state waiting, reason CrashLoopBackOff", "Pod xiaowang-5d9c-x2k4j: BackOff", "what is in doubt at "+w.namespace+"/xiaowang: unavailable")
	wantText(t, files["versions.json"], `"server": "v1.`, operatorImage)
	for file, text := range files {
		if strings.Contains(text, "foreign") || strings.Contains(text, "not ours") {
			t.Errorf("%s holds what is not the brand's", file)
		}
		if strings.HasSuffix(file, ".yaml") {
			for i, doc := range strings.Split(text, "---\n")[1:] {
				var object map[string]any
				if err := yaml.Unmarshal([]byte(doc), &object); err != nil || object["kind"] == nil {
					t.Errorf("%s: document %d is no object any more: %v", file, i, err)
				}
			}
		}
	}
	if m.Redaction.Secrets < 5 || m.Redaction.Masked == 0 || len(m.Redaction.NotRead) > 0 || !slices.Contains(m.Redaction.NotLookedFor, w.namespace+"/extra on") {
		t.Errorf("redaction: %+v", m.Redaction)
	}
	listed := map[string]bool{"manifest.json": true}
	for _, item := range m.Collected {
		listed[item.File] = true
	}
	for file := range files {
		if !listed[file] {
			t.Errorf("%s is in the bundle and not in the manifest", file)
		}
	}
	wantText(t, errOut, "begin with summary.txt")
}

func TestAReportGoesOnWhereRightsEnd(t *testing.T) {
	w := planted(t)
	brands := rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"brandconnectors"}, Verbs: []string{"get"}}
	pods := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "pods/log"}, Verbs: []string{"get", "list"}}
	w.role("little", brands, pods)
	w.role("named", brands, pods, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"zm", "kry", "pg2"}, Verbs: []string{"get"}})

	reasons := func(m bundle.Manifest) (all []string) {
		for _, r := range m.Refused {
			all = append(all, r.What+": "+r.Reason)
		}
		return all
	}
	t.Run("a Secret that may not be read", func(t *testing.T) {
		files, m, errOut := w.report("xiaowang", "--as", "little")
		wantNoCanary(t, files, canarySecret, canaryDSN) // nobody knows that these are secrets
		got := strings.Join(reasons(m), "\n")
		wantText(t, got, "list of the Secrets in namespace "+w.namespace+" (those that are named are read one by one): forbidden", "Secret "+w.namespace+"/zm: forbidden", "events of namespace "+w.namespace+": forbidden",
			"deployments of "+w.namespace+"/xiaowang: forbidden", "the operator's Deployment (say --operator-namespace where you may not look everywhere): forbidden", "ConnectorClasses: ", "what is in doubt at")
		wantText(t, files["summary.txt"], "LOOK THE BUNDLE OVER", "NOT COLLECTED", "kry")
		wantText(t, errOut, "LOOK THE BUNDLE OVER", "parts could not be collected")
		wantText(t, files["brands/"+w.namespace+"/xiaowang/secrets.txt"], "zm: not read: ")
	})
	t.Run("Secrets that may be read by name", func(t *testing.T) {
		files, m, _ := w.report("xiaowang", "--as", "named")
		wantNoCanary(t, files, canarySecret) // the value of a Secret that the brand does not name
		if m.Redaction.Secrets != 3 {
			t.Errorf("redaction: %+v", m.Redaction)
		}
	})
	t.Run("nothing at all", func(t *testing.T) {
		files, m, _ := w.report("xiaowang", "--as", "nobody")
		wantNoCanary(t, files)
		wantText(t, strings.Join(reasons(m), "\n"), "BrandConnector "+w.namespace+"/xiaowang: forbidden")
		code, out, errOut := w.run("report", "--as", "nobody", "--file", filepath.Join(t.TempDir(), "x.zip"))
		wantCode(t, exitFailed, code, out, errOut)
		wantText(t, errOut, "name the brands if you may not list them")
	})
}

func TestAReportOnManyBrandsAndTheOperator(t *testing.T) {
	w := newWorld(t)
	w.up(brandFile)
	w.up(strings.Replace(brandFile, "name: xiaowang", "name: zhang", 1))
	operator := &appsv1.Deployment{ObjectMeta: w.meta("hexiao-manager"), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "hexiao", "app.kubernetes.io/component": "operator"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/name": "hexiao", "app.kubernetes.io/component": "operator"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "registry.example/hexiao/manager:v1", Env: []corev1.EnvVar{{Name: "X", Value: canaryEnv}}}}}}}}
	operator.Labels = operator.Spec.Selector.MatchLabels
	w.create(operator)
	pod := &corev1.Pod{ObjectMeta: w.meta("hexiao-manager-1"), Spec: operator.Spec.Template.Spec}
	pod.Labels = operator.Labels
	pod.Spec.NodeName = w.namespace
	w.create(pod)
	w.t.Cleanup(func() { _ = w.api.Delete(context.Background(), operator) })
	kubelet(w, w.namespace, map[string]string{"manager": "leading\n"})

	files, m, _ := w.report("--operator-namespace", w.namespace)
	if want := []string{w.namespace + "/xiaowang", w.namespace + "/zhang"}; !slices.Equal(m.Brands, want) {
		t.Errorf("brands %v, want %v", m.Brands, want)
	}
	dir := "operator/" + w.namespace + "/hexiao-manager/"
	wantText(t, files[dir+"logs/hexiao-manager-1.manager.log"], "leading")
	wantText(t, files[dir+"deployment.yaml"], "registry.example/hexiao/manager:v1")
	wantNoCanary(t, files)
}

func TestAReportsCommandLine(t *testing.T) {
	w := newWorld(t)
	w.up(brandFile)
	there := filepath.Join(t.TempDir(), "there.zip")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone.zip")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a file that is there":       {[]string{"xiaowang", "--file", there}, exitUsage, "name another, or remove it"},
		"no such brand":              {[]string{"nobody", "--file", gone}, exitNotFound, `no BrandConnector "nobody"`},
		"a brand and all":            {[]string{"xiaowang", "-A"}, exitUsage, "not both"},
		"no cluster":                 {[]string{"--admin-url", "http://127.0.0.1:1"}, exitUsage, "reads a cluster"},
		"lines that cannot be":       {[]string{"xiaowang", "--tail", "-1"}, exitUsage, "must not be negative"},
		"a time that is not one":     {[]string{"xiaowang", "--since", "yesterday"}, exitUsage, "yesterday"},
		"a folder that is not there": {[]string{"xiaowang", "--file", filepath.Join(gone, "x.zip")}, exitUsage, "there is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := w.run(append([]string{"report"}, tt.args...)...)
			wantCode(t, tt.code, code, out, errOut)
			wantText(t, errOut, tt.says)
		})
	}
	if raw, err := os.ReadFile(there); err != nil || string(raw) != "precious" {
		t.Errorf("%q, %v", raw, err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("a bundle that could not be made was left behind: %v", err)
	}
	code, out, errOut := w.run("report", "xiaowang", "--file", "-")
	wantCode(t, 0, code, out, errOut)
	if !strings.HasPrefix(out, "PK") {
		t.Errorf("standard output is no zip file: %.20q", out)
	}
}

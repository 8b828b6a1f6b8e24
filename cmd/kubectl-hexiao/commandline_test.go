// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// kubeconfigFor points the plugin at a server.
func kubeconfigFor(t *testing.T, url string) {
	t.Helper()
	t.Setenv("KUBECONFIG", write(t, filepath.Join(t.TempDir(), "kubeconfig"), fmt.Sprintf(
		`{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c","namespace":"brands"}}]}`, url)))
}

func TestWhatIsNoCommandIsAUsageError(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"a misspelt command":                     {[]string{"statu"}, "did you mean status?"},
		"a command that is like no other":        {[]string{"frobnicate"}, `there is no command "frobnicate"`},
		"a shell that there is no completion of": {[]string{"completion", "foo"}, `there is no command "foo"`},
		"an argument where none is taken":        {[]string{"completion", "bash", "x"}, "usage"},
		"a topic that help does not know":        {[]string{"help", "statu"}, "did you mean status?"},
		"a subcommand that help does not know":   {[]string{"help", "in-doubt", "x"}, `there is no command "x"`},
		"an object of another kind":              {[]string{"status", "pod/x"}, `"pod/x" names no brand`},
		"a brand with its namespace":             {[]string{"restart", "brands/xiaowang"}, "the namespace with -n"},
		"a brand of another kind to ask":         {[]string{"in-doubt", "list", "deploy/x"}, `"deploy/x" names no brand`},
		"a member's order of another kind":       {[]string{"trace", "svc/x", "b1"}, `"svc/x" names no brand`},
	} {
		t.Run(name, func(t *testing.T) {
			startAPIServer(t, true)
			code, out, errOut := plugin(t, "", c.args...)
			wantCode(t, exitUsage, code, out, errOut)
			wantText(t, errOut, c.says)
		})
	}
	code, out, errOut := plugin(t, "")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "Available Commands:")
	code, out, errOut = plugin(t, "", "help", "in-doubt", "list")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "List what is in doubt")
}

func TestABrandIsNamedAsKubectlPrintsIt(t *testing.T) {
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", 0)
	for _, name := range []string{"xiaowang", "bc/xiaowang", "brandconnector/xiaowang", "brandconnectors.connect.hexiao.dev/xiaowang", "BrandConnector/xiaowang"} {
		code, out, errOut := plugin(t, "", "status", name)
		wantCode(t, exitNotReady, code, out, errOut)
		wantText(t, out, "BrandConnector brands/xiaowang")
	}
}

func TestNoKubeconfigSaysWhatToDo(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for _, args := range [][]string{{"status"}, {"in-doubt", "list"}, {"report"}, {"suspend", "x"}} {
		code, out, errOut := plugin(t, "", args...)
		wantCode(t, exitFailed, code, out, errOut)
		wantText(t, errOut, "--kubeconfig", "KUBECONFIG")
		if strings.Contains(errOut, "KUBERNETES_MASTER") {
			t.Errorf("it names what this program does not read: %s", errOut)
		}
	}
}

// A cluster without the CRDs answers with a page, as it does for any path.
func TestAClusterWithoutHexiaoIsToldFromABrandThatIsMissing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/pods") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[]}`))
			return
		}
		http.Error(w, "404 page not found", http.StatusNotFound)
	}))
	defer server.Close()
	kubeconfigFor(t, server.URL)
	for _, args := range [][]string{{"status"}, {"status", "x"}, {"status", "-A"}, {"in-doubt", "list", "-A"}, {"in-doubt", "list", "x"}, {"reversals", "list"},
		{"diff"}, {"diff", "x"}, {"suspend", "x"}, {"report", "x"}, {"report", "-A"}, {"trace", "x", "b1"}} {
		code, out, errOut := plugin(t, "", args...)
		wantCode(t, exitNotFound, code, out, errOut)
		wantText(t, errOut, "this cluster has no BrandConnectors: install Hexiao")
	}
}

func TestANamespaceWithoutBrandsIsNoGoodNews(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"status"}, {"diff"}, {"report"}, {"status", "-o", "wide"}, {"in-doubt", "list"}, {"reversals", "list"}} {
		code, out, errOut := w.run(args...)
		wantCode(t, exitNotFound, code, out, errOut)
		wantText(t, errOut, `there is no BrandConnector in namespace "`+w.namespace+`"`, "-n", "-A")
		if out != "" {
			t.Errorf("%v: it prints %q", args, out)
		}
	}
	for _, args := range [][]string{{"status", "-o", "json"}, {"in-doubt", "list", "-o", "json"}, {"reversals", "list", "-o", "json"}} {
		code, out, errOut := w.run(args...)
		wantCode(t, exitNotFound, code, out, errOut)
		var got struct{ Brands []any }
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Brands == nil {
			t.Errorf("%v: stdout is no list: %v: %s", args, err, out)
		}
	}
}

func TestAReportWithoutAnAPIServerIsNoBundle(t *testing.T) {
	kubeconfigFor(t, "http://127.0.0.1:1")
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no upstream", http.StatusBadGateway) }))
	defer busy.Close()
	questions := 0
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		questions++
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	defer strange.Close()
	for name, args := range map[string][]string{
		"nobody listens":                     nil,
		"a proxy with nothing behind it":     {"--server", busy.URL},
		"a server that does not know us":     {"--server", strange.URL},
		"every brand, where nobody listens":  {"-A"},
		"every brand, of a proxy that fails": {"-A", "--server", busy.URL},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bundle.zip")
			args := append([]string{"report", "--file", file}, args...)
			if !strings.Contains(strings.Join(args, " "), "-A") {
				args = append(args, "xiaowang")
			}
			code, out, errOut := plugin(t, "", args...)
			wantCode(t, exitFailed, code, out, errOut)
			if _, err := os.Stat(file); !os.IsNotExist(err) || strings.Contains(errOut, "wrote ") {
				t.Errorf("it left a file: %v: %s", err, errOut)
			}
		})
	}
	if questions != 1 { // each may take as long as the patience for one
		t.Errorf("a server that does not know us was asked %d times", questions)
	}
}

// What waits for an API server that says nothing ends with Ctrl-C, at once.
func TestAnInterruptEndsWhatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		stalls string
		args   []string
	}{
		"report, at the version":          {"/version", []string{"report", "xiaowang"}},
		"report, at the brand":            {"/brandconnectors", []string{"report", "xiaowang"}},
		"status":                          {"/brandconnectors", []string{"status", "xiaowang"}},
		"diff, where 1 is a difference":   {"/brandconnectors", []string{"diff", "xiaowang"}},
		"suspend":                         {"/brandconnectors", []string{"suspend", "xiaowang"}},
		"version, which could do without": {"/version", []string{"version"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startAPIServer(t, true)
			s.brand("brands", "xiaowang", 0)
			asked := make(chan struct{}, 100)
			stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, c.stalls) {
					asked <- struct{}{}
					<-r.Context().Done()
					return
				}
				r.Header.Set("Authorization", "Bearer secret")
				s.ServeHTTP(w, r)
			}))
			defer stalled.Close()
			kubeconfigFor(t, stalled.URL)
			t.Chdir(t.TempDir())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { <-asked; cancel() }()
			var out, errOut bytes.Buffer
			done := make(chan int, 1)
			go func() { done <- run(ctx, c.args, strings.NewReader(""), &out, &errOut) }()
			select {
			case code := <-done:
				wantCode(t, exitInterrupted, code, out.String(), errOut.String())
				wantText(t, errOut.String(), "interrupted")
			case <-time.After(atMost):
				t.Fatal("it does not end")
			}
			if left, err := filepath.Glob("*"); err != nil || len(left) > 0 {
				t.Errorf("it left %v (%v)", left, err)
			}
		})
	}
}

// operatorDeployment is what the chart installs, as far as the plugin looks at it.
func (w *world) operatorDeployment(args ...string) *appsv1.Deployment {
	w.t.Helper()
	d := &appsv1.Deployment{ObjectMeta: w.meta("hexiao-manager"), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "hexiao", "app.kubernetes.io/component": "operator"}}}}
	d.Labels = map[string]string{"app.kubernetes.io/name": "hexiao", "app.kubernetes.io/component": "operator", "app.kubernetes.io/version": "1.2.3"}
	d.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: d.Spec.Selector.MatchLabels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "registry.example/hexiao/manager:1.2.3", Args: args}}}}
	w.create(d)
	w.t.Cleanup(func() { _ = w.api.Delete(context.Background(), d) })
	return d
}

func TestVersionPrintsWhatRunsHereAndThere(t *testing.T) {
	w := newWorld(t)
	w.operatorDeployment("--connector-image=registry.example/hexiao/connector:1.2.3", "--a-flag-of-tomorrow=x", "--watch-namespaces="+w.namespace)
	code, out, errOut := w.run("version")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "plugin", version, "API server   v1.", w.namespace+"/hexiao-manager", "1.2.3", "registry.example/hexiao/manager:1.2.3", "0 of 1 ready",
		"connectors: registry.example/hexiao/connector:1.2.3", "v1alpha1", "brandconnectors.connect.hexiao.dev", "connectorclasses.connect.hexiao.dev", "note: the operator ")

	code, out, errOut = w.run("version", "-o", "json")
	wantCode(t, 0, code, out, errOut)
	var got versions
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Plugin != version || got.API != v1alpha1.GroupVersion.String() || len(got.Operators) != 1 || got.Operators[0].Image != "registry.example/hexiao/manager:1.2.3" ||
		len(got.Kinds) != 2 || got.Kinds[0].Stored != "v1alpha1" {
		t.Errorf("%+v", got)
	}

	code, out, errOut = w.run("version", "-o", "yaml", "--as", "nobody")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "server: v1.", "you may list Deployments neither everywhere nor in hexiao-system", "you may not read customresourcedefinitions")
}

func TestVersionNeedsNoCluster(t *testing.T) {
	kubeconfigFor(t, "http://127.0.0.1:1")
	code, out, errOut := plugin(t, "", "version")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "plugin   "+version, "note: the API server does not answer")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	code, out, errOut = plugin(t, "", "version")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "note: no cluster was asked: there is no cluster in the kubeconfig")
	code, out, errOut = plugin(t, "", "version", "--client")
	wantCode(t, 0, code, out, errOut)
	if out != "plugin   "+version+"\n" {
		t.Errorf("%q", out)
	}
}

func TestNamespacesComplete(t *testing.T) {
	w := newWorld(t)
	completes(t, []string{w.namespace + "\n", "kube-system\n"}, func() string { return tab(t, "status", "-n", "") })
}

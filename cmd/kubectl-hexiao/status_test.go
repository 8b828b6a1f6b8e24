// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// play plays Kubernetes for a brand's Deployment: a ReplicaSet with a Pod, its endpoint,
// and an event.
func (w *world) play(name string, status corev1.PodStatus) {
	w.t.Helper()
	labels := render.SelectorLabels(&v1alpha1.BrandConnector{ObjectMeta: w.meta(name)})
	d := &appsv1.Deployment{}
	w.get(name, d)
	set := &appsv1.ReplicaSet{ObjectMeta: w.meta(name + "-5d9c"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: d.Spec.Template}}
	set.Labels = labels
	w.create(set)
	p := &corev1.Pod{ObjectMeta: w.meta(name + "-5d9c-x2k"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "connector", Image: operatorImage}}}}
	p.Labels = labels
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set.Name, UID: set.UID, Controller: new(true)}}
	w.create(p)
	before := p.DeepCopy()
	p.Status = status
	if err := w.api.Status().Patch(w.t.Context(), p, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: w.meta(name + "-abc"), AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.7"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
			{Addresses: []string{"10.0.0.8"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	w.create(slice)
	w.create(&corev1.Event{ObjectMeta: w.meta(name + "-event"), InvolvedObject: corev1.ObjectReference{Namespace: w.namespace, Kind: "Pod", Name: p.Name},
		Type: corev1.EventTypeWarning, Reason: "BackOff", Message: "back-off restarting failed container", LastTimestamp: metav1.Now(), Count: 4})
}

// waited is what is said on a machine where the answer takes its time.
var waited = regexp.MustCompile(`(?m)^waiting for the API server \(\d+s\)\n`)

var crashing = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "connector", RestartCount: 5,
	State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
	LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1, FinishedAt: metav1.Now(), Message: "open ledger: no such host"}}}}}

func TestStatusShowsWhyABrandIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres("  exposure: {hostname: pos.example.com, gatewayRef: {name: public}}\n  reconciliation: {schedule: '0 4 * * *'}\n" + autoscaled))
	w.play("xiaowang", crashing)
	code, out, errOut := w.run("status", "xiaowang")
	wantCode(t, exitNotReady, code, out, errOut)
	wantText(t, out, " BrandConnector "+w.namespace+"/xiaowang  ", "ledger postgres:pg/dsn", "image "+operatorImage, "├─ ... Deployment xiaowang",
		"ReplicaSet xiaowang-5d9c", "BAD Pod xiaowang-5d9c-x2k  CrashLoopBackOff, 5 restarts", "exit code 1: open ledger: no such host",
		"ok  Service xiaowang  1 of 2 endpoints are ready", "HorizontalPodAutoscaler xiaowang", "PodDisruptionBudget xiaowang",
		"HTTPRoute xiaowang  no Gateway has answered yet", "CronJob xiaowang-reconciliation  has not run yet",
		"WARNINGS of the last hour", "x4    Pod xiaowang-5d9c-x2k  BackOff: back-off restarting failed container")
	if waited.ReplaceAllString(errOut, "") != "" || strings.Contains(out, "\x1b") {
		t.Errorf("stderr %q, or colours without a terminal:\n%s", errOut, out)
	}

	code, out, errOut = w.run("status", "xiaowang", "-o", "json")
	wantCode(t, exitNotReady, code, out, errOut)
	var got tree.Tree
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionReady); c == nil || c.Reason == "" || c.Message == "" || c.LastTransitionTime.IsZero() {
		t.Errorf("the conditions are %+v", got.Conditions)
	}
	if got.Ready || got.Root.Children[0].Children[0].Children[0].Verdict != tree.Bad ||
		!slices.ContainsFunc(got.Warnings, func(w tree.Warning) bool { return w.Reason == "BackOff" && w.Count == 4 }) {
		t.Errorf("%+v", got)
	}
}

func TestStatusOfAReadyBrand(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	w.rollOut("xiaowang")
	w.eventually(func() string {
		code, out, errOut := w.run("status", "xiaowang")
		if code != 0 {
			return out + errOut
		}
		return ""
	})
	code, out, errOut := w.run("status", "nobody")
	wantCode(t, exitNotFound, code, out, errOut)
}

func TestStatusWatchesUntilTheBrandIsReady(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	code, out, errOut := w.run("status", "xiaowang", "--watch", "--timeout", "1ms")
	wantCode(t, exitNotReady, code, out, errOut)
	wantText(t, errOut, "is not ready after 1ms")

	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"status", "xiaowang", "-w", "-n", w.namespace}, strings.NewReader(""), writer, io.Discard)
		_ = writer.Close()
	}()
	var all strings.Builder
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "What is in doubt") { // the tree is there; now something changes
			w.rollOut("xiaowang")
		}
	}
	wantCode(t, 0, <-done, all.String(), "")
	wantText(t, all.String(), "... Deployment xiaowang", "  ok  Deployment xiaowang  2 of 2 Pods are available", "  ok  BrandConnector xiaowang  Ready")

	code, out, errOut = w.run("status", "xiaowang", "--watch", "-o", "json")
	wantCode(t, 0, code, out, errOut)
	var got tree.Tree
	if err := json.Unmarshal([]byte(out), &got); err != nil || !got.Ready {
		t.Errorf("%v: %s", err, out)
	}
	code, out, errOut = w.run("status", "--watch")
	wantCode(t, exitUsage, code, out, errOut)
}

func TestStatusOfEveryBrand(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	w.rollOut("xiaowang")
	w.up(strings.Replace(onPostgres(""), "xiaowang", "zhang", 1))
	w.play("zhang", crashing)
	for _, args := range [][]string{{"status"}, {"status", "-A"}} {
		code, out, errOut := w.run(args...)
		wantCode(t, exitNotReady, code, out, errOut)
		wantText(t, out, "NAME ", "BRAND", "READY", "REASON", "REPLICAS", "RESTARTS", "AGE")
		lines := map[string][]string{}
		for l := range strings.Lines(out) {
			f := strings.Fields(l)
			if len(args) > 1 && f[0] == w.namespace {
				f = f[1:]
			}
			lines[f[0]] = f
		}
		if l := lines["xiaowang"]; len(l) != 7 || l[1] != "11342" || l[2] != "True" || l[3] != "Ready" || l[4] != "2" || l[5] != "0" {
			t.Errorf("xiaowang: %q in\n%s", l, out)
		}
		if l := lines["zhang"]; len(l) != 7 || l[2] == "True" || l[4] != "0" || l[5] != "5" {
			t.Errorf("zhang: %q in\n%s", l, out)
		}
	}
	code, out, errOut := w.run("status", "xiaowang", "-A")
	wantCode(t, exitUsage, code, out, errOut)
}

// A viewer may read brands and Deployments, and nothing else.
func TestStatusSaysWhatMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	w.rollOut("xiaowang")
	w.role("viewer", rbacv1.PolicyRule{APIGroups: []string{"connect.hexiao.dev", "apps"}, Resources: []string{"brandconnectors", "deployments"}, Verbs: []string{"get", "list"}})
	w.eventually(func() string { // until the authorizer has heard of the role
		code, out, errOut := w.run("status", "xiaowang", "--as", "viewer")
		for _, want := range []string{"Pod: not shown, because you may not read it", "Event: not shown", "Deployment xiaowang  2 of 2 Pods are available"} {
			if !strings.Contains(out, want) || code != 0 {
				return out + errOut
			}
		}
		return ""
	})
	code, out, errOut := w.run("status", "--as", "viewer")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "   2          -          ")
	code, out, errOut = w.run("status", "xiaowang", "--as", "nobody")
	wantCode(t, exitFailed, code, out, errOut)
	wantText(t, errOut, "forbidden")
}

func TestColoursAreForTerminalsAlone(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]struct {
		out     io.Writer
		noColor string
		want    bool
	}{
		"a terminal":                            {out: terminal, want: true},
		"a terminal of somebody who wants none": {out: terminal, noColor: "1"},
		"a file":                                {out: file},
		"a pipe":                                {out: &bytes.Buffer{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			if got := strings.Contains(paint(c.out)(tree.Bad, "x"), "\x1b"); got != c.want {
				t.Errorf("coloured is %v", got)
			}
		})
	}
}

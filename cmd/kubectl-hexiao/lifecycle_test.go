// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
)

func (w *world) restartedAt(name string) string {
	w.t.Helper()
	d := &appsv1.Deployment{}
	w.get(name, d)
	return d.Spec.Template.Annotations[annotationRestartedAt]
}

func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	w.up(strings.Replace(onPostgres(""), "xiaowang", "zhang", 1))
	w.rollOut("xiaowang")

	code, out, errOut := w.run("restart", "xiaowang")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "brandconnector "+w.namespace+"/xiaowang restarted\n")
	d := &appsv1.Deployment{}
	w.get("xiaowang", d)
	if d.Spec.Template.Annotations[annotationRestartedAt] == "" || !slices.ContainsFunc(d.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == live.FieldManager && strings.Contains(string(f.FieldsV1.GetRawBytes()), annotationRestartedAt)
	}) {
		t.Errorf("the annotation is not there, or not the plugin's: %v %+v", d.Spec.Template.Annotations, d.ManagedFields)
	}
	if w.restartedAt("zhang") != "" {
		t.Error("another brand was restarted")
	}
	code, out, errOut = w.run("diff", "xiaowang")
	wantCode(t, 0, code, out, errOut) // the operator leaves it

	for _, typed := range []string{"", "no\n", "yes\n"} {
		want := map[bool]int{true: 0, false: exitUnconfirmed}[typed == "yes\n"]
		code, out, errOut := plugin(t, typed, "restart", "zhang", "xiaowang", "-n", w.namespace)
		wantCode(t, want, code, out, errOut)
		wantText(t, errOut, "restart 2 brands: zhang, xiaowang? Say yes")
		if changed := w.restartedAt("zhang") != ""; changed != (want == 0) {
			t.Errorf("after %q: restarted is %v", typed, changed)
		}
	}
	before := w.restartedAt("zhang")
	code, out, errOut = w.run("restart", "zhang", "nobody", "--yes")
	wantCode(t, exitNotFound, code, out, errOut)
	if w.restartedAt("zhang") != before {
		t.Error("a misspelt name did not keep the others from being restarted")
	}
	code, out, errOut = w.run("restart")
	wantCode(t, exitUsage, code, out, errOut)
}

func TestRestartRefusesWhatWouldNotRestart(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	d := &appsv1.Deployment{}
	w.get("xiaowang", d)
	before := d.DeepCopy()
	d.Spec.Paused = true
	if err := w.api.Patch(t.Context(), d, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := w.run("restart", "xiaowang")
	wantCode(t, exitFailed, code, out, errOut)
	wantText(t, errOut, "its Deployment is paused", "kubectl rollout resume deployment/xiaowang")
	if w.restartedAt("xiaowang") != "" {
		t.Error("it was annotated")
	}
}

func TestRestartWaits(t *testing.T) {
	for name, c := range map[string]struct {
		status appsv1.DeploymentStatus
		args   []string
		code   int
		want   []string
	}{
		"until the new Pods are available": {code: 0, want: []string{"xiaowang restarted: 2 of 2 Pods are available"},
			status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}},
		"no longer than Kubernetes itself": {code: exitNotReady, want: []string{"the new Pods did not become available in time (1 of 2 were started)", "not ready: see kubectl hexiao status"},
			status: appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2, Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}}},
		"no longer than was said, and tells how far it is": {args: []string{"--timeout", "10s"}, code: exitNotReady,
			want:   []string{"waiting for brands-", ": 1 old Pods are to end (", "the time is over: 1 old Pods are to end"},
			status: appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.up(onPostgres(""))
			w.rollOut("xiaowang")
			done := make(chan struct{})
			go func() { // plays the Deployment's controller when it sees the restart
				defer close(done)
				w.eventually(func() string {
					if w.restartedAt("xiaowang") == "" {
						return "no restart"
					}
					return ""
				})
				d := &appsv1.Deployment{}
				w.get("xiaowang", d)
				before := d.DeepCopy()
				d.Status = c.status
				d.Status.ObservedGeneration = d.Generation
				if err := w.api.Status().Patch(t.Context(), d, client.MergeFrom(before)); err != nil {
					t.Error(err)
				}
			}()
			code, out, errOut := w.run(append([]string{"restart", "xiaowang", "--wait"}, c.args...)...)
			<-done
			wantCode(t, c.code, code, out, errOut)
			wantText(t, out+errOut, c.want...)
		})
	}
}

func TestSuspendAndResume(t *testing.T) {
	w := newWorld(t)
	b := w.up(onPostgres(""))
	w.rollOut("xiaowang")
	before := b.DeepCopy()
	b.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "brands"}
	if err := w.api.Patch(t.Context(), b, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}

	code, out, errOut := w.run("suspend", "xiaowang")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "xiaowang suspended")
	wantText(t, errOut, "Flux's Kustomization brands manages this object and may write spec.suspend back")
	if w.get("xiaowang", b); !b.Spec.Suspend {
		t.Error("it is not suspended")
	}
	w.handled(b)
	_, _, errOut = w.run("suspend", "xiaowang")
	wantText(t, errOut, "it is suspended already")

	code, out, errOut = w.run("resume", "xiaowang", "--wait", "--timeout", atMost.String(), "-o", "json")
	wantCode(t, 0, code, out, errOut)
	var got struct{ Brands []deed }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if d := got.Brands[0]; d.Name != "xiaowang" || d.Done != "resumed" || d.At.IsZero() || !strings.HasPrefix(d.State, v1alpha1.ReasonReady) {
		t.Errorf("%+v", d)
	}
	w.get("xiaowang", b)
	if at := b.Annotations[v1alpha1.AnnotationReconcileRequestedAt]; b.Spec.Suspend || at == "" || b.Status.LastHandledReconcileAt != at {
		t.Errorf("suspended %v, requested at %q, handled %q", b.Spec.Suspend, at, b.Status.LastHandledReconcileAt)
	}
}

func TestResumeCountsOnlyWhatTheOperatorSaysSince(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ready := func(suspend bool, handled time.Time) *v1alpha1.BrandConnector {
		b := &v1alpha1.BrandConnector{}
		b.Spec.Suspend = suspend
		b.Status.LastHandledReconcileAt = token(handled)
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}}
		return b
	}
	for name, c := range map[string]struct {
		of   *v1alpha1.BrandConnector
		want tree.Verdict
	}{
		"it has looked":               {ready(false, at), tree.Good},
		"it looked before":            {ready(false, at.Add(-time.Minute)), tree.Waits},
		"somebody suspended it again": {ready(true, at), tree.Bad},
	} {
		t.Run(name, func(t *testing.T) {
			if got, why := resumption(c.of, at); got != c.want {
				t.Errorf("it is %s (%s), want %s", got, why, c.want)
			}
		})
	}
}

func TestResumeSaysWhyTheBrandIsNotReady(t *testing.T) {
	w := newWorld(t)
	b := &v1alpha1.BrandConnector{}
	if err := v1alpha1.Decode([]byte(strings.Replace(onPostgres("  suspend: true\n"), "{name: kry}", "{name: nothing}", 1)), b); err != nil {
		t.Fatal(err)
	}
	b.Namespace = w.namespace
	w.create(b)
	code, out, errOut := w.run("resume", "xiaowang", "--wait")
	wantCode(t, exitNotReady, code, out, errOut)
	wantText(t, out, "xiaowang resumed: SecretNotFound: Secret nothing")
	wantText(t, errOut, "not ready")
	if strings.Contains(errOut, "GitOps") {
		t.Errorf("it warns of a tool whose marks are not there: %s", errOut)
	}
}

func TestNobodyIsWarnedOfWhatTheyMayNotDo(t *testing.T) {
	w := newWorld(t)
	b := &v1alpha1.BrandConnector{}
	if err := v1alpha1.Decode([]byte(onPostgres("")), b); err != nil {
		t.Fatal(err)
	}
	b.Namespace, b.Labels = w.namespace, map[string]string{"kustomize.toolkit.fluxcd.io/name": "brands"}
	w.create(b)
	w.role("looker", rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"brandconnectors"}, Verbs: []string{"get"}})
	w.eventually(func() string { // until the authorizer has heard of the role
		code, _, errOut := w.run("suspend", "xiaowang", "--as", "looker")
		if code != exitFailed || !strings.Contains(errOut, "cannot patch") || strings.Contains(errOut, "warning") {
			return errOut
		}
		return ""
	})
}

func TestNamesAreCompletedEachOnce(t *testing.T) {
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", 0)
	s.brand("brands", "zhang", 0)
	for line, want := range map[string]string{
		"restart ":          "xiaowang\nzhang\n:4\n",
		"restart xiaowang ": "zhang\n:4\n",
		"diff zhang ":       "xiaowang\n:4\n",
		"status ":           "xiaowang\nzhang\n:4\n",
		"status zhang ":     ":4\n",
	} {
		var out string
		completes(t, []string{want}, func() string {
			out = tab(t, strings.Split(line, " ")...)
			return out
		})
		if out != want {
			t.Errorf("%q is completed with %q, want %q", line, out, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// podOf is the nth Pod of a brand, in a state of its container.
func podOf(n int, state corev1.ContainerStatus) *corev1.Pod {
	state.Name = render.ContainerName
	state.Image = "registry.example/connector:1"
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("xiaowang-5d9c7b6f4-abcd%d", n)},
		Spec:       corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", n)},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.244.0.%d", n),
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{state}},
	}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func ended(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

func running(since time.Duration) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(-since))}}
}

func TestWhatIsTheMatterWithAPod(t *testing.T) {
	unscheduled := func(message string) *corev1.Pod {
		p := podOf(1, corev1.ContainerStatus{})
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}}
		return p
	}
	ready := podOf(1, corev1.ContainerStatus{State: running(time.Hour)})
	ready.Status.Conditions = append(ready.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	evicted := podOf(1, corev1.ContainerStatus{})
	evicted.Status.Phase, evicted.Status.Reason, evicted.Status.Message = corev1.PodFailed, "Evicted", "available: 512Ki"
	initDone := podOf(1, corev1.ContainerStatus{State: waiting("PodInitializing", "")})
	initDone.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "first", State: ended(0, "Completed", "")}}
	initFails := podOf(1, corev1.ContainerStatus{State: waiting("PodInitializing", "")})
	initFails.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "first", State: waiting("CrashLoopBackOff", "back-off 10s"), LastTerminationState: ended(1, "Error", "no route")}}
	crash := func(message string) *corev1.Pod {
		return podOf(1, corev1.ContainerStatus{State: ended(1, "Error", message)})
	}
	image := func(reason, message string) *corev1.Pod {
		return podOf(1, corev1.ContainerStatus{State: waiting(reason, message)})
	}
	const pull = "container connector: ImagePullBackOff: image registry.example/connector:1"
	tests := map[string]struct {
		pod    *corev1.Pod
		want   string
		ledger bool
	}{
		"it is ready":                 {pod: ready},
		"it has just been made":       {pod: podOf(1, corev1.ContainerStatus{State: waiting("ContainerCreating", "")})},
		"it has just been started":    {pod: podOf(1, corev1.ContainerStatus{State: running(time.Second)})},
		"an init container has ended": {pod: initDone},
		"an init container fails":     {pod: initFails, want: "container first: CrashLoopBackOff: no route"},
		"it runs and is not ready": {pod: podOf(1, corev1.ContainerStatus{State: running(time.Minute)}),
			want: "container connector: NotReady: it runs and is not ready, as long as its ledger does not open: its log says more"},
		"its database does not answer": {pod: podOf(1, corev1.ContainerStatus{State: ended(75, "Error", "open ledger: connect: lookup nohost: no such host\n")}), ledger: true,
			want: "container connector: NotReady: it waits for its database: open ledger: connect: lookup nohost: no such host"},
		"its database did not answer, and it waits on": {pod: podOf(1, corev1.ContainerStatus{State: running(time.Minute),
			LastTerminationState: ended(75, "Error", "open ledger: connect: lookup nohost: no such host\n")}), ledger: true,
			want: "container connector: NotReady: it waits for its database: open ledger: connect: lookup nohost: no such host"},
		"another program ends with that code": {pod: podOf(1, corev1.ContainerStatus{State: ended(75, "Error", "no such file")}), want: "container connector: CrashLoopBackOff: no such file"},
		"its DSN is none": {pod: crash("open ledger: parse the DSN: use a URL: " + v1alpha1.ExampleDSN + "\n"), ledger: true,
			want: "container connector: CrashLoopBackOff: open ledger: parse the DSN: use a URL: " + v1alpha1.ExampleDSN},
		"its ledger is not opened": {pod: crash("open ledger: /x is on nfs\n"), ledger: true,
			want: "container connector: CrashLoopBackOff: open ledger: /x is on nfs"},
		"its last words are the end of a log": {pod: crash(`{"level":"INFO","msg":"starting"}` + "\nError: open ledger: parse the DSN\n"), ledger: true,
			want: "container connector: CrashLoopBackOff: open ledger: parse the DSN"},
		"its log ends with an entry": {pod: crash(`{"time":"2026-01-01T00:00:00Z","level":"ERROR","msg":"the disk failed","error":"no space"}`),
			want: "container connector: CrashLoopBackOff: the disk failed: no space"},
		"it panics": {pod: crash("panic: nil map\n\ngoroutine 7 [running]:\nmain.main()\n\t/src/main.go:7 +0x1d\n"),
			want: "container connector: CrashLoopBackOff: nil map"},
		"it says nothing":        {pod: crash(""), want: "container connector: CrashLoopBackOff: it ended with exit code 1"},
		"it has too little room": {pod: podOf(1, corev1.ContainerStatus{State: ended(137, "OOMKilled", "")}), want: "container connector: OOMKilled: it needs more memory than its limit allows"},
		"its configuration is not there": {pod: image("CreateContainerConfigError", `secret "kry" not found`),
			want: `container connector: CreateContainerConfigError: secret "kry" not found`},
		"its program is not there": {pod: image("RunContainerError", `exec: "/x": no such file`),
			want: `container connector: RunContainerError: exec: "/x": no such file`},
		"its image is not there": {pod: image("ErrImagePull", "rpc error: code = NotFound desc = failed to pull: registry.example/connector:1: not found"),
			want: pull + ": the registry does not have it"},
		"its image is not for it": {pod: image("ImagePullBackOff", `Back-off pulling image "x": ErrImagePull: pull access denied, insufficient_scope`),
			want: pull + ": the registry refuses it: see spec.workload.imagePullSecrets"},
		"its registry does not answer": {pod: image("ErrImagePull", "dial tcp 10.0.0.9:40233->10.0.0.1:443: i/o timeout"),
			want: pull + ": the registry does not answer"},
		"its image's name is none": {pod: image("InvalidImageName", "couldn't parse"), want: "container connector: InvalidImageName: image registry.example/connector:1"},
		"no node has room": {pod: unscheduled("0/7 nodes are available: 2 node(s) had untolerated taint {a: b}, 3 Insufficient memory, 2 node(s) had untolerated taint {a: b}. preemption: 0/7 nodes are available: 7 No preemption victims found for incoming pod."),
			want: "Unschedulable: no node fits: Insufficient memory; node(s) had untolerated taint {a: b}"},
		"no node has room, and evicting helps nobody": {pod: unscheduled("0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."),
			want: "Unschedulable: no node fits: Insufficient cpu"},
		"a taint has dots": {pod: unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."),
			want: "Unschedulable: no node fits: node(s) had untolerated taint {node.kubernetes.io/not-ready: }"},
		"its volume is not there": {pod: unscheduled(`persistentvolumeclaim "x-ledger" not found`), want: `Unschedulable: persistentvolumeclaim "x-ledger" not found`},
		"it was evicted":          {pod: evicted, want: "a Pod failed: Evicted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			scrub(&tc.pod.Status, nil)
			p, ok := problemOf(tc.pod, noon)
			if diff := cmp.Diff(tc.want, p.String()); diff != "" || ok != (tc.want != "") {
				t.Errorf("problem %v (-want +got):\n%s", ok, diff)
			}
			if p.ledgerFault != tc.ledger {
				t.Errorf("ledgerFault is %v", p.ledgerFault)
			}
		})
	}
}

// A Pod that fails goes through the same states again and again, with other counters,
// times and ports each time, and the next Pod has another name: it is one text.
func TestAFailureThatGoesOnIsOneText(t *testing.T) {
	said := func(n int) string {
		return fmt.Sprintf("open ledger: connect: 2026-01-01T12:00:%02dZ xiaowang-5d9c7b6f4-abcd%d 10.244.0.%d: read tcp 10.244.0.%d:%d->10.0.0.1:5432: i/o timeout after %d.5s at 0x%xbeef", n, n, n, n, 30000+n, n, n)
	}
	crashing := func(n int) []corev1.ContainerStatus {
		last := ended(1, "Error", said(n))
		return []corev1.ContainerStatus{
			{State: last},
			{State: waiting("CrashLoopBackOff", fmt.Sprintf("back-off %ds restarting", n)), LastTerminationState: last, RestartCount: int32(n)},
			{State: running(time.Second), LastTerminationState: last, RestartCount: int32(n)},
			{State: waiting("RunContainerError", "again"), LastTerminationState: last},
			{State: ended(1, "Error", said(n+1)), LastTerminationState: last},
		}
	}
	pulling := func(n int) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{
			{State: waiting("ErrImagePull", fmt.Sprintf("dial tcp 10.0.0.1:%d->1.2.3.4:443: i/o timeout", 30000+n))},
			{State: waiting("ImagePullBackOff", `Back-off pulling image "x"`)},
			{State: waiting("ErrImagePull", "context deadline exceeded")},
		}
	}
	for name, states := range map[string]func(int) []corev1.ContainerStatus{"a crash": crashing, "a pull": pulling} {
		t.Run(name, func(t *testing.T) {
			conditions := []metav1.Condition{{Type: v1alpha1.ConditionReady, Message: "waiting"}}
			texts := map[string]bool{}
			for n := 1; n < 9; n++ {
				for _, state := range states(n) {
					p, ok := worst([]corev1.Pod{*podOf(n, state), *podOf(n+1, state)}, noon)
					if !ok {
						t.Fatalf("nothing is the matter with %+v", state)
					}
					if p.detail == "" {
						p.detail = saidBefore(conditions, p.what)
					}
					texts[p.String()] = true
					conditions[0].Message = "waiting: " + p.String()
				}
			}
			if len(texts) != 1 {
				t.Errorf("%d texts:\n%v", len(texts), texts)
			}
		})
	}
}

func TestOfSeveralPodsTheWorstIsSaidWhicheverHasIt(t *testing.T) {
	crash := *podOf(1, corev1.ContainerStatus{State: ended(1, "Error", "b")})
	other := *podOf(2, corev1.ContainerStatus{State: ended(1, "Error", "a")})
	pull := *podOf(3, corev1.ContainerStatus{State: waiting("ErrImagePull", "not found")})
	fine := *podOf(4, corev1.ContainerStatus{State: running(time.Second)})
	for _, pods := range [][]corev1.Pod{{crash, other, pull, fine}, {fine, pull, other, crash}, {other, fine, crash, pull}} {
		p, ok := worst(pods, noon)
		if diff := cmp.Diff("container connector: CrashLoopBackOff: a", p.String()); diff != "" || !ok {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestNewPodsAreTheOnesThatCount(t *testing.T) {
	d := &appsv1.Deployment{}
	d.Spec.Template.Annotations = map[string]string{render.AnnotationConfigRevision: "2", "restartedAt": "noon"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: render.ContainerName, Image: "b"}}
	pod := func(name string, change ...func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(noon), Labels: map[string]string{},
			Annotations: map[string]string{render.AnnotationConfigRevision: "2", "restartedAt": "noon", "network": "somebody's"}}}
		p.Spec.Containers = []corev1.Container{{Name: "sidecar", Image: "s"}, {Name: render.ContainerName, Image: "b"}}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	revised := func(p *corev1.Pod) { p.Annotations[render.AnnotationConfigRevision] = "1" }
	restarted := func(p *corev1.Pod) { delete(p.Annotations, "restartedAt") }
	image := func(p *corev1.Pod) { p.Spec.Containers[1].Image = "a" }
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: noon} }
	of := func(set string, after time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = set
			p.CreationTimestamp = metav1.NewTime(noon.Add(after))
		}
	}
	for name, tc := range map[string]struct {
		pods          []corev1.Pod
		newest, older string
	}{
		"of another revision":         {[]corev1.Pod{pod("a", revised), pod("b")}, "b", "a"},
		"of another image":            {[]corev1.Pod{pod("a", image), pod("b")}, "b", "a"},
		"from before a restart":       {[]corev1.Pod{pod("a", restarted), pod("b")}, "b", "a"},
		"on its way out":              {[]corev1.Pod{pod("a", deleted), pod("b")}, "b", ""},
		"with other resources":        {[]corev1.Pod{pod("a", of("x", 0)), pod("b", of("y", time.Minute)), pod("c", of("y", time.Hour)), pod("d", of("x", time.Second))}, "bc", "ad"},
		"with other resources, anew":  {[]corev1.Pod{pod("a", of("x", 0)), pod("b", of("x", time.Hour)), pod("c", of("y", time.Minute))}, "c", "ab"},
		"none but of another":         {[]corev1.Pod{pod("a", revised)}, "", "a"},
		"all of one":                  {[]corev1.Pod{pod("a", of("x", 0)), pod("b", of("x", time.Hour))}, "ab", ""},
		"none at all":                 {},
		"of a set that nobody labels": {[]corev1.Pod{pod("a"), pod("b")}, "ab", ""},
	} {
		t.Run(name, func(t *testing.T) {
			newest, older := split(tc.pods, d)
			names := func(pods []corev1.Pod) (all string) {
				for _, p := range pods {
					all += p.Name
				}
				return all
			}
			if names(newest) != tc.newest || names(older) != tc.older {
				t.Errorf("newest %s, older %s", names(newest), names(older))
			}
		})
	}
}

func TestWhatIsTooLongIsCutBehindASentence(t *testing.T) {
	long := func(part string) string { return strings.Repeat(part, maxDetail+1) }
	for name, tc := range map[string]struct{ text, end string }{
		"sentences": {long("a sentence. "), "a sentence …"},
		"reasons":   {long("a reason; "), "a reason …"},
		"words":     {long("word "), "word …"},
		"one word":  {long("x"), "x…"},
		"no Latin":  {long("员"), "员…"},
		"short":     {"short. and well", "short. and well"},
	} {
		t.Run(name, func(t *testing.T) {
			got := steady(tc.text, nil)
			if !strings.HasSuffix(got, tc.end) || len([]rune(got)) > maxDetail {
				t.Errorf("%d characters: %s", len([]rune(got)), got)
			}
		})
	}
}

func TestNoCredentialIsRepeatedFromAPodsStatus(t *testing.T) {
	values := []render.Value{
		{Need: render.Need{Source: render.SourceSecret}, Bytes: []byte("cAnArY-token\n")},
		{Need: render.Need{Source: render.SourceSecret}, Bytes: []byte("postgres://u:cAnArY%2Fdsn@h/d")},
		{Need: render.Need{Source: render.SourceSecret}, Bytes: []byte("i")},
		{Need: render.Need{Source: render.SourceConfigMap}, Bytes: []byte("container")},
	}
	texts := map[string]string{
		"a value":                "sign with cAnArY-token failed",
		"a DSN":                  "connect postgres://u:cAnArY%2Fdsn@h/d",
		"a DSN's password":       "password cAnArY/dsn is wrong",
		"its encoded form":       "password cAnArY%2Fdsn is wrong",
		"somebody else's DSN":    "connect mysql://u:cAnArY@h/d",
		"words of a DSN":         "connect host=h password=cAnArY user=u",
		"a key of a URL":         "GET http://x/?app_key=cAnArY&y",
		"a value, cut in a tail": strings.Repeat("x", maxDetail-8) + "cAnArY-token",
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			pod := podOf(1, corev1.ContainerStatus{State: waiting("CreateContainerError", text), LastTerminationState: ended(1, "Error", text)})
			pod.Status.Conditions[0].Message = text
			scrub(&pod.Status, values)
			if p, _ := problemOf(pod, noon); strings.Contains(p.String(), "cAnArY") || strings.Contains(fmt.Sprint(pod.Status), "cAnArY") {
				t.Errorf("it is repeated: %s\n%+v", p, pod.Status)
			}
			if p, _ := problemOf(pod, noon); !strings.HasPrefix(p.String(), "container connector: CreateContainerError: ") {
				t.Errorf("what is no credential is gone: %s", p)
			}
		})
	}
}

func TestPodsAreLookedAtLessOftenAsTimeGoesBy(t *testing.T) {
	for since, want := range map[time.Duration]time.Duration{0: soonest, 8 * time.Second: soonest, 40 * time.Second: 20 * time.Second, time.Hour: latest} {
		conditions := []metav1.Condition{{Type: v1alpha1.ConditionReady, LastTransitionTime: metav1.NewTime(noon.Add(-since))}}
		if got := lookAgain(conditions, &appsv1.Deployment{}, noon); got != want {
			t.Errorf("after %s it is looked again in %s, want %s", since, got, want)
		}
		d := &appsv1.Deployment{}
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, LastUpdateTime: metav1.NewTime(noon.Add(-20 * time.Second))}}
		if got, want := lookAgain(conditions, d, noon), min(want, 10*time.Second); got != want {
			t.Errorf("after %s, and 20 s of another roll-out, it is looked again in %s, want %s", since, got, want)
		}
	}
	if got := lookAgain(nil, nil, noon); got != soonest {
		t.Errorf("at the first look: %s", got)
	}
}

func TestARefusedPodIsOneTextWhateverItsNameAndTheQuotasUse(t *testing.T) {
	texts := map[string]bool{}
	for n := range 3 {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "xiaowang"}}
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
			Message: fmt.Sprintf(`pods "xiaowang-5d9c7b6f%d-abcd%d" is forbidden: exceeded quota: q, requested: pods=1, used: pods=%d, limited: pods=1`, n, n, n)}}
		s := &scope{deployment: d}
		s.key.Name = "xiaowang"
		texts[notCreated(s).String()] = true
	}
	want := map[string]bool{"FailedCreate: pods (pod) is forbidden: exceeded quota: q, requested: pods=1, limited: pods=1": true}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

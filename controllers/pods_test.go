// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// pod plays a Pod of a brand's Deployment, in a state of its container.
func (w *world) pod(name, brand string, state corev1.ContainerStatus) *corev1.Pod {
	w.t.Helper()
	d := w.deployment(brand)
	p := &corev1.Pod{ObjectMeta: w.meta(name)}
	if err := w.get(name, p); err != nil {
		p.Labels, p.Annotations = d.Spec.Template.Labels, d.Spec.Template.Annotations
		p.Spec.Containers = []corev1.Container{{Name: render.ContainerName, Image: testImage}}
		w.create(p)
	}
	before := p.DeepCopy()
	state.Name, state.Image = render.ContainerName, testImage
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{state},
		Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}}
	must(w.t, api.Status().Patch(w.t.Context(), p, client.MergeFrom(before)))
	return p
}

// stuck plays the Deployment's controller past the progress deadline.
func (w *world) stuck(name string) {
	w.t.Helper()
	d := w.deployment(name)
	before := d.DeepCopy()
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 2, UpdatedReplicas: 2, UnavailableReplicas: 2,
		Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionFalse, Reason: "MinimumReplicasUnavailable"},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}}
	must(w.t, api.Status().Patch(w.t.Context(), d, client.MergeFrom(before)))
}

// says waits until a condition has a reason and says something.
func (w *world) says(name, conditionType string, status metav1.ConditionStatus, reason, text string) {
	w.t.Helper()
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.mustGet(name, b)
		c := meta.FindStatusCondition(b.Status.Conditions, conditionType)
		if c == nil || c.Status != status || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Sprintf("%s is %+v, want %s %s that says %q", conditionType, c, status, reason, text)
		}
		return ""
	})
}

func crashed(restarts int32, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", Message: message, FinishedAt: metav1.NewTime(time.Unix(int64(restarts), 0))}}}
}

func backingOff(restarts int32, message string) corev1.ContainerStatus {
	s := crashed(restarts, message)
	s.LastTerminationState, s.State = s.State, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %ds restarting failed container", 10*restarts)}}
	return s
}

func startedAgain(restarts int32, message string) corev1.ContainerStatus {
	s := backingOff(restarts, message)
	s.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	return s
}

func TestWhyPodsDoNotStartIsSaidFromTheBeginningAndNotAgainAndAgain(t *testing.T) {
	const ledger = "open ledger: parse the DSN: use a URL"
	tests := map[string]struct {
		states func(n int32) []corev1.ContainerStatus
		want   string
		ledger metav1.ConditionStatus
		reason string // of LedgerReady
	}{
		"a ledger that is not opened": {
			states: func(n int32) []corev1.ContainerStatus {
				return []corev1.ContainerStatus{crashed(n, ledger+"\n"), backingOff(n, ledger+"\n"), startedAgain(n, ledger+"\n")}
			},
			want: "container connector: CrashLoopBackOff: " + ledger, ledger: metav1.ConditionFalse, reason: v1alpha1.ReasonLedgerUnavailable,
		},
		"an image that is not pulled": {
			states: func(n int32) []corev1.ContainerStatus {
				wait := func(reason, message string) corev1.ContainerStatus {
					return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
				}
				return []corev1.ContainerStatus{wait("ErrImagePull", fmt.Sprintf("dial tcp 10.0.0.1:%d->1.2.3.4:443: i/o timeout", 40000+n)), wait("ImagePullBackOff", "Back-off pulling image")}
			},
			want:   "container connector: ImagePullBackOff: image " + testImage + ": the registry does not answer",
			ledger: metav1.ConditionUnknown, reason: v1alpha1.ReasonProgressing,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.brand("xiaowang"))
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
			// Nothing but the Pod changes: the operator looks by itself.
			w.pod("xiaowang-5d9c7b6f4-aaaaa", "xiaowang", tc.states(0)[0])
			w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, ": "+tc.want)
			w.says("xiaowang", v1alpha1.ConditionWorkloadAvailable, metav1.ConditionFalse, v1alpha1.ReasonWorkloadUnavailable, ": "+tc.want)
			w.says("xiaowang", v1alpha1.ConditionLedgerReady, tc.ledger, tc.reason, tc.want)

			w.stuck("xiaowang")
			w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed, ": "+tc.want)
			w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonRolloutFailed)

			w.settled("xiaowang")
			wrote, rounds := len(writes.in(w.namespace)), 0
			for n := int32(1); n <= 4; n++ {
				for _, state := range tc.states(n) {
					w.pod("xiaowang-5d9c7b6f4-aaaaa", "xiaowang", state)
					w.pod(fmt.Sprintf("xiaowang-5d9c7b6f4-bbbb%d", n), "xiaowang", state)
					w.settled("xiaowang")
					rounds++
				}
			}
			// Each forced reconcile notes that it was handled, and that is all.
			if got := writes.in(w.namespace)[wrote:]; len(got) != rounds {
				t.Errorf("%d writes for %d reconciles:\n%s", len(got), rounds, strings.Join(got, "\n"))
			}
			w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed, ": "+tc.want)
			w.eventually(func() string { // they are sent beside the reconcile
				return same("1", fmt.Sprint(w.eventsOf("xiaowang", v1alpha1.ReasonRolloutFailed)))
			})

			w.rollOut("xiaowang")
			w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "serves")
			w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionTrue, v1alpha1.ReasonLedgerOpen, "opened")
		})
	}
}

// What a container says at its end may be anything, also while nothing is rendered.
func TestASecretThatAPodSaysIsNotRepeated(t *testing.T) {
	const said = "the key is sk-very-secret"
	for name, change := range map[string]func(w *world){
		"while another one is missing": func(w *world) { w.secret("kry", map[string]string{"appKey": "a", "token": ""}) },
		"while the brand is suspended": func(w *world) {
			w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.secret("zhimai", map[string]string{"openId": "i", "openKey": "sk-very-secret", "grantCode": "g"})
			w.create(w.brand("xiaowang"))
			w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing)
			change(w)
			w.settled("xiaowang")
			w.pod("xiaowang-5d9c7b6f4-aaaaa", "xiaowang", crashed(0, "Error: "+said))
			w.says("xiaowang", v1alpha1.ConditionWorkloadAvailable, metav1.ConditionFalse, v1alpha1.ReasonWorkloadUnavailable, "CrashLoopBackOff: the key is [redacted]")
		})
	}
}

// eventsOf counts the events of a brand that have a reason.
func (w *world) eventsOf(name, reason string) (n int32) {
	w.t.Helper()
	var list eventsv1.EventList
	must(w.t, api.List(w.t.Context(), &list, client.InNamespace(w.namespace)))
	for _, e := range list.Items {
		if e.Regarding.Name == name && e.Reason == reason {
			n++
			if e.Series != nil {
				n += e.Series.Count
			}
		}
	}
	return n
}

// warn plays who says something of an object in an event.
func (w *world) warn(name, kind, object, uid, eventType, reason, note string) {
	w.t.Helper()
	w.create(&eventsv1.Event{ObjectMeta: w.meta(name), EventTime: metav1.NowMicro(), ReportingController: "test", ReportingInstance: "test",
		Action: "Test", Type: eventType, Reason: reason, Note: note,
		Regarding: corev1.ObjectReference{Kind: kind, Namespace: w.namespace, Name: object, UID: types.UID(uid)}})
}

func TestWhatEventsSayOfAClaimAndOfAVolumeIsSaid(t *testing.T) {
	w := newWorld(t)
	w.create(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{Size: new(resource.MustParse("1Gi"))}}
	}))
	w.deployment("xiaowang")
	claim := &corev1.PersistentVolumeClaim{}
	w.mustGet("xiaowang-ledger", claim)
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "PersistentVolumeClaim xiaowang-ledger is Pending")
	w.warn("a", "PersistentVolumeClaim", claim.Name, string(claim.UID), corev1.EventTypeNormal, "ExternalProvisioning", "waiting")
	w.warn("b", "PersistentVolumeClaim", claim.Name, "of-an-earlier-one", corev1.EventTypeWarning, "Earlier", "not this one")
	w.warn("c", "PersistentVolumeClaim", claim.Name, string(claim.UID), corev1.EventTypeWarning, "ProvisioningFailed", `storageclass "fast" not found`)
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing,
		`is Pending: ProvisioningFailed: storageclass "fast" not found`)

	bound := func(phase corev1.PersistentVolumeClaimPhase) {
		before := claim.DeepCopy()
		claim.Status.Phase = phase
		must(t, api.Status().Patch(t.Context(), claim, client.MergeFrom(before)))
	}
	bound(corev1.ClaimBound) // the claim alone brings the operator back
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for the connector's Pods")

	pod := w.pod("xiaowang-5d9c7b6f4-aaaaa", "xiaowang", corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}})
	w.warn("d", "Pod", pod.Name, string(pod.UID), corev1.EventTypeWarning, "FailedAttachVolume", "Multi-Attach error for volume \"v\": in use by xiaowang-5d9c7b6f4-aaaaa")
	w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing,
		`a Pod is not started: FailedAttachVolume: Multi-Attach error for volume "v": in use by (pod)`)

	w.rollOut("xiaowang")
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionTrue, v1alpha1.ReasonLedgerOpen, "opened")
	bound(corev1.ClaimLost)
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionFalse, v1alpha1.ReasonLedgerUnavailable, "is Lost")
	w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonLedgerUnavailable, "is Lost")
	w.condition("xiaowang", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonLedgerUnavailable)
	bound(corev1.ClaimBound)
	w.says("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "serves")
}

// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func object(name string, owner types.UID) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: "brands", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: ago(90 * time.Minute), Generation: 2}
	if owner != "" {
		m.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: new(true)}}
	}
	return m
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 2}
}

func brand(conditions ...metav1.Condition) *v1alpha1.BrandConnector {
	b := &v1alpha1.BrandConnector{ObjectMeta: object("xiaowang", "")}
	b.Spec.BrandID = "11342"
	b.Spec.Ledger.Postgres = &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: "ledger", Key: "dsn"}}
	b.Status.Conditions = conditions
	b.Status.Image, b.Status.ConfigRevision = "registry.example/hexiao/connector:1", "18b8636dfb42a3fc"
	b.Status.Endpoints = []v1alpha1.Endpoint{{SPI: "verify", URL: "https://pos.example.com/keruyun/11342/verify"}}
	return b
}

func set(name, revision string, want, ready int32, age time.Duration) *appsv1.ReplicaSet {
	s := &appsv1.ReplicaSet{ObjectMeta: object(name, "uid-xiaowang"), Spec: appsv1.ReplicaSetSpec{Replicas: &want}, Status: appsv1.ReplicaSetStatus{Replicas: want, ReadyReplicas: ready}}
	s.CreationTimestamp = ago(age)
	s.Annotations = map[string]string{"deployment.kubernetes.io/revision": revision}
	return s
}

func pod(name, owner string, ready bool, c ...corev1.ContainerStatus) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: object(name, types.UID("uid-"+owner)), Spec: corev1.PodSpec{NodeName: "node-1",
		Containers: []corev1.Container{{Name: "connector", Image: "registry.example/hexiao/connector:1"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.7", ContainerStatuses: c}}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	return p
}

// failing is a brand in the middle of a rollout that does not come to an end.
func failing() *tree.Snapshot {
	d := &appsv1.Deployment{ObjectMeta: object("xiaowang", "uid-xiaowang"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 1, AvailableReplicas: 2, Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}}}
	d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "3"}
	d.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-03-01T11:00:00Z"}
	crashing := pod("xiaowang-new-x2k", "xiaowang-new", false, corev1.ContainerStatus{Name: "connector", RestartCount: 5,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container\nand more"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1, FinishedAt: ago(3 * time.Minute),
			Message: "\nhexiao-connector: open ledger: password \x1b[2Jauthentication failed\nstack"}}})
	pending := pod("xiaowang-new-y3l", "xiaowang-new", false)
	pending.Status.Phase = corev1.PodPending
	pending.Spec.NodeName = ""
	pending.Status.Conditions = append(pending.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available: 3 Insufficient memory."})
	ending := pod("xiaowang-old-a1b", "xiaowang-old", true)
	ending.DeletionTimestamp = new(metav1.NewTime(now.Add(20 * time.Second)))
	stuck := pod("xiaowang-old-c2d", "xiaowang-old", true)
	stuck.DeletionTimestamp = new(ago(5 * time.Minute))
	evicted := pod("xiaowang-stray", "nobody", false)
	evicted.Status.Phase, evicted.Status.Reason, evicted.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	quota := set("xiaowang-new", "3", 2, 0, time.Minute)
	quota.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota: brands"}}
	event := func(kind, name, reason, message string, d time.Duration, count int32) *corev1.Event {
		return &corev1.Event{Type: corev1.EventTypeWarning, InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, Reason: reason, Message: message, LastTimestamp: ago(d), Count: count}
	}
	return &tree.Snapshot{
		Brand: brand(
			condition("Ready", "False", "RolloutFailed", "the new Pods do not become ready"),
			condition("Stalled", "True", "RolloutFailed", "the new Pods do not become ready"),
			condition("CredentialsResolved", "True", "Resolved", "all found"),
			condition("UpToDate", "False", "RolloutPending", "it waits for its turn")),
		Class: &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.ConnectorClassStatus{Conditions: []metav1.Condition{
			condition("Ready", "True", "Ready", ""), condition("RolledOut", "False", "RolloutHalted", "the canary brands/zhang did not become available")}}},
		Deployment: d,
		Sets:       []*appsv1.ReplicaSet{set("xiaowang-gone", "1", 0, 0, 3*time.Hour), set("xiaowang-old", "2", 2, 2, 2*time.Hour), quota},
		Pods:       []*corev1.Pod{crashing, pending, ending, stuck, evicted},
		Service:    &corev1.Service{ObjectMeta: object("xiaowang", "uid-xiaowang")},
		Autoscaler: &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: object("xiaowang", "uid-xiaowang"), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: new(int32(2)), MaxReplicas: 4},
			Status: autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: 2, DesiredReplicas: 2, Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
				{Type: "ScalingActive", Status: corev1.ConditionFalse, Reason: "FailedGetResourceMetric", Message: "no metrics returned"}}}},
		Budget: &policyv1.PodDisruptionBudget{ObjectMeta: object("xiaowang", "uid-xiaowang"), Status: policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 2, ExpectedPods: 2}},
		Route: &gatewayv1.HTTPRoute{ObjectMeta: object("xiaowang", "uid-xiaowang"), Status: gatewayv1.HTTPRouteStatus{RouteStatus: gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{
			{ParentRef: gatewayv1.ParentReference{Name: "public", Namespace: new(gatewayv1.Namespace("gateways"))}, Conditions: []metav1.Condition{condition("Accepted", "False", "NoMatchingListenerHostname", "no listener takes the host name")}}}}}},
		CronJobs: []*batchv1.CronJob{
			{ObjectMeta: object("xiaowang-reconciliation", "uid-xiaowang"), Spec: batchv1.CronJobSpec{Schedule: "0 4 * * *"}, Status: batchv1.CronJobStatus{LastScheduleTime: new(ago(8 * time.Hour)), LastSuccessfulTime: new(ago(32 * time.Hour))}},
			{ObjectMeta: object("xiaowang-retention", "uid-xiaowang"), Spec: batchv1.CronJobSpec{Schedule: "0 5 * * *", Suspend: new(true)}},
		},
		Events: []*corev1.Event{
			event("Pod", "xiaowang-new-x2k", "BackOff", "back-off restarting failed container", 5*time.Minute, 7),
			event("Pod", "xiaowang-new-x2k", "BackOff", "back-off restarting failed container, again", 2*time.Minute, 3),
			event("Pod", "xiaowang-new-x2k", "Unhealthy", "readiness probe failed", 2*time.Hour, 1),
			event("BrandConnector", "xiaowang-shop", "SecretNotFound", "another brand's", time.Minute, 1),
			event("Pod", "xiaowang-shop-5d9c-x2k", "BackOff", "another brand's", time.Minute, 1),
			{Type: corev1.EventTypeWarning, InvolvedObject: corev1.ObjectReference{Kind: "BrandConnector", Name: "xiaowang"}, Reason: "RolloutFailed", Message: "the new Pods do not become ready", EventTime: metav1.NewMicroTime(now.Add(-time.Minute))},
		},
	}
}

// healthy is a brand with the embedded ledger.
func healthy() *tree.Snapshot {
	b := brand(condition("Ready", "True", "Ready", "all 1 Pods serve"), condition("WorkloadAvailable", "True", "WorkloadAvailable", "1 of 1"))
	b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}
	d := &appsv1.Deployment{ObjectMeta: object("xiaowang", "uid-xiaowang"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(1))},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1}}
	d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "1"}
	return &tree.Snapshot{
		Brand: b, Deployment: d, Hidden: []string{"Event"},
		Sets:      []*appsv1.ReplicaSet{set("xiaowang-5d9c", "1", 1, 1, time.Hour)},
		Pods:      []*corev1.Pod{pod("xiaowang-5d9c-x2k", "xiaowang-5d9c", true, corev1.ContainerStatus{Name: "connector", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})},
		Service:   &corev1.Service{ObjectMeta: object("xiaowang", "uid-xiaowang")},
		Endpoints: []*discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}}}},
		Ingress: &networkingv1.Ingress{ObjectMeta: object("xiaowang", "uid-xiaowang"), Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{
			Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: "203.0.113.7"}}}}},
		Claim: &corev1.PersistentVolumeClaim{ObjectMeta: object("xiaowang-ledger", ""), Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound,
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}},
		CronJobs: []*batchv1.CronJob{{ObjectMeta: object("xiaowang-reconciliation", "uid-xiaowang"), Spec: batchv1.CronJobSpec{Schedule: "0 4 * * *"},
			Status: batchv1.CronJobStatus{LastScheduleTime: new(ago(8 * time.Hour)), LastSuccessfulTime: new(ago(8*time.Hour - time.Minute))}}},
	}
}

func TestTree(t *testing.T) {
	for name, c := range map[string]struct {
		of    *tree.Snapshot
		ready bool
	}{
		"failing": {failing(), false},
		"healthy": {healthy(), true},
		"nothing": {&tree.Snapshot{Brand: &v1alpha1.BrandConnector{ObjectMeta: object("xiaowang", "")}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := tree.Build(c.of, now)
			if got.Ready != c.ready {
				t.Errorf("ready is %v", got.Ready)
			}
			for file, wide := range map[string]bool{"txt": false, "wide": true} {
				var b bytes.Buffer
				if err := tree.Write(&b, got, wide, tree.Plain, now); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+file, b.Bytes())
				if strings.Contains(b.String(), "\x1b") {
					t.Error("an escape sequence reaches the terminal")
				}
			}
			raw, err := json.MarshalIndent(got, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", append(raw, '\n'))
		})
	}
}

func TestColoursSayTheVerdictAgain(t *testing.T) {
	var plain, coloured bytes.Buffer
	built := tree.Build(failing(), now)
	if err := tree.Write(&plain, built, false, tree.Plain, now); err != nil {
		t.Fatal(err)
	}
	if err := tree.Write(&coloured, built, false, tree.Colours, now); err != nil {
		t.Fatal(err)
	}
	without := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[35m", "", "\x1b[0m", "").Replace(coloured.String())
	if diff := cmp.Diff(plain.String(), without); diff != "" || !strings.Contains(coloured.String(), "\x1b[31mBAD\x1b[0m BrandConnector") {
		t.Errorf("colours change more than the colour (-plain +without):\n%s\n%s", diff, coloured.String())
	}
}

func TestLines(t *testing.T) {
	stale := brand(condition("Ready", "True", "Ready", "all 2 Pods serve"))
	stale.Name, stale.Generation = "stale", 3
	fresh := brand()
	fresh.Name = "fresh"
	failed := failing().Brand
	failed.Spec.ConnectorClassName = "gold"
	p := pod("p", "", true, corev1.ContainerStatus{RestartCount: 2}, corev1.ContainerStatus{RestartCount: 3})
	p.Labels = map[string]string{"app.kubernetes.io/instance": "xiaowang"}
	brands := []*v1alpha1.BrandConnector{failed, healthy().Brand, stale, fresh}
	brands[1].Name = "good"
	var b bytes.Buffer
	for _, wide := range []bool{false, true} {
		if err := tree.WriteLines(&b, tree.Lines(brands, []*corev1.Pod{p}), wide, wide, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.WriteLines(&b, tree.Lines(brands, nil), false, false, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "lines.txt", b.Bytes())
}

func TestWhoMayWriteTheObjectBack(t *testing.T) {
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		want                string
	}{
		"nobody that is known": {},
		"Flux":                 {labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "brands"}, want: "Flux's Kustomization brands"},
		"Argo CD":              {annotations: map[string]string{"argocd.argoproj.io/tracking-id": "fleet:connect.hexiao.dev/BrandConnector:brands/xiaowang"}, want: "Argo CD's Application fleet"},
		"Helm":                 {annotations: map[string]string{"meta.helm.sh/release-name": "brands"}, want: "Helm's release brands"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tree.GitOps(&v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Labels: c.labels, Annotations: c.annotations}}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

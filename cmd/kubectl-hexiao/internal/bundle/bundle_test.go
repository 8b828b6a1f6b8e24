// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

func TestOfALogTheEndIsKept(t *testing.T) {
	var asked url.Values
	lines := 3 * maxLog / 64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		for i := range lines {
			_, _ = fmt.Fprintf(w, "%-63d\n", i)
		}
	}))
	defer server.Close()
	core, err := coreclient.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Collector: &Collector{Core: core}}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: "x"}}
	tail := int64(7)
	text, err := r.read(t.Context(), p, &corev1.PodLogOptions{Container: "connector", TailLines: &tail})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(text) > maxLog+100 || !strings.HasPrefix(all[0], "# the beginning was cut off") || len(all[1]) != 63 || strings.TrimSpace(all[len(all)-1]) != fmt.Sprint(lines-1) {
		t.Errorf("%d bytes, from %q and %q to %q", len(text), all[0], all[1], all[len(all)-1])
	}
	if asked.Get("tailLines") != "7" || asked.Get("container") != "connector" {
		t.Errorf("asked for %v", asked)
	}
}

func TestTheNamesOfSecretsAreFoundWhereverTheyStand(t *testing.T) {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(`
spec:
  keruyun: {credentialsSecretRef: {name: a}}
  providers: {alsc: {credentialsSecretRef: {name: b}}}
  ledger: {postgres: {dsnSecretRef: {name: c, key: dsn}}}
  exposure: {tlsSecretRef: {name: d}}
  imagePullSecrets: [{name: e}]
  containers:
  - env: [{name: X, valueFrom: {secretKeyRef: {name: f, key: k}}}]
    envFrom: [{secretRef: {name: g}}, {configMapRef: {name: no}}]
  volumes: [{secret: {secretName: h}}, {configMap: {name: no}}]
`), &object); err != nil {
		t.Fatal(err)
	}
	got := secretNames(object)
	slices.Sort(got)
	if d := cmp.Diff([]string{"a", "b", "c", "d", "e", "f", "g", "h"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTheSummaryNamesTroubleAndNothingElse(t *testing.T) {
	tests := map[string]struct {
		object string
		want   []string
	}{
		"a Deployment that is well":     {`{kind: Deployment, metadata: {name: x}, status: {conditions: [{type: Available, status: "True"}, {type: Progressing, status: "True"}]}}`, nil},
		"a quota that holds one back":   {`{kind: Deployment, metadata: {name: x}, status: {conditions: [{type: ReplicaFailure, status: "True", reason: FailedCreate, message: exceeded quota}]}}`, []string{"child x: ReplicaFailure=True (FailedCreate): exceeded quota"}},
		"a Job that has ended well":     {`{kind: Job, metadata: {name: x}, status: {conditions: [{type: Complete, status: "True"}]}}`, nil},
		"a Job that has failed":         {`{kind: Job, metadata: {name: x}, status: {conditions: [{type: Failed, status: "True", reason: BackoffLimitExceeded, message: m}]}}`, []string{"child x: Failed=True (BackoffLimitExceeded): m"}},
		"a Pod that has ended well":     {`{kind: Pod, metadata: {name: x}, status: {phase: Succeeded, conditions: [{type: Ready, status: "False", reason: PodCompleted}, {type: ContainersReady, status: "False"}]}}`, nil},
		"a claim that waits":            {`{kind: PersistentVolumeClaim, metadata: {name: x}, status: {phase: Pending}}`, []string{"child x: phase Pending"}},
		"a container that was killed":   {`{kind: Pod, metadata: {name: x}, status: {containerStatuses: [{name: c, state: {running: {}}, lastState: {terminated: {reason: OOMKilled, exitCode: 137}}}]}}`, []string{"child x, container c: lastState terminated, reason OOMKilled, exitCode 137"}},
		"a class whose roll-out stands": {`{kind: ConnectorClass, metadata: {name: x}, status: {conditions: [{type: RolledOut, status: "False", reason: Halted, message: canary failed}]}}`, []string{"child x: RolledOut=False (Halted): canary failed"}},
		"an autoscaler at its bound":    {`{kind: HorizontalPodAutoscaler, metadata: {name: x}, status: {conditions: [{type: ScalingLimited, status: "False"}]}}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(tt.object), &object); err != nil {
				t.Fatal(err)
			}
			s := &summary{}
			s.object("child", object)
			if d := cmp.Diff(tt.want, s.problems); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestAnEventIsSeenWhenItWasSeenLast(t *testing.T) {
	for name, tt := range map[string]struct{ event, want string }{
		"by its series":    {`{series: {lastObservedTime: "2026-03-01T12:00:00.123456Z"}, lastTimestamp: "2026-03-01T11:00:00Z"}`, "12:00:00.123456"},
		"by its last time": {`{lastTimestamp: "2026-03-01T11:00:00Z", eventTime: null}`, "11:00:00"},
		"by its only time": {`{eventTime: "2026-03-01T10:00:00.000000Z"}`, "10:00:00"},
		"by when it came":  {`{metadata: {creationTimestamp: "2026-03-01T09:00:00Z"}}`, "09:00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			var event map[string]any
			if err := yaml.Unmarshal([]byte(tt.event), &event); err != nil {
				t.Fatal(err)
			}
			if got := lastSeen(event).Format("15:04:05.999999"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if !lastSeen(map[string]any{}).Equal(time.Time{}) {
		t.Error("one without a time has one")
	}
}

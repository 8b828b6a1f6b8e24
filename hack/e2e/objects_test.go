//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// metadata is what the tests read of any object's.
type metadata struct {
	Name, UID  string
	Generation int64

	Labels, Annotations map[string]string
	DeletionTimestamp   *time.Time
}

// deployment is a brand's.
type deployment struct {
	Metadata metadata
	Spec     struct{ Replicas int }
}

// revision is the number that Kubernetes gives a pod template.
func (d deployment) revision() string {
	return d.Metadata.Annotations["deployment.kubernetes.io/revision"]
}

func deploymentOf(t *testing.T, brand string) deployment {
	t.Helper()
	var d deployment
	get(t, &d, "deployment", brand)
	return d
}

// changed waits until a brand's Deployment is of a later generation than before.
func changed(t *testing.T, brand string, before deployment) {
	t.Helper()
	eventually(t, "the Deployment changes", func() error {
		if g := deploymentOf(t, brand).Metadata.Generation; g == before.Metadata.Generation {
			return fmt.Errorf("generation is still %d", g)
		}
		return nil
	})
}

// pod is a connector's.
type pod struct {
	Metadata metadata
	Status   struct {
		Conditions        []struct{ Type, Status string }
		ContainerStatuses []struct {
			RestartCount int
			Started      bool
		}
	}
}

// started says that a container runs or ran.
func (p pod) started() bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.Started || c.RestartCount > 0 {
			return true
		}
	}
	return false
}

func (p pod) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

func (p pod) restarts() (n int) {
	for _, c := range p.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// podsOf are the Pods of brands.
func podsOf(t *testing.T, brands ...string) []pod {
	t.Helper()
	var list struct{ Items []pod }
	get(t, &list, "pods", "-l", "app.kubernetes.io/name=hexiao-connector,app.kubernetes.io/instance in ("+strings.Join(brands, ",")+")")
	return list.Items
}

// serving are those of the Pods of brands that tills reach.
func serving(t *testing.T, brands ...string) []pod {
	t.Helper()
	return slices.DeleteFunc(podsOf(t, brands...), func(p pod) bool { return p.Metadata.DeletionTimestamp != nil || !p.ready() })
}

// stillServe holds that Pods which served before do so, and did not restart.
func stillServe(t *testing.T, before []pod, brands ...string) {
	t.Helper()
	now := serving(t, brands...)
	for _, was := range before {
		if is, ok := find(now, was.Metadata.UID); !ok || is.restarts() != was.restarts() {
			t.Errorf("Pod %s, which served before, does not any more", was.Metadata.Name)
		}
	}
}

func find(pods []pod, uid string) (pod, bool) {
	i := slices.IndexFunc(pods, func(p pod) bool { return p.Metadata.UID == uid })
	if i < 0 {
		return pod{}, false
	}
	return pods[i], true
}

// identities are the Pods that are not ending, and how often they restarted, to be
// compared.
func identities(pods []pod) []string {
	var ids []string
	for _, p := range pods {
		if p.Metadata.DeletionTimestamp != nil {
			continue
		}
		ids = append(ids, fmt.Sprintf("%s %s, %d restarts", p.Metadata.Name, p.Metadata.UID, p.restarts()))
	}
	slices.Sort(ids)
	return ids
}

// children are a brand's objects but Pods and what Kubernetes makes of them: kind, name
// and UID.
func children(t *testing.T, brand string) []string {
	t.Helper()
	out := kubectl(t, "get", "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,cronjobs,persistentvolumeclaims,horizontalpodautoscalers,ingresses",
		"-l", "app.kubernetes.io/managed-by=hexiao,app.kubernetes.io/instance="+brand,
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\n"}{end}`)
	lines := strings.Split(out, "\n")
	if len(lines) < 5 {
		t.Fatalf("too few objects of %s: %s", brand, out)
	}
	slices.Sort(lines)
	return lines
}

func patch(t *testing.T, object, merge string) {
	t.Helper()
	kubectl(t, "patch", object, "--type=merge", "-p", merge)
}

// ready waits until brands are.
func ready(t *testing.T, brands ...string) {
	t.Helper()
	kubectl(t, slices.Concat([]string{"wait", "bc", "--for=condition=Ready", "--timeout=5m"}, brands)...)
}

// settled waits until the operator and Kubernetes have done all that was asked of them for
// brands: their newest Pods are there, ready, and alone.
func settled(t *testing.T, brands ...string) {
	t.Helper()
	for _, brand := range brands {
		reconciled(t, brand)
		kubectl(t, "rollout", "status", "deployment", brand, "--timeout=5m")
		eventually(t, "only the newest Pods of "+brand+" are left", func() error {
			all, want := podsOf(t, brand), deploymentOf(t, brand).Spec.Replicas
			if ready := serving(t, brand); len(all) != want || len(ready) != want {
				return fmt.Errorf("%d Pods, of which %d are ready, of %d replicas", len(all), len(ready), want)
			}
			return nil
		})
		// What became of the Pods is in the status now, too.
		reconciled(t, brand)
	}
	ready(t, brands...)
}

// reconciled asks for a reconcile of a brand, and waits until it is over.
func reconciled(t *testing.T, brand string) {
	t.Helper()
	now := time.Now().Format(time.RFC3339Nano)
	kubectl(t, "annotate", "bc", brand, "--overwrite", "reconcile.fluxcd.io/requestedAt="+now)
	kubectl(t, "wait", "bc", brand, "--for=jsonpath={.status.lastHandledReconcileAt}="+now, "--timeout=5m")
}

// says waits until a brand's condition has a status and a reason, and its message has
// words.
func says(t *testing.T, brand, condition, status, reason string, words ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s of %s is %s: %s", condition, brand, status, reason), func() error {
		var object struct {
			Status struct {
				Conditions []struct{ Type, Status, Reason, Message string }
			}
		}
		get(t, &object, "bc", brand)
		for _, c := range object.Status.Conditions {
			if c.Type != condition {
				continue
			}
			missing := slices.IndexFunc(words, func(w string) bool { return !strings.Contains(c.Message, w) })
			if c.Status == status && c.Reason == reason && missing < 0 {
				return nil
			}
			return fmt.Errorf("%+v", c)
		}
		return fmt.Errorf("no such condition among %+v", object.Status.Conditions)
	})
}

// watch runs `kubectl get --watch` until stop, which tells what it printed of the fields,
// from the objects as they were at first to the objects as they are when it is called.
func watch(t *testing.T, fields string, of ...string) (stop func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, kubectlProgram(), slices.Concat([]string{"--namespace", namespace, "get", "--watch", "--show-managed-fields",
		"-o", "jsonpath={.metadata.resourceVersion} " + fields + `{"\n"}`}, of)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	printed := bufio.NewScanner(out)
	if !printed.Scan() { // the watch has begun
		t.Fatalf("kubectl get --watch %v prints nothing: %v", of, printed.Err())
	}
	var mu sync.Mutex
	var lines []string
	versions, done := map[string]bool{}, make(chan struct{})
	take := func() {
		mu.Lock()
		defer mu.Unlock()
		version, text, _ := strings.Cut(printed.Text(), " ")
		lines, versions[version] = append(lines, text), true
	}
	take()
	go func() {
		defer close(done)
		for printed.Scan() {
			take()
		}
	}()
	t.Cleanup(cancel)
	return func() []string {
		now := strings.Fields(kubectl(t, slices.Concat([]string{"get", "--no-headers", "-o", "custom-columns=VERSION:.metadata.resourceVersion"}, of)...))
		eventually(t, "the watch tells what is so now", func() error {
			mu.Lock()
			defer mu.Unlock()
			if i := slices.IndexFunc(now, func(version string) bool { return !versions[version] }); i >= 0 {
				return fmt.Errorf("it has not told of version %s", now[i])
			}
			return nil
		})
		cancel()
		<-done
		_ = cmd.Wait() // it was killed
		return lines
	}
}

// number reads a field of a status, where nothing means none.
func number(t *testing.T, text string) int {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("a number: %v", err)
	}
	return n
}

// scale is what a Deployment was at a moment.
type scale struct{ Replicas, Available int }

// follow watches a brand's Deployment until stop, which tells each state that it was in.
func follow(t *testing.T, brand string) (stop func() []scale) {
	t.Helper()
	lines := watch(t, `{.spec.replicas}|{.status.availableReplicas}`, "deployment", brand)
	return func() (states []scale) {
		for _, l := range lines() {
			replicas, available, _ := strings.Cut(l, "|")
			states = append(states, scale{number(t, replicas), number(t, available)})
		}
		return slices.Compact(states)
	}
}

// auditEvent is a line of the API server's audit log.
type auditEvent struct {
	Verb      string
	User      struct{ Username string }
	ObjectRef struct{ Resource, Subresource, Namespace, Name string }
	// RequestReceivedTimestamp of the request.
	RequestReceivedTimestamp time.Time
}

func (e auditEvent) String() string {
	return fmt.Sprintf("%s: %s %s/%s of %s", e.RequestReceivedTimestamp.Format(time.RFC3339Nano), e.Verb, e.ObjectRef.Resource, e.ObjectRef.Subresource, e.ObjectRef.Name)
}

// auditLog is the variable with the path of the API server's audit log, in a native cluster.
const auditLog = "HEXIAO_CLUSTER_AUDIT_LOG"

// audited are the writes for brands that the audit log has of an operator's service
// account since a moment, events left out.
func audited(t *testing.T, account string, since time.Time) (writes []auditEvent) {
	t.Helper()
	file, err := os.Open(os.Getenv(auditLog))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, e := range decodeAudit(file) {
		if e.User.Username == "system:serviceaccount:"+systemNamespace+":"+account && e.ObjectRef.Namespace == namespace &&
			e.ObjectRef.Resource != "events" && slices.Contains([]string{"create", "update", "patch", "delete"}, e.Verb) && e.RequestReceivedTimestamp.After(since) {
			writes = append(writes, e)
		}
	}
	return writes
}

// decodeAudit reads the events of an audit log; a last line that is being written is
// left out.
func decodeAudit(r io.Reader) (events []auditEvent) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditEvent
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			events = append(events, e)
		}
	}
	return events
}

//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// previous is where hack/e2e/run puts the chart of the version before this one.
const previous = "dist/previous/chart"

// release installs or upgrades the operator.
func (s *story) release(t *testing.T, chart string, args ...string) {
	t.Helper()
	s.releaseAs(t, "hexiao", chart, args...)
}

func (s *story) releaseAs(t *testing.T, name, chart string, args ...string) {
	t.Helper()
	helm(t, append([]string{"upgrade", "--install", name, filepath.Join(root, chart), "--namespace", systemNamespace, "--create-namespace",
		"--values", filepath.Join(root, "hack/e2e/values.yaml"), "--wait", "--timeout", "10m",
		"--take-ownership"}, args...)...)
}

func (s *story) installPrevious(t *testing.T) {
	clean(t)
	cleanCRDs(t)
	s.release(t, previous, "--set=image.tag=previous")
	makeNamespace(t)
}

// testRelease has the release say whether it works.
func testRelease(t *testing.T) {
	t.Helper()
	helm(t, "test", "hexiao", "--namespace", systemNamespace, "--timeout", "10m")
}

func makeNamespace(t *testing.T) {
	t.Helper()
	apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+", labels: {pod-security.kubernetes.io/enforce: restricted}}}")
}

// upgrade brings in this version's operator and CRDs while a till redeems.
func (s *story) upgrade(t *testing.T) {
	pods := identities(podsOf(t, postgresBrand, embeddedBrand))
	load := s.startLoad(t, postgresBrand, "11342")
	s.release(t, "charts/hexiao")
	testRelease(t)
	for _, brand := range []string{postgresBrand, embeddedBrand} {
		reconciled(t, brand) // by the new operator: the old one's Pods are gone
		says(t, brand, "Ready", "True", "Ready")
	}
	load.end(t)
	if diff := cmp.Diff(pods, identities(podsOf(t, postgresBrand, embeddedBrand))); diff != "" {
		t.Errorf("the connectors' Pods (-before +after):\n%s", diff)
	}
	if images := kubectl(t, "get", "pods", "-n", systemNamespace, "-o", "jsonpath={.items[*].spec.containers[*].image}"); strings.Contains(images, "previous") {
		t.Errorf("the operator runs %s", images)
	}
	sameCRDs(t)
}

// upgradePods upgrades to an operator that makes other Pods. The brands have no class, so
// the operator's flags are the policy.
func (s *story) upgradePods(t *testing.T) {
	kubectl(t, "label", "bc", embeddedBrand, "tier=canary")
	load := s.startLoad(t, postgresBrand, "11342")
	stop := followFleet(t)
	s.release(t, "charts/hexiao", "--set=connector.image.pullPolicy=Never",
		"--set=rollout.maxConcurrent=1,rollout.canary.selector=tier=canary,rollout.canary.soakTime="+soakTime.String())
	eventually(t, "every brand's Pods are made as the new operator makes them", func() error {
		policies := kubectl(t, "get", "deployments", "-l", "app.kubernetes.io/name=hexiao-connector", "-o", "jsonpath={.items[*].spec.template.spec.containers[0].imagePullPolicy}")
		if policies != "Never Never" {
			return errors.New(policies)
		}
		return nil
	})
	settled(t, postgresBrand, embeddedBrand)
	states := stop()
	load.end(t)
	inOrder(t, states, embeddedBrand, 2)
}

// sameCRDs holds the cluster's CRDs against config/crd.
func sameCRDs(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config/crd/connect.hexiao.dev_*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("config/crd has no CRDs: %v", err)
	}
	type crd struct {
		Metadata struct{ Name string }
		Spec     struct {
			Versions []struct {
				Name   string
				Schema any
			}
		}
	}
	for _, file := range files {
		var want, got crd
		raw, err := os.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(raw, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		get(t, &got, "crd", want.Metadata.Name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-of this version +in the cluster):\n%s", want.Metadata.Name, diff)
		}
	}
}

// leader is the process of the operator that may write.
type leader struct {
	pod string
	// holder is the process: a Pod whose process was killed starts another one.
	holder string
	since  time.Time
}

// wholeFleet is the lease of an operator that has all brands.
const wholeFleet = "hexiao-manager"

func leads(t *testing.T) leader {
	t.Helper()
	l, err := lease(t, wholeFleet)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func lease(t *testing.T, name string) (leader, error) {
	t.Helper()
	var l struct {
		Spec struct {
			HolderIdentity string
			AcquireTime    time.Time
		}
	}
	get(t, &l, "lease", name, "-n", systemNamespace)
	pod, _, ok := strings.Cut(l.Spec.HolderIdentity, "_")
	if !ok {
		return leader{}, fmt.Errorf("nobody leads: %q", l.Spec.HolderIdentity)
	}
	return leader{pod, l.Spec.HolderIdentity, l.Spec.AcquireTime}, nil
}

// lead takes the leader away in ways that get harder, changes a brand at once and again
// when there is another one, and waits until that one has done what this asks for. How
// long that may take is measured by hack/scale, where nothing else is.
func (s *story) lead(t *testing.T) {
	hour := 5
	for _, way := range []struct {
		name string
		do   func(*testing.T, string)
	}{
		// A leader that ends gives the lease back.
		{"deleted", func(t *testing.T, pod string) {
			kubectl(t, "delete", "pod", pod, "-n", systemNamespace, "--wait=false")
		}},
		{"deleted by force", func(t *testing.T, pod string) {
			kubectl(t, "delete", "pod", pod, "-n", systemNamespace, "--grace-period=0", "--force")
		}},
		// One that is killed does not: the lease has to run out, 12 seconds after it was
		// last renewed.
		{"killed", kill},
	} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "killed" && !s.direct() {
				t.Log("only a native cluster's processes can be killed from here")
				return
			}
			kubectl(t, "rollout", "status", "deployment/hexiao-manager", "-n", systemNamespace, "--timeout=5m")
			before, pods := children(t, postgresBrand), identities(podsOf(t, postgresBrand))
			load := s.startLoad(t, postgresBrand, "11342")
			old := leads(t)
			start := time.Now()
			way.do(t, old.pod)
			change := func() (schedule string) {
				hour++
				schedule = fmt.Sprintf("0 %d * * *", hour)
				patch(t, "bc/"+postgresBrand, fmt.Sprintf(`{"spec":{"reconciliation":{"schedule":%q}}}`, schedule))
				return schedule
			}
			change()
			var next leader
			// A Pod that is deleted lives on for a moment, and its operator may still do
			// what was asked for last.
			eventually(t, "another process leads", func() (err error) {
				next, err = lease(t, wholeFleet)
				if err == nil && next.holder == old.holder {
					err = errors.New(old.holder + " still does")
				}
				return err
			})
			schedule := change()
			eventually(t, "the change arrives at the CronJob", func() error {
				if is := kubectl(t, "get", "cronjob", postgresBrand+"-reconciliation", "-o", "jsonpath={.spec.schedule}"); is != schedule {
					return fmt.Errorf("the schedule is still %q", is)
				}
				return nil
			})
			took := time.Since(start)
			t.Logf("leader %s was %s; %s led next, and its first write came after %s", old.pod, way.name, next.pod, s.nextWrite(t, start, next.since, took).Round(time.Millisecond))
			says(t, postgresBrand, "Ready", "True", "Ready")
			load.end(t)
			if diff := cmp.Diff(before, children(t, postgresBrand)); diff != "" {
				t.Errorf("the brand's objects (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(pods, identities(podsOf(t, postgresBrand))); diff != "" {
				t.Errorf("the connectors' Pods (-before +after):\n%s", diff)
			}
		})
	}
}

// kill ends the process of an operator's Pod without a word.
func kill(t *testing.T, pod string) {
	t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range environments {
		raw, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(raw), "\x00"), "HOSTNAME="+pod) {
			continue // another process, or one that has ended meanwhile
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil || !bytes.HasPrefix(command, []byte("/hexiao-manager\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatalf("kill the operator in Pod %s: %v", pod, err)
		}
		return
	}
	t.Fatalf("no process of Pod %s", pod)
}

// nextWrite is how long after start the operator that leads since then wrote for a brand,
// by the API server's audit log where there is one, else as it was seen.
func (s *story) nextWrite(t *testing.T, start, since time.Time, seen time.Duration) time.Duration {
	t.Helper()
	if os.Getenv(auditLog) == "" {
		return seen
	}
	for _, e := range audited(t, wholeFleet, since) {
		if e.ObjectRef.Resource == "cronjobs" {
			return e.RequestReceivedTimestamp.Sub(start)
		}
	}
	t.Error("the audit log has no write by the operator")
	return seen
}

func (s *story) uninstall(t *testing.T) {
	s.uninstallReleases(t, "hexiao")
}

func (s *story) uninstallReleases(t *testing.T, names ...string) {
	t.Helper()
	helm(t, slices.Concat([]string{"uninstall"}, names, []string{"--namespace", systemNamespace, "--wait", "--timeout", "10m"})...)
	eventually(t, "nothing is left of the operator", func() error {
		left := kubectl(t, "get", "deployments,replicasets,pods,services", "-n", systemNamespace, "-o", "name")
		if left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
	kubectl(t, "get", "crd", "brandconnectors.connect.hexiao.dev") // is kept: with it the brands would go
}

// clean removes what a story that failed has left in a cluster that was kept.
func clean(t *testing.T) {
	t.Helper()
	var namespaces struct{ Items []struct{ Metadata metadata } }
	raw := kubectl(t, "get", "namespaces", "-o", "json")
	if err := json.Unmarshal([]byte(raw), &namespaces); err != nil {
		t.Fatal(err)
	}
	for _, ns := range namespaces.Items {
		if slices.Contains([]string{namespace, elsewhere}, ns.Metadata.Name) {
			kubectl(t, "delete", "namespace", ns.Metadata.Name, "--timeout=5m")
		}
	}
	for _, release := range append(slices.Sorted(maps.Values(shards)), "hexiao", "hexiao-crds") {
		helm(t, "uninstall", release, "--namespace", systemNamespace, "--ignore-not-found", "--wait", "--timeout", "10m")
	}
}

// cleanCRDs removes the CRDs that an uninstalled release has left.
func cleanCRDs(t *testing.T) {
	t.Helper()
	crds := kubectl(t, "get", "crd", "-o", "name")
	for _, crd := range strings.Fields(crds) {
		if strings.HasSuffix(crd, ".connect.hexiao.dev") {
			kubectl(t, "delete", crd, "--timeout=5m")
		}
	}
}

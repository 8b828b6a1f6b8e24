//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (s *story) drift(t *testing.T) {
	kubectl(t, "scale", "deployment", postgresBrand, "--replicas=1")
	hasReplicas(t, postgresBrand, 2)
	kubectl(t, "patch", "networkpolicy", postgresBrand, "--type=merge", "-p", `{"spec":{"egress":[{}]}}`)
	eventually(t, "the way out is narrow again", func() error {
		if rules := kubectl(t, "get", "networkpolicy", postgresBrand, "-o", "jsonpath={.spec.egress}"); rules == "[{}]" {
			return errors.New("everything may be reached")
		}
		return nil
	})
	image := func() string {
		return kubectl(t, "get", "deployment", postgresBrand, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	}
	was := image()
	kubectl(t, "set", "image", "deployment/"+postgresBrand, "connector=hexiao/somebody-elses:1")
	eventually(t, "the image is put back", func() error {
		if is := image(); is != was {
			return errors.New(is)
		}
		return nil
	})
	kubectl(t, "set", "env", "deployment/"+postgresBrand, "ADDED=by-hand")
	eventually(t, "what was added is taken away", func() error {
		if env := kubectl(t, "get", "deployment", postgresBrand, "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}"); strings.Contains(env, "ADDED") {
			return errors.New(env)
		}
		return nil
	})
	settled(t, postgresBrand)
}

func hasReplicas(t *testing.T, brand string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %d replicas", brand, want), func() error {
		if n := deploymentOf(t, brand).Spec.Replicas; n != want {
			return fmt.Errorf("%d replicas", n)
		}
		return nil
	})
}

func (s *story) suspend(t *testing.T) {
	load := s.startLoad(t, postgresBrand, "11342")
	pods := identities(podsOf(t, postgresBrand))
	patch(t, "bc/"+postgresBrand, `{"spec":{"suspend":true}}`)
	says(t, postgresBrand, "Suspended", "True", "Suspended")
	kubectl(t, "delete", "poddisruptionbudget", postgresBrand)
	before := deploymentOf(t, postgresBrand)
	patch(t, "bc/"+postgresBrand, `{"spec":{"telemetry":{"logLevel":"debug"}}}`)
	reconciled(t, postgresBrand) // the operator has looked, and done nothing
	if out := kubectl(t, "get", "poddisruptionbudget", postgresBrand, "--ignore-not-found"); out != "" {
		t.Errorf("what was deleted from a suspended brand came back: %s", out)
	}
	if after := deploymentOf(t, postgresBrand); after.Metadata.Generation != before.Metadata.Generation {
		t.Error("a change of a suspended brand was rolled out")
	}
	says(t, postgresBrand, "Ready", "True", "Suspended")
	patch(t, "bc/"+postgresBrand, `{"spec":{"telemetry":{"logLevel":"info"}}}`)
	patch(t, "bc/"+postgresBrand, `{"spec":{"suspend":false}}`)
	eventually(t, "what was deleted is back", func() error {
		_, err := tryKubectl(t.Context(), "get", "poddisruptionbudget", postgresBrand)
		return err
	})
	says(t, postgresBrand, "Ready", "True", "Ready")
	load.end(t)
	if diff := cmp.Diff(pods, identities(podsOf(t, postgresBrand))); diff != "" {
		t.Errorf("Pods (-before +after):\n%s", diff)
	}
}

// autoscale hands the replicas to an autoscaler, which raises them to its least
// without any metrics, and takes them back.
func (s *story) autoscale(t *testing.T) {
	stop := follow(t, postgresBrand)
	patch(t, "bc/"+postgresBrand, `{"spec":{"workload":{"replicas":null,"autoscaling":{"minReplicas":3,"maxReplicas":5}}}}`)
	hasReplicas(t, postgresBrand, 3)
	ready(t, postgresBrand)
	// Between the bounds the autoscaler, which has no metrics here, leaves the number
	// alone, and so must the operator.
	kubectl(t, "scale", "deployment", postgresBrand, "--replicas=4")
	kubectl(t, "rollout", "status", "deployment", postgresBrand, "--timeout=5m")
	reconciled(t, postgresBrand)
	ready(t, postgresBrand)
	if n := deploymentOf(t, postgresBrand).Spec.Replicas; n != 4 {
		t.Errorf("the operator set the replicas of an autoscaled brand from 4 to %d", n)
	}
	if fields := kubectl(t, "get", "deployment", postgresBrand, "--show-managed-fields", "-o", `jsonpath={.metadata.managedFields[?(@.manager=="hexiao")].fieldsV1.f:spec.f:replicas}`); fields != "" {
		t.Errorf("the operator still owns the replicas of an autoscaled brand: %s", fields)
	}
	patch(t, "bc/"+postgresBrand, `{"spec":{"workload":{"replicas":4,"autoscaling":null}}}`)
	eventually(t, "the autoscaler is gone", func() error {
		if out := kubectl(t, "get", "horizontalpodautoscaler", "-o", "name"); out != "" {
			return fmt.Errorf("%s is there", out)
		}
		return nil
	})
	says(t, postgresBrand, "Ready", "True", "Ready")
	states := stop()
	t.Logf("replicas and available Pods: %v", states)
	highest := 0
	for _, is := range states {
		if is.Replicas < highest || is.Available < 2 {
			t.Errorf("a dip to %d replicas, %d available: %v", is.Replicas, is.Available, states)
			break
		}
		highest = max(highest, is.Replicas)
	}
	patch(t, "bc/"+postgresBrand, `{"spec":{"workload":{"replicas":2}}}`)
	hasReplicas(t, postgresBrand, 2)
	settled(t, postgresBrand)
}

// jobs runs each CronJob once, beside the connector.
func (s *story) jobs(t *testing.T) {
	settled(t, postgresBrand, embeddedBrand)
	pods := identities(podsOf(t, postgresBrand, embeddedBrand))
	patch(t, "bc/"+postgresBrand, `{"spec":{"reconciliation":{"schedule":"0 5 * * *"},"retention":{"schedule":"0 4 1 * *","olderThan":400}}}`)
	patch(t, "bc/"+embeddedBrand, `{"spec":{"reconciliation":{"schedule":"0 5 * * *"}}}`)
	var names []string
	for _, name := range []string{postgresBrand + "-reconciliation", postgresBrand + "-retention", embeddedBrand + "-reconciliation"} {
		eventually(t, "the CronJob is there", func() error {
			_, err := tryKubectl(t.Context(), "create", "job", name+"-now", "--from=cronjob/"+name)
			return err
		})
		names = append(names, "job/"+name+"-now")
	}
	kubectl(t, slices.Concat([]string{"wait", "--for=condition=Complete", "--timeout=5m"}, names)...)
	for _, name := range names {
		t.Logf("%s:\n%s", name, kubectl(t, "logs", name))
	}
	if diff := cmp.Diff(pods, identities(podsOf(t, postgresBrand, embeddedBrand))); diff != "" {
		t.Errorf("the connectors' Pods (-before +after):\n%s", diff)
	}
}

func (s *story) diff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "brand.yaml")
	if err := os.WriteFile(file, []byte(strings.Split(s.objects(t), "---\n")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "diff", "-f", file) // fails when it would change anything
}

// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

// cronJobs renders a brand and returns its CronJobs.
func cronJobs(t *testing.T, in render.Inputs) []batchv1.CronJob {
	t.Helper()
	out, err := render.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	var all []batchv1.CronJob
	for _, c := range out.Children {
		if c.Kind != render.CronJobKind || c.Apply == nil {
			continue
		}
		var job batchv1.CronJob
		decode(t, c, &job)
		if job.Name != c.Name {
			t.Errorf("the child is named %s and the object %s", c.Name, job.Name)
		}
		all = append(all, job)
	}
	return all
}

func decode(t *testing.T, c render.Child, into any) {
	t.Helper()
	raw, err := json.Marshal(c.Apply)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestNothingThatChoosesTheConnectorsPodsChoosesAJobs(t *testing.T) {
	in := load(t, "testdata/postgres-scheduled.in.yaml")
	jobs := cronJobs(t, in)
	if len(jobs) != 2 {
		t.Fatalf("%d CronJobs, want 2", len(jobs))
	}
	connector := labels.SelectorFromSet(render.SelectorLabels(in.Brand))
	for _, job := range jobs {
		pod := labels.Set(job.Spec.JobTemplate.Spec.Template.Labels)
		if connector.Matches(pod) {
			t.Errorf("a till's call may be sent to a Pod of %s: %v", job.Name, pod)
		}
		if pod[render.LabelManagedBy] != render.ManagedBy {
			t.Errorf("%s has no label of the operator: %v", job.Name, pod)
		}
	}
	out, err := render.Render(in)
	if err != nil {
		t.Fatal(err)
	}
	// With a policy of their own they may go where the connector may, and nobody gets in.
	var policies []networkingv1.NetworkPolicy
	for _, c := range out.Children {
		if c.Kind == render.NetworkPolicyKind {
			var p networkingv1.NetworkPolicy
			decode(t, c, &p)
			policies = append(policies, p)
		}
	}
	if len(policies) != 2 {
		t.Fatalf("%d NetworkPolicies, want 2", len(policies))
	}
	if diff := cmp.Diff(policies[0].Spec.Egress, policies[1].Spec.Egress); diff != "" {
		t.Errorf("egress (-connector +jobs):\n%s", diff)
	}
	for _, job := range jobs {
		selector, err := metav1.LabelSelectorAsSelector(&policies[1].Spec.PodSelector)
		if err != nil {
			t.Fatal(err)
		}
		if !selector.Matches(labels.Set(job.Spec.JobTemplate.Spec.Template.Labels)) {
			t.Errorf("no policy is for the Pods of %s", job.Name)
		}
	}
}

func TestACronJobsNameFitsAndIsItsBrandsAlone(t *testing.T) {
	seen := map[string]string{}
	for _, brand := range []string{
		"a", "xiaowang", strings.Repeat("a", 37), strings.Repeat("a", 38), strings.Repeat("a", 51), strings.Repeat("a", 52),
		strings.Repeat("a", 51) + "b", strings.Repeat("a", 28) + strings.Repeat("-", 20) + "a",
	} {
		in := load(t, "testdata/postgres-scheduled.in.yaml")
		in.Brand.Name = brand
		for _, job := range cronJobs(t, in) {
			if len(job.Name) > 52 {
				t.Errorf("%s has %d characters, Kubernetes takes 52", job.Name, len(job.Name))
			}
			if other, ok := seen[job.Name]; ok {
				t.Errorf("%s and %s both have a CronJob %s", brand, other, job.Name)
			}
			seen[job.Name] = brand
			if strings.Contains(job.Name, "a--") {
				t.Errorf("%s was cut badly", job.Name)
			}
		}
	}
}

func TestTheConnectorsFileSaysNothingOfSchedules(t *testing.T) {
	bare := load(t, "testdata/postgres-scheduled.in.yaml").Brand
	scheduled := bare.DeepCopy()
	bare.Spec.Reconciliation, bare.Spec.Retention = nil, nil
	want, err := render.Config(bare)
	if err != nil {
		t.Fatal(err)
	}
	got, err := render.Config(scheduled)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the connector's file (-without +with schedules):\n%s", diff)
	}
	if scheduled.Spec.Reconciliation == nil || scheduled.Spec.Retention == nil {
		t.Error("Config changed its argument")
	}
}

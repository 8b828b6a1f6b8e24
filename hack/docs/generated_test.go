// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestEveryReasonIsOnThePageWithARemedy compares with the source by another way than the
// generator's, in both directions.
func TestEveryReasonIsOnThePageWithARemedy(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\s*Reason\w+\s+= "(\w+)"`).FindAllStringSubmatch(read(t, "api/v1alpha1/conditions.go"), -1) {
		known[m[1]] = true
	}
	if len(known) < 20 {
		t.Fatalf("found %d reasons", len(known))
	}
	shown := map[string]bool{}
	_, tables, _ := strings.Cut(read(t, "docs/reference/conditions.md"), "### Reasons of a BrandConnector")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (`\\w+` (?:True|False|Unknown)[^|]*) \\| ([^|]{10,}) \\| ([^|]{7,}) \\|$").FindAllStringSubmatch(tables, -1) {
		shown[m[1]] = true
	}
	if diff := cmp.Diff(known, shown); diff != "" {
		t.Errorf("reasons (-in the code +on the page, with conditions, a meaning and a remedy):\n%s", diff)
	}
}

func TestEveryRightHasAReasonAndEveryReasonARight(t *testing.T) {
	have, err := granted([]byte(read(t, rolesFile)))
	if err != nil {
		t.Fatal(err)
	}
	if len(have) < 50 {
		t.Fatalf("found %d rights", len(have))
	}
	if err := unreasoned(have, whys(rights)); err != nil {
		t.Error(err)
	}
	// What a person reads has each of them too.
	page := read(t, "docs/reference/rbac.md")
	for g := range have {
		if !strings.Contains(page, "`"+g.resource+"`") || !strings.Contains(page, g.verb) {
			t.Errorf("the page does not have %s", g)
		}
	}
}

func TestARightWithoutAReasonFails(t *testing.T) {
	const role = `
kind: ClusterRole
rules:
- {apiGroups: [apps], resources: [deployments], verbs: [get, delete]}
---
kind: Role
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [key], verbs: [get]}
- {apiGroups: [""], resources: [secrets], verbs: [get]}
`
	have, err := granted([]byte(role))
	if err != nil {
		t.Fatal(err)
	}
	table := []right{
		{scope: atBrands, group: "apps", resources: []string{"deployments"}, verbs: map[string]string{"get": "why", "delete": "", "patch": "why"}},
		{scope: atItsHome, resources: []string{"secrets"}, name: "key", verbs: map[string]string{"get": "why"}},
	}
	const want = `ClusterRole: delete deployments.apps: the operator may do it and hack/docs/rights.go does not say why
Role: get secrets: the operator may do it and hack/docs/rights.go does not say why
ClusterRole: patch deployments.apps: hack/docs/rights.go has a reason and the operator may not do it`
	if diff := cmp.Diff(want, unreasoned(have, whys(table)).Error()); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}
}

func TestTheNamesOfATestsTableAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x_test.go")
	const source = "package x\nfunc TestOther() { _ = map[string]int{\"other\": 1} }\n" +
		"func TestIt() { t := map[string]struct{ a []int }{\"a\": {}, \"b's\": {[]int{1}}, \"c\": {}, \"d\": {}, \"e\": {}, \"f\": {}, \"g\": {}, \"h\": {}, \"i\": {}, \"j\": {}}; _ = t; _ = map[string]int{\"later\": 1} }\n"
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	names, err := denials(file, "TestIt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("a b's c d e f g h i j", strings.Join(names, " ")); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if _, err := denials(file, "TestGone"); err == nil {
		t.Error("a test that is gone denies nothing, and that is no error")
	}
}

func TestACollectorIsDescribed(t *testing.T) {
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "a_seconds", Help: `A "quoted" help.`, Buckets: []float64{0.5, 300}})
	for want, c := range map[*metric]prometheus.Collector{
		{"a_seconds", "histogram", `A "quoted" help.`, nil, []string{"0.5", "300"}}: histogram,
		{"b_total", "counter", "B.", []string{"kind", "result"}, nil}:               prometheus.NewCounterVec(prometheus.CounterOpts{Name: "b_total", Help: "B."}, []string{"kind", "result"}),
		{"c", "gauge", "C.", []string{"class"}, nil}:                                prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "c", Help: "C."}, []string{"class"}),
	} {
		got, err := describe(c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]metric{*want}, got, cmp.AllowUnexported(metric{})); diff != "" {
			t.Errorf("metric (-want +got):\n%s", diff)
		}
	}
}

func TestEveryLabelHasAMeaningAndEveryMeaningALabel(t *testing.T) {
	all := []metric{{name: "a", kind: "gauge", help: "A.", labels: []string{"known", "unknown"}}}
	_, err := metricsPage(all, map[string]string{"known": "what it is", "stale": "what it was"})
	const want = "the label unknown of a has no meaning: add one to labelMeanings in hack/docs/metrics.go\n" +
		"no metric of the operator has the label stale: take it out of labelMeanings in hack/docs/metrics.go"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestTheOperatorsMetricsAreAllThere counts the metrics by another way than the generator's.
func TestTheOperatorsMetricsAreAllThere(t *testing.T) {
	page := read(t, "docs/reference/operator-metrics.md")
	sources, err := filepath.Glob(filepath.Join(root, "controllers/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range sources {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metricName.FindAllString(string(raw), -1) {
			found++
			if !strings.Contains(page, "\n## "+name+"\n") && !strings.Contains(page, "\n## "+strings.TrimSuffix(name, "_count")+"\n") {
				t.Errorf("%s names %s, which is not on the page", file, name)
			}
		}
	}
	if found < 7 {
		t.Errorf("found %d names", found)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const alertsFile = "config/prometheus/rules.yaml"

// alert is a rule of the rule file, as far as these tests look at it.
type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alert }
	}
	if err := yaml.Unmarshal([]byte(read(t, alertsFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("found %d alerts", len(all))
	}
	return all
}

// incomplete says what an alert lacks for whoever is woken by it.
func incomplete(a alert, pages map[string]string) []string {
	var problems []string
	if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
		problems = append(problems, "severity is none of critical, warning and info")
	}
	for _, name := range []string{"summary", "description"} {
		if a.Annotations[name] == "" {
			problems = append(problems, "no "+name)
		}
	}
	page, anchor, _ := strings.Cut(a.Annotations["runbook_url"], "#")
	if path.Dir(page) != "docs/runbooks" || anchor == "" {
		problems = append(problems, "runbook_url names no heading of docs/runbooks")
	} else if problem := follow("README.md", a.Annotations["runbook_url"], pages); problem != "" {
		problems = append(problems, "runbook_url: "+problem)
	}
	return problems
}

func TestEveryAlertLeadsToARunbook(t *testing.T) {
	all := pages(t)
	for _, a := range alerts(t) {
		for _, problem := range incomplete(a, all) {
			t.Errorf("%s: %s", a.Alert, problem)
		}
	}
	bad := alert{Labels: map[string]string{"severity": "page"}, Annotations: map[string]string{"summary": "x", "runbook_url": "docs/runbooks/README.md#no-such-thing"}}
	want := []string{"severity is none of critical, warning and info", "no description", "runbook_url: there is no such heading"}
	if diff := cmp.Diff(want, incomplete(bad, all)); diff != "" {
		t.Errorf("a bad alert (-want +got):\n%s", diff)
	}
}

// promtest is what a test file of promtool expects of which alert.
type promtest struct {
	Tests []struct {
		PromQL []struct {
			Expr string
			Want []any `yaml:"exp_samples"`
		} `yaml:"promql_expr_test"`
	}
}

var namedAlert = regexp.MustCompile(`alertname="(\w+)"`)

// tested says of each alert whether the files have it fire, and have it not fire.
func tested(t *testing.T, files ...string) (fires, silent map[string]bool) {
	t.Helper()
	fires, silent = map[string]bool{}, map[string]bool{}
	for _, raw := range files {
		var file promtest
		if err := yaml.Unmarshal([]byte(raw), &file); err != nil {
			t.Fatal(err)
		}
		for _, test := range file.Tests {
			for _, e := range test.PromQL {
				name := namedAlert.FindStringSubmatch(e.Expr)
				if name == nil {
					t.Fatalf("%s names no alert", e.Expr)
				}
				if len(e.Want) > 0 {
					fires[name[1]] = true
				} else {
					silent[name[1]] = true
				}
			}
		}
	}
	return fires, silent
}

func TestEveryAlertIsTested(t *testing.T) {
	fires, silent := tested(t, read(t, "config/prometheus/rules_test.yaml"), read(t, "config/prometheus/rules_days_test.yaml"))
	known := map[string]bool{}
	for _, a := range alerts(t) {
		known[a.Alert] = true
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: there is a test in which it fires: %t, and one in which it does not: %t", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
	// A name that no rule has would never fire, and prove nothing.
	for name := range silent {
		if !known[name] {
			t.Errorf("the tests expect that %s does not fire, and there is no such alert", name)
		}
	}
}

// foreignMetrics are of the libraries, the kubelet and kube-state-metrics.
var foreignMetrics = []string{
	"controller_runtime_reconcile_errors_total", "controller_runtime_reconcile_total", "http_server_request_duration_seconds_count",
	"kube_cronjob_info", "kube_cronjob_next_schedule_time", "kube_cronjob_spec_suspend", "kube_job_failed", "kube_job_status_start_time", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
}

var (
	foreignName = regexp.MustCompile(`\b(?:controller_runtime|go|http_server|kube|kubelet|process|workqueue)_[a-z0-9_]+`)
	selected    = regexp.MustCompile(`[a-z0-9_]+`)
	inQuotes    = regexp.MustCompile(`"[^"]*"`)
)

// queried says what is wrong with the names in a query.
func queried(query string, known map[string]bool) []string {
	query = inQuotes.ReplaceAllString(query, `""`)
	problems := unknownMetrics(query, known)
	for _, name := range foreignName.FindAllString(query, -1) {
		if !slices.Contains(foreignMetrics, name) {
			problems = append(problems, name)
		}
	}
	if !slices.ContainsFunc(selected.FindAllString(query, -1), func(s string) bool { return known[s] || slices.Contains(foreignMetrics, s) }) {
		problems = append(problems, "no metric at all")
	}
	return problems
}

func TestAlertsAndDashboardAskForMetricsThatExist(t *testing.T) {
	known := knownMetrics(t)
	for _, a := range alerts(t) {
		for _, problem := range append(queried(a.Expr, known), unknownMetrics(a.Annotations["description"], known)...) {
			t.Errorf("%s: %s", a.Alert, problem)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Query any }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "config/grafana/hexiao.json")), &board); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			shown += target.Expr + "\n"
			for _, problem := range queried(target.Expr, known) {
				t.Errorf("the panel %q: %s", p.Title, problem)
			}
		}
	}
	// Whatever the connector counts is to be seen.
	for _, m := range regexp.MustCompile("(?m)^\\| \\[`(hexiao_[a-z_]+)`").FindAllStringSubmatch(read(t, "docs/reference/metrics.md"), -1) {
		if !strings.Contains(shown, m[1]) {
			t.Errorf("no panel shows %s", m[1])
		}
	}
	got := append(queried(`rate(hexiao_legs{x="hexiao_none"}[5m]) / kube_jobs_failed`, known), queried("vector(0)", known)...)
	if diff := cmp.Diff([]string{"hexiao_legs", "kube_jobs_failed", "no metric at all", "no metric at all"}, got); diff != "" {
		t.Errorf("bad queries (-want +got):\n%s", diff)
	}
}

// flows are counters that go up all the time, so that their first event is no news.
var flows = []string{
	"controller_runtime_reconcile_total", "hexiao_legs_total", "hexiao_ledger_commit_duration_seconds_bucket", "hexiao_ledger_commit_duration_seconds_count", "hexiao_redemptions_total",
	"hexiao_request_duration_seconds_bucket", "hexiao_request_duration_seconds_count", "hexiao_vendor_call_duration_seconds_bucket", "http_server_request_duration_seconds_count",
}

var difference = regexp.MustCompile(`(rate|increase)\((([a-z_]+)(?:\{[^}]*\})?)\[([^\]]+)\]\)`)

// unseen are the counters of a query whose first event it would not show: a counter that is
// born with it has no value before, and so no increase.
func unseen(query string) []string {
	var names []string
	for _, m := range difference.FindAllStringSubmatch(query, -1) {
		call, counter, name, window := m[0], m[2], m[3], m[4]
		born := "(" + counter + " unless " + counter + " offset " + window + ") or " + call
		if !strings.Contains(query, born) && (m[1] == "increase" || !slices.Contains(flows, name)) {
			names = append(names, name)
		}
	}
	return names
}

func TestTheDashboardShowsTheFirstEventOfACounter(t *testing.T) {
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "config/grafana/hexiao.json")), &board); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked += len(difference.FindAllString(target.Expr, -1))
			for _, name := range unseen(target.Expr) {
				t.Errorf("the panel %q does not show the first event of %s", p.Title, name)
			}
		}
	}
	if asked < 20 {
		t.Errorf("found %d counters", asked)
	}
	for query, want := range map[string][]string{
		`sum(increase(a_total[1h]))`:                                              {"a_total"},
		`sum(rate(a_total{b="c"}[5m])) + sum(rate(hexiao_legs_total[5m]))`:        {"a_total"},
		`sum((a_total unless a_total offset 1h) or increase(a_total[1h]))`:        nil,
		`sum((a_total unless a_total offset 5m) or increase(a_total[1h]))`:        {"a_total"},
		`sum(increase(a_total[1h]) or (a_total unless a_total offset 1h))`:        {"a_total"}, // where both are, the left is taken
		`sum((a_total unless a_total offset 1h) or increase(a_total{b="c"}[1h]))`: {"a_total"},
	} {
		if diff := cmp.Diff(want, unseen(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestTheChartHasTheAlertsAndTheDashboard(t *testing.T) {
	for from, to := range map[string]string{alertsFile: "charts/hexiao/files/alerts.yaml", "config/grafana/hexiao.json": "charts/hexiao/files/dashboard.json"} {
		if diff := cmp.Diff(read(t, from), read(t, to)); diff != "" {
			t.Errorf("run `make generate` and commit: %s differs from %s (-want +got):\n%s", to, from, diff)
		}
	}
}

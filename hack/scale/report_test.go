// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func someReport() *report {
	return &report{
		Began: time.Date(2026, 11, 22, 15, 4, 0, 0, time.UTC), Version: "hexiao-manager version v1", Brands: 3, Rest: "5m0s", Secrets: 7,
		Machine: machine{CPU: "a CPU", CPUs: 2, LoadBefore: "0.10", LoadAfter: "2.00", StealPercent: 1.25},
		Figures: []figure{
			{Phase: "rest", Name: "writes", Value: 1, Limit: new(float64(0)), Evidence: "5 runs: 0"},
			{Phase: "rest", Name: "reads", Value: 17},
			{Phase: "rotation", Name: "median", Value: 0.0625, Unit: "s", Limit: new(float64(1)), Evidence: "5 runs"},
		},
		Notes: []string{"rest: it was quiet"},
	}
}

func TestAFigureAboveItsLimitIsNamedWithTheLimitAndTheEvidence(t *testing.T) {
	var out strings.Builder
	someReport().table(&out)
	for _, want := range []string{
		"a CPU, 2 CPUs, load before 0.10 and after 2.00, 1.2 % stolen; hexiao-manager version v1\n",
		"3 brands, 5m0s at rest, 7 Secrets; 2026-11-22 15:04 UTC\n",
		"rest: it was quiet\n",
		"rest: writes is 1, at most 0 is allowed (5 runs: 0)\n",
		"scale: figures 3  above their limits: 1\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		if fields := strings.Fields(line); len(fields) > 1 && (fields[0] == "rest" || fields[0] == "reads" || fields[0] == "rotation") {
			rows = append(rows, fields)
		}
	}
	want := [][]string{{"rest", "writes", "1", "0", "TOO", "MUCH"}, {"reads", "17"}, {"rotation", "median", "0.062", "s", "1"}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestALimitIsTheMostThatIsAllowed(t *testing.T) {
	tests := map[string]struct {
		figure figure
		want   bool
	}{
		"no limit":        {figure{Value: 1e9}, false},
		"below":           {figure{Value: 1.9, Limit: new(float64(2))}, false},
		"just as much":    {figure{Value: 2, Limit: new(float64(2))}, false},
		"above":           {figure{Value: 2.001, Limit: new(float64(2))}, true},
		"nothing allowed": {figure{Value: 1, Limit: new(float64(0))}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.figure.isOver(); got != tc.want {
				t.Errorf("over: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestALimitThatNoFigureHasIsFound(t *testing.T) {
	limits := map[string]limit{"rest: writes": {}, "rest: writtes": {}, "rotation: other": {}}
	if diff := cmp.Diff([]string{"rest: writtes"}, someReport().withoutFigure("rest", limits)); diff != "" {
		t.Errorf("limits without a figure (-want +got):\n%s", diff)
	}
}

func TestEveryLimitBelongsToAPhaseAndHasEvidence(t *testing.T) {
	known := map[string]bool{}
	for _, p := range phases {
		known[p.name] = true
	}
	for name, l := range limits {
		phase, _, _ := strings.Cut(name, ": ")
		if !known[phase] {
			t.Errorf("%s: there is no phase %q", name, phase)
		}
		if l.evidence == "" {
			t.Errorf("%s has no evidence", name)
		}
		if l.most(size{brands: 1000, secrets: 10000}) < l.most(size{brands: 50, secrets: 2000}) {
			t.Errorf("%s allows a large fleet less than a small one", name)
		}
	}
}

func TestAReportIsSavedAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures.json")
	if err := someReport().save(path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := &report{}
	if err := json.Unmarshal(raw, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someReport(), got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestNumbersAreAsPreciseAsAMeasurement(t *testing.T) {
	tests := map[string]float64{"0": 0, "12": 12, "-3": -3, "1234": 1234.4, "56.8": 56.78, "1.23": 1.234, "0.012": 0.0123, "-0.50": -0.5, "1000000": 1e6}
	for want, v := range tests {
		if got := number(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}

func TestStolenTimeIsReadFromProc(t *testing.T) {
	before, err := parseCPUTimes("cpu  100 0 50 800 10 0 20 20 5 0\ncpu0 1 2 3\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseCPUTimes("cpu  150 0 60 850 10 0 20 30 9 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := after.stealSince(before); got != 100*10.0/120 {
		t.Errorf("%v %% were stolen, want 8.33", got)
	}
	if got := before.stealSince(before); got != 0 {
		t.Errorf("in no time %v %% were stolen", got)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3 4 5 6 x 8 9 10"} {
		if _, err := parseCPUTimes(text); err == nil {
			t.Errorf("%q was read as times", text)
		}
	}
}

func TestCountsAreListedTheLargestFirst(t *testing.T) {
	if got, want := listOf(map[string]int{"b": 1, "c": 9, "a": 1}), "9 × c, 1 × a, 1 × b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheFirstPhaseAlwaysRuns(t *testing.T) {
	all, err := flags{}.chosen()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range phases {
		if !all[p.name] {
			t.Errorf("%s does not run by default", p.name)
		}
	}
	some, err := flags{only: "failover,rest"}.chosen()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range phases {
		if want := p.name == "bring-up" || p.name == "rest" || p.name == "failover"; some[p.name] != want {
			t.Errorf("%s runs: %v, want %v", p.name, some[p.name], want)
		}
	}
	if _, err := (flags{only: "rest,sleep"}).chosen(); err == nil || !strings.Contains(err.Error(), `"sleep"`) {
		t.Errorf("an unknown phase is not named: %v", err)
	}
}

func TestFlagsThatMeasureNothingAreRefused(t *testing.T) {
	good := flags{brands: 1, secrets: 1, samples: 1, takeovers: 1, rest: time.Second, slack: 1, manager: os.Args[0]}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*flags){
		"--brands": func(f *flags) { f.brands = 0 }, "--secrets": func(f *flags) { f.secrets = 0 }, "--samples": func(f *flags) { f.samples = -1 },
		"--takeovers": func(f *flags) { f.takeovers = 0 }, "--rest": func(f *flags) { f.rest = 0 }, "--slack": func(f *flags) { f.slack = 0.5 }, "make build-manager": func(f *flags) { f.manager = "/nowhere" },
	} {
		bad := good
		change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSlackIsForTimesAlone(t *testing.T) {
	b := &bench{flags: flags{slack: 10}}
	for unit, want := range map[string]float64{"s": 10, "": 1, "MiB": 1} {
		if got := b.slackOf(unit); got != want {
			t.Errorf("a limit in %q is multiplied by %v, want %v", unit, got, want)
		}
	}
}

func TestATokenIsKnownByItsID(t *testing.T) {
	token := func(payload string) string {
		return "h." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".s"
	}
	got, err := tokenID(token(`{"jti":"a1","sub":"x"}`))
	if err != nil || got != "a1" {
		t.Errorf("%q, %v, want a1", got, err)
	}
	for name, bad := range map[string]string{"no token": "abc", "no base64": "h.!.s", "no JSON": token("{"), "no id": token(`{}`)} {
		if _, err := tokenID(bad); err == nil {
			t.Errorf("%s is taken for a token", name)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAChangedPodTemplateIsAcknowledged is the gate over the repository.
func TestAChangedPodTemplateIsAcknowledged(t *testing.T) {
	t.Chdir("../..")
	var out strings.Builder
	if err := run(nil, &out); err != nil {
		t.Fatal(err)
	}
}

// two brands of a release, in small.
func small(t *testing.T) templates {
	t.Helper()
	template := func(timeout int) any {
		v, err := plain(map[string]any{"templateHash": fmt.Sprint(timeout), "template": map[string]any{"spec": map[string]any{
			"containers": []any{
				map[string]any{"name": "connector", "args": []string{"serve", "--a"}, "timeout": timeout},
				map[string]any{"name": "proxy"},
			}}}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	return templates{"a/Deployment x": template(2), "b/Deployment y": template(3), "b/CronJob y-retention": template(4)}
}

func container(t templates, object string) map[string]any {
	spec := t[object].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	return spec["containers"].([]any)[0].(map[string]any)
}

func changelog(released templates, lines ...string) string {
	return "# Changelog\n\n## Unreleased\n\n" + strings.Join(lines, "\n") + "\n\n## 0.1.0 - 2026-11-22\n\n- Pod templates of this release: sha256:" + released.sum() + "\n"
}

func line(extent, why string, of templates) string {
	return "- **" + extent + "**: " + why + " (templates sha256:" + of.sum() + ")"
}

func TestTheGateStaysClosedUntilTheChangeIsAcknowledged(t *testing.T) {
	released := small(t)
	every := small(t)
	for _, object := range []string{"a/Deployment x", "b/Deployment y"} {
		container(every, object)["timeout"] = 9.0
	}
	some := small(t)
	container(some, "a/Deployment x")["args"] = []any{"serve", "--b"}
	jobs := small(t)
	container(jobs, "b/CronJob y-retention")["image"] = "other"
	const why = "the probe waits longer"
	tests := map[string]struct {
		current   templates
		changelog string
		want      string // in what the gate says; nothing when it is open
	}{
		"nothing changed and nothing said":          {released, changelog(released), ""},
		"a change that nobody mentions":             {every, changelog(released, "### Added", "- Something."), line(everyBrand, reason, every)},
		"the change, acknowledged":                  {every, changelog(released, "### Changed", line(everyBrand, why, every), "- More."), ""},
		"another change after the acknowledgement":  {some, changelog(released, line(someBrands, why, every)), line(someBrands, reason, some)},
		"the line was copied without a reason":      {every, changelog(released, line(everyBrand, reason, every)), "does not say why"},
		"an empty reason":                           {every, changelog(released, line(everyBrand, "", every)), "does not have the form"},
		"some brands, when it is every brand":       {every, changelog(released, line(someBrands, why, every)), line(everyBrand, reason, every)},
		"every brand, when it is some":              {some, changelog(released, line(everyBrand, why, some)), line(someBrands, reason, some)},
		"some brands":                               {some, changelog(released, line(someBrands, why, some)), ""},
		"Jobs alone":                                {jobs, changelog(released, line(jobsAlone, why, jobs)), ""},
		"Jobs alone, said to restart brands":        {jobs, changelog(released, line(someBrands, why, jobs)), line(jobsAlone, reason, jobs)},
		"the change was taken back, the line not":   {released, changelog(released, line(everyBrand, why, every)), "are stale"},
		"a line for what is released":               {released, changelog(released, line(everyBrand, why, released)), "are stale"},
		"two lines":                                 {every, changelog(released, line(someBrands, why, some), line(everyBrand, why, every)), "more than once"},
		"in a comment":                              {every, changelog(released, "<!--", line(everyBrand, why, every), "-->"), "does not say so"},
		"in an example":                             {every, changelog(released, "```", line(everyBrand, why, every), "```"), "does not say so"},
		"below the release, not above":              {every, changelog(released) + line(everyBrand, why, every) + "\n", "does not say so"},
		"no section Unreleased":                     {released, "# Changelog\n\n## 0.1.0 - 2026-11-22\n", `it has to be "## Unreleased"`},
		"no release":                                {released, "# Changelog\n\n## Unreleased\n", "needs the last release"},
		"a release's title without its record":      {released, strings.Replace(changelog(released), "## 0.1.0", "## 0.2.0 - 2026-12-24\n\n## 0.1.0", 1), `the release "0.2.0 - 2026-12-24" has not one line`},
		"the record was made anew for an old title": {every, changelog(every), "but sha256:" + released.sum() + " are recorded"},
		"a brand that is no longer rendered":        {templates{"b/Deployment y": released["b/Deployment y"], "b/CronJob y-retention": released["b/CronJob y-retention"]}, changelog(released), someBrands},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(check(released, tc.current, tc.changelog), "\n")
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("the gate says %q, want %q in it", got, tc.want)
			}
		})
	}
}

func TestTheGateSaysWhatDiffers(t *testing.T) {
	released, current := small(t), small(t)
	for _, object := range []string{"a/Deployment x", "b/Deployment y"} {
		c := container(current, object)
		c["timeout"], c["new"] = 9.0, "field"
		current[object].(map[string]any)["templateHash"] = "follows"
	}
	container(current, "b/CronJob y-retention")["args"] = []any{"serve", "--b", strings.Repeat("x", 200)}
	_, changes := compare(released, current)
	const want = `What differs from the last release:
  template.spec.containers[connector].new: nothing → "field"
      in a/Deployment x, b/Deployment y
  template.spec.containers[connector].args[1]: "--a" → "--b"
      in b/CronJob y-retention
  template.spec.containers[connector].args[2]: nothing → "%s…
      in b/CronJob y-retention
  template.spec.containers[connector].timeout: 2 → 9
      in a/Deployment x
  template.spec.containers[connector].timeout: 3 → 9
      in b/Deployment y`
	if diff := cmp.Diff(fmt.Sprintf(want, strings.Repeat("x", 158)), list(changes)); diff != "" {
		t.Errorf("the list (-want +got):\n%s", diff)
	}

	reordered, hashed := small(t), small(t)
	spec := reordered["a/Deployment x"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	list := spec["containers"].([]any)
	list[0], list[1] = list[1], list[0]
	hashed["a/Deployment x"].(map[string]any)["templateHash"] = "of another kind"
	for want, current := range map[string]templates{
		"template.spec.containers: in another order": reordered,
		`templateHash: "2" → "of another kind"`:      hashed,
	} {
		extent, changes := compare(released, current)
		if diff := cmp.Diff([]change{{want, []string{"a/Deployment x"}}}, changes, cmp.AllowUnexported(change{})); diff != "" || extent != someBrands {
			t.Errorf("%s, changes (-want +got):\n%s", extent, diff)
		}
	}
}

func TestAReleaseOpensTheGateForWhatComes(t *testing.T) {
	released, current := small(t), small(t)
	container(current, "a/Deployment x")["timeout"] = 9.0
	said := changelog(released, line(someBrands, "it waits longer", current))
	next, err := titled(said, "0.2.0", "2026-12-24", current.sum())
	if err != nil {
		t.Fatal(err)
	}
	if problems := check(current, current, next); len(problems) > 0 {
		t.Errorf("the gate is closed after the release: %q", problems)
	}
	if !strings.Contains(next, line(someBrands, "it waits longer", current)) {
		t.Error("the release forgets why brands restart")
	}
	if _, err := titled(said, "v2", "2026-12-24", ""); err == nil {
		t.Error("v2 is taken for a version")
	}
	if _, err := titled("# Changelog\n", "0.2.0", "2026-12-24", ""); err == nil {
		t.Error("a changelog without a section Unreleased is taken")
	}
}

// TestWhatIsRecordedIsRenderedAgain keeps the two ways to a template alike: without it a
// gate that compares nothing with nothing would be open for ever.
func TestWhatIsRecordedIsRenderedAgain(t *testing.T) {
	dir := t.TempDir()
	if err := record("../../"+goldens, dir); err != nil {
		t.Fatal(err)
	}
	was, err := recorded(dir)
	if err != nil {
		t.Fatal(err)
	}
	is, err := rendered(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Errorf("templates (-recorded +rendered):\n%s", diff)
	}
	kinds := map[string]int{}
	for name := range is {
		_, kind, _ := strings.Cut(name, "/")
		kind, _, _ = strings.Cut(kind, " ")
		kinds[kind]++
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if kinds["Deployment"] != len(files)/2 || kinds["Deployment"] < 10 || kinds["CronJob"] < 3 {
		t.Errorf("templates of %v for %d brands", kinds, len(files)/2)
	}
	for _, empty := range []func(string) (templates, error){recorded, rendered} {
		if _, err := empty(t.TempDir()); err == nil {
			t.Error("an empty directory is taken for a release without brands")
		}
	}
}

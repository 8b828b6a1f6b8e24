// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// templates are pod templates by the brand and the object that they are of, such as
// "minimal/Deployment xiaowang", as JSON has them.
type templates map[string]any

// sum is a short hash of the templates.
func (t templates) sum() string {
	raw, err := json.Marshal(t) // keys are sorted
	if err != nil {
		panic(err) // it came from JSON
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// Extents of a change, in the words of the changelog.
const (
	everyBrand = "Restarts every brand"
	someBrands = "Restarts some brands"
	jobsAlone  = "Changes scheduled Jobs" // the next run has the new template; nothing restarts
)

// change is one difference of templates, and the objects that have it.
type change struct {
	what string
	in   []string
}

// compare says what differs, and how far that reaches; the extent is empty when nothing does.
func compare(released, current templates) (extent string, changes []change) {
	byWhat := map[string][]string{}
	deployments, changed := 0, 0
	names := maps.Clone(released)
	maps.Copy(names, current)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		_, kind, _ := strings.Cut(name, "/")
		isDeployment := strings.HasPrefix(kind, "Deployment ")
		if isDeployment {
			deployments++
		}
		diff := differences("", value{released[name]}, value{current[name]})
		if len(diff) > 1 { // the hash follows from the others
			diff = slices.DeleteFunc(diff, func(d string) bool { return strings.HasPrefix(d, ".templateHash: ") })
		}
		for _, what := range diff {
			byWhat[what] = append(byWhat[what], name)
		}
		if len(diff) > 0 {
			extent = jobsAlone
			if isDeployment {
				changed++
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(byWhat)) {
		changes = append(changes, change{strings.TrimPrefix(what, "."), byWhat[what]})
	}
	switch {
	case changed > 0 && changed == deployments:
		extent = everyBrand
	case changed > 0:
		extent = someBrands
	}
	return extent, changes
}

// value is a part of a template, or nil where there is none.
type value struct{ json any }

func (v value) String() string {
	if v.json == nil {
		return "nothing"
	}
	raw, err := json.Marshal(v.json)
	if err != nil {
		panic(err) // it came from JSON
	}
	if text := []rune(string(raw)); len(text) > 160 {
		return string(text[:159]) + "…"
	}
	return string(raw)
}

// differences lists the paths at which two values differ.
func differences(path string, was, is value) []string {
	if reflect.DeepEqual(was, is) {
		return nil
	}
	a, aOK := fields(was.json)
	b, bOK := fields(is.json)
	if !aOK || !bOK {
		return []string{fmt.Sprintf("%s: %s → %s", path, was, is)}
	}
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, differences(path+key, value{a[key]}, value{b[key]})...)
	}
	if len(all) == 0 {
		return []string{path + ": in another order"}
	}
	return all
}

// fields are the entries of an object, or of a list: by name where all have one, else by place.
func fields(v any) (map[string]any, bool) {
	entries := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			entries["."+key] = e
		}
	case []any:
		for i, e := range v {
			object, _ := e.(map[string]any)
			if name, ok := object["name"].(string); ok && entries["["+name+"]"] == nil {
				entries["["+name+"]"] = e
			} else {
				entries[fmt.Sprintf("[%d]", i)] = e
			}
		}
	default:
		return nil, false
	}
	return entries, true
}

var (
	releaseTitle   = regexp.MustCompile(`^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$`)
	acknowledgment = regexp.MustCompile(`^- \*\*(` + everyBrand + `|` + someBrands + `|` + jobsAlone + `)\*\*: (\S.*) \(templates sha256:([0-9a-f]{16})\)$`)
	releasedLine   = regexp.MustCompile(`^- Pod templates of this release: sha256:([0-9a-f]{16})$`)
	comment        = regexp.MustCompile(`(?s)<!--.*?-->|(?m)^` + "```" + `.*?^` + "```" + `[^\n]*$`)
)

const (
	unreleased = "## Unreleased"
	reason     = "SAY WHY"
)

// sections cuts a changelog: the lines below "Unreleased", the title of the newest release,
// and the lines below that.
func sections(changelog string) (pending []string, title string, newest []string, err error) {
	at := -1
	for line := range strings.Lines(comment.ReplaceAllString(changelog, "")) {
		line = strings.TrimRight(line, " \n")
		switch {
		case strings.HasPrefix(line, "## "):
			at++
			if at == 0 && line != unreleased {
				return nil, "", nil, fmt.Errorf("the changelog's first section is %q: it has to be %q", line, unreleased)
			}
			if at == 1 {
				title = line
			}
		case at == 0:
			pending = append(pending, line)
		case at == 1:
			newest = append(newest, line)
		}
	}
	if !releaseTitle.MatchString(title) {
		return nil, "", nil, fmt.Errorf("below %q the changelog needs the last release, such as %q; it has %q", unreleased, "## 0.1.0 - 2026-11-22", title)
	}
	return pending, strings.TrimPrefix(title, "## "), newest, nil
}

// check is the gate: it says why it is closed.
func check(released, current templates, changelog string) []string {
	pending, title, newest, err := sections(changelog)
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	if sums := matches(releasedLine, newest, 1); len(sums) != 1 {
		problems = append(problems, fmt.Sprintf("the release %q has not one line %q, which `go run ./hack/templates release` writes", title, "- Pod templates of this release: sha256:…"))
	} else if sums[0] != released.sum() {
		problems = append(problems, fmt.Sprintf("the release %q has the pod templates sha256:%s in the changelog, but sha256:%s are recorded: `go run ./hack/templates release` writes both, and nobody changes them after",
			title, sums[0], released.sum()))
	}
	extent, changes := compare(released, current)
	var said []string
	for _, line := range pending {
		if strings.Contains(line, "templates sha256:") {
			said = append(said, line)
		}
	}
	if problem := unacknowledged(extent, current.sum(), said); problem != "" {
		problems = append(problems, strings.TrimSuffix(problem+"\n\n"+list(changes), "\n\n"))
	}
	return problems
}

func matches(re *regexp.Regexp, lines []string, group int) []string {
	var all []string
	for _, line := range lines {
		if m := re.FindStringSubmatch(line); m != nil {
			all = append(all, m[group])
		}
	}
	return all
}

// unacknowledged says what is wrong with what the section Unreleased says of the templates.
func unacknowledged(extent, sum string, said []string) string {
	if extent == "" {
		if len(said) > 0 {
			return "The pod templates are those of the last release, so these lines of the changelog's section Unreleased are stale. Take them away:\n\n" + strings.Join(said, "\n")
		}
		return ""
	}
	want := fmt.Sprintf("- **%s**: %s (templates sha256:%s)", extent, reason, sum)
	remedy := "Users who upgrade have to know. Put this line, with the reason, into the section Unreleased of " + changelogMD
	switch {
	case len(said) == 0:
		return fmt.Sprintf("Pod templates differ from those of the last release, and the changelog does not say so. %s:\n\n%s", remedy, want)
	case len(said) > 1:
		return fmt.Sprintf("The changelog's section Unreleased speaks of the templates more than once:\n\n%s\n\nOne line says why they changed since the last release:\n\n%s", strings.Join(said, "\n"), want)
	}
	m := acknowledgment.FindStringSubmatch(said[0])
	switch {
	case m == nil:
		return fmt.Sprintf("This line of the changelog does not have the form that is checked:\n\n%s\n\n%s:\n\n%s", said[0], remedy, want)
	case strings.Contains(m[2], reason):
		return "The changelog does not say why the pod templates changed:\n\n" + said[0]
	case m[3] != sum || m[1] != extent:
		return fmt.Sprintf("The changelog speaks of other pod templates than these, so somebody has to look at them again:\n\n%s\n\n%s, instead:\n\n%s", said[0], remedy, want)
	}
	return ""
}

// list prints changes, those that most objects have first.
func list(changes []change) string {
	const most = 40
	slices.SortStableFunc(changes, func(a, b change) int { return len(b.in) - len(a.in) })
	var b strings.Builder
	for i, c := range changes {
		if i == 0 {
			b.WriteString("What differs from the last release:\n")
		}
		if i == most {
			fmt.Fprintf(&b, "  … and %d more", len(changes)-most)
			break
		}
		fmt.Fprintf(&b, "  %s\n      in %s\n", c.what, strings.Join(c.in, ", "))
	}
	return strings.TrimRight(b.String(), "\n")
}

// titled gives the section Unreleased a version, a date and the hash of its templates, and
// opens a new one.
func titled(changelog, version, date, sum string) (string, error) {
	title := "## " + version + " - " + date
	if !releaseTitle.MatchString(title) {
		return "", fmt.Errorf("%q is no title of a release: give VERSION as 1.2.3 and DATE as 2026-12-24", title)
	}
	head, body, ok := strings.Cut(changelog, unreleased+"\n")
	if !ok {
		return "", errors.New("the changelog has no section Unreleased")
	}
	return head + unreleased + "\n\nNothing yet.\n\n" + title + "\n\n- Pod templates of this release: sha256:" + sum + "\n" + body, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages are the Markdown files of the repository, by their path in it.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "dist", "testdata", "node_modules"}, name)) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		raw, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(root, path)
		if err == nil {
			err = relErr
		}
		found[filepath.ToSlash(rel)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found %d pages", len(found))
	}
	return found
}

// block is a fenced block of a page.
type block struct {
	language string
	line     int // of its first line of text
	text     string
}

var fence = regexp.MustCompile("^ {0,3}(```+|~~~+) *([A-Za-z0-9]*)")

// split takes the fenced blocks out of a page. The prose keeps its line numbers.
func split(page string) (prose string, blocks []block) {
	var lines []string
	var open string
	for n, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == "" && m != nil:
			open = m[1]
			blocks = append(blocks, block{language: m[2], line: n + 2})
			line = ""
		case open != "" && m != nil && strings.HasPrefix(m[1], open) && m[2] == "":
			open, line = "", ""
		case open != "":
			blocks[len(blocks)-1].text += line + "\n"
			line = ""
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), blocks
}

var (
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.*?)(?: +#+)? *$`)
	inlineLink = regexp.MustCompile(`\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*)(?: +"[^"]*")?\)`)
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	madeAnchor = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
)

// anchors are the names that a page can be entered by, as GitHub makes them.
func anchors(page string) map[string]bool {
	prose, _ := split(page)
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		base := slug(inlineLink.ReplaceAllString(m[1], "$1"))
		name := base
		for n := 1; found[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		found[name] = true
	}
	for _, m := range madeAnchor.FindAllStringSubmatch(prose, -1) {
		found[m[1]] = true
	}
	return found
}

// deadLinks says which relative links of a page lead nowhere.
func deadLinks(path string, all map[string]string) []string {
	prose, _ := split(all[path])
	prose = codeSpan.ReplaceAllStringFunc(prose, func(s string) string { return strings.Repeat("x", len(s)) })
	var dead []string
	for _, m := range inlineLink.FindAllStringSubmatchIndex(prose, -1) {
		target := prose[m[4]:m[5]]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		if problem := follow(path, target, all); problem != "" {
			dead = append(dead, fmt.Sprintf("%s:%d: %s: %s", path, 1+strings.Count(prose[:m[0]], "\n"), target, problem))
		}
	}
	return dead
}

func follow(from, target string, all map[string]string) string {
	file, anchor, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		unescaped, err := url.PathUnescape(file)
		if err != nil {
			return err.Error()
		}
		to = filepath.ToSlash(filepath.Join(filepath.Dir(from), unescaped))
		if strings.HasPrefix(to, "..") {
			return "it leaves the repository"
		}
		if _, ok := all[to]; !ok {
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				return "there is no such file"
			}
		}
	}
	if anchor == "" {
		return ""
	}
	page, ok := all[to]
	if !ok {
		return "only a page has headings"
	}
	if anchor, _ = url.PathUnescape(anchor); !anchors(page)[anchor] {
		return "there is no such heading"
	}
	return ""
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	for path := range all {
		for _, dead := range deadLinks(path, all) {
			t.Error(dead)
		}
	}
}

func TestADeadLinkIsSeen(t *testing.T) {
	all := map[string]string{
		"docs/a.md": "# A\n[here](b.md) [x](#a) [there](b.md#two-words)\n```\n[in a fence](gone.md)\n```\n`[in code](gone.md)`\n" +
			"[one](c.md) [two](#b) [three](b.md#three) [four](../../x.md) ![five](d.png) [`six`](e.md)\n",
		"docs/b.md": "## Two `words`\n### Two words\n",
	}
	want := []string{
		"docs/a.md:7: c.md: there is no such file",
		"docs/a.md:7: #b: there is no such heading",
		"docs/a.md:7: b.md#three: there is no such heading",
		"docs/a.md:7: ../../x.md: it leaves the repository",
		"docs/a.md:7: d.png: there is no such file",
		"docs/a.md:7: e.md: there is no such file",
	}
	if diff := cmp.Diff(want, deadLinks("docs/a.md", all)); diff != "" {
		t.Errorf("dead links (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"two-words": true, "two-words-1": true}, anchors(all["docs/b.md"])); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}

// TestTheIndexHasEveryPage keeps docs/README.md whole.
func TestTheIndexHasEveryPage(t *testing.T) {
	all := pages(t)
	index := all["docs/README.md"]
	for path := range all {
		name, ok := strings.CutPrefix(path, "docs/")
		if ok && name != "README.md" && !strings.Contains(index, "]("+name) {
			t.Errorf("docs/README.md does not link %s", name)
		}
	}
}

var metricName = regexp.MustCompile(`\bhexiao_[a-z0-9_]*[a-z0-9]\b`)

// knownMetrics are the metrics and labels of the connector, from the page that the
// telemetry package keeps current, those of the operator from its generated page, and
// those of a reconciliation's file from its source.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	connector, operator := read(t, "docs/reference/metrics.md"), read(t, "docs/reference/operator-metrics.md")
	for _, name := range metricName.FindAllString(connector+operator+read(t, "connector/reconcile/report.go"), -1) {
		known[name] = true
	}
	histograms := regexp.MustCompile("`(hexiao_[a-z_]+)`.*\\| histogram \\|").FindAllStringSubmatch(connector+operator, -1)
	if len(histograms) < 5 {
		t.Fatalf("found %d histograms", len(histograms))
	}
	for _, m := range histograms {
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			known[m[1]+suffix] = true
		}
	}
	return known
}

// unknownMetrics lists the names in a text that nobody exports.
func unknownMetrics(text string, known map[string]bool) []string {
	var unknown []string
	for _, name := range metricName.FindAllString(text, -1) {
		if !known[name] && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func TestEveryMetricThatIsNamedExists(t *testing.T) {
	known := knownMetrics(t)
	for path, page := range pages(t) {
		for _, name := range unknownMetrics(page, known) {
			t.Errorf("%s names %s, which is neither a metric nor a label", path, name)
		}
	}
	got := unknownMetrics("hexiao_in_doubt hexiao_in_doubts hexiao_in_doubt_count hexiao_request_duration_seconds_count hexiao_operator_apply_total", known)
	if diff := cmp.Diff([]string{"hexiao_in_doubts", "hexiao_in_doubt_count"}, got); diff != "" {
		t.Errorf("unknown names (-want +got):\n%s", diff)
	}
}

var namedTest = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`")

// TestEveryTestThatIsNamedExists follows the claims of pages to the tests that hold them.
func TestEveryTestThatIsNamedExists(t *testing.T) {
	exists := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`).FindAllStringSubmatch(string(raw), -1) {
			exists[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for path, page := range pages(t) {
		for _, m := range namedTest.FindAllStringSubmatch(page, -1) {
			seen++
			if !exists[m[1]] {
				t.Errorf("%s names %s, and there is no such test", path, m[1])
			}
		}
	}
	if seen < 15 || exists["TestThatDoesNotExist"] {
		t.Errorf("found %d names of tests in the pages", seen)
	}
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
)

// Paint colours a text by a verdict.
type Paint func(Verdict, string) string

// Plain leaves a text as it is.
func Plain(_ Verdict, text string) string { return text }

// Colours are those of a terminal.
func Colours(v Verdict, text string) string {
	code, is := map[Verdict]string{Good: "32", Waits: "33", Bad: "31", Unknown: "35"}[v]
	if !is {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// words are the verdicts in the tree. All have one width, so that states stand in line.
var words = map[Verdict]string{Good: "ok ", Waits: "...", Bad: "BAD", Unknown: "?  "}

// Write prints a tree for a person.
func Write(w io.Writer, t *Tree, wide bool, paint Paint, now time.Time) error {
	var b strings.Builder
	p := &printer{out: &b, wide: wide, paint: paint}
	p.node(t.Root, t.Namespace+"/", "", "")
	if len(t.Warnings) > 0 {
		b.WriteString("\nWARNINGS of the last hour\n")
	}
	for _, e := range t.Warnings {
		fmt.Fprintf(&b, "%8s ago  x%-4d %s  %s: %s\n", present.Span(now.Sub(e.Last.Time)), e.Count, present.Clean(e.Object), present.Clean(e.Reason), present.Clean(e.Message))
	}
	fmt.Fprintf(&b, "\nWhat is in doubt is not asked here: kubectl hexiao in-doubt list %s -n %s\n", t.Brand, t.Namespace)
	_, err := io.WriteString(w, b.String())
	return err
}

// spans are how old something is, and how long it will last.
var spans = regexp.MustCompile(`\b(\d+[dhms])+\b`)

// Changes are the parts that are not as they were before, a line each. That time goes by
// is no change.
func Changes(before, now *Tree, paint Paint) (lines []string) {
	was := map[string]string{}
	each(before.Root, func(n Node) { was[n.Kind+" "+n.Name] = steady(n) })
	each(now.Root, func(n Node) {
		key := n.Kind + " " + n.Name
		if was[key] != steady(n) {
			lines = append(lines, fmt.Sprintf("%s %s  %s", paint(n.Verdict, words[n.Verdict]), present.Clean(key), present.Clean(n.State)))
		}
		delete(was, key)
	})
	for _, key := range slices.Sorted(maps.Keys(was)) {
		lines = append(lines, fmt.Sprintf("    %s  is gone", present.Clean(key)))
	}
	return lines
}

func steady(n Node) string { return string(n.Verdict) + spans.ReplaceAllString(n.State, "") }

func each(n Node, do func(Node)) {
	do(n)
	for _, c := range n.Children {
		each(c, do)
	}
}

type printer struct {
	out   *strings.Builder
	wide  bool
	paint Paint
}

// node prints a node and what is below it. The branch leads to it, the trunk to what
// follows it.
func (p *printer) node(n Node, before, branch, trunk string) {
	fmt.Fprintf(p.out, "%s%s %s %s%s  %s\n", branch, p.paint(n.Verdict, words[n.Verdict]), n.Kind, before, present.Clean(n.Name), present.Clean(n.State))
	stem := trunk + "    "
	if len(n.Children) > 0 {
		stem = trunk + "│   "
	}
	details := n.Details
	if p.wide {
		details = append(details[:len(details):len(details)], n.Wide...)
	}
	for _, d := range details {
		fmt.Fprintf(p.out, "%s%s\n", stem, present.Clean(d))
	}
	for i, c := range n.Children {
		if i < len(n.Children)-1 {
			p.node(c, "", trunk+"├─ ", trunk+"│  ")
		} else {
			p.node(c, "", trunk+"└─ ", trunk+"   ")
		}
	}
}

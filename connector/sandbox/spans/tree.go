// SPDX-License-Identifier: Apache-2.0

package spans

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Node is a span with the spans that it caused, by start time.
type Node struct {
	Span
	Children []*Node `json:"children,omitempty"`
}

// Tree arranges the spans of one trace. A span whose parent is not among them
// is a root; so is one member of a cycle, which only a broken sender makes.
func Tree(list []Span) []*Node {
	nodes := make(map[string]*Node, len(list))
	order := make([]*Node, 0, len(list))
	for _, s := range list {
		if nodes[s.SpanID] != nil {
			continue // an exporter may send a span again
		}
		n := &Node{Span: s}
		nodes[s.SpanID] = n
		order = append(order, n)
	}
	sort.SliceStable(order, func(i, j int) bool { return order[i].Start.Before(order[j].Start) })
	var roots []*Node
	parent := map[*Node]*Node{}
	for _, n := range order {
		p := nodes[n.ParentID]
		for a := p; a != nil; a = parent[a] {
			if a == n {
				p = nil
				break
			}
		}
		if p == nil {
			roots = append(roots, n)
			continue
		}
		parent[n] = p
		p.Children = append(p.Children, n)
	}
	return roots
}

// shownFirst are prefixes of attributes worth a line in a terminal.
var shownFirst = []string{"hexiao.", "error", "http.request.method", "http.response.status_code", "url.path", "db.system", "db.operation"}

// Render draws the trace with one line a span: its name, how long it took,
// when it began after the trace did, its service where that changes, and its
// telling attributes. all shows every attribute, on lines of their own.
func Render(list []Span, all bool) string {
	roots := Tree(list)
	if len(roots) == 0 {
		return "no spans\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s, %d spans\n", roots[0].TraceID, len(list))
	for i, r := range roots {
		render(&b, r, "", i == len(roots)-1, roots[0].Start, "", all)
	}
	return b.String()
}

func render(b *strings.Builder, n *Node, indent string, last bool, start time.Time, service string, all bool) {
	branch, next := "├─ ", "│  "
	if last {
		branch, next = "└─ ", "   "
	}
	fmt.Fprintf(b, "%s%s%s  %s  +%s", indent, branch, n.Name, short(n.Duration()), short(n.Start.Sub(start)))
	if n.Service != service {
		fmt.Fprintf(b, "  (%s)", n.Service)
	}
	if n.Error {
		b.WriteString("  ERROR")
		if n.Message != "" {
			fmt.Fprintf(b, " %q", n.Message)
		}
	}
	details(b, n, indent+next, all)
	for i, c := range n.Children {
		render(b, c, indent+next, i == len(n.Children)-1, start, n.Service, all)
	}
}

func details(b *strings.Builder, n *Node, indent string, all bool) {
	keys := make([]string, 0, len(n.Attributes))
	for k := range n.Attributes {
		if all || slices.ContainsFunc(shownFirst, func(p string) bool { return strings.HasPrefix(k, p) }) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	if !all {
		for _, k := range keys {
			fmt.Fprintf(b, "  %s=%s", strings.TrimPrefix(k, "hexiao."), n.Attributes[k])
		}
	}
	b.WriteString("\n")
	if all {
		for _, k := range keys {
			fmt.Fprintf(b, "%s     %s = %s\n", indent, k, n.Attributes[k])
		}
	}
	for _, e := range n.Events {
		fmt.Fprintf(b, "%s     • %s +%s\n", indent, e.Name, short(e.Time.Sub(n.Start)))
	}
	for _, l := range n.Links {
		fmt.Fprintf(b, "%s     → linked to trace %s span %s\n", indent, l.TraceID, l.SpanID)
	}
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/hack/docs/reasons"
)

// conditionsPage tells each condition and each reason, from their doc comments.
func conditionsPage(root string) (map[string][]byte, error) {
	conditions, all, err := reasons.Read(filepath.Join(root, "api/v1alpha1"))
	if err != nil {
		return nil, err
	}
	p := &page{}
	p.printf(`# Conditions

<!-- Generated from the doc comments of api/v1alpha1 by "go run ./hack/docs"; do not edit. -->

Ready sums up the other conditions: it has the reason and the message of what decides. Reconciling and Stalled are there only
while they are True, never both, and never beside Ready=True: tools that follow kstatus read InProgress, Failed and Current from them.
%[1]sobservedGeneration%[1]s is -1 before the operator's first look. The message beside a reason names the object, the key and the field that are meant.

%[1]s%[1]s%[1]ssh
kubectl -n brands get bc xiaowang -o wide
kubectl -n brands wait bc/xiaowang --for=condition=Ready --timeout=5m
%[1]s%[1]s%[1]s
`, "`")
	for _, kind := range []string{reasons.Brand, reasons.Class} {
		p.conditionsOf(kind, conditions, all)
	}
	return map[string][]byte{"docs/reference/conditions.md": p.Bytes()}, nil
}

func (p *page) conditionsOf(kind string, conditions []reasons.Condition, all []reasons.Reason) {
	var rows []string
	used := map[string]bool{}
	for _, r := range all {
		places := placesOf(r, kind)
		for _, place := range r.Places {
			used[place.Condition] = used[place.Condition] || place.Kind == kind
		}
		if len(places) > 0 {
			rows = append(rows, "| `"+r.Name+"` | "+strings.Join(places, ", ")+" | "+cell(sentence(r.Meaning))+" | "+cell(sentence(r.Remedy))+" |\n")
		}
	}
	if len(rows) == 0 {
		return
	}
	p.printf("\n## %s\n\n| condition | |\n| --- | --- |\n", kind)
	for _, c := range conditions {
		if used[c.Name] {
			p.printf("| `%s` | %s |\n", c.Name, cell(sentence(c.MeaningOn(kind))))
		}
	}
	p.printf("\n### Reasons of a %s\n\n| reason | where | means | do |\n| --- | --- | --- | --- |\n", kind)
	slices.Sort(rows)
	for _, row := range rows {
		p.printf("%s", row)
	}
}

// placesOf says on which conditions a reason stands, each with its statuses.
func placesOf(r reasons.Reason, kind string) []string {
	var places []string
	at := map[string]int{}
	for _, place := range r.Places {
		if place.Kind != kind {
			continue
		}
		if i, ok := at[place.Condition]; ok {
			places[i] += " or " + place.Status
			continue
		}
		at[place.Condition] = len(places)
		places = append(places, "`"+place.Condition+"` "+place.Status)
	}
	return places
}

// sentence begins with a capital letter, unless it begins with a name.
func sentence(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(first, ".`/_") && !strings.HasSuffix(first, ".") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// root of the repository.
const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEveryGeneratedPageIsCurrent(t *testing.T) {
	if err := run(root, true); err != nil {
		t.Error(err)
	}
}

// TestTheReferenceLeavesNothingOut looks for every message and field of a CRD's text,
// by another way than the generator's.
func TestTheReferenceLeavesNothingOut(t *testing.T) {
	pages, err := referencePages(root)
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for name, page := range pages {
		singular := strings.TrimSuffix(filepath.Base(name), ".md")
		plural := singular + map[bool]string{true: "es", false: "s"}[strings.HasSuffix(singular, "s")]
		rules += lacking(t, name, read(t, "config/crd/connect.hexiao.dev_"+plural+".yaml"), strings.ReplaceAll(string(page), `\|`, "|"))
	}
	if rules < 15 {
		t.Errorf("found %d rules", rules)
	}
}

// lacking reports what a page leaves out, and counts the rules that it looked for.
func lacking(t *testing.T, name, crd, page string) (rules int) {
	_, crd, _ = strings.Cut(crd, "          spec:\n")
	for _, m := range regexp.MustCompile(`(?m)^ {14,}([A-Za-z]+):$`).FindAllStringSubmatch(crd, -1) {
		field := m[1]
		if strings.HasPrefix(field, "x") || map[string]bool{"properties": true, "items": true, "required": true, "enum": true,
			"additionalProperties": true, "anyOf": true, "default": true}[field] {
			continue
		}
		if !strings.Contains(page, "`"+field+"`") && !strings.Contains(page, "."+field+"`") {
			t.Errorf("%s does not have the field %s", name, field)
		}
	}
	messages := regexp.MustCompile(`(?m)^ +(?:- )?message: '?((?:.*)(?:\n {18,}[^-:]+$)*)`).FindAllStringSubmatch(crd, -1)
	for _, m := range messages {
		if want := strings.TrimSuffix(strings.ReplaceAll(text(m[1]), "''", "'"), "'"); !strings.Contains(page, want) {
			t.Errorf("%s does not have the rule %q", name, want)
		}
	}
	return len(messages)
}

func TestASchemaIsToldInWords(t *testing.T) {
	const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  scope: Namespaced
  versions:
  - name: v1
    subresources: {scale: {specReplicasPath: .spec.n, statusReplicasPath: .status.n}}
    schema:
      openAPIV3Schema:
        properties:
          status: {type: object}
          spec:
            type: object
            required: [count]
            properties:
              a: {type: string, description: "a\n  is b", enum: [p, q], default: p}
              count: {type: integer, minimum: 2, maximum: 2}
              ref: {type: object, properties: {name: {type: string, minLength: 1}}}
              list:
                type: array
                x-kubernetes-validations: [{rule: "true", message: all differ}]
                items: {type: object, properties: {p: {type: string, pattern: a|b}, q: {type: boolean}, r: {type: boolean}}}
              codes: {type: array, x-kubernetes-list-type: set, items: {type: string, maxLength: 3}}
              size: {x-kubernetes-int-or-string: true, pattern: long}
`
	_, page, err := referencePage("a.yaml", []byte(crd))
	if err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(string(page), "| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
	const want = "| `count` (required) | integer |  | *Exactly 2.* |\n" +
		"| `a` | string | `p` | a is b. *One of `p`, `q`.* |\n" +
		"| `codes` | list of strings |  | *None twice; each at most 3 characters.* |\n" +
		"| `list` | [list of objects](#speclist) |  | **Rule:** all differ. |\n" +
		"| `ref` | object |  |  |\n" +
		"| `ref.name` | string |  | *At least 1 characters.* |\n" +
		"| `size` | quantity |  |  |\n" +
		"\n## spec.list[]\n\n" +
		"| field | type | default | meaning |\n| --- | --- | --- | --- |\n" +
		"| `p` | string |  | *Matches `a\\|b`.* |\n" +
		"| `q` | boolean |  |  |\n" +
		"| `r` | boolean |  |  |\n" +
		"\n## status\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
}

func TestAClassHasNoConnectorThatServes(t *testing.T) {
	made, err := conditionsPage(root)
	if err != nil {
		t.Fatal(err)
	}
	brands, classes, found := strings.Cut(string(made["docs/reference/conditions.md"]), "\n## ConnectorClass\n")
	classes, _, _ = strings.Cut(classes, "\n### ")
	if !found || !strings.Contains(brands, "| `Ready` | True when the connector serves") {
		t.Fatalf("the page has another shape:\n%s", brands)
	}
	if !strings.Contains(classes, "| `Ready` | True when the class is valid") || strings.Contains(classes, "connector serves") {
		t.Errorf("conditions of a class:\n%s", classes)
	}
}

func TestTheRunbookAndTheReasonSayTheSameOfATakeOver(t *testing.T) {
	// It looks every minute (controllers, lookAside) and takes a brand over when nobody answered for one (answerWithin).
	const when = "at once if it has the brand, else after one or two minutes by taking it over"
	for _, page := range []string{"docs/runbooks/README.md", "docs/reference/conditions.md"} {
		if !strings.Contains(read(t, page), when) {
			t.Errorf("%s does not say %q", page, when)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type schema = apiextensions.JSONSchemaProps

// referencePages makes a page of each CRD.
func referencePages(root string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(root, "config/crd/connect.hexiao.dev_*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("config/crd has no CRDs: run controller-gen first")
	}
	pages := map[string][]byte{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		singular, page, err := referencePage("config/crd/"+filepath.Base(file), raw)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		pages["docs/reference/"+singular+".md"] = page
	}
	return pages, nil
}

// referencePage is the page of a CRD's one version, and the singular of its kind.
func referencePage(source string, raw []byte) (singular string, content []byte, err error) {
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &crd); err != nil {
		return "", nil, err
	}
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema == nil {
		return "", nil, errors.New("it has not one version with a schema: extend hack/docs")
	}
	p := &page{}
	p.head(source, &crd)
	root := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, part := range []string{"spec", "status"} {
		sub, ok := root.Properties[part]
		if !ok {
			return "", nil, fmt.Errorf("it has no %s", part)
		}
		p.section(part, &sub)
	}
	return strings.ToLower(crd.Spec.Names.Kind), p.Bytes(), nil
}

type page struct{ bytes.Buffer }

func (p *page) printf(format string, args ...any) { fmt.Fprintf(&p.Buffer, format, args...) }

func (p *page) head(source string, crd *apiextensions.CustomResourceDefinition) {
	names, version := crd.Spec.Names, crd.Spec.Versions[0]
	p.printf("# %s\n\n<!-- Generated from %s by \"go run ./hack/docs\"; do not edit. -->\n\n%s\n\n", names.Kind, source, text(version.Schema.OpenAPIV3Schema.Description))
	p.printf("`apiVersion: %s/%s`, `kind: %s`; %s. `kubectl` takes `%s`.\n\n", crd.Spec.Group, version.Name, names.Kind, strings.ToLower(string(crd.Spec.Scope)),
		strings.Join(slices.Concat([]string{names.Plural}, names.ShortNames), "`, `")+"` or the category `"+strings.Join(names.Categories, "`, `"))
	p.printf("Every rule on this page is checked by the API server when the object is written. There is no webhook.")
	if names.Kind == "BrandConnector" {
		p.printf(" The connector makes the\nsame demands on the spec of a file, except those that compare with an older object.")
	}
	p.printf(" What the conditions in the status mean is\nin [conditions](conditions.md); whole objects are in [config/samples](../../config/samples).\n\n")
	p.rules(version.Schema.OpenAPIV3Schema.XValidations)
	p.printf("## Columns of kubectl get\n\n| column | value | shown |\n| --- | --- | --- |\n")
	for _, c := range version.AdditionalPrinterColumns {
		shown := "always"
		if c.Priority > 0 {
			shown = "with `-o wide`"
		}
		p.printf("| %s | `%s` | %s |\n", strings.ToUpper(c.Name), cell(strings.TrimPrefix(c.JSONPath, ".")), shown)
	}
	if sub := version.Subresources; sub != nil && sub.Scale != nil {
		p.printf("\n`kubectl scale` sets `%s`.\n", strings.TrimPrefix(sub.Scale.SpecReplicasPath, "."))
	}
}

// section describes an object: its rules, a row for each field, and then the objects
// that are too large for a row.
func (p *page) section(path string, s *schema) {
	p.printf("\n## %s\n\n", path)
	if s.Description != "" {
		p.printf("%s\n\n", text(s.Description))
	}
	p.rules(s.XValidations)
	if s.Default != nil && path == "status" {
		p.printf("Before the operator's first look it is `%s`.\n\n", s.Default.Raw)
	}
	p.printf("| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
	var later []string
	for _, name := range fields(s) {
		sub := s.Properties[name]
		p.row(path, name, &sub, slices.Contains(s.Required, name))
		switch object := body(&sub); {
		case object == nil:
		case small(&sub):
			for _, inner := range fields(&sub) {
				leaf := sub.Properties[inner]
				p.row(path, name+"."+inner, &leaf, slices.Contains(sub.Required, inner))
			}
		default:
			later = append(later, name)
		}
	}
	for _, name := range later {
		sub := s.Properties[name]
		object := body(&sub)
		if sub.Items != nil && object.Description == "" {
			object.Description = sub.Description
		}
		p.section(join(path, name, &sub), object)
	}
}

func (p *page) rules(rules apiextensions.ValidationRules) {
	for _, r := range rules {
		p.printf("- %s\n", r.Message)
	}
	if len(rules) > 0 {
		p.printf("\n")
	}
}

func (p *page) row(path, name string, s *schema, required bool) {
	field := "`" + name + "`"
	if required {
		field += " (required)"
	}
	value := ""
	if s.Default != nil {
		value = "`" + cell(strings.Trim(string(s.Default.Raw), `"`)) + "`"
	}
	p.printf("| %s | %s | %s | %s |\n", field, kind(path, name, s), value, meaning(s))
}

// fields lists an object's fields, required ones first.
func fields(s *schema) []string {
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(s, a) - rank(s, b)
	})
	return names
}

func rank(s *schema, name string) int {
	if slices.Contains(s.Required, name) {
		return 0
	}
	return 1
}

// body is the object that a field holds, or the entries of the list that it holds; nil
// when it is neither.
func body(s *schema) *schema {
	if s.Items != nil {
		s = s.Items.Schema
	}
	if len(s.Properties) == 0 {
		return nil
	}
	return s
}

// small objects, such as references, need no section of their own.
func small(s *schema) bool {
	if s.Items != nil || len(s.Properties) > 2 || len(s.XValidations) > 0 {
		return false
	}
	for _, sub := range s.Properties {
		if sub.Items != nil || len(sub.Properties) > 0 {
			return false
		}
	}
	return true
}

func join(path, name string, s *schema) string {
	if s.Items != nil {
		name += "[]"
	}
	return path + "." + name
}

// kind is the type in words, with a link where it is described elsewhere.
func kind(path, name string, s *schema) string {
	word := s.Type
	switch {
	case s.XIntOrString:
		word = "quantity"
	case s.Items != nil:
		inner := *s.Items.Schema
		word = "list of " + strings.TrimSuffix(inner.Type, "s") + "s"
	case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
		word = "map of " + plural(s.AdditionalProperties.Schema)
	case isDuration(s):
		word = "duration"
	case s.Format == "date-time":
		word = "time"
	}
	if body(s) == nil || small(s) {
		return word
	}
	return fmt.Sprintf("[%s](#%s)", word, slug(join(path, name, s)))
}

func plural(s *schema) string {
	if s.XIntOrString {
		return "quantities"
	}
	return s.Type + "s"
}

func isDuration(s *schema) bool {
	return slices.ContainsFunc(s.XValidations, func(r apiextensions.ValidationRule) bool { return strings.Contains(r.Rule, "duration(self)") })
}

// meaning is the description with the bounds.
func meaning(s *schema) string {
	parts := []string{}
	if s.Description != "" {
		parts = append(parts, strings.TrimSuffix(text(s.Description), ".")+".")
	}
	if b := bounds(s); len(b) > 0 {
		line := strings.Join(b, "; ")
		parts = append(parts, "*"+strings.ToUpper(line[:1])+line[1:]+".*")
	}
	if body(s) == nil || small(s) || s.Items != nil { // else they are in its own section; a list's section is of its items
		for _, r := range s.XValidations {
			parts = append(parts, "**Rule:** "+strings.TrimSuffix(r.Message, ".")+".")
		}
	}
	return cell(strings.Join(parts, " "))
}

func bounds(s *schema) []string {
	var b []string
	add := func(low, high *int64, unit string) {
		if t := between(low, high); t != "" {
			b = append(b, strings.TrimSpace(t+" "+unit))
		}
	}
	if len(s.Enum) > 0 {
		var words []string
		for _, e := range s.Enum {
			words = append(words, "`"+strings.Trim(string(e.Raw), `"`)+"`")
		}
		b = append(b, "one of "+strings.Join(words, ", "))
	}
	add(s.MinLength, s.MaxLength, "characters")
	add(whole(s.Minimum), whole(s.Maximum), "")
	add(s.MinItems, s.MaxItems, "entries")
	add(s.MinProperties, s.MaxProperties, "entries")
	if s.Pattern != "" && !s.XIntOrString {
		b = append(b, "matches `"+s.Pattern+"`")
	}
	if s.XListType != nil && *s.XListType == "set" {
		b = append(b, "none twice")
	}
	if len(s.XListMapKeys) > 0 {
		b = append(b, "`"+strings.Join(s.XListMapKeys, "`, `")+"` tells the entries apart")
	}
	if s.XPreserveUnknownFields != nil && *s.XPreserveUnknownFields {
		b = append(b, "any fields")
	}
	if s.Items != nil && body(s) == nil {
		for _, inner := range bounds(s.Items.Schema) {
			b = append(b, "each "+inner)
		}
	}
	return b
}

func whole(f *float64) *int64 {
	if f == nil {
		return nil
	}
	n := int64(*f)
	return &n
}

func between(low, high *int64) string {
	switch {
	case low != nil && high != nil && *low == *high:
		return fmt.Sprintf("exactly %d", *low)
	case low != nil && high != nil:
		return fmt.Sprintf("%d to %d", *low, *high)
	case low != nil:
		return fmt.Sprintf("at least %d", *low)
	case high != nil:
		return fmt.Sprintf("at most %d", *high)
	}
	return ""
}

// text is a description on one line.
func text(s string) string { return strings.Join(strings.Fields(s), " ") }

// cell is text that may stand in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// slug is the anchor that GitHub gives a heading.
func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || letter(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

func letter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

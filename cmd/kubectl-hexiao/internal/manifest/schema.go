// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/config/crd"
)

// schema is what the CRDs of this version demand of a value: an OpenAPI schema, as far as
// theirs use it. A test holds it against their keywords. Validate of the API makes the same
// demands, but it sees Go's values, where what is written down empty looks as if it were
// left out: the API server refuses the one, and fills in the other.
//
// The rules in CEL are not here: Validate has them in words.
type schema struct {
	Type          string             `json:"type"`
	Properties    map[string]*schema `json:"properties"`
	Additional    *schema            `json:"additionalProperties"`
	Items         *schema            `json:"items"`
	Required      []string           `json:"required"`
	Default       any                `json:"default"`
	Enum          []any              `json:"enum"`
	Pattern       string             `json:"pattern"`
	MinLength     int                `json:"minLength"`
	MaxLength     *int               `json:"maxLength"`
	Minimum       *int64             `json:"minimum"`
	Maximum       *int64             `json:"maximum"`
	MinItems      int                `json:"minItems"`
	MaxItems      *int               `json:"maxItems"`
	MaxProperties *int               `json:"maxProperties"`
	ListType      string             `json:"x-kubernetes-list-type"`
	ListMapKeys   []string           `json:"x-kubernetes-list-map-keys"`
}

// schemas are those of the CRDs by kind.
var schemas = sync.OnceValues(func() (map[string]*schema, error) { return readSchemas(crd.Files) })

func readSchemas(files fs.FS) (map[string]*schema, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("find the CRDs: %w", err)
	}
	all := map[string]*schema{}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the CRDs: %w", err)
		}
		var c struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema *schema }
				}
			}
		}
		if err := yaml.Unmarshal(raw, &c); err != nil {
			return nil, fmt.Errorf("read the CRD %s: %w", name, err)
		}
		if len(c.Spec.Versions) != 1 || c.Spec.Versions[0].Schema.OpenAPIV3Schema == nil {
			return nil, fmt.Errorf("the CRD %s has not one version with a schema", name)
		}
		all[c.Spec.Names.Kind] = c.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return all, nil
}

// flaw is a field that does not fit its schema.
type flaw struct{ field, text string }

// missing is the text of one that is not there.
const missing = "it is missing: add it"

// flaws are what the schema of a kind says of an object as it is written. Its status is
// not looked at: the API server drops it.
func flaws(kind string, object map[string]any) ([]flaw, error) {
	all, err := schemas()
	if err != nil {
		return nil, err
	}
	object = maps.Clone(object)
	delete(object, "status")
	return all[kind].check("", object, false), nil
}

// judged puts together what Validate says of an object and what its schema says beside that: of
// a field that Validate has something to say about, nothing.
func judged(kind string, object map[string]any, said field.ErrorList) ([]error, error) {
	more, err := flaws(kind, object)
	if err != nil {
		return nil, err
	}
	var all []error
	for _, e := range said {
		all = append(all, e)
	}
	for _, f := range append(more, noLedger(object)...) {
		known := slices.ContainsFunc(said, func(e *field.Error) bool {
			// Of an object that is not there Validate names what is needed in it.
			return e.Field == f.field || f.text == missing && strings.HasPrefix(e.Field, f.field+".")
		})
		if !known {
			all = append(all, fmt.Errorf("%s: %s", f.field, f.text))
		}
	}
	return all, nil
}

// noLedger is a ledger that is written down empty: Validate takes it for one that is left to
// the class.
func noLedger(object map[string]any) []flaw {
	spec, _ := object["spec"].(map[string]any)
	ledger, is := spec["ledger"].(map[string]any)
	if is && ledger["postgres"] == nil && ledger["embedded"] == nil {
		return wrong(false, "spec.ledger", "give exactly one of spec.ledger.postgres and spec.ledger.embedded", "it is empty")
	}
	return nil
}

// check says what is wrong with a value. A value of another type is none of its business, for
// the decoder has refused that.
func (s *schema) check(path string, v any, needed bool) []flaw {
	switch v := v.(type) {
	case map[string]any:
		return s.checkObject(path, v, needed)
	case []any:
		return s.checkList(path, v, needed)
	case string:
		return s.checkText(path, v, needed)
	case json.Number:
		return s.checkNumber(path, v, needed)
	}
	return nil
}

// wrong is one flaw, with the remedy.
func wrong(needed bool, path, remedy, format string, args ...any) []flaw {
	if !needed {
		remedy += ", or leave the field out"
	}
	return []flaw{{path, fmt.Sprintf(format, args...) + ": " + remedy}}
}

func (s *schema) checkObject(path string, m map[string]any, needed bool) (all []flaw) {
	for _, name := range s.Required {
		if m[name] == nil && s.Properties[name].Default == nil {
			all = append(all, flaw{child(path, name), missing})
		}
	}
	if s.MaxProperties != nil && len(m) > *s.MaxProperties {
		all = append(all, wrong(needed, path, "take some away", "it has %d entries, and %d are the most", len(m), *s.MaxProperties)...)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if property := s.Properties[name]; property != nil {
			all = append(all, property.check(child(path, name), m[name], slices.Contains(s.Required, name))...)
		} else if s.Additional != nil {
			all = append(all, s.Additional.check(path+"["+name+"]", m[name], true)...)
		}
	}
	return all
}

func (s *schema) checkList(path string, list []any, needed bool) (all []flaw) {
	switch {
	case len(list) == 0 && s.MinItems > 0:
		return wrong(needed, path, "give at least one item", "the list is empty")
	case s.MaxItems != nil && len(list) > *s.MaxItems:
		return wrong(needed, path, "take some away", "it has %d items, and %d are the most", len(list), *s.MaxItems)
	case s.Items == nil:
		return nil
	}
	seen := map[string]bool{}
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		all = append(all, s.Items.check(at, item, true)...)
		if key, is := s.identity(item); is && seen[key] {
			all = append(all, flaw{at, "it is in the list already: leave one out"})
		} else if is {
			seen[key] = true
		}
	}
	return all
}

// identity is what two items of a list must not have in common.
func (s *schema) identity(item any) (string, bool) {
	switch s.ListType {
	case "set":
		return fmt.Sprint(item), true
	case "map":
		m, _ := item.(map[string]any)
		var keys []any
		for _, name := range s.ListMapKeys {
			keys = append(keys, m[name])
		}
		return fmt.Sprint(keys...), true
	}
	return "", false
}

func (s *schema) checkText(path, text string, needed bool) []flaw {
	length := len([]rune(text))
	switch {
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)):
		return wrong(needed, path, "give one of them", "%q is none of %s", brief(text), s.words())
	case length == 0 && s.MinLength > 0:
		return wrong(needed, path, "give a value", "it is empty")
	case length < s.MinLength:
		return wrong(needed, path, "give more", "it has %d characters, and %d are the least", length, s.MinLength)
	case s.MaxLength != nil && length > *s.MaxLength:
		return wrong(needed, path, "shorten it", "it has %d characters, and %d are the most", length, *s.MaxLength)
	case s.Pattern != "":
		if is, err := regexp.MatchString(s.Pattern, text); err == nil && !is {
			return wrong(needed, path, "give one that does", "%q does not match %s", brief(text), s.Pattern)
		}
	}
	return nil
}

func (s *schema) words() string {
	words := make([]string, len(s.Enum))
	for i, w := range s.Enum {
		words[i] = fmt.Sprint(w)
	}
	return strings.Join(words, ", ")
}

func (s *schema) checkNumber(path string, n json.Number, needed bool) []flaw {
	value, err := n.Int64()
	switch {
	case err != nil:
		return nil
	case s.Minimum != nil && value < *s.Minimum:
		return wrong(needed, path, "give more", "it is %d, and %d is the least", value, *s.Minimum)
	case s.Maximum != nil && value > *s.Maximum:
		return wrong(needed, path, "give less", "it is %d, and %d is the most", value, *s.Maximum)
	}
	return nil
}

// child is a field below another.
func child(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// mostRepeated is how much of a text a message repeats.
const mostRepeated = 40

func brief(text string) string {
	if r := []rune(text); len(r) > mostRepeated {
		return string(r[:mostRepeated]) + "…"
	}
	return text
}

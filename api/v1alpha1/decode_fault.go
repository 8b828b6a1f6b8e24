// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Explain puts err, with which raw was not decoded into the pointer into, into words: which
// fields have a value of another type, and what to write. A decoder stops at the first and
// names a field of Go, or, where a type reads itself, none. What Explain does not understand
// stays as it was.
func Explain(raw []byte, into any, err error) error {
	asJSON, yamlErr := yaml.YAMLToJSONStrict(raw)
	if yamlErr != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	var document any
	if decoder.Decode(&document) != nil {
		return err
	}
	if wrong := faults("", document, reflect.TypeOf(into).Elem()); len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	return err
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// faults are the values below a field that are of another type than it, and the fields
// that its type does not have. Nothing at all is of any type.
func faults(path string, v any, t reflect.Type) []error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case v == nil:
		return nil
	case reflect.PointerTo(t).Implements(unmarshaler):
		return readsItself(path, v, t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return faultsOfStruct(path, v, t)
	case reflect.Map:
		m, is := v.(map[string]any)
		if !is {
			return misshapen(path, v, "an object with fields is wanted: indent them below it")
		}
		var all []error
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, faults(below(path, k), m[k], t.Elem())...)
		}
		return all
	case reflect.Slice:
		return faultsOfList(path, v, t)
	}
	return faultOfScalar(path, v, t.Kind())
}

func faultsOfStruct(path string, v any, t reflect.Type) (all []error) {
	m, is := v.(map[string]any)
	if !is {
		return misshapen(path, v, "an object with fields is wanted: indent them below it")
	}
	fields := fieldsOf(t)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if f, is := fields[name]; is {
			all = append(all, faults(below(path, name), m[name], f)...)
		} else {
			all = append(all, fmt.Errorf("unknown field %q", below(path, name)))
		}
	}
	return all
}

// fieldsOf are the types of a struct's fields by their names in JSON, those of embedded
// structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && f.Anonymous:
			maps.Copy(fields, fieldsOf(f.Type))
		default:
			fields[cmp.Or(name, f.Name)] = f.Type
		}
	}
	return fields
}

func faultsOfList(path string, v any, t reflect.Type) (all []error) {
	list, is := v.([]any)
	switch {
	case t.Elem().Kind() == reflect.Uint8:
		return faultOfScalar(path, v, reflect.String)
	case !is:
		return misshapen(path, v, "a list is wanted: begin each of its items with a dash")
	}
	for i, item := range list {
		all = append(all, faults(fmt.Sprintf("%s[%d]", path, i), item, t.Elem())...)
	}
	return all
}

func faultOfScalar(path string, v any, kind reflect.Kind) []error {
	_, isText := v.(string)
	_, isBool := v.(bool)
	number, isNumber := v.(json.Number)
	switch kind {
	case reflect.String:
		if !isText {
			return fault(path, v, "text is wanted: put it into quotes")
		}
	case reflect.Bool:
		if !isBool {
			return fault(path, v, "true or false is wanted, without quotes")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if _, err := strconv.ParseInt(string(number), 10, 64); !isNumber || err != nil {
			return fault(path, v, "a whole number is wanted, without quotes")
		}
	}
	return nil
}

// readsItself asks a type that reads itself.
func readsItself(path string, v any, t reflect.Type) []error {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	if err = json.Unmarshal(raw, reflect.New(t).Interface()); err == nil {
		return nil
	}
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return fault(path, v, "a quantity is wanted: a number with a unit such as Ki, Mi, Gi, or m for thousandths: 500Mi, 1Gi, 250m")
	case reflect.TypeFor[metav1.Duration]():
		return fault(path, v, "a duration is wanted, with its unit: 90s, 5m, 1h30m")
	}
	return []error{fmt.Errorf("%s: %w", path, err)}
}

// misshapen is a fault of what should have items or fields. Text is not repeated: it may be
// a credential itself, where a reference to its Secret is wanted.
func misshapen(path string, v any, wanted string) []error {
	if _, is := v.(string); is {
		return []error{errors.New(at(path) + "it is text, and " + wanted)}
	}
	return fault(path, v, wanted)
}

// fault is one value that is not what is wanted.
func fault(path string, v any, wanted string) []error {
	what := "it is an object"
	switch v := v.(type) {
	case string:
		what = fmt.Sprintf("%q is text", short(v))
	case json.Number:
		what = string(v) + " is a number"
	case bool:
		what = fmt.Sprintf("%t is true or false", v)
	case []any:
		what = "it is a list"
	}
	return []error{fmt.Errorf("%s%s, and %s", at(path), what, wanted)}
}

func at(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// mostText is how much of a value is repeated.
const mostText = 40

func short(text string) string {
	if r := []rune(text); len(r) > mostText {
		return string(r[:mostText]) + "…"
	}
	return text
}

func below(path, name string) string {
	switch {
	case path == "":
		return name
	case strings.ContainsAny(name, "./"):
		return path + "[" + name + "]"
	}
	return path + "." + name
}

// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Action is what would happen to an object.
type Action string

// Actions.
const (
	Create Action = "create"
	Change Action = "change"
	Delete Action = "delete"
)

// Difference is one object that would not stay as it is.
type Difference struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Action Action `json:"action"`
	// Diff is unified, of YAML.
	Diff string `json:"diff"`
}

// compare makes the difference of two states of an object, of which one may be nil; nil
// when there is none.
func compare(live, would *unstructured.Unstructured) (*Difference, error) {
	some, action := live, Change
	switch {
	case live == nil:
		some, action = would, Create
	case would == nil:
		action = Delete
	}
	from, err := text(live)
	if err != nil {
		return nil, err
	}
	to, err := text(would)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s %s/%s", some.GetKind(), some.GetNamespace(), some.GetName())
	unified := diff.Diff("live  "+name, from, "would "+name, to)
	if len(unified) == 0 {
		return nil, nil
	}
	// The first line repeats the two that follow.
	_, body, _ := strings.Cut(string(unified), "\n")
	return &Difference{Kind: some.GetKind(), Name: some.GetName(), Action: action, Diff: body}, nil
}

// text is an object without what the API server writes by itself.
func text(u *unstructured.Unstructured) ([]byte, error) {
	if u == nil {
		return nil, nil
	}
	object := u.DeepCopy().Object
	delete(object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
		unstructured.RemoveNestedField(object, "metadata", field)
	}
	raw, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return raw, nil
}

// Restart says what a change does to the Pods.
type Restart struct {
	// Pods would be restarted, or started.
	Pods bool `json:"pods"`
	// Why, or why not, in a sentence.
	Why string `json:"why"`
}

// most is how many fields of a pod template are named.
const most = 4

// restart judges by the Deployment before and after.
func restart(live, would *unstructured.Unstructured) Restart {
	switch {
	case would == nil:
		return Restart{}
	case live == nil:
		return Restart{true, "the brand's first Pods start"}
	}
	fields := changed(template(live), template(would), "")
	if len(fields) == 0 {
		return Restart{false, "the pod template stays the same"}
	}
	for i, f := range fields {
		if f == "metadata.annotations["+render.AnnotationConfigRevision+"]" {
			fields[i] = "the configuration"
		}
	}
	why := strings.Join(fields[:min(len(fields), most)], ", ")
	if more := len(fields) - most; more > 0 {
		why += fmt.Sprintf(" and %d more", more)
	}
	if kind, _, _ := unstructured.NestedString(would.Object, "spec", "strategy", "type"); kind == "Recreate" {
		return Restart{true, "the pod template changes (" + why + "); with the embedded ledger the brand does not answer in between"}
	}
	return Restart{true, "the pod template changes (" + why + "); the old Pods serve until the new ones are ready"}
}

func template(d *unstructured.Unstructured) any {
	t, _, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "template")
	return t
}

// changed lists the innermost fields in which two values differ.
func changed(a, b any, path string) []string {
	if reflect.DeepEqual(a, b) {
		return nil
	}
	if x, isMap := a.(map[string]any); isMap {
		if y, isMap := b.(map[string]any); isMap {
			return changedMaps(x, y, path)
		}
	}
	if x, isList := a.([]any); isList {
		if y, isList := b.([]any); isList {
			return changedLists(x, y, path)
		}
	}
	return []string{path}
}

func changedMaps(a, b map[string]any, path string) (fields []string) {
	for _, k := range keys(a, b) {
		at := path + "." + k
		switch {
		case strings.ContainsAny(k, "./"):
			at = path + "[" + k + "]"
		case path == "":
			at = k
		}
		fields = append(fields, changed(a[k], b[k], at)...)
	}
	return fields
}

// changedLists compares the elements of the same name, or at the same place.
func changedLists(a, b []any, path string) (fields []string) {
	x, y := byName(a), byName(b)
	for _, k := range keys(x, y) {
		fields = append(fields, changed(x[k], y[k], path+"["+k+"]")...)
	}
	return fields
}

func keys(a, b map[string]any) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func byName(list []any) map[string]any {
	out := map[string]any{}
	for i, e := range list {
		key := strconv.Itoa(i)
		if m, is := e.(map[string]any); is {
			if name, is := m["name"].(string); is {
				key = name
			}
		}
		out[key] = e
	}
	return out
}

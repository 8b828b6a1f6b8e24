// SPDX-License-Identifier: Apache-2.0

package ownership_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/hexiao-dev/hexiao/controllers/ownership"
)

const operator = "hexiao"

const (
	apply  = metav1.ManagedFieldsOperationApply
	update = metav1.ManagedFieldsOperationUpdate
)

func entry(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawString(fields)
	return e
}

func of(subresource string, e metav1.ManagedFieldsEntry) metav1.ManagedFieldsEntry {
	e.Subresource = subresource
	return e
}

const (
	ours    = `{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"connector\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	sidecar = `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"sidecar\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	both    = `{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"connector\"}":{".":{},"f:image":{},"f:name":{}},"k:{\"name\":\"sidecar\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`
	note    = `{"f:metadata":{"f:annotations":{".":{},"f:example.com/note":{}}}}`
	restart = `{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{"f:kubectl.kubernetes.io/restartedAt":{}}}}}}`
)

func TestWhatAPersonAddedWithKubectlIsTakenBack(t *testing.T) {
	mine := entry(operator, apply, ours)
	type entries = []metav1.ManagedFieldsEntry
	for name, tc := range map[string]struct {
		have entries
		// want is nil where nothing was added.
		want  entries
		added string
	}{
		"nobody else wrote":                  {entries{mine}, nil, ""},
		"a sidecar by kubectl edit":          {entries{mine, entry("kubectl-edit", update, sidecar)}, entries{entry(operator, apply, both)}, `.spec.template.spec.containers[name="sidecar"].image`},
		"what an undone roll-out left":       {entries{entry("kubectl", update, sidecar), mine}, entries{entry(operator, apply, both)}, `.spec.template.spec.containers[name="sidecar"].image`},
		"a field that is the operator's too": {entries{mine, entry("kubectl-patch", update, `{"f:spec":{"f:replicas":{}}}`)}, nil, ""},
		"a note":                             {entries{mine, entry("kubectl-edit", update, note)}, nil, ""},
		"a restart by kubectl patch":         {entries{mine, entry("kubectl-patch", update, restart)}, nil, ""},
		"that a ConfigMap is immutable":      {entries{mine, entry("kubectl-patch", update, `{"f:immutable":{}}`)}, nil, ""},
		"a note and a field": {
			entries{mine, entry("kubectl-edit", update, `{"f:metadata":{"f:annotations":{".":{},"f:example.com/note":{}}},"f:spec":{"f:paused":{}}}`)},
			entries{entry(operator, apply, `{"f:spec":{"f:paused":{},`+ours[len(`{"f:spec":{`):]), entry("kubectl-edit", update, note)}, ".spec.paused",
		},
		"a restart and a field": {
			entries{mine, entry("kubectl-patch", update, `{"f:spec":{"f:paused":{},"f:template":{"f:metadata":{"f:annotations":{"f:kubectl.kubernetes.io/restartedAt":{}}}}}}`)},
			entries{entry(operator, apply, `{"f:spec":{"f:paused":{},`+ours[len(`{"f:spec":{`):]), entry("kubectl-patch", update, restart)}, ".spec.paused",
		},
		"a controller":                     {entries{mine, entry("vpa-updater", update, sidecar)}, nil, ""},
		"kubectl rollout pause":            {entries{mine, entry("kubectl-rollout", update, `{"f:spec":{"f:paused":{}}}`)}, nil, ""},
		"the plugin":                       {entries{mine, entry("kubectl-hexiao", update, sidecar)}, nil, ""},
		"somebody applies a field":         {entries{mine, entry("kubectl", apply, sidecar)}, nil, ""},
		"a status":                         {entries{mine, of("status", entry("kubectl-edit", update, `{"f:status":{"f:replicas":{}}}`))}, nil, ""},
		"the operator never applied":       {entries{entry("kubectl-create", update, sidecar)}, entries{entry(operator, apply, sidecar)}, `.spec.template.spec.containers[name="sidecar"].image`},
		"the operator's own webhook entry": {entries{mine, entry(operator, update, sidecar)}, nil, ""},
		"no owners at all":                 {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := encode(t, tc.have)
			moved, some, err := ownership.TakeBack(tc.have, operator)
			if err != nil {
				t.Fatal(err)
			}
			if some != (tc.want != nil) {
				t.Errorf("something was added: %t", some)
			}
			if some {
				if diff := cmp.Diff(encode(t, tc.want), encode(t, moved)); diff != "" {
					t.Errorf("owners (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(before, encode(t, tc.have)); diff != "" {
				t.Errorf("what was given is changed:\n%s", diff)
			}
			if added := ownership.Added(tc.have, operator); (tc.added == "") != added.Empty() || tc.added != "" && !slices.Contains(paths(added), tc.added) {
				t.Errorf("added is %s, want %q", added, tc.added)
			}
		})
	}
}

func TestFieldsThatCannotBeReadAreAnErrorAndNotLost(t *testing.T) {
	for name, have := range map[string][]metav1.ManagedFieldsEntry{
		"the operator's": {entry(operator, apply, `{"f:spec":7`), entry("kubectl-edit", update, sidecar)},
		"a person's":     {entry(operator, apply, ours), entry("kubectl-edit", update, `{"nonsense":{}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			if moved, _, err := ownership.TakeBack(have, operator); err == nil {
				t.Errorf("no error, and owners %v", moved)
			}
		})
	}
}

func TestWhatAManagerApplied(t *testing.T) {
	image := fieldpath.MakePathOrDie("spec", "template", "spec", "containers", fieldpath.KeyByFields("name", "connector"), "image")
	for name, tc := range map[string]struct {
		have metav1.ManagedFieldsEntry
		want bool
	}{
		"its apply":                 {entry(operator, apply, ours), true},
		"another field":             {entry(operator, apply, note), false},
		"its update":                {entry(operator, update, ours), false},
		"somebody's apply":          {entry("kubectl", apply, ours), false},
		"its apply of a status":     {of("status", entry(operator, apply, ours)), false},
		"what cannot be read":       {entry(operator, apply, `{`), false},
		"an entry without anything": {metav1.ManagedFieldsEntry{Manager: operator, Operation: apply}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ownership.Applied([]metav1.ManagedFieldsEntry{tc.have}, operator).Has(image); got != tc.want {
				t.Errorf("the image is applied: %t", got)
			}
		})
	}
}

// Whoever wrote what: no field loses its last owner, nobody but kubectl and the operator
// owns more or less than before, and the second time there is nothing to do.
func TestTakingBackMovesFieldsAndLosesNone(t *testing.T) {
	names := []string{"metadata", "spec", "template", "annotations", "kubectl.kubernetes.io/restartedAt", "paused", "containers"}
	rapid.Check(t, func(r *rapid.T) {
		set := func(label string) string {
			s := fieldpath.NewSet()
			for range rapid.IntRange(1, 6).Draw(r, label) {
				var path fieldpath.Path
				for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 5).Draw(r, "path") {
					path = append(path, fieldpath.PathElement{FieldName: &name})
				}
				s.Insert(path)
			}
			raw, err := s.ToJSON()
			if err != nil {
				r.Fatal(err)
			}
			return string(raw)
		}
		have := []metav1.ManagedFieldsEntry{entry(operator, apply, set("operator"))}
		for _, manager := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"kubectl", "kubectl-edit", "kubectl-label", "vpa"}), 0, 4, rapid.ID).Draw(r, "managers") {
			have = slices.Insert(have, rapid.IntRange(0, len(have)).Draw(r, "at"), entry(manager, update, set(manager)))
		}
		moved, some, err := ownership.TakeBack(have, operator)
		if err != nil {
			r.Fatal(err)
		}
		if some == ownership.Added(have, operator).Empty() {
			r.Errorf("added are %s, and it says %t", ownership.Added(have, operator), some)
		}
		if a, b := owned(r, have), owned(r, moved); !a.Equals(b) {
			r.Errorf("owned were %s and are %s", a, b)
		}
		if _, again, err := ownership.TakeBack(moved, operator); err != nil || again {
			r.Errorf("a second time there is something: %t, %v", again, err)
		}
		if was := ownership.Applied(have, operator); !was.Difference(ownership.Applied(moved, operator)).Empty() {
			r.Errorf("the operator lost some of %s", was)
		}
		for _, m := range []string{"kubectl-label", "vpa"} {
			if diff := cmp.Diff(fieldsOf(have, m), fieldsOf(moved, m)); diff != "" {
				r.Errorf("fields of %s:\n%s", m, diff)
			}
		}
	})
}

func FuzzTakeBack(f *testing.F) {
	for _, theirs := range []string{sidecar, both, note, restart, `{}`, `{"f:spec":{".":{},"v:1":{},"i:0":{}}}`} {
		f.Add(ours, theirs)
	}
	f.Fuzz(func(t *testing.T, own, theirs string) {
		have := []metav1.ManagedFieldsEntry{entry("kubectl-edit", update, theirs), entry(operator, apply, own)}
		moved, some, err := ownership.TakeBack(have, operator)
		if err != nil {
			return
		}
		if some == ownership.Added(have, operator).Empty() {
			t.Errorf("added are %s, and it says %t", ownership.Added(have, operator), some)
		}
		if !ownership.Added(moved, operator).Empty() {
			t.Errorf("left are %s", ownership.Added(moved, operator))
		}
		encode(t, moved)
	})
}

func owned(t rapid.TB, fields []metav1.ManagedFieldsEntry) *fieldpath.Set {
	t.Helper()
	all := fieldpath.NewSet()
	for _, f := range fields {
		s := ownership.Applied([]metav1.ManagedFieldsEntry{entry("x", apply, f.FieldsV1.GetRawString())}, "x")
		if s.Empty() {
			t.Errorf("no fields in %s", f.FieldsV1.GetRawString())
		}
		all = all.Union(s)
	}
	return all
}

func fieldsOf(fields []metav1.ManagedFieldsEntry, manager string) (all []string) {
	for _, f := range fields {
		if f.Manager == manager {
			all = append(all, f.FieldsV1.GetRawString())
		}
	}
	return all
}

func paths(s *fieldpath.Set) (all []string) {
	for p := range s.All() {
		all = append(all, p.String())
	}
	return all
}

// encode as the API server would be sent it.
func encode(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

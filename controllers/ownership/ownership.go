// SPDX-License-Identifier: Apache-2.0

// Package ownership reads what the API server remembers of who wrote which field of an
// object (managedFields), and hands fields that a person added over to a manager that is
// about to apply without them.
//
// A server-side apply sets right what somebody changed of its fields, and leaves what
// somebody added: an environment variable, a sidecar, hostNetwork. Such fields go only with
// their last owner. So they are made the manager's, and its next apply, which does not have
// them, takes them away.
package ownership

import (
	"bytes"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// byHand are the managers as which kubectl writes what a person makes of an object: the
// plain one is that of `kubectl rollout undo`. Not among them is what only restarts, pauses,
// labels or annotates, nor any controller, whose fields are between it and whoever set it up.
var byHand = []string{
	"kubectl", "kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-patch", "kubectl-replace", "kubectl-set",
}

// left is what people may add: their notes on an object, a restart, and that a ConfigMap is immutable,
// which the API server lets nobody take away.
var left = fieldpath.NewSet(
	fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("immutable"),
	fieldpath.MakePathOrDie("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
)

// Applied is what a manager applied last: no field when it never did, or when what is
// remembered of it cannot be read.
func Applied(fields []metav1.ManagedFieldsEntry, manager string) *fieldpath.Set {
	if i := indexOf(fields, manager); i >= 0 {
		if set, err := read(fields[i]); err == nil {
			return set
		}
	}
	return fieldpath.NewSet()
}

// Added is what people have added with kubectl to what a manager applied.
func Added(fields []metav1.ManagedFieldsEntry, manager string) *fieldpath.Set {
	added := fieldpath.NewSet()
	for _, f := range fields {
		if !isByHand(f) {
			continue
		}
		if theirs, err := read(f); err == nil {
			added = added.Union(theirs)
		}
	}
	return added.RecursiveDifference(left).Difference(Applied(fields, manager))
}

// TakeBack makes what people have added with kubectl a manager's, as if it had applied it.
// It says whether there was anything. Of an object that somebody made anew, and the manager
// never applied, all of it counts as added.
func TakeBack(fields []metav1.ManagedFieldsEntry, manager string) (moved []metav1.ManagedFieldsEntry, some bool, err error) {
	own := indexOf(fields, manager)
	if own < 0 {
		first := slices.IndexFunc(fields, isByHand)
		if first < 0 {
			return nil, false, nil
		}
		fields = append(slices.Clone(fields), metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationApply,
			APIVersion: fields[first].APIVersion, Time: fields[first].Time, FieldsType: fields[first].FieldsType, FieldsV1: metav1.NewFieldsV1("{}")})
		own = len(fields) - 1
	}
	ours, err := read(fields[own])
	if err != nil {
		return nil, false, err
	}
	for i, f := range fields {
		if i == own || !isByHand(f) || f.APIVersion != fields[own].APIVersion {
			moved = append(moved, f)
			continue
		}
		theirs, err := read(f)
		if err != nil {
			return nil, false, err
		}
		taken := theirs.RecursiveDifference(left)
		some = some || !taken.Difference(ours).Empty()
		ours = ours.Union(taken)
		rest := theirs.Difference(taken)
		if rest.Empty() {
			continue
		}
		if f, err = write(f, rest); err != nil {
			return nil, false, err
		}
		moved = append(moved, f)
	}
	own = indexOf(moved, manager)
	if moved[own], err = write(moved[own], ours); err != nil {
		return nil, false, err
	}
	return moved, some, nil
}

// indexOf the entry with what a manager applied; -1 without one.
func indexOf(fields []metav1.ManagedFieldsEntry, manager string) int {
	return slices.IndexFunc(fields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == manager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == "" && f.FieldsV1 != nil
	})
}

// isByHand is true for what was written to the object itself, and not applied: who applies
// under a name has said which fields are his.
func isByHand(f metav1.ManagedFieldsEntry) bool {
	return f.Operation == metav1.ManagedFieldsOperationUpdate && f.Subresource == "" && f.FieldsV1 != nil && slices.Contains(byHand, f.Manager)
}

func read(f metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := fieldpath.NewSet()
	if err := set.FromJSON(bytes.NewReader(f.FieldsV1.GetRawBytes())); err != nil {
		return nil, fmt.Errorf("read the fields of manager %s: %w", f.Manager, err)
	}
	return set, nil
}

func write(f metav1.ManagedFieldsEntry, set *fieldpath.Set) (metav1.ManagedFieldsEntry, error) {
	raw, err := set.ToJSON()
	if err != nil {
		return f, fmt.Errorf("write the fields of manager %s: %w", f.Manager, err)
	}
	f.FieldsV1 = &metav1.FieldsV1{}
	f.FieldsV1.SetRawBytes(raw)
	return f, nil
}

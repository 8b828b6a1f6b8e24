// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
	"github.com/hexiao-dev/hexiao/hack/docs/reasons"
)

// placed is a condition with its status and reason, of an object of a kind.
func placed(kind string, c metav1.Condition) string {
	return kind + ": " + c.Type + "=" + string(c.Status) + " " + c.Reason
}

// drawnAs are reasons that no draw meets, by one that is treated alike and is drawn.
var drawnAs = map[string]string{
	v1alpha1.ReasonSecretKeyMissing:    v1alpha1.ReasonSecretNotFound,
	v1alpha1.ReasonSecretKeyInvalid:    v1alpha1.ReasonSecretNotFound,
	v1alpha1.ReasonConfigMapNotFound:   v1alpha1.ReasonSecretNotFound,
	v1alpha1.ReasonConfigMapKeyMissing: v1alpha1.ReasonSecretNotFound,
	v1alpha1.ReasonConfigMapInvalid:    v1alpha1.ReasonSecretNotFound,
	v1alpha1.ReasonLedgerMoved:         v1alpha1.ReasonInvalidSpec,
}

// TestEachReasonStandsWhereItsDocumentationSays walks every status that there is, and
// compares with the lines "On:" of the reasons' doc comments, in both directions.
func TestEachReasonStandsWhereItsDocumentationSays(t *testing.T) {
	_, all, err := reasons.Read("../api/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, r := range all {
		for _, p := range r.Places {
			documented[placed(p.Kind, metav1.Condition{Type: p.Condition, Status: metav1.ConditionStatus(p.Status), Reason: r.Name})] = true
		}
	}
	met := map[string]bool{}
	for _, r := range everyBrand(t) {
		for _, c := range r.conditions {
			met[placed(reasons.Brand, c)] = true
		}
	}
	for _, r := range everyClass(t) {
		for _, c := range r.conditions {
			met[placed(reasons.Class, c)] = true
		}
	}
	for _, c := range pausedClass() {
		met[placed(reasons.Class, c)] = true
	}
	for _, c := range warnedBrand() {
		met[placed(reasons.Brand, c)] = true
	}
	for _, place := range slices.Sorted(maps.Keys(met)) {
		if !documented[place] {
			t.Errorf("%s: it is met, and no line \"On:\" says so", place)
		}
	}
	for _, r := range all {
		for _, p := range r.Places {
			name := r.Name
			if other, ok := drawnAs[name]; ok {
				name = other
			}
			place := placed(p.Kind, metav1.Condition{Type: p.Condition, Status: metav1.ConditionStatus(p.Status), Reason: name})
			if !met[place] {
				t.Errorf("%s, as %s: the doc comment says so, and it is never met", place, r.Name)
			}
		}
	}
}

// warnedBrand has the conditions of a brand that two operators reconcile, and that is there
// twice. They stand beside any others.
func warnedBrand() []metav1.Condition {
	b := &v1alpha1.BrandConnector{}
	r := &Reconciler{Config: Config{Clock: testclock.NewFakePassiveClock(time.Unix(1, 0))}}
	s := &scope{brand: b, before: b.DeepCopy(), aside: &render.Notes{}, twin: "x"}
	r.foldContest(s)
	r.foldTwin(s)
	return b.Status.Conditions
}

// pausedClass has the conditions of a class whose roll-out somebody has paused.
func pausedClass() []metav1.Condition {
	r := &classReconciler{Reconciler: &Reconciler{Config: Config{Clock: testclock.NewFakePassiveClock(time.Unix(1, 0))}}}
	class := &v1alpha1.ConnectorClass{}
	r.setClass(class, classVerdict(rollout.Survey{Waiting: 1}, &platform{policy: rollout.Policy{MaxConcurrent: 1, Paused: true}}))
	return class.Status.Conditions
}

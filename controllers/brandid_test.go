// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

func numbered(id string) func(*v1alpha1.BrandConnector) {
	return func(b *v1alpha1.BrandConnector) { b.Spec.BrandID = id }
}

func embedded(b *v1alpha1.BrandConnector) {
	b.Spec.Ledger = v1alpha1.LedgerSpec{Embedded: &v1alpha1.EmbeddedLedger{}}
}

// shared waits until a brand says that it is there twice, or does not.
func (w *world) shared(name string, want bool) string {
	w.t.Helper()
	var message string
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.mustGet(name, b)
		c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionBrandIDShared)
		if c != nil {
			message = c.Message
		}
		return same(fmt.Sprint(want), fmt.Sprint(c != nil && c.Status == metav1.ConditionTrue))
	})
	return message
}

func TestABrandThatIsThereTwiceWithALedgerEachSaysSo(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	id := w.brandID("xiaowang")
	w.up(w.brand("one", numbered(id)))
	w.shared("one", false)

	w.up(w.brand("two", numbered(id), embedded))
	if m := w.shared("one", true); !strings.Contains(m, "BrandConnector two ") {
		t.Errorf("message: %s", m)
	}
	if m := w.shared("two", true); !strings.Contains(m, "BrandConnector one ") {
		t.Errorf("message: %s", m)
	}
	w.warned("one", v1alpha1.ReasonSeparateLedgers)
	w.warned("two", v1alpha1.ReasonSeparateLedgers)
	// It is a warning: both serve.
	w.condition("one", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	w.condition("two", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	two := &v1alpha1.BrandConnector{}
	w.mustGet("two", two)
	must(t, api.Delete(t.Context(), two))
	w.shared("one", false)

	// Whoever may read the one need not know of the other.
	elsewhere.up(elsewhere.brand("mine", numbered(id)))
	if m := w.shared("one", true); strings.Contains(m, elsewhere.namespace) || !strings.Contains(m, "another namespace") {
		t.Errorf("message: %s", m)
	}
	elsewhere.shared("mine", true)
}

func TestTwoBrandConnectorsOnOneLedgerAreNoFault(t *testing.T) {
	w := newWorld(t)
	id := w.brandID("xiaowang")
	w.up(w.brand("one", numbered(id)))
	w.up(w.brand("two", numbered(id)))
	w.settled("one")
	w.shared("one", false)
	w.shared("two", false)

	// Until one of them gets another.
	w.change("two", func(b *v1alpha1.BrandConnector) { b.Spec.Ledger.Postgres.Schema = "two" })
	w.shared("one", true)
	w.shared("two", true)
}

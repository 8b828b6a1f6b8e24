// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

func TestWhatTheOperatorSetIsToldFromWhatTheAPIServerFilledIn(t *testing.T) {
	d := func(manager string, op metav1.ManagedFieldsOperationType, fields string) *appsv1.Deployment {
		return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: manager, Operation: op, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"connector\"}":` + fields + `}}}}}`)}}}}
	}
	for name, c := range map[string]struct {
		of   *appsv1.Deployment
		want bool
	}{
		"the operator set it":      {d("hexiao", "Apply", `{"f:imagePullPolicy":{}}`), true},
		"the operator set another": {d("hexiao", "Apply", `{"f:image":{}}`), false},
		"somebody else set it":     {d("kubectl", "Apply", `{"f:imagePullPolicy":{}}`), false},
		"it was no apply":          {d("hexiao", "Update", `{"f:imagePullPolicy":{}}`), false},
		"nobody set anything":      {&appsv1.Deployment{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := applies(c.of, "imagePullPolicy"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWhereClassesMayNotBeReadTheOperatorsWordCounts(t *testing.T) {
	live := func(named string, used *v1alpha1.ResolvedStatus) *state {
		b := &v1alpha1.BrandConnector{}
		b.Spec.ConnectorClassName, b.Status.Resolved = named, used
		return &state{brand: b}
	}
	for name, c := range map[string]struct {
		there  *state
		named  string
		hidden bool
		bare   bool // no ledger of its own
		want   Preview
		shown  bool
	}{
		"they may be read, and there is none": {there: live("", nil), shown: true},
		"they may be read, and it is missing": {there: live("gold", nil), named: "gold", want: Preview{Problems: []string{`there is no ConnectorClass "gold", which spec.connectorClassName names: create it, or name another (ClassNotFound)`}}},
		"the operator used none":              {there: live("", &v1alpha1.ResolvedStatus{}), hidden: true, shown: true, want: Preview{Notes: []string{"you may not read ConnectorClasses: the brand is shown without one, because the operator used none when it looked last (status.resolved)"}}},
		"the operator used the default one":   {there: live("", &v1alpha1.ResolvedStatus{ConnectorClassName: "default"}), hidden: true, want: Preview{Problems: []string{"it cannot be compared: ConnectorClass default gives values to the brand, and you may not read it: ask the platform team for the right to get connectorclasses"}}},
		"the file names another than it used": {there: live("", &v1alpha1.ResolvedStatus{}), named: "gold", hidden: true, want: Preview{Problems: []string{"it cannot be compared: ConnectorClass gold gives values to the brand, and you may not read it: ask the platform team for the right to get connectorclasses"}}},
		"the file names none any more":        {there: live("gold", &v1alpha1.ResolvedStatus{ConnectorClassName: "gold"}), hidden: true, shown: true, want: Preview{Notes: []string{`you may not read ConnectorClasses: the brand is shown without one; if there is one called "default", it gives values that are not shown`}}},
		"a new brand without a ledger":        {there: &state{}, hidden: true, bare: true, want: Preview{Problems: []string{"it cannot be compared: spec.ledger is missing, so that a ConnectorClass has to give one, and you may not read ConnectorClasses: ask the platform team for the right to get them"}}},
		"the operator has not looked":         {there: live("", nil), hidden: true, shown: true, want: Preview{Notes: []string{`you may not read ConnectorClasses: the brand is shown without one; if there is one called "default", it gives values that are not shown`}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, brand := &Preview{}, &v1alpha1.BrandConnector{}
			brand.Spec.ConnectorClassName = c.named
			if !c.bare {
				brand.Spec.Ledger.Embedded = &v1alpha1.EmbeddedLedger{}
			}
			if shown := got.withoutClass(c.there, brand, c.hidden); shown != c.shown {
				t.Errorf("shown is %v", shown)
			}
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhichFieldsOfATemplateChange(t *testing.T) {
	container := func(name, image string) map[string]any { return map[string]any{"name": name, "image": image} }
	template := func(containers ...any) map[string]any {
		return map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{"a.b/c": "1"}},
			"spec":     map[string]any{"containers": containers, "args": []any{"x", "y"}},
		}
	}
	for name, c := range map[string]struct {
		a, b any
		want []string
	}{
		"none":                           {template(container("c", "1")), template(container("c", "1")), nil},
		"an image, by container":         {template(container("b", "1"), container("c", "1")), template(container("c", "2"), container("b", "1")), []string{"spec.containers[c].image"}},
		"a container more":               {template(container("c", "1")), template(container("c", "1"), container("d", "1")), []string{"spec.containers[d]"}},
		"a key with dots":                {map[string]any{"m": map[string]any{"a.b/c": "1"}}, map[string]any{"m": map[string]any{"a.b/c": "2"}}, []string{"m[a.b/c]"}},
		"a word of a list, by its place": {map[string]any{"args": []any{"x", "y"}}, map[string]any{"args": []any{"x", "z"}}, []string{"args[1]"}},
		"another type":                   {map[string]any{"x": "1"}, map[string]any{"x": map[string]any{}}, []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, changed(c.a, c.b, "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

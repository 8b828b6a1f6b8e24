// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

func TestAValueOfAnotherTypeIsSaidByItsField(t *testing.T) {
	type leaf struct {
		Text string              `json:"text"`
		Flag *bool               `json:"flag"`
		Many []string            `json:"many"`
		Size *resource.Quantity  `json:"size"`
		Wait *metav1.Duration    `json:"wait"`
		Tags map[string]string   `json:"tags"`
		Raw  []byte              `json:"raw"`
		Any  any                 `json:"any"`
		At   *metav1.Time        `json:"at"`
		Deep []map[string]*int32 `json:"deep"`
	}
	type root struct {
		metav1.TypeMeta `json:",inline"`
		Leaf            leaf `json:"leaf"`
	}
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"what fits":                 {`{"kind":"x","leaf":{"text":"a","flag":true,"many":["b"],"size":"1Gi","wait":"5s","tags":{"a":"b"},"raw":"YQ==","any":[1],"deep":[{"a":1}]}}`, nil},
		"nothing at all":            {`{"leaf":{"text":null,"flag":null,"many":null,"size":null,"tags":null}}`, nil},
		"a size may be a number":    {`{"leaf":{"size":5}}`, nil},
		"text":                      {`{"kind":5,"leaf":{"text":true,"raw":1}}`, []string{"kind: 5 is a number, and text is wanted: put it into quotes", "leaf.text: true is true or false, and text is wanted: put it into quotes", "leaf.raw: 1 is a number, and text is wanted: put it into quotes"}},
		"a flag in quotes":          {`{"leaf":{"flag":"true"}}`, []string{`leaf.flag: "true" is text, and true or false is wanted, without quotes`}},
		"one for a list":            {`{"leaf":{"many":"b"}}`, []string{`leaf.many: it is text, and a list is wanted: begin each of its items with a dash`}},
		"within a list and a map":   {`{"leaf":{"many":["a",1],"deep":[{},{"a/b":1.5}]}}`, []string{"leaf.many[1]: 1 is a number, and text is wanted: put it into quotes", "leaf.deep[1][a/b]: 1.5 is a number, and a whole number is wanted, without quotes"}},
		"a label that is a number":  {`{"leaf":{"tags":{"example.com/cost":7}}}`, []string{"leaf.tags[example.com/cost]: 7 is a number, and text is wanted: put it into quotes"}},
		"text for an object":        {`{"leaf":"x"}`, []string{`leaf: it is text, and an object with fields is wanted: indent them below it`}},
		"an object for text":        {`{"leaf":{"text":{}}}`, []string{"leaf.text: it is an object, and text is wanted: put it into quotes"}},
		"a size without sense":      {`{"leaf":{"size":"1gb"}}`, []string{`leaf.size: "1gb" is text, and a quantity is wanted: a number with a unit such as Ki, Mi, Gi, or m for thousandths: 500Mi, 1Gi, 250m`}},
		"a duration without unit":   {`{"leaf":{"wait":"5"}}`, []string{`leaf.wait: "5" is text, and a duration is wanted, with its unit: 90s, 5m, 1h30m`}},
		"a long text":               {`{"leaf":{"flag":"` + strings.Repeat("x", 50) + `"}}`, []string{`leaf.flag: "` + strings.Repeat("x", 40) + `…" is text, and true or false is wanted, without quotes`}},
		"a field that is not there": {`{"leaf":{"txt":"a","flag":1}}`, []string{"leaf.flag: 1 is a number, and true or false is wanted, without quotes", `unknown field "leaf.txt"`}},
		"a field that is nowhere":   {`{"kind":"x","leef":{}}`, []string{`unknown field "leef"`}},
		"no object at all":          {`"x"`, []string{`it is text, and an object with fields is wanted: indent them below it`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			if err := v1alpha1.Explain([]byte(c.document), &root{}, nil); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// What nothing is said of is what the decoder takes.
			decoder := json.NewDecoder(strings.NewReader(c.document))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(reflect.New(reflect.TypeFor[root]()).Interface()); (err == nil) != (c.want == nil) {
				t.Errorf("the decoder says %v", err)
			}
		})
	}
	other := errors.New("another")
	if got := v1alpha1.Explain([]byte("{"), &root{}, other); !errors.Is(got, other) {
		t.Errorf("what cannot be explained has become %v", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"errors"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Decode reads YAML as an API server does: an unknown field, one in another case and
// one that stands there twice are errors. Each fault is a line of the error; one of a
// value of another type names the field and what to write.
func Decode(raw []byte, into any) error {
	asJSON, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return err
	}
	strict, err := json.UnmarshalStrict(asJSON, into)
	if err = errors.Join(append(strict, err)...); err != nil {
		return Explain(raw, into, err)
	}
	return nil
}

// ParseShops reads the shop table of a ConfigMap, a YAML list of what spec.shops
// takes, and makes the schema's demands on it, because no API server looks there.
// The operator and the connector both judge a table by this function.
func ParseShops(raw []byte) ([]Shop, error) {
	var list []Shop
	if err := Decode(raw, &list); err != nil {
		return nil, err
	}
	v := &validator{}
	v.shopList(field.NewPath("shops"), list)
	return list, v.errs.ToAggregate()
}

// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

// UnknownRevision stands for the revision of the configuration, which is a hash over
// the credentials, too, under a key that only the installation has. A hash without that
// key would let everybody who can guess a credential find out whether the guess is right.
const UnknownRevision = "unknown-without-the-installation"

// Render renders a brand's objects in the order in which the operator applies them.
func Render(b Brand, values []render.Value, i render.Installation) ([]*unstructured.Unstructured, error) {
	out, err := render.Render(render.Inputs{Brand: b.Object, Class: b.Class, Values: values, Installation: i})
	if err != nil {
		return nil, err
	}
	if len(i.RevisionKey) == 0 {
		if err := out.SetConfigRevision(UnknownRevision); err != nil {
			return nil, err
		}
	}
	var objects []*unstructured.Unstructured
	for _, c := range out.Children {
		if c.Apply == nil {
			continue
		}
		object, err := Object(c.Apply)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", c.Kind.Kind, c.Name, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// Object is an apply configuration as what is sent. Owner references are left out when
// the brand has no uid yet: with none the API server refuses the object, and with one
// that is made up the garbage collector deletes it.
func Object(c runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	u, err := Encode(c)
	if err != nil {
		return nil, err
	}
	if owners := u.GetOwnerReferences(); len(owners) > 0 && owners[0].UID == "" {
		u.SetOwnerReferences(nil)
	}
	return u, nil
}

// Encode is an object as what is sent.
func Encode(object any) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("marshal: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(raw, &u.Object); err != nil {
		return nil, fmt.Errorf("unmarshal: %w", err)
	}
	return u, nil
}

// SPDX-License-Identifier: Apache-2.0

// Package crdcheck holds the CRDs that a cluster serves against those of this version.
//
// Helm installs the CRDs of a chart and never upgrades them, and the API server drops fields
// that it does not know without a word: after an upgrade of the operator alone, a manifest
// with a new field is accepted, and the field is gone. So the operator asks which
// fields are served. It asks for the OpenAPI document of its own group, which
// every client that has signed in may read: reading CRDs would take a ClusterRole.
package crdcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Missing is what the cluster does not serve of a CRD.
type Missing struct {
	// CRD is its name, such as brandconnectors.connect.hexiao.dev.
	CRD string
	// Fields of this version that are not served, such as spec.ledger.postgres, without
	// those under them; in the order of the alphabet. Empty when all are.
	Fields []string
}

// Compare asks for the schemas that are served, in one request, and says of each CRD of this
// version what is missing in them. A cluster with newer CRDs misses nothing.
func Compare(ctx context.Context, api rest.Interface, files fs.FS) ([]Missing, error) {
	crds, err := read(files)
	if err != nil {
		return nil, err
	}
	group, version := crds[0].Spec.Group, crds[0].Spec.Versions[0].Name
	raw, err := api.Get().AbsPath("/openapi/v3/apis/"+group+"/"+version).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("ask for the served schemas: %w", err)
	}
	var served document
	if err := json.Unmarshal(raw, &served); err != nil {
		return nil, fmt.Errorf("read the served schemas: %w", err)
	}
	var all []Missing
	for _, crd := range crds {
		m := Missing{CRD: crd.Name}
		live := served.ofKind(crd.Spec.Group, crd.Spec.Names.Kind)
		missing(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, live, "", &m.Fields)
		all = append(all, m)
	}
	return all, nil
}

func read(files fs.FS) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil || len(names) == 0 {
		return nil, errors.Join(errors.New("there are no CRDs of this version"), err)
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the CRDs of this version: %w", err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(raw, crd); err != nil {
			return nil, fmt.Errorf("read the CRD %s of this version: %w", name, err)
		}
		if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema == nil {
			return nil, fmt.Errorf("the CRD %s of this version has not one version with a schema", name)
		}
		all = append(all, crd)
	}
	return all, nil
}

// document is what is read of an OpenAPI document.
type document struct {
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// schema is what is read of a schema. Those of a CRD are written out without references,
// but for the metadata.
type schema struct {
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	// Values of a map; absent, or true or false, where the keys are properties.
	Values json.RawMessage `json:"additionalProperties"`
	Kinds  []struct {
		Group, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

// ofKind is the schema of a kind; empty when it is not served.
func (d *document) ofKind(group, kind string) *schema {
	for _, s := range d.Components.Schemas {
		for _, k := range s.Kinds {
			if k.Group == group && k.Kind == kind {
				return s
			}
		}
	}
	return &schema{}
}

// missing adds the fields of ours that are not in live. at is the field that both stand for.
func missing(ours *apiextensionsv1.JSONSchemaProps, live *schema, at string, fields *[]string) {
	for _, name := range slices.Sorted(maps.Keys(ours.Properties)) {
		field := name
		if at != "" {
			field = at + "." + name
		}
		under, ok := live.Properties[name]
		if !ok || under == nil {
			*fields = append(*fields, field)
			continue
		}
		property := ours.Properties[name]
		missing(&property, under, field, fields)
	}
	if ours.Items != nil && ours.Items.Schema != nil && live.Items != nil {
		missing(ours.Items.Schema, live.Items, at+"[]", fields)
	}
	if ours.AdditionalProperties != nil && ours.AdditionalProperties.Schema != nil {
		values := &schema{}
		if json.Unmarshal(live.Values, values) == nil {
			missing(ours.AdditionalProperties.Schema, values, at+"{}", fields)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
)

// schemaFile is where kubeconform finds the schema of a kind.
const schemaFile = "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json"

// writeSchemas writes the JSON schema of every kind that the API server serves, strict: a
// field that the kind does not have is refused. So nothing has to be downloaded, and CRDs
// are checked like everything else. Returned is the schemas' location for kubeconform.
func (s *server) writeSchemas(t *testing.T, groups ...string) string {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(s.config)
	must(t, err)
	directory := t.TempDir()
	eventually(t, func() error {
		paths, err := client.OpenAPIV3().Paths()
		if err != nil {
			return err
		}
		for _, group := range groups {
			if paths["apis/"+group] == nil {
				return fmt.Errorf("the API server does not describe %s yet", group)
			}
		}
		for path, group := range paths {
			if path != "api/v1" && !strings.HasPrefix(path, "apis/") {
				continue
			}
			raw, err := group.Schema("application/json")
			if err != nil {
				return err
			}
			if err := writeGroup(directory, raw); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		return s.described(directory)
	})
	return filepath.Join(directory, schemaFile)
}

// described says of which CRD's kind no schema was written: the API server describes the
// kinds of a group one after the other.
func (s *server) described(directory string) error {
	crds := &unstructured.UnstructuredList{}
	crds.SetGroupVersionKind(crdKind)
	if err := s.List(context.Background(), crds); err != nil {
		return err
	}
	for _, crd := range crds.Items {
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		written, err := filepath.Glob(filepath.Join(directory, group+"_*_"+strings.ToLower(kind)+".json"))
		if err != nil || len(written) == 0 {
			return errors.Join(err, fmt.Errorf("the API server does not describe %s of %s yet", kind, group))
		}
	}
	return nil
}

// writeGroup writes a schema file for each kind of an OpenAPI document.
func writeGroup(directory string, raw []byte) error {
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return err
	}
	for _, schema := range document.Components.Schemas {
		closeObjects(schema)
	}
	for name, schema := range document.Components.Schemas {
		kinds, _ := schema["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // such as DeleteOptions, which belongs to all groups
			continue
		}
		out, err := json.Marshal(map[string]any{"$ref": "#/components/schemas/" + name, "components": document.Components})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, fileName(kinds[0].(map[string]any))), out, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func fileName(kind map[string]any) string {
	group := fmt.Sprint(kind["group"])
	if group == "" {
		group = fmt.Sprint(kind["version"]) // what kubeconform takes for the group of v1
	}
	return fmt.Sprintf("%s_%s_%s.json", group, kind["version"], strings.ToLower(fmt.Sprint(kind["kind"])))
}

// closeObjects forbids properties that a schema does not name. It does not go into anyOf and
// the like: what stands there only adds to the properties beside it.
func closeObjects(schema map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	_, open := schema["additionalProperties"]
	if preserve, _ := schema["x-kubernetes-preserve-unknown-fields"].(bool); len(properties) > 0 && !open && !preserve {
		schema["additionalProperties"] = false
	}
	for _, property := range properties {
		if p, ok := property.(map[string]any); ok {
			closeObjects(p)
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if p, ok := schema[key].(map[string]any); ok {
			closeObjects(p)
		}
	}
}

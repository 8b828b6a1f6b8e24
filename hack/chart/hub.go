// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	hubBegin = "  # Made by hack/chart: begin.\n"
	hubEnd   = "  # Made by hack/chart: end.\n"
)

// writeAnnotations tells Artifact Hub, in each Chart.yaml, which kinds the chart brings,
// what an object of each looks like, and which images it runs.
func (r repository) writeAnnotations(crds []crd) error {
	examples, err := r.examples(crds)
	if err != nil {
		return err
	}
	images, err := r.images()
	if err != nil {
		return err
	}
	kinds := []any{}
	for _, c := range crds {
		kinds = append(kinds, map[string]any{
			"kind": c.Spec.Names.Kind, "version": c.Spec.Versions[0].Name, "name": c.Name,
			"displayName": displayName(c.Spec.Names.Kind), "description": c.summary(),
		})
	}
	for chart, annotations := range map[string]map[string]any{
		operatorChart: {"crds": kinds, "crdsExamples": examples, "images": images},
		crdChart:      {"crds": kinds, "crdsExamples": examples},
	} {
		var text strings.Builder
		for _, name := range []string{"crds", "crdsExamples", "images"} {
			value, ok := annotations[name]
			if !ok {
				continue
			}
			out, err := yaml.Marshal(value)
			if err != nil {
				return fmt.Errorf("annotate %s with its %s: %w", chart, name, err)
			}
			fmt.Fprintf(&text, "  artifacthub.io/%s: |\n", name)
			for line := range strings.Lines(string(out)) {
				text.WriteString("    " + line)
			}
		}
		if err := r.replaceBetween(chart+"/Chart.yaml", hubBegin, hubEnd, text.String()); err != nil {
			return err
		}
	}
	return nil
}

// examples are, for each kind, the first object of it in config/samples.
func (r repository) examples(crds []crd) ([]any, error) {
	files, err := filepath.Glob(r.path("config/samples/*.yaml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	first := map[string]any{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for doc := range strings.SplitSeq(string(raw), "\n---\n") {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			kind, _ := object["kind"].(string)
			if _, ok := first[kind]; !ok {
				first[kind] = object
			}
		}
	}
	examples := []any{}
	for _, c := range crds {
		if example, ok := first[c.Spec.Names.Kind]; ok {
			examples = append(examples, example)
		}
	}
	return examples, nil
}

// images are those that the operator's chart runs when no value is changed.
func (r repository) images() ([]any, error) {
	type image struct {
		Repository string `json:"repository"`
	}
	var values struct {
		Image     image `json:"image"`
		Connector struct {
			Image image `json:"image"`
		} `json:"connector"`
	}
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	for name, into := range map[string]any{"values.yaml": &values, "Chart.yaml": &chart} {
		raw, err := r.read(operatorChart + "/" + name)
		if err != nil {
			return nil, err
		}
		if err := yaml.Unmarshal(raw, into); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return []any{
		map[string]any{"name": "manager", "image": values.Image.Repository + ":" + chart.AppVersion},
		map[string]any{"name": "connector", "image": values.Connector.Image.Repository + ":" + chart.AppVersion},
	}, nil
}

var inner = regexp.MustCompile(`([a-z])([A-Z])`)

// displayName is a kind in words.
func displayName(kind string) string {
	return inner.ReplaceAllString(kind, "$1 $2")
}

// summary is the first sentence of a kind's description.
func (c crd) summary() string {
	schema := c.Spec.Versions[0].Schema
	if schema == nil || schema.OpenAPIV3Schema == nil {
		return ""
	}
	text := strings.Join(strings.Fields(schema.OpenAPIV3Schema.Description), " ")
	if sentence, _, more := strings.Cut(text, ". "); more {
		return sentence + "."
	}
	return text
}

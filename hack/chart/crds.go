// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const madeFromCRD = "{{- /* Made from config/crd by hack/chart. */}}\n"

// crd is a file of config/crd: its text, and what it says.
type crd struct {
	file string
	text string
	apiextensionsv1.CustomResourceDefinition
}

// crds reads every CRD of config/crd, in the order of their files.
func (r repository) crds() ([]crd, error) {
	files, err := filepath.Glob(r.path("config/crd/connect.hexiao.dev_*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, errors.New("config/crd has no connect.hexiao.dev_*.yaml: run controller-gen first")
	}
	slices.Sort(files)
	var found []crd
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c := crd{file: filepath.Base(file), text: string(raw)}
		if err := yaml.Unmarshal(raw, &c.CustomResourceDefinition); err != nil {
			return nil, fmt.Errorf("read %s: %w", c.file, err)
		}
		found = append(found, c)
	}
	return found, nil
}

// writeCRDs makes each CRD a template of both charts, so that an upgrade of either chart
// upgrades it: what lies in a chart's crds directory is installed once and never again.
func (r repository) writeCRDs(crds []crd) error {
	for chart, when := range map[string]condition{
		operatorChart: {enabled: ".Values.crds.enabled", keep: ".Values.crds.keep"},
		crdChart:      {keep: ".Values.keep"},
	} {
		current := map[string]bool{}
		for _, c := range crds {
			text, err := c.template(when)
			if err != nil {
				return err
			}
			name := chart + "/templates/crd-" + c.Spec.Names.Plural + ".yaml"
			if err := r.write(name, text); err != nil {
				return err
			}
			current[r.path(name)] = true
		}
		if err := r.removeOthers(chart, current); err != nil {
			return err
		}
	}
	return nil
}

// condition has the values that a CRD's template asks.
type condition struct {
	enabled string // whether the CRD is rendered; always when empty
	keep    string // whether Helm keeps it when the release is uninstalled
}

// template keeps the CRD's text as it is: Helm's own YAML functions would turn large
// numbers to floats.
func (c crd) template(when condition) (string, error) {
	if strings.Contains(c.text, "{{") {
		return "", fmt.Errorf("%s has a text that a template would take for its own", c.file)
	}
	const annotations = "  annotations:\n"
	head, tail, ok := strings.Cut(strings.TrimPrefix(c.text, "---\n"), annotations)
	if !ok {
		return "", fmt.Errorf("%s has no annotations", c.file)
	}
	out := head + annotations +
		"    {{- if " + when.keep + " }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n" + tail
	if when.enabled != "" {
		out = "{{- if " + when.enabled + " }}\n" + out + "{{- end }}\n"
	}
	return madeFromCRD + out, nil
}

// removeOthers deletes the templates of CRDs that are no more.
func (r repository) removeOthers(chart string, current map[string]bool) error {
	files, err := filepath.Glob(r.path(chart + "/templates/crd*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if current[file] || !bytes.HasPrefix(raw, []byte(madeFromCRD)) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

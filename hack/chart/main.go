// SPDX-License-Identifier: Apache-2.0

// Command chart writes what the Helm chart has in common with config/: the CRD as a
// template, the operator's rules, the alerts and the dashboard, and the table of values
// in the chart's README. Run it at the root of the repository, after controller-gen.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	chart   = "charts/hexiao"
	crdFile = "config/crd/connect.hexiao.dev_brandconnectors.yaml"
	rules   = "config/rbac/role.yaml"

	tableBegin = "<!-- values: begin -->\n"
	tableEnd   = "<!-- values: end -->\n"
)

func main() {
	if err := errors.Join(writeCRD(), writeRules(), writeMonitoring(), writeTable()); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// writeCRD makes the CRD a template, so that an upgrade of the chart upgrades it. The
// text is kept as it is: Helm's own YAML functions would turn large numbers to floats.
func writeCRD() error {
	raw, err := os.ReadFile(crdFile)
	if err != nil {
		return err
	}
	if bytes.Contains(raw, []byte("{{")) {
		return fmt.Errorf("%s has a text that a template would take for its own", crdFile)
	}
	const annotations = "  annotations:\n"
	text := strings.TrimPrefix(string(raw), "---\n")
	head, tail, ok := strings.Cut(text, annotations)
	if !ok {
		return fmt.Errorf("%s has no annotations", crdFile)
	}
	out := "{{- /* Made from config/crd by hack/chart. */}}\n{{- if .Values.crds.enabled }}\n" + head + annotations +
		"    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n" + tail + "{{- end }}\n"
	return write("templates/crd.yaml", out)
}

// writeRules puts the rules of the two roles where the chart can include them.
func writeRules() error {
	raw, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	files := map[string]string{"ClusterRole": "files/brand-rules.yaml", "Role": "files/operator-rules.yaml"}
	for doc := range strings.SplitSeq(string(raw), "---\n") {
		var role struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			return fmt.Errorf("read %s: %w", rules, err)
		}
		at := strings.Index(doc, "rules:\n")
		if at < 0 || files[role.Kind] == "" {
			continue
		}
		if err := write(files[role.Kind], "# Made from config/rbac by hack/chart.\n"+doc[at:]); err != nil {
			return err
		}
		delete(files, role.Kind)
	}
	if len(files) > 0 {
		return fmt.Errorf("%s lacks a ClusterRole or a Role", rules)
	}
	return nil
}

// writeMonitoring puts the alerts and the dashboard where the chart can include them. They
// are included as they are: what looks like a template in them is for Prometheus and Grafana.
func writeMonitoring() error {
	for from, to := range map[string]string{
		"config/prometheus/rules.yaml": "files/alerts.yaml",
		"config/grafana/hexiao.json":   "files/dashboard.json",
	} {
		raw, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := write(to, string(raw)); err != nil {
			return err
		}
	}
	return nil
}

// writeTable puts each value with its comment and its default into the README.
func writeTable() error {
	raw, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("read values.yaml: %w", err)
	}
	var table strings.Builder
	table.WriteString("| value | default | meaning |\n| --- | --- | --- |\n")
	if err := rows(&table, "", doc.Content[0]); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(chart, "README.md"))
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(readme), tableBegin)
	_, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return errors.New("README.md has no place for the table of values")
	}
	return write("README.md", head+tableBegin+table.String()+tableEnd+tail)
}

func rows(table *strings.Builder, prefix string, node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		comment, documented := strings.CutPrefix(key.HeadComment, "# -- ")
		if !documented {
			if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
				return fmt.Errorf("values.yaml: %s has no comment", path)
			}
			if err := rows(table, path+".", value); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "| `%s` | `%s` | %s |\n", path, compact(value), strings.ReplaceAll(comment, "\n# ", " "))
	}
	return nil
}

// compact prints a value on one line.
func compact(value *yaml.Node) string {
	switch {
	case value.Kind == yaml.ScalarNode && value.Value == "":
		return `""`
	case value.Kind == yaml.ScalarNode:
		return value.Value
	}
	flow := *value
	flow.Style = yaml.FlowStyle
	out, err := yaml.Marshal(&flow)
	if err != nil {
		return "…"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func write(name, content string) error {
	path := filepath.Join(chart, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

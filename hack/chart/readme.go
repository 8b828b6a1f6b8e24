// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	tableBegin = "<!-- values: begin -->\n"
	tableEnd   = "<!-- values: end -->\n"
)

// writeTables puts each value with its comment and its default into the chart's README.
func (r repository) writeTables() error {
	for _, chart := range []string{operatorChart, crdChart} {
		raw, err := r.read(chart + "/values.yaml")
		if err != nil {
			return err
		}
		table, err := valuesTable(raw)
		if err != nil {
			return fmt.Errorf("%s/values.yaml: %w", chart, err)
		}
		if err := r.replaceBetween(chart+"/README.md", tableBegin, tableEnd, table); err != nil {
			return err
		}
	}
	return nil
}

func valuesTable(values []byte) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(values, &doc); err != nil {
		return "", err
	}
	var table strings.Builder
	table.WriteString("| value | default | meaning |\n| --- | --- | --- |\n")
	err := eachValue("", doc.Content[0], func(path, comment string, value *yaml.Node) error {
		fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", path, compact(value), strings.ReplaceAll(comment, "|", `\|`))
		return nil
	})
	return table.String(), err
}

// eachValue goes through the values that have a comment, with their paths. What has none
// must be a group of such.
func eachValue(prefix string, node *yaml.Node, do func(path, comment string, value *yaml.Node) error) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		comment, documented := strings.CutPrefix(key.HeadComment, "# -- ")
		var err error
		switch {
		case documented:
			err = do(path, strings.ReplaceAll(comment, "\n# ", " "), value)
		case value.Kind != yaml.MappingNode || len(value.Content) == 0:
			err = fmt.Errorf("%s has no comment that begins with '# -- '", path)
		default:
			err = eachValue(path+".", value, do)
		}
		if err != nil {
			return err
		}
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

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeDescriptions gives each value of a chart's schema the comment that it has in
// values.yaml, so that an editor shows it. Everything else in the schema is written by hand.
func (r repository) writeDescriptions() error {
	for _, chart := range []string{operatorChart, crdChart} {
		values, err := r.read(chart + "/values.yaml")
		if err != nil {
			return err
		}
		schema, err := r.read(chart + "/values.schema.json")
		if err != nil {
			return err
		}
		described, err := describe(schema, values)
		if err != nil {
			return fmt.Errorf("%s/values.schema.json: %w", chart, err)
		}
		if err := r.write(chart+"/values.schema.json", described); err != nil {
			return err
		}
	}
	return nil
}

func describe(schema, values []byte) (string, error) {
	var s, v yaml.Node // JSON is YAML, and a node keeps the order of its keys
	if err := yaml.Unmarshal(schema, &s); err != nil {
		return "", err
	}
	if err := yaml.Unmarshal(values, &v); err != nil {
		return "", err
	}
	err := eachValue("", v.Content[0], func(path, comment string, _ *yaml.Node) error {
		at := s.Content[0]
		for key := range strings.SplitSeq(path, ".") {
			if at = member(member(at, "properties"), key); at == nil {
				return fmt.Errorf("it does not have %s", path)
			}
		}
		setDescription(at, comment)
		return nil
	})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := writeJSON(&out, s.Content[0], ""); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

// member is a key's value in an object, or nil.
func member(object *yaml.Node, key string) *yaml.Node {
	if object == nil {
		return nil
	}
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return object.Content[i+1]
		}
	}
	return nil
}

// setDescription puts the description first. A $ref goes into an allOf, for what stands
// beside a $ref is not read.
func setDescription(object *yaml.Node, text string) {
	if d := member(object, "description"); d != nil {
		d.SetString(text)
		return
	}
	if ref := member(object, "$ref"); ref != nil {
		inner := *object
		*object = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			scalar("allOf"), {Kind: yaml.SequenceNode, Content: []*yaml.Node{&inner}},
		}}
	}
	object.Content = append([]*yaml.Node{scalar("description"), scalar(text)}, object.Content...)
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// lineLength is how long a line of the schema may be before it is broken.
const lineLength = 140

// writeJSON writes what fits on a line there, and breaks the rest.
func writeJSON(out *bytes.Buffer, node *yaml.Node, indent string) error {
	var short bytes.Buffer
	if err := writeShort(&short, node); err != nil {
		return err
	}
	simple := node.Kind == yaml.ScalarNode || len(node.Content) == 0
	if simple || (indent != "" && len(indent)+short.Len() <= lineLength && member(node, "properties") == nil) {
		_, err := short.WriteTo(out)
		return err
	}
	open, end, step := "{", "}", 2
	if node.Kind == yaml.SequenceNode {
		open, end, step = "[", "]", 1
	}
	deeper := indent + "  "
	out.WriteString(open)
	for i := 0; i < len(node.Content); i += step {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n" + deeper)
		if step == 2 {
			if err := writeShort(out, node.Content[i]); err != nil {
				return err
			}
			out.WriteString(": ")
		}
		if err := writeJSON(out, node.Content[i+step-1], deeper); err != nil {
			return err
		}
	}
	out.WriteString("\n" + indent + end)
	return nil
}

func writeShort(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				out.WriteString(", ")
			}
			if err := writeShort(out, node.Content[i]); err != nil {
				return err
			}
			out.WriteString(": ")
			if err := writeShort(out, node.Content[i+1]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
		return nil
	case yaml.SequenceNode:
		out.WriteByte('[')
		for i, item := range node.Content {
			if i > 0 {
				out.WriteString(", ")
			}
			if err := writeShort(out, item); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	default:
		var value any
		if err := node.Decode(&value); err != nil {
			return err
		}
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return err
		}
		out.Truncate(out.Len() - 1) // the line end
		return nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package censor

import (
	"encoding/json"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

// plainEnv are the environment variables whose values are shown: the operator's own,
// and the Go run time's.
var plainEnv = map[string]bool{"TRACEPARENT": true, "GOMEMLIMIT": true, "GOMAXPROCS": true, "GOGC": true, "TZ": true, "OTEL_RESOURCE_ATTRIBUTES": true}

// Object masks a Kubernetes object in place: what Text masks in each of its strings, the
// values of environment variables, those of telling names, and each value of a Secret.
// Objects within annotations and files are masked as objects. managedFields go.
func (c *Censor) Object(object map[string]any) {
	if meta, ok := object["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
	}
	c.fields(object)
}

func (c *Censor) fields(object map[string]any) {
	if object["kind"] == "Secret" && object["apiVersion"] == "v1" {
		for _, name := range []string{"data", "stringData"} {
			if values, ok := object[name].(map[string]any); ok {
				for key := range values {
					values[key] = c.mask()
				}
			}
		}
	}
	for key, value := range object {
		switch {
		case key == "env":
			object[key] = c.env(value)
		case telling(key) && scalar(value):
			object[key] = c.mask()
		default:
			object[key] = c.value(value)
		}
		if clean := c.Text(key); clean != key {
			object[clean] = object[key]
			delete(object, key)
		}
	}
}

// telling: a name of secrets, or an annotation's that ends in one.
func telling(key string) bool { return sensitive(key[strings.LastIndex(key, "/")+1:]) }

func scalar(value any) bool {
	switch v := value.(type) {
	case nil, bool, map[string]any, []any:
		return false
	case string:
		return !harmless(v)
	}
	return true
}

func (c *Censor) mask() string {
	c.Masked++
	return redact.Mask
}

func (c *Censor) value(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c.fields(v)
		return v
	case []any:
		for i := range v {
			v[i] = c.value(v[i])
		}
		return v
	case string:
		return c.string(v)
	}
	return value
}

// env masks the values of a container's variables, or of anything that is called env.
func (c *Censor) env(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			entry, ok := v[i].(map[string]any)
			if !ok {
				v[i] = c.value(v[i])
				continue
			}
			name, _ := entry["name"].(string)
			if shown, has := entry["value"]; has && shown != "" && !plainEnv[name] {
				entry["value"] = c.mask()
			}
			c.fields(entry)
		}
		return v
	case map[string]any:
		for key := range v {
			if scalar(v[key]) && !plainEnv[key] {
				v[key] = c.mask()
			}
		}
	}
	return c.value(value)
}

// string masks a text that may be an object itself: last-applied-configuration, a
// file of a ConfigMap.
func (c *Censor) string(text string) string {
	text = c.maskValues(text)
	trimmed := strings.TrimSpace(text)
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var inner any
		if exactly(json.NewDecoder(strings.NewReader(trimmed))).Decode(&inner) == nil {
			if raw, err := json.Marshal(c.value(inner)); err == nil {
				return c.Text(string(raw))
			}
		}
	}
	if strings.Contains(trimmed, "\n") {
		var inner map[string]any
		if yaml.Unmarshal([]byte(text), &inner, exactly) == nil && len(inner) > 0 {
			c.fields(inner)
			if raw, err := yaml.Marshal(inner); err == nil {
				return c.Text(string(raw))
			}
		}
	}
	return c.Text(text)
}

// exactly keeps numbers as they are written.
func exactly(d *json.Decoder) *json.Decoder {
	d.UseNumber()
	return d
}

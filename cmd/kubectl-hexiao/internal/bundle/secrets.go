// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var secretKind = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// plainTypes are Secrets that hold no credentials of their own: a Helm release is a
// compressed record, whose text stands nowhere else.
var plainTypes = map[string]bool{"helm.sh/release.v1": true}

// learn teaches the censor every Secret that the caller may read in the namespaces
// that are looked at: all of them, or, where they may not be listed, those that the
// brands name, one by one.
func (r *run) learn(ctx context.Context, operators []map[string]any) {
	named := map[string][]string{}
	for _, b := range r.brands {
		named[b.Namespace] = append(named[b.Namespace], secretNames(b.object)...)
	}
	for _, o := range operators {
		namespace := (&unstructured.Unstructured{Object: o}).GetNamespace()
		named[namespace] = append(named[namespace], secretNames(o)...)
	}
	for _, namespace := range slices.Sorted(maps.Keys(named)) {
		r.Progress("Secrets of namespace " + namespace)
		list, err := r.list(ctx, secretKind, namespace, "")
		if err != nil {
			r.refuse("list of the Secrets in namespace "+namespace+" (those that are named are read one by one)", err)
			r.manifest.Redaction.NotRead = append(r.manifest.Redaction.NotRead, namespace+"/*")
			list = r.each(ctx, namespace, named[namespace])
		}
		for _, s := range list {
			r.learnSecret(s)
		}
	}
}

// each reads the named Secrets.
func (r *run) each(ctx context.Context, namespace string, names []string) (found []map[string]any) {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s, err := r.get(ctx, secretKind, namespace, name)
		if err != nil {
			r.refuse("Secret "+namespace+"/"+name, err)
			r.manifest.Redaction.NotRead = append(r.manifest.Redaction.NotRead, namespace+"/"+name)
			continue
		}
		found = append(found, s)
	}
	return found
}

func (r *run) learnSecret(s map[string]any) {
	u := unstructured.Unstructured{Object: s}
	kind, _ := s["type"].(string)
	if plainTypes[kind] {
		return
	}
	r.manifest.Redaction.Secrets++
	data, _ := s["data"].(map[string]any)
	for key, v := range data {
		if kind == "kubernetes.io/service-account-token" && key == "namespace" {
			continue
		}
		text, _ := v.(string)
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(value) == 0 {
			continue
		}
		if !r.censor.Learn(value) {
			r.manifest.Redaction.NotLookedFor = append(r.manifest.Redaction.NotLookedFor, u.GetNamespace()+"/"+u.GetName()+" "+key)
		}
	}
	slices.Sort(r.manifest.Redaction.NotLookedFor)
}

// secretNames are the names of the Secrets that an object refers to, wherever in it.
func secretNames(v any) (names []string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			names = append(names, secretNames(item)...)
		}
	case map[string]any:
		for key, item := range v {
			inner, _ := item.(map[string]any)
			name, _ := inner["name"].(string)
			switch lower := strings.ToLower(key); {
			case key == "secretName":
				name, _ = item.(string)
			case key == "imagePullSecrets":
				names = append(names, fields(item, "name")...)
				continue
			case !strings.HasSuffix(lower, "secretref") && !strings.HasSuffix(lower, "secretkeyref"):
				name = ""
			}
			if name != "" {
				names = append(names, name)
			}
			names = append(names, secretNames(item)...)
		}
	}
	return names
}

func fields(list any, name string) (all []string) {
	items, _ := list.([]any)
	for _, item := range items {
		m, _ := item.(map[string]any)
		if text, ok := m[name].(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// secretsFile says of each Secret that a brand names whether it is there and which keys
// it has. Never a value, nor its length.
func (r *run) secretsFile(ctx context.Context, b brand, names []string) string {
	slices.Sort(names)
	var text strings.Builder
	text.WriteString("# The Secrets that " + b.String() + " refers to: names and keys. Values are not in this bundle.\n")
	for _, name := range slices.Compact(names) {
		s, err := r.get(ctx, secretKind, b.Namespace, name)
		if err != nil {
			fmt.Fprintf(&text, "%s: not read: %s\n", name, err)
			continue
		}
		data, _ := s["data"].(map[string]any)
		kind, _ := s["type"].(string)
		fmt.Fprintf(&text, "%s (%s): %s\n", name, cmp.Or(kind, "Opaque"), strings.Join(slices.Sorted(maps.Keys(data)), ", "))
	}
	return text.String()
}

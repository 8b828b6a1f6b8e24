// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	batchv1 "k8s.io/client-go/applyconfigurations/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// installation is the same for all releases. Its image and its key go into each
// template, and neither of them changes with the code.
var installation = render.Installation{
	Image:       "registry.example/hexiao-connector@sha256:0123",
	RevisionKey: []byte("the key of the golden diff gate"),
}

// rendered renders each brand of a directory with the code as it is.
func rendered(dir string) (templates, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+inputSuffix))
	if err != nil {
		return nil, err
	}
	all := templates{}
	for _, file := range files {
		of, err := templatesOf(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), inputSuffix)
		for object, template := range of {
			all[name+"/"+object] = template
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no brands", dir)
	}
	return all, nil
}

// recorded reads the templates that record wrote.
func recorded(dir string) (templates, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+outputSuffix))
	if err != nil {
		return nil, err
	}
	all := templates{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		of := templates{}
		if err := yaml.Unmarshal(raw, &of); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), outputSuffix)
		for object, template := range of {
			all[name+"/"+object] = template
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no templates", dir)
	}
	return all, nil
}

// record copies the brands of a directory and writes their templates beside them.
func record(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*"+inputSuffix))
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		of, err := templatesOf(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		out, err := yaml.Marshal(of)
		if err != nil {
			return err
		}
		copied := filepath.Join(to, filepath.Base(file))
		if err := os.WriteFile(copied, raw, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(strings.TrimSuffix(copied, inputSuffix)+outputSuffix, out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// templatesOf renders the brand of one file, in which are its class, Secrets and ConfigMaps too.
func templatesOf(file string) (templates, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	in, err := inputs(raw)
	if err != nil {
		return nil, err
	}
	out, err := render.Render(in)
	if err != nil {
		return nil, err
	}
	of := templates{}
	for _, c := range out.Children {
		var template any
		switch object := c.Apply.(type) {
		case *appsv1.DeploymentApplyConfiguration:
			// The hash decides whether a Deployment's trace context stays, which is on
			// the template too: a hash of another kind restarts what it is on.
			template = map[string]any{"template": object.Spec.Template, "templateHash": out.TemplateHash}
		case *batchv1.CronJobApplyConfiguration:
			template = map[string]any{"template": object.Spec.JobTemplate.Spec.Template}
		default:
			continue
		}
		if of[c.Kind.Kind+" "+c.Name], err = plain(template); err != nil {
			return nil, err
		}
	}
	return of, nil
}

func inputs(raw []byte) (render.Inputs, error) {
	in := render.Inputs{Brand: &v1alpha1.BrandConnector{}, Installation: installation}
	values := map[string]string{}
	for _, doc := range bytes.Split(raw, []byte("\n---\n")) {
		var meta metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &meta); err != nil {
			return in, err
		}
		id := meta.Kind + "/" + meta.Name + "/"
		switch meta.Kind {
		case v1alpha1.KindBrandConnector:
			if err := yaml.UnmarshalStrict(doc, in.Brand); err != nil {
				return in, fmt.Errorf("a brand of the last release is no longer valid: %w", err)
			}
		case v1alpha1.KindConnectorClass:
			in.Class = &v1alpha1.ConnectorClass{}
			if err := yaml.UnmarshalStrict(doc, in.Class); err != nil {
				return in, fmt.Errorf("a class of the last release is no longer valid: %w", err)
			}
		case string(render.SourceSecret):
			var secret corev1.Secret
			if err := yaml.UnmarshalStrict(doc, &secret); err != nil {
				return in, err
			}
			for key, value := range secret.StringData {
				values[id+key] = value
			}
		case string(render.SourceConfigMap):
			var configMap corev1.ConfigMap
			if err := yaml.UnmarshalStrict(doc, &configMap); err != nil {
				return in, err
			}
			for key, value := range configMap.Data {
				values[id+key] = value
			}
		default:
			return in, fmt.Errorf("unexpected kind %q", meta.Kind)
		}
	}
	for _, n := range render.Needs(v1alpha1.Resolve(in.Brand, in.Class)) {
		if v, ok := values[string(n.Source)+"/"+n.Name+"/"+n.Key]; ok {
			in.Values = append(in.Values, render.Value{Need: n, Bytes: []byte(v)})
		}
	}
	return in, nil
}

// plain turns a value into what JSON makes of it.
func plain(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(raw, &out)
}

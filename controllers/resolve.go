// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// resolve reads what the brand refers to, past the cache, each object once. It sets
// s.values when nothing is missing.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	values := []render.Value{}
	objects := map[string]map[string][]byte{}
	for _, need := range render.Needs(s.brand) {
		id := string(need.Source) + "/" + need.Name
		data, read := objects[id]
		if !read {
			var err error
			data, err = r.read(ctx, s.key.Namespace, need)
			if apierrors.IsNotFound(err) {
				s.fault(unresolved(notFoundReason(need.Source), fmt.Sprintf(
					"%s %s, which %s names, does not exist in this namespace: create it", need.Source, need.Name, need.Field)))
				data = nil
			} else if err != nil {
				return fmt.Errorf("read %s %s: %w", need.Source, need.Name, err)
			}
			objects[id] = data
		}
		if data == nil {
			continue // said already
		}
		value, f := check(need, data)
		if f != nil {
			s.fault(*f)
		} else if value != nil {
			values = append(values, render.Value{Need: need, Bytes: value})
		}
	}
	if _, missing := s.faultOf(v1alpha1.ConditionCredentialsResolved); !missing {
		s.values = values
	}
	return nil
}

// read gets an object's data, not nil even when it is empty.
func (r *Reconciler) read(ctx context.Context, namespace string, need render.Need) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: namespace, Name: need.Name}
	data := map[string][]byte{}
	if need.Source == render.SourceSecret {
		var secret corev1.Secret
		if err := r.APIReader.Get(ctx, key, &secret); err != nil {
			return nil, err
		}
		for k, v := range secret.Data {
			data[k] = v
		}
		return data, nil
	}
	var configMap corev1.ConfigMap
	if err := r.APIReader.Get(ctx, key, &configMap); err != nil {
		return nil, err
	}
	for k, v := range configMap.BinaryData {
		data[k] = v
	}
	for k, v := range configMap.Data {
		data[k] = []byte(v)
	}
	return data, nil
}

// check finds the value of a need in an object's data: nil without a fault when it
// is optional and not there. Its faults never repeat a value.
func check(need render.Need, data map[string][]byte) ([]byte, *fault) {
	value, ok := data[need.Key]
	switch {
	case !ok && need.Optional:
		return nil, nil
	case !ok:
		reason := v1alpha1.ReasonSecretKeyMissing
		if need.Source == render.SourceConfigMap {
			reason = v1alpha1.ReasonConfigMapKeyMissing
		}
		return nil, new(unresolved(reason, fmt.Sprintf(
			"%s %s, which %s names, has no key %s: add it", need.Source, need.Name, need.Field, need.Key)))
	case need.Source == render.SourceSecret && len(bytes.TrimSpace(value)) == 0:
		return nil, new(unresolved(v1alpha1.ReasonSecretKeyInvalid, fmt.Sprintf(
			"Secret %s, which %s names, has nothing in its key %s: fill it", need.Name, need.Field, need.Key)))
	case need.Source == render.SourceConfigMap:
		if _, err := v1alpha1.ParseShops(value); err != nil {
			return nil, new(unresolved(v1alpha1.ReasonConfigMapInvalid, fmt.Sprintf(
				"ConfigMap %s, key %s: it is no list of shops: %s", need.Name, need.Key, firstLine(err.Error()))))
		}
	}
	return value, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func unresolved(reason, message string) fault {
	return fault{condition: v1alpha1.ConditionCredentialsResolved, reason: reason, message: message, stalled: true}
}

func notFoundReason(source render.Source) string {
	if source == render.SourceConfigMap {
		return v1alpha1.ReasonConfigMapNotFound
	}
	return v1alpha1.ReasonSecretNotFound
}

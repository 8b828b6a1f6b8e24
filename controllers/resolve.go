// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// resolve reads what the brand refers to, past the cache, each object once. It sets
// s.known, and s.values when nothing is missing.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	if s.resolved == nil {
		return nil
	}
	moved, err := r.ledgerMoved(ctx, s)
	if err != nil {
		return err
	}
	values := []render.Value{}
	s.known = []render.Value{}
	objects := map[string]map[string][]byte{}
	for _, need := range render.Needs(s.resolved) {
		if moved && need.DSN {
			continue // nobody should make the Secret of the wrong ledger
		}
		id := string(need.Source) + "/" + need.Name
		data, read := objects[id]
		if !read {
			var err error
			data, err = r.read(ctx, s, need)
			if apierrors.IsNotFound(err) {
				s.fault(unresolved(need, notFoundReason(need.Source), "does not exist in this namespace: create it"))
				data = nil
			} else if err != nil {
				return fmt.Errorf("read %s %s: %w", need.Source, need.Name, err)
			}
			objects[id] = data
		}
		if data == nil {
			continue // said already
		}
		s.known = append(s.known, render.Value{Need: need, Bytes: data[need.Key]})
		value, f := check(need, data)
		if f != nil {
			s.fault(*f)
		} else if value != nil {
			values = append(values, render.Value{Need: need, Bytes: value})
		}
	}
	if _, missing := s.faultOf(v1alpha1.ConditionCredentialsResolved); !missing && !moved {
		s.values = values
	}
	r.Metrics.secrets.set(s.key, s.secrets)
	return nil
}

// anyKnown is what can be read of the values of a brand that resolve did not look at, such as
// one that is suspended.
func (r *Reconciler) anyKnown(ctx context.Context, s *scope) []render.Value {
	values := []render.Value{}
	for _, need := range render.Needs(s.whole()) {
		if data, err := r.read(ctx, s, need); err == nil {
			values = append(values, render.Value{Need: need, Bytes: data[need.Key]})
		}
	}
	return values
}

// read gets an object's data, not nil even when it is empty, and notes when it was
// written last.
func (r *Reconciler) read(ctx context.Context, s *scope, need render.Need) (map[string][]byte, error) {
	key := client.ObjectKey{Namespace: s.key.Namespace, Name: need.Name}
	data := map[string][]byte{}
	if need.Source == render.SourceSecret {
		var secret corev1.Secret
		if err := r.APIReader.Get(ctx, key, &secret); err != nil {
			return nil, err
		}
		s.wrote(&secret)
		if s.secrets == nil {
			s.secrets = map[string]time.Time{}
		}
		s.secrets[need.Name] = dataWritten(&secret)
		for k, v := range secret.Data {
			data[k] = v
		}
		return data, nil
	}
	var configMap corev1.ConfigMap
	if err := r.APIReader.Get(ctx, key, &configMap); err != nil {
		return nil, err
	}
	s.wrote(&configMap)
	for k, v := range configMap.BinaryData {
		data[k] = v
	}
	for k, v := range configMap.Data {
		data[k] = []byte(v)
	}
	return data, nil
}

// wrote notes when an object was written last, as far as the API server knows: to the
// second, and not for every way of writing.
func (s *scope) wrote(o client.Object) {
	for _, f := range o.GetManagedFields() {
		if f.Time != nil && f.Time.After(s.written) {
			s.written = f.Time.Time
		}
	}
}

// check finds the value of a need in an object's data: nil without a fault when it
// is optional and not there. Its faults never repeat a value.
func check(need render.Need, data map[string][]byte) ([]byte, *fault) {
	value, ok := data[need.Key]
	switch {
	case !ok && need.Optional:
		return nil, nil
	case !ok && need.Source == render.SourceConfigMap:
		return nil, new(unresolved(need, v1alpha1.ReasonConfigMapKeyMissing, "has no key "+need.Key+": add it"))
	case !ok:
		return nil, new(unresolved(need, v1alpha1.ReasonSecretKeyMissing, "has no key "+need.Key+": add it"))
	case need.Source == render.SourceConfigMap:
		if _, err := v1alpha1.ParseShops(value); err != nil {
			return nil, new(unresolved(need, v1alpha1.ReasonConfigMapInvalid,
				"holds no list of shops in its key "+need.Key+": "+firstLine(err.Error())))
		}
		return value, nil
	}
	_, err := reading(need)(value)
	if errors.Is(err, v1alpha1.ErrEmptyCredential) && need.Optional {
		return nil, nil // as the connector has it
	}
	if err != nil {
		return nil, new(unresolved(need, v1alpha1.ReasonSecretKeyInvalid,
			"cannot be used: its key "+need.Key+" "+err.Error()))
	}
	return value, nil
}

// reading is how the connector reads a key.
func reading(need render.Need) func([]byte) (string, error) {
	if need.DSN {
		return v1alpha1.ReadDSN
	}
	return v1alpha1.ReadCredential
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// unresolved is the fault of a reference: what names it, and what is wrong with it.
func unresolved(need render.Need, reason, problem string) fault {
	f := fault{condition: v1alpha1.ConditionCredentialsResolved, reason: reason, stalled: true,
		source: need.Source, object: need.Name, key: need.Key,
		message: fmt.Sprintf("%s %s, which %s names, %s", need.Source, need.Name, need.Field, problem)}
	if reason == notFoundReason(need.Source) {
		f.key = ""
	}
	return f
}

func notFoundReason(source render.Source) string {
	if source == render.SourceConfigMap {
		return v1alpha1.ReasonConfigMapNotFound
	}
	return v1alpha1.ReasonSecretNotFound
}

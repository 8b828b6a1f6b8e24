// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/controllers/render"
)

// fingerprint changes when somebody changed what the operator may have a say in, and
// stays when only an object's status moved. The generation stands for the spec, where
// the API server keeps one; where it does not, the resourceVersion stands for all.
//
// A HorizontalPodAutoscaler writes its status every few seconds and has no
// generation on older servers: its spec is hashed.
func fingerprint(kind schema.GroupVersionKind, o client.Object) string {
	if kind != render.AutoscalerKind && o.GetGeneration() == 0 {
		return string(o.GetUID()) + "/" + o.GetResourceVersion()
	}
	intent := struct {
		UID         string
		Generation  int64
		Deleted     bool
		Labels      map[string]string
		Annotations map[string]string
		Owners      []metav1.OwnerReference
		Spec        any
	}{
		UID:         string(o.GetUID()),
		Generation:  o.GetGeneration(),
		Deleted:     o.GetDeletionTimestamp() != nil,
		Labels:      o.GetLabels(),
		Annotations: withoutControllers(o.GetAnnotations()),
		Owners:      o.GetOwnerReferences(),
	}
	if u, ok := o.(*unstructured.Unstructured); ok && kind == render.AutoscalerKind {
		intent.Generation = 0
		intent.Spec = u.Object["spec"]
	}
	return digest(intent)
}

// withoutControllers leaves out what Kubernetes' own controllers note on an object.
func withoutControllers(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	maps.DeleteFunc(kept, func(k, _ string) bool {
		return strings.HasPrefix(k, "deployment.kubernetes.io/") || strings.HasPrefix(k, "autoscaling.alpha.kubernetes.io/")
	})
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// digest is a hash of a value's JSON, whose maps are sorted.
func digest(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		// Only maps, texts and numbers come here.
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

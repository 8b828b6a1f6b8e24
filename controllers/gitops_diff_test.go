// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// manifest is a brand as its team keeps it in Git.
type manifest struct {
	*world
	raw  []byte // JSON
	name string
}

// inGit reads a sample, and makes the Secrets that it names.
func (w *world) inGit(path string) manifest {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	must(w.t, err)
	o := &unstructured.Unstructured{}
	must(w.t, yaml.UnmarshalStrict(raw, &o.Object))
	o.SetNamespace(w.namespace)
	m := manifest{world: w, name: o.GetName()}
	m.raw, err = json.Marshal(o)
	must(w.t, err)
	w.secret("xiaowang-keruyun", map[string]string{"appKey": "a", "token": "t"})
	w.secret("xiaowang-zhimai", map[string]string{"openId": "i", "openKey": "k", "grantCode": "g"})
	w.secret("xiaowang-alsc", map[string]string{"appKey": "1", "appSecret": "s"})
	return m
}

// apply does what `kubectl apply --server-side` does, and with DryRunAll what `kubectl
// diff --server-side` asks.
func (m manifest) apply(options ...client.PatchOption) *unstructured.Unstructured {
	m.t.Helper()
	o := &unstructured.Unstructured{}
	must(m.t, json.Unmarshal(m.raw, &o.Object))
	must(m.t, api.Patch(m.t.Context(), o, client.RawPatch(types.ApplyPatchType, m.raw), append(options, client.FieldOwner("kubectl"))...))
	return o
}

// diff says what applying the manifest again would change.
func (m manifest) diff() string {
	m.t.Helper()
	read := func() *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("BrandConnector"))
		m.mustGet(m.name, o)
		return o
	}
	for {
		live := read()
		merged := m.apply(client.DryRunAll)
		if read().GetResourceVersion() != live.GetResourceVersion() {
			continue // the operator wrote the status in between
		}
		for _, o := range []*unstructured.Unstructured{live, merged} {
			fields := o.GetManagedFields()
			for i := range fields {
				fields[i].Time = nil
			}
			o.SetManagedFields(fields)
		}
		return cmp.Diff(live.Object, merged.Object)
	}
}

// owned says which fields the operator owns that are not the status.
func (m manifest) owned() string {
	m.t.Helper()
	b := &v1alpha1.BrandConnector{}
	m.mustGet(m.name, b)
	for _, f := range b.ManagedFields {
		if f.Subresource != "status" && f.Manager != "kubectl" && f.Manager != "kubectl-annotate" {
			return fmt.Sprintf("%s owns %s", f.Manager, f.FieldsV1)
		}
	}
	return ""
}

func TestApplyingAManifestAgainChangesNothing(t *testing.T) {
	for name, path := range map[string]string{
		"a brand on the embedded ledger": "../config/samples/xiaowang.yaml",
		"a brand on PostgreSQL":          "../config/samples/xiaowang-postgres.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			m := newWorld(t).inGit(path)
			m.secret("xiaowang-tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
			check := func(when string) {
				t.Helper()
				if diff := m.diff(); diff != "" {
					t.Errorf("%s, applying the manifest again would change (-live +applied):\n%s", when, diff)
				}
				if owned := m.owned(); owned != "" {
					t.Errorf("%s, %s", when, owned)
				}
			}
			m.apply()
			check("at once")
			m.rollOut(m.name)
			m.condition(m.name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
			check("when it serves")

			for round := range 3 {
				before := m.revision(m.name)
				m.secret("xiaowang-zhimai", map[string]string{"openId": "i", "openKey": fmt.Sprintf("rotated-%d", round), "grantCode": "g"})
				m.eventually(func() string {
					if m.revision(m.name) == before {
						return "the rotation did not reach the Deployment"
					}
					return ""
				})
				check("while a rotation rolls out")
				m.rollOut(m.name)
				m.condition(m.name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
				check("after a rotation")
			}

			must(t, api.Delete(t.Context(), &corev1.Secret{ObjectMeta: m.meta("xiaowang-alsc")}))
			m.condition(m.name, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonSecretNotFound)
			check("while it is stalled")
			m.secret("xiaowang-alsc", map[string]string{"appKey": "1", "appSecret": "s"})
			m.condition(m.name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

			m.requestReconcile("2026-01-01T00:00:00Z")
			check("after reconcile.fluxcd.io/requestedAt")
			m.apply()
			m.requestReconcile("2026-01-02T00:00:00Z")
			check("after it was applied again")
		})
	}
}

// requestReconcile asks for a reconcile as `kubectl annotate` does, and waits for it.
func (m manifest) requestReconcile(token string) {
	m.t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationReconcileRequestedAt, token)
	b := &v1alpha1.BrandConnector{ObjectMeta: m.meta(m.name)}
	must(m.t, api.Patch(m.t.Context(), b, client.RawPatch(types.MergePatchType, patch), client.FieldOwner("kubectl-annotate")))
	m.eventually(func() string {
		m.mustGet(m.name, b)
		return same(token, b.Status.LastHandledReconcileAt)
	})
}

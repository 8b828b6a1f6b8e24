// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Config is the file that the connector reads: the BrandConnector itself, without
// what only the operator needs, and without defaults, which the connector fills in by
// itself. What is left out can change without a restart.
func Config(b *v1alpha1.BrandConnector) ([]byte, error) {
	b = b.DeepCopy()
	b.Undefault()
	spec := &b.Spec
	spec.Workload = v1alpha1.WorkloadSpec{}
	spec.Exposure = nil
	spec.Reconciliation = nil
	spec.Retention = nil
	spec.Suspend = false
	spec.ConnectorClassName = ""
	if spec.Ledger.Embedded != nil {
		spec.Ledger.Embedded = &v1alpha1.EmbeddedLedger{}
	}
	// The object's own type would print more of its metadata than is stable.
	type metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	}
	out, err := yaml.Marshal(struct {
		APIVersion string                       `json:"apiVersion"`
		Kind       string                       `json:"kind"`
		Metadata   metadata                     `json:"metadata"`
		Spec       *v1alpha1.BrandConnectorSpec `json:"spec"`
	}{v1alpha1.GroupVersion.String(), v1alpha1.KindBrandConnector, metadata{b.Name, b.Namespace}, spec})
	if err != nil {
		return nil, fmt.Errorf("marshal the connector's configuration: %w", err)
	}
	return out, nil
}

// Revision is a keyed hash over the configuration and the values that it refers to.
func Revision(key, config []byte, values []Value) string {
	parts := [][]byte{config}
	for _, v := range values {
		parts = append(parts, []byte(v.Source), []byte(v.Name), []byte(v.Key), v.Bytes)
	}
	return hex.EncodeToString(keyed(key, parts...)[:16])
}

// keyed is an HMAC over parts. Each goes in with its length, so that no two lists of
// parts look alike.
func keyed(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write(part)
	}
	return mac.Sum(nil)
}

func (r *renderer) configMap(config []byte) *corev1ac.ConfigMapApplyConfiguration {
	return corev1ac.ConfigMap(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithData(map[string]string{ConfigKey: string(config)})
}

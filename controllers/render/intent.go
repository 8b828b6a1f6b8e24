// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Intent is what a brand's team has its hand in: what it wrote into the BrandConnector,
// and the values that this refers to. What else changes a brand's Pods is the platform's
// doing. All three are keyed hashes and tell nothing of their inputs.
type Intent struct {
	// Key names the installation's key: hashes of different keys cannot be compared.
	Key string
	// Spec is what the BrandConnector says of its Pods, before a class and without
	// defaults.
	Spec string
	// Values are those of the Secrets and ConfigMaps.
	Values string
}

// KeyID names an installation's key, as an Intent does.
func KeyID(key []byte) string { return hex.EncodeToString(keyed(key, []byte("key"))[:4]) }

// IntentOf a brand that no class was laid under yet.
func IntentOf(key []byte, b *v1alpha1.BrandConnector, values []Value) (Intent, error) {
	own := b.OwnSpec()
	// What no Pod is started for is left out: another intent is a write, and a Deployment
	// counts a generation for it.
	own.Exposure, own.Reconciliation, own.Retention = nil, nil, nil
	own.Workload.Replicas, own.Workload.Autoscaling = nil, nil
	if own.Ledger.Embedded != nil {
		own.Ledger.Embedded = &v1alpha1.EmbeddedLedger{}
	}
	spec, err := json.Marshal(own)
	if err != nil {
		return Intent{}, fmt.Errorf("marshal the spec: %w", err)
	}
	var parts [][]byte
	for _, v := range values {
		parts = append(parts, []byte(v.Source), []byte(v.Name), []byte(v.Key), v.Bytes)
	}
	short := func(hash []byte) string { return hex.EncodeToString(hash[:8]) }
	return Intent{
		Key:    KeyID(key),
		Spec:   short(keyed(key, []byte("spec"), spec)),
		Values: short(keyed(key, append([][]byte{[]byte("values")}, parts...)...)),
	}, nil
}

// ParseIntent reads what String wrote. Anything else is the intent of nobody: it has the
// key of no installation.
func ParseIntent(s string) Intent {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return Intent{}
	}
	return Intent{Key: parts[0], Spec: parts[1], Values: parts[2]}
}

func (i Intent) String() string { return i.Key + "." + i.Spec + "." + i.Values }

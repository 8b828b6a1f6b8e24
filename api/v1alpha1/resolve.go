// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"maps"
	"strings"
)

// Resolve returns the brand with its class's values where it gives none, and leaves both
// as they are. A nil class changes nothing. Image and patch of a class are not the
// brand's, and are not in the result.
//
// Defaults have to be filled in afterwards, not before: what Default fills in can no
// longer be told from what the brand gives.
func Resolve(b *BrandConnector, c *ConnectorClass) *BrandConnector {
	out := b.DeepCopy()
	if c == nil {
		return out
	}
	c = c.DeepCopy()
	c.Default()
	out.Spec.Ledger.resolve(b, c.Spec.Ledger)
	out.Spec.Workload.resolve(&c.Spec.Workload, out.Spec.Ledger.Embedded != nil)
	out.Spec.Telemetry.resolve(&c.Spec.Telemetry)
	if e := c.Spec.Exposure; e != nil && out.Spec.Exposure == nil {
		out.Spec.Exposure = &ExposureSpec{
			Hostname:   strings.NewReplacer("{name}", b.Name, "{namespace}", b.Namespace).Replace(e.Hostname),
			GatewayRef: e.GatewayRef, IngressClassName: e.IngressClassName, TLSSecretRef: e.TLSSecretRef,
		}
	}
	return out
}

// resolve takes a class's ledger as a whole: half of one is none.
func (l *LedgerSpec) resolve(b *BrandConnector, class *ClassLedger) {
	if class == nil || l.Postgres != nil || l.Embedded != nil {
		return
	}
	l.Embedded = class.Embedded
	if p := class.Postgres; p != nil {
		l.Postgres = &PostgresLedger{DSNSecretRef: p.DSNSecretRef, MaxConnections: p.MaxConnections}
		if p.SchemaPrefix != "" {
			l.Postgres.Schema = p.SchemaPrefix + strings.ReplaceAll(b.Name, "-", "_")
		}
	}
}

func (w *WorkloadSpec) resolve(class *WorkloadSpec, embedded bool) {
	if w.Replicas == nil && w.Autoscaling == nil && !embedded {
		w.Replicas, w.Autoscaling = class.Replicas, class.Autoscaling
	}
	if w.Resources == nil {
		w.Resources = class.Resources
	}
	if len(w.NodeSelector) == 0 {
		w.NodeSelector = class.NodeSelector
	}
	if len(w.Tolerations) == 0 {
		w.Tolerations = class.Tolerations
	}
	if w.PriorityClassName == "" {
		w.PriorityClassName = class.PriorityClassName
	}
	if len(w.ImagePullSecrets) == 0 {
		w.ImagePullSecrets = class.ImagePullSecrets
	}
	w.PodLabels = both(class.PodLabels, w.PodLabels)
	w.PodAnnotations = both(class.PodAnnotations, w.PodAnnotations)
}

// both is the entries of two maps, those of the second where they have the same key.
func both(under, over map[string]string) map[string]string {
	if len(under) == 0 {
		return over
	}
	maps.Copy(under, over)
	return under
}

func (t *TelemetrySpec) resolve(class *TelemetrySpec) {
	if t.OTLPEndpoint == "" {
		t.OTLPEndpoint = class.OTLPEndpoint
	}
	if t.SamplingPercent == nil {
		t.SamplingPercent = class.SamplingPercent
	}
	if t.Propagation == "" {
		t.Propagation = class.Propagation
	}
	if t.LogLevel == "" {
		t.LogLevel = class.LogLevel
	}
}

// String names a ledger, without anything secret: embedded, or postgres with the Secret,
// the key and, where there is one, the schema.
func (l *LedgerSpec) String() string {
	switch {
	case l.Embedded != nil:
		return "embedded"
	case l.Postgres == nil:
		return ""
	}
	p := l.Postgres
	name := "postgres:" + p.DSNSecretRef.Name + "/" + p.DSNSecretRef.Key
	if p.Schema != "" {
		name += ":" + p.Schema
	}
	return name
}

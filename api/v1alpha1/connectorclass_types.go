// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DefaultConnectorClass is the name of the class of brands that name none.
const DefaultConnectorClass = "default"

// ConnectorClass holds what a platform team decides for many brands, as a GatewayClass
// does for Gateways. A brand's own values win over it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=connectorclasses,shortName=cc,categories=connectors,scope=Cluster
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Brands",type=integer,JSONPath=`.status.brands.total`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.brands.current`
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.brands.waiting`
// +kubebuilder:printcolumn:name="Rolling",type=integer,JSONPath=`.status.brands.rolling`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.brands.failed`
// +kubebuilder:printcolumn:name="Image",type=string,priority=1,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConnectorClass struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the platform team decides.
	// +optional
	// +kubebuilder:default:={}
	Spec ConnectorClassSpec `json:"spec,omitempty,omitzero"`
	// status is what the operator saw.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status ConnectorClassStatus `json:"status,omitempty,omitzero"`
}

// ConnectorClassList is a list of ConnectorClasses.
//
// +kubebuilder:object:root=true
type ConnectorClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConnectorClass `json:"items"`
}

// ConnectorClassSpec is what a platform team decides for the brands of a class.
//
// +kubebuilder:validation:XValidation:rule="has(self.ledger) == has(oldSelf.ledger) && (!has(self.ledger) || self.ledger == oldSelf.ledger)",message="spec.ledger of a class is immutable: what its brands redeemed would be forgotten; create another class for new brands"
type ConnectorClassSpec struct {
	// image of the connector, by digest where it matters. Left out: the operator's.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*|[[][0-9a-fA-F:]+[]])(:[0-9]{1,5})?/)?[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*(:[0-9A-Za-z_][-.0-9A-Za-z_]{0,127})?(@sha256:[0-9a-f]{64})?$')",message="spec.image must be the name of an image: registry.example/hexiao/connector with a tag (:1.0), a digest (@sha256: and 64 hexadecimal digits) or both"
	Image string `json:"image,omitempty"`
	// imagePullPolicy of the connector. Left out: the operator's.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
	// workload shapes the Pods of brands that do not say it themselves, field by field.
	// A brand that gives replicas or autoscaling takes neither from here, nor does one
	// with an embedded ledger. The class's patch is laid on before the brand's.
	// +optional
	Workload WorkloadSpec `json:"workload,omitempty,omitzero"`
	// ledger of brands that give none. It cannot change.
	// +optional
	Ledger *ClassLedger `json:"ledger,omitempty"`
	// exposure of brands that give none.
	// +optional
	Exposure *ClassExposure `json:"exposure,omitempty"`
	// telemetry of brands that do not say it themselves, field by field.
	// +optional
	Telemetry TelemetrySpec `json:"telemetry,omitempty,omitzero"`
	// rollout says how brands take up a change of this class or of the operator that
	// restarts them.
	// +optional
	// +kubebuilder:default:={}
	Rollout RolloutPolicy `json:"rollout,omitempty,omitzero"`
}

// ClassLedger is where the brands of a class record.
// +kubebuilder:validation:XValidation:rule="has(self.postgres) != has(self.embedded)",message="give exactly one of spec.ledger.postgres and spec.ledger.embedded"
type ClassLedger struct {
	// postgres records in a PostgreSQL database.
	// +optional
	Postgres *ClassPostgresLedger `json:"postgres,omitempty"`
	// embedded records in an SQLite file on a PersistentVolumeClaim.
	// +optional
	Embedded *EmbeddedLedger `json:"embedded,omitempty"`
}

// ClassPostgresLedger is a PostgreSQL database with a schema for each brand.
type ClassPostgresLedger struct {
	// dsnSecretRef names the Secret, in the namespace of each brand, and the key that
	// hold the connection string.
	// +required
	DSNSecretRef SecretKeyReference `json:"dsnSecretRef,omitempty,omitzero"`
	// schemaPrefix and the name of the BrandConnector, with _ for -, are the brand's
	// schema. Left out: the connection's own schema, for a database of one brand.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=11
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z_][a-z0-9_]*$')",message="spec.ledger.postgres.schemaPrefix must be lower-case letters, digits and _, and not begin with a digit"
	SchemaPrefix string `json:"schemaPrefix,omitempty"`
	// maxConnections bounds the connections of one replica.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=200
	MaxConnections int32 `json:"maxConnections,omitempty"`
}

// ClassExposure makes the brands of a class reachable from outside of the cluster.
// +kubebuilder:validation:XValidation:rule="has(self.gatewayRef) != has(self.ingressClassName)",message="give exactly one of spec.exposure.gatewayRef and spec.exposure.ingressClassName"
// +kubebuilder:validation:XValidation:rule="!has(self.tlsSecretRef) || has(self.ingressClassName)",message="spec.exposure.tlsSecretRef belongs to an Ingress; a Gateway's listener has its own certificate"
type ClassExposure struct {
	// hostname of each brand: {name} and {namespace} stand for the BrandConnector's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{name\}|\{namespace\})([-.a-z0-9]|\{name\}|\{namespace\})*$`
	// +kubebuilder:validation:XValidation:rule="self.contains('{name}')",message="spec.exposure.hostname must contain {name}: each brand has a name of its own"
	Hostname string `json:"hostname,omitempty"`
	// gatewayRef names a Gateway to attach HTTPRoutes to.
	// +optional
	GatewayRef *GatewayReference `json:"gatewayRef,omitempty"`
	// ingressClassName makes Ingresses of this class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	IngressClassName string `json:"ingressClassName,omitempty"`
	// tlsSecretRef names the Secret with the certificate, in the namespace of each brand.
	// +optional
	TLSSecretRef *LocalObjectReference `json:"tlsSecretRef,omitempty"`
}

// RolloutPolicy says how brands take up a change that the platform makes: a new version of
// the operator or another class. What a brand's team changes does not wait.
type RolloutPolicy struct {
	// paused lets no brand take up a change of the platform.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// maxConcurrent is the number of brands that may restart at a time. A brand that
	// fails keeps its place, so that failures stop a rollout.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`
	// canary says which brands go first. Left out: none goes before the others.
	// +optional
	Canary *CanaryPolicy `json:"canary,omitempty"`
	// progressDeadline is how long a brand may take to become available before it has
	// failed.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('1h')",message="spec.rollout.progressDeadline must be between 10s and 1h"
	ProgressDeadline *metav1.Duration `json:"progressDeadline,omitempty"`
}

// CanaryPolicy selects the brands that take up a change first.
type CanaryPolicy struct {
	// selector of BrandConnectors by label.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",message="spec.rollout.canary.selector must select something: leave canary out to have none"
	Selector metav1.LabelSelector `json:"selector,omitempty,omitzero"` //nolint:kubeapilinter // a CEL rule with a better message demands one
	// soakTime is how long all canaries must have been available before the others
	// begin.
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('168h')",message="spec.rollout.canary.soakTime must be between 0s and 168h"
	SoakTime *metav1.Duration `json:"soakTime,omitempty"`
}

// ConnectorClassStatus is what the operator saw.
type ConnectorClassStatus struct {
	// conditions of the class.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that the conditions speak of; -1 before
	// the first look.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// brands counts the brands of the class.
	// +optional
	Brands ClassBrands `json:"brands,omitempty,omitzero"`
	// revision identifies what the class and the operator make of a brand's Pods.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Revision string `json:"revision,omitempty"`
}

// ClassBrands counts the brands of a class. Suspended brands, and those that somebody has
// to mend first, count towards the total alone.
type ClassBrands struct {
	// total of the class.
	// +optional
	Total int32 `json:"total"`
	// current ones run what the class and the operator make of them now.
	// +optional
	Current int32 `json:"current"`
	// waiting ones have not taken up the newest change yet.
	// +optional
	Waiting int32 `json:"waiting"`
	// rolling ones are taking it up.
	// +optional
	Rolling int32 `json:"rolling"`
	// failed ones took it up and did not become available.
	// +optional
	Failed int32 `json:"failed"`
}

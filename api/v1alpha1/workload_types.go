// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

// EmbeddedLedger is an SQLite file on a PersistentVolumeClaim.
type EmbeddedLedger struct {
	// size of the claim, such as 10Gi. It may grow where the StorageClass allows it, and
	// cannot shrink.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self))",message="spec.ledger.embedded.size must be a number of bytes with a unit of Kubernetes, such as 512Mi or 10Gi"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || (quantity(string(self)).compareTo(quantity('64Mi')) >= 0 && quantity(string(self)).compareTo(quantity('1Ti')) <= 0)",message="spec.ledger.embedded.size must be between 64Mi and 1Ti"
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || !isQuantity(string(oldSelf)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",message="spec.ledger.embedded.size cannot shrink, as no volume can: give what it was, or more"
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName of the claim; the cluster's default when left out. A network
	// file system is refused by the connector: SQLite's locks do not hold there.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	StorageClassName string `json:"storageClassName,omitempty"`
	// onDelete says what becomes of the claim when the BrandConnector is deleted.
	// Retain: it stays, because it is the proof of what was charged, and a
	// BrandConnector of the same name and brand takes it up again. Delete: it goes
	// with the BrandConnector.
	// +optional
	// +kubebuilder:default=Retain
	OnDelete LedgerOnDelete `json:"onDelete,omitempty"`
}

// LedgerOnDelete is what becomes of an embedded ledger without its BrandConnector.
// +kubebuilder:validation:Enum=Retain;Delete
type LedgerOnDelete string

// Values of LedgerOnDelete.
const (
	LedgerOnDeleteRetain LedgerOnDelete = "Retain"
	LedgerOnDeleteDelete LedgerOnDelete = "Delete"
)

// WorkloadSpec shapes the connector's Pods.
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling)",message="give spec.workload.replicas or spec.workload.autoscaling, not both"
type WorkloadSpec struct {
	// replicas is the number of Pods. Left out: 1 with spec.ledger.embedded; with
	// spec.ledger.postgres 2, or as many as there are, where an autoscaler that was
	// switched off has left more.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`
	// autoscaling lets a HorizontalPodAutoscaler choose the number of Pods.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
	// resources of the connector's container.
	// +optional
	Resources *ResourcesSpec `json:"resources,omitempty"`
	// nodeSelector of the Pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations of the Pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []Toleration `json:"tolerations,omitempty"` //nolint:kubeapilinter // the shape is the one of a Pod: every field may be left out
	// priorityClassName of the Pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// imagePullSecrets of the Pods.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// podLabels are added to the Pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('connect.hexiao.dev/'))",message="podLabels must not use the prefixes app.kubernetes.io/ and connect.hexiao.dev/: the operator's own labels have them"
	PodLabels map[string]string `json:"podLabels,omitempty"`
	// podAnnotations are added to the Pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('connect.hexiao.dev/'))",message="podAnnotations must not use the prefix connect.hexiao.dev/: the operator's own annotations have it"
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// patch is a strategic merge patch on the Deployment, the way out for what has
	// no field here.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Patch *runtime.RawExtension `json:"patch,omitempty"`
}

// AutoscalingSpec configures a HorizontalPodAutoscaler.
// +kubebuilder:validation:XValidation:rule="self.minReplicas <= self.maxReplicas",message="spec.workload.autoscaling.minReplicas must not exceed maxReplicas"
type AutoscalingSpec struct {
	// minReplicas is the least number of Pods.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MinReplicas int32 `json:"minReplicas,omitempty"`
	// maxReplicas is the greatest number of Pods.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas,omitempty"`
	// targetCPUUtilizationPercent is the mean CPU use to aim at, in percent of the
	// request.
	// +optional
	// +kubebuilder:default=70
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	TargetCPUUtilizationPercent int32 `json:"targetCPUUtilizationPercent,omitempty"`
}

// ResourcesSpec are requests and limits of a container, by resource name (cpu,
// memory).
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || self.requests.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])",message="spec.workload.resources.requests knows cpu, memory and ephemeral-storage"
// +kubebuilder:validation:XValidation:rule="!has(self.limits) || self.limits.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])",message="spec.workload.resources.limits knows cpu, memory and ephemeral-storage"
type ResourcesSpec struct {
	// requests of the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	Requests map[string]resource.Quantity `json:"requests,omitempty"`
	// limits of the container.
	// +optional
	// +kubebuilder:validation:MaxProperties=3
	Limits map[string]resource.Quantity `json:"limits,omitempty"`
}

// Toleration lets the Pods run on tainted nodes; the fields are those of a Pod's
// toleration.
// +kubebuilder:validation:XValidation:rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value)",message="a toleration with operator Exists takes no value"
type Toleration struct {
	// key of the taint; all taints when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=316
	Key string `json:"key,omitempty"`
	// operator is Equal or Exists.
	// +optional
	// +kubebuilder:validation:Enum=Equal;Exists
	Operator string `json:"operator,omitempty"`
	// value of the taint.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Value string `json:"value,omitempty"`
	// effect of the taint; all effects when left out.
	// +optional
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect string `json:"effect,omitempty"`
	// tolerationSeconds is how long a NoExecute taint is tolerated.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// ExposureSpec makes the connector reachable from outside of the cluster.
// +kubebuilder:validation:XValidation:rule="has(self.gatewayRef) != has(self.ingressClassName)",message="give exactly one of spec.exposure.gatewayRef and spec.exposure.ingressClassName"
// +kubebuilder:validation:XValidation:rule="!has(self.tlsSecretRef) || has(self.ingressClassName)",message="spec.exposure.tlsSecretRef belongs to an Ingress; a Gateway's listener has its own certificate"
type ExposureSpec struct {
	// hostname under which Keruyun reaches the connector.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="spec.exposure.hostname must be a host name of lower-case letters, digits, - and ., such as pos.example.com, without https:// and path"
	Hostname string `json:"hostname,omitempty"`
	// gatewayRef names a Gateway to attach an HTTPRoute to.
	// +optional
	GatewayRef *GatewayReference `json:"gatewayRef,omitempty"`
	// ingressClassName makes an Ingress of this class.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	IngressClassName string `json:"ingressClassName,omitempty"`
	// tlsSecretRef names the Secret with the Ingress's certificate.
	// +optional
	TLSSecretRef *LocalObjectReference `json:"tlsSecretRef,omitempty"`
}

// GatewayReference names a Gateway. It may live in another namespace; whether the
// route may attach there is the Gateway's decision.
type GatewayReference struct {
	// name of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// namespace of the Gateway; the BrandConnector's own when left out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// sectionName is the Gateway's listener.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// TelemetrySpec says where traces and metrics go.
type TelemetrySpec struct {
	// otlpEndpoint is the base URL of an OTLP/HTTP receiver; traces go to /v1/traces
	// under it. Without it traces are not exported.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="spec.telemetry.otlpEndpoint must be an http or https URL without user, query or fragment"
	OTLPEndpoint string `json:"otlpEndpoint,omitempty"`
	// samplingPercent is the share of redemptions whose trace is exported; 100 when
	// neither the brand nor its class says.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	SamplingPercent *int32 `json:"samplingPercent,omitempty"`
	// propagation says whether W3C trace headers are sent to the providers; None when
	// neither the brand nor its class says.
	// +optional
	Propagation Propagation `json:"propagation,omitempty"`
	// logLevel of the connector; info when neither the brand nor its class says.
	// +optional
	// +kubebuilder:validation:Enum=debug;info;warn;error
	LogLevel string `json:"logLevel,omitempty"`
}

// Propagation of trace headers towards the providers.
// +kubebuilder:validation:Enum=None;W3C
type Propagation string

// Values of Propagation.
const (
	PropagationNone Propagation = "None"
	PropagationW3C  Propagation = "W3C"
)

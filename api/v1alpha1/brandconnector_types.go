// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BrandConnector connects one restaurant brand's point of sale to the CRMs that
// hold its members' assets.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.workload.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:path=brandconnectors,shortName=bc,categories=connectors,scope=Namespaced
// +kubebuilder:printcolumn:name="Brand",type=string,JSONPath=`.spec.brandID`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicas`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.status.endpoints[0].url`
// +kubebuilder:printcolumn:name="Class",type=string,priority=1,JSONPath=`.status.resolved.connectorClassName`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Image",type=string,priority=1,JSONPath=`.status.image`
// +kubebuilder:printcolumn:name="Revision",type=string,priority=1,JSONPath=`.status.configRevision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name must be at most 52 characters, so that the names of the Pods fit"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be lower-case letters, digits and hyphens and begin with a letter: a Service of this name is made"
type BrandConnector struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what the brand wants.
	// +required
	Spec BrandConnectorSpec `json:"spec,omitempty,omitzero"`
	// status is what the operator saw.
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status BrandConnectorStatus `json:"status,omitempty,omitzero"`
}

// BrandConnectorList is a list of BrandConnectors.
//
// +kubebuilder:object:root=true
type BrandConnectorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BrandConnector `json:"items"`
}

// BrandConnectorSpec declares one brand.
//
// +kubebuilder:validation:XValidation:rule="self.routes.all(r, r.provider == 'zhimai' ? has(self.providers.zhimai) : has(self.providers.alsc))",message="every route's provider must be configured under spec.providers"
// +kubebuilder:validation:XValidation:rule="self.routes.all(r, r.provider != 'alsc' || r.asset == 'StoredValue' || !has(self.providers.alsc) || has(self.providers.alsc.brandID))",message="a route of Coupon or Points to alsc needs spec.providers.alsc.brandID, ALSC's own id of the brand: without it every such request would be refused"
// +kubebuilder:validation:XValidation:rule="self.routes.all(r, r.provider != 'alsc' || r.asset == 'StoredValue') || has(self.shopsConfigMapRef) || (has(self.shops) && self.shops.exists(s, has(s.alsc)))",message="a route of Coupon or Points to alsc needs ALSC's own ids of the shops: list each shop with its alsc.shopID in spec.shops, or in the ConfigMap of spec.shopsConfigMapRef"
// +kubebuilder:validation:XValidation:rule="!has(self.ledger) || !has(self.ledger.embedded) || !has(self.workload) || !has(self.workload.replicas) || self.workload.replicas <= 1",message="the embedded ledger is one file: spec.workload.replicas must be 1 at most; use spec.ledger.postgres for more"
// +kubebuilder:validation:XValidation:rule="!has(self.ledger) || !has(self.ledger.embedded) || !has(self.workload) || !has(self.workload.autoscaling)",message="the embedded ledger is one file: spec.workload.autoscaling needs spec.ledger.postgres"
// +kubebuilder:validation:XValidation:rule="!has(self.ledger) || !has(oldSelf.ledger) || has(self.ledger.embedded) == has(oldSelf.ledger.embedded)",message="spec.ledger cannot change its kind: what was redeemed would be forgotten and could be charged again, and nothing carries an embedded ledger into PostgreSQL or back; keep the kind that the brand began with"
// +kubebuilder:validation:XValidation:rule="!has(self.retention) || !has(self.ledger) || has(self.ledger.postgres)",message="spec.retention needs spec.ledger.postgres: an embedded ledger has one writer, the connector; retire its old redemptions by hand while the connector is stopped"
// +kubebuilder:validation:XValidation:rule="!has(self.shops) || !has(self.shopsConfigMapRef)",message="give spec.shops or spec.shopsConfigMapRef, not both"
type BrandConnectorSpec struct {
	// brandID is Keruyun's kryBrandId of the brand. It cannot change: the ledger's
	// keys begin with it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_-]+$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.brandID is immutable: create a new BrandConnector for another brand"
	BrandID string `json:"brandID,omitempty"`

	// connectorClassName names the ConnectorClass with the platform's values for what is
	// left out here. Left out: the class named default, if there is one.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ConnectorClassName string `json:"connectorClassName,omitempty"`

	// keruyun is the point of sale that calls.
	// +required
	Keruyun KeruyunSpec `json:"keruyun,omitempty,omitzero"`

	// providers are the CRMs that hold the members' assets.
	// +required
	Providers ProvidersSpec `json:"providers,omitempty,omitzero"` //nolint:kubeapilinter // a CEL rule with a better message demands one

	// routes say which asset lives at which provider. No two name the same
	// assetMappingID; a line that no route matches is refused and nothing is sent.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(r, self.all(o, o.name == r.name || !sets.intersects(o.match.assetMappingIDs, r.match.assetMappingIDs)))",message="spec.routes: an id stands in match.assetMappingIDs of two routes; the first route wins, so the second could never match it: name each id in one route"
	Routes []Route `json:"routes,omitempty"`

	// shops lists exceptions only: by default a shop is named to a provider by
	// Keruyun's own kryShopId.
	// +optional
	// +listType=map
	// +listMapKey=kryShopID
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2000
	Shops []Shop `json:"shops,omitempty"`

	// shopsConfigMapRef names a ConfigMap whose key shops.yaml holds the list of
	// shops, for brands with more of them than fit an object.
	// +optional
	ShopsConfigMapRef *LocalObjectReference `json:"shopsConfigMapRef,omitempty"`

	// operators lists exceptions only: by default an operator is named to a provider
	// by Keruyun's own operatorId, to Zhimai only where that is a number.
	// +optional
	// +listType=map
	// +listMapKey=kryOperatorID
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2000
	Operators []Operator `json:"operators,omitempty"`

	// partialFailure says what happens when a request spends at two providers and
	// one of them refuses. Report: say it line by line. Reverse: undo what
	// succeeded.
	// +optional
	// +kubebuilder:default=Report
	PartialFailure PartialFailure `json:"partialFailure,omitempty"`

	// ledger is where redemptions are recorded before they are sent. Left out: the
	// ConnectorClass's.
	// +optional
	Ledger LedgerSpec `json:"ledger,omitempty,omitzero"`

	// workload shapes the Pods. What is left out is the ConnectorClass's.
	// +optional
	Workload WorkloadSpec `json:"workload,omitempty,omitzero"`

	// exposure makes the connector reachable from outside of the cluster. Left out: the
	// ConnectorClass's.
	// +optional
	Exposure *ExposureSpec `json:"exposure,omitempty"`

	// telemetry says where traces go. What is left out is the ConnectorClass's.
	// +optional
	Telemetry TelemetrySpec `json:"telemetry,omitempty,omitzero"`

	// reconciliation compares the ledger with the providers' own books on a schedule.
	// Left out: not at all.
	// +optional
	Reconciliation *ReconciliationSpec `json:"reconciliation,omitempty"`

	// retention takes old redemptions out of the ledger on a schedule. It needs
	// spec.ledger.postgres. Left out: nothing is ever taken away.
	// +optional
	Retention *RetentionSpec `json:"retention,omitempty"`

	// suspend stops the operator from changing anything for this brand. The
	// connector keeps serving.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// PartialFailure is what happens to the rest when a part of a request failed.
// +kubebuilder:validation:Enum=Report;Reverse
type PartialFailure string

// Values of PartialFailure.
const (
	PartialFailureReport  PartialFailure = "Report"
	PartialFailureReverse PartialFailure = "Reverse"
)

// LocalObjectReference names an object in the BrandConnector's own namespace.
type LocalObjectReference struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
}

// SecretKeyReference names a key of a Secret in the BrandConnector's own namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// key within the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}

// KeruyunSpec is the point of sale's side.
type KeruyunSpec struct {
	// credentialsSecretRef names a Secret with the keys appKey and token (the
	// brand token).
	// +required
	CredentialsSecretRef LocalObjectReference `json:"credentialsSecretRef,omitempty,omitzero"`

	// brandID is the value of the query parameter brandId when it differs from
	// spec.brandID.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z_-]+$`
	BrandID string `json:"brandID,omitempty"`

	// replyDeadline is the budget of a whole call, from its arrival to our reply.
	// What is not known by then is answered with 3001 and settled afterwards.
	// +optional
	// +kubebuilder:default="4s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('500ms') && duration(self) <= duration('60s')",message="spec.keruyun.replyDeadline must be between 500ms and 60s"
	ReplyDeadline *metav1.Duration `json:"replyDeadline,omitempty"`

	// signatureVersions are the versions of the signature that are accepted.
	// Version 1.0 does not cover the body; leave it out as soon as your calls are
	// known to come with 2.0.
	// +optional
	// +listType=set
	// +kubebuilder:default={"1.0","2.0"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	SignatureVersions []SignatureVersion `json:"signatureVersions,omitempty"`

	// refusalReply says how a request is answered of which nothing was redeemed.
	// SubCode: code 0 with success false and a sub code. SystemError: code 3000.
	// +optional
	// +kubebuilder:default=SubCode
	RefusalReply RefusalReply `json:"refusalReply,omitempty"`

	// noRecordReply says how a result query is answered of whose payment nothing is
	// known; Keruyun documents no answer. SubCode: code 0 with success false and a
	// sub code. SystemError: code 3000. InDoubt: code 3001, for tills that may ask
	// before their request arrived.
	// +optional
	// +kubebuilder:default=SubCode
	NoRecordReply NoRecordReply `json:"noRecordReply,omitempty"`
}

// SignatureVersion is a version of Keruyun's signature.
// +kubebuilder:validation:Enum="1.0";"2.0"
type SignatureVersion string

// Values of SignatureVersion.
const (
	SignatureV1 SignatureVersion = "1.0"
	SignatureV2 SignatureVersion = "2.0"
)

// RefusalReply is the form of an answer of which nothing was redeemed.
// +kubebuilder:validation:Enum=SubCode;SystemError
type RefusalReply string

// Values of RefusalReply.
const (
	RefusalReplySubCode     RefusalReply = "SubCode"
	RefusalReplySystemError RefusalReply = "SystemError"
)

// NoRecordReply is the form of an answer about a payment that is not known.
// +kubebuilder:validation:Enum=SubCode;SystemError;InDoubt
type NoRecordReply string

// Values of NoRecordReply.
const (
	NoRecordReplySubCode     NoRecordReply = "SubCode"
	NoRecordReplySystemError NoRecordReply = "SystemError"
	NoRecordReplyInDoubt     NoRecordReply = "InDoubt"
)

// Route sends assets to a provider.
type Route struct {
	// name of the route, for logs and traces.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// match selects lines of a request.
	// +required
	Match RouteMatch `json:"match,omitempty,omitzero"`
	// asset is what the lines spend.
	// +required
	Asset Asset `json:"asset,omitempty"`
	// provider is where they are spent.
	// +required
	Provider ProviderName `json:"provider,omitempty"`
}

// RouteMatch selects lines of a request.
type RouteMatch struct {
	// assetMappingIDs are values of assetMappingId as configured at Keruyun.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	AssetMappingIDs []string `json:"assetMappingIDs,omitempty"`
}

// Asset is a kind of a member's asset.
// +kubebuilder:validation:Enum=StoredValue;Coupon;Points
type Asset string

// Values of Asset.
const (
	AssetStoredValue Asset = "StoredValue"
	AssetCoupon      Asset = "Coupon"
	AssetPoints      Asset = "Points"
)

// ProviderName names a provider.
// +kubebuilder:validation:Enum=zhimai;alsc
type ProviderName string

// Values of ProviderName.
const (
	ProviderZhimai ProviderName = "zhimai"
	ProviderAlsc   ProviderName = "alsc"
)

// Shop says how a shop is named at the providers when that is not its kryShopId.
// +kubebuilder:validation:XValidation:rule="has(self.zhimai) || has(self.alsc)",message="a shop is listed only to name it differently: give zhimai or alsc"
type Shop struct {
	// kryShopID is Keruyun's kryShopId.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	KryShopID string `json:"kryShopID,omitempty"`
	// zhimai names the shop at Zhimai.
	// +optional
	Zhimai *ZhimaiShop `json:"zhimai,omitempty"`
	// alsc names the shop at ALSC.
	// +optional
	Alsc *AlscShop `json:"alsc,omitempty"`
}

// ZhimaiShop names a shop at Zhimai.
type ZhimaiShop struct {
	// multiMark is Zhimai's code of the shop.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	MultiMark string `json:"multiMark,omitempty"`
}

// AlscShop names a shop at ALSC.
type AlscShop struct {
	// shopID is ALSC's own id of the shop.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ShopID string `json:"shopID,omitempty"`
}

// Operator says how an operator is named at the providers when that is not Keruyun's
// operatorId.
// +kubebuilder:validation:XValidation:rule="has(self.zhimai) || has(self.alsc)",message="an operator is listed only to name them differently: give zhimai or alsc"
type Operator struct {
	// kryOperatorID is Keruyun's operatorId.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	KryOperatorID string `json:"kryOperatorID,omitempty"`
	// zhimai names the operator at Zhimai.
	// +optional
	Zhimai *ZhimaiOperator `json:"zhimai,omitempty"`
	// alsc names the operator at ALSC.
	// +optional
	Alsc *AlscOperator `json:"alsc,omitempty"`
}

// ZhimaiOperator names an operator at Zhimai.
type ZhimaiOperator struct {
	// operatorID is `operatorId`; it comes before consume.operatorID.
	// +required
	// +kubebuilder:validation:Minimum=0
	OperatorID *int64 `json:"operatorID,omitempty"`
	// operatorName is `operatorName`; by default Keruyun's. It is sent, and neither
	// recorded nor logged.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	OperatorName string `json:"operatorName,omitempty"`
}

// AlscOperator names an operator at ALSC.
type AlscOperator struct {
	// operatorID is `operator_id`.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	OperatorID string `json:"operatorID,omitempty"`
}

// LedgerSpec is where redemptions are recorded.
// +kubebuilder:validation:XValidation:rule="has(self.postgres) != has(self.embedded)",message="give exactly one of spec.ledger.postgres and spec.ledger.embedded"
type LedgerSpec struct {
	// postgres records in a PostgreSQL database; any number of replicas.
	// +optional
	Postgres *PostgresLedger `json:"postgres,omitempty"`
	// embedded records in an SQLite file on a PersistentVolumeClaim; one replica.
	// +optional
	Embedded *EmbeddedLedger `json:"embedded,omitempty"`
}

// PostgresLedger is a PostgreSQL database.
type PostgresLedger struct {
	// dsnSecretRef names the Secret and the key that hold the connection string
	// (postgres://user:password@host:5432/database?sslmode=verify-full).
	// +required
	DSNSecretRef SecretKeyReference `json:"dsnSecretRef,omitempty,omitzero"`
	// schema is the PostgreSQL schema to use, so that many brands share a database.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z_][a-z0-9_]*$')",message="spec.ledger.postgres.schema must be lower-case letters, digits and _, and not begin with a digit"
	Schema string `json:"schema,omitempty"`
	// maxConnections bounds the connections of one replica.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=200
	MaxConnections int32 `json:"maxConnections,omitempty"`
}

// BrandConnectorStatus is what the operator saw.
type BrandConnectorStatus struct {
	// conditions of the connector.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation that the conditions speak of; -1 before
	// the first look.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// resolved is what came of the object and its ConnectorClass. It is never written
	// into the spec.
	// +optional
	Resolved *ResolvedStatus `json:"resolved,omitempty"`
	// endpoints are the URLs to enter at Keruyun's console.
	// +optional
	// +listType=map
	// +listMapKey=spi
	// +kubebuilder:validation:MaxItems=8
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// replicas is the number of Pods, for the scale subresource.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// selector selects the Pods, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`
	// configRevision identifies the configuration and credentials that the Pods
	// run with. It is a keyed hash and tells nothing of its inputs.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ConfigRevision string `json:"configRevision,omitempty"`
	// image is the connector's image.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`
	// lastHandledReconcileAt repeats the annotation reconcile.fluxcd.io/requestedAt
	// that was handled last.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
	// objects are what the operator applied for the brand. An operator that starts anew
	// sends none of them again that is still as it was left.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Objects []AppliedObject `json:"objects,omitempty"`
}

// AppliedObject is an object that the operator applied for a brand.
type AppliedObject struct {
	// kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`
	// name of the object, in the brand's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// digest of what was applied and of what came of it. It is a keyed hash and tells
	// nothing of its inputs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
}

// ResolvedStatus is what came of a BrandConnector and its ConnectorClass.
type ResolvedStatus struct {
	// connectorClassName is the class whose values were used; none when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ConnectorClassName string `json:"connectorClassName,omitempty"`
	// ledger is where redemptions are recorded: embedded, or postgres with the Secret,
	// the key and the schema.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Ledger string `json:"ledger,omitempty"`
	// hostname under which Keruyun reaches the connector; none when it is not exposed.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Hostname string `json:"hostname,omitempty"`
	// otlpEndpoint is where traces go; nowhere when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	OTLPEndpoint string `json:"otlpEndpoint,omitempty"`
}

// Endpoint is one URL to enter at Keruyun's console.
type Endpoint struct {
	// spi is the interface: verify, query, reverse or result.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	SPI string `json:"spi,omitempty"`
	// url is what to enter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url,omitempty"`
}

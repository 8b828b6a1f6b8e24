// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Conditions of a BrandConnector. Ready sums up the others; Reconciling and Stalled
// are there only while they are true, as kstatus expects.
const (
	// ConditionReady is True when the connector serves the object's generation.
	ConditionReady = "Ready"
	// ConditionReconciling is True while a change is being rolled out.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a change to the object or to something it
	// refers to can help; nothing is retried until then.
	ConditionStalled = "Stalled"
	// ConditionCredentialsResolved is True when every referenced Secret and
	// ConfigMap is there with the keys that are needed.
	ConditionCredentialsResolved = "CredentialsResolved"
	// ConditionWorkloadAvailable mirrors the Deployment's availability.
	ConditionWorkloadAvailable = "WorkloadAvailable"
	// ConditionLedgerReady says whether the connector's Pods have opened the ledger.
	// The operator never opens one: a Pod is ready only after it did.
	ConditionLedgerReady = "LedgerReady"
	// ConditionExposed says whether the route that spec.exposure asks for exists.
	ConditionExposed = "Exposed"
	// ConditionUpToDate says whether the Pods are of the platform's newest revision. A
	// brand whose turn has not come in a roll-out is not, and ready all the same.
	ConditionUpToDate = "UpToDate"
	// ConditionSuspended is there while spec.suspend is true.
	ConditionSuspended = "Suspended"
)

// ConditionRolledOut is a ConnectorClass's: True when every brand of the class that can
// take part runs what the class makes of it. The class's Ready says the same, and whether
// the class is valid.
const ConditionRolledOut = "RolledOut"

// Reasons of the conditions.
const (
	ReasonReady               = "Ready"
	ReasonProgressing         = "Progressing"
	ReasonSuspended           = "Suspended"
	ReasonResolved            = "Resolved"
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonSecretKeyMissing    = "SecretKeyMissing"
	ReasonSecretKeyInvalid    = "SecretKeyInvalid"
	ReasonConfigMapNotFound   = "ConfigMapNotFound"
	ReasonConfigMapKeyMissing = "ConfigMapKeyMissing"
	ReasonConfigMapInvalid    = "ConfigMapInvalid"
	ReasonInvalidSpec         = "InvalidSpec"
	ReasonNotOwned            = "NotOwned"
	ReasonApplyFailed         = "ApplyFailed"
	ReasonWorkloadAvailable   = "WorkloadAvailable"
	ReasonWorkloadUnavailable = "WorkloadUnavailable"
	ReasonRolloutFailed       = "RolloutFailed"
	ReasonLedgerOpen          = "LedgerOpen"
	ReasonLedgerUnavailable   = "LedgerUnavailable"
	ReasonScaledToZero        = "ScaledToZero"
	ReasonExposed             = "Exposed"
	ReasonNotExposed          = "NotExposed"
	ReasonRouteNotAccepted    = "RouteNotAccepted"
	ReasonClassNotFound       = "ClassNotFound"
	ReasonLedgerMoved         = "LedgerMoved"
	ReasonCurrent             = "Current"
	ReasonRolloutPending      = "RolloutPending"
	ReasonRolledOut           = "RolledOut"
	ReasonRollingOut          = "RollingOut"
	ReasonRolloutHalted       = "RolloutHalted"
	ReasonRolloutPaused       = "RolloutPaused"
)

// AnnotationReconcileRequestedAt asks for a reconcile now, the contract that Flux's
// tools know. The value handled last is in status.lastHandledReconcileAt.
const AnnotationReconcileRequestedAt = "reconcile.fluxcd.io/requestedAt"

// Keys of the Secrets that a BrandConnector refers to.
const (
	KeyKeruyunAppKey   = "appKey"
	KeyKeruyunToken    = "token"
	KeyZhimaiOpenID    = "openId"
	KeyZhimaiOpenKey   = "openKey"
	KeyZhimaiGrantCode = "grantCode"
	KeyAlscAppKey      = "appKey"
	KeyAlscAppSecret   = "appSecret"
	KeyAlscSession     = "session" // optional
	KeyShops           = "shops.yaml"
)

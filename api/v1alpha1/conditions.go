// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Conditions of a BrandConnector. Ready sums up the others; Reconciling and Stalled
// are there only while they are true, as kstatus expects.
const (
	// ConditionReady is True when the connector serves the object's generation.
	//
	// On class: True when the class is valid and every brand of it that can take part runs
	// what it makes of it. Whether a brand serves is in the brand's own Ready.
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
	// ConditionExposed says whether the connector is reached from outside of the cluster:
	// what the Gateway or the Ingress of spec.exposure shows of it.
	ConditionExposed = "Exposed"
	// ConditionUpToDate says whether the Pods are of the platform's newest revision. A
	// brand whose turn has not come in a roll-out is not, and ready all the same.
	ConditionUpToDate = "UpToDate"
	// ConditionSuspended is there while spec.suspend is true.
	ConditionSuspended = "Suspended"
	// ConditionContested is there while two operators reconcile the brand: the one that
	// stands back says it. All other conditions are those of the one that has the brand.
	ConditionContested = "Contested"
	// ConditionBrandIDShared is there while another BrandConnector has the same
	// spec.brandID, and a ledger that is not known to be the same.
	ConditionBrandIDShared = "BrandIDShared"
)

// ConditionRolledOut is a ConnectorClass's: True when every brand of the class that can
// take part runs what the class makes of it. It is not there while the class is invalid.
const ConditionRolledOut = "RolledOut"

// Reasons of the conditions.
const (
	// ReasonReady says that the connector serves the object's generation.
	//
	// On: Ready=True
	// Do: nothing.
	ReasonReady = "Ready"
	// ReasonProgressing says that Pods are on their way: a roll-out is under way, or they
	// are not available yet. The message has what keeps them from starting, if anything
	// does. The ledger is open only when they are available.
	//
	// On: Ready=Unknown Reconciling=True LedgerReady=Unknown
	// Do: wait. A roll-out that does not end becomes RolloutFailed, after five minutes
	// unless the platform says otherwise.
	ReasonProgressing = "Progressing"
	// ReasonSuspended says that spec.suspend is set. The connector serves what was applied
	// last; Ready is False when its Pods are not available.
	//
	// On: Ready=True Ready=False Stalled=True Suspended=True LedgerReady=Unknown UpToDate=Unknown
	// Do: set spec.suspend to false when the work by hand is done.
	ReasonSuspended = "Suspended"
	// ReasonResolved says that every Secret and ConfigMap that is named is there, with
	// values that can be read.
	//
	// On: CredentialsResolved=True
	// Do: nothing.
	ReasonResolved = "Resolved"
	// ReasonSecretNotFound says that a Secret that the spec names is not in the brand's
	// namespace.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False LedgerReady=False
	// Do: create it, or name another one; it is seen at once. Pods that run serve on.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretKeyMissing says that a Secret does not have the key that is needed.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False LedgerReady=False
	// Do: add the key that the message names; it is seen at once.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonSecretKeyInvalid says that a Secret's value is empty, or cannot be what it
	// should be.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False LedgerReady=False
	// Do: put the right value in; it is seen at once. Nothing was rolled out, and Pods
	// that run keep the old value.
	ReasonSecretKeyInvalid = "SecretKeyInvalid"
	// ReasonConfigMapNotFound says that the ConfigMap that spec.shopsConfigMapRef names is
	// not in the brand's namespace.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False
	// Do: create it, or name another one; it is seen at once.
	ReasonConfigMapNotFound = "ConfigMapNotFound"
	// ReasonConfigMapKeyMissing says that the ConfigMap does not have the key shops.yaml.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False
	// Do: add the key; it is seen at once.
	ReasonConfigMapKeyMissing = "ConfigMapKeyMissing"
	// ReasonConfigMapInvalid says that the shop table in the ConfigMap cannot be read.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False
	// Do: mend the line that the message names; it is seen at once.
	ReasonConfigMapInvalid = "ConfigMapInvalid"
	// ReasonInvalidSpec says that the spec cannot be rendered, such as a patch that does
	// not fit, or the API server or one of its policies refuses an object that was made of
	// it. On a class: no brand can have it.
	//
	// On: Ready=False Stalled=True
	// On class: Ready=False Stalled=True
	// Do: change the field that the message names, in the brand or in its class; or the
	// policy, which is tried again every 30 seconds.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonNotOwned says that an object whose name the brand needs is somebody else's. It
	// is left alone. Reconciling is True instead of Stalled while it is being deleted.
	//
	// On: Ready=False Stalled=True Reconciling=True
	// Do: rename the brand or the other object, or delete that; it is looked at every 30
	// seconds.
	ReasonNotOwned = "NotOwned"
	// ReasonApplyFailed says that the API server forbids an object, or fails with it: a
	// quota, a role, an admission webhook that does not answer.
	//
	// On: Ready=False Reconciling=True
	// Do: see what the message says: raise the quota, mend the operator's role, bring the
	// webhook back. It is tried again by itself.
	ReasonApplyFailed = "ApplyFailed"
	// ReasonWorkloadAvailable says that there are enough available Pods, old ones
	// included.
	//
	// On: WorkloadAvailable=True
	// Do: nothing.
	ReasonWorkloadAvailable = "WorkloadAvailable"
	// ReasonWorkloadUnavailable says that there are not enough available Pods, or there is
	// no Deployment.
	//
	// On: WorkloadAvailable=False
	// Do: look at Ready, whose message says why; then at the Pods' events and logs.
	ReasonWorkloadUnavailable = "WorkloadUnavailable"
	// ReasonRolloutFailed says that new Pods do not become ready in time. Pods that were
	// ready before serve on, except an embedded ledger's.
	//
	// On: Ready=False Stalled=True
	// Do: read in the message, or in the new Pods' logs, why they do not start, and mend
	// that. A mended Secret or spec rolls out by itself.
	ReasonRolloutFailed = "RolloutFailed"
	// ReasonLedgerOpen says that the connector's Pods have opened the ledger.
	//
	// On: LedgerReady=True
	// Do: nothing.
	ReasonLedgerOpen = "LedgerOpen"
	// ReasonLedgerUnavailable says that the ledger cannot be opened, or the volume that it
	// was on is gone.
	//
	// On: LedgerReady=False Ready=False Stalled=True
	// Do: the message has the connector's own words, or names the claim: is the database
	// up and its DSN right, is the disk full? Bring a lost volume back, or restore a
	// backup.
	ReasonLedgerUnavailable = "LedgerUnavailable"
	// ReasonScaledToZero says that the connector is scaled to zero, so nobody has the
	// ledger open.
	//
	// On: LedgerReady=Unknown
	// Do: nothing, if that was meant; else scale it up.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonExposed says that the Gateway has accepted the route, or the Ingress has an
	// address.
	//
	// On: Exposed=True
	// Do: nothing.
	ReasonExposed = "Exposed"
	// ReasonNotExposed says that no Gateway has answered for the route yet; or, with
	// Stalled, that the cluster does not serve the Gateway API.
	//
	// On: Exposed=Unknown Exposed=False Ready=Unknown Ready=False Reconciling=True Stalled=True
	// Do: see that the Gateway of spec.exposure exists and that its controller runs.
	// Without the Gateway API: install its CRDs and restart the operator, or use
	// ingressClassName.
	ReasonNotExposed = "NotExposed"
	// ReasonRouteNotAccepted says that the Gateway refuses the route.
	//
	// On: Exposed=False Ready=False Reconciling=True
	// Do: the message has the Gateway's own words: most often its listener does not let in
	// routes of this namespace, or this hostname.
	ReasonRouteNotAccepted = "RouteNotAccepted"
	// ReasonAwaitingAddress says that no ingress controller has given the Ingress an
	// address. Ready stays as it is, for some controllers serve and never give one.
	//
	// On: Exposed=Unknown
	// Do: see that the IngressClass of spec.exposure exists and that its controller runs.
	// If the till reaches the connector all the same, nothing.
	ReasonAwaitingAddress = "AwaitingAddress"
	// ReasonCertificateNotFound says that the Secret that spec.exposure.tlsSecretRef names
	// is not in the brand's namespace, so that the Ingress has no certificate of its own.
	//
	// On: Exposed=False Ready=False Reconciling=True
	// Do: create it, or have its issuer do so; it is seen at once. Tills that call over
	// HTTPS are refused by their own check until then.
	ReasonCertificateNotFound = "CertificateNotFound"
	// ReasonClusterInternal says that neither the brand nor its class has spec.exposure:
	// the endpoints can be reached from inside the cluster only. Ready stays True.
	//
	// On: Exposed=False
	// Do: set spec.exposure, so that Keruyun reaches them; or nothing, if something else
	// brings the calls into the cluster.
	ReasonClusterInternal = "ClusterInternal"
	// ReasonClassNotFound says that the ConnectorClass that is named is not there, or that
	// the operator runs without classes.
	//
	// On: Ready=False Stalled=True CredentialsResolved=False Exposed=Unknown
	// Do: name another class, or have the platform team create it; it is seen at once.
	ReasonClassNotFound = "ClassNotFound"
	// ReasonLedgerMoved says that a change of the class would give the brand another
	// ledger, in which nothing of what it redeemed is known.
	//
	// On: Ready=False Stalled=True
	// Do: give spec.ledger as it was, or name the class that the brand had.
	ReasonLedgerMoved = "LedgerMoved"
	// ReasonCurrent says that the Pods are of the platform's newest revision.
	//
	// On: UpToDate=True
	// Do: nothing.
	ReasonCurrent = "Current"
	// ReasonNotApplied says that what is asked for now is not applied, because of what
	// Ready says. Either there is no Deployment, or its Pods are of what was applied last.
	//
	// On: UpToDate=Unknown LedgerReady=Unknown
	// Do: mend what Ready says.
	ReasonNotApplied = "NotApplied"
	// ReasonRolloutPending says that the brand's turn to take up a change of the platform
	// has not come. Ready stays True; it is Unknown when the brand's own spec has changed
	// meanwhile and waits, too.
	//
	// On: UpToDate=False Ready=Unknown Reconciling=True
	// Do: nothing, unless it lasts: then see the condition RolledOut of the brand's class,
	// or the operator's log where it has none.
	ReasonRolloutPending = "RolloutPending"
	// ReasonManagedByAnother says that this operator had made the brand's Pods, and another
	// installation made them anew. Writing back would restart them without end, so this one
	// stands back and writes nothing more. Ready stays that of the one that has the brand,
	// which serves and is kept up to date.
	//
	// On: Contested=True
	// Do: give each operator a watchLabelSelector or watchNamespaces of its own, or
	// uninstall one. Then set the annotation reconcile.fluxcd.io/requestedAt: the operator
	// that is left answers, at once if it has the brand, else after one or two minutes by
	// taking it over, which restarts the Pods once.
	ReasonManagedByAnother = "ManagedByAnother"
	// ReasonSeparateLedgers says that another BrandConnector redeems for the same brand and
	// knows nothing of what this one did: a till whose repeated request comes to the other
	// one may have a member charged twice. Ready stays as it is.
	//
	// On: BrandIDShared=True
	// Do: delete the one that is not needed; one that is another brand has to be made anew
	// with the right brandID. While a brand moves, nothing, if both record in one PostgreSQL database and schema.
	ReasonSeparateLedgers = "SeparateLedgers"
	// ReasonRolledOut says that every brand that can take part runs what the class makes
	// of it.
	//
	// On class: Ready=True RolledOut=True
	// Do: nothing.
	ReasonRolledOut = "RolledOut"
	// ReasonRollingOut says that brands of the class are taking up a change, or its
	// canaries are.
	//
	// On class: Ready=Unknown RolledOut=False Reconciling=True
	// Do: wait. When the message says that no canary can take part, mend or resume one, or
	// change spec.rollout.canary.
	ReasonRollingOut = "RollingOut"
	// ReasonNoCanary says that brands wait with a change for canaries, while the canary
	// selector matches no brand of the class: they would wait for ever. The selector may
	// have a typing error, or the canary is gone.
	//
	// On class: Ready=False RolledOut=False Stalled=True
	// Do: give a brand the label, or change spec.rollout.canary or leave it out; it is seen
	// at once.
	ReasonNoCanary = "NoCanary"
	// ReasonRolloutHalted says that a roll-out has halted: a canary, or as many brands as
	// may restart at a time, did not become available.
	//
	// On class: Ready=False RolledOut=False Stalled=True
	// Do: look at the brand that the message names, and mend the class, the image or the
	// brand; or take the change back. The others keep what they have.
	ReasonRolloutHalted = "RolloutHalted"
	// ReasonRolloutPaused says that spec.rollout.paused is true, and brands wait with a
	// change.
	//
	// On class: Ready=Unknown RolledOut=False Reconciling=True
	// Do: set it to false when the brands may go on.
	ReasonRolloutPaused = "RolloutPaused"
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

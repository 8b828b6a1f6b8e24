// SPDX-License-Identifier: Apache-2.0

package render

import (
	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// AppName is the value of the label app.kubernetes.io/name on all of a brand's
// objects.
const AppName = "hexiao-connector"

// JobAppName is the value of the label app.kubernetes.io/name on a brand's CronJobs
// and on their Pods. It is another one, for the connector's Service, disruption budget
// and autoscaler go by the label.
const JobAppName = "hexiao-connector-job"

// Labels and annotations. The selector is LabelName and LabelInstance for ever: a
// Deployment's selector cannot change.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	// LabelManagedBy selects everything that the operator made.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelRetained marks a ledger's claim that outlives its BrandConnector.
	LabelRetained = v1alpha1.Group + "/retained"

	// AnnotationBrandID is the brand whose ledger a claim holds.
	AnnotationBrandID = v1alpha1.Group + "/brand-id"
	// AnnotationConfigRevision is on the pod template: a keyed hash of the
	// configuration and of each value that it refers to.
	AnnotationConfigRevision = v1alpha1.Group + "/config-revision"
	// AnnotationTraceParent is on the pod template: the W3C trace context of the
	// reconcile that changed the template.
	AnnotationTraceParent = v1alpha1.Group + "/traceparent"
	// AnnotationPlatformRevision is on the Deployment: the revision of the platform
	// (see PlatformRevision) that the pod template is of, or is the same under.
	AnnotationPlatformRevision = v1alpha1.Group + "/platform-revision"
	// AnnotationCause is on the Deployment: whose change the Pods were started for.
	AnnotationCause = v1alpha1.Group + "/cause"
	// AnnotationIntent is on the Deployment: see Intent.
	AnnotationIntent = v1alpha1.Group + "/intent"
	// AnnotationLedger is on the Deployment: the ledger that the brand records in.
	AnnotationLedger = v1alpha1.Group + "/ledger"
	// AnnotationTemplateHash is on the Deployment: the hash of its pod template
	// without AnnotationTraceParent.
	AnnotationTemplateHash = v1alpha1.Group + "/template-hash"
)

// ManagedBy is the value of LabelManagedBy.
const ManagedBy = "hexiao"

// Ports of the connector's container and of its Service.
const (
	PortHTTP    int32 = 8080
	PortAdmin   int32 = 9090
	PortService int32 = 80
)

// Files of the connector's container.
const (
	ConfigKey      = "brand.yaml"
	configDir      = "/etc/hexiao/brand"
	credentialsDir = "/etc/hexiao/credentials"
	shopsDir       = "/etc/hexiao/shops"
	ledgerDir      = "/var/lib/hexiao"
	ledgerFile     = ledgerDir + "/ledger.db"
)

// An embedded ledger's volume, and the flag that says where it is mounted.
const (
	ledgerVolume   = "ledger"
	ledgerPathFlag = "--ledger-path"
)

// ContainerName is the name of the connector's container, for spec.workload.patch.
const ContainerName = "connector"

// user is the unprivileged user and group of the connector.
const user int64 = 65532

// LedgerClaimName is the name of the claim of a brand's embedded ledger.
func LedgerClaimName(b *v1alpha1.BrandConnector) string { return b.Name + "-ledger" }

// SelectorLabels select the Pods of a brand.
func SelectorLabels(b *v1alpha1.BrandConnector) map[string]string {
	return map[string]string{LabelName: AppName, LabelInstance: b.Name}
}

// Labels are the labels of each of a brand's objects.
func Labels(b *v1alpha1.BrandConnector) map[string]string {
	l := SelectorLabels(b)
	l[LabelComponent] = "connector"
	l[LabelPartOf] = "hexiao"
	l[LabelManagedBy] = ManagedBy
	return l
}

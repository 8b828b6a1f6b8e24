// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Kinds of a brand's objects, in the order in which they are applied: a Pod finds
// what it mounts.
var (
	ServiceAccountKind = schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}
	ConfigMapKind      = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	ClaimKind          = schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}
	NetworkPolicyKind  = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}
	ServiceKind        = schema.GroupVersionKind{Version: "v1", Kind: "Service"}
	DeploymentKind     = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	BudgetKind         = schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}
	AutoscalerKind     = schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}
	HTTPRouteKind      = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
	CronJobKind        = schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}
	IngressKind        = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}
)

// KeepsAdditions says of a kind that what people add to a brand's object of it stays there.
// Nothing in a ledger's claim is worth a refusal that would keep the brand from starting,
// and in the service account somebody may have put pull secrets.
func KeepsAdditions(kind schema.GroupVersionKind) bool {
	return kind == ClaimKind || kind == ServiceAccountKind
}

// Installation is what is the same for all brands of an installation.
type Installation struct {
	// Image of the connector; by digest where it matters.
	Image string
	// ImagePullPolicy of the connector; the cluster's default when empty.
	ImagePullPolicy corev1.PullPolicy
	// ImagePullSecrets are the names of Secrets in each brand's namespace to pull the
	// connector's image with, for brands that name none and whose class names none.
	ImagePullSecrets []string
	// MonitoringNamespaces are labels of the namespaces that may read metrics; all
	// namespaces of the cluster when empty.
	MonitoringNamespaces map[string]string
	// ClientNamespaces are labels of the namespaces that may call the connector,
	// such as the gateway's; everybody when empty.
	ClientNamespaces map[string]string
	// RevisionKey keys the hashes on a Deployment, so that they tell nothing of
	// the credentials that went into them.
	RevisionKey []byte
	// ProgressDeadlineSeconds is how long a rollout may take before it has failed; 300
	// when 0.
	ProgressDeadlineSeconds int32
}

// with is the installation as a class has it.
func (i Installation) with(c *v1alpha1.ConnectorClass) Installation {
	if i.ProgressDeadlineSeconds == 0 {
		i.ProgressDeadlineSeconds = 300
	}
	if c == nil {
		return i
	}
	if c.Spec.Image != "" {
		i.Image = c.Spec.Image
	}
	if c.Spec.ImagePullPolicy != "" {
		i.ImagePullPolicy = corev1.PullPolicy(c.Spec.ImagePullPolicy)
	}
	if d := c.Spec.Rollout.ProgressDeadline; d != nil {
		i.ProgressDeadlineSeconds = int32(d.Duration / time.Second)
	}
	return i
}

// Inputs of Render.
type Inputs struct {
	// Brand to render. It is not changed.
	Brand *v1alpha1.BrandConnector
	// Class of the brand; nil when it has none. It is not changed.
	Class *v1alpha1.ConnectorClass
	// Values found for Needs of the brand as v1alpha1.Resolve has it; optional ones may be missing.
	Values []Value
	// Installation that runs it.
	Installation Installation
}

// Child is one object of a brand.
type Child struct {
	Kind schema.GroupVersionKind
	Name string
	// Apply is the object as it should be, or nil when it must not exist.
	Apply runtime.ApplyConfiguration
}

// Output of Render.
type Output struct {
	// Children in the order in which they are to be applied.
	Children []Child
	// ConfigRevision is a keyed hash of the configuration and its values.
	ConfigRevision string
	// TemplateHash is the hash of the pod template.
	TemplateHash string
	// Intent is what the brand's team has its hand in.
	Intent Intent

	deployment *appsv1ac.DeploymentApplyConfiguration
	// anyNumber is true when nobody gives a number of Pods, and more than the default
	// do no harm.
	anyNumber bool
}

// InvalidError says that a brand cannot be rendered until its owner changes it.
type InvalidError struct {
	// Field of the BrandConnector at fault.
	Field string
	// Problem and remedy.
	Problem string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

// Render renders all objects of a brand. Its error is an *InvalidError when the
// brand is at fault.
func Render(in Inputs) (*Output, error) {
	brand := v1alpha1.Resolve(in.Brand, in.Class)
	brand.Default()
	if err := check(brand, in.Class); err != nil {
		return nil, err
	}
	r := &renderer{brand: brand, class: in.Class, values: in.Values, installation: in.Installation.with(in.Class)}

	config, err := Config(brand)
	if err != nil {
		return nil, err
	}
	revision := Revision(in.Installation.RevisionKey, config, in.Values)
	deployment, err := r.deployment(revision)
	if err != nil {
		return nil, err
	}
	hash, err := sealTemplate(deployment)
	if err != nil {
		return nil, err
	}
	intent, err := IntentOf(in.Installation.RevisionKey, in.Brand, in.Values)
	if err != nil {
		return nil, err
	}
	deployment.WithAnnotations(map[string]string{AnnotationLedger: brand.Spec.Ledger.String()})
	return &Output{
		Intent:         intent,
		ConfigRevision: revision,
		TemplateHash:   hash,
		deployment:     deployment,
		anyNumber:      brand.Spec.Workload.Replicas == nil && brand.Spec.Workload.Autoscaling == nil && brand.Spec.Ledger.Embedded == nil,
		Children: []Child{
			r.child(ServiceAccountKind, brand.Name, r.serviceAccount()),
			r.child(ConfigMapKind, brand.Name, r.configMap(config)),
			r.child(ClaimKind, LedgerClaimName(brand), optional(r.claim())),
			r.child(NetworkPolicyKind, brand.Name, r.networkPolicy()),
			r.child(ServiceKind, brand.Name, r.service()),
			r.child(DeploymentKind, brand.Name, deployment),
			r.child(BudgetKind, brand.Name, optional(r.budget())),
			r.child(AutoscalerKind, brand.Name, optional(r.autoscaler())),
			r.child(HTTPRouteKind, brand.Name, optional(r.httpRoute())),
			r.child(IngressKind, brand.Name, optional(r.ingress())),
			r.child(NetworkPolicyKind, jobsPolicyName(brand), optional(r.jobsNetworkPolicy())),
			r.child(CronJobKind, cronJobName(brand, jobReconciliation), optional(r.reconciliation())),
			r.child(CronJobKind, cronJobName(brand, jobRetention), optional(r.retention())),
		},
	}, nil
}

// SetTraceParent puts a trace context on the pod template, for the Pods to continue.
// It changes the template; whoever calls it sees to it that a template which is
// otherwise the same keeps the one that it has. An empty text leaves it out.
func (o *Output) SetTraceParent(traceParent string) {
	if traceParent != "" {
		o.deployment.Spec.Template.WithAnnotations(map[string]string{AnnotationTraceParent: traceParent})
	}
}

// KeepReplicas keeps the number of Pods that a Deployment has, where it is above the
// default one and nobody gives another: an autoscaler that is switched off had its reasons
// for it.
func (o *Output) KeepReplicas(has *int32) {
	if o.anyNumber && has != nil && *has > *o.deployment.Spec.Replicas {
		o.deployment.Spec.WithReplicas(*has)
	}
}

// Replicas is the number of Pods asked for, or nil when an autoscaler chooses.
func (o *Output) Replicas() *int32 { return o.deployment.Spec.Replicas }

// check judges what came of a brand and its class. The API server judged each alone, and
// perhaps before this version's rules were there.
func check(brand *v1alpha1.BrandConnector, class *v1alpha1.ConnectorClass) error {
	if l := brand.Spec.Ledger; l.Postgres == nil && l.Embedded == nil {
		return &InvalidError{Field: "spec.ledger", Problem: "it is missing, and no ConnectorClass has one for this brand: give spec.ledger.postgres or spec.ledger.embedded, or name a class with a ledger"}
	}
	errs := brand.Validate()
	if len(errs) == 0 {
		return nil
	}
	problem := errs[0].ErrorBody()
	if class != nil {
		problem = fmt.Sprintf("with what ConnectorClass %s adds: %s", class.Name, problem)
	}
	return &InvalidError{Field: errs[0].Field, Problem: problem}
}

// renderer holds what the functions that render one object share.
type renderer struct {
	brand        *v1alpha1.BrandConnector // resolved and defaulted
	class        *v1alpha1.ConnectorClass // or nil
	values       []Value
	installation Installation
}

func (r *renderer) child(kind schema.GroupVersionKind, name string, apply runtime.ApplyConfiguration) Child {
	return Child{Kind: kind, Name: name, Apply: apply}
}

// optional keeps a nil pointer from becoming a non-nil interface.
func optional[T any, P interface {
	*T
	runtime.ApplyConfiguration
}](p P) runtime.ApplyConfiguration {
	if p == nil {
		return nil
	}
	return p
}

// owner makes the brand the controller of a child, so that the garbage collector
// deletes it with the brand. No finalizer is needed and none is set.
func (r *renderer) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind(v1alpha1.KindBrandConnector).
		WithName(r.brand.Name).
		WithUID(r.brand.UID).
		WithController(true)
}

// replicas is the number of Pods that the operator asks for, or nil when an
// autoscaler chooses.
func (r *renderer) replicas() *int32 {
	switch w := &r.brand.Spec.Workload; {
	case w.Autoscaling != nil:
		return nil
	case w.Replicas != nil:
		return w.Replicas
	case r.brand.Spec.Ledger.Embedded != nil:
		return new(int32(1))
	default:
		return new(int32(2))
	}
}

// Image is the image of the connector's container.
func (o *Output) Image() string {
	for _, c := range o.deployment.Spec.Template.Spec.Containers {
		if c.Name != nil && *c.Name == ContainerName && c.Image != nil {
			return *c.Image
		}
	}
	return ""
}

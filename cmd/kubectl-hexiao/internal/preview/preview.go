// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/manifest"
	"github.com/hexiao-dev/hexiao/controllers/ownership"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Operator is the field manager of the operator's applies.
const Operator = "hexiao"

// NewRevision stands for a revision of the configuration that only the operator can
// know, because credentials are in it.
const NewRevision = "known-to-the-operator-alone"

// Want is what is previewed.
type Want struct {
	// Brand as its team wrote it, with name and namespace.
	Brand *v1alpha1.BrandConnector
	// Class of the brand; nil when it has none.
	Class *v1alpha1.ConnectorClass
	// ClassHidden is true when the caller may not read classes, and so not tell whether
	// there is one.
	ClassHidden bool
	// Written is true when Brand is not the one that is in the cluster.
	Written bool
	// Given are the parts of the installation that are not to be taken from the live
	// objects. DefaultImage is for a brand that has none.
	Given        render.Installation
	DefaultImage string
	// Operator is what the flags of the installed operator give to a brand that has no
	// live objects yet, and OperatorName its name; nil when it could not be read.
	Operator     *render.Installation
	OperatorName string
}

// Preview of one brand.
type Preview struct {
	Namespace string  `json:"namespace"`
	Brand     string  `json:"brand"`
	Restart   Restart `json:"restart"`
	// Differences in the order in which they would be applied.
	Differences []Difference `json:"differences"`
	// Notes are what a reader of the differences should know.
	Notes []string `json:"notes,omitempty"`
	// Problems are what the operator would run into, or what could not be compared.
	Problems []string `json:"problems,omitempty"`
}

func (p *Preview) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Preview) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

// Of previews a brand. Its error is one that left nothing to preview.
func Of(ctx context.Context, c *live.Cluster, w Want) (*Preview, error) {
	p := &Preview{Namespace: w.Brand.Namespace, Brand: w.Brand.Name, Differences: []Difference{}}
	s, err := look(ctx, c, w.Brand)
	if err != nil {
		return nil, err
	}
	brand := w.Brand.DeepCopy()
	brand.UID = ""
	if s.brand != nil {
		brand.UID = s.brand.UID
	}
	if w.Written {
		p.judgeSpec(ctx, c, brand)
	}
	if w.Class == nil && !p.withoutClass(s, brand, w.ClassHidden) {
		return p, nil
	}
	if w.Class != nil && w.Class.Spec.Image != "" && w.Given.Image != "" {
		p.note("--image changes nothing: ConnectorClass %s gives the image", w.Class.Name)
	}
	if brand.Spec.Suspend {
		p.note("the brand is suspended: the operator changes nothing before it is resumed")
	}
	if was, is, moves := s.ledgerMoves(brand, w.Class); moves {
		p.problem("the ledger would move from %s to %s, and what the brand redeemed would be forgotten: the operator changes nothing then (%s)", was, is, v1alpha1.ReasonLedgerMoved)
	}
	out, err := s.render(p, brand, w)
	if err != nil {
		return nil, err
	}
	for _, child := range out.Children {
		if err := p.child(ctx, c, brand, child); err != nil {
			p.problem("%s %s: %v", child.Kind.Kind, child.Name, err)
		}
	}
	if p.Restart.Pods && s.deployment != nil && s.takenUp(brand) {
		p.Restart.Why += "; this is the platform's change and not the brand's, so it waits for its turn in the roll-out"
	}
	return p, nil
}

// withoutClass says whether a brand is to be shown as one without a class. Where classes
// may not be read, the operator's own word counts: which class it used last.
func (p *Preview) withoutClass(s *state, brand *v1alpha1.BrandConnector, hidden bool) bool {
	name, used := brand.Spec.ConnectorClassName, (*v1alpha1.ResolvedStatus)(nil)
	if s.brand != nil && s.brand.Spec.ConnectorClassName == name {
		used = s.brand.Status.Resolved
	}
	switch {
	case !hidden && name != "":
		p.problem("there is no ConnectorClass %q, which spec.connectorClassName names: create it, or name another (%s)", name, v1alpha1.ReasonClassNotFound)
	case !hidden:
		return true
	case used != nil && used.ConnectorClassName == "" && name == "":
		p.note("you may not read ConnectorClasses: the brand is shown without one, because the operator used none when it looked last (status.resolved)")
		return true
	case used != nil || name != "":
		p.problem("it cannot be compared: ConnectorClass %s gives values to the brand, and you may not read it: ask the platform team for the right to get connectorclasses",
			className(name, used))
	case brand.Spec.Ledger.String() == "":
		p.problem("it cannot be compared: spec.ledger is missing, so that a ConnectorClass has to give one, and you may not read ConnectorClasses: ask the platform team for the right to get them")
	default:
		p.note("you may not read ConnectorClasses: the brand is shown without one; if there is one called %q, it gives values that are not shown", v1alpha1.DefaultConnectorClass)
		return true
	}
	return false
}

func className(named string, used *v1alpha1.ResolvedStatus) string {
	if named == "" && used != nil {
		return used.ConnectorClassName
	}
	return named
}

// judgeSpec has the API server judge the BrandConnector itself: rules that compare with
// the one before, such as what is immutable, are known nowhere else.
func (p *Preview) judgeSpec(ctx context.Context, c *live.Cluster, brand *v1alpha1.BrandConnector) {
	object, err := manifest.Encode(&v1alpha1.BrandConnector{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindBrandConnector},
		ObjectMeta: metav1.ObjectMeta{Namespace: brand.Namespace, Name: brand.Name},
		Spec:       *brand.OwnSpec(),
	})
	if err == nil {
		unstructured.RemoveNestedField(object.Object, "status")
		_, err = c.DryRun(ctx, live.FieldManager, object)
	}
	switch {
	case apierrors.IsForbidden(err):
		p.note("you may not write this BrandConnector, so the API server did not judge its spec")
	case err != nil:
		p.problem("BrandConnector %s: %v", brand.Name, err)
	}
}

// child compares one object.
func (p *Preview) child(ctx context.Context, c *live.Cluster, brand *v1alpha1.BrandConnector, child render.Child) error {
	have, err := c.Get(ctx, child.Kind, brand.Namespace, child.Name)
	if err != nil {
		return err
	}
	owner := foreign(brand, child, have)
	if child.Apply == nil {
		// A ledger's claim is never deleted, nor is what is somebody else's.
		if have == nil || owner != "" || child.Kind == render.ClaimKind {
			return nil
		}
		return p.add(have, nil)
	}
	if owner != "" {
		return fmt.Errorf("it exists and belongs to %s: the operator leaves it alone (%s)", owner, v1alpha1.ReasonNotOwned)
	}
	intent, err := manifest.Object(child.Apply)
	if err != nil {
		return err
	}
	keepReplicas(child, have, intent)
	if err := keepSize(child, have, intent); err != nil {
		return err
	}
	would, err := c.DryRun(ctx, Operator, intent)
	if child.Kind == render.HTTPRouteKind && notServed(err) {
		p.note("this cluster has no Gateway API: no HTTPRoute is made, and the brand is not exposed")
		return nil
	}
	if err != nil {
		return err
	}
	if child.Kind == render.DeploymentKind {
		p.Restart = restart(have, would)
	}
	if added := addedTo(child, have); added != "" {
		p.note("%s %s has fields that somebody added with kubectl, and the operator takes them away when it next writes the object: %s", child.Kind.Kind, child.Name, added)
	}
	return p.add(have, would)
}

// addedTo lists what people added to an object, which a dry run of an apply leaves there.
func addedTo(child render.Child, have *unstructured.Unstructured) string {
	if have == nil || render.KeepsAdditions(child.Kind) {
		return ""
	}
	var fields []string
	for path := range ownership.Added(have.GetManagedFields(), Operator).Leaves().All() {
		fields = append(fields, strings.TrimPrefix(path.String(), "."))
	}
	return strings.Join(fields, ", ")
}

// notServed tells a kind that is not there from a namespace that is not.
func notServed(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind != "namespaces"
}

func (p *Preview) add(have, would *unstructured.Unstructured) error {
	d, err := compare(have, would)
	if err == nil && d != nil {
		p.Differences = append(p.Differences, *d)
	}
	return err
}

// foreign names the owner of an object that is not the brand's; empty when it is, or
// when there is no object. It is what the operator asks before it writes.
func foreign(brand *v1alpha1.BrandConnector, child render.Child, have *unstructured.Unstructured) string {
	if have == nil {
		return ""
	}
	if owner := metav1.GetControllerOf(have); owner != nil {
		if owner.UID == brand.UID {
			return ""
		}
		return owner.Kind + " " + owner.Name
	}
	labels := have.GetLabels()
	if child.Kind != render.ClaimKind || labels[render.LabelInstance] != brand.Name || labels[render.LabelManagedBy] != render.ManagedBy {
		return "nobody that the operator knows"
	}
	if id := have.GetAnnotations()[render.AnnotationBrandID]; id != brand.Spec.BrandID {
		return "the ledger of brand " + id
	}
	return ""
}

// keepSize leaves a ledger's claim as large as it is, as the operator does.
func keepSize(child render.Child, have, intent *unstructured.Unstructured) error {
	if child.Kind != render.ClaimKind || have == nil {
		return nil
	}
	claim := &corev1.PersistentVolumeClaim{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(have.Object, claim); err != nil {
		return fmt.Errorf("read the ledger's claim: %w", err)
	}
	return render.KeepSize(intent, claim.Spec.Resources.Requests)
}

// keepReplicas leaves the number of Pods to an autoscaler, as the operator does: it hands
// the field over before it stops applying it, and a dry run cannot.
func keepReplicas(child render.Child, have, intent *unstructured.Unstructured) {
	if child.Kind != render.DeploymentKind || have == nil {
		return
	}
	if _, set, _ := unstructured.NestedFieldNoCopy(intent.Object, "spec", "replicas"); set {
		return
	}
	if n, is, _ := unstructured.NestedInt64(have.Object, "spec", "replicas"); is {
		_ = unstructured.SetNestedField(intent.Object, n, "spec", "replicas")
	}
}

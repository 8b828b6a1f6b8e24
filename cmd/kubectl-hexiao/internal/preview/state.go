// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"cmp"
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/manifest"
	"github.com/hexiao-dev/hexiao/controllers/ownership"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// state is what there is, as far as it tells what the operator knows.
type state struct {
	brand      *v1alpha1.BrandConnector
	deployment *appsv1.Deployment
	policy     *networkingv1.NetworkPolicy
	configMap  *corev1.ConfigMap
	// neighbours are another brand's, for a brand that has none of its own yet.
	neighbour       *appsv1.Deployment
	neighbourPolicy *networkingv1.NetworkPolicy
}

func look(ctx context.Context, c *live.Cluster, b *v1alpha1.BrandConnector) (*state, error) {
	s := &state{}
	var err error
	if s.brand, err = get[v1alpha1.BrandConnector](ctx, c, live.BrandKind, b); err != nil {
		return nil, err
	}
	if s.deployment, err = get[appsv1.Deployment](ctx, c, render.DeploymentKind, b); err != nil {
		return nil, err
	}
	if s.policy, err = get[networkingv1.NetworkPolicy](ctx, c, render.NetworkPolicyKind, b); err != nil {
		return nil, err
	}
	if s.configMap, err = get[corev1.ConfigMap](ctx, c, render.ConfigMapKind, b); err != nil {
		return nil, err
	}
	if s.deployment == nil {
		if s.neighbour, err = first[appsv1.Deployment](ctx, c, render.DeploymentKind, b.Namespace); err != nil {
			return nil, err
		}
	}
	if s.policy == nil {
		if s.neighbourPolicy, err = first[networkingv1.NetworkPolicy](ctx, c, render.NetworkPolicyKind, b.Namespace); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func get[T any](ctx context.Context, c *live.Cluster, kind schema.GroupVersionKind, b *v1alpha1.BrandConnector) (*T, error) {
	u, err := c.Get(ctx, kind, b.Namespace, b.Name)
	if err != nil {
		return nil, err
	}
	return live.As[T](u)
}

// first is the first of a kind that the operator made for the connector of any brand.
func first[T any](ctx context.Context, c *live.Cluster, kind schema.GroupVersionKind, namespace string) (*T, error) {
	list, err := c.List(ctx, kind, namespace, metav1.ListOptions{
		LabelSelector: labels.Set{render.LabelManagedBy: render.ManagedBy, render.LabelName: render.AppName}.String()})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return live.As[T](&list[0])
}

// render renders a brand as the operator would, as far as that can be known.
func (s *state) render(p *Preview, brand *v1alpha1.BrandConnector, w Want) (*render.Output, error) {
	out, err := render.Render(render.Inputs{Brand: brand, Class: w.Class, Installation: s.installation(p, w), Values: s.database(p, brand, w.Class)})
	if err != nil {
		return nil, fmt.Errorf("BrandConnector %s: %w", brand.Name, err)
	}
	if s.deployment == nil {
		return out, out.SetConfigRevision(NewRevision)
	}
	running := s.deployment.Spec.Template.Annotations
	revision, err := s.revision(out, running[render.AnnotationConfigRevision])
	if err != nil {
		return nil, err
	}
	if err := out.SetConfigRevision(revision); err != nil {
		return nil, err
	}
	out.KeepReplicas(s.deployment.Spec.Replicas)
	out.SetTraceParent(running[render.AnnotationTraceParent])
	if _, noted := s.deployment.Annotations[render.AnnotationIntent]; noted {
		out.Note(render.NotesOf(s.deployment.Annotations))
	}
	return out, nil
}

// takenUp says whether the operator has seen all that the brand's team wants: what then
// differs is the platform's doing.
func (s *state) takenUp(brand *v1alpha1.BrandConnector) bool {
	return s.brand != nil && !s.brand.Spec.Suspend && s.brand.Status.ObservedGeneration == s.brand.Generation &&
		equality.Semantic.DeepEqual(s.brand.OwnSpec(), brand.OwnSpec())
}

// ledgerMoves says whether a brand would come by another ledger without its team's doing,
// which the operator refuses.
func (s *state) ledgerMoves(brand *v1alpha1.BrandConnector, class *v1alpha1.ConnectorClass) (was, is string, moves bool) {
	if s.deployment == nil {
		return "", "", false
	}
	return render.LedgerMoves(s.deployment.Annotations, brand, v1alpha1.Resolve(brand, class))
}

// revision is the running one while the configuration is the running one.
func (s *state) revision(out *render.Output, running string) (string, error) {
	for _, child := range out.Children {
		if child.Kind != render.ConfigMapKind {
			continue
		}
		would, err := rendered[corev1.ConfigMap](child)
		if err != nil {
			return "", err
		}
		if s.configMap != nil && would.Data[render.ConfigKey] == s.configMap.Data[render.ConfigKey] {
			return cmp.Or(running, NewRevision), nil
		}
	}
	return NewRevision, nil
}

func rendered[T any](child render.Child) (*T, error) {
	u, err := manifest.Object(child.Apply)
	if err != nil {
		return nil, err
	}
	return live.As[T](u)
}

// installation is what flags give, and for the rest what the live objects were made with.
func (s *state) installation(p *Preview, w Want) render.Installation {
	i := w.Given
	source := "the flags of the installed operator, " + w.OperatorName
	if o := w.Operator; s.deployment == nil && o != nil {
		i.Image = cmp.Or(i.Image, o.Image)
		i.ImagePullPolicy = cmp.Or(i.ImagePullPolicy, o.ImagePullPolicy)
		if s.policy == nil {
			i.ClientNamespaces, i.MonitoringNamespaces = or(i.ClientNamespaces, o.ClientNamespaces), or(i.MonitoringNamespaces, o.MonitoringNamespaces)
		}
	} else if s.neighbour != nil {
		source = "another brand of the namespace, " + s.neighbour.Name
	} else {
		source = "this plugin's version, because no operator's Deployment could be read"
	}
	if model := cmp.Or(s.deployment, s.neighbour); model != nil {
		i.Image = cmp.Or(i.Image, connector(model).Image)
		if i.ImagePullPolicy == "" && applies(model, "imagePullPolicy") {
			i.ImagePullPolicy = connector(model).ImagePullPolicy
		}
		if d := model.Spec.ProgressDeadlineSeconds; d != nil {
			i.ProgressDeadlineSeconds = *d
		}
	}
	if i.ImagePullSecrets == nil {
		i.ImagePullSecrets = s.pullSecrets(w)
	}
	i.Image = cmp.Or(i.Image, w.DefaultImage)
	if s.deployment == nil && w.Given.Image == "" && (w.Class == nil || w.Class.Spec.Image == "") {
		p.note("the brand is new, and image %s is taken from %s: say --image to have another", i.Image, source)
	}
	if policy := cmp.Or(s.policy, s.neighbourPolicy); policy != nil {
		if i.ClientNamespaces == nil {
			i.ClientNamespaces = callers(policy, render.PortHTTP)
		}
		if i.MonitoringNamespaces == nil {
			i.MonitoringNamespaces = callers(policy, render.PortAdmin)
		}
	}
	return i
}

// pullSecrets are those of the operator's flag. Where the live brand and its class name
// none, the live Pods show them.
func (s *state) pullSecrets(w Want) []string {
	if s.brand != nil && s.deployment != nil && len(v1alpha1.Resolve(s.brand, w.Class).Spec.Workload.ImagePullSecrets) == 0 {
		names := []string{}
		for _, ref := range s.deployment.Spec.Template.Spec.ImagePullSecrets {
			names = append(names, ref.Name)
		}
		return names
	}
	if w.Operator != nil {
		return w.Operator.ImagePullSecrets
	}
	return nil
}

// or is the first map that is there: an empty one is an answer, too.
func or(a, b map[string]string) map[string]string {
	if a != nil {
		return a
	}
	return b
}

func connector(d *appsv1.Deployment) corev1.Container {
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Name == render.ContainerName {
			return c
		}
	}
	return corev1.Container{}
}

// applies says whether the operator set a field of the connector's container: what the
// API server filled in looks the same, and is not to be rendered.
func applies(d *appsv1.Deployment, field string) bool {
	return ownership.Applied(d.ManagedFields, Operator).Has(fieldpath.MakePathOrDie(
		"spec", "template", "spec", "containers", fieldpath.KeyByFields("name", render.ContainerName), field))
}

// callers are the labels of the namespaces that a policy lets in to a port.
func callers(p *networkingv1.NetworkPolicy, port int32) map[string]string {
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 1 && rule.Ports[0].Port != nil && rule.Ports[0].Port.IntVal == port &&
			len(rule.From) == 1 && rule.From[0].NamespaceSelector != nil {
			return rule.From[0].NamespaceSelector.MatchLabels
		}
	}
	return nil
}

// database stands in for the DSN of the ledger, of which the network policy shows where
// the database is: the place that makes of the live brand the live policy.
func (s *state) database(p *Preview, brand *v1alpha1.BrandConnector, class *v1alpha1.ConnectorClass) []render.Value {
	need, is := dsn(brand, class)
	if !is {
		return nil
	}
	if s.brand == nil || s.policy == nil {
		p.note("the port of the ledger's database is in Secret %s, which is not read: the NetworkPolicy is shown with 5432", need.Name)
		return nil
	}
	if was, is := dsn(s.brand, class); is && was.Name == need.Name && was.Key == need.Key {
		for _, address := range addresses(s.policy) {
			values := []render.Value{{Need: need, Bytes: []byte(address)}}
			if s.explains(values, class) {
				return values
			}
		}
	}
	p.note("where the ledger's database is cannot be told from the live NetworkPolicy: the new one is shown with port 5432")
	return nil
}

func dsn(brand *v1alpha1.BrandConnector, class *v1alpha1.ConnectorClass) (render.Need, bool) {
	for _, need := range render.Needs(v1alpha1.Resolve(brand, class)) {
		if need.DSN {
			return need, true
		}
	}
	return render.Need{}, false
}

// addresses are those of databases that a policy may have been made for.
func addresses(p *networkingv1.NetworkPolicy) []string {
	found := []string{""}
	for _, rule := range p.Spec.Egress {
		for _, peer := range rule.To {
			if peer.NamespaceSelector != nil {
				found = append(found, "postgres://ledger."+peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName]+".svc")
			}
		}
		for _, port := range rule.Ports {
			if port.Port != nil && len(rule.To) == 0 {
				found = append(found, "postgres://ledger.invalid:"+port.Port.String())
			}
		}
	}
	return found
}

// explains says whether the live brand gives the live policy's way out with these values.
func (s *state) explains(values []render.Value, class *v1alpha1.ConnectorClass) bool {
	out, err := render.Render(render.Inputs{Brand: s.brand, Class: class, Values: values})
	if err != nil {
		return false
	}
	for _, child := range out.Children {
		if child.Kind != render.NetworkPolicyKind || child.Name != s.policy.Name {
			continue
		}
		would, err := rendered[networkingv1.NetworkPolicy](child)
		return err == nil && equality.Semantic.DeepEqual(would.Spec.Egress, s.policy.Spec.Egress)
	}
	return false
}

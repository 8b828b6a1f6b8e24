// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// diagnosis is why a brand's Pods are not available. Its texts have no names of Pods, no
// counters and no times, so that a Pod that fails again and again is one status, not a
// stream of them.
type diagnosis struct {
	// text is the worst that is the matter with the Pods; empty when nothing is to be
	// seen, or when they are available.
	text string
	// ledgerFault is true when the text is the connector's own word on a ledger that
	// it could not open.
	ledgerFault bool
	// claim is what an embedded ledger's claim is, or nil.
	claim *claimState
	// lookAgain is after which time to look again, for Pods are not watched; zero
	// when they are available.
	lookAgain time.Duration
}

// claimState is what is known of an embedded ledger's claim.
type claimState struct {
	name  string
	phase corev1.PersistentVolumeClaimPhase
	// text says why it is not bound, if anybody said.
	text string
}

// lost says that the volume under an embedded ledger is gone.
func (d *diagnosis) lost() bool { return d.claim != nil && d.claim.phase == corev1.ClaimLost }

// after adds the diagnosis to a message.
func (d *diagnosis) after(message string) string {
	if d.text == "" {
		return message
	}
	return message + ": " + d.text
}

// maxPods is how many of a brand's Pods are looked at.
const maxPods = 20

// Pods are looked at soon after Ready or the roll-out came to another state, and then each
// time after half the time that went by; but not less often than this.
const soonest, latest = 5 * time.Second, time.Minute

// diagnose fills s.diagnosis. While all Pods are available it asks for nothing but an
// embedded ledger's claim, whose phase no cache has.
func (r *Reconciler) diagnose(ctx context.Context, s *scope) error {
	if err := r.observeClaim(ctx, s); err != nil {
		return err
	}
	if s.deployment == nil || available(s) {
		return nil
	}
	s.diagnosis.lookAgain = lookAgain(s.before.Status.Conditions, s.deployment, r.Clock.Now())
	p, err := r.podProblem(ctx, s)
	if err != nil {
		return err
	}
	if p.detail == "" {
		p.detail = saidBefore(s.before.Status.Conditions, p.what)
	}
	s.diagnosis.text, s.diagnosis.ledgerFault = p.String(), p.ledgerFault
	return nil
}

// available says that the rollout is over and the Deployment is available.
func available(s *scope) bool {
	c := deploymentCondition(s.deployment, appsv1.DeploymentAvailable)
	return rolledOut(s.deployment, s.appliedGeneration) && c != nil && c.Status == corev1.ConditionTrue
}

func lookAgain(conditions []metav1.Condition, d *appsv1.Deployment, now time.Time) time.Duration {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return soonest
	}
	changed := ready.LastTransitionTime.Time
	// A roll-out may take the place of one that got nowhere: Ready says the same of both.
	if c := deploymentCondition(d, appsv1.DeploymentProgressing); c != nil && c.LastUpdateTime.After(changed) {
		changed = c.LastUpdateTime.Time
	}
	return min(max(now.Sub(changed)/2, soonest), latest)
}

// podProblem is the worst problem of the Pods of the newest template. Those of an earlier
// one are on their way out, and what ails them may be mended already; they count only
// while somebody keeps the Deployment from making newer ones.
func (r *Reconciler) podProblem(ctx context.Context, s *scope) (problem, error) {
	var pods corev1.PodList
	err := r.APIReader.List(ctx, &pods, client.InNamespace(s.key.Namespace),
		client.MatchingLabels(render.SelectorLabels(s.brand)), client.Limit(maxPods))
	if apierrors.IsForbidden(err) {
		return problem{what: "the operator may not list Pods, so it cannot say why"}, nil
	}
	if err != nil {
		return problem{}, fmt.Errorf("list the Pods: %w", err)
	}
	if s.known == nil {
		s.known = r.anyKnown(ctx, s)
	}
	for i := range pods.Items {
		scrub(&pods.Items[i].Status, s.known)
	}
	some, older := split(pods.Items, s.deployment)
	if len(some) == 0 && s.deployment.Spec.Paused {
		some = older
	}
	if p, ok := worst(some, r.Clock.Now()); ok {
		return p, nil
	}
	if p, err := r.creating(ctx, s, some); err != nil || p.what != "" {
		return p, err
	}
	return notCreated(s), nil
}

// split separates the Pods of a Deployment's template from its other ones. ReplicaSets
// are not the operator's to read; what it knows of the template is on the Pods, and of
// templates that differ in the rest the one with the youngest Pods is the newest.
func split(pods []corev1.Pod, d *appsv1.Deployment) (newest, older []corev1.Pod) {
	began := map[string]metav1.Time{} // of each ReplicaSet, its first Pod's
	var candidates []corev1.Pod
	for _, pod := range pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case !isOf(&pod, &d.Spec.Template):
			older = append(older, pod)
		default:
			candidates = append(candidates, pod)
			set := replicaSetOf(&pod)
			if first, ok := began[set]; !ok || pod.CreationTimestamp.Before(&first) {
				began[set] = pod.CreationTimestamp
			}
		}
	}
	var latest metav1.Time
	for _, at := range began {
		if latest.Before(&at) {
			latest = at
		}
	}
	for _, pod := range candidates {
		if at := began[replicaSetOf(&pod)]; at.Equal(&latest) {
			newest = append(newest, pod)
		} else {
			older = append(older, pod)
		}
	}
	return newest, older
}

func replicaSetOf(pod *corev1.Pod) string { return pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] }

// isOf says that a Pod may be of a template: others may add to its labels and annotations.
func isOf(pod *corev1.Pod, template *corev1.PodTemplateSpec) bool {
	return connectorImage(&pod.Spec) == connectorImage(&template.Spec) &&
		within(template.Labels, pod.Labels) && within(template.Annotations, pod.Annotations)
}

// within says that each pair of a map is in another one.
func within(all, in map[string]string) bool {
	for k, v := range all {
		if has, ok := in[k]; !ok || has != v {
			return false
		}
	}
	return true
}

// worst is the worst problem of some Pods: the same for the same problems, whichever Pod
// has them.
func worst(pods []corev1.Pod, now time.Time) (problem, bool) {
	var all []problem
	for i := range pods {
		if p, ok := problemOf(&pods[i], now); ok {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return problem{}, false
	}
	return slices.MinFunc(all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.String(), b.String()))
	}), true
}

// creating is what was said of a Pod whose containers do not come into being, such as a
// volume that cannot be mounted: only events know.
func (r *Reconciler) creating(ctx context.Context, s *scope, pods []corev1.Pod) (problem, error) {
	for i := range pods {
		if pod := &pods[i]; isCreating(pod) {
			text, err := r.warning(ctx, "Pod", pod)
			if text != "" || err != nil {
				return problem{what: "a Pod is not started", detail: steady(redacted(s.known, text), pod)}, err
			}
		}
	}
	return problem{}, nil
}

// notCreated says why a Deployment has no newer Pods, if it says.
func notCreated(s *scope) problem {
	if s.deployment.Spec.Paused {
		return problem{what: "somebody has paused the Deployment",
			detail: fmt.Sprintf("kubectl -n %s rollout resume deployment %s", s.key.Namespace, s.key.Name)}
	}
	c := deploymentCondition(s.deployment, appsv1.DeploymentReplicaFailure)
	if c == nil || c.Status != corev1.ConditionTrue {
		return problem{}
	}
	return problem{what: c.Reason, detail: steady(redacted(s.known, withoutPodNames(c.Message, s.key.Name)), nil)}
}

// observeClaim reads an embedded ledger's claim, past the cache, which has its metadata
// alone.
func (r *Reconciler) observeClaim(ctx context.Context, s *scope) error {
	if s.spec().Ledger.Embedded == nil {
		return nil
	}
	var claim corev1.PersistentVolumeClaim
	key := client.ObjectKey{Namespace: s.key.Namespace, Name: render.LedgerClaimName(s.brand)}
	if err := r.APIReader.Get(ctx, key, &claim); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get the ledger's claim: %w", err)
	}
	state := &claimState{name: claim.Name, phase: claim.Status.Phase}
	s.diagnosis.claim = state
	if claim.Status.Phase != corev1.ClaimPending {
		return nil
	}
	text, err := r.warning(ctx, "PersistentVolumeClaim", &claim)
	state.text = steady(redacted(s.known, text), nil)
	return err
}

// warning is the warning that events give of an object, as reason and text. Of several it
// is the first by its reason and not the last by its time, for the last one changes
// without anything new being the matter.
func (r *Reconciler) warning(ctx context.Context, kind string, of client.Object) (string, error) {
	var list eventsv1.EventList
	err := r.APIReader.List(ctx, &list, client.InNamespace(of.GetNamespace()), client.MatchingFieldsSelector{Selector: fields.Set{
		"regarding.kind": kind, "regarding.name": of.GetName(), "regarding.uid": string(of.GetUID()), "type": corev1.EventTypeWarning,
	}.AsSelector()})
	if apierrors.IsForbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("list the events of a %s: %w", kind, err)
	}
	text := ""
	for _, e := range list.Items {
		// What passes while a Pod starts is no reason why it does not.
		if e.Reason == "Unhealthy" || e.Reason == "FailedScheduling" {
			continue
		}
		if said := e.Reason + ": " + firstLine(e.Note); text == "" || said < text {
			text = said
		}
	}
	return text, nil
}

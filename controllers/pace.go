// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// pace looks whether the pod template changes and, if it does, whether it may now. It
// leaves in the scope whether the brand is held, and on the Deployment whose change it is.
func (r *Reconciler) pace(ctx context.Context, s *scope) error {
	if s.output == nil {
		return nil
	}
	live, err := r.liveDeployment(ctx, s)
	if err != nil {
		return err
	}
	if movesLedger(live, s) {
		s.output = nil
		return nil
	}
	if live != nil {
		s.output.KeepReplicas(live.Spec.Replicas)
	}
	notes := render.Notes{Platform: s.platform.revision, Cause: render.CauseBrand, Intent: s.output.Intent}
	switch {
	case live == nil:
		s.output.SetTraceParent(traceParent(ctx))
	case live.Annotations[render.AnnotationTemplateHash] == s.output.TemplateHash:
		s.output.SetTraceParent(live.Spec.Template.Annotations[render.AnnotationTraceParent])
		if was := render.NotesOf(live.Annotations).Cause; was != "" {
			notes.Cause = was
		}
	default:
		cause, err := r.admit(ctx, s, live, notes)
		if err != nil {
			return err
		}
		s.templateChanged = s.hold == nil
		notes.Cause = cause
		s.output.SetTraceParent(traceParent(ctx))
	}
	s.output.Note(notes)
	s.noted = notes.Platform
	return nil
}

// liveDeployment is the brand's Deployment, or nil. Before the template is changed it is
// read past the cache: a trace must never be the reason for a rollout.
func (r *Reconciler) liveDeployment(ctx context.Context, s *scope) (*appsv1.Deployment, error) {
	for n, reader := range []client.Reader{r.Client, r.APIReader} {
		live := &appsv1.Deployment{}
		err := reader.Get(ctx, s.key, live)
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("get the Deployment: %w", err)
		}
		same := err == nil && live.Annotations[render.AnnotationTemplateHash] == s.output.TemplateHash
		if !same && n == 0 {
			continue
		}
		if err == nil && metav1.IsControlledBy(live, s.brand) {
			return live, nil
		}
	}
	return nil, nil // there is none, or it is somebody else's, which apply says
}

// traceParent is the trace context for new Pods to continue; empty when nobody listens.
func traceParent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// ledgerMoved is movesLedger by what the cache shows, before anything is asked of the Secret
// of a ledger that the brand must not come by. pace looks once more, past the cache.
func (r *Reconciler) ledgerMoved(ctx context.Context, s *scope) (bool, error) {
	live, err := r.cachedDeployment(ctx, s)
	return err == nil && movesLedger(live, s), err
}

// movesLedger sees to it that a brand does not come by another ledger without its team's
// doing: what it redeemed would be forgotten. live is nil when there is no Deployment.
func movesLedger(live *appsv1.Deployment, s *scope) bool {
	var annotations map[string]string
	if live != nil {
		annotations = live.Annotations
	}
	was, is, moves := render.LedgerMoves(annotations, s.brand, s.resolved)
	if !moves {
		return false
	}
	s.fault(fault{reason: v1alpha1.ReasonLedgerMoved, stalled: true, message: fmt.Sprintf(
		"the ledger would move from %s to %s, and what the brand redeemed would be forgotten: give spec.ledger as it was, or name the ConnectorClass that the brand had", was, is)})
	return true
}

// hold is what keeps a brand from taking up a change of its pod template now.
type hold struct {
	// phase of the roll-out that it waits for.
	phase rollout.Phase
	// spec and values say what of the brand's own has changed meanwhile.
	spec, values bool
	// foreign is true when another operator's key is on the Deployment. Until this one
	// takes it over, nothing of the brand is touched: the other one may be at work.
	foreign bool
	// live Deployment.
	live *appsv1.Deployment
}

// keeps says whether a brand that is held keeps its objects of a kind as they are.
func (h *hold) keeps(kind schema.GroupVersionKind) bool {
	return h != nil && (h.foreign || heldBack[kind])
}

// admit decides on a change of the pod template, and says whose change it is. When the
// brand may not go, it sets s.hold.
func (r *Reconciler) admit(ctx context.Context, s *scope, live *appsv1.Deployment, notes render.Notes) (render.Cause, error) {
	was := render.NotesOf(live.Annotations)
	sameKey := was.Intent.Key == notes.Intent.Key
	h := &hold{live: live, foreign: !sameKey && was.Intent.Key != "", spec: sameKey && was.Intent.Spec != notes.Intent.Spec, values: sameKey && was.Intent.Values != notes.Intent.Values}
	s.rotated = h.values
	own := h.spec || h.values
	if own && was.Platform == notes.Platform {
		return causeOfOwn(live), nil
	}
	v, err := r.fleet.decide(ctx, s.platform, s.key, rollout.Candidate{
		Canary: isCanary(s.brand, s.platform), Own: own, Idle: rolloutHasFailed(live) || hasNoPods(live), Placed: keepsPlace(live)})
	if err != nil {
		return "", err
	}
	if !v.Go {
		h.phase = v.Phase
		s.hold = h
		return was.Cause, nil
	}
	if v.Counts {
		return render.CausePlatform, nil
	}
	return render.CauseBrand, nil
}

// causeOfOwn is whose change a brand's Pods are started for when its team, or a rotation,
// starts them: still the platform's, as long as the brand has not come through with that.
// Else a rotation would end a halt.
func causeOfOwn(live *appsv1.Deployment) render.Cause {
	if keepsPlace(live) {
		return render.CausePlatform
	}
	return render.CauseBrand
}

// heldBack are the kinds that a brand which is held keeps as they are: what its Pods read
// when they start, and what lets them out.
var heldBack = map[schema.GroupVersionKind]bool{
	render.ConfigMapKind: true, render.NetworkPolicyKind: true, render.CronJobKind: true, render.DeploymentKind: true,
}

// whileHeld is what to apply of a child while the brand is held: nothing when what is
// there stays, and the child as it was rendered when nothing is there.
func (r *Reconciler) whileHeld(ctx context.Context, s *scope, child render.Child) (render.Child, bool, error) {
	if !s.hold.keeps(child.Kind) {
		return child, true, nil
	}
	if s.hold.values && child.Kind == render.NetworkPolicyKind {
		return child, true, nil // the Pods start anew, and a new DSN may name another port
	}
	live, err := r.applier.live(ctx, child.Kind, client.ObjectKey{Namespace: s.key.Namespace, Name: child.Name})
	if err != nil || live == nil {
		return child, live == nil, err
	}
	if child.Kind != render.DeploymentKind || s.hold.foreign {
		return child, false, nil
	}
	return r.heldDeployment(ctx, s, child)
}

// errNothingApplied is said of an object whose managedFields somebody has removed, as a restore
// of a backup may.
var errNothingApplied = errors.New("the API server does not remember what the operator applied (managedFields)")

// heldDeployment is the Deployment with the pod template that it has. The number of Pods
// is the brand's at any time, and rotated credentials start the Pods anew as they are: the
// old ones may have ended.
func (r *Reconciler) heldDeployment(ctx context.Context, s *scope, child render.Child) (render.Child, bool, error) {
	h, want := s.hold, s.output.Replicas()
	scaled := want != nil && (h.live.Spec.Replicas == nil || *want != *h.live.Spec.Replicas)
	if !scaled && !h.values {
		s.appliedGeneration = h.live.Generation
		return child, false, nil
	}
	live := &appsv1.Deployment{}
	if err := r.APIReader.Get(ctx, s.key, live); err != nil {
		return child, false, fmt.Errorf("get the Deployment: %w", err)
	}
	s.noted = render.NotesOf(live.Annotations).Platform
	// What was applied last, as the API server remembers it.
	kept, err := appsv1ac.ExtractDeployment(live, FieldManager)
	if err != nil {
		return child, false, fmt.Errorf("read what was applied to the Deployment: %w", err)
	}
	if kept.Spec == nil || kept.Spec.Template == nil {
		return child, false, fmt.Errorf("%w: Deployment %s waits for its turn in a roll-out, and until then only kubectl -n %s rollout restart deployment %[2]s gives its Pods the rotated credentials",
			errNothingApplied, s.key.Name, s.key.Namespace)
	}
	kept.Spec.Replicas = want
	if h.values {
		notes := render.NotesOf(live.Annotations)
		notes.Intent.Values, notes.Cause = s.output.Intent.Values, causeOfOwn(live)
		kept.WithAnnotations(notes.Annotations())
		kept.Spec.Template.WithAnnotations(map[string]string{render.AnnotationConfigRevision: s.output.ConfigRevision})
		s.templateChanged = true
	}
	child.Apply = kept
	return child, true, nil
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// countPause is how often the brands of a class are counted while a roll-out goes on, at
// most. At rest nobody counts.
const countPause = 2 * time.Second

// +kubebuilder:rbac:groups=connect.hexiao.dev,resources=connectorclasses,verbs=list;watch
// +kubebuilder:rbac:groups=connect.hexiao.dev,resources=connectorclasses/status,verbs=patch

// classReconciler says in the status of a ConnectorClass how far its roll-out is. It
// changes nothing else: who may restart is decided where a brand is reconciled. An operator
// that sees a part of the fleet alone has none: several would write over each other.
type classReconciler struct {
	*Reconciler
	mu      sync.Mutex
	counted map[string]time.Time
}

var _ reconcile.Reconciler = (*classReconciler)(nil)

func (r *Reconciler) setupClasses(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("connectorclass").
		WithOptions(controller.Options{EnableWarmup: new(true)}).
		For(&v1alpha1.ConnectorClass{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.BrandConnector{}, handler.EnqueueRequestsFromMapFunc(classNamed), builder.WithPredicates(joinedOrLeft())).
		Complete(&classReconciler{Reconciler: r, counted: map[string]time.Time{}})
}

// classNamed is the class that a brand names or would have.
func classNamed(_ context.Context, brand client.Object) []reconcile.Request {
	name := brand.(*v1alpha1.BrandConnector).Spec.ConnectorClassName
	if name == "" {
		name = v1alpha1.DefaultConnectorClass
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: name}}}
}

// joinedOrLeft lets through what may change the count of a class while no roll-out goes
// on: a brand that is new or gone, of another class, or stopped or started by its team.
func joinedOrLeft() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		is, was := e.ObjectNew.(*v1alpha1.BrandConnector), e.ObjectOld.(*v1alpha1.BrandConnector)
		return is.Generation != was.Generation || is.DeletionTimestamp.IsZero() != was.DeletionTimestamp.IsZero() ||
			conditionOf(is, v1alpha1.ConditionReady) != conditionOf(was, v1alpha1.ConditionReady) ||
			conditionOf(is, v1alpha1.ConditionUpToDate) != conditionOf(was, v1alpha1.ConditionUpToDate)
	}}
}

func conditionOf(b *v1alpha1.BrandConnector, t string) metav1.ConditionStatus {
	if c := meta.FindStatusCondition(b.Status.Conditions, t); c != nil {
		return c.Status
	}
	return ""
}

// Reconcile counts the brands of one class.
func (r *classReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	before := &v1alpha1.ConnectorClass{}
	if err := r.Client.Get(ctx, req.NamespacedName, before); err != nil || !before.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.statuses.isBehind(req.NamespacedName, before.ResourceVersion) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	}
	if wait := r.tooSoon(before); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	class := before.DeepCopy()
	again, err := r.judge(ctx, class)
	if err != nil {
		return ctrl.Result{}, err
	}
	written, err := r.patchStatus(ctx, before, class)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	}
	if written {
		r.announceClass(before, class)
	}
	return ctrl.Result{RequeueAfter: again}, err
}

// tooSoon says how long to wait before a class is counted again, so that a thousand
// brands that become ready at a time are not counted a thousand times. A class that was
// changed is counted at once.
func (r *classReconciler) tooSoon(class *v1alpha1.ConnectorClass) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock.Now()
	if wait := countPause - now.Sub(r.counted[class.Name]); wait > 0 && class.Status.ObservedGeneration == class.Generation {
		return wait
	}
	r.counted[class.Name] = now
	return 0
}

// judge fills the status, and says when to look again.
func (r *classReconciler) judge(ctx context.Context, class *v1alpha1.ConnectorClass) (time.Duration, error) {
	class.Status.ObservedGeneration = class.Generation
	p, err := r.platforms.of(class)
	if invalid := (*render.InvalidError)(nil); errors.As(err, &invalid) {
		r.setClass(class, verdict{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonInvalidSpec, message: invalid.Error(), stalled: true})
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	survey, _, err := r.fleet.take(ctx, p, r.fleet.listing(ctx))
	if err != nil {
		return 0, err
	}
	class.Status.Revision = p.revision
	class.Status.Brands = v1alpha1.ClassBrands{Total: int32(survey.Total), Current: int32(survey.Current),
		Waiting: int32(survey.Waiting), Rolling: int32(survey.Rolling), Failed: int32(survey.Failed)}
	v := classVerdict(survey, p)
	r.setClass(class, v)
	if v.ready == metav1.ConditionTrue {
		return 0, nil
	}
	return countPause, nil
}

// classVerdict says what a survey amounts to. Its messages hold no counts: those are in
// the status, and each change of a message is an event.
func classVerdict(s rollout.Survey, p *platform) verdict {
	switch s.Phase(p.policy) {
	case rollout.Done:
		return verdict{ready: metav1.ConditionTrue, reason: v1alpha1.ReasonRolledOut, message: "every brand that can take part runs what this class makes of it"}
	case rollout.Halted:
		why := "as many brands as may restart at a time did not become available"
		if s.FailedCanary != "" {
			why = "the canary " + s.FailedCanary + " did not become available"
		}
		return verdict{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonRolloutHalted, stalled: true,
			message: why + " in time: the other brands keep what they have; mend the class, the image or that brand"}
	case rollout.Canaries:
		if s.WithoutCanary(p.policy) {
			return verdict{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonNoCanary, stalled: true,
				message: "spec.rollout.canary.selector matches no brand of this class, so all of them wait for ever: label a brand, or change the selector or leave it out"}
		}
		message := "the canaries take up a change first, and have to stay available for " + p.policy.SoakTime.String()
		if s.Capable == 0 {
			message = "no canary can take part: all are suspended, not running or waiting for somebody to mend them; the other brands wait"
		}
		return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonRollingOut, message: message, reconciling: true}
	case rollout.Paused:
		return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonRolloutPaused, reconciling: true,
			message: "brands wait with a change, because spec.rollout.paused is true"}
	default:
		return verdict{ready: metav1.ConditionUnknown, reason: v1alpha1.ReasonRollingOut, reconciling: true,
			message: fmt.Sprintf("brands take up a change, at most %d at a time", p.policy.MaxConcurrent)}
	}
}

func (r *classReconciler) setClass(class *v1alpha1.ConnectorClass, v verdict) {
	set := func(t string, status metav1.ConditionStatus, is bool) {
		if !is {
			meta.RemoveStatusCondition(&class.Status.Conditions, t)
			return
		}
		meta.SetStatusCondition(&class.Status.Conditions, metav1.Condition{Type: t, Status: status, Reason: v.reason, Message: v.message,
			ObservedGeneration: class.Generation, LastTransitionTime: metav1.NewTime(r.Clock.Now())})
	}
	rolledOut := metav1.ConditionFalse
	if v.ready == metav1.ConditionTrue {
		rolledOut = metav1.ConditionTrue
	}
	set(v1alpha1.ConditionReady, v.ready, true)
	set(v1alpha1.ConditionRolledOut, rolledOut, v.reason != v1alpha1.ReasonInvalidSpec)
	set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v.reconciling)
	set(v1alpha1.ConditionStalled, metav1.ConditionTrue, v.stalled)
}

// announceClass says in an event what became of Ready.
func (r *classReconciler) announceClass(before, class *v1alpha1.ConnectorClass) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || (was != nil && was.Reason == is.Reason && was.Message == is.Message) {
		return
	}
	kind := corev1.EventTypeNormal
	if is.Status == metav1.ConditionFalse {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(class, nil, kind, is.Reason, "RollOut", "%s", asNote(is.Message))
}

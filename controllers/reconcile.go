// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// Field managers of the operator's writes.
const (
	// FieldManager owns what the operator applies.
	FieldManager = "hexiao"
	// statusManager owns the status of BrandConnectors.
	statusManager = "hexiao-status"
	// replicasManager keeps a Deployment's replicas while they pass from the
	// operator to an autoscaler.
	replicasManager = "hexiao-replicas"
)

const (
	// conflictPause is how long the cache gets to catch up with a status that was
	// written already, or on an older one.
	conflictPause = 100 * time.Millisecond
	// heldPause is how often to say anew what a brand's own change waits for.
	heldPause = 30 * time.Second
	// unwatchedPause is how often to see whether something is mended that no watch tells
	// of: an object that is somebody else's, or the API server's policies.
	unwatchedPause = 30 * time.Second
	// statusPatience is how long the write of a status may take after a reconcile whose time
	// is up.
	statusPatience = 5 * time.Second
)

// Config is what a Reconciler works with. All fields but Tracer are needed.
type Config struct {
	// Client reads from the cache and writes.
	Client client.Client
	// APIReader reads past the cache.
	APIReader client.Reader
	// Recorder of events.
	Recorder events.EventRecorder
	// Tracer of reconciles; none when nil.
	Tracer trace.Tracer
	// Clock of conditions and durations.
	Clock clock.PassiveClock
	// Metrics of the operator.
	Metrics *Metrics
	// Installation is what all brands share.
	Installation render.Installation
	// GatewayAPI is true when the cluster serves HTTPRoutes.
	GatewayAPI bool
	// Classes is true when ConnectorClasses are read.
	Classes bool
	// Rollout is the policy of brands without a class.
	Rollout rollout.Policy
	// Namespace of the operator, for messages.
	Namespace string
	// AnswerWithin is how long an operator that has a brand beside this one may leave
	// what the brand asks for unanswered, before this one takes the brand over; a minute
	// when 0.
	AnswerWithin time.Duration
}

// Reconciler brings the cluster to what BrandConnectors say.
type Reconciler struct {
	Config
	applier   *applier
	rotations *rotations
	statuses  *versions
	platforms *platforms
	fleet     *fleet
	contests  *contests
	// keyID names the installation's key.
	keyID string
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// New makes a Reconciler.
func New(c Config) *Reconciler {
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	if c.AnswerWithin == 0 {
		c.AnswerWithin = answerWithin
	}
	r := &Reconciler{
		Config:    c,
		applier:   newApplier(c.Client, c.APIReader, c.Metrics, c.Installation.RevisionKey),
		rotations: newRotations(),
		statuses:  newVersions(),
		platforms: newPlatforms(c.Installation, c.Rollout),
		fleet:     newFleet(c.Client, c.Clock),
		contests:  newContests(),
		keyID:     render.KeyID(c.Installation.RevisionKey),
	}
	r.fleet.isAside = r.contests.isAside
	c.Metrics.countFleet(r.surveys)
	return r
}

// surveys counts the brands of every class, and of none, for the metrics.
func (r *Reconciler) surveys(ctx context.Context) map[*platform]rollout.Survey {
	var classes []*v1alpha1.ConnectorClass
	none := true // there may be brands without a class, unless one class is the default
	if r.Classes {
		var list v1alpha1.ConnectorClassList
		if r.Client.List(ctx, &list, client.UnsafeDisableDeepCopy) != nil {
			return nil
		}
		for i := range list.Items {
			classes = append(classes, &list.Items[i])
			none = none && list.Items[i].Name != v1alpha1.DefaultConnectorClass
		}
	}
	if none {
		classes = append(classes, nil)
	}
	out, deployments := map[*platform]rollout.Survey{}, r.fleet.listing(ctx)
	for _, class := range classes {
		p, err := r.platforms.of(class)
		if err != nil {
			continue
		}
		if survey, _, err := r.fleet.take(ctx, p, deployments); err == nil {
			out[p] = survey
		}
	}
	return out
}

// +kubebuilder:rbac:groups=connect.hexiao.dev,resources=brandconnectors,verbs=list;watch
// +kubebuilder:rbac:groups=connect.hexiao.dev,resources=brandconnectors/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts;services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=batch,resources=cronjobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses;networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch;list

// phase is a step of a reconcile. It returns an error for what may pass by itself;
// what has to be mended by somebody is a fault in the scope.
type phase struct {
	name string
	run  func(context.Context, *scope) error
}

// Reconcile brings one brand to what its object says.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, reterr error) {
	ctx, span := r.Tracer.Start(ctx, "BrandConnector.Reconcile", trace.WithAttributes(
		attribute.String("k8s.namespace.name", req.Namespace),
		attribute.String("hexiao.brandconnector.name", req.Name)))
	defer func() { endSpan(span, reterr) }()
	if id := span.SpanContext(); id.HasTraceID() {
		ctx = ctrl.LoggerInto(ctx, ctrl.LoggerFrom(ctx).WithValues("trace_id", id.TraceID().String()))
	}

	before := &v1alpha1.BrandConnector{}
	if err := r.Client.Get(ctx, req.NamespacedName, before); err != nil {
		if apierrors.IsNotFound(err) {
			// Its objects are the garbage collector's, or another shard's.
			r.applier.forget(req.NamespacedName)
			r.rotations.forget(req.NamespacedName)
			r.statuses.forget(req.NamespacedName)
			r.fleet.forget(req.NamespacedName)
			r.contests.forget(req.NamespacedName)
			r.Metrics.secrets.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("get the BrandConnector: %w", err)
	}
	if !before.DeletionTimestamp.IsZero() {
		r.fleet.forget(req.NamespacedName) // it may be a while in going
		return ctrl.Result{}, nil
	}
	if r.statuses.isBehind(req.NamespacedName, before.ResourceVersion) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	}

	s := &scope{brand: before.DeepCopy(), before: before, key: req.NamespacedName}
	defer func() {
		ctx, cancel := stillOpen(ctx)
		defer cancel()
		switch written, err := r.patchStatus(ctx, s.before, s.brand); {
		case apierrors.IsConflict(err):
			// The cache was behind: look again when it has caught up. With an error the
			// queue would not heed this, and with a terminal one never look again.
			result, reterr = ctrl.Result{RequeueAfter: conflictPause}, nil
		case err != nil:
			reterr = errors.Join(reterr, err)
		default:
			r.contests.told(s.key)
			if written {
				r.announce(s)
			}
		}
	}()

	err := r.run(ctx, s)
	switch {
	case s.brand.Spec.Suspend:
		r.fleet.forget(req.NamespacedName)
	case s.hold == nil:
		r.fleet.settled(req.NamespacedName)
	}
	r.foldContest(s)
	if err != nil {
		r.foldError(s, err)
		return ctrl.Result{}, err
	}
	if s.aside != nil {
		return r.lookAside(), nil
	}
	r.fold(s)
	r.foldTwin(s)
	return s.result()
}

// run runs all phases, whatever one of them says, unless another operator has the brand.
func (r *Reconciler) run(ctx context.Context, s *scope) error {
	var errs []error
	for _, p := range r.phases(s.brand.Spec.Suspend) {
		ctx, span := r.Tracer.Start(ctx, "reconcile."+p.name)
		err := p.run(ctx, s)
		endSpan(span, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
		if s.aside != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) phases(suspended bool) []phase {
	if suspended {
		return []phase{{"classify", r.classify}, {"contest", r.contest}, {"twin", r.findTwin}, {"observe", r.observe}, {"diagnose", r.diagnose}}
	}
	return []phase{
		{"classify", r.classify},
		{"contest", r.contest},
		{"twin", r.findTwin},
		{"resolve", r.resolve},
		{"render", r.render},
		{"pace", r.pace},
		{"apply", r.apply},
		{"prune", r.prune},
		{"observe", r.observe},
		{"diagnose", r.diagnose},
	}
}

// render fills s.output when everything that the brand refers to is there.
func (r *Reconciler) render(_ context.Context, s *scope) error {
	if s.values == nil || s.platform == nil {
		return nil
	}
	out, err := render.Render(render.Inputs{Brand: s.brand, Class: s.platform.class, Values: s.values, Installation: r.Installation})
	if invalid := (*render.InvalidError)(nil); errors.As(err, &invalid) {
		s.fault(fault{reason: v1alpha1.ReasonInvalidSpec, message: invalid.Error(), stalled: true})
		return nil
	}
	if err != nil {
		return err
	}
	s.output = out
	return nil
}

// result says when to look again. A watch brings us back for everything but what the API
// server forbids or refuses, an object that is somebody else's, a roll-out that a change
// waits for, and Pods that do not start.
func (s *scope) result() (ctrl.Result, error) {
	for _, f := range s.faults {
		switch {
		case f.condition == v1alpha1.ConditionCredentialsResolved:
			// Not there yet is no error.
		case f.unwatched:
			return ctrl.Result{RequeueAfter: unwatchedPause}, nil
		case f.stalled:
			return ctrl.Result{}, reconcile.TerminalError(errors.New(f.message))
		default:
			return ctrl.Result{}, errors.New(f.message)
		}
	}
	if s.hold != nil && s.hold.spec {
		return ctrl.Result{RequeueAfter: heldPause}, nil
	}
	return ctrl.Result{RequeueAfter: s.diagnosis.lookAgain}, nil
}

// stillOpen is a context in which the status can be written even when the time for the reconcile is up:
// a webhook that does not answer for any of the objects takes all of it, and the status says so.
func stillOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), statusPatience)
}

// patchStatus writes the status that an object has now, if it is another than before, onto
// the version that was read. It says whether it was written: an object that is gone has none.
func (r *Reconciler) patchStatus(ctx context.Context, before, now client.Object) (written bool, err error) {
	if equality.Semantic.DeepEqual(before, now) { // nothing but the status is ever changed
		return false, nil
	}
	target := now.DeepCopyObject().(client.Object) // the answer is read into it
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err = r.Client.Status().Patch(ctx, target, patch, client.FieldOwner(statusManager))
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("patch the status: %w", err)
	}
	r.statuses.remember(client.ObjectKeyFromObject(before), target.GetResourceVersion())
	return true, nil
}

// announce tells what changed, in an event. What is on its way may say something else
// with each look; that is no event.
func (r *Reconciler) announce(s *scope) {
	if s.templateChanged {
		r.Recorder.Eventf(s.brand, nil, corev1.EventTypeNormal, "RolloutStarted", "Apply",
			"the configuration, its credentials or the image changed: rolling out revision %s", s.brand.Status.ConfigRevision)
	}
	for _, warning := range []string{v1alpha1.ConditionContested, v1alpha1.ConditionBrandIDShared} {
		c := meta.FindStatusCondition(s.brand.Status.Conditions, warning)
		if c != nil && !meta.IsStatusConditionTrue(s.before.Status.Conditions, warning) {
			r.Recorder.Eventf(s.brand, nil, corev1.EventTypeWarning, c.Reason, "Reconcile", "%s", asNote(c.Message))
		}
	}
	was := meta.FindStatusCondition(s.before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(s.brand.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil {
		return
	}
	onItsWay := meta.IsStatusConditionTrue(s.brand.Status.Conditions, v1alpha1.ConditionReconciling)
	if was != nil && was.Status == is.Status && was.Reason == is.Reason && (was.Message == is.Message || onItsWay) {
		return
	}
	kind := corev1.EventTypeNormal
	if meta.IsStatusConditionTrue(s.brand.Status.Conditions, v1alpha1.ConditionStalled) || is.Status == "False" {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(s.brand, nil, kind, is.Reason, "Reconcile", "%s", asNote(is.Message))
}

// maxNote is how many bytes an event's note may have: the API server refuses a longer one, and with it
// the event.
const maxNote = 1024

// asNote is a condition's message as an event's note.
func asNote(message string) string {
	if len(message) <= maxNote {
		return message
	}
	const more = "…"
	return strings.ToValidUTF8(message[:maxNote-len(more)], "") + more
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

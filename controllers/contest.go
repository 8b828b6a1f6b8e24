// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/ownership"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Two installations whose shares of the fleet overlap would restart a brand without end:
// each has a revision key, or flags, of its own, and each sets right what the other wrote.
// So whoever finds that another operator wrote over what it has written stands back: it
// writes nothing more of that brand but the condition Contested, once. The one that wrote
// last goes on and has the status for itself. Writes of one object come one after the
// other, and only who wrote earlier can find a later one, so one is always left in charge.
//
// A Deployment that this operator never had in its hands is taken over, whoever wrote it:
// the cluster may be restored, or the brand be handed on by another shard. An operator
// that stands back takes the brand over again only when the one in charge does not answer
// a new generation or a request to reconcile.

// answerWithin is how long the operator in charge has to look at what a brand asks for,
// before the one that stands back takes the brand over.
const answerWithin = time.Minute

// contests remembers of each brand what this operator wrote, and whether it stands back.
type contests struct {
	mu     sync.Mutex
	brands map[types.NamespacedName]contest
}

// contest is what is remembered of a brand.
type contest struct {
	// version and platform are those of the Deployment when it was last known to be of
	// this operator's making. No version: it never was.
	version, platform string
	// news is true from when this operator has come to have the brand, until that is in
	// the status.
	news bool
	// aside is true while this operator stands back.
	aside bool
	// asked is what the operator in charge has not answered since then; empty when it
	// has answered everything.
	asked string
	since time.Time
}

func newContests() *contests { return &contests{brands: map[types.NamespacedName]contest{}} }

func (c *contests) of(brand types.NamespacedName) contest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.brands[brand]
}

// isAside says whether this operator stands back from a brand.
func (c *contests) isAside(brand types.NamespacedName) bool { return c.of(brand).aside }

func (c *contests) forget(brand types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.brands, brand)
}

// leads notes that the Deployment is of this operator's making at a version. A cache may
// show an older one afterwards, which tells nothing.
func (c *contests) leads(brand types.NamespacedName, version, platform string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.brands[brand]
	isNew := was.version == "" || was.aside
	if isNew || newer(version, was.version) {
		c.brands[brand] = contest{version: version, platform: platform, news: was.news || isNew}
	}
}

// takesOver forgets what was before: the brand is as good as new.
func (c *contests) takesOver(brand types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.brands[brand] = contest{news: true}
}

// told notes that the status says what is known.
func (c *contests) told(brand types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if is, ok := c.brands[brand]; ok && is.news {
		is.news = false
		c.brands[brand] = is
	}
}

// standsBack notes that this operator stands back. It says whether that is new, and for
// how long the operator in charge has not answered what is asked.
func (c *contests) standsBack(brand types.NamespacedName, asked string, now time.Time) (isNew bool, silent time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.brands[brand]
	is := was
	is.aside, is.news = true, false
	if asked != was.asked || !was.aside {
		is.asked, is.since = asked, now
	}
	c.brands[brand] = is
	if asked == "" {
		return !was.aside, 0
	}
	return !was.aside, now.Sub(is.since)
}

// newer says whether a version of an object came after another one.
func newer(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order > 0
}

// contest finds out whether another operator has the brand. If so, s.aside is set, and
// nothing else is done in this reconcile.
func (r *Reconciler) contest(ctx context.Context, s *scope) error {
	live, err := r.cachedDeployment(ctx, s)
	if err != nil || live == nil {
		return err // of somebody else's, apply says so
	}
	memory, notes := r.contests.of(s.key), render.NotesOf(live.Annotations)
	switch {
	case !r.isAnothers(s, notes, memory):
		if notes.Intent.Key == r.keyID {
			r.contests.leads(s.key, live.ResourceVersion, notes.Platform)
		}
		return nil
	case !memory.aside && !r.stoodBack(s, notes):
		if overwritten, err := r.overwritten(ctx, s, live, memory); err != nil || !overwritten {
			return err
		}
	}
	isNew, silent := r.contests.standsBack(s.key, unanswered(s.brand), r.Clock.Now())
	log := ctrl.LoggerFrom(ctx).WithValues("key", r.keyID, "otherKey", notes.Intent.Key)
	if silent >= r.AnswerWithin {
		log.Info("The operator that has the brand does not answer: taking it over")
		r.applier.forget(s.key)
		r.contests.takesOver(s.key)
		return nil
	}
	if isNew {
		log.Info("Another operator has the brand, too: standing back from it")
	}
	s.aside = &notes
	r.fleet.forget(s.key)
	return nil
}

// isAnothers says whether the notes on a Deployment are none of this operator's. Operators
// of one namespace share the key; what they make of a brand differs if their flags do.
func (r *Reconciler) isAnothers(s *scope, notes render.Notes, memory contest) bool {
	switch {
	case notes.Intent.Key == "":
		return false // no operator's at all
	case notes.Intent.Key != r.keyID:
		return true
	case memory.version == "" || s.platform == nil:
		return false
	default:
		return notes.Platform != s.platform.revision && notes.Platform != memory.platform
	}
}

// stoodBack says whether an operator with this one's key stood back before it was started
// anew: the status says so, and the Deployment has the other one's key still.
func (r *Reconciler) stoodBack(s *scope, notes render.Notes) bool {
	return notes.Intent.Key != r.keyID && meta.IsStatusConditionTrue(s.brand.Status.Conditions, v1alpha1.ConditionContested)
}

// overwritten says whether the notes were applied over what this operator had written. It
// had not if it never saw the Deployment as its own, and if the notes are a person's doing:
// kubectl rollout undo puts back earlier ones.
func (r *Reconciler) overwritten(ctx context.Context, s *scope, live *appsv1.Deployment, memory contest) (bool, error) {
	if memory.version == "" || !newer(live.ResourceVersion, memory.version) {
		return false, nil
	}
	whole := &metav1.PartialObjectMetadata{}
	whole.SetGroupVersionKind(render.DeploymentKind)
	if err := r.APIReader.Get(ctx, s.key, whole); apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("get the Deployment: %w", err)
	}
	return r.isAnothers(s, render.NotesOf(whole.Annotations), memory) && appliesNotes(whole.ManagedFields), nil
}

// appliesNotes says whether it is an operator that owns the notes on a Deployment.
func appliesNotes(fields []metav1.ManagedFieldsEntry) bool {
	return ownership.Applied(fields, FieldManager).Has(fieldpath.MakePathOrDie("metadata", "annotations", render.AnnotationIntent))
}

// unanswered is what a brand asks for and nobody has looked at; empty when there is
// nothing.
func unanswered(b *v1alpha1.BrandConnector) string {
	asked := b.Annotations[v1alpha1.AnnotationReconcileRequestedAt]
	if b.Status.ObservedGeneration >= b.Generation && b.Status.LastHandledReconcileAt == asked {
		return ""
	}
	return fmt.Sprintf("%d %s", b.Generation, asked)
}

// foldContest brings the condition Contested to what is known. The operator in charge
// keeps what the other one says, and takes it away when it starts and when it is asked to
// reconcile: if the other one is there still, it says it again.
func (r *Reconciler) foldContest(s *scope) {
	contested := meta.IsStatusConditionTrue(s.brand.Status.Conditions, v1alpha1.ConditionContested)
	asked := s.before.Status.LastHandledReconcileAt != s.brand.Annotations[v1alpha1.AnnotationReconcileRequestedAt]
	switch {
	case s.aside != nil && !contested:
		r.setWhileTrue(s, v1alpha1.ConditionContested, true, v1alpha1.ReasonManagedByAnother, r.contestedBy(s.aside))
	case s.aside == nil && contested && (asked || r.contests.of(s.key).news):
		meta.RemoveStatusCondition(&s.brand.Status.Conditions, v1alpha1.ConditionContested)
	}
}

func (r *Reconciler) contestedBy(other *render.Notes) string {
	who := "another one, whose installation key is " + other.Intent.Key + ", has it"
	if other.Intent.Key == r.keyID {
		who = "another one, of the same namespace and with other settings, has it"
	}
	return fmt.Sprintf("two operators reconcile this brand: the one in namespace %s (key %s) stands back, and %s: "+
		"give each operator a watchLabelSelector or watchNamespaces of its own, or uninstall one; then ask for a reconcile with the annotation %s",
		r.Namespace, r.keyID, who, v1alpha1.AnnotationReconcileRequestedAt)
}

// lookAside says when to look again at a brand that another operator has.
func (r *Reconciler) lookAside() ctrl.Result { return ctrl.Result{RequeueAfter: r.AnswerWithin} }

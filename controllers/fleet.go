// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

const (
	// surveyAge is how old a survey may be to decide by: one for each decision would
	// cost the square of the number of brands.
	surveyAge = 500 * time.Millisecond
	// tick is how often waiting brands are looked after. Without any there is nothing
	// to do.
	tick = time.Second
)

// indexClass is the index from classes to the brands that name them.
const indexClass = ".spec.connectorClassName"

// noClass is the index's value for brands that name no class. No class can have it.
const noClass = "-"

// fleet lets brands take up changes of the platform, class by class. What it knows it
// reads from the cache; in memory are only those that wait and those that were just told
// to go. Both may be lost at any time: the next leader reconciles every brand.
type fleet struct {
	reader client.Reader
	clock  clock.PassiveClock
	// isAside says whether this operator stands back from a brand: it takes no part then.
	isAside func(types.NamespacedName) bool
	// wake brings brands back that may go now.
	wake chan event.GenericEvent

	mu     sync.Mutex
	groups map[string]*group
}

// group is the brands of one class, or of none.
type group struct {
	platform *platform
	survey   rollout.Survey
	seen     map[types.NamespacedName]sighting // what was surveyed
	at       time.Time
	// admitted are the brands that were told to go and are not seen to have gone, with
	// the revision that they were told to take up.
	admitted map[types.NamespacedName]string
	waiting  map[types.NamespacedName]rollout.Candidate
}

// sighting is how a brand was seen to stand, and the revision that it was seen to have
// taken up.
type sighting struct {
	state    rollout.State
	revision string
}

func newFleet(reader client.Reader, c clock.PassiveClock) *fleet {
	return &fleet{reader: reader, clock: c, isAside: func(types.NamespacedName) bool { return false }, wake: make(chan event.GenericEvent, 1024), groups: map[string]*group{}}
}

// decide whether a brand may go. One that may not is brought back when it may.
func (f *fleet) decide(ctx context.Context, p *platform, brand types.NamespacedName, c rollout.Candidate) (rollout.Verdict, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[p.name()]
	if g == nil {
		g = &group{admitted: map[types.NamespacedName]string{}, waiting: map[types.NamespacedName]rollout.Candidate{}}
		f.groups[p.name()] = g
	}
	for _, other := range f.groups {
		if other != g {
			other.forget(brand) // it has moved
		}
	}
	if g.platform == nil || g.platform.revision != p.revision {
		g.at = time.Time{}
	}
	g.platform = p
	if err := f.refresh(ctx, g, f.listing(ctx)); err != nil {
		return rollout.Verdict{}, err
	}
	v := g.judge(&g.survey, brand, c)
	delete(g.waiting, brand)
	switch {
	case !v.Go:
		g.waiting[brand] = c
	case v.Counts:
		g.admitted[brand] = p.revision
	}
	return v, nil
}

// judge a candidate by a survey, and count it there when it may go.
func (g *group) judge(survey *rollout.Survey, brand types.NamespacedName, c rollout.Candidate) rollout.Verdict {
	is := g.seen[brand].state
	_, told := g.admitted[brand]
	counted := told || is.HasPlace()
	c.Placed = c.Placed || counted
	v := rollout.Decide(g.platform.policy, *survey, c)
	if v.Go && v.Counts && !counted {
		survey.Admit(is)
	}
	return v
}

// forget a brand that is gone, that takes no part, or that was told to go and could not.
func (f *fleet) forget(brand types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.groups {
		g.forget(brand)
	}
}

func (g *group) forget(brand types.NamespacedName) {
	if _, told := g.admitted[brand]; told {
		g.at = time.Time{}
	}
	delete(g.admitted, brand)
	delete(g.waiting, brand)
}

// settled takes a brand that is not held off the list of those that wait.
func (f *fleet) settled(brand types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.groups {
		delete(g.waiting, brand)
	}
}

// refresh the survey of a group, if it is old.
func (f *fleet) refresh(ctx context.Context, g *group, deployments listing) error {
	now := f.clock.Now()
	if !g.at.IsZero() && now.Sub(g.at) < surveyAge {
		return nil
	}
	survey, seen, err := f.take(ctx, g.platform, deployments)
	if err != nil {
		return err
	}
	for brand, told := range g.admitted {
		is, ok := seen[brand]
		if !ok || is.revision == told || is.revision == g.platform.revision {
			delete(g.admitted, brand)
			continue
		}
		survey.Admit(is.state)
	}
	g.survey, g.seen, g.at = survey, seen, now
	return nil
}

// take a survey of a class from the cache, with how each brand was seen.
func (f *fleet) take(ctx context.Context, p *platform, list listing) (rollout.Survey, map[types.NamespacedName]sighting, error) {
	var survey rollout.Survey
	deployments, err := list()
	if err != nil {
		return survey, nil, err
	}
	seen := map[types.NamespacedName]sighting{}
	now := f.clock.Now()
	for _, name := range indexed(p.name()) {
		var brands v1alpha1.BrandConnectorList
		if err := f.reader.List(ctx, &brands, client.MatchingFields{indexClass: name}, client.UnsafeDisableDeepCopy); err != nil {
			return survey, nil, fmt.Errorf("list the brands of a class: %w", err)
		}
		for i := range brands.Items {
			b := &brands.Items[i]
			key := client.ObjectKeyFromObject(b)
			m := memberOf(b, deployments[key], p)
			if f.isAside(key) {
				m.State = rollout.Apart
			}
			seen[key] = sighting{state: m.State, revision: revisionOf(deployments[key])}
			survey.Add(m, p.policy, now)
		}
	}
	return survey, seen, nil
}

// indexed are the values that the brands of a class have in the index: those of the default
// one may name none.
func indexed(class string) []string {
	switch class {
	case "":
		return []string{noClass}
	case v1alpha1.DefaultConnectorClass:
		return []string{class, noClass}
	default:
		return []string{class}
	}
}

// listing is all Deployments, listed when it is first asked: several surveys that are taken
// together share one.
type listing func() (map[types.NamespacedName]*appsv1.Deployment, error)

func (f *fleet) listing(ctx context.Context) listing {
	return sync.OnceValues(func() (map[types.NamespacedName]*appsv1.Deployment, error) { return f.deployments(ctx) })
}

func (f *fleet) deployments(ctx context.Context) (map[types.NamespacedName]*appsv1.Deployment, error) {
	var list appsv1.DeploymentList
	if err := f.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the Deployments: %w", err)
	}
	byKey := make(map[types.NamespacedName]*appsv1.Deployment, len(list.Items))
	for i := range list.Items {
		byKey[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
	}
	return byKey, nil
}

// revisionOf the platform that a Deployment was made under; empty when there is none.
func revisionOf(d *appsv1.Deployment) string {
	if d == nil {
		return ""
	}
	return d.Annotations[render.AnnotationPlatformRevision]
}

// memberOf says how a brand stands towards the newest revision of its platform.
func memberOf(b *v1alpha1.BrandConnector, d *appsv1.Deployment, p *platform) rollout.Member {
	m := rollout.Member{Name: b.Namespace + "/" + b.Name, Canary: isCanary(b, p)}
	switch {
	case d == nil || b.Spec.Suspend || !b.DeletionTimestamp.IsZero() || !metav1.IsControlledBy(d, b):
	case m.Canary && hasNoPods(d): // it would prove anything
	case revisionOf(d) != p.revision:
		m.State = stateOfOlder(b, d)
	case rolledOut(d, 0):
		m.State, m.AvailableSince = rollout.Current, availableSince(d)
	case rolloutHasFailed(d) && (isThePlatforms(d) || m.Canary):
		// A canary that fails speaks against the platform, whoever started its Pods.
		m.State = rollout.Failed
	case rolloutHasFailed(d):
		m.State = rollout.Apart
	case isThePlatforms(d):
		m.State = rollout.Rolling
	default:
		m.State = rollout.Current
	}
	return m
}

// stateOfOlder is the state of a brand that runs an older revision. One that has not come
// through with that has its place still: its Pods restart, or it goes before all others.
func stateOfOlder(b *v1alpha1.BrandConnector, d *appsv1.Deployment) rollout.State {
	keeps, stalled := keepsPlace(d), stalledByItself(b)
	switch {
	case keeps && (!stalled || !rolloutHasFailed(d)):
		return rollout.Rolling
	case stalled:
		return rollout.Apart
	default:
		return rollout.Waiting
	}
}

// isThePlatforms is true for Pods that were started for the platform's change.
func isThePlatforms(d *appsv1.Deployment) bool {
	return render.NotesOf(d.Annotations).Cause == render.CausePlatform
}

// keepsPlace is true for a brand whose Pods were started for the platform's change and
// that has not come through with it: the roll-out goes on, or failed.
func keepsPlace(d *appsv1.Deployment) bool {
	if !isThePlatforms(d) || rolledOut(d, 0) {
		return false
	}
	// Kubernetes says once that a roll-out is over; a Pod that is lost later begins none.
	// Of one that goes back to an earlier ReplicaSet it may not take that back at once.
	c := deploymentCondition(d, appsv1.DeploymentProgressing)
	return c == nil || c.Reason != "NewReplicaSetAvailable" || d.Status.UpdatedReplicas != d.Status.Replicas
}

func hasNoPods(d *appsv1.Deployment) bool { return d.Spec.Replicas != nil && *d.Spec.Replicas == 0 }

func isCanary(b *v1alpha1.BrandConnector, p *platform) bool {
	return p.policy.Canaries != nil && p.policy.Canaries.Matches(labels.Set(b.Labels))
}

// stalledByItself is true for a brand that waits for somebody to mend something else than
// a roll-out: it takes up nothing until then.
func stalledByItself(b *v1alpha1.BrandConnector) bool {
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionStalled)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason != v1alpha1.ReasonRolloutFailed
}

// availableSince is since when all Pods of a Deployment that is rolled out have been
// available; zero when that is not said. The roll-out's end does not move when a Pod is
// lost later and comes back.
func availableSince(d *appsv1.Deployment) time.Time {
	rolled, available := deploymentCondition(d, appsv1.DeploymentProgressing), deploymentCondition(d, appsv1.DeploymentAvailable)
	for _, c := range []*appsv1.DeploymentCondition{rolled, available} {
		if c == nil || c.Status != corev1.ConditionTrue {
			return time.Time{}
		}
	}
	if available.LastTransitionTime.After(rolled.LastUpdateTime.Time) {
		return available.LastTransitionTime.Time
	}
	return rolled.LastUpdateTime.Time
}

// Start brings waiting brands back as places become free, until ctx ends.
func (f *fleet) Start(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, brand := range f.due(ctx) {
			e := event.GenericEvent{Object: &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: brand.Namespace, Name: brand.Name}}}
			select {
			case f.wake <- e:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// NeedLeaderElection is true: a standby lets nobody go.
func (*fleet) NeedLeaderElection() bool { return true }

// due are the waiting brands that would be let go now, in the order of their names, no
// more than there are places for.
func (f *fleet) due(ctx context.Context) []types.NamespacedName {
	f.mu.Lock()
	defer f.mu.Unlock()
	var due []types.NamespacedName
	deployments := f.listing(ctx)
	for _, g := range f.groups {
		if len(g.waiting) == 0 || f.refresh(ctx, g, deployments) != nil {
			continue
		}
		brands := make([]types.NamespacedName, 0, len(g.waiting))
		for brand := range g.waiting {
			brands = append(brands, brand)
		}
		slices.SortFunc(brands, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
		survey := g.survey
		for _, brand := range brands {
			if g.judge(&survey, brand, g.waiting[brand]).Go {
				due = append(due, brand)
			}
		}
	}
	return due
}

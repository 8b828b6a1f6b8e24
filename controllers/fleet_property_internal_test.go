// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// modelBrand is a brand of the model, and what is true of it, whatever anybody noted.
type modelBrand struct {
	brand *v1alpha1.BrandConnector
	// live is the Deployment, cached what the operator has seen of it.
	live, cached *appsv1.Deployment
	// spec counts the changes of the brand's team; bad is true when the last one cannot
	// start.
	spec int
	bad  bool
	// placed is true from when its Pods were started for the platform until it has come
	// through: not for its team, and not because it had nothing to lose. failed is true
	// while it does not restart, but has failed. It is excused when its team suspended it
	// or moved it into another class meanwhile, scaled it up from nothing, or changed it,
	// a canary.
	placed, failed, excused bool
	// upSince is when it became available; zero while it is not.
	upSince time.Time
	// unseen is true when the operator has yet to see, but will in a moment, that its team
	// changed it; proved when it had proven its revision before.
	unseen, proved bool
	// runs is the revision that its Pods are of.
	runs string
}

func (b *modelBrand) canary() bool { return b.brand.Labels["tier"] == "canary" }

// takesPart says that a canary can be asked.
func (b *modelBrand) takesPart() bool {
	return b.brand.DeletionTimestamp.IsZero() && !b.brand.Spec.Suspend && *b.live.Spec.Replicas > 0
}

// modelFleet is two classes of brands, and the operator's own code, which decides. It is
// the cache that this reads from.
type modelFleet struct {
	client.Reader
	operator *Reconciler
	clock    *testclock.FakeClock
	classes  []*platform
	broken   map[string]bool // revisions that cannot start
	brands   []*modelBrand
}

func (m *modelFleet) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(options)
	switch list := list.(type) {
	case *appsv1.DeploymentList:
		for _, b := range m.brands {
			list.Items = append(list.Items, *b.cached)
		}
	case *v1alpha1.BrandConnectorList:
		for _, b := range m.brands {
			if name := classIndex(b.brand)[0]; o.FieldSelector.Matches(labels.Set{indexClass: name}) {
				list.Items = append(list.Items, *b.brand)
			}
		}
	default:
		return fmt.Errorf("nobody lists %T", list)
	}
	return nil
}

func newModelFleet(t *rapid.T) *modelFleet {
	m := &modelFleet{clock: testclock.NewFakeClock(tillNoon), broken: map[string]bool{}}
	m.operator = &Reconciler{fleet: newFleet(m, m.clock)}
	for i := range 2 {
		class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("class", i)}}
		m.classes = append(m.classes, &platform{class: class, revision: class.Name, policy: rollout.Policy{MaxConcurrent: 1, SoakTime: 30 * time.Second}})
		if rapid.Bool().Draw(t, "canaries") {
			m.classes[i].policy.Canaries = labels.SelectorFromSet(labels.Set{"tier": "canary"})
		}
	}
	for i := range rapid.IntRange(3, 7).Draw(t, "brands") {
		b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: "brands", Name: brandKey(i).Name, UID: types.UID(fmt.Sprint(i))}}
		b.Spec.ConnectorClassName = m.classes[i%2].class.Name
		if i < 2 || rapid.IntRange(0, 4).Draw(t, "a further canary") == 0 {
			b.Labels = map[string]string{"tier": "canary"}
		}
		d := deploymentOf(b, b.Spec.ConnectorClassName, true)
		d.Spec.Replicas = new(int32(1))
		d.Status.Conditions = append(d.Status.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue})
		brand := &modelBrand{brand: b, live: d, upSince: m.clock.Now(), runs: b.Spec.ConnectorClassName}
		brand.note(render.Notes{Platform: brand.runs, Cause: render.CauseBrand, Intent: brand.intent()})
		m.say(brand)
		m.brands = append(m.brands, brand)
	}
	return m
}

func (b *modelBrand) intent() render.Intent {
	return render.Intent{Key: "k", Spec: fmt.Sprint("s", b.spec), Values: "v"}
}

func (b *modelBrand) note(n render.Notes) { b.live.Annotations = n.Annotations() }

// say what Kubernetes would of a Deployment, to the operator as well.
func (m *modelFleet) say(b *modelBrand) {
	status, want := &b.live.Status, *b.live.Spec.Replicas
	status.ObservedGeneration = b.live.Generation
	rolled, available := &status.Conditions[0], &status.Conditions[1]
	is := corev1.ConditionFalse
	if up := !b.upSince.IsZero(); up || want == 0 {
		is = corev1.ConditionTrue
		status.Replicas, status.UpdatedReplicas, status.AvailableReplicas = want, want, want
		if rolled.Reason != "NewReplicaSetAvailable" {
			rolled.Status, rolled.Reason, rolled.LastUpdateTime = corev1.ConditionTrue, "NewReplicaSetAvailable", metav1.NewTime(m.clock.Now())
		}
	} else if rolled.Reason == "NewReplicaSetAvailable" { // its Pod is away
		status.AvailableReplicas = 0
	} else {
		status.Replicas, status.UpdatedReplicas, status.AvailableReplicas = 2, 1, 1
	}
	if available.Status != is {
		available.Status, available.LastTransitionTime = is, metav1.NewTime(m.clock.Now())
	}
	m.see(b)
}

// see is the cache, which catches up with a Deployment.
func (m *modelFleet) see(b *modelBrand) {
	b.cached, b.unseen, b.proved = b.live.DeepCopy(), false, false
}

func (m *modelFleet) classOf(b *modelBrand) *platform {
	return m.classes[slices.IndexFunc(m.classes, func(p *platform) bool { return p.class.Name == b.brand.Spec.ConnectorClassName })]
}

// reconcile a brand as the operator does, as far as its Pods go.
func (m *modelFleet) reconcile(t *rapid.T, b *modelBrand, refused bool) {
	p, key := m.classOf(b), client.ObjectKeyFromObject(b.brand)
	notes := render.Notes{Platform: p.revision, Intent: b.intent()}
	was := render.NotesOf(b.live.Annotations)
	switch {
	case !b.brand.DeletionTimestamp.IsZero() || b.brand.Spec.Suspend:
		m.operator.fleet.forget(key)
		return
	case was.Platform == notes.Platform && was.Intent == notes.Intent:
		m.operator.fleet.settled(key)
		return
	}
	own, idle := was.Intent != notes.Intent, rolloutHasFailed(b.live) || *b.live.Spec.Replicas == 0
	s := &scope{brand: b.brand, key: key, platform: p}
	cause, err := m.operator.admit(t.Context(), s, b.live, notes)
	if err != nil {
		t.Fatal(err)
	}
	if s.hold != nil {
		return
	}
	m.operator.fleet.settled(key)
	if refused {
		m.operator.fleet.forget(key)
		return
	}
	if was.Platform != notes.Platform {
		m.mayGo(t, p, b, own || idle)
	} else {
		b.unseen, b.proved = true, !b.upSince.IsZero() && m.clock.Since(b.upSince) >= p.policy.SoakTime
	}
	notes.Cause = cause
	b.note(notes)
	b.live.Generation++
	b.live.Status.Conditions[0].Reason, b.live.Status.Conditions[0].Status = "ReplicaSetUpdated", corev1.ConditionTrue
	b.runs, b.upSince = p.revision, time.Time{}
}

// mayGo holds the promises against a brand that goes. One with nothing to lose, and a
// canary whose team changed it, may go at any time; a brand's own change needs no place.
func (m *modelFleet) mayGo(t *rapid.T, p *platform, b *modelBrand, free bool) {
	idle := rolloutHasFailed(b.live) || *b.live.Spec.Replicas == 0
	if p.policy.Paused && !idle {
		t.Fatalf("%s goes, and its class is paused", b.brand.Name)
	}
	if p.policy.Canaries != nil && !b.canary() && !idle {
		m.areProven(t, p, b)
	}
	b.failed = false
	if b.placed || (free && !b.canary()) {
		return
	}
	b.placed = true
	if free {
		b.excused = true
		return
	}
	restart := 0
	for _, other := range m.brands {
		if other.placed && !other.failed && !other.excused && other.brand.Spec.ConnectorClassName == p.class.Name {
			restart++
		}
	}
	if restart > p.policy.MaxConcurrent {
		t.Fatalf("%s goes, and now %d restart, where %d may", b.brand.Name, restart, p.policy.MaxConcurrent)
	}
}

func (m *modelFleet) areProven(t *rapid.T, p *platform, b *modelBrand) {
	asked := 0
	for _, c := range m.brands {
		if !c.canary() || c.brand.Spec.ConnectorClassName != p.class.Name || !c.takesPart() {
			continue
		}
		asked++
		if soaked := !c.upSince.IsZero() && m.clock.Since(c.upSince) >= p.policy.SoakTime; c.runs != p.revision || (!soaked && !c.proved) {
			t.Fatalf("%s goes, and the canary %s has not proven it (it runs %s since %s)", b.brand.Name, c.brand.Name, c.runs, c.upSince)
		}
	}
	if asked == 0 {
		t.Fatalf("%s goes, and there is no canary that could be asked", b.brand.Name)
	}
}

// ends a roll-out, or brings a lost Pod back, if what the brand runs can start; else the
// roll-out fails.
func (m *modelFleet) ends(b *modelBrand) {
	if *b.live.Spec.Replicas == 0 {
		m.say(b)
		return
	}
	rolled := &b.live.Status.Conditions[0]
	switch {
	case !b.upSince.IsZero():
	case b.bad || m.broken[b.runs]:
		if rolled.Reason != "NewReplicaSetAvailable" {
			rolled.Status, rolled.Reason = corev1.ConditionFalse, "ProgressDeadlineExceeded"
			b.failed = true
		}
	default:
		b.upSince, b.placed, b.failed, b.excused = m.clock.Now(), false, false, false
	}
	m.say(b)
}

// change a class. The cache has caught up by then: who goes back to a revision at the very
// moment at which a brand is told to take up another one may see one restart too many.
func (m *modelFleet) change(p *platform, revision string) *platform {
	for _, b := range m.brands {
		m.see(b)
	}
	changed := *p
	changed.revision = revision
	m.classes[slices.Index(m.classes, p)] = &changed
	return &changed
}

func TestWhateverHappensTheBudgetAndTheCanariesHoldAndAGoodRevisionReachesEveryBrand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelFleet(t)
		brand := func() *modelBrand { return m.brands[rapid.IntRange(0, len(m.brands)-1).Draw(t, "brand")] }
		revisions := 0
		happens := []struct {
			what string
			do   func()
		}{
			{"the operator looks", func() { m.reconcile(t, brand(), false) }},
			{"a class changes", func() {
				i := rapid.IntRange(0, 1).Draw(t, "class")
				revision := fmt.Sprint("revision", rapid.IntRange(max(0, revisions-2), revisions).Draw(t, "revision"), m.classes[i].class.Name)
				if _, known := m.broken[revision]; !known {
					revisions++
					m.broken[revision] = rapid.Bool().Draw(t, "broken")
				}
				p := m.change(m.classes[i], revision)
				p.policy.MaxConcurrent = rapid.IntRange(1, 3).Draw(t, "places")
				p.policy.Paused = rapid.IntRange(0, 5).Draw(t, "paused") == 1
			}},
			{"the operator looks at all", func() {
				for _, b := range rapid.Permutation(m.brands).Draw(t, "order") {
					m.reconcile(t, b, false)
				}
			}},
			{"the operator sees", func() { m.see(brand()) }},
			{"a roll-out ends", func() { m.ends(brand()) }},
			{"the operator brings brands", func() { m.bring(t) }},
			{"Kubernetes looks", func() { m.say(brand()) }},
			{"all roll-outs end", func() { m.endAll() }},
			{"time passes", func() { m.clock.Step(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second) }},
			{"the operator is refused", func() {
				b := brand()
				m.see(b) // what it wrote before
				m.reconcile(t, b, true)
			}},
			{"a Pod is lost", func() {
				if b := brand(); !b.upSince.IsZero() && *b.live.Spec.Replicas > 0 {
					m.say(b)
					b.upSince = time.Time{}
					m.say(b)
				}
			}},
			{"a team changes its brand", func() {
				b := brand()
				b.spec++
				b.bad = rapid.IntRange(0, 3).Draw(t, "bad") == 1
			}},
			{"a team scales its brand", func() {
				b := brand()
				b.live.Spec.Replicas = new(1 - *b.live.Spec.Replicas)
				up := *b.live.Spec.Replicas > 0 // which its team starts, not the platform
				b.placed, b.failed, b.excused, b.upSince = up, false, up, time.Time{}
				b.live.Generation++
				m.say(b)
			}},
			{"a team suspends its brand", func() {
				b := brand()
				b.brand.Spec.Suspend, b.excused = !b.brand.Spec.Suspend, b.placed
			}},
			{"a brand moves", func() {
				b := brand()
				b.brand.Spec.ConnectorClassName = m.classes[rapid.IntRange(0, 1).Draw(t, "class")].class.Name
				b.excused = b.placed
				m.reconcile(t, b, false)
			}},
			{"a brand is being deleted", func() {
				if b := brand(); b.brand.Name != brandKey(0).Name && b.brand.Name != brandKey(1).Name {
					b.brand.DeletionTimestamp, b.excused = &justNow, true
					m.reconcile(t, b, false)
				}
			}},
		}
		for range 100 {
			next := happens[rapid.IntRange(0, len(happens)-1).Draw(t, "what happens")]
			t.Log(next.what)
			next.do()
			for _, b := range m.brands {
				if b.unseen {
					m.see(b)
				}
			}
			m.clock.Step(surveyAge)
		}
		m.mended(t)
	})
}

// bring back the brands that would be let go, as each tick does.
func (m *modelFleet) bring(t *rapid.T) {
	for _, key := range m.operator.fleet.due(t.Context()) {
		i := slices.IndexFunc(m.brands, func(b *modelBrand) bool { return b.brand.Name == key.Name })
		m.reconcile(t, m.brands[i], false)
	}
}

func (m *modelFleet) endAll() {
	for _, b := range m.brands {
		m.ends(b)
	}
}

// mended: every team and both classes put right what is wrong. After that it is the ticks
// alone that bring brands back.
func (m *modelFleet) mended(t *rapid.T) {
	for i, b := range m.brands {
		b.brand.Spec.Suspend, b.brand.Spec.ConnectorClassName = false, m.classes[i%2].class.Name
		b.bad, b.spec, b.excused = false, b.spec+1, true
		b.live.Spec.Replicas = new(int32(1))
		b.live.Generation++
	}
	for _, p := range m.classes {
		good := m.change(p, p.class.Name+"good")
		good.policy.Paused = false
	}
	m.endAll()
	m.clock.Step(time.Minute)
	for _, b := range m.brands {
		m.reconcile(t, b, false)
	}
	for range 4 * len(m.brands) {
		m.endAll()
		m.clock.Step(time.Minute)
		m.bring(t)
	}
	for _, b := range m.brands {
		if p := m.classOf(b); b.brand.DeletionTimestamp.IsZero() && b.runs != p.revision {
			t.Fatalf("%s was left behind: it runs %s, not %s", b.brand.Name, b.runs, p.revision)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// patience of the tests' operators with each other. It is how often they look, too.
const patience = time.Second

// patient is an operator that takes nothing over while the other one is merely slow.
func patient(p *part) { p.answerWithin = 10 * patience }

// installation starts an operator with a key of its own for the brands of a shard.
func (w *world) installation(key, shard string, change ...func(*part)) *operator {
	w.t.Helper()
	p := part{selector: shardLabel + "=" + w.shard(shard), ofFleet: true, image: testImage, key: key, answerWithin: patience,
		rollout: rollout.Policy{MaxConcurrent: 5}}
	for _, c := range change {
		c(&p)
	}
	return w.operatorOf(p)
}

// contested waits until an operator says that it stands back, or until none does. It
// returns what is said.
func (w *world) contested(name string, want bool) (message string) {
	w.t.Helper()
	w.eventually(func() string {
		b := &v1alpha1.BrandConnector{}
		w.mustGet(name, b)
		c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionContested)
		if got := c != nil && c.Status == metav1.ConditionTrue; got != want {
			return fmt.Sprintf("Contested is %v, want %v: %+v", got, want, b.Status.Conditions)
		}
		if c != nil {
			message = c.Message
		}
		return ""
	})
	return message
}

// keyOf the operator that has a brand.
func (w *world) keyOf(name string) string {
	w.t.Helper()
	return render.NotesOf(w.deployment(name).Annotations).Intent.Key
}

func (w *world) waitKey(name, key string) {
	w.t.Helper()
	w.eventually(func() string { return same(render.KeyID([]byte(key)), w.keyOf(name)) })
}

// rests waits until nobody writes a brand, nor what was made of it, while the operators
// look at it several times, and new Pods come up.
func (w *world) rests(name string) {
	w.t.Helper()
	quiet(w.t, 3*patience, func() string {
		w.rollOutNew(name)
		return fmt.Sprint(w.version(name), w.versions(name))
	})
}

// quiet waits until a state is the same after some time.
func quiet(t *testing.T, while time.Duration, state func() string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	before, after := "", state()
	for time.Now().Before(deadline) {
		before = after
		time.Sleep(while)
		if after = state(); before == after {
			return
		}
	}
	t.Errorf("it does not come to rest: %s, then %s", before, after)
}

// rollOutNew plays the Deployment's controller if there is something to do.
func (w *world) rollOutNew(name string) {
	w.t.Helper()
	if d := w.deployment(name); d.Status.ObservedGeneration < d.Generation {
		w.rollOut(name)
	}
}

// ready plays the Deployment's controller, however often the Deployment is written, until
// the brand is ready for a reason.
func (w *world) ready(name, reason string) {
	w.t.Helper()
	w.eventually(func() string {
		w.rollOutNew(name)
		_, problem := w.conditionNow(name, v1alpha1.ConditionReady, metav1.ConditionTrue, reason)
		return problem
	})
}

func TestTwoInstallationsRestartABrandOnceAndComeToRest(t *testing.T) {
	w := newWorld(t)
	a := w.installation("a", "x", patient)
	w.up(w.brand("xiaowang", w.ofShard("x")))
	w.settled("xiaowang")
	generation := w.deployment("xiaowang").Generation

	b := w.installation("b", "x", patient)
	w.contested("xiaowang", true)
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.rests("xiaowang")
	if now := w.deployment("xiaowang").Generation; now != generation+1 {
		t.Errorf("the Deployment is at generation %d, then %d: want one restart", generation, now)
	}
	w.waitKey("xiaowang", "b")
	message := w.contested("xiaowang", true) // once more, if b has taken it away as it came
	for _, want := range []string{render.KeyID([]byte("a")), render.KeyID([]byte("b")), "hexiao-system", "watchLabelSelector", v1alpha1.AnnotationReconcileRequestedAt} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q: %s", want, message)
		}
	}
	w.warned("xiaowang", v1alpha1.ReasonManagedByAnother)
	wrote := len(a.writes.in(w.namespace))

	// What the brand asks for is b's to answer. a says once more that it stands back, after b
	// was asked whether it does.
	w.settled("xiaowang")
	w.contested("xiaowang", true)
	revision := w.revision("xiaowang")
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.PartialFailure = v1alpha1.PartialFailureReverse })
	w.eventually(func() string {
		if w.revision("xiaowang") == revision {
			return "the change was not rolled out"
		}
		return ""
	})
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.secret("zhimai", map[string]string{"openId": "i", "openKey": "rotated", "grantCode": "g"})
	w.eventually(func() string {
		return same(fmt.Sprint(generation+3), fmt.Sprint(w.deployment("xiaowang").Generation))
	})
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.rests("xiaowang")
	w.waitKey("xiaowang", "b")
	if got := a.writes.in(w.namespace)[wrote:]; len(got) != 1 || !strings.HasSuffix(got[0], "/status") {
		t.Errorf("the one that stands back wrote\n%s\nwant the status once", strings.Join(got, "\n"))
	}

	// Neither takes it from the other by being started anew.
	generation = w.deployment("xiaowang").Generation
	a.stop()
	w.installation("a", "x")
	w.rests("xiaowang")
	b.stop()
	b = w.installation("b", "x")
	w.contested("xiaowang", true)
	w.eventually(func() string { return same("true", fmt.Sprint(b.applies(t)["skipped"] > 0)) })
	w.contested("xiaowang", true)
	w.rests("xiaowang")
	if now := w.deployment("xiaowang").Generation; now != generation {
		t.Errorf("the Deployment is at generation %d, then %d: an operator that starts anew restarts nobody", generation, now)
	}

	// The one in charge is uninstalled: the other one is asked, and takes over.
	b.stop()
	w.settled("xiaowang")
	w.waitKey("xiaowang", "a")
	w.contested("xiaowang", false)
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.rests("xiaowang")
	if now := w.deployment("xiaowang").Generation; now != generation+1 {
		t.Errorf("the Deployment is at generation %d, then %d: want one restart", generation, now)
	}
}

// warned waits for an event of a brand.
func (w *world) warned(name, reason string) { w.warnedIn(w.namespace, name, reason) }

func (w *world) warnedIn(namespace, name, reason string) {
	w.t.Helper()
	w.eventually(func() string {
		var list eventsv1.EventList
		must(w.t, api.List(w.t.Context(), &list, client.InNamespace(namespace)))
		for _, e := range list.Items {
			if e.Regarding.Name == name && e.Reason == reason && e.Type == corev1.EventTypeWarning {
				return ""
			}
		}
		return "no event warns of " + reason
	})
}

func TestOneOfTwoInstallationsIsLeftInChargeHoweverABrandComes(t *testing.T) {
	w := newWorld(t)
	w.installation("a", "x")
	w.installation("b", "x")
	w.create(w.brand("xiaowang", w.ofShard("x")))
	w.contested("xiaowang", true)
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.rests("xiaowang")

	// Its Deployment is deleted: it comes back, and one of them has it.
	must(t, api.Delete(t.Context(), w.deployment("xiaowang")))
	w.eventually(func() string {
		if err := w.get("xiaowang", &appsv1.Deployment{}); err != nil {
			return err.Error()
		}
		return ""
	})
	w.contested("xiaowang", true)
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.contested("xiaowang", true)
	w.rests("xiaowang")

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = true })
	w.ready("xiaowang", v1alpha1.ReasonSuspended)
	w.rests("xiaowang")
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Suspend = false })
	w.ready("xiaowang", v1alpha1.ReasonReady)
	w.rests("xiaowang")

	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)
	must(t, api.Delete(t.Context(), b))
	w.eventually(func() string { return w.gone("xiaowang", &v1alpha1.BrandConnector{}) })
}

func TestTheStatusOfAClassComesToRestBetweenTwoInstallations(t *testing.T) {
	w := newWorld(t)
	class := w.class(func(*v1alpha1.ConnectorClassSpec) {})
	whole := func(p *part) { p.ofFleet = false }
	w.installation("a", "x", whole)
	for _, name := range []string{"one", "two"} {
		w.upNewest(w.brand(name, w.ofShard("x"), ofClass(class)))
	}
	w.installation("b", "x", whole)
	for _, name := range []string{"one", "two"} {
		w.contested(name, true)
		w.rollOutNewest(name)
		w.rests(name)
		w.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	}
	quiet(t, 5*time.Second, func() string { // one that counts does so every two
		w.classStatus(class, v1alpha1.ReasonRolledOut)
		c := &v1alpha1.ConnectorClass{}
		must(t, api.Get(t.Context(), client.ObjectKey{Name: class}, c))
		return c.ResourceVersion
	})
}

func TestTwoReleasesOfOneNamespaceWithOtherSettingsComeToRest(t *testing.T) {
	w := newWorld(t)
	w.installation("a", "x")
	w.up(w.brand("xiaowang", w.ofShard("x")))
	w.settled("xiaowang")
	generation := w.deployment("xiaowang").Generation
	w.installation("a", "x", func(p *part) { p.image = "connector:other" })
	w.contested("xiaowang", true)
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	w.rests("xiaowang")
	if now := w.deployment("xiaowang").Generation; now != generation+1 || w.images("xiaowang") != "other" {
		t.Errorf("the Deployment is at generation %d, then %d, with the image %s", generation, now, w.images("xiaowang"))
	}
}

func TestABrandIsHandedOnBetweenInstallationsWithoutAContest(t *testing.T) {
	w := newWorld(t)
	w.installation("a", "a")
	w.installation("b", "b")
	w.up(w.brand("xiaowang", w.ofShard("a")))
	w.settled("xiaowang")
	for i, to := range []string{"b", "a", "b"} {
		generation := w.deployment("xiaowang").Generation
		w.change("xiaowang", w.ofShard(to))
		w.waitKey("xiaowang", to)
		w.rollOut("xiaowang")
		w.settled("xiaowang")
		w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
		w.contested("xiaowang", false)
		if now := w.deployment("xiaowang").Generation; now != generation+1 {
			t.Errorf("hand-over %d: the Deployment is at generation %d, then %d", i, generation, now)
		}
	}
	w.rests("xiaowang")
}

func TestANewKeyTakesTheFleetOverOnce(t *testing.T) {
	w := newWorld(t)
	first := w.installation("a", "x")
	w.up(w.brand("xiaowang", w.ofShard("x")))
	w.settled("xiaowang")
	generation := w.deployment("xiaowang").Generation
	first.stop()
	w.installation("b", "x")
	w.waitKey("xiaowang", "b")
	w.rollOut("xiaowang")
	w.settled("xiaowang")
	w.contested("xiaowang", false)
	if now := w.deployment("xiaowang").Generation; now != generation+1 {
		t.Errorf("the Deployment is at generation %d, then %d", generation, now)
	}
}

func TestWhileABrandWaitsToBeTakenOverNothingOfItIsTouched(t *testing.T) {
	w := newWorld(t)
	a := w.installation("a", "x")
	w.create(w.brand("xiaowang", w.ofShard("x")))
	w.rollOutNewest("xiaowang")
	w.settled("xiaowang")
	before := w.versions("xiaowang")
	b := w.installation("b", "x", func(p *part) { p.rollout.Paused = true })
	w.condition("xiaowang", v1alpha1.ConditionUpToDate, metav1.ConditionFalse, v1alpha1.ReasonRolloutPending)
	w.rests("xiaowang")
	for _, line := range b.writes.in(w.namespace) {
		if !strings.HasSuffix(line, "/brandconnectors/xiaowang/status") {
			t.Errorf("it wrote %s", line)
		}
	}
	for kind, version := range w.versions("xiaowang") {
		if before[kind] != version {
			t.Errorf("%s was written", kind)
		}
	}
	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Workload.Replicas = new(int32(3)) })
	w.eventually(func() string { return same("3", fmt.Sprint(*w.deployment("xiaowang").Spec.Replicas)) })
	w.waitKey("xiaowang", "a")
	w.rollOutNewest("xiaowang")
	w.rests("xiaowang")
	if a.applies(t)["failed"]+b.applies(t)["failed"] > 0 {
		t.Error("an apply failed")
	}
}

func TestWhatAPersonPutsBackIsNoContest(t *testing.T) {
	w := newWorld(t)
	first := w.installation("a", "x")
	w.up(w.brand("xiaowang", w.ofShard("x")))
	w.settled("xiaowang")
	old := w.deployment("xiaowang")
	first.stop()
	w.installation("b", "x")
	w.waitKey("xiaowang", "b")
	w.rollOut("xiaowang")
	w.settled("xiaowang")

	// As kubectl rollout undo does.
	d := w.deployment("xiaowang")
	before := d.DeepCopy()
	d.Annotations, d.Spec.Template = old.Annotations, old.Spec.Template
	must(t, api.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("kubectl-rollout")))
	w.waitKey("xiaowang", "b")
	w.settled("xiaowang")
	w.contested("xiaowang", false)
	w.rests("xiaowang")
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	testclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
	"github.com/hexiao-dev/hexiao/hack/gitops"
)

// read is an object with a status, as the tools read it.
type read struct {
	object     map[string]any
	conditions []metav1.Condition
	flux       status.Status
}

// TestManyDrawsMeetEveryVerdict shows that the walks below leave nothing out.
func TestManyDrawsMeetEveryVerdict(t *testing.T) {
	seen := map[string]bool{}
	for name, walk := range map[string]map[string]read{"brand": everyBrand(t), "class": everyClass(t)} {
		for _, r := range walk {
			c := meta.FindStatusCondition(r.conditions, v1alpha1.ConditionReady)
			seen[fmt.Sprintf("%s %s %s %s", name, c.Status, c.Reason, r.flux)] = true
		}
	}
	for _, want := range []string{
		"brand True Ready Current", "brand True Suspended Current", "brand False Suspended Failed", "brand Unknown RolloutPending InProgress",
		"brand Unknown Progressing InProgress", "brand Unknown NotExposed InProgress", "brand False NotExposed Failed",
		"brand False RouteNotAccepted InProgress", "brand False SecretNotFound Failed", "brand False InvalidSpec Failed", "brand False NotOwned Failed",
		"brand False NotOwned InProgress", "brand False ApplyFailed InProgress", "brand False RolloutFailed Failed",
		"class True RolledOut Current", "class Unknown RollingOut InProgress", "class Unknown RolloutPaused InProgress", "class False RolloutHalted Failed", "class False NoCanary Failed", "class False InvalidSpec Failed",
	} {
		if !seen[want] {
			t.Errorf("%q was not met; these were: %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// everyBrand is each distinct status that fold makes of what the phases may find, by a
// summary of it. Which states there are is anyScope's to say; they are so few that many
// draws meet all of them.
func everyBrand(t *testing.T) map[string]read {
	t.Helper()
	folded := rapid.Custom(func(t *rapid.T) *v1alpha1.BrandConnector {
		r, s := anyScope(t)
		r.fold(s)
		return s.brand
	})
	all := map[string]read{}
	for seed := range 10_000 {
		b := folded.Example(seed)
		all[summary(b.Status.Conditions)] = asRead(t, b, b.Status.Conditions)
	}
	return all
}

// everyClass is each distinct status of a class, likewise.
func everyClass(t *testing.T) map[string]read {
	t.Helper()
	folded := rapid.Custom(func(t *rapid.T) *v1alpha1.ConnectorClass {
		n := func(name string) int { return rapid.IntRange(0, 2).Draw(t, name) }
		r := &classReconciler{Reconciler: &Reconciler{Config: Config{Clock: testclock.NewFakePassiveClock(time.Unix(1, 0))}}}
		class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "c", Generation: 2}}
		class.Status.ObservedGeneration = 2
		for range n("looks") + 1 { // what an earlier look has left must be gone
			survey := rollout.Survey{Waiting: n("waiting"), Rolling: n("rolling"), Failed: n("failed"), Canaries: n("canaries"), Capable: n("capable"), Proven: n("proven")}
			survey.FailedCanary = rapid.SampledFrom([]string{"", "x"}).Draw(t, "failed canary")
			policy := rollout.Policy{MaxConcurrent: 2, Paused: rapid.Bool().Draw(t, "paused")}
			if rapid.Bool().Draw(t, "a selector of canaries") {
				policy.Canaries = labels.Everything()
			}
			v := classVerdict(survey, &platform{policy: policy})
			if rapid.Bool().Draw(t, "invalid") {
				v = verdict{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonInvalidSpec, message: "m", stalled: true}
			}
			r.setClass(class, v)
		}
		return class
	})
	all := map[string]read{}
	for seed := range 2_000 {
		c := folded.Example(seed)
		all[summary(c.Status.Conditions)] = asRead(t, c, c.Status.Conditions)
	}
	return all
}

func asRead(t *testing.T, o runtime.Object, conditions []metav1.Condition) read {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	flux, err := gitops.Flux(object)
	if err != nil {
		t.Fatal(err)
	}
	return read{object, conditions, flux}
}

// summary is what a tool could tell a status by.
func summary(conditions []metav1.Condition) string {
	var parts []string
	for _, c := range conditions {
		parts = append(parts, fmt.Sprintf("%s=%s(%s)", c.Type, c.Status, c.Reason))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// TestEveryToolReadsEveryStatusAlike walks each status through Flux's own code and through
// Argo CD's, as far as the scripts and expressions of config/ are its input.
func TestEveryToolReadsEveryStatusAlike(t *testing.T) {
	script, err := os.ReadFile("../" + gitops.HealthScript)
	if err != nil {
		t.Fatal(err)
	}
	for kind, walk := range map[string]struct {
		file   string // with Flux's expressions
		every  map[string]read
		expect func(read) status.Status
	}{
		"BrandConnector": {"config/flux/brand.yaml", everyBrand(t), forACanary},
		"ConnectorClass": {"config/flux/platform.yaml", everyClass(t), forAPlatform},
	} {
		expressions, err := gitops.ShippedExpressions("..", walk.file, kind)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range walk.every {
			argo, err := gitops.ArgoCD(t.Context(), string(script), r.object)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := inArgoCD(r); argo.Status != want || argo.Message == "" {
				t.Errorf("%s: Argo CD shows %+v, want %s", name, argo, want)
			}
			flux, err := expressions.Read(t.Context(), r.object)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := walk.expect(r); flux != want {
				t.Errorf("%s: Flux's expressions read %s, want %s", name, flux, want)
			}
			// Whatever it was, it says nothing of a generation that came after.
			r.object["metadata"].(map[string]any)["generation"] = int64(9)
			argo, _ = gitops.ArgoCD(t.Context(), string(script), r.object)
			plain, _ := gitops.Flux(r.object)
			flux, _ = expressions.Read(t.Context(), r.object)
			if argo.Status != gitops.Progressing || plain != status.InProgressStatus || flux != status.InProgressStatus {
				t.Errorf("%s, of an older generation: %s, %s, %s", name, argo.Status, plain, flux)
			}
		}
	}
}

// inArgoCD is what Argo CD should show where kstatus reads a status so.
func inArgoCD(r read) string {
	switch {
	case r.flux == status.FailedStatus:
		return gitops.Degraded
	case r.flux != status.CurrentStatus:
		return gitops.Progressing
	case meta.IsStatusConditionTrue(r.conditions, v1alpha1.ConditionSuspended):
		return gitops.Suspended
	}
	return gitops.Healthy
}

// forACanary is what the expressions for a canary should say where kstatus reads a status
// so: they wait for the platform's newest template, too.
func forACanary(r read) status.Status {
	if r.flux == status.CurrentStatus && meta.IsStatusConditionFalse(r.conditions, v1alpha1.ConditionUpToDate) {
		return status.InProgressStatus
	}
	return r.flux
}

// forAPlatform is what the expressions for a class should say: a roll-out that goes on is
// no reason to wait.
func forAPlatform(r read) status.Status {
	if r.flux == status.InProgressStatus {
		return status.CurrentStatus
	}
	return r.flux
}

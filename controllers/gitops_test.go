// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/hack/gitops"
)

// everyStatus is each distinct status that fold makes of what the phases may find, with
// the brand that has it, by a summary of it. Which states there are is anyScope's to
// say; they are so few that many draws meet all of them.
func everyStatus(t *testing.T) map[string]*v1alpha1.BrandConnector {
	t.Helper()
	folded := rapid.Custom(func(t *rapid.T) *v1alpha1.BrandConnector {
		r, s := anyScope(t)
		r.fold(s)
		return s.brand
	})
	all := map[string]*v1alpha1.BrandConnector{}
	for seed := range 10_000 {
		b := folded.Example(seed)
		all[summary(b)] = b
	}
	return all
}

// summary is what a tool could tell a status by.
func summary(b *v1alpha1.BrandConnector) string {
	var parts []string
	for _, c := range b.Status.Conditions {
		parts = append(parts, fmt.Sprintf("%s=%s(%s)", c.Type, c.Status, c.Reason))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func TestManyDrawsMeetEveryVerdict(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range everyStatus(t) {
		c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
		seen[fmt.Sprintf("%s %s %s", c.Status, c.Reason, kstatus(b))] = true
	}
	for _, want := range []string{
		"True Ready Current", "True Suspended Current", "False Suspended Failed",
		"Unknown Progressing InProgress", "Unknown NotExposed InProgress", "False NotExposed Failed", "False RouteNotAccepted InProgress",
		"False SecretNotFound Failed", "False InvalidSpec Failed", "False NotOwned Failed", "False NotOwned InProgress",
		"False ApplyFailed InProgress", "False RolloutFailed Failed",
	} {
		if !seen[want] {
			t.Errorf("%q was not met; these were: %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// TestEveryToolReadsEveryStatusAlike walks each status through Flux's own code and through
// Argo CD's, as far as the scripts and expressions of config/ are its input.
func TestEveryToolReadsEveryStatusAlike(t *testing.T) {
	script, err := os.ReadFile("../" + gitops.HealthScript)
	if err != nil {
		t.Fatal(err)
	}
	canary, err := gitops.ShippedExpressions("..", "config/flux/brand.yaml", "BrandConnector")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range everyStatus(t) {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
		if err != nil {
			t.Fatal(err)
		}
		flux, err := gitops.Flux(object)
		if err != nil {
			t.Fatal(err)
		}
		argo, err := gitops.ArgoCD(t.Context(), string(script), object)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := inArgoCD(b, flux); argo.Status != want || argo.Message == "" {
			t.Errorf("%s: Argo CD shows %+v, want %s", name, argo, want)
		}
		gate, err := canary.Read(t.Context(), object)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := forACanary(b, flux); gate != want {
			t.Errorf("%s: Flux's expressions for a canary read %s, want %s", name, gate, want)
		}
		// Whatever it was, it says nothing of a generation that came after.
		b.Generation++
		if object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(b); err != nil {
			t.Fatal(err)
		}
		flux, _ = gitops.Flux(object)
		gate, _ = canary.Read(t.Context(), object)
		argo, _ = gitops.ArgoCD(t.Context(), string(script), object)
		if flux != status.InProgressStatus || gate != status.InProgressStatus || argo.Status != gitops.Progressing {
			t.Errorf("%s, of an older generation: %s, %s, %s", name, flux, gate, argo.Status)
		}
	}
}

// inArgoCD is what Argo CD should show where Flux reads a status so.
func inArgoCD(b *v1alpha1.BrandConnector, flux status.Status) string {
	switch {
	case flux == status.FailedStatus:
		return gitops.Degraded
	case flux != status.CurrentStatus:
		return gitops.Progressing
	case b.Spec.Suspend:
		return gitops.Suspended
	}
	return gitops.Healthy
}

// forACanary is what the expressions for a canary should say where kstatus reads a status
// so: they wait for the platform's newest template, too.
func forACanary(b *v1alpha1.BrandConnector, flux status.Status) status.Status {
	upToDate := meta.FindStatusCondition(b.Status.Conditions, "UpToDate")
	switch {
	case upToDate != nil && upToDate.Reason == "RolloutHalted":
		return status.FailedStatus
	case upToDate != nil && upToDate.Status == "False" && flux == status.CurrentStatus:
		return status.InProgressStatus
	}
	return flux
}

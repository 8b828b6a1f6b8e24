// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/google/go-cmp/cmp"
)

const root = "../.."

func healthScript(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, HealthScript))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// object is one at generation 3 with conditions, each written as "Type=Status Reason".
func object(observed int64, conditions ...string) map[string]any {
	list := []any{}
	for _, c := range conditions {
		kind, rest, _ := strings.Cut(c, "=")
		value, reason, _ := strings.Cut(rest, " ")
		list = append(list, map[string]any{"type": kind, "status": value, "reason": reason, "message": "because"})
	}
	return map[string]any{
		"apiVersion": "connect.hexiao.dev/v1alpha1", "kind": "BrandConnector",
		"metadata": map[string]any{"name": "xiaowang", "namespace": "brands", "generation": int64(3)},
		"status":   map[string]any{"observedGeneration": observed, "conditions": list},
	}
}

func TestArgoCDAndFluxReadAStatusAlike(t *testing.T) {
	const unseen = "the operator has not looked at this generation yet"
	tests := map[string]struct {
		object map[string]any
		flux   status.Status
		argo   Health
	}{
		"before the first look":    {object(-1), status.InProgressStatus, Health{Progressing, unseen}},
		"an older generation":      {object(2, "Ready=True Ready"), status.InProgressStatus, Health{Progressing, unseen}},
		"an older one that failed": {object(2, "Ready=False InvalidSpec", "Stalled=True InvalidSpec"), status.InProgressStatus, Health{Progressing, unseen}},
		"serving":                  {object(3, "Ready=True Ready"), status.CurrentStatus, Health{Healthy, "Ready: because"}},
		"serving, waiting for its turn": {object(3, "Ready=True Ready", "UpToDate=False RolloutPending"), status.CurrentStatus,
			Health{Healthy, "Ready: because; RolloutPending: because"}},
		"serving and up to date":         {object(3, "UpToDate=True Current", "Ready=True Ready"), status.CurrentStatus, Health{Healthy, "Ready: because"}},
		"rolling out":                    {object(3, "Ready=Unknown Progressing", "Reconciling=True Progressing"), status.InProgressStatus, Health{Progressing, "Progressing: because"}},
		"a Secret is missing":            {object(3, "Ready=False SecretNotFound", "Stalled=True SecretNotFound"), status.FailedStatus, Health{Degraded, "SecretNotFound: because"}},
		"the API server forbids":         {object(3, "Ready=False ApplyFailed", "Reconciling=True ApplyFailed"), status.InProgressStatus, Health{Progressing, "ApplyFailed: because"}},
		"suspended":                      {object(3, "Ready=True Suspended", "Suspended=True Suspended"), status.CurrentStatus, Health{Suspended, "Suspended: because"}},
		"suspended and not available":    {object(3, "Ready=False Suspended", "Suspended=True Suspended", "Stalled=True Suspended"), status.FailedStatus, Health{Degraded, "Suspended: because"}},
		"stalled, said to be so no more": {object(3, "Ready=True Ready", "Stalled=False Ready"), status.CurrentStatus, Health{Healthy, "Ready: because"}},
		"not ready and nothing else":     {object(3, "Ready=False Progressing"), status.InProgressStatus, Health{Progressing, "Progressing: because"}},
	}
	script := healthScript(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			argo, err := ArgoCD(t.Context(), script, tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.argo, argo); diff != "" {
				t.Errorf("Argo CD (-want +got):\n%s", diff)
			}
			flux, err := Flux(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if flux != tc.flux {
				t.Errorf("Flux reads %s, want %s", flux, tc.flux)
			}
		})
	}
}

func TestArgoCDReadsAnObjectWithoutAStatus(t *testing.T) {
	bare := object(3)
	delete(bare, "status")
	got, err := ArgoCD(t.Context(), healthScript(t), bare)
	if err != nil || got.Status != Progressing {
		t.Errorf("got %+v (%v), want %s", got, err, Progressing)
	}
}

func TestAScriptThatArgoCDWouldNotTakeIsAnError(t *testing.T) {
	tests := map[string]struct{ script, want string }{
		"a library that Argo CD does not open": {`return {status = string.upper("healthy")}`, "string"},
		"a status that Argo CD does not know":  {`return {status = "Fine"}`, `the status "Fine"`},
		"no table":                             {`return "Healthy"`, "returned a string"},
		"a script that does not end":           {`while true do end`, "context deadline exceeded"},
		"a syntax error":                       {`return {`, "run the health script"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := ArgoCD(t.Context(), tc.script, object(3)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %+v and %v, want an error with %q", got, err, tc.want)
			}
		})
	}
}

func TestFluxesExpressionsForACanaryWaitForThePlatformsNewestTemplate(t *testing.T) {
	tests := map[string]struct {
		object map[string]any
		want   status.Status
	}{
		"before the first look":   {object(-1), status.InProgressStatus},
		"serving the newest":      {object(3, "Ready=True Ready", "UpToDate=True Current"), status.CurrentStatus},
		"without a word about it": {object(3, "Ready=True Ready"), status.CurrentStatus},
		"waiting for its turn":    {object(3, "Ready=True Ready", "UpToDate=False RolloutPending"), status.InProgressStatus},
		"rolling out":             {object(3, "Ready=Unknown Progressing", "Reconciling=True Progressing"), status.InProgressStatus},
		"a Secret is missing while it waits": {object(3, "Ready=False SecretNotFound", "Stalled=True SecretNotFound", "UpToDate=False RolloutPending"),
			status.FailedStatus},
	}
	f := expressions(t, "config/flux/brand.yaml", "BrandConnector")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := f.Read(t.Context(), tc.object); err != nil || got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestFluxesExpressionsForAClassFailWhenItsRolloutHalted(t *testing.T) {
	tests := map[string]struct {
		object map[string]any
		want   status.Status
	}{
		"before the first look": {object(-1), status.InProgressStatus},
		"rolled out":            {object(3, "Ready=True RolledOut", "RolledOut=True RolledOut"), status.CurrentStatus},
		"rolling out":           {object(3, "Ready=Unknown RollingOut", "Reconciling=True RollingOut", "RolledOut=False RollingOut"), status.CurrentStatus},
		"halted":                {object(3, "Ready=False RolloutHalted", "Stalled=True RolloutHalted", "RolledOut=False RolloutHalted"), status.FailedStatus},
		"refused":               {object(3, "Ready=False InvalidSpec", "Stalled=True InvalidSpec"), status.FailedStatus},
	}
	f := expressions(t, "config/flux/platform.yaml", "ConnectorClass")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := f.Read(t.Context(), tc.object); err != nil || got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestExpressionsThatDoNotParseAreAnError(t *testing.T) {
	if _, err := NewFluxExpressions(kustomize.HealthCheckExpressions{Current: "status.("}); err == nil {
		t.Error("no error")
	}
}

func expressions(t *testing.T, file, kind string) FluxExpressions {
	t.Helper()
	f, err := ShippedExpressions(root, file, kind)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

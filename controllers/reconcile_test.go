// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// told is the status of a brand, as far as an event depends on it.
func told(status metav1.ConditionStatus, reason, message, beside string) v1alpha1.BrandConnectorStatus {
	var s v1alpha1.BrandConnectorStatus
	if reason == "" {
		return s
	}
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message})
	if beside != "" {
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: beside, Status: metav1.ConditionTrue, Reason: reason})
	}
	return s
}

func TestAnEventIsSentWhenThereIsNews(t *testing.T) {
	progressing := func(message string) v1alpha1.BrandConnectorStatus {
		return told(metav1.ConditionUnknown, v1alpha1.ReasonProgressing, message, v1alpha1.ConditionReconciling)
	}
	failed := func(message string) v1alpha1.BrandConnectorStatus {
		return told(metav1.ConditionFalse, v1alpha1.ReasonRolloutFailed, message, v1alpha1.ConditionStalled)
	}
	missing := func(message string) v1alpha1.BrandConnectorStatus {
		return told(metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound, message, v1alpha1.ConditionStalled)
	}
	ready := told(metav1.ConditionTrue, v1alpha1.ReasonReady, "serves", "")
	tests := map[string]struct {
		was, is v1alpha1.BrandConnectorStatus
		changed bool // the template
		want    []string
	}{
		"the first look":                           {is: progressing("a"), want: []string{"Normal Progressing a"}},
		"the same again":                           {was: progressing("a"), is: progressing("a")},
		"another reason while it is on its way":    {was: progressing("a"), is: progressing("a: ImagePullBackOff")},
		"and another one":                          {was: progressing("a: ImagePullBackOff"), is: progressing("a: Unschedulable")},
		"it did not come up in time":               {was: progressing("a: b"), is: failed("b"), want: []string{"Warning RolloutFailed b"}},
		"it does not come up, for the same reason": {was: failed("b"), is: failed("b")},
		"it does not come up, for another reason":  {was: failed("b"), is: failed("c"), want: []string{"Warning RolloutFailed c"}},
		"it came up":                               {was: progressing("a"), is: ready, want: []string{"Normal Ready serves"}},
		"it stays up":                              {was: ready, is: ready},
		"a Secret is gone":                         {was: ready, is: missing("kry"), want: []string{"Warning SecretNotFound kry"}},
		"another Secret is gone":                   {was: missing("kry"), is: missing("pg"), want: []string{"Warning SecretNotFound pg"}},
		"a rotation":                               {was: ready, is: progressing("a"), changed: true, want: []string{"Normal RolloutStarted the configuration, its credentials or the image changed: rolling out revision r2", "Normal Progressing a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(10)
			r := &Reconciler{Config: Config{Recorder: recorder}}
			s := &scope{before: &v1alpha1.BrandConnector{Status: tc.was}, brand: &v1alpha1.BrandConnector{Status: tc.is}, templateChanged: tc.changed}
			s.brand.Status.ConfigRevision = "r2"
			r.announce(s)
			close(recorder.Events)
			var got []string
			for e := range recorder.Events {
				got = append(got, e)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	missing := unresolved(render.Need{Source: render.SourceSecret, Name: "s"}, v1alpha1.ReasonSecretNotFound, "m")
	invalid := fault{reason: v1alpha1.ReasonInvalidSpec, message: "m", stalled: true}
	forbidden := fault{reason: v1alpha1.ReasonApplyFailed, message: "m"}
	refused := fault{reason: v1alpha1.ReasonInvalidSpec, message: "m", stalled: true, unwatched: true}
	foreign := fault{reason: v1alpha1.ReasonNotOwned, message: "m", stalled: true, unwatched: true}
	tests := map[string]struct {
		faults    []fault
		lookAgain time.Duration
		after     time.Duration
		want      string // error: none, terminal or again
	}{
		"nothing is the matter":                           {want: "none"},
		"Pods do not start: a look":                       {lookAgain: soonest, after: soonest, want: "none"},
		"a Secret is missing: a watch brings it back":     {faults: []fault{missing}, want: "none"},
		"a Secret is missing and old Pods do not start":   {faults: []fault{missing}, lookAgain: latest, after: latest, want: "none"},
		"the spec is invalid: only a change helps":        {faults: []fault{invalid}, want: "terminal"},
		"the API server forbids it: with growing pauses":  {faults: []fault{forbidden}, want: "again"},
		"the API server refuses it: a look, unwatched":    {faults: []fault{refused}, after: unwatchedPause, want: "none"},
		"an object is somebody else's: a look, unwatched": {faults: []fault{foreign}, after: unwatchedPause, want: "none"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := &scope{faults: tc.faults, diagnosis: diagnosis{lookAgain: tc.lookAgain}}
			result, err := s.result()
			got := "none"
			if errors.Is(err, reconcile.TerminalError(nil)) {
				got = "terminal"
			} else if err != nil {
				got = "again"
			}
			if got != tc.want || result.RequeueAfter != tc.after {
				t.Errorf("error %s, again after %s; want %s and %s", got, result.RequeueAfter, tc.want, tc.after)
			}
		})
	}
}

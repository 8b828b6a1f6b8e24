// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
)

func TestWarningsAreThisBrandsAndItsPartsOfToday(t *testing.T) {
	for name, c := range map[string]struct {
		kind, object string
		uid          types.UID
		age          time.Duration
		want         bool
	}{
		"of the brand":                            {"BrandConnector", "xiaowang", "uid-xiaowang", time.Minute, true},
		"of a brand of that name before":          {"BrandConnector", "xiaowang", "uid-of-old", time.Minute, false},
		"of a Deployment of that name before":     {"Deployment", "xiaowang", "uid-of-old", time.Minute, false},
		"of a Pod that is there":                  {"Pod", "xiaowang-5d9c-x2k", "uid-xiaowang-5d9c-x2k", time.Minute, true},
		"of a Pod of that name before":            {"Pod", "xiaowang-5d9c-x2k", "uid-of-old", time.Minute, false},
		"of a Pod that is gone":                   {"Pod", "xiaowang-5d9c-abc", "uid-of-old", time.Minute, true},
		"from before the brand was made":          {"Pod", "xiaowang-5d9c-abc", "uid-of-old", 31 * time.Minute, false},
		"by who names no uid":                     {"Pod", "xiaowang-5d9c-x2k", "", time.Minute, true},
		"of a part whose uid is not looked up":    {"CronJob", "xiaowang-reconciliation", "uid-of-any", time.Minute, true},
		"of a claim of that name before":          {"PersistentVolumeClaim", "xiaowang-ledger", "uid-of-old", time.Minute, false},
		"of a ReplicaSet that is there":           {"ReplicaSet", "xiaowang-5d9c", "uid-xiaowang-5d9c", time.Minute, true},
		"of a ReplicaSet that is there, an older": {"ReplicaSet", "xiaowang-5d9c", "uid-of-old", time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy()
			s.Brand.CreationTimestamp = ago(30 * time.Minute)
			s.Events = []*corev1.Event{{Type: corev1.EventTypeWarning, InvolvedObject: corev1.ObjectReference{Kind: c.kind, Name: c.object, UID: c.uid}, Reason: "Failed", LastTimestamp: ago(c.age), Count: 1}}
			if got := len(tree.Build(s, now).Warnings) == 1; got != c.want {
				t.Errorf("shown is %v", got)
			}
		})
	}
}

func TestConditionsAreThereForAProgram(t *testing.T) {
	b := failing().Brand
	if diff := cmp.Diff(b.Status.Conditions, tree.Build(failing(), now).Conditions); diff != "" {
		t.Errorf("of one brand (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(b.Status.Conditions, tree.Lines([]*v1alpha1.BrandConnector{b}, nil)[0].Conditions); diff != "" {
		t.Errorf("of many (-want +got):\n%s", diff)
	}
}

func TestChangesAreWhatIsNotAsBefore(t *testing.T) {
	later := now.Add(75 * time.Second)
	if got := tree.Changes(tree.Build(failing(), now), tree.Build(failing(), now.Add(7*time.Second)), tree.Plain); got != nil {
		t.Errorf("time goes by, and it says %q", got)
	}
	next := failing()
	next.Pods = next.Pods[1:]
	next.Deployment.Status.AvailableReplicas = 1
	next.Pods[0].Status.Phase = corev1.PodRunning
	want := []string{"... Pod xiaowang-new-y3l  Running, not ready, 1h31m old", "BAD Pod xiaowang-old-a1b  should have ended 55s ago, 1h31m old", "    Pod xiaowang-new-x2k  is gone"}
	if diff := cmp.Diff(want, tree.Changes(tree.Build(failing(), now), tree.Build(next, later), tree.Plain)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Build makes the tree of a snapshot, as it is at a time.
func Build(s *Snapshot, now time.Time) *Tree {
	t := &Tree{Namespace: s.Brand.Namespace, Brand: s.Brand.Name, Root: s.root(now), Conditions: append([]metav1.Condition{}, s.Brand.Status.Conditions...)}
	t.Ready = t.Root.Verdict == Good
	t.Warnings = s.warnings(now)
	return t
}

func (s *Snapshot) root(now time.Time) Node {
	b := s.Brand
	n := Node{Kind: v1alpha1.KindBrandConnector, Name: b.Name, Details: s.about()}
	n.Verdict, n.State = Ready(b)
	n.Details, n.Wide = append(n.Details, conditions(b, false)...), append(n.Wide, conditions(b, true)...)
	for _, kind := range s.Hidden {
		n.Details = append(n.Details, kind+": not shown, because you may not read it")
	}
	n.Children = append(n.Children, s.deployment(now))
	for _, part := range []func(time.Time) *Node{s.service, s.autoscaler, s.budget, s.ingress, s.route, s.claim} {
		if child := part(now); child != nil {
			n.Children = append(n.Children, *child)
		}
	}
	return withCronJobs(n, s, now)
}

// conditions are those beside Ready: the dull ones, or the others. What repeats the
// message of Ready goes without it.
func conditions(b *v1alpha1.BrandConnector, ofNoInterest bool) (lines []string) {
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	for _, c := range b.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady || dull(c) != ofNoInterest {
			continue
		}
		if ready != nil && c.Message == ready.Message {
			c.Message = ""
		}
		lines = append(lines, fmt.Sprintf("%s=%s %s", c.Type, c.Status, said(&c)))
	}
	return lines
}

// about are the plain facts of a brand.
func (s *Snapshot) about() []string {
	b := s.Brand
	class := cmp.Or(b.Spec.ConnectorClassName, "none")
	if s.Class != nil {
		class = s.Class.Name
	}
	facts := []string{fmt.Sprintf("brand %s, class %s, ledger %s", b.Spec.BrandID, class, cmp.Or(v1alpha1.Resolve(b, s.Class).Spec.Ledger.String(), "none"))}
	if b.Status.Image != "" {
		facts = append(facts, fmt.Sprintf("image %s, revision %s", b.Status.Image, b.Status.ConfigRevision))
	}
	if s.Class != nil {
		for _, c := range s.Class.Status.Conditions {
			if !dull(c) {
				facts = append(facts, fmt.Sprintf("ConnectorClass %s: %s=%s %s", s.Class.Name, c.Type, c.Status, said(&c)))
			}
		}
	}
	for _, e := range b.Status.Endpoints {
		facts = append(facts, fmt.Sprintf("%s at %s", e.SPI, e.URL))
	}
	return facts
}

// dull are conditions that say what everybody hopes.
func dull(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled, v1alpha1.ConditionSuspended,
		v1alpha1.ConditionContested, v1alpha1.ConditionBrandIDShared:
		return c.Status != metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionTrue
}

func (s *Snapshot) hidden(kind string) bool { return slices.Contains(s.Hidden, kind) }

func (s *Snapshot) deployment(now time.Time) Node {
	n := Node{Kind: render.DeploymentKind.Kind, Name: s.Brand.Name}
	if s.Deployment == nil {
		n.Verdict, n.State = Bad, "is not there"
		if s.hidden(n.Kind) {
			n.Verdict, n.State = Unknown, "you may not read it"
		}
		return n
	}
	n.Verdict, n.State = Rollout(s.Deployment)
	if s.Deployment.Spec.Paused {
		n.Details = append(n.Details, "it is paused: a change rolls out only after kubectl rollout resume")
	}
	if at := s.Deployment.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]; at != "" {
		n.Wide = append(n.Wide, "restarted by hand at "+at)
	}
	mine := map[types.UID]bool{}
	for _, set := range s.sets() {
		for _, p := range s.Pods {
			if metav1.IsControlledBy(p, set) {
				mine[p.UID] = true
			}
		}
		if child, show := s.replicaSet(set, now); show {
			n.Children = append(n.Children, child)
		}
	}
	for _, p := range s.Pods {
		if !mine[p.UID] {
			n.Children = append(n.Children, pod(p, now))
		}
	}
	return n
}

// sets are the ReplicaSets, the newest first.
func (s *Snapshot) sets() []*appsv1.ReplicaSet {
	sets := slices.Clone(s.Sets)
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sets
}

const annotationRevision = "deployment.kubernetes.io/revision"

// replicaSet is shown while it has Pods, or should have.
func (s *Snapshot) replicaSet(set *appsv1.ReplicaSet, now time.Time) (Node, bool) {
	want := int32(1)
	if set.Spec.Replicas != nil {
		want = *set.Spec.Replicas
	}
	current := set.Annotations[annotationRevision] == s.Deployment.Annotations[annotationRevision]
	n := Node{Kind: set.Kind, Name: set.Name, Verdict: Good, State: fmt.Sprintf("%d of %d Pods are ready", set.Status.ReadyReplicas, want)}
	n.Kind = replicaSetKind.Kind
	switch {
	case !current:
		n.State = "old: " + n.State
		n.Verdict = Waits
	case set.Status.ReadyReplicas < want:
		n.Verdict = Waits
	}
	for _, c := range set.Status.Conditions {
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			n.Verdict = Bad
			n.Details = append(n.Details, firstLine(c.Reason+": "+c.Message))
		}
	}
	for _, p := range s.Pods {
		if metav1.IsControlledBy(p, set) {
			n.Children = append(n.Children, pod(p, now))
		}
	}
	return n, want > 0 || set.Status.Replicas > 0 || len(n.Children) > 0 || n.Verdict == Bad
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}

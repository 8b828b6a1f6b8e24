// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
)

// Restarts of all containers of a Pod.
func Restarts(p *corev1.Pod) (n int32) {
	for _, c := range statuses(p) {
		n += c.RestartCount
	}
	return n
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses)
}

// pod says how a Pod is, why it waits, and what the last container to end said.
func pod(p *corev1.Pod, now time.Time) Node {
	n := Node{Kind: podKind.Kind, Name: p.Name}
	n.Verdict, n.State = podState(p, now)
	parts := []string{n.State}
	if restarts := Restarts(p); restarts > 0 {
		parts = append(parts, fmt.Sprintf("%d restarts", restarts))
	}
	n.State = strings.Join(append(parts, present.Span(now.Sub(p.CreationTimestamp.Time))+" old"), ", ")
	for _, c := range statuses(p) {
		n.Details = append(n.Details, container(c, now)...)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			n.Details = append(n.Details, firstLine(c.Reason+": "+c.Message))
		}
	}
	if p.Spec.NodeName != "" {
		n.Wide = append(n.Wide, fmt.Sprintf("on %s, address %s", p.Spec.NodeName, p.Status.PodIP))
	}
	for _, c := range p.Spec.Containers {
		n.Wide = append(n.Wide, fmt.Sprintf("%s runs %s", c.Name, c.Image))
	}
	return n
}

func podState(p *corev1.Pod, now time.Time) (Verdict, string) {
	ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case p.DeletionTimestamp != nil:
		// The time is that at which it is killed at the latest.
		if left := p.DeletionTimestamp.Sub(now); left > 0 {
			return Waits, "is ending, at most " + present.Span(left) + " more"
		}
		return Bad, "should have ended " + present.Span(now.Sub(p.DeletionTimestamp.Time)) + " ago"
	case p.Status.Phase == corev1.PodFailed:
		return Bad, firstLine(strings.TrimSuffix("Failed: "+p.Status.Reason+" "+p.Status.Message, " "))
	case ready:
		return Good, "ready"
	}
	for _, c := range statuses(p) {
		if w := c.State.Waiting; w != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, w.Reason) {
			return Bad, w.Reason
		}
	}
	return Waits, fmt.Sprintf("%s, not ready", p.Status.Phase)
}

// container says why a container waits and how it ended last; nothing of one that runs
// and never ended.
func container(c corev1.ContainerStatus, now time.Time) (lines []string) {
	if w := c.State.Waiting; w != nil && w.Message != "" {
		lines = append(lines, fmt.Sprintf("%s waits: %s", c.Name, firstLine(w.Reason+": "+w.Message)))
	}
	ended := c.State.Terminated
	if ended == nil {
		ended = c.LastTerminationState.Terminated
	}
	if ended == nil {
		return lines
	}
	line := fmt.Sprintf("%s ended %s ago: %s, exit code %d", c.Name, present.Span(now.Sub(ended.FinishedAt.Time)), ended.Reason, ended.ExitCode)
	if said := firstLine(ended.Message); said != "" {
		line += ": " + said
	}
	return append(lines, line)
}

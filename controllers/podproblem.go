// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// problem is what keeps a Pod from being ready.
type problem struct {
	rank rank
	// what it is, such as "container connector: CrashLoopBackOff".
	what string
	// detail is what was said of it, in one line.
	detail string
	// ledgerFault is true when the detail is the connector's word on its ledger.
	ledgerFault bool
}

// rank orders problems: what somebody has to mend before what may pass.
type rank int

const (
	rankCrash rank = iota
	rankConfig
	rankImage
	rankSchedule
	rankNotReady
	rankFailed
)

func (p problem) String() string {
	if p.detail == "" {
		return p.what
	}
	return p.what + ": " + p.detail
}

// patience is how long a container may run before it is a problem that it is not ready.
const patience = 30 * time.Second

// problemOf says what keeps a Pod from being ready; nothing while it may just need time.
func problemOf(pod *corev1.Pod, now time.Time) (problem, bool) {
	if podIs(pod, corev1.PodReady, corev1.ConditionTrue) || pod.Status.Phase == corev1.PodSucceeded {
		return problem{}, false
	}
	if pod.Status.Phase == corev1.PodFailed {
		// Its message counts bytes; and another Pod takes its place.
		return problem{rank: rankFailed, what: "a Pod failed", detail: pod.Status.Reason}, true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason != "" {
			return problem{rank: rankSchedule, what: c.Reason, detail: unschedulable(c.Message, pod)}, true
		}
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if p, ok := containerProblem(pod, c, now); ok {
			return p, true
		}
	}
	return problem{}, false
}

func podIs(pod *corev1.Pod, t corev1.PodConditionType, status corev1.ConditionStatus) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t && c.Status == status })
}

// isCreating says that a Pod has a node and its containers are not there yet.
func isCreating(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending && podIs(pod, corev1.PodScheduled, corev1.ConditionTrue)
}

// containerProblem is the problem of one container. One that ended is the same problem
// in each state that it goes through after that: ended, waiting for its next try, and
// running until it ends again.
func containerProblem(pod *corev1.Pod, c corev1.ContainerStatus, now time.Time) (problem, bool) {
	if c.Ready {
		return problem{}, false
	}
	name := "container " + c.Name + ": "
	waiting := ""
	if c.State.Waiting != nil {
		waiting = c.State.Waiting.Reason
	}
	if isImageProblem(waiting) {
		return problem{rank: rankImage, what: name + imageReason(waiting) + ": image " + c.Image, detail: imageDetail(c.State.Waiting.Message)}, true
	}
	ended := c.LastTerminationState.Terminated
	if t := c.State.Terminated; t != nil {
		ended = t
		if t.ExitCode == 0 && isInit(pod, c.Name) {
			return problem{}, false // it is done
		}
	}
	switch {
	case waiting == "CreateContainerConfigError" || waiting == "CreateContainerError" || (waiting == "RunContainerError" && ended == nil):
		return problem{rank: rankConfig, what: name + waiting, detail: steady(c.State.Waiting.Message, pod)}, true
	case ended != nil:
		return crash(pod, c.Name, ended), true
	case c.State.Running != nil && now.Sub(c.State.Running.StartedAt.Time) >= patience:
		return notReady(c.Name), true
	default:
		return problem{}, false
	}
}

func isInit(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(pod.Status.InitContainerStatuses, func(c corev1.ContainerStatus) bool { return c.Name == container })
}

func notReady(container string) problem {
	p := problem{rank: rankNotReady, what: "container " + container + ": NotReady", detail: "it runs, and its log says what it waits for"}
	if container == render.ContainerName {
		p.detail = "it runs and is not ready, as long as its ledger does not open: its log says more"
	}
	return p
}

func crash(pod *corev1.Pod, container string, ended *corev1.ContainerStateTerminated) problem {
	p := problem{rank: rankCrash, what: "container " + container + ": CrashLoopBackOff", detail: steady(lastWords(ended.Message), pod)}
	p.ledgerFault = container == render.ContainerName && strings.HasPrefix(p.detail, v1alpha1.LedgerFault)
	switch {
	case p.ledgerFault && ended.ExitCode == v1alpha1.ExitLedgerAway:
		// It ended to say so, and goes on trying.
		p.rank, p.what, p.detail = rankNotReady, "container "+container+": NotReady", "it waits for its database: "+p.detail
	case ended.Reason == "OOMKilled":
		p.what, p.detail = "container "+container+": OOMKilled", "it needs more memory than its limit allows"
	case p.detail == "":
		p.detail = fmt.Sprintf("it ended with exit code %d", ended.ExitCode)
	}
	return p
}

// lastWords finds the reason in what a container left at its end: a line of its own, or
// the end of its log.
func lastWords(message string) string {
	lines := strings.Split(strings.TrimSpace(message), "\n")
	for _, sign := range []string{"Error: ", "panic: ", "fatal error: "} {
		for _, line := range lines {
			if after, ok := strings.CutPrefix(line, sign); ok {
				return after
			}
		}
	}
	last := lines[len(lines)-1]
	var entry struct{ Msg, Error string }
	if json.Unmarshal([]byte(last), &entry) == nil && entry.Msg != "" {
		last = strings.TrimSuffix(entry.Msg+": "+entry.Error, ": ")
	}
	return last
}

func isImageProblem(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		return true
	}
	return false
}

// imageReason is one word for a pull that fails and for the pause until the next.
func imageReason(reason string) string {
	if reason == "ErrImagePull" {
		return "ImagePullBackOff"
	}
	return reason
}

// pullFaults are the answers of registries, as their runtimes word them. The wording as a
// whole changes from try to try: ports, addresses, times.
var pullFaults = []struct{ sign, means string }{
	{"not found", "the registry does not have it"},
	{"manifest unknown", "the registry does not have it"},
	{"no such host", "the registry's name is not known"},
	{"unauthorized", "the registry refuses it: see spec.workload.imagePullSecrets"},
	{"authorization failed", "the registry refuses it: see spec.workload.imagePullSecrets"},
	{"denied", "the registry refuses it: see spec.workload.imagePullSecrets"},
	{"forbidden", "the registry refuses it: see spec.workload.imagePullSecrets"},
	{"toomanyrequests", "the registry limits how often it is asked"},
	{"x509", "the registry's certificate is not trusted"},
	{"no match for platform", "it is not made for the node's architecture"},
	{"connection refused", "the registry does not answer"},
	{"timeout", "the registry does not answer"},
	{"deadline exceeded", "the registry does not answer"},
	{"no route to host", "the registry does not answer"},
}

func imageDetail(message string) string {
	said := strings.ToLower(message)
	for _, f := range pullFaults {
		if strings.Contains(said, f.sign) {
			return f.means
		}
	}
	return ""
}

// saidBefore is the detail that a condition gave before for the same problem: kubelets say it
// at a try and not in the pause between two.
func saidBefore(conditions []metav1.Condition, what string) string {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil || what == "" {
		return ""
	}
	_, detail, _ := strings.Cut(ready.Message, what+": ")
	return detail
}

var nodes = regexp.MustCompile(`^\d+/\d+ nodes are available: `)

// unschedulable lists the reasons of a scheduler, without how many nodes have each. They
// are its first sentence; the others say what evicting Pods would not help.
func unschedulable(message string, pod *corev1.Pod) string {
	message, _, _ = strings.Cut(message, " preemption: ")
	prefix := nodes.FindString(message)
	if prefix == "" {
		return steady(message, pod)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(message[len(prefix):]), ". ")
	var reasons []string
	for _, reason := range strings.Split(strings.TrimRight(first, ".,"), ", ") {
		reasons = append(reasons, strings.TrimLeft(reason, "0123456789 "))
	}
	slices.Sort(reasons)
	return steady("no node fits: "+strings.Join(slices.Compact(reasons), "; "), pod)
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// Verdict of a part.
type Verdict string

// Verdicts.
const (
	// Good: as it should be.
	Good Verdict = "ok"
	// Waits: on its way, nothing to do yet.
	Waits Verdict = "waits"
	// Bad: it will not become good by itself, or should not be so.
	Bad Verdict = "bad"
	// Unknown: it could not be read, or nobody has said.
	Unknown Verdict = "unknown"
)

// Node is one object of a brand.
type Node struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// State in a sentence.
	State string `json:"state"`
	// Details are lines under it: conditions, the last words of a container.
	Details []string `json:"details,omitempty"`
	// Wide are details for who asks for more.
	Wide     []string `json:"wide,omitempty"`
	Children []Node   `json:"children,omitempty"`
}

// Warning is an event, or several of the same.
type Warning struct {
	Object  string      `json:"object"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
	Count   int32       `json:"count"`
	Last    metav1.Time `json:"last"`
}

// Tree is a brand.
type Tree struct {
	Namespace string `json:"namespace"`
	Brand     string `json:"brand"`
	// Ready is true when the operator says so of the newest generation.
	Ready bool `json:"ready"`
	// Conditions are the brand's own, as the operator wrote them.
	Conditions []metav1.Condition `json:"conditions"`
	Root       Node               `json:"root"`
	Warnings   []Warning          `json:"warnings,omitempty"`
}

// Ready judges a brand by what the operator said of its newest generation.
func Ready(b *v1alpha1.BrandConnector) (Verdict, string) {
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case c == nil:
		return Unknown, "the operator has not looked at it: is it running, and does it watch this namespace?"
	case c.ObservedGeneration < b.Generation:
		return Waits, "the operator has not looked at the newest change yet; before: " + said(c)
	case c.Status == metav1.ConditionTrue:
		return Good, said(c)
	case meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionStalled), c.Status == metav1.ConditionFalse:
		return Bad, said(c)
	}
	return Waits, said(c)
}

func said(c *metav1.Condition) string {
	if c.Message == "" {
		return c.Reason
	}
	return c.Reason + ": " + c.Message
}

// GitOps names the tool that manages a brand's object, as far as its marks tell.
func GitOps(b *v1alpha1.BrandConnector) string {
	for _, mark := range []struct {
		in        map[string]string
		key, tool string
	}{
		{b.Labels, "kustomize.toolkit.fluxcd.io/name", "Flux's Kustomization"},
		{b.Labels, "helm.toolkit.fluxcd.io/name", "Flux's HelmRelease"},
		{b.Annotations, "argocd.argoproj.io/tracking-id", "Argo CD's Application"},
		{b.Labels, "argocd.argoproj.io/instance", "Argo CD's Application"},
		{b.Annotations, "meta.helm.sh/release-name", "Helm's release"},
	} {
		if name, is := mark.in[mark.key]; is {
			name, _, _ = strings.Cut(name, ":")
			return fmt.Sprintf("%s %s", mark.tool, name)
		}
	}
	return ""
}

// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// summary gathers what is not as it should be.
type summary struct {
	brands   []string
	problems []string
	warnings []string
	images   []string
}

// maxWarnings bounds the warning events that the summary repeats.
const maxWarnings = 50

func (s *summary) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// brand says how a brand is.
func (s *summary) brand(b brand) {
	if b.object == nil {
		s.brands = append(s.brands, b.String()+": not read")
		return
	}
	ready := "Ready is not set: the operator has not looked at it"
	for _, c := range conditions(b.object) {
		text := fmt.Sprintf("%s=%s (%s): %s", c["type"], c["status"], c["reason"], c["message"])
		switch {
		case c["type"] == "Ready":
			ready = text
			if c["status"] != "True" {
				s.problem("BrandConnector %s: %s", b, text)
			}
		case bad(c):
			s.problem("BrandConnector %s: %s", b, text)
		}
	}
	suspended, _, _ := unstructured.NestedBool(b.object, "spec", "suspend")
	if suspended {
		ready += "; suspended"
	}
	s.brands = append(s.brands, b.String()+": "+ready)
}

// worseWhenTrue are conditions that say that something is wrong.
var worseWhenTrue = []string{"Stalled", "Reconciling", "Suspended", "ReplicaFailure", "Failed", "FailureTarget", "DisruptionTarget"}

func bad(c map[string]any) bool {
	name, _ := c["type"].(string)
	if slices.Contains(worseWhenTrue, name) {
		return c["status"] == "True"
	}
	return c["status"] != "True"
}

func conditions(o map[string]any) (all []map[string]any) {
	list, _, _ := unstructured.NestedSlice(o, "status", "conditions")
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			all = append(all, c)
		}
	}
	return all
}

// object looks for trouble in what is not a brand.
func (s *summary) object(kind string, o map[string]any) {
	u := unstructured.Unstructured{Object: o}
	name := kind + " " + strings.TrimPrefix(u.GetNamespace()+"/"+u.GetName(), "/")
	switch u.GetKind() {
	case "Deployment", "Pod", "Job", "HorizontalPodAutoscaler", "ConnectorClass":
		for _, c := range conditions(o) {
			if trouble(u.GetKind(), c, o) {
				s.problem("%s: %s=%s (%s): %s", name, c["type"], c["status"], c["reason"], c["message"])
			}
		}
	case "PersistentVolumeClaim":
		if phase, _, _ := unstructured.NestedString(o, "status", "phase"); phase != "Bound" {
			s.problem("%s: phase %s", name, phase)
		}
	}
	if u.GetKind() == "Pod" {
		s.containers(name, o)
	}
}

// trouble leaves out what is bad in general and fine for this kind.
func trouble(kind string, c, o map[string]any) bool {
	switch {
	case kind == "Job" && (c["type"] == "Complete" || c["type"] == "SuccessCriteriaMet"):
		return false
	case kind == "Pod" && c["reason"] == "PodCompleted":
		return false
	case kind == "HorizontalPodAutoscaler" && c["type"] == "ScalingLimited":
		return false
	case kind == "Pod":
		if phase, _, _ := unstructured.NestedString(o, "status", "phase"); phase == "Succeeded" {
			return false
		}
	}
	return bad(c)
}

func (s *summary) containers(name string, o map[string]any) {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _, _ := unstructured.NestedSlice(o, "status", field)
		for _, item := range list {
			c, _ := item.(map[string]any)
			image, _ := c["imageID"].(string)
			if image == "" {
				image, _ = c["image"].(string)
			}
			s.images = append(s.images, image)
			for _, at := range []string{"state", "lastState"} {
				for kind, why := range mapAt(c, at) {
					w, _ := why.(map[string]any)
					if kind == "running" || w["reason"] == "Completed" {
						continue
					}
					text := fmt.Sprintf("%s, container %v: %s %s", name, c["name"], at, kind)
					for _, field := range []string{"reason", "message", "exitCode"} {
						if v, has := w[field]; has {
							text += fmt.Sprintf(", %s %v", field, v)
						}
					}
					s.problems = append(s.problems, text)
				}
			}
		}
	}
}

func mapAt(o map[string]any, field string) map[string]any {
	m, _ := o[field].(map[string]any)
	return m
}

// event keeps a warning.
func (s *summary) event(e map[string]any) {
	if e["type"] != "Warning" {
		return
	}
	kind, _, _ := unstructured.NestedString(e, "involvedObject", "kind")
	name, _, _ := unstructured.NestedString(e, "involvedObject", "name")
	s.warnings = append(s.warnings, fmt.Sprintf("%s %s %s: %v: %v", lastSeen(e).UTC().Format("2006-01-02T15:04:05Z"), kind, name, e["reason"], e["message"]))
}

// text is summary.txt.
func (s *summary) text(m *Manifest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Hexiao support bundle, %s\nplugin %s, API server %s\n", m.CreatedAt.Format("2006-01-02 15:04:05 MST"), m.Plugin, m.Server)
	section := func(title string, lines []string, none string) {
		fmt.Fprintf(&b, "\n%s\n", title)
		if len(lines) == 0 {
			lines = []string{none}
		}
		for _, l := range lines {
			b.WriteString("  " + strings.ReplaceAll(l, "\n", " ") + "\n")
		}
	}
	section("BRANDS", s.brands, "none")
	section("NOT AS IT SHOULD BE", s.problems, "nothing that the objects' conditions know of")
	section("WARNINGS, NEWEST LAST", s.warnings[max(0, len(s.warnings)-maxWarnings):], "none")
	refused := make([]string, len(m.Refused))
	for i, r := range m.Refused {
		refused[i] = fmt.Sprintf("%s: %s: %s", r.What, r.Reason, r.Message)
	}
	section("NOT COLLECTED", refused, "everything was")
	section("REDACTION", redaction(m.Redaction), "")
	return b.String()
}

func redaction(r Redaction) []string {
	lines := []string{fmt.Sprintf("%d Secrets were read, and their values are masked wherever they stand.", r.Secrets)}
	if len(r.NotLookedFor) > 0 {
		lines = append(lines, "Too short to be looked for: "+strings.Join(r.NotLookedFor, ", "))
	}
	if len(r.NotRead) > 0 {
		lines = append(lines, "LOOK THE BUNDLE OVER BEFORE YOU HAND IT ON: these Secrets could not be read, so that their values are masked only where they look like secrets: "+strings.Join(r.NotRead, ", "))
	}
	return lines
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// maxDetail bounds what is repeated of somebody else's words, in characters.
const maxDetail = 400

// What changes from try to try although nothing new is the matter.
var passing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?`), "(time)"},
	// The near end of a connection has a port of its own each time.
	{regexp.MustCompile(`\S+:\d+->`), ""},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "(id)"},
	{regexp.MustCompile(`\b(0x[0-9a-f]+|[0-9a-f]{32,})\b`), "(id)"},
	{regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s|m\d+(\.\d+)?s|h\d+m\d+(\.\d+)?s)\b`), "(time)"},
	// A quota's refusal says how much is in use just now.
	{regexp.MustCompile(`, used: .*?, limited: `), ", limited: "},
}

// steady makes one line of what was said of a Pod that is the same when the same is said
// again, of the same Pod or of the next.
func steady(text string, pod *corev1.Pod) string {
	text = firstLine(strings.TrimSpace(text))
	if pod != nil {
		own := []string{}
		for _, name := range append([]string{pod.Name, string(pod.UID), pod.Status.PodIP}, ips(pod)...) {
			if name != "" {
				own = append(own, name, "(pod)")
			}
		}
		if pod.Spec.NodeName != "" {
			own = append(own, pod.Spec.NodeName, "(node)")
		}
		text = strings.NewReplacer(own...).Replace(text)
	}
	for _, p := range passing {
		text = p.pattern.ReplaceAllString(text, p.instead)
	}
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, ""))
	return shortened(text)
}

// shortened is a text of maxDetail characters at most, cut behind a whole sentence, reason
// or word where there is one.
func shortened(text string) string {
	runes := []rune(text)
	if len(runes) <= maxDetail {
		return text
	}
	text = string(runes[:maxDetail-2])
	for _, end := range []string{". ", "; ", " "} {
		if at := strings.LastIndex(text, end); at > len(text)/2 {
			return text[:at] + " …"
		}
	}
	return text + "…"
}

func ips(pod *corev1.Pod) []string {
	var all []string
	for _, ip := range pod.Status.PodIPs {
		all = append(all, ip.IP)
	}
	return all
}

// withoutPodNames leaves out the names that a Deployment's Pods are given.
func withoutPodNames(text, deployment string) string {
	return regexp.MustCompile(`"?`+regexp.QuoteMeta(deployment)+`-[a-z0-9]{6,10}-[a-z0-9]{5}"?`).ReplaceAllString(text, "(pod)")
}

const mask = "[redacted]"

// exampleUserInfo is in the connector's example of a DSN, which is of use as a whole.
var exampleUserInfo = userInfo.FindString(v1alpha1.ExampleDSN)

var (
	userInfo    = regexp.MustCompile(`://\S*@`)
	namedSecret = regexp.MustCompile(`(?i)\b([a-z_]*(?:password|passwd|pwd|token|secret|key))=[^\s&]+`)
)

// minSecret is how long a value has to be so that it is looked for in a text: shorter
// ones stand in any.
const minSecret = 6

// redacted is a text without what the brand's Secrets hold. The connector leaves it out
// of its words itself; this is for everything else that may have ended in a Pod's status.
func redacted(values []render.Value, text string) string {
	var secrets []string
	for _, v := range values {
		if v.Source != render.SourceSecret {
			continue
		}
		value := strings.TrimSpace(string(v.Bytes))
		secrets = append(secrets, value)
		if u, err := url.Parse(value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, password, url.QueryEscape(password), url.PathEscape(password))
		}
	}
	// The longest first: one may be a part of another.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			pairs = append(pairs, s, mask)
		}
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	text = userInfo.ReplaceAllStringFunc(text, func(found string) string {
		if found == exampleUserInfo {
			return found
		}
		return "://" + mask + "@"
	})
	return namedSecret.ReplaceAllString(text, "$1="+mask)
}

// scrub takes what the brand's Secrets hold out of a Pod's status.
func scrub(status *corev1.PodStatus, values []render.Value) {
	for i := range status.Conditions {
		status.Conditions[i].Message = redacted(values, status.Conditions[i].Message)
	}
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			for _, state := range []*corev1.ContainerState{&list[i].State, &list[i].LastTerminationState} {
				if state.Waiting != nil {
					state.Waiting.Message = redacted(values, state.Waiting.Message)
				}
				if state.Terminated != nil {
					state.Terminated.Message = redacted(values, state.Terminated.Message)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Of events, those are shown that are recent, and the newest of them.
const (
	recent     = time.Hour
	mostEvents = 10
)

// warnings are the recent warnings of the brand and of what belongs to it, the newest
// first, those of one object and reason together.
func (s *Snapshot) warnings(now time.Time) []Warning {
	type key struct{ object, reason string }
	found := map[key]*Warning{}
	uids := s.uids()
	for _, e := range s.Events {
		at := last(e)
		if e.Type != corev1.EventTypeWarning || !s.concerns(e) || now.Sub(at.Time) > recent || s.earlier(e, uids) {
			continue
		}
		k := key{e.InvolvedObject.Kind + " " + e.InvolvedObject.Name, e.Reason}
		w := found[k]
		if w == nil {
			w = &Warning{Object: k.object, Reason: e.Reason}
			found[k] = w
		}
		w.Count += times(e)
		if w.Last.Before(&at) {
			w.Last, w.Message = at, firstLine(e.Message)
		}
	}
	var out []Warning
	for _, w := range found {
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b Warning) int {
		return cmp.Or(b.Last.Compare(a.Last.Time), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Reason, b.Reason))
	})
	return out[:min(len(out), mostEvents)]
}

// earlier are the events of a brand that was deleted and made anew, and of what had the
// name of one of its parts before.
func (s *Snapshot) earlier(e *corev1.Event, uids map[string]types.UID) bool {
	at, about := last(e), e.InvolvedObject
	if at.Before(&s.Brand.CreationTimestamp) {
		return true
	}
	uid, there := uids[about.Kind+" "+about.Name]
	return there && about.UID != "" && about.UID != uid
}

// uids are those of the parts that are there, by kind and name.
func (s *Snapshot) uids() map[string]types.UID {
	known := map[string]types.UID{v1alpha1.KindBrandConnector + " " + s.Brand.Name: s.Brand.UID}
	if s.Deployment != nil {
		known[render.DeploymentKind.Kind+" "+s.Deployment.Name] = s.Deployment.UID
	}
	if s.Claim != nil {
		known[render.ClaimKind.Kind+" "+s.Claim.Name] = s.Claim.UID
	}
	for _, set := range s.Sets {
		known[replicaSetKind.Kind+" "+set.Name] = set.UID
	}
	for _, p := range s.Pods {
		known[podKind.Kind+" "+p.Name] = p.UID
	}
	return known
}

// concerns goes by name: of a Pod that is gone there is only the event. The names of all
// parts begin with the brand's, and so may the name of another brand.
func (s *Snapshot) concerns(e *corev1.Event) bool {
	kind, name := e.InvolvedObject.Kind, e.InvolvedObject.Name
	if name == s.Brand.Name {
		return true
	}
	rest, is := strings.CutPrefix(name, s.Brand.Name+"-")
	if !is || kind == v1alpha1.KindBrandConnector {
		return false
	}
	for _, own := range []string{"ledger", "reconciliation", "retention"} {
		if rest == own || strings.HasPrefix(rest, own+"-") {
			return true
		}
	}
	// A ReplicaSet has one generated word behind the brand's name, and its Pods have two;
	// those of a brand with a longer name have more.
	words := strings.Count(rest, "-") + 1
	return kind == replicaSetKind.Kind && words == 1 || kind == podKind.Kind && words == 2
}

func last(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.NewTime(e.Series.LastObservedTime.Time)
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	case !e.EventTime.IsZero():
		return metav1.NewTime(e.EventTime.Time)
	}
	return e.CreationTimestamp
}

func times(e *corev1.Event) int32 {
	if e.Series != nil {
		return max(e.Series.Count, 1)
	}
	return max(e.Count, 1)
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

func (s *Snapshot) service(time.Time) *Node {
	n := &Node{Kind: render.ServiceKind.Kind, Name: s.Brand.Name, Verdict: Bad, State: "is not there"}
	switch {
	case s.hidden(n.Kind):
		return nil // it is said at the root
	case s.Service == nil:
		return n
	case s.hidden(endpointSliceKind.Kind):
		n.Verdict, n.State = Unknown, "is there; you may not read its endpoints"
		return n
	}
	ready, total := 0, 0
	for _, slice := range s.Endpoints {
		for _, e := range slice.Endpoints {
			total++
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
	}
	n.Verdict, n.State = Good, fmt.Sprintf("%d of %d endpoints are ready", ready, total)
	if ready == 0 {
		n.Verdict, n.State = Bad, "has no ready endpoint: the till gets no answer"
	}
	return n
}

func (s *Snapshot) autoscaler(time.Time) *Node {
	a := s.Autoscaler
	if a == nil {
		return nil
	}
	least := int32(1)
	if a.Spec.MinReplicas != nil {
		least = *a.Spec.MinReplicas
	}
	n := &Node{Kind: render.AutoscalerKind.Kind, Name: a.Name, Verdict: Good,
		State: fmt.Sprintf("%d Pods, %d wanted, between %d and %d", a.Status.CurrentReplicas, a.Status.DesiredReplicas, least, a.Spec.MaxReplicas)}
	for _, c := range a.Status.Conditions {
		bad := c.Status == corev1.ConditionFalse && (c.Type == "AbleToScale" || c.Type == "ScalingActive")
		if bad {
			n.Verdict = Bad
			n.Details = append(n.Details, fmt.Sprintf("%s: %s", c.Reason, firstLine(c.Message)))
		}
		if c.Type == "ScalingLimited" && c.Status == corev1.ConditionTrue && c.Reason == "TooManyReplicas" {
			n.Details = append(n.Details, "it wants more Pods than maxReplicas allows")
		}
	}
	return n
}

func (s *Snapshot) budget(time.Time) *Node {
	b := s.Budget
	if b == nil {
		return nil
	}
	n := &Node{Kind: render.BudgetKind.Kind, Name: b.Name, Verdict: Good,
		State: fmt.Sprintf("%d of %d Pods may be evicted now", b.Status.DisruptionsAllowed, b.Status.ExpectedPods)}
	if b.Status.ObservedGeneration < b.Generation {
		n.Verdict, n.State = Waits, "Kubernetes has not looked at it yet"
	} else if b.Status.DisruptionsAllowed == 0 && b.Status.ExpectedPods > 0 {
		n.Verdict, n.State = Waits, n.State+": a drain of a node waits"
	}
	return n
}

func (s *Snapshot) ingress(time.Time) *Node {
	i := s.Ingress
	if i == nil {
		return nil
	}
	n := &Node{Kind: render.IngressKind.Kind, Name: i.Name, Verdict: Waits, State: "no controller has given it an address yet"}
	var at []string
	for _, a := range i.Status.LoadBalancer.Ingress {
		at = append(at, strings.Trim(a.Hostname+" "+a.IP, " "))
	}
	if len(at) > 0 {
		n.Verdict, n.State = Good, "served at "+strings.Join(at, ", ")
	} else if class := i.Spec.IngressClassName; class != nil && s.IngressClass == nil && !s.hidden(ingressClassKind.Kind) {
		n.Verdict, n.State = Bad, "there is no IngressClass "+*class+", so no controller serves it"
	}
	return n
}

func (s *Snapshot) route(time.Time) *Node {
	r := s.Route
	if r == nil {
		return nil
	}
	n := &Node{Kind: render.HTTPRouteKind.Kind, Name: r.Name, Verdict: Good}
	var accepted []string
	for _, p := range r.Status.Parents {
		name := string(p.ParentRef.Name)
		if ns := p.ParentRef.Namespace; ns != nil {
			name = string(*ns) + "/" + name
		}
		if v, why := parent(p.Conditions, r.Generation); v != Good {
			n.Verdict = v
			n.Details = append(n.Details, "Gateway "+name+": "+why)
			continue
		}
		accepted = append(accepted, name)
	}
	switch {
	case len(r.Status.Parents) == 0:
		n.Verdict, n.State = Waits, "no Gateway has answered yet"
	case len(accepted) > 0:
		n.State = "accepted by " + strings.Join(accepted, ", ")
	default:
		n.State = "not accepted"
	}
	return n
}

func parent(conditions []metav1.Condition, generation int64) (Verdict, string) {
	for _, t := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		c := meta.FindStatusCondition(conditions, string(t))
		switch {
		case c == nil || c.ObservedGeneration < generation:
			return Waits, "has not looked at the newest generation yet"
		case c.Status != metav1.ConditionTrue:
			return Bad, fmt.Sprintf("%s is %s: %s", t, c.Status, said(c))
		}
	}
	return Good, ""
}

func (s *Snapshot) claim(time.Time) *Node {
	c := s.Claim
	if c == nil {
		return nil
	}
	n := &Node{Kind: render.ClaimKind.Kind, Name: c.Name, Verdict: Good, State: string(c.Status.Phase)}
	if size, is := c.Status.Capacity[corev1.ResourceStorage]; is {
		n.State += ", " + size.String()
	}
	switch c.Status.Phase {
	case corev1.ClaimBound:
	case corev1.ClaimLost:
		n.Verdict, n.State = Bad, "Lost: the volume with the ledger is gone"
	default:
		n.Verdict = Waits
	}
	if s.Brand.Spec.Ledger.Embedded == nil && c.Labels[render.LabelRetained] == "true" {
		n.Details = append(n.Details, "the brand does not use it")
	}
	return n
}

func withCronJobs(n Node, s *Snapshot, now time.Time) Node {
	for _, c := range s.CronJobs {
		n.Children = append(n.Children, cronJob(c, now))
	}
	return n
}

// cronJob judges by its last run: a CronJob has no condition, but it knows when a run
// began last and when one succeeded last.
func cronJob(c *batchv1.CronJob, now time.Time) Node {
	n := Node{Kind: render.CronJobKind.Kind, Name: c.Name, Verdict: Good, Wide: []string{"schedule " + c.Spec.Schedule}}
	last, good := c.Status.LastScheduleTime, c.Status.LastSuccessfulTime
	ago := func(t *metav1.Time) string { return present.Span(now.Sub(t.Time)) + " ago" }
	switch {
	case last == nil:
		n.Verdict, n.State = Waits, "has not run yet"
	case len(c.Status.Active) > 0:
		n.Verdict, n.State = Waits, "runs since "+present.Span(now.Sub(last.Time))
	case good != nil && !good.Before(last):
		n.State = "ran " + ago(last) + " and succeeded"
	default:
		n.Verdict, n.State = Bad, "ran "+ago(last)+" and did not succeed"
		if good != nil {
			n.State += "; the last success was " + ago(good)
		}
	}
	if c.Spec.Suspend != nil && *c.Spec.Suspend {
		n.Details = append(n.Details, "it is suspended and does not run")
	}
	return n
}

// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// Line is a brand in a list.
type Line struct {
	Namespace string      `json:"namespace"`
	Brand     string      `json:"brand"`
	Ready     bool        `json:"ready"`
	Verdict   Verdict     `json:"verdict"`
	Reason    string      `json:"reason"`
	Message   string      `json:"message,omitempty"`
	Created   metav1.Time `json:"created"`
	// BrandID at Keruyun.
	BrandID string `json:"brandId,omitempty"`
	// Replicas is status.replicas, as kubectl get shows it.
	Replicas int32 `json:"replicas"`
	// Restarts of all Pods; absent when the caller may not read Pods.
	Restarts *int32 `json:"restarts,omitempty"`
	// Conditions are the brand's own, as the operator wrote them.
	Conditions []metav1.Condition `json:"conditions"`
	// UpToDate is the reason of the condition of that name.
	UpToDate string `json:"upToDate,omitempty"`
	Class    string `json:"class,omitempty"`
	Image    string `json:"image,omitempty"`
	Revision string `json:"revision,omitempty"`
}

// Pods are the connectors' of a namespace, or of all; nil when they may not be read.
func Pods(ctx context.Context, c *live.Cluster, namespace string) ([]*corev1.Pod, error) {
	list, err := c.List(ctx, podKind, namespace, metav1.ListOptions{LabelSelector: render.LabelName + "=" + render.AppName})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	pods := make([]*corev1.Pod, len(list))
	for i := range list {
		if pods[i], err = live.As[corev1.Pod](&list[i]); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

// Lines makes a line for each brand. No pods at all means that they may not be read.
func Lines(brands []*v1alpha1.BrandConnector, pods []*corev1.Pod) []Line {
	restarts := map[string]int32{}
	for _, p := range pods {
		restarts[p.Namespace+"/"+p.Labels[render.LabelInstance]] += Restarts(p)
	}
	lines := make([]Line, 0, len(brands))
	for _, b := range brands {
		l := line(b)
		if pods != nil {
			l.Restarts = new(restarts[b.Namespace+"/"+b.Name])
		}
		lines = append(lines, l)
	}
	return lines
}

func line(b *v1alpha1.BrandConnector) Line {
	l := Line{Namespace: b.Namespace, Brand: b.Name, Created: b.CreationTimestamp, Class: b.Spec.ConnectorClassName,
		Image: b.Status.Image, Revision: b.Status.ConfigRevision,
		BrandID: b.Spec.BrandID, Replicas: b.Status.Replicas, Conditions: append([]metav1.Condition{}, b.Status.Conditions...)}
	l.Verdict, l.Message = Ready(b)
	l.Ready = l.Verdict == Good
	l.Reason = "NotObserved"
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		if c.ObservedGeneration >= b.Generation {
			l.Reason, l.Message = c.Reason, c.Message
		}
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionUpToDate); c != nil {
		l.UpToDate = c.Reason
	}
	return l
}

// WriteLines prints a table for a person, with the columns of kubectl get where it has
// the same.
func WriteLines(w io.Writer, lines []Line, namespaces, wide bool, now time.Time) error {
	header := []string{"NAME", "BRAND", "READY", "REASON", "REPLICAS", "RESTARTS", "AGE"}
	if wide {
		header = append(header, "UP TO DATE", "CLASS", "IMAGE", "REVISION", "MESSAGE")
	}
	if namespaces {
		header = append([]string{"NAMESPACE"}, header...)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, l := range lines {
		if _, err := fmt.Fprintln(tw, strings.Join(l.cells(namespaces, wide, now), "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func (l Line) cells(namespaces, wide bool, now time.Time) []string {
	// What the operator said of an older generation is not known of this one.
	ready := map[Verdict]metav1.ConditionStatus{Good: metav1.ConditionTrue, Bad: metav1.ConditionFalse}[l.Verdict]
	cells := []string{l.Brand, l.BrandID, string(cmp.Or(ready, metav1.ConditionUnknown)), l.Reason, strconv.Itoa(int(l.Replicas)), number(l.Restarts), present.Span(now.Sub(l.Created.Time))}
	if wide {
		cells = append(cells, l.UpToDate, l.Class, l.Image, l.Revision, l.Message)
	}
	if namespaces {
		cells = append([]string{l.Namespace}, cells...)
	}
	for i, c := range cells {
		if cells[i] = present.Clean(c); c == "" {
			cells[i] = "-"
		}
	}
	return cells
}

func number(n *int32) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

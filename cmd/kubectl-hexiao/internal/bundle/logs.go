// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxLog bounds a log, in bytes: the end is what matters.
const maxLog = 8 << 20

// logs collects the last lines of each container, and of the one before it when it was
// restarted.
func (r *run) logs(ctx context.Context, dir string, pods []corev1.Pod) error {
	for i := range pods {
		p := &pods[i]
		restarts := map[string]int32{}
		for _, s := range append(append([]corev1.ContainerStatus{}, p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...) {
			restarts[s.Name] = s.RestartCount
		}
		for _, c := range append(append([]corev1.Container{}, p.Spec.InitContainers...), p.Spec.Containers...) {
			for _, previous := range []bool{false, true} {
				if previous && restarts[c.Name] == 0 {
					continue
				}
				if err := r.log(ctx, dir, p, c.Name, previous); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *run) log(ctx context.Context, dir string, p *corev1.Pod, container string, previous bool) error {
	r.Progress("log of " + p.Name)
	options := &corev1.PodLogOptions{Container: container, Previous: previous, Timestamps: true}
	if r.order.Tail > 0 {
		options.TailLines = &r.order.Tail
	}
	if r.order.Since > 0 {
		seconds := int64(r.order.Since / time.Second)
		options.SinceSeconds = &seconds
	}
	name := p.Name + "." + container
	if previous {
		name += ".previous"
	}
	text, err := r.read(ctx, p, options)
	if err != nil {
		r.refuse("log "+name, err)
		return nil
	}
	return r.text(dir+"/logs/"+name+".log", "log", strings.Count(text, "\n"), text)
}

// read reads the log to its end. Of one that is too long the end is kept, because
// limitBytes would keep the beginning.
func (r *run) read(ctx context.Context, p *corev1.Pod, options *corev1.PodLogOptions) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stream, err := r.Core.Pods(p.Namespace).GetLogs(p.Name, options).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	var kept []byte
	cut := false
	buffer := make([]byte, 64<<10)
	for {
		n, err := stream.Read(buffer)
		kept = append(kept, buffer[:n]...)
		if len(kept) > 2*maxLog {
			kept, cut = append([]byte{}, kept[len(kept)-maxLog:]...), true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if len(kept) > maxLog {
		kept, cut = kept[len(kept)-maxLog:], true
	}
	text := string(kept)
	if cut { // within a line, and so perhaps within a secret
		_, text, _ = strings.Cut(text, "\n")
		text = fmt.Sprintf("# the beginning was cut off: more than %d MiB\n%s", maxLog>>20, text)
	}
	return text, nil
}

// lastSeen is when an event was seen last.
func lastSeen(e map[string]any) time.Time {
	for _, field := range [][]string{{"series", "lastObservedTime"}, {"lastTimestamp"}, {"eventTime"}, {"metadata", "creationTimestamp"}} {
		text, _, _ := unstructured.NestedString(e, field...)
		if t, err := time.Parse(metav1.RFC3339Micro, text); err == nil {
			return t
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

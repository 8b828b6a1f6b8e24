// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	slashpath "path"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

const patchField = "spec.workload.patch"

// patched lays the class's patch over the Deployment, and the brand's over that.
func (r *renderer) patched(d *appsv1ac.DeploymentApplyConfiguration) (*appsv1ac.DeploymentApplyConfiguration, error) {
	if r.class != nil {
		var err error
		if d, err = r.patch(d, r.class.Spec.Workload.Patch); err != nil {
			if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
				invalid.Field += " of ConnectorClass " + r.class.Name
			}
			return nil, err
		}
	}
	return r.patch(d, r.brand.Spec.Workload.Patch)
}

// patch lays a patch over the Deployment. What the operator counts on cannot be patched,
// and a misspelt field is an error rather than nothing.
func (r *renderer) patch(d *appsv1ac.DeploymentApplyConfiguration, given *runtime.RawExtension) (*appsv1ac.DeploymentApplyConfiguration, error) {
	if given == nil || len(given.Raw) == 0 {
		return d, nil
	}
	if err := r.checkPatch(given.Raw); err != nil {
		return nil, err
	}
	original, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("marshal the Deployment: %w", err)
	}
	merged, err := mergePatch(original, given.Raw)
	if err != nil {
		return nil, invalidPatch("it is no strategic merge patch of a Deployment: %v", err)
	}
	// The API's own type is stricter about the shapes of values, the apply
	// configuration keeps unset apart from zero: the result has to fit both.
	out := &appsv1ac.DeploymentApplyConfiguration{}
	for _, into := range []any{&appsv1.Deployment{}, out} {
		unknown, err := kjson.UnmarshalStrict(merged, into)
		if err = errors.Join(err, errors.Join(unknown...)); err != nil {
			return nil, invalidPatch("the Deployment has no such field or type: %v", err)
		}
	}
	return out, r.checkPatched(d, out)
}

// mergePatch lays a patch over a Deployment. Kubernetes' own merge panics where the key that
// names a list's element is itself a list or an object.
func mergePatch(original, patch []byte) (merged []byte, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("what names an element of a list must be a text or a number (%v)", problem)
		}
	}()
	return strategicpatch.StrategicMergePatch(original, patch, appsv1.Deployment{})
}

// checkPatch refuses to patch what has a field of its own or must not change.
func (r *renderer) checkPatch(raw []byte) error {
	var p map[string]any
	if err := json.Unmarshal(raw, &p); err != nil {
		return invalidPatch("it must be an object: %v", err)
	}
	for key := range p {
		if key != "metadata" && key != "spec" {
			return invalidPatch("%s cannot be patched: only metadata.labels, metadata.annotations and spec can", key)
		}
	}
	metadata, _ := p["metadata"].(map[string]any)
	for key := range metadata {
		if key != "labels" && key != "annotations" {
			return invalidPatch("metadata.%s cannot be patched: only metadata.labels, metadata.annotations and spec can", key)
		}
	}
	return nil
}

// checkPatched refuses a result whose Pods the operator or the Service would no
// longer find, or that has lost the connector. It judges the result, for a strategic
// merge patch has directives that remove what they do not name.
func (r *renderer) checkPatched(was, d *appsv1ac.DeploymentApplyConfiguration) error {
	if d.ObjectMetaApplyConfiguration == nil || d.Spec == nil {
		return invalidPatch("it removes metadata or spec")
	}
	if d.Spec.Template == nil || d.Spec.Template.ObjectMetaApplyConfiguration == nil || d.Spec.Template.Spec == nil {
		return invalidPatch("it removes the pod template")
	}
	template := d.Spec.Template
	switch {
	case !equality.Semantic.DeepEqual(was.Spec.Selector, d.Spec.Selector):
		return invalidPatch("spec.selector cannot be patched: it cannot change for the life of a Deployment")
	case !equality.Semantic.DeepEqual(was.Spec.Replicas, d.Spec.Replicas):
		return invalidPatch("spec.replicas cannot be patched: use spec.workload.replicas or spec.workload.autoscaling")
	case r.brand.Spec.Ledger.Embedded != nil && !equality.Semantic.DeepEqual(was.Spec.Strategy, d.Spec.Strategy):
		return invalidPatch("spec.strategy cannot be patched with the embedded ledger: two Pods must never have its file open")
	case d.Spec.Paused != nil && *d.Spec.Paused:
		return invalidPatch("spec.paused cannot be patched: a rotated credential would not reach the Pods; to leave a brand alone use spec.suspend")
	case !maps.Equal(own(was.Annotations), own(d.Annotations)) || !maps.Equal(own(was.Spec.Template.Annotations), own(template.Annotations)):
		return invalidPatch("it changes the operator's own annotations %s*: leave them out", annotationPrefix)
	}
	want := Labels(r.brand)
	for _, labels := range []map[string]string{d.Labels, template.Labels} {
		got := maps.Clone(labels)
		maps.DeleteFunc(got, func(k, _ string) bool { _, ours := want[k]; return !ours })
		if !maps.Equal(got, want) {
			return invalidPatch("it changes the operator's own labels app.kubernetes.io/*: leave them out")
		}
	}
	c := connectorOf(template.Spec)
	switch {
	case template.Spec.HostNetwork != nil && *template.Spec.HostNetwork:
		return invalidPatch("spec.template.spec.hostNetwork cannot be patched: whoever is on the node could reach the loopback interface, where the connector takes decisions on redemptions in doubt")
	case c == nil:
		return invalidPatch("it removes the container %s", ContainerName)
	case r.brand.Spec.Ledger.Embedded != nil && !equality.Semantic.DeepEqual(ledgerParts(was.Spec.Template.Spec), ledgerParts(template.Spec)):
		return invalidPatch("the volume ledger, its mount at %s and --ledger-path cannot be patched: in a file elsewhere what was redeemed would not be found, and could be charged again", ledgerDir)
	}
	return nil
}

// connectorOf finds the connector's container.
func connectorOf(pod *corev1ac.PodSpecApplyConfiguration) *corev1ac.ContainerApplyConfiguration {
	for i, c := range pod.Containers {
		if c.Name != nil && *c.Name == ContainerName {
			return &pod.Containers[i]
		}
	}
	return nil
}

// ledgerParts are what decides on which file the connector of a Pod records: the volume, what
// is mounted where the ledger is, and the flag.
func ledgerParts(pod *corev1ac.PodSpecApplyConfiguration) []any {
	var parts []any
	for _, v := range pod.Volumes {
		if v.Name != nil && *v.Name == ledgerVolume {
			parts = append(parts, v)
		}
	}
	c := connectorOf(pod)
	for _, m := range c.VolumeMounts {
		if m.MountPath != nil && strings.HasPrefix(slashpath.Clean(*m.MountPath)+"/", ledgerDir+"/") {
			parts = append(parts, m)
		}
	}
	for _, arg := range c.Args {
		if strings.HasPrefix(arg, ledgerPathFlag) {
			parts = append(parts, arg)
		}
	}
	return parts
}

// annotationPrefix begins the names of the operator's own annotations.
const annotationPrefix = v1alpha1.Group + "/"

// own are the operator's own annotations.
func own(annotations map[string]string) map[string]string {
	out := maps.Clone(annotations)
	maps.DeleteFunc(out, func(k, _ string) bool { return !strings.HasPrefix(k, annotationPrefix) })
	return out
}

func invalidPatch(format string, args ...any) error {
	return &InvalidError{Field: patchField, Problem: fmt.Sprintf(format, args...)}
}

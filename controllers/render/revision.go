// SPDX-License-Identifier: Apache-2.0

package render

// SetConfigRevision replaces the revision of the configuration on the pod template,
// and with it the template's hash. It is for whoever renders without the values or the
// installation's key, and so cannot know the revision: a preview takes over the one that
// runs. The operator does not call it. It must come before SetTraceParent, which the
// hash leaves out.
func (o *Output) SetConfigRevision(revision string) error {
	annotations := o.deployment.Spec.Template.Annotations
	// spec.workload.patch may have put its own there.
	if annotations[AnnotationConfigRevision] == o.ConfigRevision {
		annotations[AnnotationConfigRevision] = revision
	}
	o.ConfigRevision = revision
	hash, err := sealTemplate(o.deployment)
	if err != nil {
		return err
	}
	o.TemplateHash = hash
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package render

// Notes are what the operator writes down on a Deployment for its own later use. They
// are no part of the pod template.
type Notes struct {
	// Platform is the revision of the platform (see PlatformRevision) that the pod
	// template is of, or would be the same under.
	Platform string
	// Cause is whose change the Pods were started for last.
	Cause Cause
	// Intent is the brand's hand in the pod template.
	Intent Intent
}

// Cause is whose change a brand's Pods were started for.
type Cause string

// Causes.
const (
	// CauseBrand is the brand's own change, or one that cost the brand nothing because
	// it was not available anyway.
	CauseBrand Cause = "Brand"
	// CausePlatform is a change of the operator, the installation or the class. It
	// counts towards the budget of a roll-out.
	CausePlatform Cause = "Platform"
)

// NotesOf a Deployment with these annotations.
func NotesOf(annotations map[string]string) Notes {
	return Notes{
		Platform: annotations[AnnotationPlatformRevision],
		Cause:    Cause(annotations[AnnotationCause]),
		Intent:   ParseIntent(annotations[AnnotationIntent]),
	}
}

// Annotations are the notes as a Deployment has them.
func (n Notes) Annotations() map[string]string {
	return map[string]string{
		AnnotationPlatformRevision: n.Platform,
		AnnotationCause:            string(n.Cause),
		AnnotationIntent:           n.Intent.String(),
	}
}

// Note puts notes on the Deployment.
func (o *Output) Note(n Notes) { o.deployment.WithAnnotations(n.Annotations()) }

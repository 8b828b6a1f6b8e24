// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	imagePattern        = regexp.MustCompile(`^(([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?([.][a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*|[[][0-9a-fA-F:]+[]])(:[0-9]{1,5})?/)?[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*(:[0-9A-Za-z_][-.0-9A-Za-z_]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	hostTemplatePattern = must(`^([a-z0-9]|\{name\}|\{namespace\})([-.a-z0-9]|\{name\}|\{namespace\})*$`,
		"must be a host name of lower-case letters, digits, - and ., with {name} or {namespace} in it, such as {name}.pos.example.com, without https:// and path")
)

// ImageFault says what the name of an image must be when it is not: a predicate without
// its subject, for whoever knows the field or flag. It is empty for a name that a
// ConnectorClass may have.
func ImageFault(image string) string {
	switch {
	case len([]rune(image)) > 512:
		return "must be at most 512 characters"
	case !imagePattern.MatchString(image):
		return "must be the name of an image: registry.example/hexiao/connector with a tag (:1.0), a digest (@sha256: and 64 hexadecimal digits) or both"
	}
	return ""
}

// Validate makes the demands of the schema and its CEL rules on a file that never saw an
// API server, after Default. The table in testdata/validation_class.yaml holds Validate
// and the API server together.
func (c *ConnectorClass) Validate() field.ErrorList {
	v := &validator{}
	p := field.NewPath("spec")
	s := &c.Spec
	if s.Image != "" {
		if wrong := ImageFault(s.Image); wrong != "" {
			v.invalid(p.Child("image"), s.Image, "spec.image "+wrong)
		}
	}
	v.enum(p.Child("imagePullPolicy"), s.ImagePullPolicy, "", "Always", "IfNotPresent", "Never")
	v.workload(p.Child("workload"), &s.Workload)
	if s.Ledger != nil {
		v.classLedger(p.Child("ledger"), s.Ledger)
	}
	if s.Exposure != nil {
		v.classExposure(p.Child("exposure"), s.Exposure)
	}
	v.telemetry(p.Child("telemetry"), &s.Telemetry)
	v.rollout(p.Child("rollout"), &s.Rollout)
	return v.errs
}

func (v *validator) classLedger(p *field.Path, l *ClassLedger) {
	if (l.Postgres != nil) == (l.Embedded != nil) {
		v.invalid(p, "", "give exactly one of spec.ledger.postgres and spec.ledger.embedded")
	}
	if pg := l.Postgres; pg != nil {
		v.dsn(p.Child("postgres"), pg.DSNSecretRef, pg.MaxConnections)
		v.optional(p.Child("postgres", "schemaPrefix"), pg.SchemaPrefix, 11, sqlSchemaPattern)
	}
	if l.Embedded != nil {
		v.embedded(p.Child("embedded"), l.Embedded)
	}
}

func (v *validator) classExposure(p *field.Path, e *ClassExposure) {
	v.text(p.Child("hostname"), e.Hostname, 253, hostTemplatePattern)
	if !strings.Contains(e.Hostname, "{name}") {
		v.invalid(p.Child("hostname"), e.Hostname, "spec.exposure.hostname must contain {name}: each brand has a name of its own")
	}
	v.exposedBy(p, &ExposureSpec{GatewayRef: e.GatewayRef, IngressClassName: e.IngressClassName, TLSSecretRef: e.TLSSecretRef})
}

func (v *validator) rollout(p *field.Path, r *RolloutPolicy) {
	v.between(p.Child("maxConcurrent"), int64(r.MaxConcurrent), 1, 1000)
	v.duration(p.Child("progressDeadline"), r.ProgressDeadline, 10*time.Second, time.Hour, "spec.rollout.progressDeadline must be between 10s and 1h")
	c := r.Canary
	if c == nil {
		return
	}
	p = p.Child("canary")
	v.duration(p.Child("soakTime"), c.SoakTime, 0, 7*24*time.Hour, "spec.rollout.canary.soakTime must be between 0s and 168h")
	v.errs = append(v.errs, metav1validation.ValidateLabelSelector(&c.Selector, metav1validation.LabelSelectorValidationOptions{}, p.Child("selector"))...)
	if _, err := metav1.LabelSelectorAsSelector(&c.Selector); err == nil && len(c.Selector.MatchLabels) == 0 && len(c.Selector.MatchExpressions) == 0 {
		v.required(p.Child("selector"), "spec.rollout.canary.selector must select something: leave canary out to have none")
	}
}

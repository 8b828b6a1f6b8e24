// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// hasAddress plays an ingress controller, which gives an Ingress an address or takes it away.
func (w *world) hasAddress(name string, addresses ...string) {
	w.t.Helper()
	i := &networkingv1.Ingress{}
	w.eventually(func() string { return problem(w.get(name, i)) })
	before := i.DeepCopy()
	i.Status.LoadBalancer.Ingress = nil
	for _, a := range addresses {
		i.Status.LoadBalancer.Ingress = append(i.Status.LoadBalancer.Ingress, networkingv1.IngressLoadBalancerIngress{IP: a})
	}
	must(w.t, api.Status().Patch(w.t.Context(), i, client.MergeFrom(before)))
}

// A brand whose Ingress nobody serves, as far as is known, is ready; whether it is exposed
// nobody knows.
func TestABrandIsExposedOnceItsIngressHasAnAddress(t *testing.T) {
	w := newWorld(t)
	w.up(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", IngressClassName: "nginx"}
	}))
	c := w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionUnknown, v1alpha1.ReasonAwaitingAddress)
	if !strings.Contains(c.Message, "IngressClass nginx") {
		t.Errorf("the message %q does not name the class", c.Message)
	}
	w.hasAddress("xiaowang", "192.0.2.1") // alone brings the operator back
	w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionTrue, v1alpha1.ReasonExposed)
	w.hasAddress("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionUnknown, v1alpha1.ReasonAwaitingAddress)
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)

	w.change("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.Exposure = nil })
	c = w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionFalse, v1alpha1.ReasonClusterInternal)
	if !strings.Contains(c.Message, "spec.exposure") || !strings.Contains(c.Message, "inside the cluster") {
		t.Errorf("the message is %q", c.Message)
	}
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

func TestACertificateThatIsNotThereIsNamedAndSeenWhenItComes(t *testing.T) {
	w := newWorld(t)
	exposed := func(b *v1alpha1.BrandConnector) {
		b.Spec.Exposure = &v1alpha1.ExposureSpec{Hostname: "pos.example.com", IngressClassName: "nginx", TLSSecretRef: &v1alpha1.LocalObjectReference{Name: "pos-tls"}}
	}
	w.create(w.brand("xiaowang", exposed))
	w.rollOut("xiaowang")
	w.hasAddress("xiaowang", "192.0.2.1") // an issuer may need the Ingress to answer its challenge
	c := w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionFalse, v1alpha1.ReasonCertificateNotFound)
	if !strings.Contains(c.Message, "Secret pos-tls") || !strings.Contains(c.Message, "spec.exposure.tlsSecretRef") {
		t.Errorf("the message is %q", c.Message)
	}
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCertificateNotFound)
	w.condition("xiaowang", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonCertificateNotFound)
	b := &v1alpha1.BrandConnector{}
	w.mustGet("xiaowang", b)
	if got := b.Status.Endpoints[0].URL; got != "https://pos.example.com/keruyun/"+w.brandID("xiaowang")+"/member-assets/verify" {
		t.Errorf("the first endpoint is %s", got)
	}
	before := w.deployment("xiaowang")

	w.secret("pos-tls", map[string]string{"tls.crt": "c", "tls.key": "k"})
	w.condition("xiaowang", v1alpha1.ConditionExposed, metav1.ConditionTrue, v1alpha1.ReasonExposed)
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
	if after := w.deployment("xiaowang"); after.Generation != before.Generation {
		t.Error("the certificate started the Pods anew")
	}
}

func TestACertificateOfTheClassIsSeenWhenItComes(t *testing.T) {
	w := newWorld(t)
	class := &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	class.Spec.Exposure = &v1alpha1.ClassExposure{Hostname: "{name}.pos.example.com", IngressClassName: "nginx", TLSSecretRef: &v1alpha1.LocalObjectReference{Name: "wildcard"}}
	w.create(class)
	t.Cleanup(func() { _ = api.Delete(t.Context(), class) })
	w.create(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) { b.Spec.ConnectorClassName = class.Name }))
	w.rollOut("xiaowang")
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCertificateNotFound)
	w.secret("wildcard", map[string]string{"tls.crt": "c", "tls.key": "k"})
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady)
}

// What is asked for and cannot be made is no state of Pods.
func TestAStalledBrandWithoutADeploymentHasNoPodsToSpeakOf(t *testing.T) {
	w := newWorld(t)
	w.create(w.brand("xiaowang", func(b *v1alpha1.BrandConnector) {
		b.Spec.Keruyun.CredentialsSecretRef.Name = "nowhere"
	}))
	w.condition("xiaowang", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)
	w.says("xiaowang", v1alpha1.ConditionUpToDate, metav1.ConditionUnknown, v1alpha1.ReasonNotApplied, "there are no Pods")
	w.says("xiaowang", v1alpha1.ConditionLedgerReady, metav1.ConditionUnknown, v1alpha1.ReasonNotApplied, "there is no Deployment")
	w.says("xiaowang", v1alpha1.ConditionWorkloadAvailable, metav1.ConditionFalse, v1alpha1.ReasonWorkloadUnavailable, "there is no Deployment")
}

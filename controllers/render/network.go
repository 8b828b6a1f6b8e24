// SPDX-License-Identifier: Apache-2.0

package render

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1ac "sigs.k8s.io/gateway-api/applyconfiguration/apis/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

const namespaceNameLabel = "kubernetes.io/metadata.name"

// networkPolicy lets tills in, monitoring to the metrics, and nothing out but name
// resolution, the ledger, the traces' receiver and the providers.
func (r *renderer) networkPolicy() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return networkingv1ac.NetworkPolicy(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(SelectorLabels(r.brand))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(r.clientRule(), r.monitoringRule()).
			WithEgress(r.egress()...))
}

func (r *renderer) clientRule() *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyIngressRule().WithPorts(tcp(PortHTTP))
	if labels := r.installation.ClientNamespaces; len(labels) > 0 {
		rule.WithFrom(namespaces(labels))
	}
	return rule
}

func (r *renderer) monitoringRule() *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	return networkingv1ac.NetworkPolicyIngressRule().
		WithPorts(tcp(PortAdmin)).
		WithFrom(namespaces(r.installation.MonitoringNamespaces))
}

// egress allows destinations by port, because the providers' addresses change. A
// policy sees the address behind a Service, whose port may be another one than the
// URL's: for a destination that is named as a Service, its namespace is opened.
func (r *renderer) egress() []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	ports := map[int32]bool{80: true, 443: true}
	inside := map[string]bool{}
	for _, d := range r.destinations() {
		if ns, ok := d.serviceNamespace(r.brand.Namespace); ok {
			inside[ns] = true
			continue
		}
		ports[d.port] = true
	}
	outward := networkingv1ac.NetworkPolicyEgressRule()
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		outward.WithPorts(tcp(port))
	}
	rules := []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
		networkingv1ac.NetworkPolicyEgressRule().WithPorts(port(corev1.ProtocolUDP, 53), tcp(53)),
		outward,
	}
	for _, ns := range slices.Sorted(maps.Keys(inside)) {
		rules = append(rules, networkingv1ac.NetworkPolicyEgressRule().
			WithTo(namespaces(map[string]string{namespaceNameLabel: ns})))
	}
	return rules
}

// destination is a host and port that the connector calls.
type destination struct {
	host string
	port int32
}

// destinations are those of the URLs in the spec, and of the ledger's DSN.
func (r *renderer) destinations() []destination {
	var found []destination
	add := func(endpoint string) {
		if d, ok := parseDestination(endpoint); ok {
			found = append(found, d)
		}
	}
	s := &r.brand.Spec
	if z := s.Providers.Zhimai; z != nil {
		add(z.Endpoint)
	}
	if a := s.Providers.Alsc; a != nil {
		add(a.Endpoint)
	}
	if s.Telemetry.OTLPEndpoint != "" {
		add(s.Telemetry.OTLPEndpoint)
	}
	if p := s.Ledger.Postgres; p != nil {
		found = append(found, dsnDestinations(string(r.value(SourceSecret, p.DSNSecretRef.Name, p.DSNSecretRef.Key)))...)
	}
	return found
}

// parseDestination reads an endpoint's host and port.
func parseDestination(endpoint string) (destination, bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return destination{}, false
	}
	schemes := map[string]int32{"https": 443, "http": 80}
	return destination{u.Hostname(), portOr(u.Port(), schemes[u.Scheme])}, true
}

func portOr(port string, otherwise int32) int32 {
	if p, err := strconv.ParseUint(port, 10, 16); err == nil && p > 0 {
		return int32(p)
	}
	return otherwise
}

// serviceNamespace is the namespace of a host that is written as a Service's name:
// service, service.namespace.svc or with the cluster's domain after it.
func (d destination) serviceNamespace(own string) (string, bool) {
	if d.host == "" || d.host == "localhost" || net.ParseIP(d.host) != nil {
		return "", false
	}
	parts := strings.Split(strings.TrimSuffix(d.host, "."), ".")
	switch {
	case len(parts) == 1:
		return own, true
	case len(parts) >= 3 && parts[2] == "svc" && len(validation.IsDNS1123Label(parts[1])) == 0:
		return parts[1], true
	default:
		return "", false
	}
}

func (r *renderer) value(source Source, name, key string) []byte {
	for _, v := range r.values {
		if v.Source == source && v.Name == name && v.Key == key {
			return v.Bytes
		}
	}
	return nil
}

func tcp(number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return port(corev1.ProtocolTCP, number)
}

func port(protocol corev1.Protocol, number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(number))
}

// namespaces is the peer of all Pods in the namespaces with these labels; in all
// namespaces when there are none.
func namespaces(labels map[string]string) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	selector := metav1ac.LabelSelector()
	if len(labels) > 0 {
		selector.WithMatchLabels(labels)
	}
	return networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(selector)
}

// path is the prefix under which a brand's calls arrive.
func path(b *v1alpha1.BrandConnector) string { return "/keruyun/" + b.Spec.BrandID + "/" }

func (r *renderer) httpRoute() *gatewayv1ac.HTTPRouteApplyConfiguration {
	e := r.brand.Spec.Exposure
	if e == nil || e.GatewayRef == nil {
		return nil
	}
	parent := gatewayv1ac.ParentReference().
		WithGroup(gatewayv1.GroupName).
		WithKind("Gateway").
		WithName(gatewayv1.ObjectName(e.GatewayRef.Name))
	if e.GatewayRef.Namespace != "" {
		parent.WithNamespace(gatewayv1.Namespace(e.GatewayRef.Namespace))
	}
	if e.GatewayRef.SectionName != "" {
		parent.WithSectionName(gatewayv1.SectionName(e.GatewayRef.SectionName))
	}
	return gatewayv1ac.HTTPRoute(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(gatewayv1ac.HTTPRouteSpec().
			WithParentRefs(parent).
			WithHostnames(gatewayv1.Hostname(e.Hostname)).
			WithRules(gatewayv1ac.HTTPRouteRule().
				WithMatches(gatewayv1ac.HTTPRouteMatch().
					WithPath(gatewayv1ac.HTTPPathMatch().
						WithType(gatewayv1.PathMatchPathPrefix).
						WithValue(path(r.brand)))).
				WithBackendRefs(gatewayv1ac.HTTPBackendRef().
					WithName(gatewayv1.ObjectName(r.brand.Name)).
					WithPort(PortService))))
}

func (r *renderer) ingress() *networkingv1ac.IngressApplyConfiguration {
	e := r.brand.Spec.Exposure
	if e == nil || e.IngressClassName == "" {
		return nil
	}
	spec := networkingv1ac.IngressSpec().
		WithIngressClassName(e.IngressClassName).
		WithRules(networkingv1ac.IngressRule().
			WithHost(e.Hostname).
			WithHTTP(networkingv1ac.HTTPIngressRuleValue().
				WithPaths(networkingv1ac.HTTPIngressPath().
					WithPath(path(r.brand)).
					WithPathType(networkingv1.PathTypePrefix).
					WithBackend(networkingv1ac.IngressBackend().
						WithService(networkingv1ac.IngressServiceBackend().
							WithName(r.brand.Name).
							WithPort(networkingv1ac.ServiceBackendPort().WithName("http")))))))
	if e.TLSSecretRef != nil {
		spec.WithTLS(networkingv1ac.IngressTLS().WithHosts(e.Hostname).WithSecretName(e.TLSSecretRef.Name))
	}
	return networkingv1ac.Ingress(r.brand.Name, r.brand.Namespace).
		WithLabels(Labels(r.brand)).
		WithOwnerReferences(r.owner()).
		WithSpec(spec)
}

// Endpoints are the URLs to enter at Keruyun's console; the first is the one of
// 会员资产核销. They are https where a certificate is known to be: an Ingress without
// tlsSecretRef is plain HTTP, and a Gateway's listener has its own.
func Endpoints(b *v1alpha1.BrandConnector) []v1alpha1.Endpoint {
	base := "http://" + b.Name + "." + b.Namespace + ".svc"
	if e := b.Spec.Exposure; e != nil {
		base = "https://" + e.Hostname
		if e.IngressClassName != "" && e.TLSSecretRef == nil {
			base = "http://" + e.Hostname
		}
	}
	var all []v1alpha1.Endpoint
	for _, spi := range []string{"verify", "query", "reverse", "result"} {
		all = append(all, v1alpha1.Endpoint{SPI: spi, URL: base + path(b) + "member-assets/" + spi})
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const namespaced = "watchNamespaces: [brands-a, brands-b]\nrbac: {aggregate: false}\ncrds: {enabled: false}\n"

func TestADigestWinsOverATagAndATagOverTheChartsVersion(t *testing.T) {
	for name, test := range map[string]struct{ values, manager, connector string }{
		"nothing said": {"", "hexiao/manager:0.1.0", "hexiao/connector:0.1.0"},
		"tags":         {"{image: {tag: v9}, connector: {image: {tag: v8}}}", "hexiao/manager:v9", "hexiao/connector:v8"},
		"digests":      {"{image: {digest: '" + digest + "'}, connector: {image: {digest: '" + digest + "'}}}", "hexiao/manager@" + digest, "hexiao/connector@" + digest},
		"both":         {"{image: {tag: v9, digest: '" + digest + "'}, connector: {image: {tag: v8, digest: '" + digest + "'}}}", "hexiao/manager@" + digest, "hexiao/connector@" + digest},
		"a registry":   {"{image: {repository: 'registry.example:5000/a/b', tag: v9}}", "registry.example:5000/a/b:v9", "hexiao/connector:0.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			container := one[appsv1.Deployment](t, render(t, operatorChart, test.values), "Deployment").Spec.Template.Spec.Containers[0]
			if container.Image != test.manager {
				t.Errorf("the operator's image is %s, want %s", container.Image, test.manager)
			}
			if want := "--connector-image=" + test.connector; !slices.Contains(container.Args, want) {
				t.Errorf("the arguments %q lack %s", container.Args, want)
			}
		})
	}
}

func TestNamespacedModeHasRolesAndNothingOfTheCluster(t *testing.T) {
	rendered := render(t, operatorChart, namespaced)
	for _, object := range rendered {
		if object.GetNamespace() == "" {
			t.Errorf("%s %s is in no namespace", object.GetKind(), object.GetName())
		}
	}
	var got []string
	for _, kind := range []string{"Role", "RoleBinding"} {
		for _, object := range rendered.kind(kind) {
			got = append(got, kind+" "+object.GetNamespace()+"/"+object.GetName())
		}
	}
	want := []string{
		"Role brands-a/hexiao-manager-brands", "Role brands-b/hexiao-manager-brands", "Role hexiao-system/hexiao-manager",
		"RoleBinding brands-a/hexiao-manager-brands", "RoleBinding brands-b/hexiao-manager-brands", "RoleBinding hexiao-system/hexiao-manager",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, object := range rendered.kind("RoleBinding") {
		subjects := typed[rbacv1.RoleBinding](t, object).Subjects
		want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "hexiao-manager", Namespace: namespace}}
		if diff := cmp.Diff(want, subjects); diff != "" {
			t.Errorf("%s binds (-want +got):\n%s", object.GetName(), diff)
		}
	}
}

func TestNamespacedModeMayAggregateRolesOfPeopleButBindsNoneOfTheCluster(t *testing.T) {
	rendered := render(t, operatorChart, namespaced+"global: {}\n", "--set", "rbac.aggregate=true")
	for _, object := range rendered.kind("ClusterRole") {
		if strings.HasSuffix(object.GetName(), "-manager") {
			t.Errorf("the operator has the ClusterRole %s", object.GetName())
		}
	}
	if got := len(rendered.kind("ClusterRole")); got < 3 {
		t.Errorf("got %d cluster roles of people", got)
	}
	if got := rendered.kind("ClusterRoleBinding"); len(got) > 0 {
		t.Errorf("got a ClusterRoleBinding %s", got[0].GetName())
	}
}

// TestClassesInNamespacedModeNeedOneSmallClusterRole: to read them, and nothing else.
func TestClassesInNamespacedModeNeedOneSmallClusterRole(t *testing.T) {
	rendered := render(t, operatorChart, namespaced+"connectorClasses: {enabled: true}\n")
	role := one[rbacv1.ClusterRole](t, rendered, "ClusterRole")
	want := []string{"connect.hexiao.dev connectorclasses  list", "connect.hexiao.dev connectorclasses  watch"}
	if diff := cmp.Diff(want, rights(role.Rules)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	binding := one[rbacv1.ClusterRoleBinding](t, rendered, "ClusterRoleBinding")
	if binding.RoleRef.Name != role.Name || binding.Subjects[0].Name != "hexiao-manager" {
		t.Errorf("%s is bound to %v", binding.RoleRef.Name, binding.Subjects)
	}
}

func TestClassesAreReadWhereTheRolesAllowIt(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		read   bool
	}{
		"by default":                    {"", true},
		"turned off":                    {"connectorClasses: {enabled: false}", false},
		"in namespaced mode":            {namespaced, false},
		"in namespaced mode, turned on": {namespaced + "connectorClasses: {enabled: true}", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered := render(t, operatorChart, test.values)
			if want := fmt.Sprintf("--connector-classes=%t", test.read); !slices.Contains(arguments(t, rendered), want) {
				t.Errorf("the arguments %q lack %s", arguments(t, rendered), want)
			}
			var all []string
			for _, object := range append(rendered.kind("ClusterRole"), rendered.kind("Role")...) {
				if strings.Contains(object.GetName(), "-manager") {
					all = append(all, rights(typed[rbacv1.ClusterRole](t, object).Rules)...)
				}
			}
			if got := slices.Contains(all, "connect.hexiao.dev connectorclasses  watch"); got != test.read {
				t.Errorf("that the operator may watch classes is %t", got)
			}
		})
	}
}

func TestRollOutsOfBrandsWithoutAClassArePacedByTheValues(t *testing.T) {
	got := arguments(t, render(t, operatorChart, "rollout: {paused: true, maxConcurrent: 3, canary: {selector: 'canary in (yes, maybe)', soakTime: 90s}, progressDeadline: 10m}"))
	for _, want := range []string{"--rollout-paused", "--rollout-max-concurrent=3", "--rollout-canary-selector=canary in (yes, maybe)", "--rollout-canary-soak-time=90s", "--rollout-progress-deadline=10m"} {
		if !slices.Contains(got, want) {
			t.Errorf("the arguments %q lack %s", got, want)
		}
	}
}

func TestAClassOfTheValues(t *testing.T) {
	rendered := render(t, operatorChart, "{crds: {enabled: false}, connectorClass: {create: true, spec: {rollout: {maxConcurrent: 2}}}}")
	classes := rendered.kind("ConnectorClass")
	if len(classes) != 1 || classes[0].GetName() != "default" {
		t.Fatalf("got %v", classes)
	}
	want := map[string]any{"rollout": map[string]any{"maxConcurrent": float64(2)}}
	if diff := cmp.Diff(want, classes[0].Object["spec"]); diff != "" {
		t.Errorf("its spec (-want +got):\n%s", diff)
	}
	if got := classes[0].GetAnnotations()["helm.sh/resource-policy"]; got != "keep" {
		t.Errorf("its resource policy is %q", got)
	}
	for name, test := range map[string]struct{ values, want string }{
		"whose CRD comes with it": {"connectorClass: {create: true}", "install the chart hexiao-crds first and set crds.enabled to false"},
		"that nobody reads":       {namespaced + "connectorClass: {create: true}", "set connectorClasses.enabled to true"},
	} {
		if _, err := template(t, operatorChart, test.values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("a class %s: got the error %v", name, err)
		}
	}
	if got := render(t, operatorChart, "connectorClass: {create: true}", "--is-upgrade").kind("ConnectorClass"); len(got) != 1 {
		t.Error("an upgrade does not create it")
	}
}

// TestTheRolesAreThoseOfConfig holds the chart against what controller-gen wrote and what
// config/rbac gives people.
func TestTheRolesAreThoseOfConfig(t *testing.T) {
	raw, err := checkout.read("config/rbac/role.yaml")
	must(t, err)
	generated := parse(t, string(raw))
	rendered := render(t, operatorChart, "")
	manager := func(o objects, kind, suffix string) []rbacv1.PolicyRule {
		for _, object := range o.kind(kind) {
			if strings.HasSuffix(object.GetName(), suffix) {
				return typed[rbacv1.ClusterRole](t, object).Rules
			}
		}
		t.Fatalf("there is no %s whose name ends in %s", kind, suffix)
		return nil
	}
	for _, kind := range []string{"ClusterRole", "Role"} {
		if diff := cmp.Diff(rights(manager(generated, kind, "hexiao-manager")), rights(manager(rendered, kind, "hexiao-manager"))); diff != "" {
			t.Errorf("the operator's %s (-config +chart):\n%s", kind, diff)
		}
	}
	raw, err = checkout.read("config/rbac/users.yaml")
	must(t, err)
	if diff := cmp.Diff(peoplesRights(t, parse(t, string(raw))), peoplesRights(t, rendered)); diff != "" {
		t.Errorf("people's roles (-config +chart):\n%s", diff)
	}
}

// rights are rules taken apart, so that it does not matter how they are joined.
func rights(rules []rbacv1.PolicyRule) []string {
	found := map[string]bool{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					found[strings.Join([]string{group, resource, strings.Join(rule.ResourceNames, ","), verb}, " ")] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// peoplesRights are the rights by the end of a role's name: viewer, editor, admin and so on.
func peoplesRights(t *testing.T, o objects) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, object := range o.kind("ClusterRole") {
		name := object.GetName()
		if strings.HasSuffix(name, "-manager") {
			continue
		}
		own := maps.Clone(object.GetLabels())
		maps.DeleteFunc(own, func(key, _ string) bool { return !strings.HasPrefix(key, "rbac.authorization.k8s.io/") })
		short := strings.TrimPrefix(strings.TrimPrefix(name, "hexiao-system-"), "hexiao-")
		short = strings.TrimPrefix(short, "brandconnector-")
		found[short+" "+labels.FormatLabels(own)] = rights(typed[rbacv1.ClusterRole](t, object).Rules)
	}
	return found
}

func TestTwoReplicasAreKeptApart(t *testing.T) {
	rendered := render(t, operatorChart, "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}")
	deployment := one[appsv1.Deployment](t, rendered, "Deployment")
	if got := *deployment.Spec.Replicas; got != 2 {
		t.Errorf("got %d replicas by default", got)
	}
	pods := labels.Set(deployment.Spec.Template.Labels)
	matches := func(what string, selector *metav1.LabelSelector) {
		t.Helper()
		s, err := metav1.LabelSelectorAsSelector(selector)
		must(t, err)
		if s.Empty() || !s.Matches(pods) {
			t.Errorf("%s selects by %q, which the Pods %v do not match", what, s, pods)
		}
	}
	matches("the Deployment", deployment.Spec.Selector)
	budget := one[policyv1.PodDisruptionBudget](t, rendered, "PodDisruptionBudget")
	matches("the disruption budget", budget.Spec.Selector)
	if got := budget.Spec.MaxUnavailable; got == nil || got.IntValue() != 1 {
		t.Errorf("the budget allows %v unavailable", got)
	}
	spread := deployment.Spec.Template.Spec.TopologySpreadConstraints
	if len(spread) != 1 || spread[0].TopologyKey != corev1.LabelHostname || spread[0].WhenUnsatisfiable != corev1.ScheduleAnyway {
		t.Fatalf("got the topology spread %+v", spread)
	}
	matches("the topology spread", spread[0].LabelSelector)
	want := []corev1.PodAffinityTerm{{TopologyKey: "zone"}}
	if diff := cmp.Diff(want, deployment.Spec.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution); diff != "" {
		t.Errorf("affinity (-want +got):\n%s", diff)
	}
}

func TestASingleReplicaDoesNotHoldANodeUp(t *testing.T) {
	if got := render(t, operatorChart, "replicas: 1").kind("PodDisruptionBudget"); len(got) > 0 {
		t.Error("there is a disruption budget for one replica, so its node could not be drained")
	}
}

func TestLabelsAndAnnotationsOfTheUserNeverReplaceTheChartsOwn(t *testing.T) {
	rendered := render(t, operatorChart, `
podLabels: {app.kubernetes.io/name: mine, team: platform}
podAnnotations: {example.com/a: b}
metrics: {podMonitor: {enabled: true, labels: {app.kubernetes.io/instance: mine, release: prometheus}}}
`)
	deployment := one[appsv1.Deployment](t, rendered, "Deployment")
	pod := deployment.Spec.Template
	if pod.Labels["app.kubernetes.io/name"] != "hexiao" || pod.Labels["team"] != "platform" {
		t.Errorf("the Pods have the labels %v", pod.Labels)
	}
	want := map[string]string{"example.com/a": "b", "kubectl.kubernetes.io/default-container": "manager"}
	if diff := cmp.Diff(want, pod.Annotations); diff != "" {
		t.Errorf("the Pods' annotations (-want +got):\n%s", diff)
	}
	for _, monitor := range rendered.kind("PodMonitor") {
		if got := monitor.GetLabels(); got["app.kubernetes.io/instance"] != release || got["release"] != "prometheus" {
			t.Errorf("the PodMonitor %s has the labels %v", monitor.GetName(), got)
		}
	}
}

// TestTheOperatorsNetworkPolicyFollowsTheTraces looks at where the operator may go, by where its traces go.
func TestTheOperatorsNetworkPolicyFollowsTheTraces(t *testing.T) {
	for name, test := range map[string]struct{ endpoint, ports, namespace string }{
		"no receiver":                         {endpoint: "", ports: "53 53 443 6443"},
		"a port of its own":                   {endpoint: "https://otlp.example.com:4318", ports: "53 53 443 6443 4318"},
		"the port of http":                    {endpoint: "http://otlp.example.com/base", ports: "53 53 443 6443 80"},
		"the port of https":                   {endpoint: "https://otlp.example.com", ports: "53 53 443 6443 443"},
		"an address":                          {endpoint: "http://10.1.2.3:4318", ports: "53 53 443 6443 4318"},
		"a Service of the same namespace":     {endpoint: "http://collector:4318", ports: "53 53 443 6443", namespace: namespace},
		"a Service of another namespace":      {endpoint: "http://collector.tracing.svc:4318", ports: "53 53 443 6443", namespace: "tracing"},
		"a Service with the cluster's name":   {endpoint: "http://collector.tracing.svc.cluster.local:4318", ports: "53 53 443 6443", namespace: "tracing"},
		"a host that only looks like it is":   {endpoint: "http://svc.example.com:4318", ports: "53 53 443 6443 4318"},
		"the machine itself, which is no Pod": {endpoint: "http://localhost:4318", ports: "53 53 443 6443 4318"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered := render(t, operatorChart, "networkPolicy: {operator: {enabled: true}}\ntelemetry: {otlpEndpoint: '"+test.endpoint+"'}")
			policy := one[networkingv1.NetworkPolicy](t, rendered, "NetworkPolicy")
			var ports []string
			var opened string
			for _, rule := range policy.Spec.Egress {
				for _, port := range rule.Ports {
					ports = append(ports, port.Port.String())
				}
				for _, to := range rule.To {
					opened = to.NamespaceSelector.MatchLabels[corev1.LabelMetadataName]
				}
			}
			if got := strings.Join(ports, " "); got != test.ports {
				t.Errorf("the operator may call the ports %s, want %s", got, test.ports)
			}
			if opened != test.namespace {
				t.Errorf("the operator may call the namespace %q, want %q", opened, test.namespace)
			}
		})
	}
}

func TestOnlyMonitoringIsLetInToTheOperator(t *testing.T) {
	rendered := render(t, operatorChart, "networkPolicy: {operator: {enabled: true}, monitoringNamespaceLabels: {team: monitoring}}")
	deployment := one[appsv1.Deployment](t, rendered, "Deployment")
	policy := one[networkingv1.NetworkPolicy](t, rendered, "NetworkPolicy")
	if diff := cmp.Diff(deployment.Spec.Selector, &policy.Spec.PodSelector); diff != "" {
		t.Errorf("the policy is for other Pods (-Deployment +NetworkPolicy):\n%s", diff)
	}
	if len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].Ports) != 1 || len(policy.Spec.Ingress[0].From) != 1 {
		t.Fatalf("got the rules %+v", policy.Spec.Ingress)
	}
	if got := policy.Spec.Ingress[0].Ports[0].Port.String(); got != "metrics" {
		t.Errorf("the port %s is open", got)
	}
	if got := policy.Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels["team"]; got != "monitoring" {
		t.Errorf("it is open to the team %q", got)
	}
	want := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if diff := cmp.Diff(want, policy.Spec.PolicyTypes); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

// TestWhatIsOptionalIsAbsentUntilAskedFor keeps the chart installable where the Prometheus Operator is not.
func TestWhatIsOptionalIsAbsentUntilAskedFor(t *testing.T) {
	kinds := func(o objects) []string {
		found := map[string]bool{}
		for _, object := range o {
			found[object.GetKind()] = true
		}
		return slices.Sorted(maps.Keys(found))
	}
	base := []string{"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Deployment", "Pod", "PodDisruptionBudget", "Role", "RoleBinding", "ServiceAccount"}
	for name, test := range map[string]struct{ values, kind string }{
		"nothing asked for": {},
		"a Service":         {"metrics: {service: {enabled: true}}", "Service"},
		"PodMonitors":       {"metrics: {podMonitor: {enabled: true}}", "PodMonitor"},
		"alerts":            {"prometheusRule: {enabled: true}", "PrometheusRule"},
		"a dashboard":       {"dashboard: {enabled: true}", "ConfigMap"},
		"a NetworkPolicy":   {"networkPolicy: {operator: {enabled: true}}", "NetworkPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := slices.Clone(base)
			if test.kind != "" {
				want = append(want, test.kind)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, kinds(render(t, operatorChart, test.values))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodMonitorsLookWhereBrandsAre(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		want   map[string]any
	}{
		"everywhere":     {"metrics: {podMonitor: {enabled: true}}", map[string]any{"any": true}},
		"two namespaces": {namespaced + "metrics: {podMonitor: {enabled: true}}", map[string]any{"matchNames": []any{"brands-a", "brands-b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, monitor := range render(t, operatorChart, test.values).kind("PodMonitor") {
				spec := monitor.Object["spec"].(map[string]any)
				if !strings.HasSuffix(monitor.GetName(), "-connectors") {
					continue
				}
				if diff := cmp.Diff(test.want, spec["namespaceSelector"]); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			t.Error("there is no PodMonitor for the connectors")
		})
	}
}

func TestAnAlertLeadsToTheRepositoryThatIsNamed(t *testing.T) {
	rendered := render(t, operatorChart, "prometheusRule: {enabled: true, repositoryURL: 'https://git.example/blob/main/'}")
	groups := rendered.kind("PrometheusRule")[0].Object["spec"].(map[string]any)["groups"].([]any)
	count := 0
	for _, group := range groups {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			annotations, _ := rule.(map[string]any)["annotations"].(map[string]any)
			if annotations == nil {
				continue
			}
			count++
			if url, _ := annotations["runbook_url"].(string); !strings.HasPrefix(url, "https://git.example/blob/main/docs/runbooks/") {
				t.Errorf("an alert leads to %q", url)
			}
		}
	}
	if count < 10 {
		t.Errorf("found %d alerts", count)
	}
}

// TestTheCRDsOfBothChartsAreThoseOfConfig compares what is rendered, not what is written.
func TestTheCRDsOfBothChartsAreThoseOfConfig(t *testing.T) {
	crds, err := checkout.crds()
	must(t, err)
	for chart, drop := range map[string]string{operatorChart: "crds: {keep: false}", crdChart: "keep: false"} {
		for _, test := range []struct {
			values string
			keep   string
		}{{"", "keep"}, {drop, ""}} {
			rendered := render(t, chart, test.values).kind("CustomResourceDefinition")
			got := map[string]apiextensionsv1.CustomResourceDefinition{}
			for _, object := range rendered {
				if policy := object.GetAnnotations()["helm.sh/resource-policy"]; policy != test.keep {
					t.Errorf("%s with %q: %s has the resource policy %q", chart, test.values, object.GetName(), policy)
				}
				c := typed[apiextensionsv1.CustomResourceDefinition](t, object)
				delete(c.Annotations, "helm.sh/resource-policy")
				got[c.Name] = *c
			}
			want := map[string]apiextensionsv1.CustomResourceDefinition{}
			for _, c := range crds {
				want[c.Name] = c.CustomResourceDefinition
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-config +chart):\n%s", chart, diff)
			}
		}
	}
	if got := render(t, operatorChart, "crds: {enabled: false}").kind("CustomResourceDefinition"); len(got) > 0 {
		t.Errorf("crds.enabled is false, and there is %s", got[0].GetName())
	}
}

// TestTheCheckOfTheChartIsTheOperatorItself: what helm test runs has the operator's program, rights and
// flags, and is not taken for an operator.
func TestTheCheckOfTheChartIsTheOperatorItself(t *testing.T) {
	for file, values := range ciValues(t, operatorChart) {
		rendered := render(t, operatorChart, values)
		operator := one[appsv1.Deployment](t, rendered, "Deployment")
		pod := one[corev1.Pod](t, rendered, "Pod")
		template := operator.Spec.Template.Spec
		if diff := cmp.Diff(append([]string{"check"}, template.Containers[0].Args...), pod.Spec.Containers[0].Args); diff != "" {
			t.Errorf("%s: the arguments (-operator +check):\n%s", file, diff)
		}
		container := pod.Spec.Containers[0]
		container.Name, container.Args = template.Containers[0].Name, template.Containers[0].Args
		container.Ports, container.LivenessProbe, container.ReadinessProbe = template.Containers[0].Ports, template.Containers[0].LivenessProbe, template.Containers[0].ReadinessProbe
		if diff := cmp.Diff(template.Containers[0], container); diff != "" {
			t.Errorf("%s: the container (-operator +check):\n%s", file, diff)
		}
		if template.ServiceAccountName != pod.Spec.ServiceAccountName {
			t.Errorf("%s: the check runs as %s", file, pod.Spec.ServiceAccountName)
		}
		selector, err := metav1.LabelSelectorAsSelector(operator.Spec.Selector)
		must(t, err)
		if selector.Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s: the Deployment would take the check for a Pod of its own", file)
		}
	}
}

func TestObjectsAreNamedAsTheValuesSay(t *testing.T) {
	for name, test := range map[string]struct{ values, release, want string }{
		"by the release":                     {"", "hexiao", "hexiao-manager"},
		"by another release":                 {"", "blue", "blue-hexiao-manager"},
		"by another name":                    {"nameOverride: pos", "blue", "blue-pos-manager"},
		"by another name that it has":        {"nameOverride: blue", "blue", "blue-manager"},
		"by the full name":                   {"fullnameOverride: pos", "hexiao", "pos-manager"},
		"by the full name, whatever else is": {"{nameOverride: a, fullnameOverride: pos}", "hexiao", "pos-manager"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := helm(t, test.values+"\n", "template", test.release, operatorChart, "--namespace", namespace, "--kube-version", oldest, "--values", "-")
			must(t, err)
			rendered := parse(t, text)
			deployment := one[appsv1.Deployment](t, rendered, "Deployment")
			if deployment.Name != test.want || deployment.Spec.Template.Spec.ServiceAccountName != test.want {
				t.Errorf("got the Deployment %s with the service account %s, want %s", deployment.Name, deployment.Spec.Template.Spec.ServiceAccountName, test.want)
			}
			for _, kind := range []string{"ClusterRoleBinding", "RoleBinding"} {
				binding := typed[rbacv1.ClusterRoleBinding](t, rendered.kind(kind)[0])
				if !strings.HasSuffix(binding.RoleRef.Name, test.want) || binding.Subjects[0].Name != test.want {
					t.Errorf("%s binds %s to %s", kind, binding.RoleRef.Name, binding.Subjects[0].Name)
				}
			}
			if got := deployment.Spec.Selector.MatchLabels["app.kubernetes.io/name"]; got != "hexiao" {
				t.Errorf("the operator is no longer found by its label, which is %s", got)
			}
		})
	}
}

func TestCommonLabelsAreOnEverythingAndReplaceNothing(t *testing.T) {
	values := ciValues(t, operatorChart)["full.yaml"]
	for _, object := range render(t, operatorChart, values, "--set-json", `commonLabels={"team":"common","app.kubernetes.io/name":"mine","cost":"1"}`) {
		got := object.GetLabels()
		if got["cost"] != "1" || got["app.kubernetes.io/name"] != "hexiao" {
			t.Errorf("%s %s has the labels %v", object.GetKind(), object.GetName(), got)
		}
	}
	deployment := one[appsv1.Deployment](t, render(t, operatorChart, values, "--set", "commonLabels.team=common"), "Deployment")
	if got := deployment.Spec.Template.Labels["team"]; got != "platform" {
		t.Errorf("podLabels say the team is platform, and the Pods %s", got)
	}
}

func TestASecurityContextIsChangedKeyByKey(t *testing.T) {
	pod := one[appsv1.Deployment](t, render(t, operatorChart, "podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: 1000}"), "Deployment").Spec.Template.Spec
	want := &corev1.PodSecurityContext{RunAsNonRoot: new(true), FSGroup: new(int64(1000)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if diff := cmp.Diff(want, pod.SecurityContext); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAServiceAccountOfSomebodyElseIsUsedAndNotMade(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		want   string
		made   int
	}{
		"the chart's own":       {"", "hexiao-manager", 1},
		"one with another name": {"serviceAccount: {name: operator}", "operator", 1},
		"somebody else's":       {"serviceAccount: {create: false, name: operator}", "operator", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered := render(t, operatorChart, test.values)
			if got := one[appsv1.Deployment](t, rendered, "Deployment").Spec.Template.Spec.ServiceAccountName; got != test.want {
				t.Errorf("the Pods run as %s", got)
			}
			if got := len(rendered.kind("ServiceAccount")); got != test.made {
				t.Errorf("%d service accounts are made", got)
			}
			for _, object := range rendered.kind("RoleBinding") {
				if got := typed[rbacv1.RoleBinding](t, object).Subjects[0].Name; got != test.want {
					t.Errorf("%s binds %s", object.GetName(), got)
				}
			}
		})
	}
}

// TestNothingRenderedHasAFinalizerOrAHook: what nobody needs to take care of can be deleted when nobody is there.
// The one Pod of helm test is there only for as long as the test.
func TestNothingRenderedHasAFinalizerOrAHook(t *testing.T) {
	for _, chart := range []string{operatorChart, crdChart} {
		for file, values := range ciValues(t, chart) {
			for _, object := range render(t, chart, values) {
				if len(object.GetFinalizers()) > 0 {
					t.Errorf("%s: %s %s has the finalizers %q", file, object.GetKind(), object.GetName(), object.GetFinalizers())
				}
				if hook := object.GetAnnotations()["helm.sh/hook"]; hook != "" && (hook != "test" || object.GetKind() != "Pod") {
					t.Errorf("%s: %s %s is a hook", file, object.GetKind(), object.GetName())
				}
			}
		}
	}
}

// ciValues are the files of a chart's ci directory, by their names.
func ciValues(t *testing.T, chart string) map[string]string {
	t.Helper()
	found := files(t, checkout.path(chart+"/ci"))
	if len(found) < 2 {
		t.Fatalf("%s has %d files of values in ci", chart, len(found))
	}
	return found
}

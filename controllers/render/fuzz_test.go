// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// planted is in each Secret's value, and nowhere else.
const planted = "c4n4ry-0f-a-s3cr3t"

// dsns are ways to name a database; a person may have put what it wants into the key.
var dsns = []string{
	"postgres://u:" + planted + "@pg.databases.svc:6432/ledger",
	"postgres://" + planted + ":p%40@10.0.0.1/ledger",
	"host=pg password=" + planted,
	"postgres://u:" + planted + "/x@pg/ledger",
	"postgres://u:" + planted + "#x@pg:1/ledger",
	"postgres://u:p@pg:70000/" + planted,
	planted,
}

// FuzzRender demands of any brand and class, whatever their patches say, what the design
// promises: docs/design/operator.md and trust.md.
//
// file holds a BrandConnector and perhaps a ConnectorClass, in YAML. patch is the brand's,
// unless it is empty. edits change both, four bytes each: see twist.
func FuzzRender(f *testing.F) {
	parts := gather(f)
	for i, file := range parts.files {
		f.Add(file, []byte(nil), []byte(nil))
		f.Add(file, []byte(nil), []byte{0, 0, byte(7 * i), 0, 2, 1, byte(5 * i), 3, 1, 0, byte(i), 0, 3, 0, byte(11 * i), byte(i)})
	}
	embedded := parts.files[slices.IndexFunc(parts.files, func(file []byte) bool { return bytes.Contains(file, []byte("embedded:")) })]
	for _, patch := range []string{
		`null`, `[]`, `{"spec":[]}`, `{"metadata":"x"}`, `{"spec":{"template":{"spec":{"containers":"x"}}}}`,
		`{"spec":{"$setElementOrder/x":1,"$deleteFromPrimitiveList/x":1,"$retainKeys":1}}`,
		`{"spec":{"replicas":2,"strategy":{"$patch":"replace","type":"RollingUpdate"}}}`,
		`{"spec":{"template":{"spec":{"volumes":[{"name":"ledger","$retainKeys":["name","emptyDir"],"emptyDir":{}}]}}}}`,
		`{"spec":{"template":{"spec":{"containers":[{"$patch":"replace"},{"name":"connector","image":"x"}]}}}}`,
		`{"spec":{"template":{"metadata":{"labels":{"team":"x"}},"spec":{"hostNetwork":true,"automountServiceAccountToken":true}}}}`,
	} {
		f.Add(embedded, []byte(patch), []byte(nil))
	}
	f.Fuzz(func(t *testing.T, file, patch, edits []byte) {
		in, ok := parts.inputs(file, patch, edits)
		if !ok {
			return
		}
		in.Brand.Name, in.Brand.Namespace, in.Brand.UID = nameOf(in.Brand.Name, edits), "brands", "5f6c1d8e-0000-4000-8000-000000000001"
		for n, need := range render.Needs(v1alpha1.Resolve(in.Brand, in.Class)) {
			value := fmt.Sprint(planted, n)
			if need.DSN {
				value = dsns[len(edits)%len(dsns)]
			}
			in.Values = append(in.Values, render.Value{Need: need, Bytes: []byte(value)})
		}
		brand, class := in.Brand.DeepCopy(), in.Class.DeepCopy()
		out, err := render.Render(in)
		if diff := cmp.Diff(brand, in.Brand) + cmp.Diff(class, in.Class); diff != "" {
			t.Errorf("rendering changed its inputs (-before +after):\n%s", diff)
		}
		if err != nil {
			plain(t, err)
			return
		}
		checkOutput(t, in, out)
		if in.Class != nil {
			if _, err := render.PlatformRevision(in.Installation, in.Class); err != nil {
				plain(t, err)
			}
		}
	})
}

// nameOf cuts names, so that long and short ones come about.
func nameOf(name string, edits []byte) string {
	if len(edits) > 0 && edits[0] > 200 {
		return strings.Repeat("a", int(edits[0])-200)
	}
	return name
}

// plain demands that an error says which field is at fault and how, and nothing secret.
func plain(t *testing.T, err error) {
	t.Helper()
	invalid := (*render.InvalidError)(nil)
	if !errors.As(err, &invalid) || invalid.Problem == "" || !strings.HasPrefix(invalid.Field, "spec") && !strings.HasPrefix(invalid.Field, "metadata") {
		t.Errorf("got %v (%T), want an InvalidError that names a field", err, err)
	}
	if strings.Contains(err.Error(), planted) {
		t.Errorf("a Secret's value is in an error: %v", err)
	}
}

func checkOutput(t *testing.T, in render.Inputs, out *render.Output) {
	t.Helper()
	raw := asJSON(t, out)
	again, err := render.Render(in)
	if err != nil {
		t.Fatalf("the second time: %v", err)
	}
	if diff := cmp.Diff(string(raw), string(asJSON(t, again))); diff != "" {
		t.Errorf("a second rendering differs (-first +second):\n%s", diff)
	}
	if bytes.Contains(raw, []byte(planted)) {
		t.Errorf("a Secret's value is in a rendered object:\n%s", raw)
	}
	c := &children{t: t, brand: v1alpha1.Resolve(in.Brand, in.Class), asks: asks(in)}
	c.brand.Default()
	for _, child := range out.Children {
		c.add(child)
	}
	c.checkDeployment()
	c.checkSelectors()
	c.checkJobs()
	c.checkConfig()
	if c.brand.Spec.Ledger.Embedded != nil {
		c.checkOneWriter()
	}
}

func asJSON(t *testing.T, out *render.Output) []byte {
	t.Helper()
	raw, err := json.MarshalIndent(out.Children, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// asks says whether a patch may have what a Pod is allowed changed: it names one of the
// fields, adds a container, or takes something away.
func asks(in render.Inputs) bool {
	patches := []*runtime.RawExtension{in.Brand.Spec.Workload.Patch}
	if in.Class != nil {
		patches = append(patches, in.Class.Spec.Workload.Patch)
	}
	return slices.ContainsFunc(patches, func(p *runtime.RawExtension) bool {
		return p != nil && slices.ContainsFunc([]string{"ontainers", "ecurityContext", "hostN", "hostP", "hostI", "volumes", "$", "null", "automount", `\u`},
			func(s string) bool { return bytes.Contains(p.Raw, []byte(s)) })
	})
}

// children are the rendered objects as an API server reads them.
type children struct {
	t     *testing.T
	brand *v1alpha1.BrandConnector // resolved and defaulted
	asks  bool                     // see asks

	deployment *appsv1.Deployment
	service    *corev1.Service
	configMap  *corev1.ConfigMap
	claim      *corev1.PersistentVolumeClaim
	budget     *policyv1.PodDisruptionBudget
	autoscaler *autoscalingv2.HorizontalPodAutoscaler
	policies   map[string]*networkingv1.NetworkPolicy
	jobs       []*batchv1.CronJob
}

// add decodes a child into its type, and demands that it is the brand's.
func (c *children) add(child render.Child) {
	c.t.Helper()
	if child.Apply == nil {
		return
	}
	typed, ok := map[string]client.Object{
		"ServiceAccount": &corev1.ServiceAccount{}, "ConfigMap": &corev1.ConfigMap{}, "PersistentVolumeClaim": &corev1.PersistentVolumeClaim{},
		"NetworkPolicy": &networkingv1.NetworkPolicy{}, "Service": &corev1.Service{}, "Deployment": &appsv1.Deployment{},
		"PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscaler{},
		"HTTPRoute": &gatewayv1.HTTPRoute{}, "Ingress": &networkingv1.Ingress{}, "CronJob": &batchv1.CronJob{},
	}[child.Kind.Kind]
	if !ok {
		c.t.Fatalf("nobody knows the kind %s", child.Kind)
	}
	raw, err := json.Marshal(child.Apply)
	if err != nil {
		c.t.Fatal(err)
	}
	strict, err := kjson.UnmarshalStrict(raw, typed)
	if err := errors.Join(append(strict, err)...); err != nil {
		c.t.Fatalf("%s %s is none: %v", child.Kind.Kind, child.Name, err)
	}
	what := child.Kind.Kind + " " + typed.GetName()
	if typed.GetName() != child.Name || typed.GetNamespace() != c.brand.Namespace || typed.GetObjectKind().GroupVersionKind() != child.Kind {
		c.t.Errorf("%s of %s is %s %s/%s", child.Kind, child.Name, typed.GetObjectKind().GroupVersionKind(), typed.GetNamespace(), typed.GetName())
	}
	if problems := validation.IsDNS1123Subdomain(child.Name); len(problems) > 0 {
		c.t.Errorf("%s: %v", what, problems)
	}
	if got := typed.GetLabels(); got[render.LabelManagedBy] != render.ManagedBy || got[render.LabelInstance] != c.brand.Name || got[render.LabelPartOf] != "hexiao" {
		c.t.Errorf("%s has the labels %v", what, got)
	}
	retained := child.Kind == render.ClaimKind && c.brand.Spec.Ledger.Embedded.OnDelete == v1alpha1.LedgerOnDeleteRetain
	if owned := metav1.IsControlledBy(typed, c.brand); owned == retained || len(typed.GetOwnerReferences()) > 1 || retained && len(typed.GetOwnerReferences()) > 0 {
		c.t.Errorf("%s has the owners %v", what, typed.GetOwnerReferences())
	}
	c.keep(typed)
}

func (c *children) keep(typed client.Object) {
	switch o := typed.(type) {
	case *appsv1.Deployment:
		c.deployment = o
	case *corev1.Service:
		c.service = o
	case *corev1.ServiceAccount:
		if o.AutomountServiceAccountToken == nil || *o.AutomountServiceAccountToken {
			c.t.Error("the ServiceAccount has a token mounted")
		}
	case *corev1.ConfigMap:
		c.configMap = o
	case *corev1.PersistentVolumeClaim:
		c.claim = o
	case *policyv1.PodDisruptionBudget:
		c.budget = o
	case *autoscalingv2.HorizontalPodAutoscaler:
		c.autoscaler = o
	case *networkingv1.NetworkPolicy:
		if c.policies == nil {
			c.policies = map[string]*networkingv1.NetworkPolicy{}
		}
		c.policies[o.Name] = o
	case *batchv1.CronJob:
		c.jobs = append(c.jobs, o)
	}
}

func (c *children) checkDeployment() {
	c.t.Helper()
	d := c.deployment
	if diff := cmp.Diff(&metav1.LabelSelector{MatchLabels: render.SelectorLabels(c.brand)}, d.Spec.Selector); diff != "" {
		c.t.Errorf("the Deployment's selector (-want +got):\n%s", diff)
	}
	if d.Spec.Paused {
		c.t.Error("the Deployment is paused: a rotated credential would not reach the Pods")
	}
	for _, annotation := range []string{render.AnnotationLedger, render.AnnotationTemplateHash} {
		if d.Annotations[annotation] == "" {
			c.t.Errorf("the Deployment has no annotation %s", annotation)
		}
	}
	if c.autoscaler == nil && d.Spec.Replicas == nil || c.autoscaler != nil && d.Spec.Replicas != nil {
		c.t.Errorf("the number of Pods is %v, and the autoscaler %v", d.Spec.Replicas, c.autoscaler)
	}
	if !c.asks {
		restricted(c.t, "the Deployment", &d.Spec.Template.Spec)
	}
}

// checkSelectors demands that what chooses the connector's Pods does, and chooses no Job's.
func (c *children) checkSelectors() {
	c.t.Helper()
	pod := labels.Set(c.deployment.Spec.Template.Labels)
	chooses := map[string]labels.Selector{
		"the Deployment": selector(c.t, c.deployment.Spec.Selector), "the Service": labels.SelectorFromSet(c.service.Spec.Selector),
		"the NetworkPolicy": selector(c.t, &c.policies[c.brand.Name].Spec.PodSelector),
	}
	if c.budget != nil {
		chooses["the disruption budget"] = selector(c.t, c.budget.Spec.Selector)
	}
	for who, selector := range chooses {
		if selector.Empty() || !selector.Matches(pod) {
			c.t.Errorf("%s chooses %s, and the connector's Pods are %s", who, selector, pod)
		}
		for _, job := range c.jobs {
			if selector.Matches(labels.Set(job.Spec.JobTemplate.Spec.Template.Labels)) {
				c.t.Errorf("%s chooses the Pods of %s", who, job.Name)
			}
		}
	}
	if c.autoscaler != nil && (c.autoscaler.Spec.ScaleTargetRef.Name != c.deployment.Name || c.autoscaler.Spec.ScaleTargetRef.Kind != "Deployment") {
		c.t.Errorf("the autoscaler scales %v", c.autoscaler.Spec.ScaleTargetRef)
	}
	for _, policy := range c.policies {
		for _, rule := range policy.Spec.Egress {
			for _, to := range rule.To {
				for _, value := range to.NamespaceSelector.MatchLabels {
					if problems := validation.IsDNS1123Label(value); len(problems) > 0 {
						c.t.Errorf("%s lets out to the namespace %q: %v", policy.Name, value, problems)
					}
				}
			}
			for _, port := range rule.Ports {
				if problems := validation.IsValidPortNum(port.Port.IntValue()); len(problems) > 0 {
					c.t.Errorf("%s lets out to port %s: %v", policy.Name, port.Port, problems)
				}
			}
		}
	}
}

func selector(t *testing.T, s *metav1.LabelSelector) labels.Selector {
	t.Helper()
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkJobs demands of the Jobs what no patch can change.
func (c *children) checkJobs() {
	c.t.Helper()
	policy := c.policies[c.brand.Name+"-jobs"]
	if (policy == nil) != (len(c.jobs) == 0) {
		c.t.Errorf("%d CronJobs, and the policy %v", len(c.jobs), policy)
	}
	for _, job := range c.jobs {
		template := &job.Spec.JobTemplate.Spec.Template
		restricted(c.t, job.Name, &template.Spec)
		if len(job.Name) > 52 {
			c.t.Errorf("%s has %d characters", job.Name, len(job.Name))
		}
		if policy != nil && !selector(c.t, &policy.Spec.PodSelector).Matches(labels.Set(template.Labels)) {
			c.t.Errorf("no policy is for the Pods of %s", job.Name)
		}
	}
}

// checkConfig demands that the connector reads what the brand and its class say.
func (c *children) checkConfig() {
	c.t.Helper()
	got := &v1alpha1.BrandConnector{}
	if err := v1alpha1.Decode([]byte(c.configMap.Data[render.ConfigKey]), got); err != nil {
		c.t.Fatalf("the connector cannot read its file: %v", err)
	}
	got.Default()
	if problems := got.Validate(); len(problems) > 0 {
		c.t.Errorf("the connector refuses its file: %v", problems)
	}
	type money struct {
		BrandID        string
		Keruyun        v1alpha1.KeruyunSpec
		Providers      v1alpha1.ProvidersSpec
		Routes         []v1alpha1.Route
		Shops          []v1alpha1.Shop
		Operators      []v1alpha1.Operator
		PartialFailure v1alpha1.PartialFailure
		Ledger         string
		Telemetry      v1alpha1.TelemetrySpec
	}
	of := func(b *v1alpha1.BrandConnector) string {
		s := &b.Spec
		raw, err := yaml.Marshal(money{s.BrandID, s.Keruyun, s.Providers, s.Routes, s.Shops, s.Operators, s.PartialFailure, s.Ledger.String(), s.Telemetry})
		if err != nil {
			c.t.Fatal(err)
		}
		return string(raw)
	}
	if diff := cmp.Diff(of(c.brand), of(got)); diff != "" {
		c.t.Errorf("the connector reads something else (-brand and class +connector):\n%s", diff)
	}
}

// checkOneWriter demands that never more than one Pod has an embedded ledger open, and that
// it is the claim which is kept that the connector records on: a second writer, or a ledger
// that ends with its Pod, would charge a member again.
func (c *children) checkOneWriter() {
	c.t.Helper()
	spec := &c.deployment.Spec
	if spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || spec.Strategy.RollingUpdate != nil {
		c.t.Errorf("the strategy is %+v: two Pods would have the ledger open", spec.Strategy)
	}
	if spec.Replicas == nil || *spec.Replicas > 1 || c.autoscaler != nil || c.budget != nil {
		c.t.Errorf("replicas %v, autoscaler %v, budget %v: two Pods would have the ledger open", spec.Replicas, c.autoscaler, c.budget)
	}
	for _, job := range c.jobs {
		if slices.Contains(job.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args, "retain") {
			c.t.Errorf("%s writes an embedded ledger beside the connector", job.Name)
		}
	}
	if c.claim == nil || c.claim.Annotations[render.AnnotationBrandID] != c.brand.Spec.BrandID {
		c.t.Errorf("the ledger's claim is %+v", c.claim)
	}
	pod := &spec.Template.Spec
	volume := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "ledger" })
	if volume < 0 || pod.Volumes[volume].PersistentVolumeClaim == nil || pod.Volumes[volume].PersistentVolumeClaim.ClaimName != c.brand.Name+"-ledger" {
		c.t.Errorf("the ledger is on no claim of the brand's: %+v", pod.Volumes)
	}
	connector := pod.Containers[slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == render.ContainerName })]
	for _, mount := range connector.VolumeMounts {
		if mount.MountPath == "/var/lib/hexiao" && mount.Name == "ledger" && !mount.ReadOnly && mount.SubPath == "" && mount.SubPathExpr == "" {
			return
		}
	}
	c.t.Errorf("the connector does not record on its volume: %+v", connector.VolumeMounts)
}

// restricted demands what the restricted Pod Security Standard does, and no token.
func restricted(t *testing.T, who string, pod *corev1.PodSpec) {
	t.Helper()
	problem := func(format string, args ...any) { t.Errorf(who+": "+format, args...) }
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	if !is(pod.AutomountServiceAccountToken, false) {
		problem("a token is mounted")
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		problem("it is in a namespace of the host")
	}
	s := pod.SecurityContext
	if s == nil || !is(s.RunAsNonRoot, true) || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		problem("the Pods' security context is %+v", s)
	}
	for _, v := range pod.Volumes {
		if v.ConfigMap == nil && v.Projected == nil && v.EmptyDir == nil && v.PersistentVolumeClaim == nil {
			problem("volume %s is none of the kinds that are allowed", v.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if source.Secret == nil {
				problem("volume %s projects something that is no Secret: %+v", v.Name, source)
			}
		}
	}
	for _, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		s := c.SecurityContext
		if s == nil || !is(s.AllowPrivilegeEscalation, false) || !is(s.ReadOnlyRootFilesystem, true) || s.Privileged != nil || s.RunAsUser != nil ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			problem("container %s has the security context %+v", c.Name, s)
		}
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				problem("container %s has a port of the host", c.Name)
			}
		}
	}
}

// parts are what edits put together.
type parts struct {
	files [][]byte
	// brand, class and deployment are the places of the golden files' specs and of the
	// Deployments that came of them, each with a value.
	brand, class, deployment []place
}

// place is where a value stands: keys of objects, and elements of lists by what names them.
type place struct {
	path  []any // a string, or the map that names an element
	value any
}

func gather(f *testing.F) *parts {
	f.Helper()
	names, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no files under testdata (%v)", err)
	}
	p := &parts{}
	for _, name := range append(names, "../../config/samples/connectorclass.yaml") {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		brand, class, _ := documents(raw)
		p.brand = append(p.brand, places(nil, brand)...)
		p.class = append(p.class, places(nil, class)...)
		if brand == nil {
			continue
		}
		p.files = append(p.files, raw)
		golden, err := os.ReadFile(strings.Replace(name, ".in.", ".out.", 1))
		if err != nil {
			f.Fatal(err)
		}
		for _, doc := range bytes.Split(golden, []byte("---\n")) {
			var object map[string]any
			if yaml.Unmarshal(doc, &object) == nil && object["kind"] == "Deployment" {
				p.deployment = append(p.deployment, places([]any{"spec"}, object["spec"])...)
			}
		}
	}
	return p
}

// documents are the specs of the last brand and class in a file, with the brand's name
// beside its spec.
func documents(file []byte) (brand, class map[string]any, name string) {
	for _, doc := range bytes.Split(file, []byte("\n---\n")) {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     map[string]any
		}
		if yaml.Unmarshal(doc, &object) != nil {
			continue
		}
		switch object.Kind {
		case v1alpha1.KindBrandConnector:
			brand, name = object.Spec, object.Metadata.Name
		case v1alpha1.KindConnectorClass:
			class = object.Spec
		}
	}
	return brand, class, name
}

// places lists a value and all that is in it, in a fixed order.
func places(path []any, value any) []place {
	var all []place
	if len(path) > 0 {
		all = append(all, place{path, value})
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, places(append(slices.Clip(path), key), v[key])...)
		}
	case []any:
		for _, element := range v {
			if m, ok := element.(map[string]any); ok {
				all = append(all, places(append(slices.Clip(path), naming(m)), element)...)
			}
		}
	}
	return all
}

// naming is what tells an element of a list from the others when it is patched.
func naming(element map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range []string{"mountPath", "containerPort", "topologyKey", "whenUnsatisfiable", "name"} {
		if value, ok := element[key]; ok {
			out[key] = value
			if key != "topologyKey" {
				break
			}
		}
	}
	return out
}

// odd are values to put in the place of another one.
var odd = []any{
	nil, "", "x", "RollingUpdate", float64(0), float64(1), float64(2), float64(-1), 1e18, true, false, []any{}, []any{"x"}, []any{nil}, map[string]any{},
	map[string]any{"$patch": "replace"}, map[string]any{"$patch": "delete"}, map[string]any{"$patch": "merge"}, map[string]any{"$retainKeys": []any{"name", "emptyDir"}, "emptyDir": map[string]any{}},
	[]any{map[string]any{"$patch": "replace"}}, []any{map[string]any{"name": "connector"}}, []any{map[string]any{"name": "other", "image": "x"}},
	map[string]any{"team": "x"}, map[string]any{"app.kubernetes.io/name": "x"}, "http://a.b!c.svc:99999/", "1e30", "-5Mi", "0s", strings.Repeat("长", 90),
}

// twist puts values into objects: the first byte of four says into which, two say where, and
// the last one whether it is what a golden file has there, or which odd one.
func (p *parts) twist(edits []byte, brand, class, patch map[string]any) (classPatch map[string]any) {
	classPatch = map[string]any{}
	for n := 0; len(edits) >= 4 && n < 24; edits, n = edits[4:], n+1 {
		into, from := brand, p.brand
		switch edits[0] % 4 {
		case 1:
			into, from = class, p.class
		case 2:
			into, from = patch, p.deployment
		case 3:
			into, from = classPatch, p.deployment
		}
		at := from[(int(edits[1])<<8|int(edits[2]))%len(from)]
		value := at.value
		if v := int(edits[3]); v >= 128 {
			value = odd[(v-128)%len(odd)]
		}
		put(into, at.path, value)
	}
	return classPatch
}

// put sets a value deep inside an object, and makes what is missing on the way.
func put(into map[string]any, path []any, value any) {
	for i, step := range path {
		key, ok := step.(string)
		if !ok {
			continue
		}
		switch {
		case i == len(path)-1:
			into[key] = value
		case isNaming(path[i+1]):
			list, _ := into[key].([]any)
			name := path[i+1].(map[string]any)
			at := slices.IndexFunc(list, func(e any) bool {
				m, ok := e.(map[string]any)
				return ok && cmp.Equal(naming(m), name)
			})
			if at < 0 {
				list, at = append(slices.Clip(list), maps.Clone(name)), len(list)
				into[key] = list
			}
			if i+1 == len(path)-1 {
				list[at] = value
				return
			}
			into = list[at].(map[string]any)
		default:
			next, ok := into[key].(map[string]any)
			next = maps.Clone(next)
			if !ok {
				next = map[string]any{}
			}
			into[key] = next
			into = next
		}
	}
}

func isNaming(step any) bool { _, ok := step.(map[string]any); return ok }

// inputs makes a brand and a class that an API server could have stored. It is false for what
// is no brand at all.
func (p *parts) inputs(file, patch, edits []byte) (render.Inputs, bool) {
	in := render.Inputs{Installation: installation, Brand: &v1alpha1.BrandConnector{}}
	brand, class, name := documents(file)
	if brand == nil {
		return in, false
	}
	had := class != nil
	if !had {
		class = map[string]any{}
	}
	edited := map[string]any{}
	classEdited := p.twist(edits, brand, class, edited)
	if !decoded(brand, &in.Brand.Spec) {
		return in, false
	}
	in.Brand.Name = name
	switch {
	case len(patch) > 0:
		if !json.Valid(patch) {
			return in, false
		}
		in.Brand.Spec.Workload.Patch = &runtime.RawExtension{Raw: patch}
	case len(edited) > 0:
		in.Brand.Spec.Workload.Patch = extension(edited)
	}
	if !had && len(class) == 0 && len(classEdited) == 0 {
		return in, true
	}
	in.Class = &v1alpha1.ConnectorClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}}
	if !decoded(class, &in.Class.Spec) {
		return in, false
	}
	if len(classEdited) > 0 {
		in.Class.Spec.Workload.Patch = extension(classEdited)
	}
	return in, true
}

// decoded reads a spec as an API server does that drops what it does not know.
func decoded(from map[string]any, into any) bool {
	raw, err := json.Marshal(from)
	return err == nil && kjson.UnmarshalCaseSensitivePreserveInts(raw, into) == nil
}

func extension(patch map[string]any) *runtime.RawExtension {
	raw, err := json.Marshal(patch)
	if err != nil {
		panic(err) // only what JSON has comes here
	}
	return &runtime.RawExtension{Raw: raw}
}

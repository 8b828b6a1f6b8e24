// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/preview"
	"github.com/hexiao-dev/hexiao/controllers"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

const autoscaled = "  workload: {autoscaling: {minReplicas: 2, maxReplicas: 4}}\n"

func TestNothingDiffersFromWhatTheOperatorMade(t *testing.T) {
	w := newWorld(t)
	for name, spec := range map[string]string{
		"plain": "", "autoscaled": autoscaled,
		"exposed":   "  exposure: {hostname: pos.example.com, gatewayRef: {name: public}}\n",
		"scheduled": "  reconciliation: {schedule: '0 4 * * *'}\n  retention: {schedule: '0 5 * * *', olderThan: 400}\n",
	} {
		w.up(strings.Replace(onPostgres(spec), "xiaowang", name, 1))
		w.rollOut(name)
	}
	w.up(strings.Replace(brandFile, "xiaowang", "embedded", 1))
	code, out, errOut := w.run("diff")
	wantCode(t, 0, code, out, errOut)
	if n := strings.Count(out, ": no: the pod template stays the same\n"); n != 5 || strings.Count(out, "\n") != 5 {
		t.Errorf("%d of 5 brands stay the same, or more is said:\n%s", n, out)
	}
}

func TestDiffShowsWhatAFileWouldChange(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	w.rollOut("xiaowang")
	before := w.versions()
	for name, c := range map[string]struct {
		file string
		args []string
		code int
		want []string
		not  []string
	}{
		"another Secret to pull with": {file: onPostgres("  workload: {imagePullSecrets: [{name: mine}]}\n"), code: 1, want: []string{"-      - name: registry-of-the-flag\n+      - name: mine\n", ": YES: "}},
		"nothing":                     {file: onPostgres(""), want: []string{": no: the pod template stays the same"}, not: []string{"---"}},
		"another number of Pods, which no Pod notices": {file: onPostgres("  workload: {replicas: 3}\n"), code: 1,
			want: []string{"--- live  Deployment " + w.namespace + "/xiaowang\n+++ would Deployment " + w.namespace + "/xiaowang\n", "-  replicas: 2\n+  replicas: 3\n", ": no: "},
			not:  []string{"ConfigMap", "template-hash"}},
		"an autoscaler, to which the number of Pods passes": {file: onPostgres(autoscaled), code: 1,
			want: []string{"+kind: HorizontalPodAutoscaler", ": no: "}, not: []string{"replicas: 1", "ConfigMap"}},
		"fewer Pods, which need no budget": {file: onPostgres("  workload: {replicas: 1}\n"), code: 1,
			want: []string{"-kind: PodDisruptionBudget", ": no: "}},
		"the configuration": {file: onPostgres("  telemetry: {otlpEndpoint: 'http://otel.monitoring.svc:4318'}\n"), code: 1,
			want: []string{"live  ConfigMap", "+        otlpEndpoint: http://otel.monitoring.svc:4318", "+          kubernetes.io/metadata.name: monitoring",
				"connect.hexiao.dev/config-revision: " + preview.NewRevision, ": YES: the pod template changes (the configuration); the old Pods serve until the new ones are ready"},
			not: []string{"metadata.name: databases\n-", "port: 5432", "turn in the roll-out"}},
		"a setting of the Pods alone": {file: onPostgres("  workload: {priorityClassName: payments}\n"), code: 1,
			want: []string{": YES: the pod template changes (spec.priorityClassName)"}, not: []string{"ConfigMap", preview.NewRevision}},
		"the operator's next image": {args: []string{"xiaowang", "--image", "registry.example/hexiao/connector:next"}, code: 1,
			want: []string{"+        image: registry.example/hexiao/connector:next", "(spec.containers[connector].image", "the platform's change", "its turn in the roll-out"}, not: []string{"ConfigMap", preview.NewRevision}},
		"the operator's other flags": {args: []string{"xiaowang", "--client-namespace-labels", "team=tills"}, code: 1,
			want: []string{"-          team: gateways\n+          team: tills\n", ": no: "}},
		"a brand that is new": {file: strings.Replace(onPostgres(""), "xiaowang", "zhang", 1), code: 1,
			want: []string{"+kind: ServiceAccount", "+kind: Deployment", "+        image: " + operatorImage, "+          team: gateways", "the brand is new, and image " + operatorImage + " is taken from another brand of the namespace", "which is not read", ": YES: the brand's first Pods start"}},
		"what is immutable": {file: strings.Replace(onPostgres(""), "11342", "999", 1), code: exitNoDiff,
			want: []string{"PROBLEM", "spec.brandID is immutable"}},
		"what the API server refuses": {file: onPostgres("  workload: {patch: {spec: {minReadySeconds: -1}}}\n"), code: exitNoDiff,
			want: []string{"PROBLEM", "Deployment xiaowang", "spec.minReadySeconds"}},
		"a ledger that a class would move": {code: exitNoDiff, want: []string{"PROBLEM", "the ledger would move from postgres:pg/dsn to postgres:ledger/dsn:brand_xiaowang", "LedgerMoved"},
			file: strings.Replace(classFile, "name: default", "name: "+w.namespace, 1) + "---\n" + strings.Replace(brandFile, "  ledger: {embedded: {}}\n", "  connectorClassName: "+w.namespace+"\n", 1)},
		"a file that is wrong":       {file: strings.Replace(onPostgres(""), "ledger:", "leger:", 1), code: exitUsage, want: []string{`unknown field "spec.leger"`}},
		"a brand that is not there":  {args: []string{"nobody"}, code: exitNotFound, want: []string{`no BrandConnector "nobody"`}},
		"a file and a name":          {file: onPostgres(""), args: []string{"xiaowang"}, code: exitUsage, want: []string{"they say different things"}},
		"a class that is not there":  {file: onPostgres("  connectorClassName: gold\n"), code: exitUsage, want: []string{"there is no ConnectorClass gold here"}},
		"a connector of its own way": {args: []string{"--admin-url", "http://127.0.0.1:1"}, code: exitUsage, want: []string{"leave --admin-url out"}},
		"no API server":              {args: []string{"xiaowang", "--server", "https://127.0.0.1:1"}, code: exitNoDiff},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.api, w.namespace}
			args := append([]string{"diff"}, c.args...)
			if c.file != "" {
				args = append(args, "-f", w.file(c.file))
			}
			code, out, errOut := w.run(args...)
			wantCode(t, c.code, code, out, errOut)
			wantText(t, out+errOut, c.want...)
			for _, text := range append(c.not, "canary", "managedFields", "resourceVersion") {
				if strings.Contains(out+errOut, text) {
					t.Errorf("it says %q:\n%s%s", text, out, errOut)
				}
			}
		})
	}
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		t.Errorf("a diff changed something (-before +after):\n%s", diff)
	}
}

// versions are the versions of a brand's objects, by kind and name. The brand's own is
// told by all but its status, which the operator writes when it has something to say.
func (w *world) versions() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	for _, kind := range []schema.GroupVersionKind{live.BrandKind, render.DeploymentKind, render.ConfigMapKind, render.ServiceKind, render.BudgetKind,
		render.ServiceAccountKind, render.NetworkPolicyKind, render.AutoscalerKind} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		if err := w.api.List(w.t.Context(), list, client.InNamespace(w.namespace)); err != nil {
			w.t.Fatal(err)
		}
		for _, o := range list.Items {
			found[kind.Kind+" "+o.Name] = o.ResourceVersion
			if kind == live.BrandKind {
				found[kind.Kind+" "+o.Name] = fmt.Sprint(o.Generation, o.Labels, o.Annotations, o.Finalizers)
			}
		}
	}
	return found
}

// The operator takes it away when it next writes, which a dry run of that does not show.
func TestDiffSaysWhatSomebodyAdded(t *testing.T) {
	w := newWorld(t)
	b := w.up(onPostgres(""))
	w.rollOut("xiaowang")
	w.get("xiaowang", b)
	b.Spec.Suspend = true // else the operator takes it away at once
	if err := w.api.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.handled(b)
	d := &appsv1.Deployment{}
	w.get("xiaowang", d)
	before := d.DeepCopy()
	d.Spec.Template.Spec.HostNetwork = true
	d.Spec.Template.Spec.Containers[0].Env = append(d.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "DEBUG", Value: "1"})
	if err := w.api.Patch(t.Context(), d, client.MergeFrom(before), client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatal(err)
	}
	_, out, errOut := w.run("diff", "xiaowang")
	wantText(t, out+errOut, "Deployment xiaowang has fields that somebody added with kubectl", "spec.template.spec.hostNetwork", `env[name="DEBUG"].value`)
}

func TestDiffSaysWhoseAnObjectIs(t *testing.T) {
	w := newWorld(t)
	w.create(&corev1.Service{ObjectMeta: w.meta("xiaowang"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}}})
	code, out, errOut := w.run("diff", "-f", w.file(onPostgres("")))
	wantCode(t, exitNoDiff, code, out, errOut)
	wantText(t, out, "PROBLEM", "Service xiaowang: it exists and belongs to nobody that the operator knows", "NotOwned")
	if strings.Contains(out, "--- live  Service ") {
		t.Errorf("it would change somebody else's Service:\n%s", out)
	}
}

// A class that is in the cluster, and then the next version of it in a file.
func TestDiffShowsWhatAClassWouldChange(t *testing.T) {
	w := newWorld(t)
	class := strings.Replace(classFile, "name: default", "name: "+w.namespace, 1)
	c := &v1alpha1.ConnectorClass{}
	if err := v1alpha1.Decode([]byte(class), c); err != nil {
		t.Fatal(err)
	}
	w.create(c)
	w.create(w.secret("ledger", map[string]string{"dsn": "postgres://u:p@pg:5432/l"}))
	brand := strings.Replace(brandFile, "  ledger: {embedded: {}}\n", "  connectorClassName: "+w.namespace+"\n", 1)
	w.up(brand)
	code, out, errOut := w.run("diff")
	wantCode(t, 0, code, out, errOut)
	code, out, errOut = w.run("diff", "-f", w.file(brand))
	wantCode(t, 0, code, out, errOut)

	next := w.file(strings.Replace(class, "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 1))
	code, out, errOut = w.run("diff", "-f", next, "-f", w.file(brand), "--image", "registry.example/of-no-use:1")
	wantCode(t, 1, code, out, errOut)
	wantText(t, out, "+        image: registry.example/hexiao/connector@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "--image changes nothing: ConnectorClass "+w.namespace+" gives the image",
		": YES: the pod template changes (spec.containers[connector].image)", "its turn in the roll-out")
}

func TestDiffTellsAProgram(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	code, out, errOut := w.run("diff", "-f", w.file(onPostgres("  workload: {replicas: 3}\n")), "-o", "json")
	wantCode(t, 1, code, out, errOut)
	var got struct{ Brands []preview.Preview }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	b := got.Brands[0]
	if len(b.Differences) != 1 || b.Differences[0].Kind != "Deployment" || b.Differences[0].Action != preview.Change || b.Restart.Pods {
		t.Errorf("%+v", b)
	}
}

// developers are the rights of a brand's team in its namespace: brands and their objects,
// no Secret, and no ConnectorClass, which no Role can give.
var developers = []rbacv1.PolicyRule{
	{APIGroups: []string{"connect.hexiao.dev"}, Resources: []string{"brandconnectors"}, Verbs: []string{"get", "list", "create", "patch"}},
	{APIGroups: []string{"", "apps", "policy", "autoscaling", "networking.k8s.io", "gateway.networking.k8s.io", "batch"},
		Resources: []string{"serviceaccounts", "configmaps", "services", "persistentvolumeclaims", "deployments", "poddisruptionbudgets", "horizontalpodautoscalers", "networkpolicies", "ingresses", "httproutes", "cronjobs"},
		Verbs:     []string{"get", "list", "create", "patch"}},
}

func TestDiffNeedsNoRightToReadSecretsOrClasses(t *testing.T) {
	w := newWorld(t)
	class := &v1alpha1.ConnectorClass{}
	if err := v1alpha1.Decode([]byte(strings.Replace(classFile, "name: default", "name: "+w.namespace, 1)), class); err != nil {
		t.Fatal(err)
	}
	w.create(class)
	w.create(w.secret("ledger", map[string]string{"dsn": "postgres://u:p@pg:5432/l"}))
	w.up(onPostgres(""))
	classy := strings.Replace(strings.Replace(brandFile, "  ledger: {embedded: {}}\n", "  connectorClassName: "+w.namespace+"\n", 1), "name: xiaowang", "name: classy", 1)
	w.up(classy)
	w.role("developer", developers...)
	const none = "you may not read ConnectorClasses: the brand is shown without one"
	for name, c := range map[string]struct {
		file string
		args []string
		code int
		want []string
	}{
		"a brand that uses none": {args: []string{"xiaowang"}, want: []string{none + ", because the operator used none when it looked last", ": no: the pod template stays the same"}},
		"a change of it": {file: onPostgres("  telemetry: {logLevel: debug}\n"), code: 1,
			want: []string{none, ": YES: the pod template changes (the configuration)"}},
		"a new brand": {file: strings.Replace(onPostgres(""), "name: xiaowang", "name: newcomer", 1), code: 1,
			want: []string{none + `; if there is one called "default", it gives values that are not shown`, "the brand's first Pods start"}},
		"a brand that uses one": {args: []string{"classy"}, code: exitNoDiff,
			want: []string{"PROBLEM  " + w.namespace + "/classy: it cannot be compared: ConnectorClass " + w.namespace + " gives values to the brand", "ask the platform team"}},
		"a file that names one":            {file: classy, code: exitNoDiff, want: []string{"it cannot be compared"}},
		"all of them, of which one cannot": {code: exitNoDiff, want: []string{"it cannot be compared", "/xiaowang: no: the pod template stays the same"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.api, w.namespace}
			args := append([]string{"diff", "--as", "developer"}, c.args...)
			if c.file != "" {
				args = append(args, "-f", w.file(c.file))
			}
			w.eventually(func() string { // until the authorizer has heard of the role
				code, out, errOut := w.run(args...)
				if code != c.code {
					return fmt.Sprintln(code, out, errOut)
				}
				for _, text := range c.want {
					if !strings.Contains(out+errOut, text) {
						return fmt.Sprintf("it does not say %q:\n%s%s", text, out, errOut)
					}
				}
				return ""
			})
		})
	}
}

// A class that somebody deleted is the problem of its brands, not of the others.
func TestDiffGoesOnWhereAClassIsMissing(t *testing.T) {
	w := newWorld(t)
	w.up(onPostgres(""))
	b := &v1alpha1.BrandConnector{}
	if err := v1alpha1.Decode([]byte(strings.Replace(onPostgres("  connectorClassName: gold\n"), "name: xiaowang", "name: zhang", 1)), b); err != nil {
		t.Fatal(err)
	}
	b.Namespace = w.namespace
	w.create(b)
	code, out, errOut := w.run("diff")
	wantCode(t, exitNoDiff, code, out, errOut)
	wantText(t, out, `/zhang: there is no ConnectorClass "gold"`, "ClassNotFound", "/xiaowang: no: the pod template stays the same")
}

// What a new brand gets is what the installed operator's flags give.
func TestDiffOfANewBrandAsksTheOperatorsDeployment(t *testing.T) {
	w := newWorld(t)
	w.operatorDeployment("--connector-image=registry.example/of-the-flags:7", "--connector-image-pull-policy=Always", "--connector-image-pull-secrets=registry-a,registry-b", "--client-namespace-labels=team=gateways", "--watch-namespaces="+w.namespace)
	w.role("developer", developers...)
	file := w.file(onPostgres(""))
	code, out, errOut := w.run("diff", "-f", file)
	wantCode(t, 1, code, out, errOut)
	wantText(t, out, "image: registry.example/of-the-flags:7", "imagePullPolicy: Always", "team: gateways", "name: registry-b",
		"image registry.example/of-the-flags:7 is taken from the flags of the installed operator, "+w.namespace+"/hexiao-manager")
	code, out, errOut = w.run("diff", "-f", file, "--image", "mine:1")
	wantCode(t, 1, code, out, errOut)
	wantText(t, out, "image: mine:1")
	w.eventually(func() string {
		_, out, errOut := w.run("diff", "-f", file, "--as", "developer")
		if !strings.Contains(out, "image "+defaultImage+" is taken from this plugin's version, because no operator's Deployment could be read") {
			return out + errOut
		}
		return ""
	})
}

func TestDiffAppliesAsTheOperatorDoes(t *testing.T) {
	if preview.Operator != controllers.FieldManager {
		t.Errorf("diff applies as %q, the operator as %q", preview.Operator, controllers.FieldManager)
	}
}

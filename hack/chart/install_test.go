// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/hack/freeport"
)

var (
	brandKind = schema.GroupVersionKind{Group: "connect.hexiao.dev", Version: "v1alpha1", Kind: "BrandConnector"}
	crdKind   = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
)

// TestAnInstallationComesAndGoesAndLeavesNothingStuck installs the chart, runs the operator as
// the chart would, with the chart's arguments and no right but those that the chart gives, and
// takes the operator away before its brands.
func TestAnInstallationComesAndGoesAndLeavesNothingStuck(t *testing.T) {
	api := startServer(t)
	api.createNamespaces(t, namespace, "brands")
	notes := api.helm(t, "", "install", release, operatorChart, "--namespace", namespace)
	for _, text := range []string{"runs brands in every namespace", "kubectl --namespace hexiao-system rollout status deployment/hexiao-manager", "kubectl get connectorclasses", "Uninstalling keeps the CRDs"} {
		if !strings.Contains(notes, text) {
			t.Errorf("the notes lack %q:\n%s", text, notes)
		}
	}

	stop := api.runOperator(t)
	api.createBrand(t, "brands")
	eventually(t, func() error {
		return api.has(t, appsv1.SchemeGroupVersion.WithKind("Deployment"), "brands", "xiaowang")
	})
	eventually(t, func() error { return api.reported(t, "brands") })
	api.checkOperator(t)
	stop()

	ours := api.everything(t, "brands")
	if len(ours) < 6 {
		t.Fatalf("the brand has only %d objects", len(ours))
	}
	api.helm(t, "", "uninstall", release, "--namespace", namespace)
	for _, object := range api.everything(t, namespace) {
		if name := object.GetName(); name != "hexiao-revision-key" && object.GetKind() != "Lease" {
			t.Errorf("the release has left %s %s", object.GetKind(), name)
		}
	}
	api.wantNoClusterRoles(t)
	must(t, api.has(t, brandKind, "brands", "xiaowang"))

	for _, object := range api.everything(t, "brands") {
		if own := finalizers(object); len(own) > 0 {
			t.Errorf("%s %s would wait for %q", object.GetKind(), object.GetName(), own)
		}
	}
	must(t, api.Delete(t.Context(), object(brandKind, "brands", "xiaowang")))
	for _, child := range ours {
		if child.GetKind() == "BrandConnector" {
			continue
		}
		retained := child.GetKind() == "PersistentVolumeClaim"
		if owned := len(child.GetOwnerReferences()) == 1 && child.GetOwnerReferences()[0].Name == "xiaowang"; owned == retained {
			t.Errorf("%s %s has the owners %v", child.GetKind(), child.GetName(), child.GetOwnerReferences())
		}
		// What the garbage collector does, which is not here. The claim's protection is Kubernetes' own.
		if !retained {
			must(t, api.Delete(t.Context(), child))
		}
	}
	for _, left := range api.everything(t, "brands") {
		if left.GetKind() != "PersistentVolumeClaim" {
			t.Errorf("%s %s is stuck", left.GetKind(), left.GetName())
		}
	}
	crds := api.crds(t)
	for _, crd := range crds {
		must(t, api.Delete(t.Context(), crd))
	}
	eventually(t, func() error { return want(len(api.crds(t)) == 0, "the CRDs are stuck") })
}

// TestNamespacedModeNeedsNothingOfTheCluster gives the operator Roles in one namespace, and has the CRDs of the other chart.
func TestNamespacedModeNeedsNothingOfTheCluster(t *testing.T) {
	api := startServer(t)
	api.createNamespaces(t, namespace, "brands-a", "brands-b", "others")
	api.helm(t, "", "install", "hexiao-crds", crdChart, "--namespace", namespace)
	notes := api.helm(t, namespaced, "install", release, operatorChart, "--namespace", namespace, "--values", "-")
	for _, text := range []string{"runs brands in the namespaces brands-a, brands-b", "ConnectorClasses are not read", "The CRDs are not this release's"} {
		if !strings.Contains(notes, text) {
			t.Errorf("the notes lack %q:\n%s", text, notes)
		}
	}
	api.wantNoClusterRoles(t)

	stop := api.runOperator(t)
	api.createBrand(t, "others")
	for _, name := range []string{"brands-a", "brands-b"} {
		api.createBrand(t, name)
		eventually(t, func() error { return api.has(t, appsv1.SchemeGroupVersion.WithKind("Deployment"), name, "xiaowang") })
		eventually(t, func() error { return api.reported(t, name) })
	}
	api.checkOperator(t)
	stop()
	if err := api.has(t, appsv1.SchemeGroupVersion.WithKind("Deployment"), "others", "xiaowang"); err == nil {
		t.Error("the operator runs a brand of a namespace that is not its own")
	}

	// With classes it needs the one ClusterRole that comes with them.
	api.helm(t, namespaced+"connectorClasses: {enabled: true}\nconnectorClass: {create: true, spec: {image: registry.example/connector}}\n",
		"upgrade", release, operatorChart, "--namespace", namespace, "--values", "-")
	stop = api.runOperator(t)
	eventually(t, func() error {
		o := object(brandKind, "brands-a", "xiaowang")
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		class, _, err := unstructured.NestedString(o.Object, "status", "resolved", "connectorClassName")
		return errors.Join(err, want(class == "default", "the brand has the class %q", class))
	})
	stop()
}

// TestRolesThatSomebodyElseMakesAreEnough does what the guide tells where Helm may not make roles.
func TestRolesThatSomebodyElseMakesAreEnough(t *testing.T) {
	api := startServer(t)
	api.createNamespaces(t, namespace, "brands")
	for _, object := range render(t, operatorChart, "", "--show-only", "templates/rbac.yaml") {
		must(t, api.Create(t.Context(), object))
	}
	api.helm(t, "", "install", release, operatorChart, "--namespace", namespace,
		"--set", "rbac.create=false,rbac.aggregate=false,serviceAccount.create=false,serviceAccount.name=hexiao-manager")
	stop := api.runOperator(t)
	api.createBrand(t, "brands")
	eventually(t, func() error { return api.reported(t, "brands") })
	api.checkOperator(t)
	stop()
	api.helm(t, "", "uninstall", release, "--namespace", namespace)
	for _, kind := range []string{"Role", "RoleBinding"} {
		must(t, api.has(t, rbacv1.SchemeGroupVersion.WithKind(kind), namespace, "hexiao-manager"))
	}
}

// TestTheCRDsAreOneReleasesAtATime goes through the ways to have the CRDs, one after the other at one API server.
func TestTheCRDsAreOneReleasesAtATime(t *testing.T) {
	api := startServer(t)
	api.createNamespaces(t, namespace, "brands")

	t.Run("nobody's: the notes warn", func(t *testing.T) {
		notes := api.helm(t, "", "install", release, operatorChart, "--namespace", namespace, "--set", "crds.enabled=false")
		if !strings.Contains(notes, "WARNING: they are missing") {
			t.Errorf("the notes do not tell that there are no CRDs:\n%s", notes)
		}
		api.helm(t, "", "uninstall", release, "--namespace", namespace)
	})

	for _, chart := range []struct{ name, values string }{{operatorChart, "crds: {keep: false}"}, {crdChart, "keep: false"}} {
		t.Run("not kept by "+chart.name+": the notes warn", func(t *testing.T) {
			notes := api.helm(t, chart.values, "install", release, chart.name, "--namespace", namespace, "--values", "-")
			if !strings.Contains(notes, "WARNING") || !strings.Contains(notes, "deletes every brand") {
				t.Errorf("the notes lack a warning:\n%s", notes)
			}
			api.helm(t, "", "uninstall", release, "--namespace", namespace, "--wait")
			eventually(t, func() error { return want(len(api.crds(t)) == 0, "the CRDs are still there") })
		})
	}

	t.Run("from the operator's release to one of their own, and no brand is lost", api.changeHands)
}

// changeHands does what the guide tells.
func (s *server) changeHands(t *testing.T) {
	s.helm(t, "", "install", release, operatorChart, "--namespace", namespace)
	s.createBrand(t, "brands")
	before := object(brandKind, "brands", "xiaowang")
	must(t, s.Get(t.Context(), client.ObjectKeyFromObject(before), before))

	notes := s.helm(t, "", "upgrade", release, operatorChart, "--namespace", namespace, "--set", "crds.enabled=false")
	if strings.Contains(notes, "WARNING") {
		t.Errorf("the notes warn, though the CRDs are there:\n%s", notes)
	}
	s.helm(t, "", "install", "hexiao-crds", crdChart, "--namespace", namespace, "--take-ownership")
	for _, crd := range s.crds(t) {
		if owner := crd.GetAnnotations()["meta.helm.sh/release-name"]; owner != "hexiao-crds" {
			t.Errorf("%s belongs to %s", crd.GetName(), owner)
		}
	}
	// From here on the CRDs are upgraded by their own chart, and do not go with either.
	s.helm(t, "", "upgrade", "hexiao-crds", crdChart, "--namespace", namespace)
	s.helm(t, "", "uninstall", release, "--namespace", namespace)
	s.helm(t, "", "uninstall", "hexiao-crds", "--namespace", namespace)
	after := object(brandKind, "brands", "xiaowang")
	must(t, s.Get(t.Context(), client.ObjectKeyFromObject(after), after))
	if before.GetUID() != after.GetUID() || after.GetDeletionTimestamp() != nil {
		t.Errorf("the brand was %s and is %s, to be deleted at %v", before.GetUID(), after.GetUID(), after.GetDeletionTimestamp())
	}
}

// operatorProgram builds the operator from this checkout, once for all tests.
var operatorProgram = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "manager")
	build := exec.Command("go", "build", "-o", program, "./cmd/manager")
	build.Dir = string(checkout)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the operator: %w\n%s", err, out)
	}
	return program, nil
})

// scratch is a directory that lives as long as the tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "hexiao-chart-"); err != nil {
		fmt.Fprintln(os.Stderr, "make a directory:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, "take the directory away:", err)
		code = 1
	}
	os.Exit(code)
}

func buildOperator(t *testing.T) string {
	t.Helper()
	program, err := operatorProgram()
	must(t, err)
	return program
}

// runOperator runs the operator as the installed Deployment says: with its arguments, and as
// its service account, by impersonation. It returns how to stop it.
func (s *server) runOperator(t *testing.T) (stop func()) {
	t.Helper()
	deployment := &appsv1.Deployment{}
	must(t, s.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "hexiao-manager"}, deployment))
	pod := deployment.Spec.Template.Spec
	s.awaitRights(t, pod.ServiceAccountName)
	probes := freeport.Address(t)
	cmd := exec.Command(buildOperator(t), append(slices.Clone(pod.Containers[0].Args), "--metrics-bind-address=0", "--health-probe-bind-address="+probes)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfigOf(t, pod.ServiceAccountName), "POD_NAMESPACE="+namespace)
	logFile, err := os.Create(filepath.Join(t.TempDir(), "operator.log"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		must(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := <-ended; err != nil {
			t.Errorf("the operator ended with %v", err)
		}
		raw, err := os.ReadFile(logFile.Name())
		must(t, err)
		if t.Failed() || strings.Contains(string(raw), "forbidden") {
			t.Errorf("the operator wrote:\n%s", raw)
		}
	})
	t.Cleanup(stop)
	return stop
}

// checkOperator does what helm test does: it runs the operator's check with the arguments and
// the rights that the chart gives it.
func (s *server) checkOperator(t *testing.T) {
	t.Helper()
	hooks, err := helmIn(t, s.kubeconfig, "", "get", "hooks", release, "--namespace", namespace)
	must(t, err)
	pod := one[corev1.Pod](t, parse(t, hooks), "Pod").Spec
	cmd := exec.CommandContext(t.Context(), buildOperator(t), pod.Containers[0].Args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfigOf(t, pod.ServiceAccountName), "POD_NAMESPACE="+namespace)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "has just renewed the lease") {
		t.Errorf("the check ended with %v and\n%s", err, out)
	}
}

// kubeconfigOf is the administrator's, who acts as a service account: what it may do is what the chart's roles say.
func (s *server) kubeconfigOf(t *testing.T, account string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(s.kubeconfig)
	must(t, err)
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":" + account
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, clientcmd.WriteToFile(*config, file))
	return file
}

// awaitRights waits until the authorizer has heard of all roles that are bound to a service
// account.
func (s *server) awaitRights(t *testing.T, account string) {
	t.Helper()
	bound := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(o rbacv1.Subject) bool {
			return o.Kind == rbacv1.ServiceAccountKind && o.Namespace == namespace && o.Name == account
		})
	}
	clusterwide, local := &rbacv1.ClusterRoleBindingList{}, &rbacv1.RoleBindingList{}
	must(t, errors.Join(s.List(t.Context(), clusterwide), s.List(t.Context(), local)))
	for _, b := range clusterwide.Items {
		if bound(b.Subjects) {
			s.awaitRules(t, account, "", b.RoleRef)
		}
	}
	for _, b := range local.Items {
		if bound(b.Subjects) {
			s.awaitRules(t, account, b.Namespace, b.RoleRef)
		}
	}
}

// awaitRules waits for the rules of one role; the namespace is empty where they hold in all.
func (s *server) awaitRules(t *testing.T, account, in string, ref rbacv1.RoleRef) {
	t.Helper()
	var rules []rbacv1.PolicyRule
	if ref.Kind == "ClusterRole" {
		role := &rbacv1.ClusterRole{}
		must(t, s.Get(t.Context(), client.ObjectKey{Name: ref.Name}, role))
		rules = role.Rules
	} else {
		role := &rbacv1.Role{}
		must(t, s.Get(t.Context(), client.ObjectKey{Namespace: in, Name: ref.Name}, role))
		rules = role.Rules
	}
	for _, rule := range rules {
		if len(rule.Resources) == 0 {
			continue
		}
		resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
		asked := authorizationv1.ResourceAttributes{Namespace: in, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: resource, Subresource: subresource}
		if len(rule.ResourceNames) > 0 {
			asked.Name = rule.ResourceNames[0]
		}
		eventually(t, func() error {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + namespace + ":" + account, ResourceAttributes: &asked}}
			err := s.Create(t.Context(), review)
			return errors.Join(err, want(review.Status.Allowed, "%s may not %s %s yet", account, asked.Verb, asked.Resource))
		})
	}
}

// createBrand makes the sample brand with its Secrets.
func (s *server) createBrand(t *testing.T, namespace string) {
	t.Helper()
	for _, file := range []string{"credentials.yaml", "xiaowang.yaml"} {
		raw, err := checkout.read("config/samples/" + file)
		must(t, err)
		for _, object := range parse(t, string(raw)) {
			object.SetNamespace(namespace)
			// A CRD that has just been installed is not served at once.
			eventually(t, func() error { return s.Create(t.Context(), object.DeepCopy()) })
		}
	}
}

func object(kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func (s *server) has(t *testing.T, kind schema.GroupVersionKind, namespace, name string) error {
	t.Helper()
	o := object(kind, namespace, name)
	return s.Get(t.Context(), client.ObjectKeyFromObject(o), o)
}

// reported says what is wrong unless the operator has written the brand's status.
func (s *server) reported(t *testing.T, namespace string) error {
	t.Helper()
	o := object(brandKind, namespace, "xiaowang")
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	observed, _, err := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	if err != nil {
		return err
	}
	return want(observed == o.GetGeneration(), "the brand's status is of generation %d", observed)
}

func (s *server) crds(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return s.list(t, crdKind, "")
}

// everything is all that lies in a namespace, but for Events, what every namespace has, and what the tests made.
func (s *server) everything(t *testing.T, namespace string) []*unstructured.Unstructured {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(s.config)
	must(t, err)
	resources, err := discovery.ServerPreferredNamespacedResources(d)
	must(t, err)
	var found []*unstructured.Unstructured
	for _, list := range resources {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || resource.Kind == "Event" {
				continue
			}
			for _, object := range s.list(t, group.WithKind(resource.Kind), namespace) {
				sample := object.GetKind() == "Secret" && strings.HasPrefix(object.GetName(), "xiaowang-")
				if object.GetName() != "kube-root-ca.crt" && object.GetName() != "default" && !sample {
					found = append(found, object)
				}
			}
		}
	}
	return found
}

func (s *server) list(t *testing.T, kind schema.GroupVersionKind, namespace string) []*unstructured.Unstructured {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	must(t, s.List(t.Context(), list, client.InNamespace(namespace)))
	var found []*unstructured.Unstructured
	for i := range list.Items {
		ofOurs := kind != crdKind || strings.HasSuffix(list.Items[i].GetName(), ".connect.hexiao.dev")
		if ofOurs {
			found = append(found, &list.Items[i])
		}
	}
	return found
}

// wantNoClusterRoles wants that the operator has nothing in the cluster's own roles.
func (s *server) wantNoClusterRoles(t *testing.T) {
	t.Helper()
	roles := &rbacv1.ClusterRoleList{}
	must(t, s.List(t.Context(), roles, client.MatchingLabels{"app.kubernetes.io/part-of": "hexiao"}))
	for _, role := range roles.Items {
		t.Errorf("there is a ClusterRole %s", role.Name)
	}
	bindings := &rbacv1.ClusterRoleBindingList{}
	must(t, s.List(t.Context(), bindings, client.MatchingLabels{"app.kubernetes.io/part-of": "hexiao"}))
	for _, binding := range bindings.Items {
		t.Errorf("there is a ClusterRoleBinding %s", binding.Name)
	}
}

// finalizers are those of an object that somebody besides Kubernetes itself would have to take away.
func finalizers(object *unstructured.Unstructured) []string {
	return slices.DeleteFunc(object.GetFinalizers(), func(f string) bool { return f == "kubernetes.io/pvc-protection" })
}

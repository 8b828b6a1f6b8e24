// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers"
)

const (
	operatorNamespace = "hexiao-system"
	operatorUser      = "system:serviceaccount:" + operatorNamespace + ":hexiao-manager"
	namespacedUser    = "system:serviceaccount:" + operatorNamespace + ":namespaced"
)

// documents reads the objects of a YAML file.
func documents(file string) ([]*unstructured.Unstructured, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, doc := range bytes.Split(raw, []byte("---\n")) {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &u.Object); err != nil {
			return nil, err
		}
		if u.Object != nil {
			all = append(all, u)
		}
	}
	return all, nil
}

// grantRoles gives the operator's user the roles of config/rbac.
func grantRoles(ctx context.Context) error {
	if err := api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}); err != nil {
		return err
	}
	for _, file := range []string{"../config/rbac/role.yaml", "../config/rbac/bindings.yaml", "../config/rbac/users.yaml"} {
		objects, err := documents(file)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := api.Create(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

type access struct{ verb, group, resource, subresource, namespace, name string }

func allowed(t *testing.T, user string, a access) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: a.verb, Group: a.group, Resource: a.resource,
			Subresource: a.subresource, Namespace: a.namespace, Name: a.name},
	}}
	must(t, api.Create(t.Context(), review))
	return review.Status.Allowed
}

func TestWhatTheOperatorMayNotDo(t *testing.T) {
	const brands = "some-namespace"
	tests := map[string]access{
		"change a user's Secret":             {verb: "update", resource: "secrets", namespace: brands},
		"patch a user's Secret":              {verb: "patch", resource: "secrets", namespace: brands},
		"create a Secret at a user's":        {verb: "create", resource: "secrets", namespace: brands},
		"delete a Secret":                    {verb: "delete", resource: "secrets", namespace: brands},
		"delete its own key":                 {verb: "delete", resource: "secrets", namespace: operatorNamespace, name: controllers.RevisionKeySecret},
		"delete a ledger":                    {verb: "delete", resource: "persistentvolumeclaims", namespace: brands},
		"change a brand":                     {verb: "update", group: v1alpha1.Group, resource: "brandconnectors", namespace: brands},
		"patch a brand":                      {verb: "patch", group: v1alpha1.Group, resource: "brandconnectors", namespace: brands},
		"delete a brand":                     {verb: "delete", group: v1alpha1.Group, resource: "brandconnectors", namespace: brands},
		"put a finalizer on a brand":         {verb: "update", group: v1alpha1.Group, resource: "brandconnectors", subresource: "finalizers", namespace: brands},
		"run a command in a Pod":             {verb: "create", resource: "pods", subresource: "exec", namespace: brands},
		"create a Pod":                       {verb: "create", resource: "pods", namespace: brands},
		"run a Job":                          {verb: "create", group: "batch", resource: "jobs", namespace: brands},
		"delete all CronJobs at once":        {verb: "deletecollection", group: "batch", resource: "cronjobs", namespace: brands},
		"ask for a token":                    {verb: "create", resource: "serviceaccounts", subresource: "token", namespace: brands},
		"bind a role":                        {verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings", namespace: brands},
		"escalate a role":                    {verb: "escalate", group: "rbac.authorization.k8s.io", resource: "clusterroles"},
		"impersonate":                        {verb: "impersonate", resource: "users"},
		"read nodes":                         {verb: "get", resource: "nodes"},
		"delete a Deployment":                {verb: "delete", group: "apps", resource: "deployments", namespace: brands},
		"delete a Service":                   {verb: "delete", resource: "services", namespace: brands},
		"delete a ConfigMap":                 {verb: "delete", resource: "configmaps", namespace: brands},
		"delete all Deployments at once":     {verb: "deletecollection", group: "apps", resource: "deployments", namespace: brands},
		"change a CRD":                       {verb: "update", group: "apiextensions.k8s.io", resource: "customresourcedefinitions"},
		"take another operator's lease away": {verb: "delete", group: "coordination.k8s.io", resource: "leases", namespace: operatorNamespace},
		"lead from another namespace":        {verb: "create", group: "coordination.k8s.io", resource: "leases", namespace: brands},
		"attach to a Gateway by changing it": {verb: "patch", group: "gateway.networking.k8s.io", resource: "gateways", namespace: brands},
		"everything":                         {verb: "*", group: "*", resource: "*"},
	}
	for name, a := range tests {
		t.Run(name, func(t *testing.T) {
			if allowed(t, operatorUser, a) {
				t.Errorf("%+v is allowed", a)
			}
		})
	}
	if !allowed(t, operatorUser, access{verb: "patch", group: "apps", resource: "deployments", namespace: brands}) {
		t.Error("not even a Deployment can be applied: the table proves nothing")
	}
}

func TestAnOperatorOfOneNamespaceNeedsNoClusterRole(t *testing.T) {
	w := newWorld(t)
	roles, err := documents("../config/rbac/role.yaml")
	must(t, err)
	// As the chart does in namespaced mode: the same rules, as a Role.
	role := &rbacv1.Role{ObjectMeta: w.meta("hexiao-manager-brands")}
	for _, r := range roles {
		if r.GetKind() == "ClusterRole" {
			raw, err := yaml.Marshal(r.Object)
			must(t, err)
			var cluster rbacv1.ClusterRole
			must(t, yaml.Unmarshal(raw, &cluster))
			role.Rules = cluster.Rules
		}
	}
	w.create(role)
	w.create(&rbacv1.RoleBinding{ObjectMeta: w.meta("hexiao-manager-brands"),
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: operatorNamespace, Name: "namespaced"}}})

	w.eventually(func() string { // the API server's authorizer reads roles from a cache
		if !allowed(t, namespacedUser, access{verb: "patch", group: "apps", resource: "deployments", namespace: w.namespace}) {
			return "the Role allows nothing yet"
		}
		return ""
	})

	other := newWorld(t)
	for _, a := range []access{
		{verb: "list", resource: "secrets"}, // in the whole cluster
		{verb: "get", resource: "secrets", namespace: other.namespace},
		{verb: "list", group: v1alpha1.Group, resource: "brandconnectors", namespace: other.namespace},
		{verb: "patch", group: "apps", resource: "deployments", namespace: other.namespace},
	} {
		if allowed(t, namespacedUser, a) {
			t.Errorf("%+v is allowed", a)
		}
	}

	config := rest.CopyConfig(config)
	config.Impersonate.UserName = namespacedUser
	answers := &answerCounter{seen: map[string]int{}}
	config.WrapTransport = answers.wrap
	ctx, cancel := context.WithCancel(t.Context())
	mgr, err := newOperator(ctx, config, prometheus.NewRegistry(), part{namespaces: []string{w.namespace}, ofFleet: true, image: testImage})
	must(t, err)
	done := start(ctx, mgr)
	t.Cleanup(func() { cancel(); <-done })

	sync, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	if !mgr.GetCache().WaitForCacheSync(sync) {
		t.Fatal("with a Role in its namespace alone, the operator's cache does not fill")
	}
	w.create(w.brand("xiaowang", w.ofShard("tenant"))) // which the suite's operator leaves alone
	w.eventually(func() string {
		if n := answers.of("PATCH 201"); n < len(children()) {
			return fmt.Sprintf("%d objects made", n)
		}
		return ""
	})
	for _, method := range []string{"GET", "PATCH", "POST", "DELETE"} {
		if n := answers.of(method + " 403"); n > 0 {
			t.Errorf("%d requests by %s were forbidden", n, method)
		}
	}
}

// answerCounter counts requests by method and status code.
type answerCounter struct {
	mu   sync.Mutex
	seen map[string]int
}

func (a *answerCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			a.mu.Lock()
			a.seen[fmt.Sprintf("%s %d", req.Method, resp.StatusCode)]++
			a.mu.Unlock()
		}
		return resp, err
	})
}

func (a *answerCounter) of(key string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[key]
}

func TestTheInstallationsKeyIsMadeOnce(t *testing.T) {
	scheme, err := controllers.Scheme()
	must(t, err)
	config := rest.CopyConfig(config)
	config.Impersonate.UserName = operatorUser
	c, err := client.New(config, client.Options{Scheme: scheme})
	must(t, err)
	first, err := controllers.RevisionKey(t.Context(), c, operatorNamespace)
	must(t, err)
	second, err := controllers.RevisionKey(t.Context(), c, operatorNamespace)
	must(t, err)
	if len(first) != 32 || string(first) != string(second) {
		t.Errorf("keys of %d and %d bytes differ", len(first), len(second))
	}
}

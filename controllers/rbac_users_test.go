// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
)

// aggregated makes the cluster's roles view, edit and admin of those that are labelled for
// them, as Kubernetes' controller does, which the suite does not run.
func aggregated(t *testing.T, w *world) map[string]string {
	t.Helper()
	var roles rbacv1.ClusterRoleList
	must(t, api.List(t.Context(), &roles))
	users, below := map[string]string{}, []rbacv1.PolicyRule{}
	for _, name := range []string{"view", "edit", "admin"} {
		for _, role := range roles.Items {
			if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+name] == "true" && strings.HasPrefix(role.Name, "hexiao-") {
				below = append(below, role.Rules...)
			}
		}
		// edit is aggregated to admin, and view to edit.
		made := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + name}, Rules: append([]rbacv1.PolicyRule(nil), below...)}
		w.create(made)
		t.Cleanup(func() { _ = api.Delete(t.Context(), made) })
		users[name] = w.namespace + "-" + name
		w.create(&rbacv1.RoleBinding{ObjectMeta: w.meta(name),
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: made.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: users[name]}}})
	}
	for _, name := range []string{"hexiao-class-viewer", "hexiao-platform-admin"} {
		users[name] = w.namespace + "-" + name
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: users[name]},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: users[name]}}}
		w.create(binding)
		t.Cleanup(func() { _ = api.Delete(t.Context(), binding) })
	}
	return users
}

func TestWhatPeopleMayDo(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	users := aggregated(t, w)
	waitUntilAllowed(t, w, users)

	reads, writes := "get list watch", "create update patch delete"
	none := "none"
	// Columns: what each of these may do of all verbs with a resource, in their namespace.
	who := []string{"view", "edit", "admin", "hexiao-class-viewer", "hexiao-platform-admin"}
	for resource, want := range map[string][]string{
		"brandconnectors":         {reads, reads + " " + writes, reads + " " + writes + " deletecollection", none, none},
		"brandconnectors/status":  {reads, reads, reads, none, none},
		"brandconnectors/scale":   {reads, reads + " update patch", reads + " update patch", none, none},
		"connectorclasses":        {none, none, none, reads, reads + " " + writes + " deletecollection"}, // of no namespace
		"connectorclasses/status": {none, none, none, reads, "get"},
		"secrets":                 {none, none, none, none, none},
		"pods":                    {none, none, none, none, none},
		"deployments":             {none, none, none, none, none},
	} {
		for n, role := range who {
			var got []string
			for _, verb := range strings.Fields(reads + " " + writes + " deletecollection") {
				if allowed(t, users[role], accessTo(w.namespace, verb, resource)) {
					got = append(got, verb)
				}
				if a := accessTo(other.namespace, verb, resource); a.namespace != "" && allowed(t, users[role], a) {
					t.Errorf("%s may %s %s in a namespace that the role is not bound in", role, verb, resource)
				}
			}
			if len(got) == 0 {
				got = []string{none}
			}
			if strings.Join(got, " ") != want[n] {
				t.Errorf("%s may %s %s, want %s", role, strings.Join(got, " "), resource, want[n])
			}
		}
	}
}

func accessTo(namespace, verb, resource string) access {
	resource, sub, _ := strings.Cut(resource, "/")
	a := access{verb: verb, resource: resource, subresource: sub, namespace: namespace}
	switch resource {
	case "connectorclasses":
		a.group, a.namespace = v1alpha1.Group, ""
	case "brandconnectors":
		a.group = v1alpha1.Group
	case "deployments":
		a.group = "apps"
	}
	return a
}

// waitUntilAllowed waits for the API server's authorizer, which reads bindings from a cache.
func waitUntilAllowed(t *testing.T, w *world, users map[string]string) {
	t.Helper()
	w.eventually(func() string {
		for role, user := range users {
			resource := "brandconnectors"
			if strings.HasPrefix(role, "hexiao-") {
				resource = "connectorclasses"
			}
			if !allowed(t, user, accessTo(w.namespace, "get", resource)) {
				return user + " may not even see " + resource
			}
		}
		return ""
	})
}

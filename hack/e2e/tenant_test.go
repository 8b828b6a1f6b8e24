//go:build e2e

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestATenantFromInstallToUninstall is the story of an operator that may see one
// namespace, and is the first to go.
func TestATenantFromInstallToUninstall(t *testing.T) {
	c := connect(t)
	defer explain(t)
	story := &story{cluster: c}
	tell(t, []part{
		{"the platform team installs the CRDs, and the tenant an operator with Roles", story.installForTenant},
		{"the operator may do nothing elsewhere", story.mayNot},
		{"a brand in the tenant's namespace comes up, and one elsewhere is left alone", story.onlyHere},
		{"with the operator gone before them, brands, CRDs and namespaces can be deleted", story.operatorFirst},
	})
}

func (s *story) installForTenant(t *testing.T) {
	clean(t)
	helm(t, "upgrade", "--install", "hexiao-crds", filepath.Join(root, "charts/hexiao-crds"), "--namespace", systemNamespace, "--create-namespace",
		"--take-ownership") // of what an earlier release may have left
	makeNamespace(t)
	apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+elsewhere+"}}")
	s.release(t, "charts/hexiao", "--set=crds.enabled=false", "--set=rbac.aggregate=false", "--set=watchNamespaces={"+namespace+"}")
	testRelease(t)
	if roles := kubectl(t, "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance=hexiao", "-o", "name"); roles != "" {
		t.Errorf("the tenant's operator came with %s", roles)
	}
}

// mayNot asks the API server what the operator's service account may do.
func (s *story) mayNot(t *testing.T) {
	for what, may := range map[string]bool{
		"list secrets -n " + namespace:                              true,
		"patch deployments.apps -n " + namespace:                    true,
		"update leases.coordination.k8s.io -n " + systemNamespace:   true,
		"list secrets --all-namespaces":                             false,
		"get secrets -n " + elsewhere:                               false,
		"get secrets -n kube-system":                                false,
		"watch configmaps -n " + elsewhere:                          false,
		"list brandconnectors.connect.hexiao.dev --all-namespaces":  false,
		"list connectorclasses.connect.hexiao.dev":                  false,
		"list brandconnectors.connect.hexiao.dev -n " + elsewhere:   false,
		"create deployments.apps -n " + elsewhere:                   false,
		"delete brandconnectors.connect.hexiao.dev -n " + namespace: false,
		"delete persistentvolumeclaims -n " + namespace:             false,
		"create pods -n " + namespace:                               false,
		"patch roles.rbac.authorization.k8s.io -n " + namespace:     false,
		"create clusterrolebindings.rbac.authorization.k8s.io":      false,
		"list nodes":      false,
		"list namespaces": false,
	} {
		// It fails where the answer is no.
		out, err := tryKubectl(t.Context(), append([]string{"auth", "can-i", "--as=system:serviceaccount:" + systemNamespace + ":hexiao-manager"}, strings.Fields(what)...)...)
		if err != nil && !strings.Contains(err.Error(), "\nno") {
			t.Fatal(err)
		}
		if (out == "yes") != may {
			t.Errorf("%s: want %t, got %q", what, may, out)
		}
	}
}

func (s *story) onlyHere(t *testing.T) {
	s.bringVendorsUp(t)
	for _, ns := range []string{namespace, elsewhere} {
		apply(t, sample(t, "credentials.yaml"), "--namespace", ns)
		apply(t, s.embeddedObject(t), "--namespace", ns)
	}
	ready(t, embeddedBrand)
	s.serves(t, embeddedBrand, "11343")
	if seen := kubectl(t, "get", "bc", embeddedBrand, "-n", elsewhere, "-o", "jsonpath={.status.observedGeneration}"); seen != "-1" {
		t.Errorf("the brand elsewhere has observedGeneration %q", seen)
	}
	if made := kubectl(t, "get", "deployments,services,configmaps", "-n", elsewhere, "-l", "app.kubernetes.io/instance="+embeddedBrand, "-o", "name"); made != "" {
		t.Errorf("made elsewhere: %s", made)
	}
}

// operatorFirst deletes everything in the order that leaves most behind.
func (s *story) operatorFirst(t *testing.T) {
	helm(t, "uninstall", "hexiao", "--namespace", systemNamespace, "--wait", "--timeout", "10m")
	s.serves(t, embeddedBrand, "11343") // nobody takes the connector with the operator
	kubectl(t, "delete", "bc", embeddedBrand, "--timeout=5m")
	gone(t)
	// The brand elsewhere is still there, and goes with its CRD.
	helm(t, "uninstall", "hexiao-crds", "--namespace", systemNamespace)
	kubectl(t, "get", "bc", embeddedBrand, "-n", elsewhere) // they are kept
	kubectl(t, "delete", "crd", "brandconnectors.connect.hexiao.dev", "connectorclasses.connect.hexiao.dev", "--timeout=5m")
	kubectl(t, "delete", "namespace", namespace, elsewhere, systemNamespace, "--timeout=5m")
}

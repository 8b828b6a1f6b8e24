// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	rolesFile      = "config/rbac/role.yaml"
	madeFromRBAC   = "# Made from config/rbac by hack/chart.\n"
	brandRulesFile = operatorChart + "/files/brand-rules.yaml"
	classRulesFile = operatorChart + "/files/class-rules.yaml"
	ownRulesFile   = operatorChart + "/files/operator-rules.yaml"
)

// writeRules puts the operator's rules where the chart can include them: those for brands and
// their objects, which a Role can hold as well as a ClusterRole; those for the product's
// cluster-scoped kinds, which no Role can; and those in the operator's own namespace.
func (r repository) writeRules(crds []crd) error {
	raw, err := r.read(rolesFile)
	if err != nil {
		return err
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for doc := range strings.SplitSeq(string(raw), "---\n") {
		var role struct {
			Kind  string              `json:"kind"`
			Rules []rbacv1.PolicyRule `json:"rules"`
		}
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			return fmt.Errorf("read %s: %w", rolesFile, err)
		}
		rules[role.Kind] = append(rules[role.Kind], role.Rules...)
	}
	if len(rules["ClusterRole"]) == 0 || len(rules["Role"]) == 0 {
		return fmt.Errorf("%s lacks the rules of a ClusterRole or of a Role: run controller-gen first", rolesFile)
	}
	namespaced, cluster := split(rules["ClusterRole"], clusterScoped(crds))
	for file, rules := range map[string][]rbacv1.PolicyRule{brandRulesFile: namespaced, classRulesFile: cluster, ownRulesFile: rules["Role"]} {
		out, err := yaml.Marshal(map[string]any{"rules": rules})
		if err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		if err := r.write(file, madeFromRBAC+string(out)); err != nil {
			return err
		}
	}
	return nil
}

// clusterScoped are the resources of the product's own kinds that are in no namespace.
func clusterScoped(crds []crd) map[string]bool {
	found := map[string]bool{}
	for _, c := range crds {
		if c.Spec.Scope == apiextensionsv1.ClusterScoped {
			found[c.Spec.Names.Plural] = true
		}
	}
	return found
}

// split parts rules by their resources. controller-gen joins resources with the same verbs in
// one rule, so a rule may have a part on either side. A subresource goes where its resource goes.
func split(rules []rbacv1.PolicyRule, cluster map[string]bool) (ofNamespaces, ofCluster []rbacv1.PolicyRule) {
	ofNamespaces = withResources(rules, func(resource string) bool { return !cluster[resource] })
	ofCluster = withResources(rules, func(resource string) bool { return cluster[resource] })
	return ofNamespaces, ofCluster
}

// withResources are the rules, with those of their resources that are wanted, where any is.
func withResources(rules []rbacv1.PolicyRule, wanted func(resource string) bool) []rbacv1.PolicyRule {
	found := []rbacv1.PolicyRule{}
	for _, rule := range rules {
		part := *rule.DeepCopy()
		part.Resources = slices.DeleteFunc(part.Resources, func(resource string) bool {
			resource, _, _ = strings.Cut(resource, "/")
			return !wanted(resource)
		})
		if len(part.Resources) > 0 {
			found = append(found, part)
		}
	}
	return found
}

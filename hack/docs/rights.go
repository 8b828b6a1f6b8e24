// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// Scopes of a right: where the brands are, and the operator's own namespace.
const (
	atBrands  = "ClusterRole"
	atItsHome = "Role"
)

// right is what the operator may do with some resources, and why, verb by verb. The
// kubebuilder markers in controllers say what is granted; each verb needs its reason here.
type right struct {
	scope, group string
	resources    []string
	name         string // of the one object, if it is for one only
	verbs        map[string]string
}

const (
	whyGet    = "to see past the cache whose an object is, before it is written: the cache has only the operator's own"
	whyWatch  = "to keep its own objects in memory, by their label; without both every reconcile would read them"
	whyCreate = "a server-side apply of an object that is not there creates it"
	whyPatch  = "server-side apply, and setting right what somebody else changed"
	whyDelete = "to delete it when the spec no longer asks for it, if it is the brand's"
)

// child are the verbs for a kind that a brand may stop asking for.
func child(group string, resources ...string) right {
	r := lasting(group, resources...)
	r.verbs["delete"] = whyDelete
	return r
}

// lasting are the verbs for a kind that every brand has: the garbage collector deletes it.
func lasting(group string, resources ...string) right {
	return right{scope: atBrands, group: group, resources: resources, verbs: map[string]string{
		"get": whyGet, "list": whyWatch, "watch": whyWatch, "create": whyCreate, "patch": whyPatch}}
}

var rights = []right{
	{scope: atBrands, group: "connect.hexiao.dev", resources: []string{"brandconnectors"}, verbs: map[string]string{
		"list":  "to know the brands",
		"watch": "to know at once what changes",
	}},
	{scope: atBrands, group: "connect.hexiao.dev", resources: []string{"brandconnectors/status"}, verbs: map[string]string{
		"patch": "to write the status; spec and metadata are never written",
	}},
	{scope: atBrands, group: "connect.hexiao.dev", resources: []string{"connectorclasses"}, verbs: map[string]string{
		"list":  "to know what the platform decided for the brands of a class",
		"watch": "to know at once what changes",
	}},
	{scope: atBrands, group: "connect.hexiao.dev", resources: []string{"connectorclasses/status"}, verbs: map[string]string{
		"patch": "to say how far a roll-out is",
	}},
	{scope: atBrands, resources: []string{"secrets"}, verbs: map[string]string{
		"get":   "to read the Secrets that a brand names, in the brand's namespace, past the cache, when the brand is reconciled",
		"list":  "to see that one of them changed: metadata only is asked for and kept, but RBAC cannot tell metadata from content",
		"watch": "likewise",
	}},
	{scope: atBrands, resources: []string{"configmaps"}, verbs: map[string]string{
		"get":    "to read the shop table that a brand names; " + whyGet,
		"list":   "to see that a shop table changed: metadata only is asked for and kept",
		"watch":  "likewise",
		"create": "the connector's configuration: " + whyCreate,
		"patch":  whyPatch,
	}},
	lasting("", "serviceaccounts", "services"),
	{scope: atBrands, resources: []string{"persistentvolumeclaims"}, verbs: map[string]string{
		"get": whyGet, "list": whyWatch, "watch": whyWatch, "create": "the claim of an embedded ledger", "patch": whyPatch + "; a larger size. There is no right to delete one"}},
	lasting("apps", "deployments"),
	child("networking.k8s.io", "ingresses", "networkpolicies"),
	child("policy", "poddisruptionbudgets"),
	child("autoscaling", "horizontalpodautoscalers"),
	child("batch", "cronjobs"),
	child("gateway.networking.k8s.io", "httproutes"),
	{scope: atBrands, resources: []string{"pods"}, verbs: map[string]string{
		"list": "to say in the condition why Pods do not become ready; asked for while a rollout does not end, never watched or kept",
	}},
	{scope: atBrands, group: "events.k8s.io", resources: []string{"events"}, verbs: map[string]string{
		"create": "to say in an event that Ready changed, or that a rollout started",
		"patch":  "to count an event that repeats",
		"list":   "to say in the condition why Pods do not become ready",
	}},
	{scope: atItsHome, resources: []string{"secrets"}, verbs: map[string]string{
		"create": "to make the installation's key, once; a Secret is created under the name in the code, but RBAC cannot hold a create to a name",
	}},
	{scope: atItsHome, resources: []string{"secrets"}, name: "hexiao-revision-key", verbs: map[string]string{
		"get": "to read that key: it keys the hash on the pod templates",
	}},
	{scope: atItsHome, group: "coordination.k8s.io", resources: []string{"leases"}, verbs: map[string]string{
		"get":    "to see who leads",
		"create": "to lead where nobody has led before",
		"update": "to go on leading, and to give the lease back",
	}},
	{scope: atItsHome, resources: []string{"events"}, verbs: map[string]string{
		"create": "to say in an event who leads now",
		"patch":  "to count an event that repeats",
	}},
}

// grant is one verb on one resource.
type grant struct{ scope, group, resource, name, verb string }

func (g grant) String() string {
	resource := g.resource
	if g.group != "" {
		resource += "." + g.group
	}
	if g.name != "" {
		resource += " " + g.name
	}
	return g.scope + ": " + g.verb + " " + resource
}

// whys are the reasons of the table, a verb at a time.
func whys(table []right) map[grant]string {
	all := map[grant]string{}
	for _, r := range table {
		for _, resource := range r.resources {
			for verb, why := range r.verbs {
				all[grant{r.scope, r.group, resource, r.name, verb}] = why
			}
		}
	}
	return all
}

// granted are the verbs of the roles in a file.
func granted(raw []byte) (map[grant]bool, error) {
	all := map[grant]bool{}
	for doc := range bytes.SplitSeq(raw, []byte("---\n")) {
		var role struct {
			Kind  string
			Rules []rbac.PolicyRule
		}
		if err := yaml.Unmarshal(doc, &role); err != nil {
			return nil, err
		}
		for _, rule := range role.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all[grant{role.Kind, group, resource, name, verb}] = true
						}
					}
				}
			}
		}
	}
	return all, nil
}

// unreasoned says which rights have no reason, and which reasons no right.
func unreasoned(have map[grant]bool, why map[grant]string) error {
	var errs []error
	byText := func(a, b grant) int { return strings.Compare(a.String(), b.String()) }
	for _, g := range slices.SortedFunc(maps.Keys(have), byText) {
		if why[g] == "" {
			errs = append(errs, fmt.Errorf("%s: the operator may do it and hack/docs/rights.go does not say why", g))
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(why), byText) {
		if !have[g] {
			errs = append(errs, fmt.Errorf("%s: hack/docs/rights.go has a reason and the operator may not do it", g))
		}
	}
	return errors.Join(errs...)
}

const rolesFile = "config/rbac/role.yaml"

// rightsPage tells each right with its reason.
func rightsPage(root string) (map[string][]byte, error) {
	raw, err := os.ReadFile(filepath.Join(root, rolesFile))
	if err != nil {
		return nil, err
	}
	have, err := granted(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", rolesFile, err)
	}
	if err := unreasoned(have, whys(rights)); err != nil {
		return nil, err
	}
	denied, err := denials(filepath.Join(root, "controllers/rbac_test.go"), "TestWhatTheOperatorMayNotDo")
	if err != nil {
		return nil, err
	}
	p := &page{}
	p.printf(`# Rights of the operator

<!-- Generated from %s and hack/docs/rights.go by "go run ./hack/docs"; do not edit. -->

Every verb that the operator has, and the reason. A right without a reason fails the check, and so does a reason without a right. The whole suite of the
operator runs with these roles against a real API server. Connectors have no token, so they have no rights at all. What
people may do with brands is in [install](../guides/install.md#roles).
`, rolesFile)
	p.rightsOf(atBrands, "Where the brands are", "A ClusterRole; with `watchNamespaces`, in each of these namespaces a Role with the same rules. ConnectorClasses are in no namespace: "+
		"there `connectorClasses.enabled` adds a ClusterRole for them alone, and without it there is none.")
	p.rightsOf(atItsHome, "In the operator's own namespace", "A Role in the namespace of the release.")
	p.printf("\n## What it may not do\n\n`TestWhatTheOperatorMayNotDo` asks a real API server, and each answer has to be no:\n\n")
	for _, d := range denied {
		p.printf("- %s\n", d)
	}
	return map[string][]byte{"docs/reference/rbac.md": p.Bytes()}, nil
}

func (p *page) rightsOf(scope, title, where string) {
	p.printf("\n## %s\n\n%s\n\n| resource | verb | why |\n| --- | --- | --- |\n", title, where)
	var printed []map[string]string
	for i, r := range rights {
		if r.scope != scope || slices.ContainsFunc(printed, func(v map[string]string) bool { return maps.Equal(v, r.verbs) }) {
			continue
		}
		printed = append(printed, r.verbs)
		var resources []string // of all rights with these reasons
		for _, other := range rights[i:] {
			if other.scope == scope && maps.Equal(other.verbs, r.verbs) {
				resources = append(resources, other.object())
			}
		}
		what := strings.Join(resources, ", ")
		// Verbs with one reason share a row; those that read come first.
		rank := func(verb string) int {
			return slices.Index([]string{"get", "list", "watch", "create", "patch", "update", "delete"}, verb)
		}
		verbs := slices.SortedFunc(maps.Keys(r.verbs), func(a, b string) int { return rank(a) - rank(b) })
		for len(verbs) > 0 {
			why := r.verbs[verbs[0]]
			n := 1
			for n < len(verbs) && (r.verbs[verbs[n]] == why || r.verbs[verbs[n]] == "likewise") {
				n++
			}
			p.printf("| %s | %s | %s |\n", what, strings.Join(verbs[:n], ", "), cell(why))
			verbs, what = verbs[n:], ""
		}
	}
}

// object names what a right is for.
func (r right) object() string {
	text := "`" + strings.Join(r.resources, "`, `") + "`"
	if r.group != "" {
		text += " of " + r.group
	}
	if r.name != "" {
		text += ", the one named `" + r.name + "`"
	}
	return text
}

// denials are the names in the table of a test, which is a map.
func denials(file, test string) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != test {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			table, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if _, isMap := table.Type.(*ast.MapType); isMap && names == nil {
				for _, e := range table.Elts {
					if key, ok := e.(*ast.KeyValueExpr).Key.(*ast.BasicLit); ok {
						if name, err := strconv.Unquote(key.Value); err == nil {
							names = append(names, name)
						}
					}
				}
			}
			return false
		})
	}
	if len(names) < 10 {
		return nil, fmt.Errorf("%s: found %d names in the table of %s", file, len(names), test)
	}
	return names, nil
}

// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"context"
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	labelName      = "app.kubernetes.io/name"
	labelInstance  = "app.kubernetes.io/instance"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"
)

func resource(group, version, name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: name}
}

// kinds are those of a brand's children. An owner comes before what it owns.
var kinds = []schema.GroupVersionResource{
	resource("apps", "v1", "deployments"),
	resource("apps", "v1", "replicasets"),
	resource("batch", "v1", "cronjobs"),
	resource("batch", "v1", "jobs"),
	resource("", "v1", "pods"),
	resource("", "v1", "services"),
	resource("discovery.k8s.io", "v1", "endpointslices"),
	resource("", "v1", "configmaps"),
	resource("", "v1", "serviceaccounts"),
	resource("", "v1", "persistentvolumeclaims"),
	resource("policy", "v1", "poddisruptionbudgets"),
	resource("networking.k8s.io", "v1", "networkpolicies"),
	resource("networking.k8s.io", "v1", "ingresses"),
	resource("autoscaling", "v2", "horizontalpodautoscalers"),
	resource("gateway.networking.k8s.io", "v1", "httproutes"),
}

// brand collects one brand.
func (r *run) brand(ctx context.Context, b brand) error {
	r.Progress("brand " + b.String())
	dir := path.Join("brands", b.Namespace, b.Name)
	names := secretNames(b.object)
	r.summary.brand(b)
	if b.object != nil {
		if err := r.objects(dir+"/brandconnector.yaml", "BrandConnector", []map[string]any{b.object}); err != nil {
			return err
		}
	}
	family := []string{b.Name}
	owners := map[string]bool{b.uid: b.uid != ""}
	var pods []corev1.Pod
	for _, kind := range kinds {
		children, err := r.list(ctx, kind, b.Namespace, labelInstance+"="+b.Name)
		switch {
		case apierrors.IsNotFound(err):
			r.note(kind.Resource+" of "+b.String(), NotServed, "the cluster has no such kind")
			continue
		case err != nil:
			r.refuse(kind.Resource+" of "+b.String(), err)
			continue
		}
		children = slices.DeleteFunc(children, func(o map[string]any) bool { return !belongs(o, owners) })
		if len(children) == 0 {
			continue
		}
		for _, o := range children {
			u := unstructured.Unstructured{Object: o}
			owners[string(u.GetUID())] = true
			family = append(family, u.GetName())
			names = append(names, secretNames(o)...)
			r.summary.object(u.GetKind(), o)
		}
		if kind.Resource == "pods" {
			pods = podsOf(children)
		}
		if err := r.objects(dir+"/"+kind.Resource+".yaml", kind.Resource, children); err != nil {
			return err
		}
	}
	if err := r.events(ctx, dir, b.Namespace, family); err != nil {
		return err
	}
	if err := r.logs(ctx, dir, pods); err != nil {
		return err
	}
	if err := r.text(dir+"/secrets.txt", "names and keys of Secrets", 0, r.secretsFile(ctx, b, names)); err != nil {
		return err
	}
	return r.doubts(ctx, dir, b)
}

// belongs: made by the operator, or owned by what is.
func belongs(o map[string]any, owners map[string]bool) bool {
	u := unstructured.Unstructured{Object: o}
	for _, owner := range u.GetOwnerReferences() {
		if owners[string(owner.UID)] {
			return true
		}
	}
	return u.GetLabels()[labelManagedBy] == "hexiao"
}

func podsOf(objects []map[string]any) (pods []corev1.Pod) {
	for _, o := range objects {
		var p corev1.Pod
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o, &p) == nil {
			pods = append(pods, p)
		}
	}
	return pods
}

// events are those about any of the names: a ReplicaSet's are about Pods that are gone.
func (r *run) events(ctx context.Context, dir, namespace string, names []string) error {
	all, err := r.list(ctx, resource("", "v1", "events"), namespace, "")
	if err != nil {
		r.refuse("events of namespace "+namespace, err)
		return nil
	}
	all = slices.DeleteFunc(all, func(o map[string]any) bool {
		about, _, _ := unstructured.NestedString(o, "involvedObject", "name")
		return !slices.ContainsFunc(names, func(n string) bool { return about == n || childOf(about, n) })
	})
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b map[string]any) int { return lastSeen(a).Compare(lastSeen(b)) })
	for _, e := range all {
		r.summary.event(e)
	}
	return r.objects(dir+"/events.yaml", "events", all)
}

// childOf: Kubernetes names what an object makes after it: name-5d9c7-x2k4j.
func childOf(name, parent string) bool {
	return len(name) > len(parent) && name[:len(parent)] == parent && name[len(parent)] == '-'
}

// doubts asks the connector what is in doubt.
func (r *run) doubts(ctx context.Context, dir string, b brand) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := r.InDoubt(ctx, b.Brand)
	if err != nil {
		r.refuse("what is in doubt at "+b.String(), err)
		return nil
	}
	return r.json(dir+"/in-doubt.json", "what is in doubt", list)
}

// operators finds the operator's Deployments.
func (r *run) operators(ctx context.Context) []map[string]any {
	r.Progress("the operator")
	where := r.order.OperatorNamespace
	found, err := r.list(ctx, kinds[0], where, labelName+"=hexiao,"+labelComponent+"=operator")
	if apierrors.IsForbidden(err) && where == "" {
		where = defaultOperatorNamespace
		found, err = r.list(ctx, kinds[0], where, labelName+"=hexiao,"+labelComponent+"=operator")
	}
	if err != nil {
		r.refuse("the operator's Deployment (say --operator-namespace where you may not look everywhere)", err)
		return nil
	}
	if len(found) == 0 {
		r.note("the operator's Deployment", NotFound, "there is none with the label "+labelName+"=hexiao: say --operator-namespace, or it is gone")
	}
	return found
}

// defaultOperatorNamespace is where the guides install it.
const defaultOperatorNamespace = "hexiao-system"

// operator collects the operator's Deployments, their Pods, events and logs.
func (r *run) operator(ctx context.Context, deployments []map[string]any) error {
	for _, d := range deployments {
		u := unstructured.Unstructured{Object: d}
		dir := path.Join("operator", u.GetNamespace(), u.GetName())
		r.summary.object("operator's Deployment", d)
		selector, _, _ := unstructured.NestedStringMap(d, "spec", "selector", "matchLabels")
		if err := r.objects(dir+"/deployment.yaml", "the operator's Deployment", []map[string]any{d}); err != nil {
			return err
		}
		pods, err := r.list(ctx, resource("", "v1", "pods"), u.GetNamespace(), labelsText(selector))
		if err != nil {
			r.refuse("the operator's Pods", err)
			continue
		}
		for _, p := range pods {
			r.summary.object("operator's Pod", p)
		}
		typed := podsOf(pods)
		if err := r.objects(dir+"/pods.yaml", "the operator's Pods", pods); err != nil {
			return err
		}
		if err := r.events(ctx, dir, u.GetNamespace(), []string{u.GetName()}); err != nil {
			return err
		}
		if err := r.logs(ctx, dir, typed); err != nil {
			return err
		}
	}
	return nil
}

func labelsText(m map[string]string) string {
	var parts []string
	for k, v := range m {
		parts = append(parts, fmt.Sprintf("%s=%s", k, v))
	}
	slices.Sort(parts)
	text := ""
	for i, p := range parts {
		if i > 0 {
			text += ","
		}
		text += p
	}
	return text
}

// SPDX-License-Identifier: Apache-2.0

// Package live reads and writes the objects of brands as they are in a cluster. It needs
// no discovery: the kinds are few and known, so a user needs the rights to these and no
// more.
package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
)

// FieldManager owns what a person changes with the plugin.
const FieldManager = "kubectl-hexiao"

// Kinds of the API, and others that the operator does not make.
var (
	NamespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	CRDKind       = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	BrandKind     = v1alpha1.GroupVersion.WithKind(v1alpha1.KindBrandConnector)
	ClassKind     = v1alpha1.GroupVersion.WithKind(v1alpha1.KindConnectorClass)
)

const page = 500

// Cluster is an API server.
type Cluster struct{ client dynamic.Interface }

// New makes the client; nothing is called yet.
func New(config *rest.Config) (*Cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return &Cluster{client}, nil
}

func (c *Cluster) of(kind schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return c.client.Resource(resource).Namespace(namespace)
}

// Get reads an object: nil without an error when it, or its kind, is not there.
func (c *Cluster) Get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	u, err := c.of(kind, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s: %w", kind.Kind, name, err)
	}
	return u, nil
}

// List lists objects in the order of namespace and name; none when the kind is not there.
func (c *Cluster) List(ctx context.Context, kind schema.GroupVersionKind, namespace string, o metav1.ListOptions) ([]unstructured.Unstructured, error) {
	list, err := c.list(ctx, kind, namespace, o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return list, err
}

func (c *Cluster) list(ctx context.Context, kind schema.GroupVersionKind, namespace string, o metav1.ListOptions) ([]unstructured.Unstructured, error) {
	var all []unstructured.Unstructured
	for o.Limit = page; ; {
		list, err := c.of(kind, namespace).List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("list %ss: %w", kind.Kind, err)
		}
		all = append(all, list.Items...)
		if o.Continue = list.GetContinue(); o.Continue == "" {
			slices.SortFunc(all, func(a, b unstructured.Unstructured) int {
				return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
			})
			return all, nil
		}
	}
}

// DryRun asks what an object would be after a server-side apply with force.
func (c *Cluster) DryRun(ctx context.Context, manager string, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return c.of(u.GroupVersionKind(), u.GetNamespace()).Apply(ctx, u.GetName(), u,
		metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, Force: true, FieldManager: manager})
}

// Merge sends a merge patch as FieldManager.
func (c *Cluster) Merge(ctx context.Context, kind schema.GroupVersionKind, namespace, name string, patch any) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode the patch: %w", err)
	}
	u, err := c.of(kind, namespace).Patch(ctx, name, types.MergePatchType, raw, metav1.PatchOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, fmt.Errorf("patch %s %s: %w", kind.Kind, name, err)
	}
	return u, nil
}

// As is an object in its own type; nil for nil.
func As[T any](u *unstructured.Unstructured) (*T, error) {
	if u == nil {
		return nil, nil
	}
	out := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return out, nil
}

// Brand reads a brand. The error of one that is not there wraps reach.ErrNotFound.
func (c *Cluster) Brand(ctx context.Context, b reach.Brand) (*v1alpha1.BrandConnector, error) {
	u, err := c.of(BrandKind, b.Namespace).Get(ctx, b.Name, metav1.GetOptions{})
	switch {
	case reach.NoSuchKind(err):
		return nil, reach.ErrNotInstalled
	case apierrors.IsNotFound(err):
		return nil, reach.NoBrand(b)
	case err != nil:
		return nil, fmt.Errorf("get %s %s: %w", BrandKind.Kind, b.Name, err)
	}
	return As[v1alpha1.BrandConnector](u)
}

// Brands reads the brands of a namespace, or of all when it is empty.
func (c *Cluster) Brands(ctx context.Context, namespace string) ([]*v1alpha1.BrandConnector, error) {
	list, err := c.list(ctx, BrandKind, namespace, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return nil, reach.ErrNotInstalled
	}
	if err != nil {
		return nil, err
	}
	brands := make([]*v1alpha1.BrandConnector, len(list))
	for i := range list {
		if brands[i], err = As[v1alpha1.BrandConnector](&list[i]); err != nil {
			return nil, err
		}
	}
	return brands, nil
}

// Class reads a class; nil when it, or the kind, is not there.
func (c *Cluster) Class(ctx context.Context, name string) (*v1alpha1.ConnectorClass, error) {
	u, err := c.Get(ctx, ClassKind, "", name)
	if err != nil {
		return nil, err
	}
	return As[v1alpha1.ConnectorClass](u)
}

// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/censor"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
)

// ErrNoBrand is wrapped when there is nothing to report on.
var ErrNoBrand = errors.New("no such brand")

// ErrNoAnswer is wrapped when the API server could not be asked at all. A file without
// anything in it would pass for a bundle.
var ErrNoAnswer = errors.New("the API server could not be asked")

// callTimeout bounds one question to the API server.
const callTimeout = 30 * time.Second

// Order says what is to be collected.
type Order struct {
	Brands            []reach.Brand // by name; empty: every one of Namespace
	Namespace         string        // empty: every namespace
	OperatorNamespace string        // empty: wherever an operator is found
	Tail              int64         // lines of each log
	Since             time.Duration // 0: from the beginning
	Version           string        // the plugin's
	At                time.Time
}

// Collector reads from a cluster.
type Collector struct {
	Dynamic   dynamic.Interface
	Core      coreclient.CoreV1Interface
	Discovery discovery.ServerVersionInterfaceWithContext
	// InDoubt is what a brand's connector says is in doubt.
	InDoubt func(ctx context.Context, b reach.Brand) (any, error)
	// Progress is told what is being read.
	Progress func(string)
}

// New makes a collector with the caller's own rights.
func New(config *rest.Config, inDoubt func(context.Context, reach.Brand) (any, error), progress func(string)) (*Collector, error) {
	c := &Collector{InDoubt: inDoubt, Progress: progress}
	var err error
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if c.Core, err = coreclient.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if c.Discovery, err = discovery.NewDiscoveryClientForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return c, nil
}

// brand is one that is reported on.
type brand struct {
	reach.Brand
	object map[string]any // nil when it could not be read
	uid    string
}

// run is one collection.
type run struct {
	*Collector
	*writer
	order   Order
	brands  []brand
	summary *summary
	// heard is true when the API server answered, if only with a refusal.
	heard bool
}

// hear notes whether an answer is one of the API server's own.
func (r *run) hear(err error) {
	if err == nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		r.heard = true
	}
}

// Collect writes the zip file. The error is about the file, or says that there is
// nothing to collect or nobody to ask; what could not be read is in the manifest.
func (c *Collector) Collect(ctx context.Context, out io.Writer, o Order) (Manifest, error) {
	m := Manifest{CreatedAt: o.At.UTC(), Plugin: o.Version, Brands: []string{}, Refused: []Refusal{}}
	r := &run{Collector: c, order: o, summary: &summary{}, writer: &writer{dir: "hexiao-report-" + o.At.UTC().Format("20060102-150405"), at: o.At.UTC(), censor: censor.New(), manifest: &m}}
	if err := r.find(ctx); err != nil {
		return m, err
	}
	// The names that stand in the bundle's paths cannot be hidden.
	spare := []string{}
	for _, b := range r.brands {
		m.Brands = append(m.Brands, b.String())
		spare = append(spare, b.Namespace, b.Name)
	}
	r.censor = censor.New(spare...)
	operators := r.operators(ctx)
	r.learn(ctx, operators)
	r.zip = zip.NewWriter(out)
	if err := r.everything(ctx, operators); err != nil {
		return m, err
	}
	if err := ctx.Err(); err != nil {
		return m, err
	}
	if !r.heard {
		return m, fmt.Errorf("%w: %s: %s", ErrNoAnswer, m.Refused[0].What, m.Refused[0].Message)
	}
	return m, r.finish()
}

func (r *run) everything(ctx context.Context, operators []map[string]any) error {
	for _, b := range r.brands {
		if err := r.brand(ctx, b); err != nil {
			return err
		}
	}
	if err := r.operator(ctx, operators); err != nil {
		return err
	}
	return r.platform(ctx)
}

// finish writes what is known only at the end.
func (r *run) finish() error {
	m := r.manifest
	if err := r.text("summary.txt", "what is not ready, and why", 0, r.summary.text(m)); err != nil {
		return err
	}
	m.Redaction.Values, m.Redaction.Masked = r.censor.Values, r.censor.Masked
	if err := r.json("manifest.json", "this list", m); err != nil {
		return err
	}
	if err := r.zip.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// find finds the brands.
func (r *run) find(ctx context.Context) error {
	if len(r.order.Brands) == 0 {
		list, err := r.list(ctx, v1alpha1.GroupVersion.WithResource("brandconnectors"), r.order.Namespace, "")
		if unreachable(err) {
			return fmt.Errorf("%w: %w", ErrNoAnswer, err)
		}
		if reach.NoSuchKind(err) {
			return fmt.Errorf("%w: %w", ErrNoBrand, reach.ErrNotInstalled)
		}
		if err != nil {
			return fmt.Errorf("list BrandConnectors (name the brands if you may not list them): %w", err)
		}
		for _, o := range list {
			r.brands = append(r.brands, brandOf(o))
		}
		if len(r.brands) == 0 {
			return fmt.Errorf("%w: %w", ErrNoBrand, reach.NoBrands(r.order.Namespace))
		}
		return nil
	}
	for _, b := range r.order.Brands {
		o, err := r.get(ctx, v1alpha1.GroupVersion.WithResource("brandconnectors"), b.Namespace, b.Name)
		switch {
		case err == nil:
			r.brands = append(r.brands, brandOf(o))
		case reach.NoSuchKind(err):
			return fmt.Errorf("%w: %w", ErrNoBrand, reach.ErrNotInstalled)
		case apierrors.IsNotFound(err):
			return fmt.Errorf("%w: %w", ErrNoBrand, reach.NoBrand(b))
		case unreachable(err):
			return fmt.Errorf("%w: %w", ErrNoAnswer, err)
		default:
			r.refuse("BrandConnector "+b.String(), err)
			r.brands = append(r.brands, brand{Brand: b})
		}
	}
	return nil
}

// unreachable tells an error that is no answer: nobody listens, or nobody who may be
// trusted, or not in time. A server that does not know the caller is of no use, either.
func unreachable(err error) bool {
	var status apierrors.APIStatus
	return err != nil && !errors.As(err, &status) || apierrors.IsUnauthorized(err)
}

func brandOf(o map[string]any) brand {
	u := unstructured.Unstructured{Object: o}
	return brand{Brand: reach.Brand{Namespace: u.GetNamespace(), Name: u.GetName()}, object: o, uid: string(u.GetUID())}
}

// list reads all pages.
func (r *run) list(ctx context.Context, kind schema.GroupVersionResource, namespace, selector string) (all []map[string]any, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for next := ""; ; {
		page, err := r.Dynamic.Resource(kind).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: 500, Continue: next})
		r.hear(err)
		if err != nil {
			return all, err
		}
		for i := range page.Items {
			all = append(all, page.Items[i].Object)
		}
		if next = page.GetContinue(); next == "" {
			return all, nil
		}
	}
}

func (r *run) get(ctx context.Context, kind schema.GroupVersionResource, namespace, name string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := r.Dynamic.Resource(kind).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	r.hear(err)
	if err != nil {
		return nil, err
	}
	return o.Object, nil
}

// platform is what is there once: ConnectorClasses, versions.
func (r *run) platform(ctx context.Context) error {
	r.Progress("classes and versions")
	classes, err := r.list(ctx, v1alpha1.GroupVersion.WithResource("connectorclasses"), "", "")
	switch {
	case apierrors.IsNotFound(err):
		r.note("ConnectorClasses", NotServed, "the cluster has no such kind")
	case err != nil:
		r.refuse("ConnectorClasses", err)
	case len(classes) > 0:
		for _, c := range classes {
			r.summary.object("ConnectorClass", c)
		}
		if err := r.objects("connectorclasses.yaml", "ConnectorClasses", classes); err != nil {
			return err
		}
	}
	asked, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	server, err := r.Discovery.ServerVersionWithContext(asked)
	if err != nil {
		r.refuse("version of the API server", err)
	} else {
		r.manifest.Server = server.GitVersion
	}
	images := r.summary.images
	slices.Sort(images)
	return r.json("versions.json", "versions", map[string]any{"plugin": r.order.Version, "server": r.manifest.Server, "images": slices.Compact(images)})
}

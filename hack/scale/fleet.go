// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// fleetNamespace has all brands.
const fleetNamespace = "brands"

// writers is how many objects the bench writes at once: more than the operator can follow.
const writers = 16

// sight is what was seen of a brand, and when.
type sight struct {
	// deployment is when its Deployment was first seen.
	deployment time.Time
	// ready is when the brand was first seen Ready at its newest generation.
	ready time.Time
	// revision is the configuration that its Pods are to have, revised when that was seen to change, and
	// revisions how many there were.
	revision  string
	revised   time.Time
	revisions int
}

// fleet watches the brands and their Deployments, as the administrator.
type fleet struct {
	api client.Client

	mu     sync.Mutex
	sights map[string]sight
}

// watchFleet watches until ctx ends.
func watchFleet(ctx context.Context, p *plane) (*fleet, error) {
	if err := p.namespace(ctx, fleetNamespace); err != nil {
		return nil, err
	}
	f := &fleet{api: p.api, sights: map[string]sight{}}
	c, err := cache.New(p.config, cache.Options{
		Scheme:            p.api.Scheme(),
		DefaultNamespaces: map[string]cache.Config{fleetNamespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return nil, fmt.Errorf("watch the fleet: %w", err)
	}
	for object, see := range map[client.Object]func(any){&v1alpha1.BrandConnector{}: f.seeBrand, &appsv1.Deployment{}: f.seeDeployment} {
		informer, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch the fleet: %w", err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, now any) { see(now) }}); err != nil {
			return nil, fmt.Errorf("watch the fleet: %w", err)
		}
	}
	go func() { _ = c.Start(ctx) }() // ends with ctx; a watch that does not work is seen by its waiting
	if !c.WaitForCacheSync(ctx) {
		return nil, errors.New("watch the fleet: the watches do not begin")
	}
	return f, nil
}

func (f *fleet) seeBrand(object any) {
	b, ok := object.(*v1alpha1.BrandConnector)
	if !ok || !isReady(b) {
		return
	}
	f.change(b.Name, func(s *sight) {
		if s.ready.IsZero() {
			s.ready = time.Now()
		}
	})
}

func isReady(b *v1alpha1.BrandConnector) bool {
	c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == b.Generation
}

func (f *fleet) seeDeployment(object any) {
	d, ok := object.(*appsv1.Deployment)
	if !ok {
		return
	}
	revision := d.Spec.Template.Annotations[render.AnnotationConfigRevision]
	f.change(d.Name, func(s *sight) {
		if s.deployment.IsZero() {
			s.deployment = time.Now()
		}
		if s.revision != revision {
			s.revision, s.revised = revision, time.Now()
			s.revisions++
		}
	})
}

func (f *fleet) change(brand string, change func(*sight)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sights[brand]
	change(&s)
	f.sights[brand] = s
}

func (f *fleet) sight(brand string) sight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sights[brand]
}

// seen counts brands whose name begins with a prefix and of which something holds.
func (f *fleet) seen(prefix string, holds func(sight) bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for name, s := range f.sights {
		if strings.HasPrefix(name, prefix) && holds(s) {
			n++
		}
	}
	return n
}

// revisions adds up how many configurations the Pods of the first brands were to have so far.
func (f *fleet) revisions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for name, s := range f.sights {
		if strings.HasPrefix(name, "brand-") {
			n += s.revisions
		}
	}
	return n
}

func hasDeployment(s sight) bool { return !s.deployment.IsZero() }
func hasBeenReady(s sight) bool  { return !s.ready.IsZero() }

func names(p string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%04d", p, i))
	}
	return all
}

// brandOf is a brand on PostgreSQL, without Pods, with one Secret of its own.
func brandOf(name string) *v1alpha1.BrandConnector {
	credentials := v1alpha1.LocalObjectReference{Name: secretOf(name)}
	b := &v1alpha1.BrandConnector{ObjectMeta: metav1.ObjectMeta{Namespace: fleetNamespace, Name: name}}
	b.Spec = v1alpha1.BrandConnectorSpec{
		BrandID:   name, // each brand is another one
		Keruyun:   v1alpha1.KeruyunSpec{CredentialsSecretRef: credentials},
		Providers: v1alpha1.ProvidersSpec{Zhimai: &v1alpha1.ZhimaiSpec{CredentialsSecretRef: credentials}},
		Routes: []v1alpha1.Route{{
			Name: "balance", Match: v1alpha1.RouteMatch{AssetMappingIDs: []string{"100001"}},
			Asset: v1alpha1.AssetStoredValue, Provider: v1alpha1.ProviderZhimai,
		}},
		Ledger:   v1alpha1.LedgerSpec{Postgres: &v1alpha1.PostgresLedger{DSNSecretRef: v1alpha1.SecretKeyReference{Name: secretOf(name), Key: "dsn"}}},
		Workload: v1alpha1.WorkloadSpec{Replicas: new(int32(0))},
	}
	return b
}

func secretOf(brand string) string { return brand + "-credentials" }

// createSecrets makes the Secrets of brands.
func (f *fleet) createSecrets(ctx context.Context, brands []string) error {
	return each(ctx, brands, func(ctx context.Context, name string) error {
		return f.api.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: fleetNamespace, Name: secretOf(name)},
			StringData: map[string]string{
				"appKey": "a", "token": "t", "openId": "i", "openKey": "k", "grantCode": "g", "dsn": "postgres://u:p@ledger.example:5432/l",
			},
		})
	})
}

// createBrands makes brands, whose Secrets are there.
func (f *fleet) createBrands(ctx context.Context, brands []string) error {
	return each(ctx, brands, func(ctx context.Context, name string) error { return f.api.Create(ctx, brandOf(name)) })
}

func each(ctx context.Context, names []string, do func(context.Context, string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for _, name := range names {
		g.Go(func() error { return do(ctx, name) })
	}
	return g.Wait()
}

// child is an object of a brand.
type child struct {
	kind, name string
	uid        types.UID
}

// children lists all objects that are labelled as the operator's, of the kinds that it makes.
func (f *fleet) children(ctx context.Context) (map[child]bool, error) {
	found := map[child]bool{}
	kinds := []metav1.TypeMeta{
		{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Service"}, {APIVersion: "v1", Kind: "ServiceAccount"},
		{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, {APIVersion: "apps/v1", Kind: "Deployment"}, {APIVersion: "batch/v1", Kind: "CronJob"},
		{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, {APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, {APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
	}
	for _, kind := range kinds {
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: kind.APIVersion, Kind: kind.Kind + "List"}}
		ours := client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(labels.Set{render.LabelManagedBy: render.ManagedBy})}
		if err := f.api.List(ctx, list, client.InNamespace(fleetNamespace), ours); err != nil {
			return nil, fmt.Errorf("list %ss: %w", kind.Kind, err)
		}
		for i := range list.Items {
			found[child{kind: kind.Kind, name: list.Items[i].Name, uid: list.Items[i].UID}] = true
		}
	}
	return found, nil
}

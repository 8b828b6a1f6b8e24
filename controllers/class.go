// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/controllers/render"
	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

// platform is what a brand's Pods are made with beside what the brand says itself.
type platform struct {
	// class of the brand; nil when it has none.
	class *v1alpha1.ConnectorClass
	// revision identifies what operator, installation and class make of a brand.
	revision string
	policy   rollout.Policy
}

// name of the class; empty for brands without one.
func (p *platform) name() string {
	if p.class == nil {
		return ""
	}
	return p.class.Name
}

// classify finds the brand's class, and lays it under the brand.
func (r *Reconciler) classify(ctx context.Context, s *scope) error {
	class, err := r.classOf(ctx, s.brand)
	if apierrors.IsNotFound(err) {
		s.fault(classFault(fmt.Sprintf(
			"ConnectorClass %s, which spec.connectorClassName names, does not exist: name another one, or have the platform team create it", s.brand.Spec.ConnectorClassName)))
		return nil
	}
	if errors.Is(err, errNoClasses) {
		s.fault(classFault("spec.connectorClassName is set, but this operator runs without ConnectorClasses (--connector-classes=false): leave it out"))
		return nil
	}
	if err != nil {
		return err
	}
	s.resolved = v1alpha1.Resolve(s.brand, class)
	s.platform, err = r.platforms.of(class)
	if invalid := (*render.InvalidError)(nil); errors.As(err, &invalid) {
		s.fault(fault{reason: v1alpha1.ReasonInvalidSpec, message: invalid.Error(), stalled: true})
		return nil
	}
	return err
}

func classFault(message string) fault {
	return fault{condition: v1alpha1.ConditionCredentialsResolved, reason: v1alpha1.ReasonClassNotFound, message: message, stalled: true}
}

var errNoClasses = errors.New("this operator runs without ConnectorClasses")

// classOf is a brand's class: the one that it names, else the default one, else nil.
func (r *Reconciler) classOf(ctx context.Context, b *v1alpha1.BrandConnector) (*v1alpha1.ConnectorClass, error) {
	name := b.Spec.ConnectorClassName
	switch {
	case !r.Classes && name != "":
		return nil, errNoClasses
	case !r.Classes:
		return nil, nil
	case name == "":
		name = v1alpha1.DefaultConnectorClass
	}
	class := &v1alpha1.ConnectorClass{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, class)
	if apierrors.IsNotFound(err) && b.Spec.ConnectorClassName == "" {
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("get ConnectorClass %s: %w", name, err)
	}
	return class, nil
}

// platforms remembers the revision of each class, which takes a rendering to find out.
type platforms struct {
	installation render.Installation
	policy       rollout.Policy // of brands without a class

	mu    sync.Mutex
	known map[types.UID]knownPlatform
}

type knownPlatform struct {
	generation int64
	platform   *platform
	err        error
}

func newPlatforms(i render.Installation, p rollout.Policy) *platforms {
	return &platforms{installation: i, policy: p, known: map[types.UID]knownPlatform{}}
}

// of a class, or of no class. Its error is a *render.InvalidError when the class is at
// fault.
func (p *platforms) of(class *v1alpha1.ConnectorClass) (*platform, error) {
	var uid types.UID
	var generation int64
	if class != nil {
		uid, generation = class.UID, class.Generation
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.known[uid]; ok && k.generation == generation {
		return k.platform, k.err
	}
	made, err := p.make(class)
	p.known[uid] = knownPlatform{generation, made, err}
	return made, err
}

func (p *platforms) make(class *v1alpha1.ConnectorClass) (*platform, error) {
	out := &platform{policy: p.policy}
	if class != nil {
		out.class = class.DeepCopy()
		out.class.Default()
		policy, err := policyOf(out.class)
		if err != nil {
			return nil, err
		}
		out.policy = policy
	}
	revision, err := render.PlatformRevision(p.installation, out.class)
	out.revision = revision
	return out, err
}

func policyOf(class *v1alpha1.ConnectorClass) (rollout.Policy, error) {
	spec := &class.Spec.Rollout
	p := rollout.Policy{MaxConcurrent: int(spec.MaxConcurrent), Paused: spec.Paused}
	if c := spec.Canary; c != nil {
		selector, err := metav1.LabelSelectorAsSelector(&c.Selector)
		if err != nil {
			return p, &render.InvalidError{Field: "spec.rollout.canary.selector of ConnectorClass " + class.Name, Problem: err.Error()}
		}
		p.Canaries, p.SoakTime = selector, c.SoakTime.Duration
	}
	return p, nil
}

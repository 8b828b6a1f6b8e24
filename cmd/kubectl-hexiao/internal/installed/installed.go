// SPDX-License-Identifier: Apache-2.0

// Package installed finds what of Hexiao itself is in a cluster: the operators, with the
// flags that decide what they make of a brand, and the kinds of the API.
//
// It needs the right to list Deployments where an operator runs, which a brand's team
// often has not: then it says so, and whoever asks does without.
package installed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/controllers/render"
)

// DefaultNamespace is where the guides install the operator.
const DefaultNamespace = "hexiao-system"

const (
	selector     = "app.kubernetes.io/name=hexiao,app.kubernetes.io/component=operator"
	labelVersion = "app.kubernetes.io/version"
)

// Operator is one that is installed.
type Operator struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Version is the chart's, by the Deployment's label.
	Version string `json:"version,omitempty"`
	Image   string `json:"image"`
	// ConnectorImage is what it runs for a brand whose class names no image.
	ConnectorImage string `json:"connectorImage,omitempty"`
	Ready          int32  `json:"ready"`
	Replicas       int32  `json:"replicas"`

	pullPolicy          string
	pullSecrets         []string
	monitoring, clients map[string]string
	namespaces          []string
	shard               string
}

// String is namespace/name.
func (o *Operator) String() string { return o.Namespace + "/" + o.Name }

// Installation is what its flags give to each of its brands.
func (o *Operator) Installation() render.Installation {
	return render.Installation{Image: o.ConnectorImage, ImagePullPolicy: corev1.PullPolicy(o.pullPolicy), ImagePullSecrets: o.pullSecrets,
		MonitoringNamespaces: o.monitoring, ClientNamespaces: o.clients}
}

// Runs says whether a brand is one of its own, by namespace and labels.
func (o *Operator) Runs(b *v1alpha1.BrandConnector) bool {
	shard, err := labels.Parse(o.shard)
	return err == nil && shard.Matches(labels.Set(b.Labels)) &&
		(len(o.namespaces) == 0 || slices.Contains(o.namespaces, b.Namespace))
}

// Operators lists them. Who may not look everywhere looks where the guides install it.
func Operators(ctx context.Context, c *live.Cluster) ([]*Operator, error) {
	list, err := c.List(ctx, render.DeploymentKind, "", metav1.ListOptions{LabelSelector: selector})
	if apierrors.IsForbidden(err) {
		list, err = c.List(ctx, render.DeploymentKind, DefaultNamespace, metav1.ListOptions{LabelSelector: selector})
	}
	if err != nil {
		return nil, err
	}
	out := make([]*Operator, 0, len(list))
	for i := range list {
		d, err := live.As[appsv1.Deployment](&list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, operator(d))
	}
	return out, nil
}

// operator reads a Deployment. Flags that it does not know are of no interest.
func operator(d *appsv1.Deployment) *Operator {
	o := &Operator{Namespace: d.Namespace, Name: d.Name, Version: d.Labels[labelVersion], Ready: d.Status.ReadyReplicas, Replicas: 1}
	if d.Spec.Replicas != nil {
		o.Replicas = *d.Spec.Replicas
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		args := slices.Concat(c.Command, c.Args)
		if c.Name != "manager" && !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--connector-image") }) {
			continue
		}
		o.Image = c.Image
		f := pflag.NewFlagSet("operator", pflag.ContinueOnError)
		f.SetOutput(io.Discard)
		f.ParseErrorsAllowlist.UnknownFlags = true
		f.StringVar(&o.ConnectorImage, "connector-image", "", "")
		f.StringVar(&o.pullPolicy, "connector-image-pull-policy", "", "")
		f.StringSliceVar(&o.pullSecrets, "connector-image-pull-secrets", nil, "")
		f.StringToStringVar(&o.monitoring, "monitoring-namespace-labels", nil, "")
		f.StringToStringVar(&o.clients, "client-namespace-labels", nil, "")
		f.StringSliceVar(&o.namespaces, "watch-namespaces", nil, "")
		f.StringVar(&o.shard, "watch-label-selector", "", "")
		_ = f.Parse(args) // what could be read is kept
		break
	}
	return o
}

// API is a kind that the cluster serves.
type API struct {
	Name string `json:"name"`
	// Versions that are served; the one that is stored is Stored.
	Versions []string `json:"versions"`
	Stored   string   `json:"stored"`
	// Release is the version of what installed it, if it is marked.
	Release string `json:"release,omitempty"`
}

// APIs are the kinds of Hexiao's API that are there, by their CRDs.
func APIs(ctx context.Context, c *live.Cluster) ([]API, error) {
	var out []API
	var errs []error
	for _, plural := range []string{"brandconnectors", "connectorclasses"} {
		u, err := c.Get(ctx, live.CRDKind, "", plural+"."+v1alpha1.Group)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		crd, err := live.As[crd](u)
		if err != nil || crd == nil {
			errs = append(errs, err)
			continue
		}
		api := API{Name: u.GetName(), Release: u.GetLabels()[labelVersion]}
		for _, v := range crd.Spec.Versions {
			if v.Served {
				api.Versions = append(api.Versions, v.Name)
			}
			if v.Storage {
				api.Stored = v.Name
			}
		}
		out = append(out, api)
	}
	if err := errors.Join(errs...); err != nil {
		return out, fmt.Errorf("read the CustomResourceDefinitions: %w", errs[0])
	}
	return out, nil
}

// crd is what is read of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Versions []struct {
			Name    string `json:"name"`
			Served  bool   `json:"served"`
			Storage bool   `json:"storage"`
		} `json:"versions"`
	} `json:"spec"`
}

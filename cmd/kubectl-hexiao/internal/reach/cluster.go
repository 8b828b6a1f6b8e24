// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

const (
	appName       = "hexiao-connector"
	labelName     = "app.kubernetes.io/name"
	labelInstance = "app.kubernetes.io/instance"
	adminPortName = "admin"
	adminPort     = 9090
	listPage      = 500
)

var brandConnectors = v1alpha1.GroupVersion.WithResource("brandconnectors")

// Cluster reaches connectors through an API server.
type Cluster struct {
	config  *rest.Config
	core    coreclient.CoreV1Interface
	auth    authenticationclient.AuthenticationV1Interface
	dynamic dynamic.Interface
}

// NewCluster makes the clients; nothing is called yet.
func NewCluster(config *rest.Config) (*Cluster, error) {
	c := &Cluster{config: config}
	var err error
	if c.core, err = coreclient.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if c.auth, err = authenticationclient.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return c, nil
}

// WhoAmI asks the API server, which is who has authenticated the caller.
func (c *Cluster) WhoAmI(ctx context.Context) (string, error) {
	review, err := c.auth.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the API server who you are: %w", err)
	}
	if review.Status.UserInfo.Username == "" {
		return "", fmt.Errorf("the API server does not say who you are")
	}
	return review.Status.UserInfo.Username, nil
}

// Brands lists BrandConnectors. Pods would not do: a brand without one would be left
// out in silence.
func (c *Cluster) Brands(ctx context.Context, namespace string) ([]Brand, error) {
	var out []Brand
	for next := ""; ; {
		list, err := c.dynamic.Resource(brandConnectors).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: listPage, Continue: next})
		if NoSuchKind(err) {
			return nil, ErrNotInstalled
		}
		if err != nil {
			return nil, fmt.Errorf("list BrandConnectors: %w", err)
		}
		for i := range list.Items {
			out = append(out, Brand{list.Items[i].GetNamespace(), list.Items[i].GetName()})
		}
		if next = list.GetContinue(); next == "" {
			slices.SortFunc(out, func(a, b Brand) int {
				return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
			})
			return out, nil
		}
	}
}

// Open forwards the admin port of one of the brand's ready Pods: they share a ledger,
// so any of them knows everything.
func (c *Cluster) Open(ctx context.Context, b Brand) (*Connector, error) {
	pods, err := c.core.Pods(b.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelName + "=" + appName + "," + labelInstance + "=" + b.Name})
	if err != nil {
		return nil, fmt.Errorf("list the Pods of %s: %w", b, err)
	}
	pod, why := ready(pods.Items)
	if pod == nil {
		return nil, c.explain(ctx, b, why)
	}
	target := c.core.RESTClient().Post().Resource("pods").Namespace(b.Namespace).Name(pod.Name).SubResource("portforward").URL()
	t, err := openTunnel(ctx, c.config, target, portOf(pod))
	if err != nil {
		return nil, fmt.Errorf("forward the admin port of Pod %s (it takes the right to create pods/portforward in namespace %s): %w", pod.Name, b.Namespace, err)
	}
	base, client := t.client(callTimeout)
	return &Connector{Client: &adminapi.Client{Base: base, HTTP: client}, Pod: pod.Name, close: t}, nil
}

// ready picks a Pod, the one that has been there longest, or says why there is none.
func ready(pods []corev1.Pod) (*corev1.Pod, string) {
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var states []string
	for i := range pods {
		p := &pods[i]
		isReady := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		switch {
		case p.DeletionTimestamp != nil:
			states = append(states, p.Name+" is ending")
		case isReady:
			return p, ""
		default:
			states = append(states, fmt.Sprintf("%s is %s and not ready", p.Name, p.Status.Phase))
		}
	}
	return nil, strings.Join(states, ", ")
}

// explain says why a brand has no ready Pod.
func (c *Cluster) explain(ctx context.Context, b Brand, why string) error {
	object, err := c.dynamic.Resource(brandConnectors).Namespace(b.Namespace).Get(ctx, b.Name, metav1.GetOptions{})
	switch {
	case NoSuchKind(err):
		return ErrNotInstalled
	case apierrors.IsNotFound(err):
		return NoBrand(b)
	case err == nil && why == "" && suspended(object.Object):
		return fmt.Errorf("%s has no Pod: it is suspended", b)
	case why == "":
		return fmt.Errorf("%s has no Pod: see kubectl describe brandconnector -n %s %s", b, b.Namespace, b.Name)
	}
	return fmt.Errorf("%s has no ready Pod: %s", b, why)
}

func suspended(object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	yes, _ := spec["suspend"].(bool)
	return yes
}

func portOf(p *corev1.Pod) int32 {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == adminPortName {
				return port.ContainerPort
			}
		}
	}
	return adminPort
}

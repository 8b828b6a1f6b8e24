// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// ErrNotFound is wrapped when there is no such brand.
var ErrNotFound = errors.New("not found")

// ErrNotInstalled wraps ErrNotFound: the cluster does not know the kind.
var ErrNotInstalled = fmt.Errorf("%w: this cluster has no BrandConnectors: install Hexiao, or name another cluster with --context", ErrNotFound)

// NoBrand is the error of a brand that is not there. It wraps ErrNotFound.
func NoBrand(b Brand) error {
	return fmt.Errorf("%w: there is no BrandConnector %q in namespace %q: name another, or another namespace with -n", ErrNotFound, b.Name, b.Namespace)
}

// NoBrands is the error of a namespace without brands, or of a cluster when it is empty:
// a list of none would pass for good news where the namespace is misspelt. It wraps
// ErrNotFound.
func NoBrands(namespace string) error {
	if namespace == "" {
		return fmt.Errorf("%w: there is no BrandConnector in any namespace of this cluster: name another cluster with --context", ErrNotFound)
	}
	return fmt.Errorf("%w: there is no BrandConnector in namespace %q: name another namespace with -n, or say -A for all", ErrNotFound, namespace)
}

// NoSuchKind tells a kind that the API server does not serve from an object that is not
// there. Both are answered with 404, the first by a page and not by the kind's own code.
func NoSuchKind(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}

// callTimeout bounds one call of the admin API: a vendor's look-up takes ten seconds
// at most, and a redemption has few legs.
const callTimeout = 60 * time.Second

// Brand is a BrandConnector's name.
type Brand struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// String is namespace/name.
func (b Brand) String() string {
	if b.Namespace == "" {
		return b.Name
	}
	return b.Namespace + "/" + b.Name
}

// Connector is one that can be called.
type Connector struct {
	*adminapi.Client
	Pod   string // its name, or its address
	close io.Closer
}

// Close ends the way to it.
func (c *Connector) Close() error { return c.close.Close() }

// Way is how connectors are reached.
type Way interface {
	// Open opens the way to a brand's connector.
	Open(ctx context.Context, b Brand) (*Connector, error)
	// Brands are those of a namespace, or of all when it is empty.
	Brands(ctx context.Context, namespace string) ([]Brand, error)
	// WhoAmI is the name under which the person is known.
	WhoAmI(ctx context.Context) (string, error)
}

// Direct reaches one connector at an address of this machine.
type Direct struct{ URL string }

// Open makes a client; nothing is called yet.
func (d Direct) Open(context.Context, Brand) (*Connector, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "http" || !slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname()) {
		return nil, fmt.Errorf("--admin-url: %q is not an address of this machine: use one like http://127.0.0.1:9090; a connector answers over its loopback interface alone", d.URL)
	}
	transport := &http.Transport{} // no proxy: it is this very machine
	return &Connector{Client: &adminapi.Client{Base: strings.TrimSuffix(d.URL, "/"), HTTP: &http.Client{Transport: transport, Timeout: callTimeout}},
		Pod: u.Host, close: idle{transport}}, nil
}

type idle struct{ t *http.Transport }

func (i idle) Close() error { i.t.CloseIdleConnections(); return nil }

// Brands is the one that answers there.
func (d Direct) Brands(context.Context, string) ([]Brand, error) { return []Brand{{}}, nil }

// WhoAmI is the account on this machine, as user@host.
func (d Direct) WhoAmI(context.Context) (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("find out who you are: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find out which machine this is: %w", err)
	}
	return u.Username + "@" + host, nil
}

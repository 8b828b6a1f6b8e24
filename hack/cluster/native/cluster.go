// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"path/filepath"

	"github.com/hexiao-dev/hexiao/hack/cluster/binaries"
	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

// ErrDown says that the cluster does not run.
var ErrDown = errors.New("the cluster is down: bring it up by `hack/cluster/cluster up`")

// A Cluster is one cluster of this machine, running or not.
type Cluster struct {
	// Name tells clusters of one machine apart: lower case letters, digits and hyphens.
	Name string
	// Root is the directory of all clusters of the user.
	Root     string
	Programs binaries.Cache
	Progress progress.Printer
}

// Directory holds the cluster's files.
func (c Cluster) Directory() string { return filepath.Join(c.Root, c.Name) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c Cluster) Kubeconfig() string { return filepath.Join(c.Directory(), kubeconfigFile) }

// Info is what a user of a running cluster needs to know.
type Info struct {
	Kubeconfig string
	// AuditLog has a line of JSON (audit.k8s.io/v1 Event) for each write to the API.
	AuditLog string
	// HostAddress is where Pods reach servers of this machine.
	HostAddress string
	// NetworkNamespace is a path for nsenter --net.
	NetworkNamespace string
	// Kubectl is a kubectl of the cluster's version.
	Kubectl string
}

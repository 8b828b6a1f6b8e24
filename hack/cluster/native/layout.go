// SPDX-License-Identifier: Apache-2.0

package native

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"

	"github.com/hexiao-dev/hexiao/hack/cluster/process"
)

// slots is how many clusters one machine may have at a time.
const slots = 64

// validName keeps names of clusters fit for a host name and a network namespace.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// layout says what belongs to a cluster. It is what `up` decides before it makes anything, written to a file, so that whatever a
// broken `up` left behind can be found.
type layout struct {
	Name string `json:"name"`
	// Slot is the cluster's number on this machine. Addresses and device names follow from it.
	Slot int `json:"slot"`
	// Programs maps the names of programs to their paths on the machine.
	Programs map[string]string `json:"programs"`
	// CNI is the directory of the network plugins.
	CNI string `json:"cni"`
}

func (l layout) nodeName() string   { return "hexiao-" + l.Name }
func (l layout) namespace() string  { return "hexiao-" + l.Name }
func (l layout) hostDevice() string { return fmt.Sprintf("hexiao%d", l.Slot) }
func (l layout) cgroup() string     { return "hexiao-" + l.Name }

func (l layout) network(second byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, byte(l.Slot), 0}), 24)
}

func (l layout) linkNetwork() netip.Prefix    { return l.network(200) }
func (l layout) podNetwork() netip.Prefix     { return l.network(201) }
func (l layout) serviceNetwork() netip.Prefix { return l.network(202) }

func address(network netip.Prefix, last byte) string {
	bytes := network.Addr().As4()
	bytes[3] = last
	return netip.AddrFrom4(bytes).String()
}

func (l layout) hostAddress() string { return address(l.linkNetwork(), 1) }
func (l layout) nodeAddress() string { return address(l.linkNetwork(), 2) }
func (l layout) apiService() string  { return address(l.serviceNetwork(), 1) }
func (l layout) dnsService() string  { return address(l.serviceNetwork(), 10) }
func (l layout) server() string      { return "https://" + l.nodeAddress() + ":6443" }

// Files of a cluster, relative to its directory.
const (
	layoutFile     = "cluster.json"
	supervisorFile = "supervisor.json"
	kubeconfigFile = "admin.kubeconfig"
	auditLog       = "audit.log"
	socket         = "containerd/containerd.sock"
)

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(content, '\n'), 0o600)
}

func readJSON(path string, value any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// replaceFile never leaves half a file.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	aside := path + ".new"
	if err := os.WriteFile(aside, content, mode); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// supervisor reads the record of the cluster's first process; the zero record where there is none.
func supervisor(directory string) (process.Record, error) {
	var r process.Record
	err := readJSON(filepath.Join(directory, supervisorFile), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return process.Record{}, nil
	}
	return r, err
}

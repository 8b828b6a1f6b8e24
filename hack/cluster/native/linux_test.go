// SPDX-License-Identifier: Apache-2.0

//go:build linux

package native

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOverlap(t *testing.T) {
	const routes = `default via 192.168.1.1 dev eth0
0.0.0.0/1 via 10.7.0.1 dev tun0
10.0.0.0/8 via 10.7.0.1 dev tun0
192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.2
10.8.0.0/13 via 192.168.1.9 dev eth0
10.201.3.7 via 192.168.1.9 dev eth0
local 10.202.4.1 dev dummy0 table local proto kernel scope host src 10.202.4.1
`
	for name, tc := range map[string]struct{ network, want string }{
		"a network under nothing but the routes of a VPN is free": {"10.200.0.0/24", ""},
		"a wider route overlaps":                                  {"10.9.1.0/24", "10.8.0.0/13"},
		"the route of a host overlaps":                            {"10.201.3.0/24", "10.201.3.7/32"},
		"an address of the machine overlaps":                      {"10.202.4.0/24", "10.202.4.1/32"},
		"a gateway or a source address is no route":               {"192.168.0.0/24", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, overlap(routes, netip.MustParsePrefix(tc.network))); diff != "" {
				t.Errorf("overlap (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveCgroups(t *testing.T) {
	root := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(root, "kubepods", "pod1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeCgroups([]string{root, filepath.Join(root, "..", "absent")}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestMountPoints(t *testing.T) {
	const mountInfo = `21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:25 / /cache/default/var/x rw - tmpfs tmpfs rw
31 21 0:25 / /cache/default/var/x rw - tmpfs tmpfs rw
32 21 0:26 / /cache/default-2/y rw - tmpfs tmpfs rw
`
	for directory, want := range map[string][]string{
		"/cache/default":   {"/cache/default/var/x"},
		"/cache/default-2": {"/cache/default-2/y"},
		"/cache/def":       nil,
	} {
		t.Run("mounts in "+directory, func(t *testing.T) {
			if diff := cmp.Diff(want, mountPoints(mountInfo, directory)); diff != "" {
				t.Errorf("mount points (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for name, c := range map[string]Cluster{
		"a name that leads out of the directory": {Name: "../other", Root: t.TempDir()},
		"no name":                                {Root: t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range []error{c.Up(t.Context()), c.Down(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), "lower case letters") {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func TestInfoOfADeadCluster(t *testing.T) {
	c := Cluster{Name: "dead", Root: t.TempDir()}
	if err := writeJSON(filepath.Join(c.Directory(), layoutFile), testLayout()); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(c.Directory(), supervisorFile), map[string]any{"pid": os.Getpid(), "started": 1, "boot": "earlier"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Info(); !errors.Is(err, ErrDown) {
		t.Errorf("error %v, want %v", err, ErrDown)
	}
}

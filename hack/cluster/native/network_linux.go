// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
)

// run runs a program of the distribution; the error holds what it said.
func run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", commandLine(name, args), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// createNetwork makes the namespace and joins it to the machine.
func createNetwork(ctx context.Context, l layout) error {
	if err := routable(ctx, l); err != nil {
		return err
	}
	ns, device := l.namespace(), l.hostDevice()
	for _, args := range [][]string{
		{"netns", "add", ns},
		{"link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", ns},
		{"address", "add", l.hostAddress() + "/24", "dev", device},
		{"link", "set", device, "up"},
		{"-n", ns, "link", "set", "lo", "up"},
		{"-n", ns, "address", "add", l.nodeAddress() + "/24", "dev", "eth0"},
		{"-n", ns, "link", "set", "eth0", "up"},
		{"-n", ns, "route", "add", "default", "via", l.hostAddress()},
		{"route", "add", l.podNetwork().String(), "via", l.nodeAddress()},
		{"route", "add", l.serviceNetwork().String(), "via", l.nodeAddress()},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return fmt.Errorf("create the network: %w", err)
		}
	}
	return nil
}

// deleteNetwork removes what createNetwork made, or the part of it that is there.
func deleteNetwork(ctx context.Context, l layout) error {
	var failures []error
	if _, err := net.InterfaceByName(l.hostDevice()); err == nil {
		_, err := run(ctx, "ip", "link", "delete", l.hostDevice()) // its routes go with it
		failures = append(failures, err)
	}
	exists, err := namespaceExists(ctx, l.namespace())
	failures = append(failures, err)
	if exists {
		_, err := run(ctx, "ip", "netns", "delete", l.namespace())
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func namespaceExists(ctx context.Context, name string) (bool, error) {
	out, err := run(ctx, "ip", "netns", "list")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == name {
			return true, nil
		}
	}
	return false, nil
}

// routable refuses networks that the machine uses for something else.
func routable(ctx context.Context, l layout) error {
	out, err := run(ctx, "ip", "-4", "-oneline", "route", "show", "table", "all")
	if err != nil {
		return err
	}
	if taken := overlap(out, l.linkNetwork(), l.podNetwork(), l.serviceNetwork()); taken != "" {
		return fmt.Errorf("the machine has a route to %s, which the cluster would need", taken)
	}
	return nil
}

// overlap returns the first destination of a list of routes, as `ip -oneline route` prints it, that shares addresses with one of the
// networks. Routes as wide as those of a VPN (10.0.0.0/8, 0.0.0.0/1) do not count: the narrower ones of the cluster win over them,
// and refusing them would leave no address at all.
func overlap(routes string, networks ...netip.Prefix) string {
	const widest = 8
	for line := range strings.Lines(routes) {
		for _, field := range strings.Fields(line)[:min(2, len(strings.Fields(line)))] { // "local 10.0.0.1 dev …" has a type first
			route, err := netip.ParsePrefix(field)
			if err != nil {
				addr, addrErr := netip.ParseAddr(field)
				if addrErr != nil {
					continue
				}
				route = netip.PrefixFrom(addr, addr.BitLen())
			}
			for _, network := range networks {
				if route.Bits() > widest && route.Overlaps(network) {
					return route.String()
				}
			}
		}
	}
	return ""
}

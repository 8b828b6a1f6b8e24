// SPDX-License-Identifier: Apache-2.0

package freeport_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/hexiao-dev/hexiao/hack/freeport"
)

func TestAnAddressIsFreeAndNotOneThatTheKernelGivesAway(t *testing.T) {
	for range 100 {
		address := freeport.Address(t)
		if port := netip.MustParseAddrPort(address).Port(); port < 3000 || port > 19999 {
			t.Errorf("%s is not below the ports of connections", address)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
}

func TestAnAddressIsNotGivenTwiceBeforeAnybodyListens(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		address := freeport.Address(t)
		if seen[address] {
			t.Fatalf("%s was given twice", address)
		}
		seen[address] = true
	}
}

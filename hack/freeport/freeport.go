// SPDX-License-Identifier: Apache-2.0

// Package freeport finds an address of the loopback device for a program that has to be
// told one.
//
// A port that the kernel gave to a listener which was closed again may be anybody's a
// moment later: it gives such ports to each connection that goes out. This package takes
// ports below those, where only who asks for a port by its number gets it.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Ports from lowest up to highest are below those that Linux gives away (32768 and above,
// by default), and below those of hack/postgres and of NodePorts.
const lowest, highest = 3000, 19999

// ports go round from where chance has them begin: a process is not given the same port
// twice while whoever has it is yet to listen, or is down for a moment.
var ports = struct {
	sync.Mutex
	next int
}{next: lowest + rand.IntN(highest-lowest+1)}

const tries = 2000

// Find returns an address such as 127.0.0.1:4711 on which nobody listens.
func Find() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	var err error
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", ports.next)
		if ports.next++; ports.next > highest {
			ports.next = lowest
		}
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port from %d to %d: %w", lowest, highest, err)
}

// Address is Find for a test, which it ends when there is none.
func Address(t testing.TB) string {
	t.Helper()
	address, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

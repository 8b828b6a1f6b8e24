// SPDX-License-Identifier: Apache-2.0

package oneshottest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
)

func TestNobodyListensAndNobodyCan(t *testing.T) {
	address := oneshottest.Nobody(t)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connection %v, %v", conn, err)
	}
	if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listener %v, %v", l, err)
	}
}

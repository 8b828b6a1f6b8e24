// SPDX-License-Identifier: Apache-2.0

package oneshottest

import (
	"net"
	"testing"
)

// Nobody is an address of 127.0.0.1 where nobody listens before the test ends. It is the
// near end of a connection, which holds the port: one that was listened on and closed
// is given to whoever asks for a port next.
func Nobody(t testing.TB) string {
	t.Helper()
	far, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	near, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", far.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return near.LocalAddr().String()
}

// SPDX-License-Identifier: Apache-2.0

//go:build unix

package oneshot

import (
	"errors"
	"net"
	"syscall"
)

// quiet reports whether a read on the socket would block: it is open in this
// direction, and nothing has come.
func quiet(raw net.Conn) bool {
	sc, ok := raw.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	blocks := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		blocks = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && blocks
}

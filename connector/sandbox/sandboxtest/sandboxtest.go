// SPDX-License-Identifier: Apache-2.0

// Package sandboxtest starts a sandbox for a test.
package sandboxtest

import (
	"context"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

// Start runs a sandbox on real sockets of 127.0.0.1, each vendor on its own,
// until the test ends.
func Start(t testing.TB, cfg sandbox.Config, opts ...sandbox.Option) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(cfg, opts...)
	if err != nil {
		t.Fatalf("make sandbox: %v", err)
	}
	srv, err := sandbox.Serve(s, sandbox.Addresses{All: "127.0.0.1:0", Zhimai: "127.0.0.1:0", ALSC: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("serve sandbox: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("stop sandbox: %v", err)
		}
	})
	return srv
}

// AwaitFault waits until the sandbox's first fault befalls a call, or the test ends.
func AwaitFault(t testing.TB, s *sandbox.Server) {
	for s.Sandbox.Faults().Rules()[0].Fired == 0 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

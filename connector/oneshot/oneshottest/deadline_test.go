// SPDX-License-Identifier: Apache-2.0

package oneshottest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
)

func TestADeadlineComesWhenItIsReached(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	ctx, reach := oneshottest.Deadline(parent)
	child, stop := context.WithCancel(ctx)
	defer stop()
	if ctx.Err() != nil || child.Err() != nil {
		t.Fatalf("ended before: %v, %v", ctx.Err(), child.Err())
	}
	reach()
	reach()
	<-child.Done()
	cancel() // comes too late to be the reason
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
		t.Errorf("ended with %v, %v", ctx.Err(), child.Err())
	}
}

func TestADeadlineEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	ctx, reach := oneshottest.Deadline(parent)
	cancel()
	<-ctx.Done()
	reach()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("ended with %v", ctx.Err())
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package oneshottest gives tests of clients what no clock and no socket gives them: a
// deadline that comes when the test says, such as after the server has the request
// however busy the machine is, and an address where nobody listens.
package oneshottest

import (
	"context"
	"sync"
)

// Deadline is a child of parent whose deadline comes with the call of reach. As with any
// deadline the context's error is [context.DeadlineExceeded]. Reach may be called from
// any goroutine, and again.
func Deadline(parent context.Context) (ctx context.Context, reach func()) {
	d := &deadline{Context: parent, done: make(chan struct{})}
	stop := context.AfterFunc(parent, func() { d.end(parent.Err()) })
	return d, func() { stop(); d.end(context.DeadlineExceeded) }
}

type deadline struct {
	context.Context
	done chan struct{}
	mu   sync.Mutex
	err  error
}

func (d *deadline) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.done)
	}
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.done }

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

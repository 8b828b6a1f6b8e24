// SPDX-License-Identifier: Apache-2.0

package present

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Patience is how long a person waits before something must be said.
const Patience = 2 * time.Second

// Progress says on w what is going on, each time that patience ends, until stop is
// called. What is over sooner says nothing.
func Progress(w io.Writer, patience time.Duration, text func() string) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		began := time.Now()
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				_, _ = fmt.Fprintf(w, "%s (%s)\n", text(), Span(now.Sub(began)))
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-gone })
}

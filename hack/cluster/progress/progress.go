// SPDX-License-Identifier: Apache-2.0

// Package progress tells a person what a program is busy with, once it takes longer than they would wonder.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	silence  = 2 * time.Second
	interval = 15 * time.Second
)

// A Printer writes whole lines to a terminal or a log. The zero value prints nothing.
type Printer struct {
	// To is where the lines go.
	To io.Writer
}

// Say prints a line.
func (p Printer) Say(format string, args ...any) {
	if p.To != nil {
		fmt.Fprintf(p.To, format+"\n", args...)
	}
}

// Step runs do. When that takes more than two seconds it says so, every fifteen seconds again, and at the end how long it took.
func (p Printer) Step(name string, do func() error) error {
	began := time.Now()
	stop := make(chan struct{})
	var ticker sync.WaitGroup
	spoke := false
	ticker.Go(func() { spoke = p.tick(name, began, stop) })
	err := do()
	close(stop)
	ticker.Wait()
	switch {
	case err != nil:
		p.Say("%s: failed after %s", name, elapsed(began))
	case spoke:
		p.Say("%s: done in %s", name, elapsed(began))
	}
	return err
}

func (p Printer) tick(name string, began time.Time, stop <-chan struct{}) (spoke bool) {
	wait := time.NewTimer(silence)
	defer wait.Stop()
	for {
		select {
		case <-stop:
			return spoke
		case <-wait.C:
			p.Say("%s … %s", name, elapsed(began))
			spoke = true
			wait.Reset(interval)
		}
	}
}

func elapsed(began time.Time) time.Duration { return time.Since(began).Round(time.Second) }

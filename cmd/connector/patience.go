// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/service"
)

// What Kubernetes shows of a container that runs is no more than that it is not ready. Why
// a database does not answer is shown of one that has ended; so a connector in a container
// ends to say so once, and from then on waits, to be there as soon as the database is. It
// ends again in long intervals, because the reason may be another one by then: longer than
// the ten minutes after which kubelet starts a container without a pause.
const (
	firstPatience = 30 * time.Second
	againAfter    = 15 * time.Minute
)

// saidMark is the file whose time is when it was said last. In a Pod it outlives the
// container, for /tmp is the Pod's (an emptyDir).
func saidMark() string { return filepath.Join(os.TempDir(), "hexiao-ledger-away") }

// patience is how long a database that does not answer is waited for. Where no mark can be
// left it is zero, for ever: who could not remember would end all the time.
func patience(mark string, now time.Time) time.Duration {
	if said, err := os.Stat(mark); err == nil {
		if left := said.ModTime().Add(againAfter).Sub(now); left > 0 {
			return left
		}
	}
	if remember(mark, now) != nil {
		return 0
	}
	return firstPatience
}

// remember leaves the mark with a time.
func remember(mark string, at time.Time) error {
	f, err := os.OpenFile(mark, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Chtimes(mark, at, at)
}

// ended gives an end for want of a database its exit code, and remembers it. That it cannot
// be remembered is no reason to say something else.
func ended(err error, mark string, now func() time.Time) error {
	if !errors.Is(err, service.ErrLedgerAway) {
		return err
	}
	_ = remember(mark, now())
	return &exitError{v1alpha1.ExitLedgerAway, err}
}

// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"
)

// diagnosis is why Pods do not become ready.
type diagnosis struct {
	// text for a message: without names of Pods, counters and times.
	text string
	// ledger is the text when it is the ledger that a Pod could not open.
	ledger string
	// lookAgain is when to look again: Pods are not watched.
	lookAgain time.Duration
}

func (r *Reconciler) diagnose(context.Context, *scope) error { return nil }

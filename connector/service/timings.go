// SPDX-License-Identifier: Apache-2.0

package service

import (
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Timings are the engine's clocks that no brand needs to touch: they follow from how
// machines fail, not from what a vendor or a till does. Zero fields keep the engine's
// defaults, which redeem.Config documents.
type Timings struct {
	LeaseMargin, SettleWindow, RefusalWindow time.Duration
	AbandonAfter                             time.Duration
	ResolverIdle, ResolverLease              time.Duration
	LedgerTimeout                            time.Duration
}

func (t Timings) apply(c *redeem.Config) {
	c.LeaseMargin, c.SettleWindow, c.AbandonAfter = t.LeaseMargin, t.SettleWindow, t.AbandonAfter
	c.RefusalWindow = t.RefusalWindow
	c.ResolverIdle, c.ResolverLease = t.ResolverIdle, t.ResolverLease
	c.LedgerTimeout = t.LedgerTimeout
}

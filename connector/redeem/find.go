// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"fmt"
)

// Lookup names a redemption as the result query does: it knows no bizId.
type Lookup struct {
	BrandID, TransOrderNo, PaymentNo string
	Action                           Action
}

const findMost = 50

// Find is what became of a payment: of the redemptions with these numbers the one
// that is not known yet, if any (nothing may be said before it is); else one that
// redeemed something; else the newest. ErrNotFound when there is none. A doubt whose
// next check is far off is checked at once.
func (e *Engine) Find(ctx context.Context, l Lookup) (Redemption, error) {
	q := Query{BrandID: l.BrandID, TransOrderNo: l.TransOrderNo, PaymentNo: l.PaymentNo, Action: l.Action}
	if l.BrandID != e.cfg.BrandID || (l.TransOrderNo == "" && l.PaymentNo == "") {
		return Redemption{}, ErrNotFound
	}
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	all, err := e.Ledger.Search(get, q, findMost)
	if err != nil {
		return Redemption{}, fmt.Errorf("search the ledger: %w", err)
	}
	if len(all) == 0 {
		return Redemption{}, ErrNotFound
	}
	best := all[0]
	for _, r := range all {
		if weight(r) > weight(best) {
			best = r
		}
	}
	if best.Answer == nil {
		if settled(best) {
			best = e.finish(context.WithoutCancel(ctx), best)
		} else {
			e.worthWaiting(best) // asks for a check when none is near
		}
	}
	return best, nil
}

// weight orders redemptions of one payment by how much they matter to the question
// whether it was paid. One that was never sent at all matters least.
func weight(r Redemption) int {
	switch {
	case r.Answer == nil && anyLeg(r, StateSent, StateUnknown, StateExecuted):
		return 3
	case len(executedLines(r)) > 0:
		return 2
	case r.Answer != nil:
		return 1
	}
	return 0
}

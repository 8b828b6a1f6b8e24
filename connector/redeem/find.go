// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"fmt"
	"slices"
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
	return e.asked(ctx, best), nil
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

// Search finds redemptions, newest first, at most limit, for whoever answers a till.
// It answers what is settled and unanswered, and asks for a check of a doubt whose
// next one is far off, so that who asks again hears more. Lines of a redemption that
// has no answer come without results: while what was redeemed is being given back,
// neither success nor failure may be told.
func (e *Engine) Search(ctx context.Context, q Query, limit int) ([]Redemption, error) {
	if q.BrandID != e.cfg.BrandID {
		return nil, nil
	}
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	found, err := e.Ledger.Search(get, q, limit)
	if err != nil {
		return nil, fmt.Errorf("search the ledger: %w", err)
	}
	for i, r := range found {
		r = e.asked(ctx, r)
		if r.Answer == nil {
			r.Lines = slices.Clone(r.Lines)
			for j := range r.Lines {
				r.Lines[j].Result = LineResult{}
			}
		}
		found[i] = r
	}
	return found, nil
}

// asked is r after what a question about it sets going.
func (e *Engine) asked(ctx context.Context, r Redemption) Redemption {
	switch {
	case r.Answer != nil:
	case settled(r):
		return e.finishBy(ctx, r, e.Now().Add(e.cfg.ReplyDeadline/2))
	default:
		e.worthWaiting(r)
	}
	return r
}

// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const (
	defaultLimit, maxLimit = 1000, 10000
	page                   = 200
)

// inDoubt lists the open legs whose fate the till was not told, oldest first: who has waited
// longest is looked at first.
func (d *desk) inDoubt(r *http.Request) (any, error) {
	limit, err := limitOf(r, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	out := adminapi.InDoubtList{BrandID: d.BrandID, At: d.Now().UTC(), Items: []adminapi.Doubt{}}
	err = d.each(r.Context(), redeem.Query{BrandID: d.BrandID, Unanswered: true}, func(x redeem.Redemption) {
		for _, leg := range x.Legs {
			if p := d.Engine.Prospect(leg); doubtful(leg, p, out.At) {
				out.Items = append(out.Items, doubt(x, leg, p, out.At))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out.Items, func(a, b adminapi.Doubt) int { return a.Since.Compare(b.Since) })
	if len(out.Items) > limit {
		out.Items, out.Truncated = out.Items[:limit], true
	}
	return out, nil
}

// doubtful: in doubt, or sent by a process that did not come back with an answer, or by
// one that still waits for it while the till has heard that nobody knows.
func doubtful(leg redeem.Leg, p redeem.Prospect, now time.Time) bool {
	return leg.State == redeem.StateUnknown || leg.State == redeem.StateSent && (p.Overdue || !leg.LeaseUntil.After(now))
}

// reversals lists reversals: those that wait, or all.
func (d *desk) reversals(r *http.Request) (any, error) {
	limit, err := limitOf(r, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	q := redeem.Query{BrandID: d.BrandID, Action: redeem.ReverseVerify}
	switch state := r.URL.Query().Get("state"); state {
	case "", "waiting":
		q.Unanswered = true
	case "all":
	default:
		return nil, invalid("state", "there is no state "+strconv.Quote(state), "use waiting or all")
	}
	out := adminapi.ReversalList{BrandID: d.BrandID, At: d.Now().UTC(), Items: []adminapi.Reversal{}}
	if q.Unanswered {
		err = d.each(r.Context(), q, func(x redeem.Redemption) { out.Items = append(out.Items, d.reversal(x, out.At)) })
		out.Truncated = len(out.Items) > limit
		slices.Reverse(out.Items)
		out.Items = out.Items[:min(limit, len(out.Items))]
		return out, err
	}
	// Of all there ever were the newest are shown.
	found, err := d.Ledger.Search(r.Context(), q, limit+1)
	if err != nil {
		return nil, err
	}
	out.Truncated = len(found) > limit
	for _, x := range found[:min(limit, len(found))] {
		out.Items = append(out.Items, d.reversal(x, out.At))
	}
	slices.Reverse(out.Items)
	return out, nil
}

// each calls f for every redemption that q selects, newest first. It pages by the
// time of creation; those of the page's last instant are met again and passed over.
func (d *desk) each(ctx context.Context, q redeem.Query, f func(redeem.Redemption)) error {
	seen := map[redeem.Key]bool{}
	for size := page; ; {
		found, err := d.Ledger.Search(ctx, q, size)
		if err != nil {
			return err
		}
		fresh := 0
		for _, x := range found {
			if !seen[x.Key()] {
				seen[x.Key()] = true
				fresh++
				f(x)
			}
		}
		if len(found) < size {
			return nil
		}
		q.To = found[len(found)-1].CreatedAt.Add(time.Microsecond)
		if fresh == 0 { // a whole page of one instant
			size *= 2
		}
	}
}

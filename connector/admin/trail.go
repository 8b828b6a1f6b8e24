// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"net/http"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/ledger/report"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const defaultTrails, maxTrails = 20, 200

// trails is everything known of the redemptions that a person can name: of a bizId,
// an order, a payment, a trace or a flow.
func (d *desk) trails(r *http.Request) (any, error) {
	q, err := d.searchOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r, defaultTrails, maxTrails)
	if err != nil {
		return nil, err
	}
	found, err := report.Gather(r.Context(), d.Ledger, q, limit)
	if err != nil {
		return nil, err
	}
	out := adminapi.Trails{BrandID: d.BrandID, At: d.Now().UTC(), Items: []adminapi.Trail{}, Truncated: found.More}
	for i := range found.Entries {
		t, err := d.trail(r.Context(), &found.Entries[i])
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, t)
	}
	for _, t := range found.Tombstones {
		out.Retired = append(out.Retired, adminapi.Retired{Action: string(t.Key.Action), BizID: t.Key.BizID, FlowID: t.FlowID, Outcome: t.Outcome,
			CreatedAt: t.CreatedAt.UTC(), ConcludedAt: t.ConcludedAt.UTC(), RetiredAt: t.RetiredAt.UTC()})
	}
	out.Totals = totals(report.Tally(found.Entries))
	return out, nil
}

// searchOf reads the conditions. Without any the answer would be the whole ledger.
func (d *desk) searchOf(r *http.Request) (redeem.Query, error) {
	v := r.URL.Query()
	q := redeem.Query{BizID: v.Get("bizId"), TransOrderNo: v.Get("orderNo"), PaymentNo: v.Get("paymentNo"), TraceID: v.Get("traceId"), FlowID: v.Get("flowId")}
	if q == (redeem.Query{}) {
		return q, invalid("bizId", "nothing says which redemption is meant", "give bizId, orderNo, paymentNo, traceId or flowId")
	}
	q.BrandID = d.BrandID
	return q, nil
}

// trail renders an entry: the redemption, and each of its reversals as one.
func (d *desk) trail(ctx context.Context, e *report.Entry) (adminapi.Trail, error) {
	x := e.Redemption
	view, err := d.view(ctx, x)
	if err != nil {
		return adminapi.Trail{}, err
	}
	checked, err := d.Ledger.VerifyRedemption(ctx, x.Key())
	if err != nil {
		return adminapi.Trail{}, err
	}
	out := adminapi.Trail{Redemption: view, Conclusion: conclusion(report.Conclude(&x)), Chain: chain(checked)}
	for _, reversal := range e.Reversals {
		t, err := d.trail(ctx, &report.Entry{Redemption: reversal})
		if err != nil {
			return out, err
		}
		out.Reversals = append(out.Reversals, t)
	}
	return out, nil
}

func conclusion(c report.Conclusion) adminapi.Conclusion {
	return adminapi.Conclusion{Word: string(c.Word), Done: sum(c.Done), Refused: sum(c.Refused), Open: sum(c.Open), WaitsForPerson: c.Person}
}

func chain(r ledger.Report) adminapi.Chain {
	out := adminapi.Chain{Intact: r.Break == nil, Events: r.Events, Sealed: r.Unsealed == 0}
	if r.Break != nil {
		out.Problem = scrub(r.Break.String())
	}
	return out
}

func totals(t report.Totals) adminapi.Totals {
	out := adminapi.Totals{Redeemed: sum(t.Redeemed), GivenBack: sum(t.GivenBack), Net: sum(t.Net), InDoubt: sum(t.InDoubt), InDoubtBack: sum(t.InDoubtBack)}
	for _, r := range t.Repeated {
		out.Repeated = append(out.Repeated, adminapi.Repeated{OrderNo: r.TransOrderNo, PaymentNo: r.PaymentNo, BizIDs: r.BizIDs})
	}
	return out
}

func sum(s report.Sum) adminapi.Sum {
	return adminapi.Sum{Fen: int64(s.Fen), Coupons: s.Coupons, Points: s.Points}
}

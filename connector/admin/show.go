// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/redact"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// show is everything known of one redemption.
func (d *desk) show(r *http.Request) (any, error) {
	key, err := d.key(r)
	if err != nil {
		return nil, err
	}
	x, err := d.Ledger.Get(r.Context(), key)
	if err != nil {
		return nil, err
	}
	return d.view(r.Context(), x)
}

// view renders x with its events and, of a redemption, its reversals.
func (d *desk) view(ctx context.Context, x redeem.Redemption) (adminapi.Redemption, error) {
	now := d.Now()
	events, err := d.Ledger.Events(ctx, x.Key())
	if err != nil {
		return adminapi.Redemption{}, err
	}
	out := header(x)
	for _, l := range x.Lines {
		out.Lines = append(out.Lines, line(l))
	}
	for _, l := range x.Legs {
		shown := leg(l, d.Engine.Prospect(l), now)
		if from := d.Engine.RefusableFrom(x, l.No, events); from.After(now) {
			shown.RefusableFrom = moment(from)
		}
		out.Legs = append(out.Legs, shown)
	}
	for _, e := range events {
		out.Events = append(out.Events, event(e))
	}
	if x.Action != redeem.Verify {
		return out, nil
	}
	reversals, err := d.Ledger.Reversals(ctx, x.BrandID, x.BizID)
	if err != nil {
		return adminapi.Redemption{}, err
	}
	for _, v := range reversals {
		out.Reversals = append(out.Reversals, d.reversal(v, now))
	}
	return out, nil
}

func header(x redeem.Redemption) adminapi.Redemption {
	out := adminapi.Redemption{
		BrandID: x.BrandID, Action: string(x.Action), BizID: x.BizID, FlowID: x.FlowID, ShopID: x.ShopID, OrderNo: x.TransOrderNo,
		PaymentNo: x.PaymentNo, RefundPaymentNo: x.RefundPaymentNo, ReversesBizID: x.ReversesBizID, TraceID: x.TraceID,
		Outcome: redeem.OutcomeWord(x), Contradiction: x.Contradiction, CreatedAt: x.CreatedAt.UTC(), ConcludedAt: moment(x.ConcludedAt),
		ConfigRevision: x.ConfigRevision, ConnectorVersion: x.ConnectorVersion, Lines: []adminapi.Line{}, Legs: []adminapi.Leg{}, Events: []adminapi.Event{},
	}
	if x.Answer != nil { // not the answer itself: it may hold the member's name
		out.SubCode = redeem.SubCodeOf(x)
	}
	return out
}

func line(l redeem.Line) adminapi.Line {
	return adminapi.Line{
		No: l.No, AssetMappingID: l.AssetMappingID, AssetID: l.AssetID, Asset: string(l.Asset), AmountFen: int64(l.Amount), Count: l.Count,
		Result: string(l.Result.Kind), Code: l.Result.Code, TotalFen: int64(l.Result.Total),
		ReversedFen: int64(l.Result.Reversed), ReversedCount: l.Result.ReversedCount,
	}
}

func leg(l redeem.Leg, p redeem.Prospect, now time.Time) adminapi.Leg {
	return adminapi.Leg{
		No: l.No, Provider: l.Provider, Operation: l.Operation, Key: l.Key, Member: scrub(l.MemberRef),
		AmountFen: int64(l.Amount), Points: l.Points, Coupons: l.Coupons, Lines: l.Lines, Call: scrubJSON(l.Call),
		State: string(l.State), Version: l.Epoch, Strategy: string(p.Strategy), CanAsk: p.Asks, WaitsFor: waitsFor(l, p, now),
		SentAt: moment(l.SentAt), UnknownAt: moment(l.UnknownAt), ResolvedAt: moment(l.ResolvedAt),
		Checks: l.Checks, NextCheck: moment(l.NextCheck), Answer: answer(l.Outcome),
	}
}

func answer(o redeem.Outcome) *adminapi.Answer {
	if o.Kind == "" {
		return nil
	}
	return &adminapi.Answer{Kind: string(o.Kind), Class: string(o.Class), Code: o.Code, Detail: scrub(o.Detail), FlowID: o.FlowID,
		HTTPStatus: o.HTTPStatus, TotalFen: int64(o.Total)}
}

func event(e redeem.Event) adminapi.Event {
	out := adminapi.Event{Seq: e.Seq, At: e.At.UTC(), Actor: e.Actor, Kind: e.Kind, From: string(e.From), To: string(e.To), Detail: scrubJSON(e.Detail)}
	if e.LegNo >= 0 {
		out.Leg = &e.LegNo
	}
	return out
}

func doubt(x redeem.Redemption, l redeem.Leg, p redeem.Prospect, now time.Time) adminapi.Doubt {
	since := l.UnknownAt
	if since.IsZero() {
		since = l.SentAt
	}
	return adminapi.Doubt{
		Action: string(x.Action), BizID: x.BizID, Leg: l.No, Provider: l.Provider, Operation: l.Operation, Key: l.Key,
		OrderNo: x.TransOrderNo, PaymentNo: x.PaymentNo, ShopID: x.ShopID, AmountFen: int64(l.Amount), Points: l.Points, Coupons: l.Coupons,
		State: string(l.State), Class: string(l.Outcome.Class), Since: since.UTC(), Checks: l.Checks, NextCheck: moment(l.NextCheck),
		Strategy: string(p.Strategy), WaitsFor: waitsFor(l, p, now), ReversesBizID: x.ReversesBizID, TraceID: x.TraceID,
	}
}

// reversal renders a reversal in short.
func (d *desk) reversal(x redeem.Redemption, now time.Time) adminapi.Reversal {
	out := adminapi.Reversal{BizID: x.BizID, ReversesBizID: x.ReversesBizID, OrderNo: x.TransOrderNo, PaymentNo: x.PaymentNo,
		Outcome: redeem.OutcomeWord(x), CreatedAt: x.CreatedAt.UTC(), ConcludedAt: moment(x.ConcludedAt)}
	for _, l := range x.Legs {
		out.AmountFen += int64(l.Amount)
		out.Points += l.Points
		out.Coupons = append(out.Coupons, l.Coupons...)
		if !l.State.Final() {
			out.Open = append(out.Open, adminapi.OpenLeg{No: l.No, Provider: l.Provider, Operation: l.Operation, State: string(l.State),
				Class: string(l.Outcome.Class), Checks: l.Checks, NextCheck: moment(l.NextCheck), WaitsFor: waitsFor(l, d.Engine.Prospect(l), now)})
		}
	}
	return out
}

// waitsFor says who moves an open leg next; empty when it is final.
func waitsFor(l redeem.Leg, p redeem.Prospect, now time.Time) string {
	switch {
	case l.State.Final():
		return ""
	case l.State == redeem.StateSent && l.LeaseUntil.After(now):
		return adminapi.WaitsForCall
	case l.State == redeem.StateSent, l.LeaseOwner != "" && l.LeaseUntil.After(now):
		return adminapi.WaitsForLease
	case l.State == redeem.StateUnknown && (p.ByHand || l.NextCheck.IsZero()):
		return adminapi.WaitsForPerson
	}
	return adminapi.WaitsForCheck
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// scrub masks mobile numbers in text: some brands use one as the member's id, and
// people write them into reasons.
func scrub(text string) string { return redact.Mobiles(text) }

// scrubJSON masks mobile numbers in the texts of a JSON value. A value that holds one
// as a JSON number is masked whole.
func scrubJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if clean := json.RawMessage(scrub(string(raw))); json.Valid(clean) {
		return clean
	}
	return json.RawMessage(`"[redacted]"`)
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// draftReversal plans the reversal of the redemption that req names by its flow id.
// A redemption that is not known yet is waited for within the budget.
func (e *Engine) draftReversal(ctx context.Context, req Request, deadline time.Time) (Redemption, *Rejection) {
	if req.ThirdFlowNo == "" {
		return Redemption{}, reject(SubNoFlow, "thirdFlowNo", "names the redemption to undo: our flowId")
	}
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	original, err := e.Ledger.ByFlowID(get, req.BrandID, req.ThirdFlowNo)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && original.Action != Verify:
		return Redemption{}, reject(SubUnknownFlow, "thirdFlowNo", "no redemption has this flow id")
	case err != nil:
		return Redemption{}, reject(SubOriginalPending, "", "read the original: "+err.Error())
	case !sameSale(req, original):
		return Redemption{}, reject(SubReversalConflict, "kryTransOrderNo", "the original belongs to another order or payment")
	}
	original, rej := e.known(ctx, original, deadline)
	if rej != nil {
		return Redemption{}, rej
	}
	lines, rej := reversalLines(req, original)
	if rej != nil {
		return Redemption{}, rej
	}
	legs, rej := e.planReversal(req, original, lines)
	if rej != nil {
		return Redemption{}, rej
	}
	r := e.redemptionOf(req, lines, legs)
	r.ReversesBizID = original.BizID
	r.MemberName = original.MemberName
	return r, nil
}

// sameSale says whether the numbers that both name agree. The shop may differ: a
// guest may give back elsewhere.
func sameSale(req Request, original Redemption) bool {
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	return agree(req.TransOrderNo, original.TransOrderNo) && agree(req.PaymentNo, original.PaymentNo)
}

// known waits until the redemption to undo is settled. Legs of it that were never
// sent are closed on the spot: who undoes a sale does not send the rest of it.
func (e *Engine) known(ctx context.Context, r Redemption, deadline time.Time) (Redemption, *Rejection) {
	pending := reject(SubOriginalPending, "", "the redemption to reverse is not known yet")
	for poll := pollFirst; !settled(r) || r.Answer == nil; poll = min(2*poll, pollMost) {
		switch {
		case settled(r):
			if r = e.finishBy(ctx, r, deadline); r.Answer != nil {
				return r, nil
			}
		case anyLeg(r, StateNotSent) && !anyLeg(r, StateSent, StateUnknown):
			if closed, err := e.abandon(ctx, r, "reversed before it was sent"); err == nil {
				r = closed
				continue
			}
		case !e.worthWaiting(r):
			return r, pending
		}
		if !e.pause(ctx, r.Key(), poll, deadline) {
			return r, pending
		}
		get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
		fresh, err := e.Ledger.Get(get, r.Key())
		cancel()
		if err != nil {
			return r, pending
		}
		r = fresh
	}
	return r, nil
}

// abandon closes the legs that were never sent as refused.
func (e *Engine) abandon(ctx context.Context, r Redemption, why string) (Redemption, error) {
	var changes []LegChange
	for _, l := range r.Legs {
		if l.State == StateNotSent {
			changes = append(changes, e.abandoned(l, why))
		}
	}
	next, err := e.commit(ctx, r, changes, "engine")
	if err != nil {
		return r, err
	}
	return next, nil
}

func (e *Engine) abandoned(l Leg, why string) LegChange {
	return LegChange{
		No: l.No, From: StateNotSent, Epoch: l.Epoch, NewEpoch: l.Epoch + 1, To: StateRefused, Reason: why,
		Outcome: &Outcome{Kind: Refused, Class: ClassAbandoned, Cashier: cashierAbandoned, Detail: why},
		Checks:  l.Checks, NotFound: l.NotFound,
	}
}

// reversalLines checks the lines to give back against what was redeemed. The ledger
// checks the sums again when it reserves them: two reversals at once meet there.
func reversalLines(req Request, original Redemption) ([]Line, *Rejection) {
	f := fieldsOf(ReverseVerify)
	lines := make([]Line, 0, len(req.Lines))
	seen := map[int]bool{}
	for i, l := range req.Lines {
		at := slices.IndexFunc(original.Lines, func(o Line) bool {
			return o.AssetMappingID == l.AssetMappingID && o.AssetID == l.AssetID
		})
		if at < 0 || original.Lines[at].Result.Kind != Executed {
			return nil, reject(SubNotRedeemed, f.of(i, "assetId"), "the original did not redeem this asset")
		}
		if seen[at] {
			return nil, reject(SubDuplicateLine, f.of(i, "assetId"), "the same asset stands twice")
		}
		seen[at] = true
		o := original.Lines[at]
		l.No, l.Asset, l.Provider, l.Result = i, o.Asset, o.Provider, LineResult{}
		if rej := checkLine(f, l); rej != nil {
			return nil, rej
		}
		switch {
		case l.Asset == StoredValue && l.Amount > o.Result.Total-o.Result.Reversed:
			return nil, reject(SubOverReversed, f.of(i, f.amount), fmt.Sprintf("%d fen of %d are left", o.Result.Total-o.Result.Reversed, o.Result.Total))
		case l.Asset != StoredValue && l.Count > o.Count-o.Result.ReversedCount:
			return nil, reject(SubOverReversed, f.of(i, f.count), fmt.Sprintf("%d of %d are left", o.Count-o.Result.ReversedCount, o.Count))
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// planReversal plans a leg for each leg of the original that is touched. Where no
// machine can undo it the leg is planned all the same, for a person: its amounts are
// reserved and its decision is recorded like any other. A rejection that names a
// field is the request's fault and is passed on.
func (e *Engine) planReversal(req Request, original Redemption, lines []Line) ([]Leg, *Rejection) {
	var legs []Leg
	planned := 0
	for _, leg := range original.Legs {
		mine := linesOf(original, leg, lines)
		if len(mine) == 0 {
			continue
		}
		planned += len(mine)
		plan, rej := e.reversalOf(req, leg, mine)
		switch {
		case rej != nil && rej.Field != "":
			return nil, rej
		case rej != nil:
			plan = manualPlan(leg, mine)
		}
		if err := covers([]LegPlan{plan}, mine); err != nil {
			return nil, reject(SubUnplannable, fieldsOf(ReverseVerify).list, fmt.Sprintf("%s planned badly: %v", leg.Provider, err))
		}
		l := legOf(leg.Provider, plan)
		l.Reversible = false
		legs = append(legs, l)
	}
	if planned != len(lines) {
		return nil, reject(SubUnplannable, fieldsOf(ReverseVerify).list, "a line belongs to no leg of the original")
	}
	number(legs, req.BrandID, ReverseVerify, req.BizID)
	return legs, nil
}

func (e *Engine) reversalOf(req Request, original Leg, lines []Line) (LegPlan, *Rejection) {
	p, ok := e.Providers[original.Provider].(Reverser)
	if !ok {
		return LegPlan{}, reject(SubManualReversal, "", original.Provider+" cannot reverse")
	}
	plan, err := p.PlanReversal(req, original, lines)
	if err != nil {
		return LegPlan{}, asRejection(err)
	}
	return plan, nil
}

// linesOf are those of lines whose counterpart the original's leg carried.
func linesOf(original Redemption, leg Leg, lines []Line) []Line {
	var out []Line
	for _, l := range lines {
		for _, o := range original.Lines {
			if o.AssetMappingID == l.AssetMappingID && o.AssetID == l.AssetID && slices.Contains(leg.Lines, o.No) {
				out = append(out, l)
			}
		}
	}
	return out
}

func manualPlan(original Leg, lines []Line) LegPlan {
	p := LegPlan{Operation: OperationManual, MemberRef: original.MemberRef}
	for _, l := range lines {
		p.Lines = append(p.Lines, l.No)
		switch l.Asset {
		case StoredValue:
			p.Amount += l.Amount
		case Points:
			p.Points += l.Count
		case Coupon:
			p.Coupons = append(p.Coupons, l.AssetID)
		}
	}
	return p
}

// mustUndo says whether a settled redemption is answered only after what it redeemed
// was given back: the brand wants that, some lines were refused, and a machine can
// undo all of the others. Where one cannot be undone, the till is told the truth line
// by line instead; half an undoing would help nobody.
func (e *Engine) mustUndo(r Redemption) bool {
	if r.Action != Verify || r.PolicyOnPartial != string(ReversePartial) || !mixed(r) {
		return false
	}
	legs, rej := e.planReversal(e.undoRequest(r), r, undoLines(r))
	return rej == nil && !slices.ContainsFunc(legs, func(l Leg) bool { return l.Operation == OperationManual })
}

// undoRequest is the reversal that the engine makes by itself.
func (e *Engine) undoRequest(r Redemption) Request {
	return Request{
		Action: ReverseVerify, BrandID: r.BrandID, BizID: CompensationBizID(r.BizID), ShopID: r.ShopID,
		TransOrderNo: r.TransOrderNo, PaymentNo: r.PaymentNo, ThirdFlowNo: r.FlowID,
		KryMemberID: r.KryMemberID, MemberID: r.MemberID, RequestID: r.RequestID, OperatorID: r.OperatorID,
		TraceID: r.TraceID, Lines: undoLines(r),
	}
}

func undoLines(r Redemption) []Line {
	var lines []Line
	for _, l := range executedLines(r) {
		if l.Asset == StoredValue {
			l.Amount = l.Result.Total
		}
		l.No, l.Result = len(lines), LineResult{}
		lines = append(lines, l)
	}
	return lines
}

// undo gives back what a partly refused redemption redeemed: a reversal of its own,
// recorded before it is sent, under a key that is the same whoever makes it. It
// returns the original's lines as they are to be told, and whether that is known.
func (e *Engine) undo(ctx context.Context, r Redemption) (lines []Line, done bool) {
	req := e.undoRequest(r)
	reversal, err := e.reversalOnce(ctx, r, req)
	if err != nil {
		e.tell(ctx, slog.LevelWarn, "the undoing is not known yet", r.Key(), errAttr(err))
		return nil, false
	}
	if reversal.Answer == nil {
		return nil, false
	}
	for _, l := range executedLines(r) {
		back := slices.ContainsFunc(executedLines(reversal), func(x Line) bool {
			return x.AssetMappingID == l.AssetMappingID && x.AssetID == l.AssetID
		})
		if back {
			l.Result.Kind, l.Result.Code, l.Result.Cashier = Refused, CodeReversed, cashierReversed
			lines = append(lines, l)
		}
	}
	return lines, true
}

// reversalOnce is the undoing as recorded, or else it is recorded and sent now.
func (e *Engine) reversalOnce(ctx context.Context, original Redemption, req Request) (Redemption, error) {
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	stored, err := e.Ledger.Get(get, req.key())
	if err == nil || !errors.Is(err, ErrNotFound) {
		return stored, err
	}
	legs, rej := e.planReversal(req, original, req.Lines)
	if rej != nil {
		return Redemption{}, rej
	}
	r := e.redemptionOf(req, req.Lines, legs)
	r.ReversesBizID, r.MemberName = original.BizID, original.MemberName
	if r.Fingerprint, err = Fingerprint(FingerprintVersion, req); err != nil {
		return Redemption{}, err
	}
	r.FingerprintVer = FingerprintVersion
	f := e.newFlight(r.Key(), req, e.Now(), nil)
	stored, created, err := e.record(ctx, f, r)
	if err != nil || !created {
		return stored, err
	}
	e.tell(ctx, slog.LevelInfo, "undoing what a partly refused redemption redeemed", original.Key())
	f.fly(ctx, stored)
	return f.last, nil
}

// finishOriginal answers the redemption that waited for this reversal.
func (e *Engine) finishOriginal(ctx context.Context, reversal Redemption) {
	bizID, ours := strings.CutPrefix(reversal.BizID, compensationPrefix)
	if !ours || reversal.Action != ReverseVerify || reversal.Answer == nil {
		return
	}
	get, cancel := context.WithTimeout(ctx, e.cfg.LedgerTimeout)
	defer cancel()
	original, err := e.Ledger.Get(get, Key{reversal.BrandID, Verify, bizID})
	if err != nil {
		e.tell(ctx, slog.LevelWarn, "the undone redemption waits for its answer", reversal.Key(), errAttr(err))
		return
	}
	e.finish(ctx, original)
}

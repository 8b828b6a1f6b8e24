// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

const clerk = "li.si@day"

// closing ends the day: no misfortune happens any more, tills repeat what they do not
// know the end of, and a person decides what is left, until nothing is in doubt.
func (d *day) closing(ctx context.Context) error {
	rules, err := d.box.Faults(ctx)
	if err != nil {
		return err
	}
	for _, r := range rules {
		d.out.struck += r.Fired
	}
	if err := d.box.ClearFaults(ctx); err != nil {
		return err
	}
	if err := pause(ctx, callsEnd); err != nil {
		return err
	}
	for end := time.Now().Add(d.patience); ; {
		decided, err := d.decideAll(ctx)
		if err != nil {
			return err
		}
		open, err := d.repeatOpen(ctx)
		if err != nil {
			return err
		}
		list, err := d.desk.InDoubt(ctx, 0)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.progress, "closing: %d decided by hand, tills do not know the end of %d, %d legs in doubt\n", decided, open, len(list.Items))
		if open == 0 && len(list.Items) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return nil // the audit says what is open
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// repeatOpen repeats every order whose end a till does not know, and says how many
// such there still are.
func (d *day) repeatOpen(ctx context.Context) (open int, err error) {
	queues := make([][]*order, d.tills)
	for _, g := range d.guests {
		for _, o := range g.orders {
			if !o.known() {
				queues[g.no%d.tills] = append(queues[g.no%d.tills], o)
			}
		}
	}
	errs := make([]error, d.tills)
	var all sync.WaitGroup
	for i, queue := range queues {
		all.Go(func() {
			for _, o := range queue {
				if errs[i] = d.call(ctx, o, "repeat"); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	for _, queue := range queues {
		for _, o := range queue {
			if !o.known() {
				open++
			}
		}
	}
	return open, errors.Join(errs...)
}

// decideAll decides each leg that waits for a person.
func (d *day) decideAll(ctx context.Context) (decided int, err error) {
	list, err := d.desk.InDoubt(ctx, 0)
	if err != nil {
		return 0, err
	}
	for _, doubt := range list.Items {
		if doubt.WaitsFor != adminapi.WaitsForPerson {
			continue
		}
		verdict, what, err := d.verdict(ctx, doubt)
		if err != nil {
			return decided, fmt.Errorf("%s %s: %w", doubt.Action, doubt.BizID, err)
		}
		if err := d.resolve(ctx, doubt, adminapi.Decision{Decision: verdict, Who: clerk, Reason: "looked it up in the back office: " + what}); err != nil {
			return decided, fmt.Errorf("%s %s, decided %s: %w", doubt.Action, doubt.BizID, verdict, err)
		}
		d.out.byHand[what]++
		decided++
	}
	return decided, nil
}

// resolve records the decision. Zhimai's bills speak of stored value alone, so of a
// deduction that has points or coupons, too, the connector finds but a half and asks to
// look again; the clerk, who sees all of it, insists.
func (d *day) resolve(ctx context.Context, doubt adminapi.Doubt, decision adminapi.Decision) error {
	_, err := d.desk.Resolve(ctx, doubt.Action, doubt.BizID, doubt.Leg, decision)
	mixed := doubt.AmountFen > 0 && (doubt.Points > 0 || len(doubt.Coupons) > 0)
	if told, ok := errors.AsType[*adminapi.Error](err); ok && told.Code == adminapi.CodeEvidence && mixed && decision.Decision == adminapi.Executed {
		decision.Force = true
		_, err = d.desk.Resolve(ctx, doubt.Action, doubt.BizID, doubt.Leg, decision)
	}
	return err
}

// verdict is what the clerk finds in the vendor's back office, where he also gives back
// what only he can.
func (d *day) verdict(ctx context.Context, doubt adminapi.Doubt) (verdict, what string, err error) {
	vendor := books.Vendor(doubt.Provider)
	if doubt.Action == string(redeem.Verify) {
		entries, err := d.box.Entries(ctx, books.Filter{Vendor: vendor, Key: doubt.Key, Kind: books.KindSpend})
		if err != nil {
			return "", "", err
		}
		if len(entries) > 0 {
			return adminapi.Executed, "deductions that were there", nil
		}
		return adminapi.Refused, "deductions that were not there", nil
	}
	reversal, err := d.desk.Redemption(ctx, doubt.Action, doubt.BizID)
	if err != nil {
		return "", "", err
	}
	original, err := d.desk.Redemption(ctx, string(redeem.Verify), doubt.ReversesBizID)
	if err != nil {
		return "", "", err
	}
	leg, ok := legBehind(original, reversal, doubt.Leg)
	if !ok {
		return "", "", fmt.Errorf("no leg of %s carries what is given back", doubt.ReversesBizID)
	}
	entries, err := d.box.Entries(ctx, books.Filter{Vendor: vendor, Key: leg.Key})
	if err != nil {
		return "", "", err
	}
	spent := slices.IndexFunc(entries, func(e books.Entry) bool { return e.Kind == books.KindSpend })
	if spent < 0 {
		return "", "", fmt.Errorf("the books have no spend under %s", leg.Key)
	}
	part := assets{doubt.AmountFen, doubt.Points, doubt.Coupons}
	if doubt.Operation != redeem.OperationManual {
		return d.wasGivenBack(ctx, original, leg, entries, part)
	}
	if vendor == books.ALSC || g(doubt.BizID)%4 == 0 {
		return adminapi.Refused, "parts that are not given back", nil
	}
	return adminapi.Executed, "parts that the clerk gave back", d.giveBackByHand(ctx, entries[spent].FlowID, part)
}

// g is a number of a text: which parts are given back is the seed's choice.
func g(text string) (n int) {
	for _, r := range text {
		n = (31*n + int(r)) % 1009
	}
	return n
}

// legBehind is the leg of the original whose lines leg no of the reversal gives back.
func legBehind(original, reversal adminapi.Redemption, no int) (adminapi.Leg, bool) {
	for _, back := range reversal.Legs {
		if back.No != no {
			continue
		}
		for _, l := range reversal.Lines {
			if !slices.Contains(back.Lines, l.No) {
				continue
			}
			for _, o := range original.Lines {
				i := slices.IndexFunc(original.Legs, func(leg adminapi.Leg) bool { return slices.Contains(leg.Lines, o.No) })
				if o.AssetMappingID == l.AssetMappingID && o.AssetID == l.AssetID && i >= 0 {
					return original.Legs[i], true
				}
			}
		}
	}
	return adminapi.Leg{}, false
}

// wasGivenBack: the books show more given back than the ledger knows of, and it is just
// this part.
func (d *day) wasGivenBack(ctx context.Context, original adminapi.Redemption, leg adminapi.Leg, entries []books.Entry, part assets) (verdict, what string, err error) {
	var back, known assets
	for _, e := range entries {
		if e.Kind == books.KindReverse {
			back = assets{back.fen + e.AmountFen, back.points + e.Points, append(back.coupons, e.Coupons...)}
		}
	}
	for _, r := range original.Reversals {
		full, err := d.desk.Redemption(ctx, string(redeem.ReverseVerify), r.BizID)
		if err != nil {
			return "", "", err
		}
		for _, l := range full.Legs {
			behind, ok := legBehind(original, full, l.No)
			if ok && behind.No == leg.No && l.State == string(redeem.StateExecuted) {
				known = assets{known.fen + l.AmountFen, known.points + l.Points, append(known.coupons, l.Coupons...)}
			}
		}
	}
	more := assets{back.fen - known.fen, back.points - known.points, nil}
	coupons := len(back.coupons) - len(known.coupons)
	switch {
	case more.fen == 0 && more.points == 0 && coupons == 0:
		return adminapi.Refused, "reversals that were not there", nil
	case more.fen == part.fen && more.points == part.points && coupons == len(part.coupons):
		return adminapi.Executed, "reversals that were there", nil
	}
	return "", "", fmt.Errorf("the books show %d fen, %d points and %d coupons given back of which nobody knows", more.fen, more.points, coupons)
}

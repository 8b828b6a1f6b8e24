// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// What a call is about, and by which methods the vendors hear of it; a trailing * is a
// prefix.
var (
	spending = map[books.Vendor]string{books.Zhimai: "communal.user.consume", books.ALSC: "alibaba.alsc.crm.*"}
	undoing  = map[books.Vendor]string{books.Zhimai: zhimaiReversal, books.ALSC: "alibaba.alsc.crm.*"}
	reading  = map[books.Vendor]string{books.Zhimai: "communal.user.gether-customer-info", books.ALSC: "alibaba.alsc.crm.open.customer.get"}
)

// misfortunes are what a vendor may do to a call, in the order of the dice.
var misfortunes = []fault.Rule{
	{Kind: fault.ApplyThenHang},
	{Kind: fault.ApplyThenReset},
	{Kind: fault.ApplyThenClose},
	{Kind: fault.ApplyThen500},
	{Kind: fault.ResetBeforeApply},
	{Kind: fault.Slow, DelayBefore: fault.Duration(300 * time.Millisecond)},
	{Kind: fault.Slow, DelayBefore: fault.Duration(1800 * time.Millisecond)}, // later than the till waits
	{Kind: fault.Truncate, Bytes: 40},
	{Kind: fault.HTML},
	{Kind: fault.Empty},
	{Kind: fault.Garbage},
	{Kind: fault.SystemError},
	{Kind: fault.RateLimit},
}

// misfortune lets the guest's next such call at one of the vendors go wrong, now and
// then. The dice are thrown for all calls that reach a vendor, and they are three in four.
func (d *day) misfortune(ctx context.Context, g *guest, about map[books.Vendor]string, at []books.Vendor) error {
	hit := g.rng.Float64()*75 < d.faults
	rule := misfortunes[g.rng.IntN(len(misfortunes))]
	vendor := at[g.rng.IntN(len(at))]
	if !hit {
		return nil
	}
	rule.Vendor, rule.Method, rule.Member, rule.Count = string(vendor), about[vendor], g.ids[vendor], 1
	if rule.Member == "" {
		return nil // a line for a vendor that does not know the guest is refused anyway
	}
	if about[vendor] == reading[vendor] {
		rule.Member = g.mobile
	}
	d.out.planted.Add(1)
	if _, err := d.box.AddFaults(ctx, rule); err != nil {
		return fmt.Errorf("plant a misfortune: %w", err)
	}
	return nil
}

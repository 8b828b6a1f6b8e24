// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// line is an asset of a request, as in the body: fen or a count.
type line struct {
	mapping, assetID string
	fen, count       int64
}

// order is a verification or a reversal, from its first call to its final answer.
type order struct {
	guest  *guest
	action redeem.Action
	bizID  string
	body   []byte
	lines  []line
	of     *order   // of a reversal
	undone []*order // reversals of this one

	final  []byte // the first final answer
	turned bool   // or: turned away, nothing was recorded
	flowID string
	done   []bool // by line, of a final answer
}

func (o *order) known() bool { return o.final != nil || o.turned }

func (o *order) path() string {
	if o.action == redeem.Verify {
		return sandbox.VerifyPath
	}
	return sandbox.ReversePath
}

func (o *order) kind() string {
	if o.action == redeem.Verify {
		return "verify"
	}
	if o.whole() {
		return "reverse whole"
	}
	return "reverse part"
}

func (o *order) whole() bool {
	for i, l := range o.of.lines {
		covered := !o.of.done[i]
		for _, mine := range o.lines {
			covered = covered || mine == l
		}
		if !covered {
			return false
		}
	}
	return true
}

// left is what of line i may still be given back, as far as the till knows: what may
// have been given back counts as given.
func (o *order) left(i int) (fen, count int64) {
	if o.final == nil || !o.done[i] {
		return 0, 0
	}
	fen, count = o.lines[i].fen, o.lines[i].count
	for _, r := range o.undone {
		for j, l := range r.lines {
			if l.mapping == o.lines[i].mapping && l.assetID == o.lines[i].assetID && (!r.known() || r.final != nil && r.done[j]) {
				fen, count = fen-l.fen, count-l.count
			}
		}
	}
	return max(0, fen), max(0, count)
}

// byHand says whether no machine can give back a part of it.
func (o *order) byHand() bool {
	for i, l := range o.lines {
		if a := assetOf[l.mapping]; o.done[i] && (a.vendor == books.Zhimai || a.kind == points) {
			return true
		}
	}
	return false
}

func (d *day) verify(ctx context.Context, g *guest) error {
	lines := g.chooseLines()
	if len(lines) == 0 {
		return d.query(ctx, g)
	}
	o := &order{guest: g, action: redeem.Verify, bizID: fmt.Sprintf("S%d-%d", g.no, len(g.orders)), lines: lines}
	list := []map[string]any{}
	for _, l := range lines {
		list = append(list, map[string]any{"assetMappingId": l.mapping, "assetId": l.assetID, "verifyAmount": l.fen, "verifyCnt": l.count})
	}
	o.body = g.body(o.bizID, o.bizID, map[string]any{"memberAssetsVerificationList": list})
	g.orders = append(g.orders, o)
	if err := d.misfortune(ctx, g, spending, vendorsOf(lines)); err != nil {
		return err
	}
	return d.call(ctx, o, o.kind())
}

func (d *day) reverse(ctx context.Context, g *guest) error {
	var open []*order
	for _, o := range g.orders {
		for i := range o.lines {
			if fen, count := o.left(i); o.action == redeem.Verify && fen+count > 0 {
				open = append(open, o)
				break
			}
		}
	}
	if len(open) == 0 {
		return d.verify(ctx, g)
	}
	of := open[g.rng.IntN(len(open))]
	lines := g.chooseReversal(of)
	if len(lines) == 0 {
		return d.query(ctx, g)
	}
	if err := d.misfortune(ctx, g, undoing, vendorsOf(lines)); err != nil {
		return err
	}
	first := d.reversal(g, of, lines)
	if g.rng.IntN(8) > 0 {
		return d.call(ctx, first, first.kind())
	}
	// Two tills have the same idea: no more than was redeemed may come back.
	second := d.reversal(g, of, lines)
	var both sync.WaitGroup
	var failed error
	both.Go(func() { failed = d.call(ctx, second, "reverse at once") })
	err := d.call(ctx, first, "reverse at once")
	both.Wait()
	if err != nil {
		return err
	}
	return failed
}

func (d *day) reversal(g *guest, of *order, lines []line) *order {
	o := &order{guest: g, action: redeem.ReverseVerify, bizID: fmt.Sprintf("R%d-%d", g.no, len(g.orders)), lines: lines, of: of}
	list := []map[string]any{}
	for _, l := range lines {
		list = append(list, map[string]any{"assetMappingId": l.mapping, "assetId": l.assetID, "reverseVerifyAmount": l.fen, "reverseVerifyCnt": l.count})
	}
	o.body = g.body(o.bizID, of.bizID, map[string]any{
		"assetsReverseVerificationList": list, "thirdFlowNo": of.flowID, "kryRefundPaymentNo": "RP" + o.bizID,
	})
	g.orders, of.undone = append(g.orders, o), append(of.undone, o)
	return o
}

// body of a verification or a reversal of sale's payment.
func (g *guest) body(bizID, sale string, more map[string]any) []byte {
	fields := map[string]any{
		"bizId": bizID, "kryTransOrderNo": "T" + sale, "kryPaymentNo": "P" + sale, "kryMemberId": fmt.Sprint(g.no), "thirdMemberId": g.memberID,
		"mobile": g.mobile, "requestId": rand.Text(), "operatorId": "1543", "operatorName": "张三", "kryBrandId": brandID, "kryShopId": shopID,
	}
	for name, v := range more {
		fields[name] = v
	}
	return mustMarshal(fields)
}

func mustMarshal(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers
	}
	return raw
}

// call sends the order as it is, whether for the first time or again, and hears.
func (d *day) call(ctx context.Context, o *order, kind string) error {
	began := time.Now()
	status, raw, err := d.kry.Call(ctx, o.path(), o.body)
	d.made.Add(1)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, o.bizID, err) // the connector is up: it has to answer
	}
	o.guest.mu.Lock()
	word, err := d.hear(o, raw)
	o.guest.mu.Unlock()
	if err != nil {
		d.out.lie("%s %s: HTTP %d: %v: %s", kind, o.bizID, status, err, raw)
	}
	d.out.count(kind, word, time.Since(began))
	return nil
}

// subConcluded are the sub codes of a concluded order; every other says that this
// request was turned away.
var subConcluded = map[string]bool{"000": true, "201": true, "202": true, "203": true}

// hear takes an answer. What a final one says is believed, and booked in the purse.
func (d *day) hear(o *order, raw []byte) (word string, err error) {
	r, err := sandbox.DecodeReply(raw)
	switch {
	case err != nil:
		return "unreadable", err
	case r.Code == 3000:
		return "nothing sent (3000)", nil
	case r.Code == 3001:
		return "not known (3001)", nil
	case r.Code != 0:
		return "unreadable", fmt.Errorf("code %d", r.Code)
	case !r.Result.Success && !subConcluded[r.Result.SubCode]:
		return d.turnedAway(o, r.Result.SubCode), nil
	}
	if o.final != nil {
		if !bytes.Equal(o.final, raw) {
			return "unreadable", fmt.Errorf("another answer than before, which was %s", o.final)
		}
		return "as before", nil
	}
	data, err := r.VerifyData()
	if err != nil || len(data.Lines) != len(o.lines) {
		return "unreadable", fmt.Errorf("the answer has %d lines of %d: %w", len(data.Lines), len(o.lines), err)
	}
	o.final, o.flowID, o.done = raw, data.FlowID, make([]bool, len(o.lines))
	words := map[bool]int{}
	for i, l := range data.Lines {
		asked := o.lines[i]
		if o.done[i] = l.Status == "SUCCESS"; o.done[i] {
			a := assetOf[asked.mapping]
			if a.kind == value && l.VerifyTotalAmount != asked.fen {
				err = fmt.Errorf("line %d: %d fen of %d", i, l.VerifyTotalAmount, asked.fen)
			}
			o.guest.believed[a.vendor].move(asked, o.action == redeem.ReverseVerify)
		}
		words[o.done[i]]++
	}
	switch {
	case words[false] == 0:
		return "done", err
	case words[true] == 0:
		return "refused", err
	}
	return "done in part", err
}

// turnedAway: nothing was recorded under this bizId, so a reversal stops counting.
func (d *day) turnedAway(o *order, subCode string) string {
	if o.final == nil {
		o.turned = true
	}
	return "turned away (" + subCode + ")"
}

func (d *day) repeat(ctx context.Context, g *guest) error {
	if len(g.orders) == 0 {
		return d.query(ctx, g)
	}
	return d.call(ctx, g.orders[g.rng.IntN(len(g.orders))], "repeat")
}

// askResult asks what became of a payment. What the answer says must be what the till
// heard, if it heard.
func (d *day) askResult(ctx context.Context, g *guest) error {
	if len(g.orders) == 0 {
		return d.query(ctx, g)
	}
	o := g.orders[g.rng.IntN(len(g.orders))]
	sale := o
	if o.of != nil {
		sale = o.of
	}
	began := time.Now()
	_, raw, err := d.kry.Result(ctx, mustMarshal(map[string]any{
		"kryTransOrderNo": "T" + sale.bizID, "kryPaymentNo": "P" + sale.bizID, "action": string(o.action), "kryBrandId": brandID,
	}))
	d.made.Add(1)
	if err != nil {
		return fmt.Errorf("result %s: %w", o.bizID, err)
	}
	word, err := o.agrees(raw)
	if err != nil {
		d.out.lie("result %s: %v: %s", o.bizID, err, raw)
	}
	d.out.count("result", word, time.Since(began))
	return nil
}

// agrees holds a result query's answer against what the till heard of the order.
// Several reversals of a payment share its numbers, so an answer about them may be of
// another one.
func (o *order) agrees(raw []byte) (word string, err error) {
	r, err := sandbox.DecodeReply(raw)
	switch {
	case err != nil:
		return "unreadable", err
	case r.Code == 3001:
		if o.final != nil && o.action == redeem.Verify {
			return "unreadable", fmt.Errorf("the till knows the end, the query does not")
		}
		return "not known (3001)", nil
	case r.Code != 0:
		return "unreadable", fmt.Errorf("code %d", r.Code)
	case r.Result.SubCode == "301":
		if o.final != nil {
			return "unreadable", fmt.Errorf("the till has the answer of a record that is not there")
		}
		return "no record (301)", nil
	case o.action == redeem.ReverseVerify || o.final == nil:
		return "told", nil
	}
	data, err := r.VerifyData()
	if err != nil || len(data.Lines) != len(o.done) {
		return "unreadable", fmt.Errorf("lines: %w", err)
	}
	for i, l := range data.Lines {
		if (l.Status == "SUCCESS") != o.done[i] {
			return "unreadable", fmt.Errorf("line %d is %s, the till heard otherwise: %s", i, l.Status, o.final)
		}
	}
	return "told", nil
}

func vendorsOf(lines []line) []books.Vendor {
	var vendors []books.Vendor
	for _, l := range lines {
		vendors = append(vendors, assetOf[l.mapping].vendor)
	}
	return vendors
}

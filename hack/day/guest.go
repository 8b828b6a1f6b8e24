// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// asset is a kind of asset at a vendor, by the name under which tills spend it.
type asset struct {
	vendor books.Vendor
	kind   string
}

// The kinds.
const (
	value  = "stored value"
	points = "points"
	coupon = "coupons"
)

var assetOf = map[string]asset{
	"100001": {books.ALSC, value}, "100002": {books.ALSC, points}, "100003": {books.ALSC, coupon},
	"200001": {books.Zhimai, value}, "200002": {books.Zhimai, points}, "200003": {books.Zhimai, coupon},
}

// assets are amounts of the three kinds.
type assets struct {
	fen, points int64
	coupons     []string
}

// purse is what a till believes that a guest has at a vendor. Final answers may come in
// another order than the vendor booked, so coupons are counted: one that was given back
// and spent again is neither there nor gone twice.
type purse struct {
	fen, points int64
	coupons     map[string]int64
}

// guest is a member. One till serves him, so his calls have an order.
type guest struct {
	no       int
	rng      *rand.Rand
	mobile   string
	ids      map[books.Vendor]string // the vendors' own
	memberID string                  // what the query told; empty before
	shown    []holding               // what the last whole query showed
	believed map[books.Vendor]*purse // from the opening balance and final answers alone
	orders   []*order
	mu       sync.Mutex // what an answer changes: two tills may hear at once
}

// register makes the members. Two in five are at one vendor, two at the other, one at
// both, under different numbers there.
func (d *day) register(ctx context.Context) error {
	var all []books.Member
	for no := range d.members {
		g := &guest{
			no: no, rng: rand.New(rand.NewPCG(d.seed, uint64(no))), mobile: strconv.Itoa(13900000000 + no),
			ids: map[books.Vendor]string{}, believed: map[books.Vendor]*purse{},
		}
		for vendor, base := range map[books.Vendor]int{books.ALSC: 1_000_000, books.Zhimai: 2_000_000} {
			if no%5 == 4 || (no%2 == 0) == (vendor == books.ALSC) {
				g.ids[vendor] = strconv.Itoa(base + no)
			}
		}
		for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} { // in order: the guest's numbers are random
			if g.ids[vendor] != "" {
				m := g.member(vendor)
				g.believed[vendor] = purseOf(m)
				all = append(all, m)
			}
		}
		d.guests = append(d.guests, g)
	}
	return d.box.PutMembers(ctx, all...)
}

func (g *guest) member(vendor books.Vendor) books.Member {
	id := g.ids[vendor]
	m := books.Member{
		Vendor: vendor, ID: id, CardID: "88" + id, AccountID: "77" + id, Name: "客人" + strconv.Itoa(g.no), Mobile: g.mobile,
		Balance: books.Money{Real: 5000 + g.rng.Int64N(100000), Gift: g.rng.Int64N(20000)}, Points: g.rng.Int64N(3000),
	}
	for i := range g.rng.IntN(8) {
		m.Coupons = append(m.Coupons, books.Coupon{ID: fmt.Sprintf("39%s%09d", id, i), Title: "代金券", FaceFen: 500})
	}
	return m
}

func purseOf(m books.Member) *purse {
	p := &purse{fen: m.Balance.Total(), points: m.Points, coupons: map[string]int64{}}
	for _, c := range m.Coupons {
		if c.Status == books.CouponUnused {
			p.coupons[c.ID] = 1
		}
	}
	return p
}

// move books a final answer's line in the purse: out of it, or back into it.
func (p *purse) move(l line, back bool) {
	sign := int64(-1)
	if back {
		sign = 1
	}
	switch assetOf[l.mapping].kind {
	case value:
		p.fen += sign * l.fen
	case points:
		p.points += sign * l.count
	case coupon:
		p.coupons[l.assetID] += sign
	}
}

// serve makes the guest's next call.
func (d *day) serve(ctx context.Context, g *guest) error {
	n := g.rng.IntN(100)
	switch {
	case g.memberID == "" || n < 15:
		return d.query(ctx, g)
	case n < 55:
		return d.verify(ctx, g)
	case n < 72:
		return d.reverse(ctx, g)
	case n < 87:
		return d.repeat(ctx, g)
	}
	return d.askResult(ctx, g)
}

// chooseLines is what the guest pays with: one to three assets of those shown, now and
// then more than there is.
func (g *guest) chooseLines() []line {
	var chosen []line
	left := slices.Clone(g.shown)
	for range 1 + g.rng.IntN(3) {
		if len(left) == 0 {
			break
		}
		i := g.rng.IntN(len(left))
		h := left[i]
		left = slices.Delete(left, i, i+1)
		a := assetOf[h.mapping]
		p := g.believed[a.vendor]
		l := line{mapping: h.mapping, assetID: h.assetID}
		greedy := g.rng.IntN(12) == 0
		switch a.kind {
		case value:
			if l.fen = 1 + g.rng.Int64N(max(1, min(p.fen, 9000))); greedy {
				l.fen = p.fen + 1 + g.rng.Int64N(500)
			}
		case points:
			if l.count = 1 + g.rng.Int64N(max(1, min(p.points, 300))); greedy {
				l.count = p.points + 1
			}
		case coupon:
			if l.count = 1; p.coupons[h.assetID] != 1 && !greedy {
				continue // used since it was shown
			}
		}
		chosen = append(chosen, l)
	}
	return chosen
}

// chooseReversal picks lines of the order to give back: all that is left, or a part.
func (g *guest) chooseReversal(of *order) []line {
	var lines []line
	part := g.rng.IntN(2) == 0
	if part && of.byHand() && g.rng.IntN(3) > 0 {
		part = false // such a part is a person's to make; one in three is enough for him
	}
	for i, l := range of.lines {
		fen, count := of.left(i)
		if fen == 0 && count == 0 || part && len(lines) > 0 && g.rng.IntN(2) == 0 {
			continue
		}
		l.fen, l.count = fen, count
		if part && fen > 1 {
			l.fen = 1 + g.rng.Int64N(fen)
		}
		lines = append(lines, l)
	}
	if len(lines) > 0 && g.rng.IntN(12) == 0 {
		if l := &lines[0]; l.fen > 0 {
			l.fen = of.lines[0].fen + 1 // more than was ever redeemed
		}
	}
	return lines
}

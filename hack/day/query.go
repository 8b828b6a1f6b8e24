// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// holding is an asset that a query showed.
type holding struct {
	mapping, assetID string
	fen, count       int64
}

// query looks the guest up by his mobile, as a till does first of all. What is shown is
// what the guest spends from then on, under the names that the answer gave.
func (d *day) query(ctx context.Context, g *guest) error {
	if err := d.misfortune(ctx, g, reading, slices.Sorted(maps.Keys(g.ids))); err != nil {
		return err
	}
	began := time.Now()
	raw, err := d.ask(ctx, g)
	if err != nil {
		return err
	}
	d.made.Add(1)
	word, whole, err := g.look(raw)
	if err == nil && whole && !slices.ContainsFunc(g.orders, func(o *order) bool { return !o.known() }) {
		err = g.disbelieves()
	}
	if err != nil {
		d.out.lie("query of guest %d: %v: %s", g.no, err, raw)
	}
	d.out.count("query", word, time.Since(began))
	return nil
}

func (d *day) ask(ctx context.Context, g *guest) ([]byte, error) {
	_, raw, err := d.kry.Query(ctx, mustMarshal(map[string]any{
		"queryType": "MOBILE", "queryValue": g.mobile, "mobile": g.mobile, "assetMappingType": "ALL", "assetMappingId": "",
		"kryBrandId": brandID, "kryShopId": shopID, "requestId": "q",
	}))
	if err != nil {
		return nil, fmt.Errorf("query of guest %d: %w", g.no, err)
	}
	return raw, nil
}

// look takes an answer; whole says that it showed everything.
func (g *guest) look(raw []byte) (word string, whole bool, err error) {
	r, err := sandbox.DecodeReply(raw)
	switch {
	case err != nil:
		return "unreadable", false, err
	case r.Code == 3000:
		return "nothing read (3000)", false, nil
	case r.Code != 0:
		return "unreadable", false, fmt.Errorf("code %d", r.Code)
	case r.Result.SubCode == "311" || r.Result.SubCode == "312":
		return "read in part (" + r.Result.SubCode + ")", false, nil
	case !r.Result.Success:
		return "unreadable", false, fmt.Errorf("sub code %s", r.Result.SubCode)
	}
	var data struct {
		MemberBasic      struct{ MemberID string }
		BalanceAssetList []struct {
			AssetMappingID, AssetID, Status string
			VerifyTotalAmount, VerifyCnt    int64
		}
	}
	if err := json.Unmarshal(r.Result.Data, &data); err != nil {
		return "unreadable", false, err
	}
	if data.MemberBasic.MemberID == "" {
		return "unreadable", false, fmt.Errorf("no memberId")
	}
	g.memberID, g.shown = data.MemberBasic.MemberID, nil
	for _, a := range data.BalanceAssetList {
		if a.Status == "SUCCESS" {
			g.shown = append(g.shown, holding{a.AssetMappingID, a.AssetID, a.VerifyTotalAmount, a.VerifyCnt})
		}
	}
	return "shown", true, nil
}

// disbelieves says where what was shown is not what the till believes.
func (g *guest) disbelieves() error {
	seen := map[books.Vendor]*purse{}
	for vendor := range g.believed {
		seen[vendor] = &purse{coupons: map[string]int64{}}
	}
	for _, h := range g.shown {
		a := assetOf[h.mapping]
		p := seen[a.vendor]
		if p == nil {
			return fmt.Errorf("an asset at %s, where the guest is no member", a.vendor)
		}
		switch a.kind {
		case value:
			p.fen += h.fen
		case points:
			p.points += h.count
		case coupon:
			p.coupons[h.assetID]++
		}
	}
	for vendor, p := range g.believed {
		if why := p.differs(seen[vendor]); why != "" {
			return fmt.Errorf("%s: believed and shown: %s", vendor, why)
		}
	}
	return nil
}

// differs says in what p and other differ, "" when they do not.
func (p *purse) differs(other *purse) string {
	unused := func(p *purse) []string {
		var ids []string
		for id, n := range p.coupons {
			for range n {
				ids = append(ids, id)
			}
			for range -n { // spent more often than it was there
				ids = append(ids, "-"+id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	switch {
	case p.fen != other.fen:
		return fmt.Sprintf("%d and %d fen", p.fen, other.fen)
	case p.points != other.points:
		return fmt.Sprintf("%d and %d points", p.points, other.points)
	case !slices.Equal(unused(p), unused(other)):
		return fmt.Sprintf("coupons %v and %v", unused(p), unused(other))
	}
	return ""
}

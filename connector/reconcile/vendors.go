// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

// Window is what of a vendor's list is read: both ends inclusive, in whole seconds.
type Window struct {
	From, To time.Time
	// Shops by kryShopId: where the ledger has calls.
	Shops []string
}

// Source is a vendor whose flows can be listed.
type Source interface {
	Name() string
	Flows(ctx context.Context, w Window, tell func(Progress)) ([]Theirs, error)
}

// Options of a source.
type Options struct {
	PageSize  int // default 100
	PerSecond int // calls a second; default 2
}

func (o Options) orDefaults() Options {
	if o.PageSize <= 0 {
		o.PageSize = 100
	}
	if o.PerSecond <= 0 {
		o.PerSecond = 2
	}
	return o
}

// Zhimai lists a brand's flows by user.wealth-bills.
func Zhimai(c *zhimai.Client, o Options) Source {
	o = o.orDefaults()
	return zhimaiSource{c, o, newPager(o.PerSecond)}
}

type zhimaiSource struct {
	client *zhimai.Client
	o      Options
	pager  pager
}

func (zhimaiSource) Name() string { return zhimai.Name }

// Flows reads all pages. Whether a spend is written as negative is not documented: where nothing in the list
// is, the directions stay open.
func (s zhimaiSource) Flows(ctx context.Context, w Window, tell func(Progress)) ([]Theirs, error) {
	flows, err := s.pager.all(ctx, func(ctx context.Context, n int) (page, error) {
		p, err := s.client.Flows(ctx, w.From, w.To, n, s.o.PageSize)
		out := page{rows: len(p.Flows), total: p.Total, last: p.Last}
		for _, f := range p.Flows {
			t := Theirs{Provider: zhimai.Name, ID: f.ID, Key: f.OrderNo, Direction: Either, Amount: f.Amount, At: f.At, Readable: f.Readable}
			if f.Sign < 0 {
				t.Direction = Spent
			}
			out.flows = append(out.flows, t)
		}
		return out, err
	}, func(pages, flows, total int) {
		tell(Progress{Provider: zhimai.Name, Pages: pages, Flows: flows, Total: total})
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", zhimai.Name, zhimai.Bills, err)
	}
	if slices.ContainsFunc(flows, func(t Theirs) bool { return t.Direction == Spent }) {
		for i := range flows {
			if flows[i].Direction == Either {
				flows[i].Direction = Given
			}
		}
	}
	return flows, nil
}

// ALSC lists a brand's flows by alibaba.alsc.crm.recharge.accountflows.get, shop by shop: the method wants
// one. shops are those of the configuration; those of the ledger are added.
func ALSC(c *alsc.Client, brandID string, shops []string, o Options) Source {
	o = o.orDefaults()
	return alscSource{c, brandID, shops, o, newPager(o.PerSecond)}
}

type alscSource struct {
	client  *alsc.Client
	brandID string
	shops   []string
	o       Options
	pager   pager
}

func (alscSource) Name() string { return alsc.Name }

// Flows reads all pages of all shops. Two kryShopIds may be one shop of the vendor's, so a number counts once.
func (s alscSource) Flows(ctx context.Context, w Window, tell func(Progress)) ([]Theirs, error) {
	var all []Theirs
	seen := map[string]bool{}
	shops := slices.Concat(s.shops, w.Shops)
	slices.Sort(shops)
	for _, shop := range slices.Compact(shops) {
		flows, err := s.pager.all(ctx, func(ctx context.Context, n int) (page, error) {
			p, err := s.client.Flows(ctx, s.brandID, shop, w.From, w.To, n, s.o.PageSize)
			return alscPage(p), err
		}, func(pages, flows, total int) {
			tell(Progress{Provider: alsc.Name, Shop: shop, Pages: pages, Flows: flows, Total: total})
		})
		if err != nil {
			return nil, fmt.Errorf("%s %s, shop %s: %w", alsc.Name, alsc.AccountFlows, shop, err)
		}
		for _, f := range flows {
			if f.ID == "" || !seen[f.ID] {
				seen[f.ID] = true
				all = append(all, f)
			}
		}
	}
	return all, nil
}

func alscPage(p alsc.FlowPage) page {
	out := page{rows: p.Rows, total: p.Total}
	for _, f := range p.Flows {
		t := Theirs{
			Provider: alsc.Name, ID: f.ID, Key: f.OuterOrderID, Reverses: f.OuterPayID,
			Direction: Given, Amount: f.Amount, At: f.At, Readable: f.Readable,
		}
		if f.Sign < 0 {
			t.Direction = Spent
		}
		out.flows = append(out.flows, t)
	}
	return out
}

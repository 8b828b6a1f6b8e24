// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// audit compares four accounts of the day: the ledger's, the vendors', the tills' and
// that of the reconciliation.
type audit struct {
	count      int
	why        []string
	ledger     map[asset]turnover
	books      map[asset]turnover
	reconciled []string // lines of the table
}

// turnover of an asset: fen, points or pieces.
type turnover struct{ redeemed, reversed int64 }

// account is what one leg took from a member and gave back.
type account struct {
	spends      int
	taken, back map[string]int64 // by kind of asset
}

func newAccount() *account { return &account{taken: map[string]int64{}, back: map[string]int64{}} }

// legKey is a leg as ledger and vendor both name it.
type legKey struct {
	vendor books.Vendor
	key    string
}

func (a *audit) differ(format string, args ...any) {
	a.count++
	a.why = append(a.why, fmt.Sprintf(format, args...))
}

func (d *day) audit(ctx context.Context, began time.Time) (*audit, error) {
	fmt.Fprintln(d.progress, "audit: ledger, the vendors' books, the tills, reconciliation")
	a := &audit{ledger: map[asset]turnover{}, books: map[asset]turnover{}}
	for _, lie := range d.out.lies {
		a.differ("%s", lie)
	}
	inLedger, err := d.readLedger(ctx, a)
	if err != nil {
		return nil, err
	}
	inBooks, err := d.readBooks(ctx, a)
	if err != nil {
		return nil, err
	}
	a.compare(inLedger, inBooks)
	if err := d.auditTills(ctx, a); err != nil {
		return nil, err
	}
	return a, d.reconcile(ctx, a, began)
}

// readLedger sums the ledger by the key of the deduction; reversals count under the key
// of what they undo.
func (d *day) readLedger(ctx context.Context, a *audit) (map[legKey]*account, error) {
	l, err := d.ledger(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	defer func() { _ = l.Close() }() // only read
	report, err := l.Verify(ctx, brandID)
	if err != nil {
		return nil, fmt.Errorf("verify the ledger: %w", err)
	}
	if report.Break != nil {
		a.differ("the ledger's chain is broken: %s", report.Break)
	}
	all, err := l.Search(ctx, redeem.Query{BrandID: brandID}, 1_000_000)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	accounts, originals := map[legKey]*account{}, map[string]redeem.Redemption{}
	for _, r := range all {
		if r.Action == redeem.Verify {
			originals[r.BizID] = r
		}
	}
	for _, r := range all {
		if r.Answer == nil {
			a.differ("%s %s has no answer in the ledger", r.Action, r.BizID)
		}
		if r.Contradiction {
			a.differ("%s %s: the contradiction alarm rang", r.Action, r.BizID)
		}
		original := r
		if r.Action == redeem.ReverseVerify {
			original = originals[r.ReversesBizID]
		}
		for _, line := range r.Lines {
			if line.Result.Kind == redeem.Executed {
				a.enter(accounts, original, r.Action, line)
			}
		}
	}
	return accounts, nil
}

// enter books an executed line of the ledger.
func (a *audit) enter(accounts map[legKey]*account, original redeem.Redemption, action redeem.Action, line redeem.Line) {
	kind := assetOf[line.AssetMappingID].kind
	amount := line.Count
	if kind == value {
		amount = int64(line.Result.Total)
	}
	i := slices.IndexFunc(original.Lines, func(o redeem.Line) bool {
		return o.AssetMappingID == line.AssetMappingID && o.AssetID == line.AssetID
	})
	if i < 0 {
		a.differ("%s: a reversal of %s, which it does not have", original.BizID, line.AssetID)
		return
	}
	for _, leg := range original.Legs {
		if !slices.Contains(leg.Lines, original.Lines[i].No) {
			continue
		}
		key := legKey{books.Vendor(leg.Provider), leg.Key}
		if accounts[key] == nil {
			accounts[key] = newAccount()
		}
		sum(a.ledger, accounts[key], asset{key.vendor, kind}, amount, action == redeem.ReverseVerify)
	}
}

// sum adds an amount to an account and to the asset's turnover.
func sum(turnovers map[asset]turnover, to *account, of asset, amount int64, back bool) {
	if amount == 0 {
		return
	}
	t := turnovers[of]
	if back {
		to.back[of.kind] += amount
		t.reversed += amount
	} else {
		to.taken[of.kind] += amount
		t.redeemed += amount
	}
	turnovers[of] = t
}

// readBooks sums the vendors' books by the key of the deduction.
func (d *day) readBooks(ctx context.Context, a *audit) (map[legKey]*account, error) {
	entries, err := d.box.Entries(ctx, books.Filter{})
	if err != nil {
		return nil, err
	}
	accounts := map[legKey]*account{}
	for _, e := range entries {
		key := legKey{e.Vendor, e.Key}
		if e.Kind == books.KindReverse {
			key.key = e.Reverses
		}
		if accounts[key] == nil {
			accounts[key] = newAccount()
		}
		if e.Kind == books.KindSpend {
			accounts[key].spends++
		}
		for kind, amount := range map[string]int64{value: e.AmountFen, points: e.Points, coupon: int64(len(e.Coupons))} {
			sum(a.books, accounts[key], asset{e.Vendor, kind}, amount, e.Kind == books.KindReverse)
		}
	}
	return accounts, nil
}

// compare holds the two against each other, leg by leg.
func (a *audit) compare(inLedger, inBooks map[legKey]*account) {
	keys := map[legKey]*account{}
	maps.Copy(keys, inLedger)
	maps.Copy(keys, inBooks)
	for _, key := range slices.SortedFunc(maps.Keys(keys), func(x, y legKey) int { return cmp.Compare(x.key, y.key) }) {
		l, b := inLedger[key], inBooks[key]
		switch {
		case l == nil:
			a.differ("%s has %s, the ledger has not: %v", key.vendor, key.key, b.taken)
		case b == nil:
			a.differ("the ledger has %s, %s has not: %v", key.key, key.vendor, l.taken)
		case b.spends != 1:
			a.differ("%s took %s %d times", key.vendor, key.key, b.spends)
		case !maps.Equal(l.taken, b.taken):
			a.differ("%s: the ledger has %v taken, %s %v", key.key, l.taken, key.vendor, b.taken)
		case !maps.Equal(l.back, b.back):
			a.differ("%s: the ledger has %v given back, %s %v", key.key, l.back, key.vendor, b.back)
		}
	}
}

// auditTills holds what each till believes that its guests have against the books, and
// against what a last query shows.
func (d *day) auditTills(ctx context.Context, a *audit) error {
	for _, g := range d.guests {
		for _, o := range g.orders {
			if !o.known() {
				a.differ("a till does not know the end of %s", o.bizID)
			}
		}
		for vendor, believed := range g.believed {
			m, err := d.box.Member(ctx, vendor, g.ids[vendor])
			if err != nil {
				return err
			}
			if why := believed.differs(purseOf(m)); why != "" {
				a.differ("guest %d at %s: the till believes, and the books have: %s", g.no, vendor, why)
			}
		}
		raw, err := d.ask(ctx, g)
		if err != nil {
			return err
		}
		if _, whole, err := g.look(raw); err != nil || !whole {
			a.differ("guest %d: the last query shows %s", g.no, raw)
		} else if err := g.disbelieves(); err != nil {
			a.differ("guest %d: the last query: %v", g.no, err)
		}
	}
	return nil
}

// table prints what was redeemed and reversed, and what differs.
func (a *audit) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\nvendor\tasset\tredeemed: ledger\tbooks\treversed: ledger\tbooks\tdifference\t")
	for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} {
		for _, kind := range []string{value, points, coupon} {
			l, b := a.ledger[asset{vendor, kind}], a.books[asset{vendor, kind}]
			show := func(n int64) string { return fmt.Sprint(n) }
			if kind == value {
				show = yuan
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", vendor, kind, show(l.redeemed), show(b.redeemed), show(l.reversed), show(b.reversed),
				show(l.redeemed-l.reversed-b.redeemed+b.reversed))
		}
	}
	_ = w.Flush() // standard output
	for _, line := range a.reconciled {
		fmt.Fprintln(out, line)
	}
	const most = 20
	for i, why := range a.why {
		if i == most {
			fmt.Fprintf(out, "  … and %d more\n", len(a.why)-most)
			break
		}
		fmt.Fprintln(out, "  DIFFERENCE:", why)
	}
}

// yuan renders fen.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

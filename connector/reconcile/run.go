// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Config of a run.
type Config struct {
	BrandID string
	// From and To bound the report, half open, by the time at which a call was sent, or, of a flow without
	// one, at which the vendor booked it.
	From, To time.Time
	// Margin is how far the vendor's clock and a slow booking may put a flow from its call: so much more is
	// read at either end. Default 1 h.
	Margin time.Duration
	// LookBack is how long before its sending a redemption may have been received: one that was in doubt is
	// sent again, a reversal waits. Default 7 days.
	LookBack time.Duration
	// Foreign lists what other hands did, too.
	Foreign bool
	// Now is the clock, default time.Now.
	Now func() time.Time
	// Progress hears how it goes, may be nil.
	Progress func(Progress)
}

// Progress is how far a run is: in the ledger, or, with a Provider, in its list.
type Progress struct {
	Provider, Shop string
	Redemptions    int // read from the ledger
	Pages, Flows   int // read from the vendor
	Total          int // flows that the vendor says it has, 0: not said
}

// Report is what a run found.
type Report struct {
	BrandID   string
	From, To  time.Time
	At        time.Time // when it was made
	Providers []string
	Rows      []Row // oldest first; foreign ones only when asked for
	Sums      map[string]map[Verdict]Sum
}

// Sum of the rows of a provider with one verdict. Fen is our amount where we have one, else the vendor's.
type Sum struct {
	Rows int
	Fen  int64
}

// Agrees: every call and every flow found its pair.
func (r Report) Agrees() bool {
	for _, sums := range r.Sums {
		if sums[MissingHere].Rows+sums[MissingThere].Rows+sums[Differs].Rows > 0 {
			return false
		}
	}
	return true
}

// Run reads both sides and compares them. It changes nothing.
func Run(ctx context.Context, c Config, l Ledger, sources []Source) (Report, error) {
	c = c.orDefaults()
	now := c.Now()
	if !c.From.Before(c.To) || c.To.After(now) {
		return Report{}, errors.New("the range of time must begin before it ends, and end before now")
	}
	here, err := readLedger(ctx, l, c.BrandID, c.From.Add(-c.LookBack), c.To.Add(c.Margin), func(n int) { c.Progress(Progress{Redemptions: n}) })
	if err != nil {
		return Report{}, err
	}
	report := Report{BrandID: c.BrandID, From: c.From, To: c.To, At: now, Sums: map[string]map[Verdict]Sum{}}
	var theirs []Theirs
	for _, s := range sources {
		report.Providers = append(report.Providers, s.Name())
		w := Window{c.From.Add(-c.Margin), c.until(here.ours, s.Name(), now), here.shops[s.Name()]}
		flows, err := s.Flows(ctx, w, c.Progress)
		if err != nil {
			return Report{}, err
		}
		theirs = append(theirs, flows...)
	}
	if err := report.covers(here.ours, c); err != nil {
		return Report{}, err
	}
	report.fill(Compare(here.ours, theirs), c)
	return report, nil
}

func (c Config) orDefaults() Config {
	if c.Margin <= 0 {
		c.Margin = time.Hour
	}
	if c.LookBack <= 0 {
		c.LookBack = 7 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return c
}

// until is when the last flow of a call in the range may have been booked: a call that was in doubt may have
// been made again until its outcome was known.
func (c Config) until(ours []Ours, provider string, now time.Time) time.Time {
	end := c.To
	for _, o := range ours {
		if o.Provider == provider && c.within(o.At) && o.Settled.After(end) {
			end = o.Settled
		}
	}
	if end = end.Add(c.Margin); end.After(now) {
		end = now
	}
	return end
}

func (c Config) within(t time.Time) bool { return !t.Before(c.From) && t.Before(c.To) }

// covers fails when the ledger has calls in the range to a vendor that was not asked.
func (r Report) covers(ours []Ours, c Config) error {
	for _, o := range ours {
		if c.within(o.At) && !slices.Contains(r.Providers, o.Provider) {
			return fmt.Errorf("the ledger has calls to %s, which the brand no longer configures: its flows cannot be read", o.Provider)
		}
	}
	return nil
}

func (r *Report) fill(rows []Row, c Config) {
	for _, p := range r.Providers {
		r.Sums[p] = map[Verdict]Sum{}
	}
	for _, row := range rows {
		// A flow whose time cannot be read is shown, whenever it was.
		if sums := r.Sums[row.Provider()]; sums != nil && (c.within(row.At()) || row.At().IsZero()) {
			s := sums[row.Verdict]
			sums[row.Verdict] = Sum{s.Rows + 1, s.Fen + row.fen()}
			if row.Verdict != Foreign || c.Foreign {
				r.Rows = append(r.Rows, row)
			}
		}
	}
}

func (r Row) fen() int64 {
	if r.Ours != nil {
		return int64(r.Ours.Amount)
	}
	return int64(r.Theirs.Amount)
}

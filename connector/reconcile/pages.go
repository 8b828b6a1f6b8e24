// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// page is one page of a vendor's list.
type page struct {
	flows []Theirs
	rows  int // on the page, with those that are not in flows
	total int // on all pages, 0: not said
	last  int // number of the last page, 0: not said
}

// ErrIncomplete is wrapped when a vendor gave less than it said it has. Nothing is compared then: what was
// not read would look as if it were missing.
var ErrIncomplete = errors.New("the vendor's list is not complete")

const (
	pageAttempts = 6
	maxPages     = 1_000_000
)

// pager reads lists, slowly enough to leave the vendor's call limit to the tills.
type pager struct {
	limit *rate.Limiter
	sleep func(context.Context, time.Duration) error
}

// newPager makes at most perSecond calls a second.
func newPager(perSecond int) pager {
	return pager{rate.NewLimiter(rate.Limit(perSecond), 1), wait}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// all reads every page. Flows that are booked meanwhile push others to later pages, where they are read
// twice: a number counts once. The end is what the vendor says it is (the last page, or how many there are), or
// an empty page where it says nothing.
func (p pager) all(ctx context.Context, read func(ctx context.Context, n int) (page, error), tell func(pages, flows, total int)) ([]Theirs, error) {
	var out []Theirs
	seen := map[string]bool{}
	rows, twice, first := 0, 0, 0
	for n := 1; n <= maxPages; n++ {
		got, err := p.one(ctx, n, read)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", n, err)
		}
		if n == 1 {
			first = got.total
		}
		fresh := 0
		for _, f := range got.flows {
			if f.ID != "" && seen[f.ID] {
				twice++
				continue
			}
			seen[f.ID] = true
			fresh++
			out = append(out, f)
		}
		rows += got.rows
		tell(n, len(out), got.total)
		switch {
		case got.last > 0 && n >= got.last, got.last == 0 && got.total > 0 && rows-twice >= got.total, got.rows == 0:
			if rows-twice < first {
				return nil, fmt.Errorf("%w: it says %d and gave %d", ErrIncomplete, first, rows-twice)
			}
			return out, nil
		case len(got.flows) > 0 && fresh == 0 && got.last == 0:
			return nil, fmt.Errorf("%w: page %d repeats what was on others", ErrIncomplete, n)
		}
	}
	return nil, fmt.Errorf("%w: more than %d pages", ErrIncomplete, maxPages)
}

// one reads a page, again after a fault that may pass: a question moves no money.
func (p pager) one(ctx context.Context, n int, read func(ctx context.Context, n int) (page, error)) (page, error) {
	for try := 1; ; try++ {
		if err := p.limit.Wait(ctx); err != nil {
			return page{}, err
		}
		call, cancel := context.WithTimeout(ctx, 30*time.Second)
		got, err := read(call, n)
		cancel()
		failed, ok := errors.AsType[*redeem.ReadError](err)
		if !ok || !failed.Again || try == pageAttempts {
			return got, err
		}
		if err := p.sleep(ctx, max(failed.RetryAfter, time.Second<<(try-1))); err != nil {
			return page{}, err
		}
	}
}

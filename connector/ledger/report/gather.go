// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Source is what Gather reads; a *ledger.Ledger is one.
type Source interface {
	Search(ctx context.Context, q redeem.Query, limit int) ([]redeem.Redemption, error)
	Reversals(ctx context.Context, brandID, bizID string) ([]redeem.Redemption, error)
	Events(ctx context.Context, key redeem.Key) ([]redeem.Event, error)
	Tombstones(ctx context.Context, q redeem.Query) ([]ledger.Tombstone, error)
}

// Entry is one redemption with all that belongs to it.
type Entry struct {
	Redemption redeem.Redemption
	Events     []redeem.Event // oldest first
	Reversals  []redeem.Redemption
}

// Answer is what was found, newest first.
type Answer struct {
	Entries    []Entry
	Tombstones []ledger.Tombstone
	// More says that the limit cut the search off.
	More bool
}

// Empty says that nothing was found, not even a tombstone.
func (a *Answer) Empty() bool { return len(a.Entries) == 0 && len(a.Tombstones) == 0 }

// Gather finds redemptions, newest first, at most limit. A reversal is a part of what it reverses: where a search finds both, the reversal has no
// entry of its own.
func Gather(ctx context.Context, s Source, q redeem.Query, limit int) (Answer, error) {
	var a Answer
	found, err := s.Search(ctx, q, limit+1)
	if err != nil {
		return a, err
	}
	if len(found) > limit {
		found, a.More = found[:limit], true
	}
	there := map[redeem.Key]bool{}
	for i := range found {
		there[found[i].Key()] = true
	}
	for _, r := range found {
		if r.ReversesBizID != "" && there[redeem.Key{BrandID: r.BrandID, Action: redeem.Verify, BizID: r.ReversesBizID}] {
			continue
		}
		e := Entry{Redemption: r}
		if e.Events, err = s.Events(ctx, r.Key()); err != nil {
			return a, err
		}
		if r.Action == redeem.Verify {
			if e.Reversals, err = s.Reversals(ctx, r.BrandID, r.BizID); err != nil {
				return a, err
			}
		}
		a.Entries = append(a.Entries, e)
	}
	a.Tombstones, err = s.Tombstones(ctx, q)
	return a, err
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Reversals of a redemption, oldest first: those that the till asked for and the one by which the engine undid it.
func (l *Ledger) Reversals(ctx context.Context, brandID, bizID string) ([]redeem.Redemption, error) {
	if bizID == "" {
		return nil, errors.New("reversals: bizID must be set")
	}
	records, err := l.page(ctx, "WHERE brand_id = $1 AND reverses_biz_id = $2 AND reverses_biz_id <> '' ORDER BY created_at, action, biz_id", []any{brandID, bizID})
	if err != nil {
		return nil, fmt.Errorf("reversals: %w", err)
	}
	found := make([]redeem.Redemption, len(records))
	for i, r := range records {
		found[i] = r.Redemption
	}
	return found, nil
}

// Tombstone is what retention left of a redemption.
type Tombstone struct {
	Key                               redeem.Key
	FlowID                            string
	Outcome                           string // executed, refused or partial
	CreatedAt, ConcludedAt, RetiredAt time.Time
}

// Tombstones finds what retention left under a bizId or a flow id, the only names that it keeps. At least one of them is set.
func (l *Ledger) Tombstones(ctx context.Context, q redeem.Query) ([]Tombstone, error) {
	if q.BizID == "" && q.FlowID == "" {
		return nil, nil
	}
	var found []Tombstone
	err := l.store.read(ctx, query{
		sql: `SELECT brand_id, action, biz_id, flow_id, outcome, created_at, concluded_at, retired_at FROM tombstone
			WHERE brand_id = $1 AND (biz_id = $2 OR $2 = '') AND (flow_id = $3 OR $3 = '') ORDER BY created_at, action, biz_id`,
		args: []any{q.BrandID, q.BizID, q.FlowID},
		each: func(scan func(...any) error) error {
			var t Tombstone
			var created, concluded, retired int64
			err := scan(&t.Key.BrandID, (*string)(&t.Key.Action), &t.Key.BizID, &t.FlowID, &t.Outcome, &created, &concluded, &retired)
			t.CreatedAt, t.ConcludedAt, t.RetiredAt = moment(created), moment(concluded), moment(retired)
			found = append(found, t)
			return err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("tombstones: %w", err)
	}
	return found, nil
}

// Retirable counts what Retain would take away, by the same condition, and changes nothing.
func (l *Ledger) Retirable(ctx context.Context, brandID string, olderThan time.Time) (n int64, err error) {
	err = l.store.read(ctx, query{
		sql:  "SELECT count(*) FROM (" + selectRetired + ") AS retirable",
		args: []any{brandID, micros(olderThan), int64(1) << 62},
		each: func(scan func(...any) error) error { return scan(&n) },
	})
	return n, wrap("count what retention would take away", err)
}

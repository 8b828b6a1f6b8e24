// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// tombstone is what is left of a redemption that retention took away.
type tombstone struct {
	key                     redeem.Key
	flowID                  string
	fingerprint             []byte
	fingerprintVer          int
	outcome                 string // executed, refused or partial
	answerHash              []byte
	created, ended, retired time.Time
	seq                     int64
	head                    []byte
}

const insertTombstone = `INSERT INTO tombstone (brand_id, action, biz_id, flow_id, fingerprint, fingerprint_ver, outcome, answer_hash,
	created_at, concluded_at, retired_at, seq, head) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

func (t *tombstone) values() []any {
	return append(keyArgs(t.key), t.flowID, blob(t.fingerprint), int64(t.fingerprintVer), t.outcome, blob(t.answerHash), micros(t.created), micros(t.ended),
		micros(t.retired), t.seq, blob(t.head))
}

func (t *tombstone) sum() []byte {
	h := sha256.New()
	h.Write([]byte("hexiao tombstone\x00"))
	encode(h, t.values())
	return h.Sum(nil)
}

func (l *Ledger) readTombstone(ctx context.Context, key redeem.Key) (t tombstone, there bool, err error) {
	err = l.store.read(ctx, query{sql: selectTombstone, args: keyArgs(key), each: func(scan func(...any) error) error {
		var created, ended, retired int64
		err := scan(&t.flowID, &t.fingerprint, &t.fingerprintVer, &t.outcome, &t.answerHash, &created, &ended, &retired, &t.seq, &t.head)
		t.key, t.created, t.ended, t.retired, there = key, moment(created), moment(ended), moment(retired), true
		return err
	}})
	return t, there, err
}

// tombstone is what Record returns of a retired redemption.
func (l *Ledger) tombstone(ctx context.Context, key redeem.Key) (redeem.Redemption, error) {
	t, there, err := l.readTombstone(ctx, key)
	if err != nil || !there {
		return redeem.Redemption{}, errors.Join(err, redeem.ErrNotFound)
	}
	return redeem.Redemption{
		BrandID: key.BrandID, Action: key.Action, BizID: key.BizID, FlowID: t.flowID, Fingerprint: nilIfEmpty(t.fingerprint), FingerprintVer: t.fingerprintVer,
		CreatedAt: t.created, ConcludedAt: t.ended,
	}, nil
}

// Old enough, answered, and no reversal of it is still open.
const selectRetired = `SELECT action, biz_id FROM redemption WHERE brand_id = $1 AND created_at < $2 AND concluded_at > 0 AND concluded_at < $2
	AND updated_at < $2 AND NOT EXISTS (SELECT 1 FROM redemption v WHERE v.brand_id = redemption.brand_id AND v.reverses_biz_id = redemption.biz_id
	AND v.reverses_biz_id <> '' AND v.concluded_at = 0 AND redemption.action = 'VERIFY') ORDER BY created_at LIMIT $3`

const retainGroup = 100

// Retain takes away the redemptions of the brand that were concluded, and last changed, before olderThan, and leaves a tombstone of each: its key, flow id,
// fingerprint, outcome and the hash of its answer. It is the only thing that ever deletes, and only runs when someone calls it. It returns how many
// were retired, also beside an error.
func (l *Ledger) Retain(ctx context.Context, brandID string, olderThan, now time.Time) (int64, error) {
	if !olderThan.Before(now) {
		return 0, errors.New("retain: olderThan must be before now")
	}
	var total int64
	for {
		var n int
		err := l.attempt(ctx, "retain", func() error {
			var err error
			n, err = l.retainGroup(ctx, brandID, olderThan, now)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("retain: %w", err)
		}
		if total += int64(n); n < retainGroup {
			return total, nil
		}
	}
}

// retainGroup retires one group in one commit, with a seal over its tombstones.
func (l *Ledger) retainGroup(ctx context.Context, brandID string, olderThan, now time.Time) (int, error) {
	var keys []redeem.Key
	var last Seal
	err := l.store.read(ctx,
		query{sql: lastSeal, args: []any{brandID}, each: last.scan},
		query{sql: selectRetired, args: []any{brandID, micros(olderThan), int64(retainGroup)}, each: func(scan func(...any) error) error {
			k := redeem.Key{BrandID: brandID}
			err := scan((*string)(&k.Action), &k.BizID)
			keys = append(keys, k)
			return err
		}})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	var stones, deletions []statement
	var members []member
	for _, k := range keys {
		r, err := l.load(ctx, l.store.read, k)
		if err != nil {
			return 0, err
		}
		t := bury(r, now)
		members = append(members, member{action: k.Action, bizID: k.BizID, hash: t.sum()})
		stones = append(stones, statement{sql: insertTombstone, args: t.values()})
		// Only as it was read: an alarm that comes in meanwhile keeps it.
		deletions = append(deletions, statement{sql: "DELETE FROM redemption" + whereKey + " AND seq = $4", must: true, args: append(keyArgs(k), r.seq)})
		for _, table := range []string{"line", "leg", "event"} {
			deletions = append(deletions, statement{sql: "DELETE FROM " + table + whereKey, args: keyArgs(k)})
		}
	}
	_, statements := link(last, brandID, now, members)
	_, err = l.store.commit(ctx, append(append(statements, stones...), deletions...))
	return len(keys), err
}

func bury(r *record, now time.Time) *tombstone {
	outcomes := map[redeem.State]bool{}
	for _, g := range r.Legs {
		outcomes[g.State] = true
	}
	outcome := "refused"
	if outcomes[redeem.StateExecuted] {
		outcome = "executed"
		if outcomes[redeem.StateRefused] {
			outcome = "partial"
		}
	}
	answer := sha256.Sum256(r.Answer)
	return &tombstone{
		key: r.Key(), flowID: r.FlowID, fingerprint: r.Fingerprint, fingerprintVer: r.FingerprintVer, outcome: outcome, answerHash: answer[:],
		created: r.CreatedAt, ended: r.ConcludedAt, retired: stored(now), seq: r.seq, head: r.head,
	}
}

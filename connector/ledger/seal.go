// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Seal is one link of a brand's chain of seals: it holds the heads of the redemptions that changed since they were sealed last.
//
// A single chain over all events of a brand would make every commit of the brand wait for the one before it, fsync and all. So redemptions have
// chains of their own, and the chain of the brand is made afterwards, by whoever calls Ledger.Seal every minute or so.
type Seal struct {
	BrandID  string
	No       int64
	At       time.Time
	Members  int64
	PrevHash []byte
	// Hash covers the seals before it. Kept outside the database it proves, later, that nothing up to here was touched by anyone.
	Hash []byte
}

// member is what a seal holds of a redemption: the hash of its newest event or, with seq 0, of its tombstone.
type member struct {
	action redeem.Action
	bizID  string
	seq    int64
	hash   []byte
}

const (
	insertSeal   = `INSERT INTO seal (brand_id, no, at, members, prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (brand_id, no) DO NOTHING`
	insertMember = `INSERT INTO seal_member (brand_id, seal_no, action, biz_id, seq, hash) VALUES ($1, $2, $3, $4, $5, $6)`
	// Only as it was read: what changed meanwhile is for the next seal.
	updateSealed = `UPDATE redemption SET sealed = $4 WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND seq = $5 AND sealed = 0`
	lastSeal     = `SELECT brand_id, no, at, members, prev_hash, hash FROM seal WHERE brand_id = $1 ORDER BY no DESC LIMIT 1`
	nextSeals    = `SELECT brand_id, no, at, members, prev_hash, hash FROM seal WHERE brand_id = $1 AND no > $2 ORDER BY no LIMIT 50`
	sealMembers  = `SELECT action, biz_id, seq, hash FROM seal_member WHERE brand_id = $1 AND seal_no = $2 ORDER BY action, biz_id, seq`
	unsealed     = `SELECT action, biz_id, seq, head, concluded_at FROM redemption WHERE brand_id = $1 AND sealed = 0
		AND (concluded_at > 0 OR updated_at < $2) ORDER BY created_at LIMIT $3`
	// Redemptions of one seal, and what is sealed once while it stays open.
	sealSize  = 500
	openAfter = 10 * time.Minute
)

// Seal ties the redemptions of the brand that were concluded, or are open for ten minutes, into new seals until none is left, and returns the newest seal: a zero
// No when there is none. Two replicas may call it at once; one of them finds nothing left.
func (l *Ledger) Seal(ctx context.Context, brandID string, now time.Time) (Seal, error) {
	for {
		var last Seal
		var full bool
		err := l.attempt(ctx, "seal", func() error {
			var statements []statement
			var err error
			last, statements, full, err = l.nextSeal(ctx, brandID, now)
			if err != nil || len(statements) == 0 {
				return err
			}
			_, err = l.store.commit(ctx, statements)
			return err
		})
		if err != nil || !full {
			return last, wrap("seal", err)
		}
	}
}

// KeepSealed seals the brand at every interval until ctx ends, and logs each new seal: the log is a place outside the database where its hash is kept.
func (l *Ledger) KeepSealed(ctx context.Context, brandID string, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var known int64
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s, err := l.Seal(ctx, brandID, now)
			switch {
			case err != nil && ctx.Err() == nil:
				l.logger.WarnContext(ctx, "the ledger could not be sealed; the next round tries again", "brand", brandID, "error", err)
			case err == nil && s.No > known:
				known = s.No
				l.logger.InfoContext(ctx, "the ledger is sealed", "brand", brandID, "seal", s.No, "members", s.Members, "hash", hex.EncodeToString(s.Hash))
			}
		}
	}
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

func (l *Ledger) nextSeal(ctx context.Context, brandID string, now time.Time) (Seal, []statement, bool, error) {
	var last Seal
	var members []member
	var marks []statement
	err := l.store.read(ctx,
		query{sql: lastSeal, args: []any{brandID}, each: last.scan},
		query{sql: unsealed, args: []any{brandID, micros(now.Add(-openAfter)), int64(sealSize)}, each: func(scan func(...any) error) error {
			var m member
			var concluded int64
			if err := scan((*string)(&m.action), &m.bizID, &m.seq, &m.hash, &concluded); err != nil {
				return err
			}
			members = append(members, m)
			mark := int64(1)
			if concluded == 0 {
				mark = -1
			}
			marks = append(marks, statement{sql: updateSealed, must: true, args: []any{brandID, string(m.action), m.bizID, mark, m.seq}})
			return nil
		}})
	if err != nil || len(members) == 0 {
		return last, nil, false, err
	}
	next, statements := link(last, brandID, now, members)
	for i := range marks {
		marks[i].args[3] = marks[i].args[3].(int64) * next.No
	}
	// One order of locks for all writers.
	slices.SortFunc(marks, func(a, b statement) int {
		return cmp.Or(cmp.Compare(a.args[1].(string), b.args[1].(string)), cmp.Compare(a.args[2].(string), b.args[2].(string)))
	})
	return next, append(statements, marks...), len(members) == sealSize, nil
}

// link makes the seal after last, and its statements.
func link(last Seal, brandID string, at time.Time, members []member) (Seal, []statement) {
	next := Seal{BrandID: brandID, No: last.No + 1, At: stored(at), Members: int64(len(members)), PrevHash: last.Hash}
	next.Hash = next.sum(members)
	statements := make([]statement, 0, 1+2*len(members))
	statements = append(statements, statement{sql: insertSeal, must: true, args: []any{brandID, next.No, micros(next.At), next.Members, blob(next.PrevHash), next.Hash}})
	for _, m := range members {
		statements = append(statements, statement{sql: insertMember, args: []any{brandID, next.No, string(m.action), m.bizID, m.seq, blob(m.hash)}})
	}
	return next, statements
}

func (s *Seal) scan(scan func(...any) error) error {
	var at int64
	err := scan(&s.BrandID, &s.No, &at, &s.Members, &s.PrevHash, &s.Hash)
	s.At, s.PrevHash = moment(at), nilIfEmpty(s.PrevHash)
	return err
}

// sum is the seal's hash, over itself and its members in the order of their keys.
func (s *Seal) sum(members []member) []byte {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.action, b.action), cmp.Compare(a.bizID, b.bizID), cmp.Compare(a.seq, b.seq))
	})
	h := sha256.New()
	h.Write([]byte("hexiao seal\x00"))
	encode(h, []any{s.BrandID, s.No, micros(s.At), s.Members, blob(s.PrevHash)})
	for _, m := range members {
		encode(h, []any{string(m.action), m.bizID, m.seq, blob(m.hash)})
	}
	return h.Sum(nil)
}

// Report of Verify.
type Report struct {
	Redemptions, Events, Seals, Tombstones int64
	// Unsealed redemptions are too young for a seal: whether one of their age is missing cannot be seen yet.
	Unsealed int64
	// Head is the newest seal. Compare it with one that was kept elsewhere.
	Head Seal
	// Break is the first thing that is not as it was written, nil when all is.
	Break *Break
}

// Break is something that another hand than the ledger's did.
type Break struct {
	Key  redeem.Key // of the redemption, empty when it is a seal
	Seq  int64      // of the event, 0 when it is not about one
	Seal int64      // number of the seal, 0 when it is not about one
	What string     // English
}

// String says it in a line.
func (b *Break) String() string {
	switch {
	case b.Seal != 0 && b.Key.BizID != "":
		return fmt.Sprintf("seal %d, %s %s: %s", b.Seal, b.Key.Action, b.Key.BizID, b.What)
	case b.Seal != 0:
		return fmt.Sprintf("seal %d: %s", b.Seal, b.What)
	case b.Seq != 0:
		return fmt.Sprintf("%s %s, event %d: %s", b.Key.Action, b.Key.BizID, b.Seq, b.What)
	}
	return fmt.Sprintf("%s %s: %s", b.Key.Action, b.Key.BizID, b.What)
}

// broken carries a Break up as an error.
type broken struct{ b Break }

func (e *broken) Error() string { return e.b.String() }

// Verify walks the chains of the brand's redemptions and its seals and reports the first break. It may run beside writers. The error is about the
// walk: a ledger that was tampered with is a Break, not an error.
func (l *Ledger) Verify(ctx context.Context, brandID string) (Report, error) {
	return l.VerifyWatched(ctx, brandID, func(Report) {})
}

// VerifyWatched is Verify that tells how far it is, every hundred redemptions and every fifty seals.
func (l *Ledger) VerifyWatched(ctx context.Context, brandID string, watch func(Report)) (Report, error) {
	var r Report
	redemptions := func(ctx context.Context, brandID string, r *Report) error {
		return l.verifyRedemptions(ctx, brandID, r, watch)
	}
	seals := func(ctx context.Context, brandID string, r *Report) error {
		return l.verifySeals(ctx, brandID, r, watch)
	}
	for _, step := range []func(context.Context, string, *Report) error{redemptions, l.verifyOrphans, seals, l.verifyTombstones} {
		err := step(ctx, brandID, &r)
		var b *broken
		if errors.As(err, &b) {
			r.Break = &b.b
			return r, nil
		}
		if err != nil {
			return r, fmt.Errorf("verify: %w", err)
		}
	}
	return r, nil
}

// VerifyRedemption checks one redemption against its own chain, and that it is there if a seal says so. Whether the seals themselves are whole only Verify can
// tell. ErrNotFound is wrapped when there is none under the key.
func (l *Ledger) VerifyRedemption(ctx context.Context, key redeem.Key) (Report, error) {
	var r Report
	err := l.verifyOne(ctx, key, &r)
	var b *broken
	switch {
	case errors.As(err, &b):
		r.Break = &b.b
	case err != nil:
		return r, fmt.Errorf("verify: %w", err)
	case r.Redemptions == 0:
		return r, fmt.Errorf("verify: %s %s: %w", key.Action, key.BizID, redeem.ErrNotFound)
	}
	return r, nil
}

const verifyPage = 100

const keysAfter = `SELECT action, biz_id FROM redemption WHERE brand_id = $1 AND (action, biz_id) > ($2, $3) ORDER BY action, biz_id LIMIT $4`

func (l *Ledger) verifyRedemptions(ctx context.Context, brandID string, r *Report, watch func(Report)) error {
	at := redeem.Key{BrandID: brandID}
	for {
		var keys []redeem.Key
		err := l.store.read(ctx, query{sql: keysAfter, args: []any{brandID, string(at.Action), at.BizID, int64(verifyPage)}, each: func(scan func(...any) error) error {
			k := redeem.Key{BrandID: brandID}
			err := scan((*string)(&k.Action), &k.BizID)
			keys = append(keys, k)
			return err
		}})
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := l.verifyOne(ctx, k, r); err != nil {
				return err
			}
			at = k
		}
		watch(*r)
		if len(keys) < verifyPage {
			return nil
		}
	}
}

// verifyOne checks a redemption against its chain, on one snapshot.
func (l *Ledger) verifyOne(ctx context.Context, k redeem.Key, report *Report) error {
	var r *record
	var events []event
	var sealedSeq int64
	queries := append([]query{{sql: selectRedemption, args: keyArgs(k), each: func(scan func(...any) error) error {
		r = &record{}
		return r.scan(scan)
	}}}, verifyParts(&r, k)...)
	queries = append(queries,
		query{sql: selectEvents, args: keyArgs(k), each: func(scan func(...any) error) error {
			var e event
			err := e.scan(scan)
			events = append(events, e)
			return err
		}},
		query{sql: `SELECT m.seq FROM seal_member m, redemption r WHERE r.brand_id = $1 AND r.action = $2 AND r.biz_id = $3
			AND m.brand_id = r.brand_id AND m.seal_no = abs(r.sealed) AND m.action = r.action AND m.biz_id = r.biz_id`,
			args: keyArgs(k), each: func(scan func(...any) error) error { return scan(&sealedSeq) }})
	if err := l.store.read(ctx, queries...); err != nil {
		return unreadable(k, err)
	}
	if r == nil {
		return nil // retired since the page was read
	}
	report.Redemptions++
	report.Events += int64(len(events))
	if r.sealed == 0 {
		report.Unsealed++
	}
	return intact(r, events, sealedSeq)
}

// verifyParts reads lines and legs as parts does, and stops at a due time that does not follow from its leg.
func verifyParts(r **record, k redeem.Key) []query {
	queries := parts(r, k)
	queries[1].each = func(scan func(...any) error) error {
		leg, dueAt, err := scanLeg(scan)
		if err != nil {
			return err
		}
		if dueAt != due(&leg) {
			return &broken{Break{Key: k, What: fmt.Sprintf("leg %d: due_at was changed", leg.No)}}
		}
		if *r != nil {
			(*r).Legs = append((*r).Legs, leg)
		}
		return nil
	}
	return queries
}

// unreadable: a column that does not parse was not written by the ledger.
func unreadable(k redeem.Key, err error) error {
	if strings.Contains(err.Error(), "invalid character") || strings.Contains(err.Error(), "unexpected end of JSON") || strings.Contains(err.Error(), "cannot unmarshal") {
		return &broken{Break{Key: k, What: "a column does not parse: " + err.Error()}}
	}
	return err
}

// intact compares a redemption with its events.
func intact(r *record, events []event, sealedSeq int64) error {
	k := r.Key()
	prev := []byte{}
	for i, e := range events {
		var what string
		switch {
		case e.Seq != int64(i+1):
			what = fmt.Sprintf("event %d is missing", i+1)
		case e.format != format:
			what = fmt.Sprintf("format %d is not known", e.format)
		case !bytes.Equal(e.PrevHash, prev):
			what = "it does not follow the event before it"
		case !bytes.Equal(e.Hash, e.sum()):
			what = "it was changed"
		}
		if what != "" {
			return &broken{Break{Key: k, Seq: e.Seq, What: what}}
		}
		prev = e.Hash
	}
	var what string
	switch {
	case len(events) == 0:
		what = "it has no events"
	case r.seq != events[len(events)-1].Seq || !bytes.Equal(r.head, prev):
		what = fmt.Sprintf("it names event %d as its newest, the newest is %d", r.seq, events[len(events)-1].Seq)
	case !bytes.Equal(r.digest(), events[len(events)-1].stateHash):
		what = "the redemption, a line or a leg was changed, added or removed"
	case r.sealed != 0 && sealedSeq != r.seq:
		what = "it is marked as sealed and its newest event is not"
	}
	if what != "" {
		return &broken{Break{Key: k, What: what}}
	}
	return nil
}

// verifyOrphans looks for rows of redemptions that are not there.
func (l *Ledger) verifyOrphans(ctx context.Context, brandID string, _ *Report) error {
	for _, table := range []string{"line", "leg", "event"} {
		var found *broken
		err := l.store.read(ctx, query{
			sql: "SELECT t.action, t.biz_id FROM " + table + ` t WHERE t.brand_id = $1 AND NOT EXISTS (SELECT 1 FROM redemption r
				WHERE r.brand_id = t.brand_id AND r.action = t.action AND r.biz_id = t.biz_id) ORDER BY t.action, t.biz_id LIMIT 1`,
			args: []any{brandID},
			each: func(scan func(...any) error) error {
				k := redeem.Key{BrandID: brandID}
				err := scan((*string)(&k.Action), &k.BizID)
				found = &broken{Break{Key: k, What: "there is a " + table + " of it, but not the redemption"}}
				return err
			},
		})
		if err != nil {
			return err
		}
		if found != nil {
			return found
		}
	}
	return nil
}

func (l *Ledger) verifySeals(ctx context.Context, brandID string, r *Report, watch func(Report)) error {
	r.Head = Seal{}
	for {
		var seals []Seal
		err := l.store.read(ctx, query{sql: nextSeals, args: []any{brandID, r.Head.No}, each: func(scan func(...any) error) error {
			var s Seal
			err := s.scan(scan)
			seals = append(seals, s)
			return err
		}})
		if err != nil || len(seals) == 0 {
			return err
		}
		for _, s := range seals {
			if err := l.verifySeal(ctx, s, r.Head); err != nil {
				return err
			}
			r.Seals, r.Head = r.Seals+1, s
		}
		watch(*r)
	}
}

const (
	sealedEvents = `SELECT m.action, m.biz_id, m.seq, m.hash, e.hash FROM seal_member m LEFT JOIN event e
		ON e.brand_id = m.brand_id AND e.action = m.action AND e.biz_id = m.biz_id AND e.seq = m.seq
		WHERE m.brand_id = $1 AND m.seal_no = $2 ORDER BY m.action, m.biz_id, m.seq`
	selectTombstone = `SELECT flow_id, fingerprint, fingerprint_ver, outcome, answer_hash, created_at, concluded_at, retired_at, seq, head
		FROM tombstone WHERE brand_id = $1 AND action = $2 AND biz_id = $3`
)

func (l *Ledger) verifySeal(ctx context.Context, s, before Seal) error {
	var members []member
	var found [][]byte // hash of the event that is there
	err := l.store.read(ctx, query{sql: sealedEvents, args: []any{s.BrandID, s.No}, each: func(scan func(...any) error) error {
		var m member
		var there []byte
		err := scan((*string)(&m.action), &m.bizID, &m.seq, &m.hash, &there)
		members, found = append(members, m), append(found, there)
		return err
	}})
	if err != nil {
		return err
	}
	var what string
	switch {
	case s.No != before.No+1:
		what = fmt.Sprintf("seal %d is missing", before.No+1)
	case !bytes.Equal(s.PrevHash, before.Hash):
		what = "it does not follow the seal before it"
	case int64(len(members)) != s.Members:
		what = fmt.Sprintf("it has %d members and was made over %d", len(members), s.Members)
	case !bytes.Equal(s.Hash, s.sum(members)):
		what = "it or a member of it was changed"
	}
	if what != "" {
		return &broken{Break{Seal: s.No, What: what}}
	}
	for i, m := range members {
		if m.seq > 0 && bytes.Equal(found[i], m.hash) {
			continue
		}
		k := redeem.Key{BrandID: s.BrandID, Action: m.action, BizID: m.bizID}
		t, there, err := l.readTombstone(ctx, k)
		if err != nil {
			return err
		}
		switch {
		case !there && m.seq == 0:
			what = "its tombstone is missing"
		case !there && found[i] == nil:
			what = fmt.Sprintf("event %d is missing, and no tombstone says why", m.seq)
		case !there:
			what = fmt.Sprintf("event %d is another one than was sealed", m.seq)
		case m.seq == 0 && !bytes.Equal(t.sum(), m.hash):
			what = "its tombstone was changed"
		case m.seq > t.seq || m.seq == t.seq && !bytes.Equal(t.head, m.hash):
			what = "its tombstone names another last event than was sealed"
		}
		if what != "" {
			return &broken{Break{Key: k, Seal: s.No, What: what}}
		}
	}
	return nil
}

// verifyTombstones: each is a member of a seal, or it was put in by another hand; and what has one is gone.
func (l *Ledger) verifyTombstones(ctx context.Context, brandID string, r *Report) error {
	var found *broken
	note := func(what string) func(func(...any) error) error {
		return func(scan func(...any) error) error {
			k := redeem.Key{BrandID: brandID}
			err := scan((*string)(&k.Action), &k.BizID)
			found = &broken{Break{Key: k, What: what}}
			return err
		}
	}
	err := l.store.read(ctx,
		query{sql: "SELECT count(*) FROM tombstone WHERE brand_id = $1", args: []any{brandID}, each: func(scan func(...any) error) error { return scan(&r.Tombstones) }},
		query{sql: `SELECT t.action, t.biz_id FROM tombstone t WHERE t.brand_id = $1 AND NOT EXISTS (SELECT 1 FROM seal_member m
			WHERE m.brand_id = t.brand_id AND m.action = t.action AND m.biz_id = t.biz_id AND m.seq = 0) LIMIT 1`, args: []any{brandID},
			each: note("its tombstone is not sealed")},
		query{sql: `SELECT t.action, t.biz_id FROM tombstone t JOIN redemption r ON r.brand_id = t.brand_id AND r.action = t.action AND r.biz_id = t.biz_id
			WHERE t.brand_id = $1 LIMIT 1`, args: []any{brandID}, each: note("it is there, and so is a tombstone of it")})
	if err != nil {
		return err
	}
	if found != nil {
		return found
	}
	return nil
}

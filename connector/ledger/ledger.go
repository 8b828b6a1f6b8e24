// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Config says where the ledger is. Exactly one of Path and DSN is set.
type Config struct {
	// Path of the SQLite database, on a local disk. It is created with its directory, readable by its owner alone.
	Path string
	// AllowFUSE takes a FUSE file system (virtiofs of a virtual machine, say) for a local disk. Whether fsync means anything there, only the
	// one who mounted it knows.
	AllowFUSE bool

	// DSN of PostgreSQL, as a URL or key=value pairs; pool_max_conns and the like are understood.
	DSN string
	// Schema to work in, "" for that of the DSN's search_path. It is created when missing: one server can serve many brands.
	Schema string
	// MaxConnections of the pool; 0 leaves it to the DSN's pool_max_conns.
	MaxConnections int32
	// AcquireTimeout bounds the wait for a free connection of the pool; 0 means 2 s.
	AcquireTimeout time.Duration
	// TracerProvider, when not nil, gets a span for every exchange with PostgreSQL.
	TracerProvider trace.TracerProvider

	// ReadOnly opens a ledger that is there, beside the connector that writes it: nothing is created or migrated, a schema of another version
	// than this program's is an error, and whatever would write returns ErrReadOnly.
	ReadOnly bool

	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// Observer is told of commits, may be nil.
	Observer Observer
	// Fatal is called, once, when the disk failed during a commit: what the page cache holds then is unknown, and only a new process reads the
	// truth. nil logs and ends the process with status 70. If it returns, the ledger refuses everything from then on.
	Fatal func(error)
}

// Ledger is the durable memory of the engine. It is safe for concurrent use.
type Ledger struct {
	store    store
	readOnly bool
	observer Observer
	logger   *slog.Logger
}

var _ redeem.Ledger = (*Ledger)(nil)

// ErrClosed is returned by a ledger that was closed.
var ErrClosed = errors.New("the ledger is closed")

// Open opens the ledger and brings its schema to this program's version. A schema of a later version is an error: an older program would not keep what
// the newer one promised.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	if (c.Path == "") == (c.DSN == "") {
		return nil, errors.New("open ledger: set either a path (SQLite) or a DSN (PostgreSQL)")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) {
			c.Logger.Error("the ledger's disk failed during a commit: the process ends, because only a new one reads what is on the disk", "error", err)
			os.Exit(70) // EX_SOFTWARE
		}
	}
	var s store
	var err error
	switch {
	case c.ReadOnly:
		s, err = openReadOnly(ctx, c)
	case c.Path != "":
		s, err = openSQLite(ctx, c)
	default:
		s, err = openPostgres(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &Ledger{store: s, readOnly: c.ReadOnly, observer: c.Observer, logger: c.Logger}, nil
}

// Close waits for the commits in progress.
func (l *Ledger) Close() error { return l.store.close() }

// Attempts of a commit whose state was overtaken. Each round somebody else succeeded, so this many only meet on one busy redemption.
const maxAttempts = 64

// attempt runs once until it is neither stale nor unclear, or the context ends. once learns whether an earlier round is unclear, so that it can look for
// its own trace first.
func (l *Ledger) attempt(ctx context.Context, op string, once func() error) (err error) {
	if l.readOnly {
		return ErrReadOnly
	}
	begin := time.Now()
	defer func() { l.observer.Commit(op, time.Since(begin), err) }()
	var unclear error
	pause := 20 * time.Millisecond
	for range maxAttempts {
		err = once()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errStale):
			if ctx.Err() == nil {
				continue
			}
		case errors.Is(err, redeem.ErrCommitUnclear):
			unclear = err
		case unclear == nil || isDecision(err):
			return err
		}
		// The database is away, or the context is over. What an unclear round wrote is found out by the next one, if there is time for it.
		select {
		case <-ctx.Done():
			return final(err, unclear)
		case <-time.After(pause):
		}
		if pause *= 2; pause > time.Second {
			return final(err, unclear)
		}
	}
	return final(err, unclear)
}

// isDecision: the round reached the database and was answered.
func isDecision(err error) bool {
	for _, e := range []error{redeem.ErrNotFound, redeem.ErrFenced, redeem.ErrOverReversed, redeem.ErrReversalPending, ErrIllegal, redeem.ErrRetired} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func final(err, unclear error) error {
	if unclear != nil {
		return unclear
	}
	if errors.Is(err, errStale) {
		return fmt.Errorf("too many writers at once: %w", redeem.ErrFenced)
	}
	return err
}

// Record implements redeem.Ledger. Legs are stored as sent, in epoch 1. A redemption that retention took away stays taken: the error then wraps
// redeem.ErrRetired and what the tombstone knows is returned.
func (l *Ledger) Record(ctx context.Context, r redeem.Redemption) (stored redeem.Redemption, created bool, err error) {
	if r.Action == redeem.ReverseVerify && r.ReversesBizID == "" {
		return redeem.Redemption{}, false, errors.New("record: a reversal must name the redemption it reverses")
	}
	writeID := make([]byte, 16)
	if _, err := rand.Read(writeID); err != nil {
		return redeem.Redemption{}, false, fmt.Errorf("record: %w", err)
	}
	key := r.Key()
	again := r.Action == redeem.ReverseVerify // whether to read before writing
	err = l.attempt(ctx, "record", func() error {
		var original *record
		if again {
			// One snapshot of both: a reservation that is seen on the original belongs to a reversal that is seen, too.
			found, err := find(ctx, l.store.read, key, redeem.Key{BrandID: r.BrandID, Action: redeem.Verify, BizID: r.ReversesBizID})
			switch {
			case err != nil:
				return err
			case found[0].record != nil:
				stored, created = found[0].record.Redemption, bytes.Equal(found[0].record.writeID, writeID)
				return nil
			case found[0].retired:
				return redeem.ErrRetired
			case r.Action == redeem.ReverseVerify && found[1].record == nil: // retired or not, there is nothing to take back from
				return fmt.Errorf("to reverse %s: %w", r.ReversesBizID, redeem.ErrNotFound)
			case r.Action == redeem.ReverseVerify:
				original = found[1].record
			}
		}
		again = true
		rec, statements, err := fresh(r, writeID, original)
		if err != nil {
			return err
		}
		n, err := l.store.commit(ctx, statements)
		if err != nil {
			return err
		}
		if n == 0 {
			return errStale // the key is taken: the next round reads by whom
		}
		stored, created = rec.Redemption, true
		return nil
	})
	if errors.Is(err, redeem.ErrRetired) {
		t, terr := l.tombstone(ctx, key)
		if terr == nil {
			stored = t
		}
	}
	if err != nil {
		return stored, false, fmt.Errorf("record: %w", err)
	}
	return stored, created, nil
}

// Apply implements redeem.Ledger.
//
// Of a leg change, NextCheck, Checks, NotFound, LeaseOwner and LeaseUntil are stored as given; SentAt, UnknownAt and ResolvedAt are the ledger's.
// Of a line, its Result is stored but for Reversed and ReversedCount, which reversals alone move.
func (l *Ledger) Apply(ctx context.Context, c redeem.Change) (redeem.Redemption, error) {
	if c.At.IsZero() {
		return redeem.Redemption{}, errors.New("apply: at must be set")
	}
	var after *record
	var mine *record // what an unclear round may have written
	err := l.attempt(ctx, "apply", func() error {
		if mine != nil {
			if done, err := l.has(ctx, mine); err != nil || done {
				if err == nil {
					after, err = l.load(ctx, l.store.read, c.Key)
				}
				return err
			}
		}
		cur, err := l.load(ctx, l.store.read, c.Key)
		if err != nil {
			return err
		}
		var original *record
		if c.ReleaseReversal {
			if original, err = l.load(ctx, l.store.read, redeem.Key{BrandID: c.Key.BrandID, Action: redeem.Verify, BizID: cur.ReversesBizID}); err != nil {
				return fmt.Errorf("the original: %w", err)
			}
		}
		next, statements, err := changed(cur, c, original)
		if err != nil {
			return err
		}
		if len(statements) > 0 {
			if _, err = l.store.commit(ctx, statements); err != nil {
				if errors.Is(err, redeem.ErrCommitUnclear) {
					mine = next
				}
				return err
			}
		}
		after = next
		return nil
	})
	if err != nil {
		return redeem.Redemption{}, fmt.Errorf("apply: %w", err)
	}
	return after.Redemption, nil
}

// has reports whether the commit that ended with r's head is in the ledger.
func (l *Ledger) has(ctx context.Context, r *record) (bool, error) {
	var found bool
	err := l.store.read(ctx, query{
		sql:  "SELECT hash FROM event WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND seq = $4",
		args: append(keyArgs(r.Key()), r.seq),
		each: func(scan func(...any) error) error {
			var h []byte
			if err := scan(&h); err != nil {
				return err
			}
			found = bytes.Equal(h, r.head)
			return nil
		},
	})
	return found, err
}

// Get implements redeem.Ledger.
func (l *Ledger) Get(ctx context.Context, key redeem.Key) (redeem.Redemption, error) {
	r, err := l.load(ctx, l.store.read, key)
	if err != nil {
		return redeem.Redemption{}, fmt.Errorf("get: %w", err)
	}
	return r.Redemption, nil
}

// ByFlowID implements redeem.Ledger.
func (l *Ledger) ByFlowID(ctx context.Context, brandID, flowID string) (redeem.Redemption, error) {
	found, err := l.Search(ctx, redeem.Query{BrandID: brandID, FlowID: flowID}, 1)
	if err != nil {
		return redeem.Redemption{}, err
	}
	if len(found) == 0 {
		retired := false
		err := l.store.read(ctx, query{sql: "SELECT seq FROM tombstone WHERE brand_id = $1 AND flow_id = $2", args: []any{brandID, flowID},
			each: func(func(...any) error) error { retired = true; return nil }})
		if err != nil {
			return redeem.Redemption{}, fmt.Errorf("by flow id: %w", err)
		}
		if retired {
			return redeem.Redemption{}, fmt.Errorf("by flow id: %w (%w)", redeem.ErrNotFound, redeem.ErrRetired)
		}
		return redeem.Redemption{}, fmt.Errorf("by flow id: %w", redeem.ErrNotFound)
	}
	return found[0], nil
}

const (
	whereKey       = " WHERE brand_id = $1 AND action = $2 AND biz_id = $3"
	eventOrder     = whereKey + " ORDER BY seq"
	selectIsBuried = "SELECT seq FROM tombstone" + whereKey
)

var (
	selectRedemption = "SELECT " + strings.Join(redemptionColumns, ", ") + " FROM redemption" + whereKey
	selectLines      = "SELECT " + strings.Join(lineColumns, ", ") + " FROM line" + whereKey + " ORDER BY no"
	selectLegs       = "SELECT " + strings.Join(legColumns, ", ") + " FROM leg" + whereKey + " ORDER BY no"
	selectEvents     = "SELECT " + strings.Join(eventColumns, ", ") + " FROM event" + eventOrder
)

// load reads one redemption on one snapshot. The error wraps redeem.ErrNotFound, and redeem.ErrRetired as well when a tombstone says why.
func (l *Ledger) load(ctx context.Context, read reader, key redeem.Key) (*record, error) {
	f, err := find(ctx, read, key)
	if err != nil {
		return nil, err
	}
	return f[0].existing()
}

// finding is what is stored under a key: a redemption, a tombstone or nothing.
type finding struct {
	key     redeem.Key
	record  *record
	retired bool
}

func (f *finding) existing() (*record, error) {
	switch {
	case f.record != nil:
		return f.record, nil
	case f.retired:
		return nil, fmt.Errorf("%s %s: %w (%w)", f.key.Action, f.key.BizID, redeem.ErrNotFound, redeem.ErrRetired)
	}
	return nil, fmt.Errorf("%s %s: %w", f.key.Action, f.key.BizID, redeem.ErrNotFound)
}

// find reads what is stored under the keys, all on one snapshot.
func find(ctx context.Context, read reader, keys ...redeem.Key) ([]finding, error) {
	found := make([]finding, len(keys))
	var queries []query
	for i, key := range keys {
		f := &found[i]
		f.key = key
		queries = append(queries, query{sql: selectRedemption, args: keyArgs(key), each: func(scan func(...any) error) error {
			f.record = &record{}
			return f.record.scan(scan)
		}})
		queries = append(queries, parts(&f.record, key)...)
		queries = append(queries, query{sql: selectIsBuried, args: keyArgs(key), each: func(func(...any) error) error { f.retired = true; return nil }})
	}
	return found, read(ctx, queries...)
}

// parts are the queries for the lines and legs of the redemption that *r points to once a query before them found it.
func parts(r **record, key redeem.Key) []query {
	return []query{
		{sql: selectLines, args: keyArgs(key), each: func(scan func(...any) error) error {
			line, err := scanLine(scan)
			if *r != nil {
				(*r).Lines = append((*r).Lines, line)
			}
			return err
		}},
		{sql: selectLegs, args: keyArgs(key), each: func(scan func(...any) error) error {
			leg, _, err := scanLeg(scan)
			if *r != nil {
				(*r).Legs = append((*r).Legs, leg)
			}
			return err
		}},
	}
}

// Search implements redeem.Ledger. limit must be positive.
func (l *Ledger) Search(ctx context.Context, q redeem.Query, limit int) ([]redeem.Redemption, error) {
	if limit <= 0 {
		return nil, errors.New("search: limit must be positive")
	}
	where, args := conditions(q)
	records, err := l.page(ctx, "WHERE "+where+" ORDER BY created_at DESC, brand_id, action, biz_id LIMIT "+placeholders(len(args)+1, 1), append(args, int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	found := make([]redeem.Redemption, len(records))
	for i, r := range records {
		found[i] = r.Redemption
	}
	return found, nil
}

// page loads the redemptions that the clause selects, with lines and legs.
func (l *Ledger) page(ctx context.Context, clause string, args []any) ([]*record, error) {
	var records []*record
	err := l.store.read(ctx, query{sql: "SELECT " + strings.Join(redemptionColumns, ", ") + " FROM redemption " + clause, args: args,
		each: func(scan func(...any) error) error {
			r := &record{}
			records = append(records, r)
			return r.scan(scan)
		}})
	if err != nil || len(records) == 0 {
		return nil, err
	}
	// Each redemption is read again with its parts, so that what is returned of it is of one moment.
	keys := make([]redeem.Key, len(records))
	for i, r := range records {
		keys[i] = r.Key()
	}
	found, err := find(ctx, l.store.read, keys...)
	if err != nil {
		return nil, err
	}
	records = records[:0]
	for i := range found {
		if found[i].record != nil { // or it was retired meanwhile
			records = append(records, found[i].record)
		}
	}
	return records, nil
}

// conditions renders q as SQL for the table redemption.
func conditions(q redeem.Query) (string, []any) {
	where, args := "1 = 1", []any(nil)
	and := func(condition string, v any) {
		args = append(args, v)
		where += " AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(args)))
	}
	for _, c := range []struct{ condition, value string }{
		{"brand_id = ?", q.BrandID}, {"biz_id = ?", q.BizID}, {"trans_order_no = ?", q.TransOrderNo}, {"payment_no = ?", q.PaymentNo},
		{"trace_id = ?", q.TraceID}, {"flow_id = ?", q.FlowID}, {"action = ?", string(q.Action)},
		{"EXISTS (SELECT 1 FROM leg g WHERE g.brand_id = redemption.brand_id AND g.action = redemption.action AND g.biz_id = redemption.biz_id AND g.state = ?)", string(q.State)},
	} {
		if c.value != "" {
			and(c.condition, c.value)
		}
	}
	// The partial indexes serve only who says their condition.
	for _, c := range []struct{ column, value string }{{"trans_order_no", q.TransOrderNo}, {"payment_no", q.PaymentNo}, {"trace_id", q.TraceID}} {
		if c.value != "" {
			where += " AND " + c.column + " <> ''"
		}
	}
	if q.Unanswered {
		where += " AND sealed <= 0 AND concluded_at = 0"
	}
	if !q.From.IsZero() {
		and("created_at >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		and("created_at < ?", micros(q.To))
	}
	return where, args
}

const selectDue = "SELECT action, biz_id, no FROM leg WHERE brand_id = $1 AND due_at > 0 AND due_at <= $2 ORDER BY due_at LIMIT $3"

// Lease implements redeem.Ledger. One round may return fewer than n though more are due, when another replica took them first.
func (l *Ledger) Lease(ctx context.Context, brandID, owner string, now, until time.Time, n int) ([]redeem.Leased, error) {
	if n <= 0 || owner == "" || !until.After(now) {
		return nil, errors.New("lease: n must be positive, owner named and until after now")
	}
	var result []redeem.Leased
	err := l.attempt(ctx, "lease", func() error {
		result = nil
		var keys []redeem.Key
		wanted := map[redeem.Key][]int{}
		due := query{sql: selectDue, args: []any{brandID, now.UnixMicro(), int64(n)}, each: func(scan func(...any) error) error {
			k := redeem.Key{BrandID: brandID}
			var no int
			if err := scan((*string)(&k.Action), &k.BizID, &no); err != nil {
				return err
			}
			if _, known := wanted[k]; !known {
				keys = append(keys, k)
			}
			wanted[k] = append(wanted[k], no)
			return nil
		}}
		return l.store.claim(ctx, due, func(read reader) ([]statement, error) {
			var all []statement
			for _, k := range keys {
				cur, err := l.load(ctx, read, k)
				if err != nil {
					return nil, err
				}
				next, taken, statements := leased(cur, wanted[k], owner, now, until)
				for _, no := range taken {
					result = append(result, redeem.Leased{Redemption: next.Redemption, LegNo: no})
				}
				all = append(all, statements...)
			}
			return all, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	return result, nil
}

// InDoubt implements redeem.Ledger.
func (l *Ledger) InDoubt(ctx context.Context, brandID string) ([]redeem.Doubt, error) {
	var doubts []redeem.Doubt
	err := l.store.read(ctx, query{
		sql: `SELECT provider, count(*), count(CASE WHEN next_check = 0 THEN 1 END), min(unknown_at) FROM leg
			WHERE brand_id = $1 AND resolved_at = 0 AND state = 'unknown' GROUP BY provider ORDER BY provider`,
		args: []any{brandID},
		each: func(scan func(...any) error) error {
			var d redeem.Doubt
			var oldest int64
			if err := scan(&d.Provider, &d.Count, &d.Manual, &oldest); err != nil {
				return err
			}
			d.Oldest = moment(oldest)
			doubts = append(doubts, d)
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("in doubt: %w", err)
	}
	return doubts, nil
}

// Events implements redeem.Ledger.
func (l *Ledger) Events(ctx context.Context, key redeem.Key) ([]redeem.Event, error) {
	var events []redeem.Event
	err := l.store.read(ctx, query{sql: selectEvents, args: keyArgs(key), each: func(scan func(...any) error) error {
		var e event
		if err := e.scan(scan); err != nil {
			return err
		}
		events = append(events, e.Event)
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return events, nil
}

const upsertMeta = `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`

// Ping implements redeem.Ledger: it commits a row, because nothing less shows that a commit is possible.
func (l *Ledger) Ping(ctx context.Context) (err error) {
	begin := time.Now()
	defer func() { l.observer.Commit("ping", time.Since(begin), err) }()
	_, err = l.store.commit(ctx, []statement{{sql: upsertMeta, args: []any{"ping", strconv.FormatInt(begin.Unix(), 10)}}})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

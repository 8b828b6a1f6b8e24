// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// postgresStore is the ledger for several replicas. A commit is one pipeline of statements with a single sync at its end: one implicit transaction and one
// round trip. Concurrent commits share fsyncs by PostgreSQL's own group commit, since no two of them touch a common row.
type postgresStore struct {
	pool    *pgxpool.Pool
	acquire time.Duration
}

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func openPostgres(ctx context.Context, c Config) (*postgresStore, error) {
	if c.Schema != "" && !identifier.MatchString(c.Schema) {
		return nil, &refusal{fmt.Errorf("schema %q: want lower case letters, digits and underscores, at most 63, no digit first", c.Schema)}
	}
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		return nil, &refusal{notParsed(c.DSN, err)}
	}
	if c.Schema != "" {
		config.ConnConfig.RuntimeParams["search_path"] = c.Schema
	}
	if c.ReadOnly {
		config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}
	if c.MaxConnections > 0 {
		config.MaxConns = c.MaxConnections
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if c.TracerProvider != nil {
		config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(c.TracerProvider), otelpgx.WithDisableSQLStatementInAttributes())
	}
	config.AfterConnect = durable
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &postgresStore{pool: pool, acquire: c.AcquireTimeout}
	if s.acquire == 0 {
		s.acquire = 2 * time.Second
	}
	if c.ReadOnly {
		return s, nil
	}
	if err := s.prepare(ctx, c.Schema); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// notParsed says why a DSN cannot be parsed. pgx leaves the password of a URL out; what is
// no URL may be a password as a whole, and is not repeated.
func notParsed(dsn string, err error) error {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return errors.New("parse the DSN: use a URL: postgres://USER:PASSWORD@HOST:5432/DATABASE, with what is special in the password percent-encoded")
	}
	return fmt.Errorf("parse the DSN: %w", err)
}

// durable makes sure that a commit on this connection waits for the disk. A setting that is stronger (remote_apply) is left alone.
func durable(ctx context.Context, conn *pgx.Conn) error {
	var level string
	if err := conn.QueryRow(ctx, "SHOW synchronous_commit", pgx.QueryExecModeSimpleProtocol).Scan(&level); err != nil {
		return fmt.Errorf("read synchronous_commit: %w", err)
	}
	if level == "on" || level == "remote_apply" {
		return nil
	}
	if _, err := conn.Exec(ctx, "SET synchronous_commit = on"); err != nil {
		return fmt.Errorf("set synchronous_commit: %w", err)
	}
	return nil
}

// prepare refuses a server that does not keep what it acknowledged, and makes the schema.
func (s *postgresStore) prepare(ctx context.Context, schema string) error {
	var fsync string
	err := s.pool.QueryRow(ctx, "SHOW fsync", pgx.QueryExecModeSimpleProtocol).Scan(&fsync)
	var answer *pgconn.PgError
	if err != nil && !errors.As(err, &answer) { // a server of another make has no such setting
		return fmt.Errorf("connect: %w", err)
	}
	if fsync == "off" {
		return &refusal{errors.New("the server runs with fsync = off: a ledger there is not durable; set fsync = on")}
	}
	if schema == "" {
		return nil
	}
	if _, err := s.pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{schema}.Sanitize()); err != nil {
		// Two replicas that start at once may both try, and a role that may not create one may use one.
		var exists bool
		if e := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); e != nil || !exists {
			return fmt.Errorf("create schema %s: %w", schema, err)
		}
	}
	return nil
}

func (s *postgresStore) migrate(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { _ = db.Close() }() // the pool stays
	return migrate(ctx, db, postgresDialect)
}

func (s *postgresStore) close() error {
	s.pool.Close()
	return nil
}

// connection takes one from the pool, or says soon and clearly that there is none.
func (s *postgresStore) connection(ctx context.Context) (*pgxpool.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, s.acquire)
	defer cancel()
	conn, err := s.pool.Acquire(bounded)
	if err == nil {
		return conn, nil
	}
	if bounded.Err() != nil {
		stat := s.pool.Stat()
		return nil, fmt.Errorf("no connection to PostgreSQL: %d of %d are in use: %w", stat.AcquiredConns(), stat.MaxConns(), err)
	}
	return nil, fmt.Errorf("no connection to PostgreSQL: %w", err)
}

// must wraps a statement so that the transaction fails, by a division by zero, when it touches no row. So the check travels in the same pipeline
// as the statement and the commit.
func must(sql string) string {
	return "WITH touched AS (" + sql + " RETURNING 1) SELECT 1 / count(*) FROM touched"
}

func batch(statements []statement) *pgx.Batch {
	b := &pgx.Batch{}
	for _, st := range statements {
		sql := st.sql
		if st.must {
			sql = must(sql)
		}
		b.Queue(sql, st.args...)
	}
	return b
}

func (s *postgresStore) commit(ctx context.Context, statements []statement) (int64, error) {
	conn, err := s.connection(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	n, err := run(conn.SendBatch(ctx, batch(statements)), len(statements))
	return n, verdict(err)
}

// run reads the results of n statements. The commit of the implicit transaction is only known when Close returned.
func run(results pgx.BatchResults, n int) (first int64, err error) {
	for i := range n {
		tag, e := results.Exec()
		if e != nil {
			err = e
			break
		}
		if i == 0 {
			first = tag.RowsAffected()
		}
	}
	if e := results.Close(); err == nil {
		err = e
	}
	return first, err
}

// verdict says what an error of a commit means for what is stored.
func verdict(err error) error {
	if err == nil || pgconn.SafeToRetry(err) {
		return err
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", redeem.ErrCommitUnclear, err) // the connection died, or the caller's time ran out
	}
	switch {
	case answer.Severity == "FATAL" || answer.Severity == "PANIC" || strings.HasPrefix(answer.Code, "08") || answer.Code == "40003":
		return fmt.Errorf("%w: %w", redeem.ErrCommitUnclear, err) // the server went, before the commit or after
	case answer.Code == "22012": // must
		return errStale
	case answer.Code == "23505" && answer.ConstraintName == "event_pkey":
		return errStale
	case answer.Code == "40P01" || answer.Code == "40001": // deadlock, serialization: rolled back
		return errStale
	case answer.Code == "23514" && strings.Contains(answer.Message, "is retired"):
		return errStale // reading again finds the tombstone
	}
	return err
}

func (s *postgresStore) read(ctx context.Context, queries ...query) error {
	conn, err := s.connection(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	b := &pgx.Batch{}
	if len(queries) == 1 {
		ask(b, queries)
	} else {
		b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		ask(b, queries)
		b.Queue("COMMIT")
	}
	return conn.SendBatch(ctx, b).Close()
}

func ask(b *pgx.Batch, queries []query) {
	for _, q := range queries {
		b.Queue(q.sql, q.args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				if err := q.each(rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
}

// claim keeps the due rows locked until the commit; SKIP LOCKED lets the replicas share the work instead of racing for it. What keeps them apart is
// still the epoch.
func (s *postgresStore) claim(ctx context.Context, due query, plan func(reader) ([]statement, error)) error {
	conn, err := s.connection(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	read := func(ctx context.Context, queries ...query) error {
		b := &pgx.Batch{}
		ask(b, queries)
		return tx.SendBatch(ctx, b).Close()
	}
	due.sql += " FOR UPDATE SKIP LOCKED"
	if err := read(ctx, due); err != nil {
		return err
	}
	statements, err := plan(read)
	if err != nil || len(statements) == 0 {
		return err
	}
	if _, err := run(tx.SendBatch(ctx, batch(statements)), len(statements)); err != nil {
		if v := verdict(err); !errors.Is(v, redeem.ErrCommitUnclear) {
			return v
		}
		return err // before COMMIT nothing is stored
	}
	return verdict(tx.Commit(ctx))
}

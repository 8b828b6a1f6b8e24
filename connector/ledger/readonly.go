// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// ErrReadOnly is returned by everything that would write to a ledger that was opened with Config.ReadOnly.
var ErrReadOnly = errors.New("the ledger was opened for reading only")

// ErrLocked is wrapped by Open when another process has the SQLite ledger open for writing.
var ErrLocked = errors.New("the lock is taken")

// readOnly is a store that passes reads on and refuses everything else.
type readOnly struct {
	store
	dialect dialect
}

func openReadOnly(ctx context.Context, c Config) (store, error) {
	if c.Path != "" {
		s, err := openSQLiteReader(ctx, c.Path)
		return readOnly{s, sqliteDialect}, err
	}
	s, err := openPostgres(ctx, c)
	return readOnly{s, postgresDialect}, err
}

func (readOnly) commit(context.Context, []statement) (int64, error) { return 0, ErrReadOnly }

func (readOnly) claim(context.Context, query, func(reader) ([]statement, error)) error {
	return ErrReadOnly
}

// migrate changes nothing: it refuses a schema that is not this program's, whose columns may mean something else.
func (s readOnly) migrate(ctx context.Context) error {
	want, err := newest(s.dialect)
	if err != nil {
		return err
	}
	var current int64
	err = s.read(ctx, query{sql: "SELECT coalesce(max(version_id), 0) FROM schema_version", each: func(scan func(...any) error) error { return scan(&current) }})
	switch {
	case isNoTable(err):
		return errors.New("there is no ledger in this database (of PostgreSQL: in this schema); a connector makes it when it starts for the first time")
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case current > want:
		return fmt.Errorf("the ledger's schema has version %d and this program reads %d: use a program at least as new as the connector that wrote it", current, want)
	case current < want:
		return fmt.Errorf("the ledger's schema has version %d and this program reads %d: use the program of the connector that wrote it, or start this version of the connector first, which brings the schema up", current, want)
	}
	return nil
}

// newest is the version of the last migration.
func newest(d dialect) (int64, error) {
	files, err := fs.Glob(migrations, d.dir+"/*.sql")
	if err != nil {
		return 0, err
	}
	var last int64
	for _, f := range files {
		v, err := goose.NumericComponent(filepath.Base(f))
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", f, err)
		}
		last = max(last, v)
	}
	return last, nil
}

func isNoTable(err error) bool {
	if err == nil {
		return false
	}
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "42P01" || strings.Contains(err.Error(), "no such table")
}

// sqliteReader reads a file that a connector may be writing: it takes no lock file, which is the writer's, and could not write if it wanted to.
type sqliteReader struct{ *sqliteStore }

func openSQLiteReader(ctx context.Context, path string) (_ sqliteReader, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return sqliteReader{}, err
	}
	if _, err := os.Stat(path); err != nil {
		return sqliteReader{}, err // SQLite says only that it could not
	}
	s := sqliteReader{&sqliteStore{path: path, readers: make(chan *sqliteConn, sqliteReaders)}}
	if err := s.openReaders(ctx); err != nil {
		return sqliteReader{}, errors.Join(err, s.close())
	}
	return s, nil
}

func (s sqliteReader) close() error {
	s.mu.Lock() // waits for reads
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for len(s.readers) > 0 {
		(<-s.readers).close()
	}
	if s.ro == nil {
		return nil
	}
	return s.ro.Close()
}

// openReaders makes the connections that read.
func (s *sqliteStore) openReaders(ctx context.Context) (err error) {
	s.ro, err = sql.Open("sqlite", sqliteURI(s.path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(" + sqliteBusyMilli + ")", "query_only(1)", "cache_size(-4000)", "temp_store(MEMORY)", "trusted_schema(0)"},
	}))
	if err != nil {
		return err
	}
	s.ro.SetMaxOpenConns(sqliteReaders)
	for range sqliteReaders {
		conn, err := s.ro.Conn(ctx)
		if err != nil {
			return s.explain(err)
		}
		s.readers <- &sqliteConn{conn: conn, prepared: map[string]*sql.Stmt{}}
	}
	return nil
}

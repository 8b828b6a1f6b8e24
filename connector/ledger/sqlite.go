// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const (
	sqliteReaders    = 4
	sqliteGroup      = 256     // commits that share one fsync at most
	sqliteQueue      = 1024    // commits that may wait
	sqliteCheckpoint = 2000    // statements after which a checkpoint is due: each touches a page or two of 4 KiB
	sqliteBusyMilli  = "5000"  // another process (sqlite3, a backup) may hold the file for a moment
	sqliteCacheKiB   = "16000" //
)

// sqliteStore is the embedded ledger: one goroutine writes, a few connections read.
//
// The writer takes what is waiting, up to sqliteGroup commits, into one transaction with a savepoint for each, so that one that fails does not spoil the
// others. Nobody hears of success before the COMMIT of the group returned, which with synchronous=FULL is after the fsync of the log.
type sqliteStore struct {
	path    string
	db      *sql.DB // writer and migrations
	ro      *sql.DB
	lock    *os.File
	fatal   func(error)
	jobs    chan *sqliteJob
	readers chan *sqliteConn
	writer  *sqliteConn
	done    chan struct{} // the writer ended
	unmoved int           // statements since the last checkpoint, the writer's

	mu     sync.RWMutex // against closing while something is put into jobs
	closed bool
	broken atomic.Pointer[error] // the disk failed
}

// sqliteJob is one commit on its way.
type sqliteJob struct {
	statements []statement
	taken      atomic.Bool // by the writer, or by the caller who gives up
	n          int64
	err        error
	done       chan struct{}
}

func openSQLite(ctx context.Context, c Config) (_ *sqliteStore, err error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the ledger's directory: %w", err)
	}
	if err := checkFileSystem(filepath.Dir(path), c.AllowFUSE); err != nil {
		return nil, err
	}
	s := &sqliteStore{
		path: path, fatal: c.Fatal,
		jobs: make(chan *sqliteJob, sqliteQueue), readers: make(chan *sqliteConn, sqliteReaders), done: make(chan struct{}),
	}
	if s.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := ownerOnly(path); err != nil {
		return nil, err
	}
	if s.db, err = sql.Open("sqlite", sqliteURI(path, url.Values{
		"mode": {"rw"},
		"_pragma": {
			"busy_timeout(" + sqliteBusyMilli + ")", "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "wal_autocheckpoint(0)",
			"cache_size(-" + sqliteCacheKiB + ")", "temp_store(MEMORY)", "trusted_schema(0)",
		},
	})); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1) // the writer, and before it the migrations
	return s, s.checkDurable(ctx)
}

func sqliteURI(path string, q url.Values) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// ownerOnly creates the file for its owner alone, and narrows one that is wider. SQLite gives its log the same permissions.
func ownerOnly(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// checkDurable makes sure that the pragmas took: SQLite passes over some in silence.
func (s *sqliteStore) checkDurable(ctx context.Context) error {
	var mode string
	var synchronous int
	if err := s.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return s.explain(err)
	}
	if err := s.db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return s.explain(err)
	}
	if mode != "wal" || synchronous != 2 {
		return fmt.Errorf("%s: journal_mode is %s and synchronous %d; a durable ledger needs wal and 2 (FULL)", s.path, mode, synchronous)
	}
	return nil
}

// migrate brings the schema up and, since only then the statements can be prepared, starts the writer and the readers.
func (s *sqliteStore) migrate(ctx context.Context) error {
	if err := migrate(ctx, s.db, sqliteDialect); err != nil {
		return s.explain(err)
	}
	if err := syncDirectory(filepath.Dir(s.path)); err != nil {
		return err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return s.explain(err)
	}
	s.writer = &sqliteConn{conn: conn, prepared: map[string]*sql.Stmt{}}
	if err := s.openReaders(ctx); err != nil {
		return err
	}
	go s.write()
	return nil
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *sqliteStore) close() error {
	s.mu.Lock()
	started := s.writer != nil && !s.closed
	already := s.closed
	s.closed = true
	if started {
		close(s.jobs)
	}
	s.mu.Unlock()
	if already {
		return nil
	}
	if started {
		<-s.done
		s.writer.close()
		for range sqliteReaders {
			(<-s.readers).close()
		}
	}
	return s.release()
}

// release closes what is open. The lock goes last.
func (s *sqliteStore) release() error {
	var errs []error
	if s.ro != nil {
		errs = append(errs, s.ro.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

func (s *sqliteStore) commit(ctx context.Context, statements []statement) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.broken.Load(); err != nil {
		return 0, *err
	}
	job := &sqliteJob{statements: statements, done: make(chan struct{})}
	if err := s.enqueue(ctx, job); err != nil {
		return 0, err
	}
	select {
	case <-job.done:
		return job.n, job.err
	case <-ctx.Done():
		if job.taken.CompareAndSwap(false, true) {
			return 0, fmt.Errorf("nothing was written: %w", ctx.Err()) // the writer will pass over it
		}
		return 0, fmt.Errorf("%w: %w", redeem.ErrCommitUnclear, ctx.Err())
	}
}

func (s *sqliteStore) enqueue(ctx context.Context, job *sqliteJob) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	select {
	case s.jobs <- job:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("nothing was written, %d commits wait before it: %w", len(s.jobs), ctx.Err())
	}
}

// write is the writer's goroutine.
func (s *sqliteStore) write() {
	defer close(s.done)
	group := make([]*sqliteJob, 0, sqliteGroup)
	for first := range s.jobs {
		group = append(group[:0], first)
		for more := true; more && len(group) < sqliteGroup; {
			select {
			case job, open := <-s.jobs:
				if more = open; open {
					group = append(group, job)
				}
			default:
				more = false
			}
		}
		s.commitGroup(group)
		for _, job := range group {
			close(job.done)
		}
		s.checkpoint()
	}
}

// commitGroup runs the jobs that nobody gave up and fills in their results.
func (s *sqliteStore) commitGroup(group []*sqliteJob) {
	if err := s.broken.Load(); err != nil {
		settle(group, *err)
		return
	}
	if err := s.writer.exec("BEGIN IMMEDIATE"); err != nil {
		settle(group, s.explain(err))
		return
	}
	wrote := false
	for _, job := range group {
		if !job.taken.CompareAndSwap(false, true) {
			continue
		}
		err := s.savepoint(job, len(group) > 1)
		if err != nil && spoilsTransaction(err) {
			_ = s.writer.exec("ROLLBACK") // SQLite may have done so itself
			s.fail(group, err, isFsync(err))
			return
		}
		job.err = err
		if err == nil {
			wrote = true
			s.unmoved += len(job.statements)
		}
	}
	if !wrote {
		if err := s.writer.exec("ROLLBACK"); err != nil {
			s.fail(group, err, true)
		}
		return
	}
	if err := s.writer.exec("COMMIT"); err != nil {
		_ = s.writer.exec("ROLLBACK")
		s.fail(group, err, isIO(err))
	}
}

// settle gives every job of the group the same end.
func settle(group []*sqliteJob, err error) {
	for _, job := range group {
		job.n, job.err = 0, err
	}
}

// fail ends the group. When the disk failed, whether the group is durable is unknown, and so is everything that would be read from now on.
func (s *sqliteStore) fail(group []*sqliteJob, err error, disk bool) {
	if !disk {
		settle(group, s.explain(err))
		return
	}
	broken := fmt.Errorf("%w: the disk of %s failed: %w", redeem.ErrCommitUnclear, s.path, err)
	settle(group, broken)
	s.broken.Store(&broken)
	s.fatal(broken)
}

// savepoint runs the job so that its failure leaves the others of the group alone. A job without others needs none: it wrote nothing that the ROLLBACK
// of the group would keep.
func (s *sqliteStore) savepoint(job *sqliteJob, others bool) error {
	if !others {
		return s.run(job)
	}
	if err := s.writer.exec("SAVEPOINT job"); err != nil {
		return err
	}
	err := s.run(job)
	if err != nil && spoilsTransaction(err) {
		return err
	}
	if err != nil {
		if e := s.writer.exec("ROLLBACK TO job"); e != nil {
			return e
		}
	}
	if e := s.writer.exec("RELEASE job"); e != nil {
		return e
	}
	return err
}

func (s *sqliteStore) run(job *sqliteJob) error {
	for i, st := range job.statements {
		n, err := s.writer.execArgs(st.sql, st.args)
		if err != nil {
			return stale(err)
		}
		if st.must && n == 0 {
			return errStale
		}
		if i == 0 {
			job.n = n
		}
	}
	return nil
}

// stale turns the violation of the event's key into errStale: someone else wrote the event of this number.
func stale(err error) error {
	if code(err) == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY && strings.Contains(err.Error(), "event.seq") {
		return errStale
	}
	return err
}

// checkpoint moves the log into the database now and then. It runs after the group was answered, and not as SQLite's own, whose errors nobody would hear of. The
// statements are counted because the size of the log's file says nothing: the file keeps its size when SQLite begins it anew.
func (s *sqliteStore) checkpoint() {
	if s.unmoved < sqliteCheckpoint || s.broken.Load() != nil {
		return
	}
	s.unmoved = 0
	var busy, log, moved int
	err := s.writer.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &moved)
	if err != nil && isFsync(err) {
		s.fail(nil, err, true)
	}
}

func (s *sqliteStore) claim(ctx context.Context, due query, plan func(reader) ([]statement, error)) error {
	if err := s.read(ctx, due); err != nil {
		return err
	}
	statements, err := plan(s.read)
	if err != nil || len(statements) == 0 {
		return err
	}
	_, err = s.commit(ctx, statements)
	return err
}

func (s *sqliteStore) read(ctx context.Context, queries ...query) error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	s.mu.RLock() // close waits for readers
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return s.explain(c.snapshot(ctx, queries))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sqliteConn is one connection with its prepared statements.
type sqliteConn struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

// sqlitePrepared bounds the statements that a connection keeps. The fixed texts are some thirty; a search makes its own.
const sqlitePrepared = 256

func (c *sqliteConn) prepare(text string) (*sql.Stmt, error) {
	if st, ok := c.prepared[text]; ok {
		return st, nil
	}
	if len(c.prepared) >= sqlitePrepared {
		c.forget()
	}
	st, err := c.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	c.prepared[text] = st
	return st, nil
}

func (c *sqliteConn) forget() {
	for text, st := range c.prepared {
		_ = st.Close()
		delete(c.prepared, text)
	}
}

func (c *sqliteConn) close() {
	c.forget()
	_ = c.conn.Close()
}

func (c *sqliteConn) exec(text string) error {
	_, err := c.execArgs(text, nil)
	return err
}

// execArgs runs without a context on purpose: what the writer began it ends, whoever still waits for it.
func (c *sqliteConn) execArgs(text string, args []any) (int64, error) {
	st, err := c.prepare(text) //nolint:sqlclosecheck // it stays prepared; forget closes it
	if err != nil {
		return 0, err
	}
	result, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *sqliteConn) snapshot(ctx context.Context, queries []query) error {
	if len(queries) == 1 {
		return c.query(ctx, queries[0])
	}
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	for _, q := range queries {
		if err := c.query(ctx, q); err != nil {
			return errors.Join(err, c.exec("ROLLBACK"))
		}
	}
	return c.exec("COMMIT")
}

func (c *sqliteConn) query(ctx context.Context, q query) error {
	st, err := c.prepare(q.sql) //nolint:sqlclosecheck // it stays prepared; forget closes it
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, q.args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := q.each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func isIO(err error) bool { return code(err)&0xff == sqlite3.SQLITE_IOERR }

func isFsync(err error) bool {
	switch code(err) {
	case sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC:
		return true
	}
	return false
}

// spoilsTransaction: after these SQLite may have rolled back the whole transaction, not just the statement.
func spoilsTransaction(err error) bool {
	switch code(err) & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// explain adds what the operator can do.
func (s *sqliteStore) explain(err error) error {
	if err == nil {
		return nil
	}
	switch code(err) & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk of %s is full, nothing was written; make room or a larger volume: %w", s.path, err)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%s is read-only, nothing was written; mount its volume for writing: %w", s.path, err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("another program holds %s, nothing was written: %w", s.path, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is damaged, restore it from a backup: %w", s.path, err)
	}
	return err
}

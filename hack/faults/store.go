// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgserver"
)

const sigcont = syscall.SIGCONT

// backend is where a cell's ledger lies.
type backend interface {
	spec() string               // of spec.ledger
	secrets() map[string]string // file → text
	config() ledger.Config      // for the oracle, when no connector runs
	revive(context.Context) error
	close()
}

// sqliteLedger is a file in the cell's directory.
type sqliteLedger struct{ path string }

func (b sqliteLedger) spec() string                 { return "embedded: {}" }
func (b sqliteLedger) secrets() map[string]string   { return nil }
func (b sqliteLedger) revive(context.Context) error { return nil }
func (b sqliteLedger) close()                       {}
func (b sqliteLedger) config() ledger.Config {
	return ledger.Config{Path: b.path, AllowFUSE: true, Logger: slog.New(slog.DiscardHandler)}
}

// postgresLedger is a database on a server of this suite.
type postgresLedger struct {
	dsn    string
	server *pgserver.Server
	own    bool
}

func (b *postgresLedger) spec() string {
	return "postgres: {dsnSecretRef: {name: ledger, key: dsn}, maxConnections: 8}"
}
func (b *postgresLedger) secrets() map[string]string { return map[string]string{"ledger/dsn": b.dsn} }
func (b *postgresLedger) config() ledger.Config {
	return ledger.Config{DSN: b.dsn, MaxConnections: 2, Logger: slog.New(slog.DiscardHandler)}
}

func (b *postgresLedger) revive(ctx context.Context) error {
	if b.server.Pid() != 0 {
		return nil
	}
	return b.server.Restart(ctx)
}

func (b *postgresLedger) close() {
	if b.own {
		_ = b.server.Close()
	}
}

// toolbox is what the cells share.
type toolbox struct {
	mu        sync.Mutex
	connector string        // the binary
	patience  time.Duration // how long a cell may take to end
	pgBin     string

	shared *pgserver.Server
}

var databases counter

func (t *toolbox) backend(ctx context.Context, dir string, postgres, own bool) (backend, error) {
	if !postgres {
		return sqliteLedger{filepath.Join(dir, "ledger.db")}, nil
	}
	server, err := t.server(ctx, own)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("cell_%d", databases.take())
	if err := execute(ctx, server.DSN(), "CREATE DATABASE "+name); err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	u, err := url.Parse(server.DSN())
	if err != nil {
		return nil, fmt.Errorf("read the server's address: %w", err)
	}
	u.Path = "/" + name
	return &postgresLedger{dsn: u.String(), server: server, own: own}, nil
}

// server is the shared PostgreSQL, or a new one.
func (t *toolbox) server(ctx context.Context, own bool) (*pgserver.Server, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pgBin == "" {
		bin, err := pgserver.Ensure(ctx, os.Stderr)
		if err != nil {
			return nil, err
		}
		t.pgBin = bin
	}
	if !own && t.shared != nil {
		return t.shared, nil
	}
	s, err := pgserver.Start(ctx, pgserver.Options{BinDir: t.pgBin, Settings: map[string]string{"max_connections": "400"}})
	if err == nil && !own {
		t.shared = s
	}
	return s, err
}

func (t *toolbox) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared != nil {
		_ = t.shared.Close()
	}
}

func execute(ctx context.Context, dsn, statement string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// drop removes a database that is done with, so that the server stays small.
func (b *postgresLedger) drop(ctx context.Context) {
	if b.own {
		return
	}
	u, err := url.Parse(b.dsn)
	if err != nil {
		return
	}
	_ = execute(ctx, b.server.DSN(), "DROP DATABASE IF EXISTS "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)")
}

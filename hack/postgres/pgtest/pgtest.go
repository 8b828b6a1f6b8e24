// SPDX-License-Identifier: Apache-2.0

// Package pgtest gives tests a real PostgreSQL.
//
// A test that needs a database asks for DSN: it gets an empty database of its own, on the server of HEXIAO_TEST_POSTGRES_DSN where that
// is set, otherwise on a throw-away server that the tests of one process share. A test that stops, kills or restarts the
// server starts one for itself by Start, whatever the environment says, and makes databases on it by Database.
//
//	server := pgtest.Start(t)
//	dsn := pgtest.Database(t, server)
//	…
//	server.Kill()    // kill -9, of all its processes
//	server.Restart() // same data, same DSN
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hexiao-dev/hexiao/hack/postgres/pgserver"
)

// Variable is the environment variable that names a server to use, by the DSN of a role that may create databases.
const Variable = "HEXIAO_TEST_POSTGRES_DSN"

const timeout = 3 * time.Minute

// A Server is a PostgreSQL that belongs to one test. Its methods fail the test on an error.
type Server struct {
	// DSN addresses the database postgres as superuser. It stays the same over restarts.
	DSN string

	t      testing.TB
	server *pgserver.Server
}

// Start starts a server of the test's own, with fsync on, and ends it with the test. Settings are pairs such as
// "max_connections=20" that go on top of the defaults.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	server, err := start(settingsMap(t, settings))
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close PostgreSQL: %v", err)
		}
	})
	return &Server{DSN: server.DSN(), t: t, server: server}
}

// Stop shuts the server down in order, rolling back what runs. Stopping a stopped server does nothing.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.server.Stop(); err != nil {
		s.t.Fatalf("stop PostgreSQL: %v", err)
	}
}

// Kill ends all processes of the server by SIGKILL and returns when they are gone.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.server.Kill(); err != nil {
		s.t.Fatalf("kill PostgreSQL: %v", err)
	}
}

// Restart starts a stopped or killed server, or stops a running one in order and starts it again, on the same data and port, and
// returns when it takes connections.
func (s *Server) Restart() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.server.Restart(ctx); err != nil {
		s.t.Fatalf("restart PostgreSQL: %v", err)
	}
}

// Database creates an empty database on the server and returns its DSN. It goes with the server.
func Database(t testing.TB, server *Server) string {
	t.Helper()
	name := databaseName(t)
	if err := execute(server.DSN, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	return mustWithDatabase(t, server.DSN, name)
}

// DSN creates an empty database and returns its DSN; the database is dropped with the test. It is on the server that Variable
// names, or else on a server that this process starts once.
func DSN(t testing.TB) string {
	t.Helper()
	admin := os.Getenv(Variable)
	if admin == "" {
		server, err := shared()
		if err != nil {
			t.Fatalf("start PostgreSQL: %v", err)
		}
		admin = server.DSN()
	}
	name := databaseName(t)
	if err := execute(admin, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database %s on the server of %s: %v", name, Variable, err)
	}
	t.Cleanup(func() {
		if err := execute(admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return mustWithDatabase(t, admin, name)
}

// shared is the server of the tests of this process. It ends with the process, as package pgserver promises.
var shared = sync.OnceValues(func() (*pgserver.Server, error) { return start(nil) })

func start(settings map[string]string) (*pgserver.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // apt-get may have to install it
	defer cancel()
	bin, err := pgserver.Ensure(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	return pgserver.Start(ctx, pgserver.Options{BinDir: bin, Settings: settings})
}

func settingsMap(t testing.TB, pairs []string) map[string]string {
	t.Helper()
	settings := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			t.Fatalf("setting %q: want name=value", pair)
		}
		settings[name] = value
	}
	return settings
}

func execute(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	return err
}

// databaseName is readable in pg_stat_activity and needs no quoting: letters, digits and underscores, at most 63 bytes.
func databaseName(t testing.TB) string {
	var name strings.Builder
	for _, r := range strings.ToLower(t.Name()) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			r = '_'
		}
		name.WriteRune(r)
	}
	readable := name.String()
	return fmt.Sprintf("t_%s_%s", readable[:min(len(readable), 40)], strings.ToLower(rand.Text()[:12]))
}

func mustWithDatabase(t testing.TB, dsn, name string) string {
	t.Helper()
	changed, err := withDatabase(dsn, name)
	if err != nil {
		t.Fatalf("address database %s: %v", name, err)
	}
	return changed
}

// withDatabase returns the DSN with another database, in the form (URL or key=value) that it came in.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil // of repeated keys the last one counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("parse the DSN: %w", redactURL(err))
	}
	u.Path = "/" + name
	query := u.Query()
	query.Del("dbname") // would win over the path
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// redactURL keeps the reason of a parse error without the URL, which holds a password.
func redactURL(err error) error {
	if urlErr := (&url.Error{}); errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}

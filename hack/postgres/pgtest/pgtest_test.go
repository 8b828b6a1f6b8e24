// SPDX-License-Identifier: Apache-2.0

package pgtest_test

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	var value string
	if err := connect(t, dsn).QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func execute(t *testing.T, dsn, sql string) {
	t.Helper()
	if _, err := connect(t, dsn).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestServer(t *testing.T) {
	server := pgtest.Start(t, "max_connections=23")
	dsn := pgtest.Database(t, server)
	execute(t, dsn, "CREATE TABLE kept (n text)")
	execute(t, dsn, "INSERT INTO kept VALUES ('committed')")

	t.Run("is durable and takes settings", func(t *testing.T) {
		got := query(t, dsn, "SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit') || ' ' || current_setting('max_connections')")
		if diff := cmp.Diff("on on 23", got); diff != "" {
			t.Errorf("settings (-want +got):\n%s", diff)
		}
	})
	for name, goDown := range map[string]func(){
		"refuses connections after a stop and keeps what was committed": server.Stop,
		"refuses connections after a kill and keeps what was committed": server.Kill,
	} {
		t.Run(name, func(t *testing.T) {
			open := connect(t, dsn)
			goDown()
			if _, err := open.Exec(t.Context(), "SELECT 1"); err == nil {
				t.Error("a connection survived")
			}
			if _, err := pgx.Connect(t.Context(), dsn); err == nil {
				t.Error("the server still takes connections")
			}
			server.Restart()
			if diff := cmp.Diff("committed", query(t, dsn, "SELECT n FROM kept")); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("may be stopped, killed and restarted twice", func(*testing.T) {
		server.Stop()
		server.Stop()
		server.Kill()
		server.Restart()
		server.Restart()
	})
	t.Run("gives each caller a database of its own", func(t *testing.T) {
		other := pgtest.Database(t, server)
		if other == dsn {
			t.Fatalf("the same database twice")
		}
		if diff := cmp.Diff("0", query(t, other, "SELECT count(*)::text FROM pg_tables WHERE tablename = 'kept'")); diff != "" {
			t.Errorf("tables named kept (-want +got):\n%s", diff)
		}
	})
}

func TestDSN(t *testing.T) {
	var names []string
	t.Run("makes a database of the test's own", func(t *testing.T) {
		for range 2 {
			names = append(names, query(t, pgtest.DSN(t), "SELECT current_database()"))
		}
		if names[0] == names[1] {
			t.Errorf("the same database %s twice", names[0])
		}
	})
	t.Run("drops it with the test", func(t *testing.T) {
		dsn := pgtest.DSN(t)
		for _, name := range names {
			if diff := cmp.Diff("0", query(t, dsn, "SELECT count(*)::text FROM pg_database WHERE datname = '"+name+"'")); diff != "" {
				t.Errorf("databases named %s (-want +got):\n%s", name, diff)
			}
		}
	})
	t.Run("uses the server of the environment", func(t *testing.T) {
		server := pgtest.Start(t)
		t.Setenv(pgtest.Variable, server.DSN)
		want := query(t, server.DSN, "SELECT system_identifier::text FROM pg_control_system()")
		got := query(t, pgtest.DSN(t), "SELECT system_identifier::text FROM pg_control_system()")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("server (-want +got):\n%s", diff)
		}
	})
}

func TestMain(m *testing.M) {
	// The tests say themselves what the environment holds.
	if err := os.Unsetenv(pgtest.Variable); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

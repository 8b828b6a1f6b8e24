// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

func readOnlyBackends(t *testing.T) map[string]Config {
	return map[string]Config{"SQLite": sqliteConfig(t), "PostgreSQL": {DSN: pgtest.DSN(t), Schema: "brand_a"}}
}

func TestReadOnlyBesideAWriter(t *testing.T) {
	for name, config := range readOnlyBackends(t) {
		t.Run(name, func(t *testing.T) {
			writer := openConfig(t, config)
			ledgertest.Record(t, writer, ledgertest.New("before"))
			config.ReadOnly = true
			reader := openConfig(t, config)
			want := ledgertest.Record(t, writer, ledgertest.New("meanwhile"))

			got, err := reader.Get(t.Context(), want.Key())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read beside the writer (-want +got):\n%s", diff)
			}
			report, err := reader.Verify(t.Context(), ledgertest.Brand)
			if err != nil || report.Break != nil || report.Redemptions != 2 {
				t.Errorf("verify: %+v, %v", report, err)
			}
			writesAreRefused(t, reader, want)
			if err := writer.Ping(t.Context()); err != nil {
				t.Errorf("the writer was disturbed: %v", err)
			}
		})
	}
}

func writesAreRefused(t *testing.T, l *Ledger, r redeem.Redemption) {
	t.Helper()
	now := ledgertest.T0.Add(time.Hour)
	for name, write := range map[string]func(context.Context) error{
		"Record of a new one": func(ctx context.Context) error { _, _, err := l.Record(ctx, ledgertest.New("new")); return err },
		"Record of a known":   func(ctx context.Context) error { _, _, err := l.Record(ctx, r); return err },
		"Apply":               func(ctx context.Context) error { _, err := l.Apply(ctx, ledgertest.Executed(r, now)); return err },
		"Lease": func(ctx context.Context) error {
			_, err := l.Lease(ctx, r.BrandID, "me", now, now.Add(time.Minute), 9)
			return err
		},
		"Seal":   func(ctx context.Context) error { _, err := l.Seal(ctx, r.BrandID, now); return err },
		"Retain": func(ctx context.Context) error { _, err := l.Retain(ctx, r.BrandID, ledgertest.T0, now); return err },
		"Ping":   l.Ping,
	} {
		if err := write(t.Context()); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: error %v, want ErrReadOnly", name, err)
		}
	}
	// Beneath the ledger's own refusal the database refuses, too.
	s := l.store.(readOnly).store
	if p, is := s.(*postgresStore); is {
		if _, err := p.pool.Exec(t.Context(), "DELETE FROM seal"); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("PostgreSQL let a statement write: %v", err)
		}
		return
	}
	conn := <-s.(sqliteReader).readers
	if err := conn.exec("DELETE FROM seal"); err == nil {
		t.Error("SQLite let a statement write")
	}
	s.(sqliteReader).readers <- conn
}

func TestReadOnlyAfterTheWriter(t *testing.T) {
	config := sqliteConfig(t)
	writer, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	want := ledgertest.Record(t, writer, ledgertest.New("b"))
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	config.ReadOnly = true
	reader := openConfig(t, config)
	got, err := reader.Get(t.Context(), want.Key())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read after the writer (-want +got):\n%s", diff)
	}
	config.ReadOnly = false
	openConfig(t, config) // a reader keeps no writer out
}

func TestReadOnlyRefusesWhatItCannotRead(t *testing.T) {
	version := func(change string) func(*testing.T, Config) {
		return func(t *testing.T, c Config) {
			l, err := Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			_, err = l.store.commit(t.Context(), []statement{{sql: change}})
			if err := errors.Join(err, l.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		prepare func(*testing.T, Config)
		want    string
	}{
		"a later schema":    {version("UPDATE schema_version SET version_id = 999 WHERE version_id > 1"), "the ledger's schema has version 999"},
		"an earlier schema": {version("DELETE FROM schema_version WHERE version_id > 1"), "the ledger's schema has version 1 "},
		"no ledger": {func(t *testing.T, c Config) {
			if c.Path == "" {
				return
			}
			db, err := sql.Open("sqlite", c.Path)
			if err == nil {
				_, err = db.ExecContext(t.Context(), "CREATE TABLE other (x)")
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "there is no ledger in this database"},
	} {
		for backend := range map[string]bool{"SQLite": true, "PostgreSQL": true} {
			t.Run(name+" on "+backend, func(t *testing.T) {
				config := readOnlyBackends(t)[backend]
				tc.prepare(t, config)
				config.ReadOnly = true
				_, err := Open(t.Context(), config)
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want one with %q", err, tc.want)
				}
			})
		}
	}
	t.Run("a file that is not there is not made", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.db")
		_, err := Open(t.Context(), Config{Path: path, ReadOnly: true})
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("error %v", err)
		}
		if left, _ := filepath.Glob(filepath.Dir(path) + "/*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestReversalsAndRetired(t *testing.T) {
	for name, config := range readOnlyBackends(t) {
		t.Run(name, func(t *testing.T) {
			l := openConfig(t, config)
			r := ledgertest.Record(t, l, ledgertest.New("o"))
			if _, err := l.Apply(t.Context(), ledgertest.Executed(r, ledgertest.T0)); err != nil {
				t.Fatal(err)
			}
			for i, id := range []string{"r1", "r2"} {
				v := ledgertest.Reversal(id, "o", 300, 0)
				v.CreatedAt = ledgertest.T0.Add(time.Duration(i) * time.Minute)
				v = ledgertest.Record(t, l, v)
				if _, err := l.Apply(t.Context(), ledgertest.Executed(v, v.CreatedAt)); err != nil {
					t.Fatal(err)
				}
			}
			found, err := l.Reversals(t.Context(), ledgertest.Brand, "o")
			if err != nil || len(found) != 2 || found[0].BizID != "r1" || found[1].BizID != "r2" {
				t.Fatalf("reversals: %v, %v", found, err)
			}

			old, now := ledgertest.T0.Add(24*time.Hour), ledgertest.T0.Add(48*time.Hour)
			if n, err := l.Retirable(t.Context(), ledgertest.Brand, old); n != 3 || err != nil {
				t.Errorf("retirable: %d, %v", n, err)
			}
			if n, err := l.Retain(t.Context(), ledgertest.Brand, old, now); n != 3 || err != nil {
				t.Fatalf("retain: %d, %v", n, err)
			}
			want := []Tombstone{{Key: r.Key(), FlowID: "Fo", Outcome: "executed", CreatedAt: ledgertest.T0, ConcludedAt: ledgertest.T0, RetiredAt: now}}
			for _, q := range []redeem.Query{{BrandID: ledgertest.Brand, BizID: "o"}, {BrandID: ledgertest.Brand, FlowID: "Fo"}} {
				got, err := l.Tombstones(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("tombstones of %+v (-want +got):\n%s", q, diff)
				}
			}
		})
	}
}

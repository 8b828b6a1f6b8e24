// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

var update = flag.Bool("update", false, "write the fixture of the newest schema version")

func fixture(version int64) string {
	return filepath.Join("testdata", fmt.Sprintf("schema-%d.sql", version))
}

// TestMigrateFromEveryVersion loads what each earlier version of the program had written and opens it with this one. A new migration needs a fixture: run
// with -update before the next one is made.
func TestMigrateFromEveryVersion(t *testing.T) {
	if *update {
		writeFixture(t)
	}
	for name, dialect := range map[string]dialect{"SQLite": sqliteDialect, "PostgreSQL": postgresDialect} {
		target, err := newest(dialect)
		if err != nil {
			t.Fatal(err)
		}
		for version := int64(1); version <= target; version++ {
			t.Run(fmt.Sprint(name, " from ", version), func(t *testing.T) {
				c, db := emptyDatabase(t, dialect)
				load(t, db, dialect, version)
				l := openConfig(t, c)
				if r := verify(t, l); r.Break != nil || r.Redemptions != 4 {
					t.Errorf("report %+v, break %v", r, r.Break)
				}
				b1, err := l.Get(t.Context(), redeem.Key{BrandID: ledgertest.Brand, Action: redeem.Verify, BizID: "b1"})
				if err != nil || b1.Lines[0].Result.Reversed != 400 {
					t.Fatalf("b1 %+v, %v", b1, err)
				}
				populated := openConfig(t, sqliteConfig(t))
				populate(t, populated)
				want, err := populated.Get(t.Context(), b1.Key())
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, b1); diff != "" {
					t.Errorf("b1 (-want +got):\n%s", diff)
				}
				ledgertest.Record(t, l, ledgertest.New("new"))
				seal(t, l)
				if r := verify(t, l); r.Break != nil {
					t.Errorf("break %v", r.Break)
				}
			})
		}
	}
}

func emptyDatabase(t *testing.T, d dialect) (Config, *sql.DB) {
	t.Helper()
	var c Config
	var db *sql.DB
	if d.name == sqliteDialect.name {
		c = sqliteConfig(t)
		if err := os.WriteFile(c.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if db, err = openRaw(c.Path); err != nil {
			t.Fatal(err)
		}
	} else {
		c = Config{DSN: pgtest.DSN(t)}
		config, err := pgx.ParseConfig(c.DSN)
		if err != nil {
			t.Fatal(err)
		}
		db = stdlib.OpenDB(*config)
	}
	t.Cleanup(func() { _ = db.Close() })
	return c, db
}

var blobLiteral = regexp.MustCompile(`x'([0-9a-f]*)'`)

func load(t *testing.T, db *sql.DB, d dialect, version int64) {
	t.Helper()
	p, err := provider(db, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(fixture(version))
	if err != nil {
		t.Fatal(err)
	}
	text := string(rows)
	if d.locks {
		text = blobLiteral.ReplaceAllString(text, `'\x$1'`)
	}
	for _, statement := range strings.Split(strings.TrimSpace(text), ";\n") {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// writeFixture dumps a populated ledger of the newest version as SQL that the schema's own guards let through: a leg is put in as sent and then moved.
func writeFixture(t *testing.T) {
	l := openConfig(t, sqliteConfig(t))
	populate(t, l)
	version, err := newest(sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	seal(t, l)
	for _, table := range []struct {
		name    string
		columns []string
	}{
		{"redemption", redemptionColumns}, {"line", lineColumns}, {"leg", legColumns}, {"event", eventColumns},
		{"seal", split("brand_id no at members prev_hash hash")}, {"seal_member", split("brand_id seal_no action biz_id seq hash")},
	} {
		dump(t, l, &out, table.name, table.columns)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fixture(version), []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func dump(t *testing.T, l *Ledger, out *strings.Builder, table string, columns []string) {
	t.Helper()
	err := l.store.read(t.Context(), query{sql: "SELECT " + strings.Join(columns, ", ") + " FROM " + table + " ORDER BY 1, 2, 3, 4", each: func(scan func(...any) error) error {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := scan(into...); err != nil {
			return err
		}
		literals := make([]string, len(columns))
		for i, v := range values {
			literals[i] = literal(v)
		}
		state, epoch := slices.Index(columns, "state"), slices.Index(columns, "epoch")
		var moved string
		if state >= 0 {
			moved = fmt.Sprintf("UPDATE leg SET state = %s, epoch = %s WHERE brand_id = %s AND action = %s AND biz_id = %s AND no = %s;\n",
				literals[state], literals[epoch], literals[0], literals[1], literals[2], literals[3])
			literals[state], literals[epoch] = "'sent'", "1"
		}
		fmt.Fprintf(out, "INSERT INTO %s (%s) VALUES (%s);\n%s", table, strings.Join(columns, ", "), strings.Join(literals, ", "), moved)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return fmt.Sprint(v)
	case []byte:
		return fmt.Sprintf("x'%x'", v)
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(v.(string), "'", "''"))
}

func TestMigrateRefusesALaterSchema(t *testing.T) {
	for name, dialect := range map[string]dialect{"SQLite": sqliteDialect, "PostgreSQL": postgresDialect} {
		t.Run(name, func(t *testing.T) {
			c, db := emptyDatabase(t, dialect)
			if err := openConfig(t, c).Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("INSERT INTO schema_version (version_id, is_applied) VALUES (99, true)"); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), "version 99") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMigrateByReplicasAtOnce(t *testing.T) {
	dsn := pgtest.DSN(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l, err := Open(t.Context(), Config{DSN: dsn, Schema: "brand"})
			if err != nil {
				t.Error(err)
				return
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// openConfig waits as long for a connection as a busy disk may take for many commits.
func openConfig(t testing.TB, c Config) *Ledger {
	t.Helper()
	c.AcquireTimeout = cmp.Or(c.AcquireTimeout, 2*time.Minute)
	l, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func sqliteConfig(t testing.TB) Config { return Config{Path: filepath.Join(t.TempDir(), "ledger.db")} }

func TestSQLiteConformance(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) redeem.Ledger { return openConfig(t, sqliteConfig(t)) })
}

// openRaw opens the file as the sqlite3 program would.
func openRaw(path string) (*sql.DB, error) {
	return sql.Open("sqlite", sqliteURI(path, url.Values{"_pragma": {"busy_timeout(60000)", "ignore_check_constraints(0)"}}))
}

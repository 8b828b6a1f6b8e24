// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

// BenchmarkRedemption measures what the ledger adds to a redemption: a Record and the Apply that settles it, two durable commits. The store named "one tx a call" is
// SQLite as one writes it first, for comparison: the same statements, a transaction for each call, behind a mutex.
//
//	go test -run '^$' -bench Redemption ./connector/ledger
func BenchmarkRedemption(b *testing.B) {
	for _, backend := range []struct {
		name string
		open func(*testing.B) redeem.Ledger
	}{
		{"one tx a call", openNaive},
		{"SQLite", func(b *testing.B) redeem.Ledger { return openConfig(b, sqliteConfig(b)) }},
		{"PostgreSQL", func(b *testing.B) redeem.Ledger {
			return openConfig(b, Config{DSN: pgtest.Database(b, pgtest.Start(b)) + "&pool_max_conns=32"})
		}},
	} {
		l := backend.open(b)
		var n atomic.Int64
		for _, clients := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/clients=%d", backend.name, clients), func(b *testing.B) {
				b.ReportAllocs()
				var wg sync.WaitGroup
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				for range clients {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							r, _, err := l.Record(context.Background(), ledgertest.New(fmt.Sprint("b", n.Add(1))))
							if err == nil {
								_, err = l.Apply(context.Background(), ledgertest.Executed(r, ledgertest.T0))
							}
							if err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "redemptions/s")
			})
		}
	}
}

// naiveStore is a sqliteStore whose commits go one by one.
type naiveStore struct {
	*sqliteStore
	mu sync.Mutex
	db *sql.DB
}

func openNaive(b *testing.B) redeem.Ledger {
	l := openConfig(b, sqliteConfig(b))
	s := l.store.(*sqliteStore)
	db, err := sql.Open("sqlite", sqliteURI(filepath.Clean(s.path), url.Values{"_pragma": {"busy_timeout(5000)", "synchronous(FULL)"}, "_txlock": {"immediate"}}))
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	return &Ledger{store: &naiveStore{sqliteStore: s, db: db}, observer: nobody{}, logger: l.logger}
}

func (s *naiveStore) commit(ctx context.Context, statements []statement) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	var first int64
	for i, st := range statements {
		result, err := tx.ExecContext(ctx, st.sql, st.args...)
		if err != nil {
			return 0, stale(err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		if st.must && n == 0 {
			return 0, errStale
		}
		if i == 0 {
			first = n
		}
	}
	return first, tx.Commit()
}

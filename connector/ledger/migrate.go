// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// dialect of the migrations; the statements need none.
type dialect struct {
	name  goose.Dialect
	dir   string
	locks bool // between processes; SQLite has but one
}

var (
	sqliteDialect   = dialect{goose.DialectSQLite3, "migrations/sqlite", false}
	postgresDialect = dialect{goose.DialectPostgres, "migrations/postgres", true}
)

func provider(db *sql.DB, d dialect) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, d.dir)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true)}
	if d.locks {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 10))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(d.name, db, files, options...)
}

// migrate brings the schema to this program's version. It takes the lock only when there is something to do, so that a replica that starts on a
// current schema waits for nobody.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	p, err := provider(db, d)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	sources := p.ListSources()
	target := sources[len(sources)-1].Version
	current, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: read the schema's version: %w", err)
	}
	if current > target {
		return &refusal{fmt.Errorf("migrate: the ledger's schema has version %d and this program knows up to %d: run a program at least as new as the one that wrote it", current, target)}
	}
	if current == target {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", current, target, err)
	}
	return nil
}

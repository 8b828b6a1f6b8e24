// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"time"
)

// store is what differs between the backends: how statements reach the database and when they are durable. The texts of the statements are
// the same for both: `$1` parameters, and arguments that are string, int64, []byte or nil.
type store interface {
	// read runs the queries on one consistent snapshot.
	read(ctx context.Context, queries ...query) error
	// commit runs the statements in one durable transaction, all or none, and returns how many rows the first one touched. errStale: a
	// statement that must touch a row touched none, or the number of an event is taken; nothing was written. An error that wraps
	// redeem.ErrCommitUnclear may have written; any other error has not.
	commit(ctx context.Context, statements []statement) (int64, error)
	// claim reads due rows so that other claimers pass over them where the database can do that, and commits what plan makes of them.
	claim(ctx context.Context, due query, plan func(read reader) ([]statement, error)) error
	// migrate brings the schema to the newest version.
	migrate(ctx context.Context) error
	close() error
}

// reader is store.read, inside a claim or outside.
type reader func(ctx context.Context, queries ...query) error

// statement changes rows.
type statement struct {
	sql  string
	args []any
	// must: unless it touches a row, the whole commit is void.
	must bool
}

// query reads rows; each is called for every one of them.
type query struct {
	sql  string
	args []any
	each func(scan func(dest ...any) error) error
}

// errStale: what was read to make a commit is no longer so. Read again, decide again.
var errStale = errors.New("the redemption changed meanwhile")

// Observer is told of every commit: the operation ("record", "apply", "lease", "seal", "retain", "ping"), how long it took with
// all its attempts, and how it ended.
type Observer interface {
	Commit(op string, took time.Duration, err error)
}

type nobody struct{}

func (nobody) Commit(string, time.Duration, error) {}

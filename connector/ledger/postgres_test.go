// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

func TestPostgresConformance(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) redeem.Ledger { return openConfig(t, Config{DSN: pgtest.DSN(t)}) })
}

// TestPostgresWithoutPreparedStatements is for poolers in transaction mode.
func TestPostgresWithoutPreparedStatements(t *testing.T) {
	l := openConfig(t, Config{DSN: pgtest.DSN(t) + "&default_query_exec_mode=exec"})
	populate(t, l)
	seal(t, l)
	if r := verify(t, l); r.Break != nil || r.Redemptions != 4 {
		t.Errorf("report %+v, break %v", r, r.Break)
	}
}

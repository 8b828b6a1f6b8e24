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

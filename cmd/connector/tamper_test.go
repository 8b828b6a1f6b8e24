// SPDX-License-Identifier: Apache-2.0

package main

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// tamper changes the ledger's file as another program would.
func tamper(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// refusal is why a ledger cannot be opened as things are configured.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// Passing says whether an Open that failed may succeed later, with the same configuration:
// a server that does not answer yet may. One that knows no such user, password or
// database, or forbids the schema, says so until somebody changes that; so does a DSN
// that is none.
func Passing(err error) bool {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return false
	}
	answer := (*pgconn.PgError)(nil)
	if !errors.As(err, &answer) {
		return true
	}
	// PostgreSQL, appendix A: class 28 is invalid authorization, 3D000 no such
	// database, 3F000 no such schema, 42501 insufficient privilege.
	switch answer.Code {
	case "3D000", "3F000", "42501":
		return false
	}
	return !strings.HasPrefix(answer.Code, "28")
}

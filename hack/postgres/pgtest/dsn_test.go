// SPDX-License-Identifier: Apache-2.0

package pgtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithDatabase(t *testing.T) {
	for name, tc := range map[string]struct{ dsn, want string }{
		"a URL gets the database as its path":         {"postgres://u:p@h:1/postgres?sslmode=disable", "postgres://u:p@h:1/d?sslmode=disable"},
		"a URL without a database gets one":           {"postgresql://u@h", "postgresql://u@h/d"},
		"a database in the URL's query gives way":     {"postgres://h/x?dbname=y", "postgres://h/d"},
		"a list of keys gets a last one, which rules": {"host=h dbname=x", "host=h dbname=x dbname=d"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withDatabase(tc.dsn, "d")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("DSN (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("an error does not show the password", func(t *testing.T) {
		_, err := withDatabase("postgres://u:geheim@h:port/x", "d")
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("error %v", err)
		}
	})
}

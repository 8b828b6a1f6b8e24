// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestDSNDestinationsAreWhatTheDriverCalls(t *testing.T) {
	for name, dsn := range map[string]string{
		"one server":                          "postgres://u:p@pg.databases.svc:6432/ledger",
		"one server without a port":           "postgres://u:p@pg/ledger?sslmode=disable",
		"two servers":                         "postgres://u:p@pg-0.pg.databases.svc:6432,pg-1.pg.databases.svc:6433/ledger?target_session_attrs=read-write",
		"a port for one of two":               "postgresql://u:p@first,second:6432/ledger",
		"addresses":                           "postgres://u:p@10.0.0.1:6432,[fd00::1]:6433/ledger",
		"a password that looks like a server": "postgres://u:p%40x:1,y@pg:6432/ledger",
		"hosts in the query":                  "postgres:///ledger?host=first,second&port=6432,6433",
		"one port in the query for both":      "postgres:///ledger?host=first,second&port=6432",
		"a port in the query alone":           "postgres://u@first/ledger?port=6432",
		"no path":                             "postgres://u:p@pg:6432",
		"no path, but a query":                "postgres://u:p@pg:6432?sslmode=disable",
	} {
		t.Run(name, func(t *testing.T) {
			config, err := pgconn.ParseConfig(dsn)
			if err != nil {
				t.Fatal(err)
			}
			want := []destination{{config.Host, int32(config.Port)}}
			for _, f := range config.Fallbacks {
				if next := (destination{f.Host, int32(f.Port)}); next != want[len(want)-1] { // with TLS and without
					want = append(want, next)
				}
			}
			if diff := cmp.Diff(want, dsnDestinations(dsn), cmp.AllowUnexported(destination{})); diff != "" {
				t.Errorf("destinations (-the driver's +ours):\n%s", diff)
			}
		})
	}
}

func TestOfADSNThatCannotBeReadRemainsThePort(t *testing.T) {
	for name, dsn := range map[string]string{"nothing": "", "no URI": "host=pg", "a host with a blank": "postgres://u:p@a b/ledger", "a port that is none": "postgres://u:p@:x/l"} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff([]destination{{port: portPostgres}}, dsnDestinations(dsn), cmp.AllowUnexported(destination{})); diff != "" {
				t.Errorf("destinations (-want +got):\n%s", diff)
			}
		})
	}
	if got := dsnDestinations("postgres:///l?host=/run/postgresql"); len(got) != 0 {
		t.Errorf("a socket is %v", got)
	}
}

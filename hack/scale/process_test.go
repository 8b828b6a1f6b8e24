// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUsageIsReadFromProc(t *testing.T) {
	const stat = "77 (a name) with (both) S 1 77 77 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 9 0 5000 1000 2000 18446744073709551615 1"
	const status = "Name:\ta name\nVmPeak:\t  900000 kB\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\nThreads:\t9\n"
	got, err := parseUsage(stat, status)
	if err != nil {
		t.Fatal(err)
	}
	want := usage{cpu: 3250 * time.Millisecond, rss: 1 << 20, peak: 2 << 20}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(usage{})); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	broken := map[string]struct{ stat, status string }{
		"a stat that is cut off": {stat[:60], status},
		"no number":              {strings.Replace(stat, "250", "many", 1), status},
		"no memory":              {stat, "Name:\ta name\n"},
	}
	for name, tc := range broken {
		t.Run(name, func(t *testing.T) {
			if u, err := parseUsage(tc.stat, tc.status); err == nil {
				t.Errorf("no error, but %+v", u)
			}
		})
	}
}

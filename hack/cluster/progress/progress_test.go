// SPDX-License-Identifier: Apache-2.0

package progress_test

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

func TestStep(t *testing.T) {
	for name, tc := range map[string]struct {
		takes time.Duration
		err   error
		want  string
	}{
		"a short step is not worth a line":         {takes: time.Second, want: ""},
		"a longer one tells its beginning and end": {takes: 5 * time.Second, want: "work … 2s\nwork: done in 5s\n"},
		"a long one shows that it is alive":        {takes: 20 * time.Second, want: "work … 2s\nwork … 17s\nwork: done in 20s\n"},
		"a failure always tells when":              {takes: time.Second, err: errors.New("broken"), want: "work: failed after 1s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				err := progress.Printer{To: &out}.Step("work", func() error {
					time.Sleep(tc.takes) // on the test's clock
					return tc.err
				})
				if !errors.Is(err, tc.err) {
					t.Errorf("error %v, want %v", err, tc.err)
				}
				if diff := cmp.Diff(tc.want, out.String()); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
			})
		})
	}
}

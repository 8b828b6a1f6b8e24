// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		given, script string
		wantCode      int
		wantOutput    string
	}{
		"the command gets a server, and its exit code is passed on": {script: `echo "$HEXIAO_TEST_POSTGRES_DSN" >"$OUT"; exit 7`, wantCode: 7, wantOutput: "postgres://hexiao:"},
		"a server that is given is used":                            {given: "host=elsewhere", script: `echo "$HEXIAO_TEST_POSTGRES_DSN" >"$OUT"`, wantOutput: "host=elsewhere"},
		"the signal that ended the command is told as a shell does": {given: "host=elsewhere", script: `echo >"$OUT"; kill -9 $$`, wantCode: 128 + 9},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			t.Setenv("OUT", out)
			t.Setenv(variable, tc.given)
			cmd := root()
			cmd.SetArgs([]string{"run", "--", "sh", "-c", tc.script})
			code := 0
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				code = exitCode(err)
			}
			if diff := cmp.Diff(tc.wantCode, code); diff != "" {
				t.Errorf("exit code (-want +got):\n%s", diff)
			}
			content, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(content), tc.wantOutput) {
				t.Errorf("DSN %q, want it to begin with %q", content, tc.wantOutput)
			}
		})
	}
}

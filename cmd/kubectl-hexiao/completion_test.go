// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/admin/admintest"
)

func TestTheTabKeyBehindKubectl(t *testing.T) {
	c := admintest.Start(t)
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", c.Port)
	s.brand("brands", "zhang", 0)
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "kubectl-hexiao"), ".").CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	// kubectl, as far as it runs plugins.
	write(t, filepath.Join(bin, "kubectl"), "#!/bin/sh\nplugin=$1\nshift\nexec kubectl-$plugin \"$@\"\n")
	code, script, errOut := plugin(t, "", "completion", "kubectl")
	wantCode(t, 0, code, script, errOut)
	write(t, filepath.Join(bin, "kubectl_complete-hexiao"), script)
	for _, name := range []string{"kubectl", "kubectl_complete-hexiao"} {
		if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"commands":                   {[]string{""}, []string{"trace\tFollow one redemption", "report\tCollect a support bundle", "in-doubt\t", "completion\t"}},
		"the brands of trace":        {[]string{"trace", ""}, []string{"xiaowang\n", "zhang\n"}},
		"the brands of report":       {[]string{"report", ""}, []string{"xiaowang\n", "zhang\n"}},
		"in another namespace, none": {[]string{"trace", "-n", "empty", ""}, []string{":4\n"}},
		"formats":                    {[]string{"trace", "-o", ""}, []string{"json\n", "table\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			completes(t, tt.want, func() string { return press(t, tt.args...) })
		})
	}
	completes(t, []string{"zhang"}, func() string {
		out := press(t, "report", "xiaowang", "")
		if strings.Contains(out, "xiaowang") {
			t.Errorf("a brand that was named already is named again: %q", out)
		}
		return out
	})
}

// press presses the tab key behind "kubectl hexiao" and args.
func press(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "kubectl_complete-hexiao", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

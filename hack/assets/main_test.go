// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

func fill(t *testing.T, directory string, names ...string) string {
	t.Helper()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestRun(t *testing.T) {
	for name, tc := range map[string]struct {
		programs []string
		wantErr  string
	}{
		"a complete directory of the environment is used": {programs: programs},
		"an incomplete one is refused with the remedy":    {programs: programs[:2], wantErr: "lacks kubectl: unset it, or name a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			given := fill(t, t.TempDir(), tc.programs...)
			var out bytes.Buffer
			err := run(t.Context(), nil, func(string) string { return given }, &out, progress.Printer{})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(given+"\n", out.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLink(t *testing.T) {
	kubernetes, etcd, parent := t.TempDir(), t.TempDir(), t.TempDir()
	built := map[string]string{
		"kube-apiserver": filepath.Join(fill(t, kubernetes, "kube-apiserver", "kubectl"), "kube-apiserver"),
		"kubectl":        filepath.Join(kubernetes, "kubectl"),
		"etcd":           filepath.Join(fill(t, etcd, "etcd"), "etcd"),
	}
	for name, before := range map[string]func(directory string){
		"programs of two directories are found in one": func(string) {},
		"a second call gives the same directory":       func(string) {},
		"a link that leads elsewhere is mended": func(directory string) {
			if err := os.Remove(filepath.Join(directory, "etcd")); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if err := os.MkdirAll(directory, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/nowhere", filepath.Join(directory, "etcd")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before(filepath.Join(parent, filepath.Base(kubernetes)+"-"+filepath.Base(etcd)))
			directory, err := link(parent, built)
			if err != nil {
				t.Fatal(err)
			}
			for _, program := range programs {
				content, err := os.ReadFile(filepath.Join(directory, program))
				if err != nil || string(content) != program {
					t.Errorf("%s: %q, %v", program, content, err)
				}
			}
		})
	}
}

func TestAWordThatIsNoDirectoryIsRefused(t *testing.T) {
	for name, args := range map[string][]string{"another flag": {"--newest"}, "the flag at the end": {".", "--oldest"}, "two directories": {"--oldest", ".", "."}} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), args, func(string) string { return "" }, &bytes.Buffer{}, progress.Printer{})
			if err == nil || !strings.Contains(err.Error(), "usage: assets [--oldest] [DIRECTORY") {
				t.Errorf("error %v", err)
			}
		})
	}
}

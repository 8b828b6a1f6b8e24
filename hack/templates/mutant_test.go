// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAChangedRendererClosesTheGate changes the code that renders, and runs the program
// that the change makes.
func TestAChangedRendererClosesTheGate(t *testing.T) {
	mutants := map[string]struct{ file, was, is, extent, path string }{
		"a slower liveness probe": {"deployment.go", `probe("/livez", 10, 6)`, `probe("/livez", 11, 6)`, everyBrand, "livenessProbe.periodSeconds: 10 → 11"},
		"more of the object in the configuration": {"config.go", "spec.Suspend = false", "spec.Suspend = true", everyBrand,
			"annotations.connect.hexiao.dev/config-revision: "},
	}
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			program := mutant(t, filepath.Join("controllers", "render", m.file), m.was, m.is)
			original, err := os.ReadFile(filepath.Join("..", "..", changelogMD))
			if err != nil {
				t.Fatal(err)
			}
			// What the repository acknowledges now is not this test's concern.
			said := regexp.MustCompile(`(?m)^.*\(templates sha256:.*\n`).ReplaceAllString(string(original), "")

			refused, ok := gate(t, program, said)
			if ok || !strings.Contains(refused, m.path) {
				t.Fatalf("the gate is open: %t, or does not name %q:\n%s", ok, m.path, refused)
			}
			add := regexp.MustCompile(`(?m)^- \*\*` + m.extent + `\*\*: .*$`).FindString(refused)
			if add == "" {
				t.Fatalf("the gate does not say what to add:\n%s", refused)
			}
			acknowledged := strings.Replace(said, unreleased+"\n", unreleased+"\n\n"+strings.Replace(add, reason, "it is slow", 1)+"\n", 1)
			if said, ok := gate(t, program, acknowledged); !ok {
				t.Errorf("the gate is closed after the acknowledgement:\n%s", said)
			}
		})
	}
}

// mutant builds the program with one text of one file replaced.
func mutant(t *testing.T, file, was, is string) string {
	t.Helper()
	original, err := filepath.Abs(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(raw), was) != 1 {
		t.Fatalf("%s has %q not once: choose another mutation", file, was)
	}
	dir := t.TempDir()
	changed, overlay, program := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "templates")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(raw), was, is, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// gate runs the program at the root of the repository over a changelog.
func gate(t *testing.T, program, changelog string) (said string, ok bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "changelog.md")
	if err := os.WriteFile(file, []byte(changelog), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--changelog", file)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

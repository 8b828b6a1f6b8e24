// SPDX-License-Identifier: Apache-2.0

// Command templates is the golden diff gate: no change of a pod template reaches a
// release without a line in docs/changelog.md that says so. A changed pod template
// restarts brands, and whoever upgrades has a right to know it beforehand.
//
// The directory released holds a set of brands with the pod templates that the last
// release made of them. The gate renders the same brands with the code as it is now. If
// anything differs, the changelog's section "Unreleased" has to acknowledge it in one
// line, which carries the hash of the templates that it speaks of:
//
//   - **Restarts every brand**: the liveness probe waits longer (templates sha256:0123456789abcdef)
//
// So an acknowledgement fits one set of templates and no other: another change makes it
// stale, and so does a return to the templates of the release. Refreshing golden files
// changes nothing here. What is recorded is written by a release alone:
//
//	go run ./hack/templates release 0.2.0 2026-12-24
//
// gives the section "Unreleased" its number and its date, notes the hash in it, and
// records the templates of all brands that controllers/render has golden files for. Its hash in the
// changelog keeps what was recorded from being changed later.
//
// Run it at the root of the repository. It exits with 1 and prints what differs, path by
// path, and the line to add.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	goldens      = "controllers/render/testdata"
	releasedDir  = "hack/templates/released"
	changelogMD  = "docs/changelog.md"
	inputSuffix  = ".in.yaml"
	outputSuffix = ".templates.yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "templates:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("templates", flag.ContinueOnError)
	changelog := flags.String("changelog", changelogMD, "file with the acknowledgements")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*changelog)
	if err != nil {
		return err
	}
	released, err := recorded(releasedDir)
	if err != nil {
		return fmt.Errorf("read the templates of the last release: %w", err)
	}
	current, err := rendered(releasedDir)
	if err != nil {
		return fmt.Errorf("render the brands of the last release: %w", err)
	}
	if problems := check(released, current, string(text)); len(problems) > 0 {
		return fmt.Errorf("the golden diff gate is closed\n\n%s", strings.Join(problems, "\n\n"))
	}
	switch {
	case flags.NArg() == 0:
		fmt.Fprintf(out, "the pod templates of %d objects are sha256:%s, as the changelog says\n", len(current), current.sum())
		return nil
	case flags.NArg() == 3 && flags.Arg(0) == "release":
		return release(*changelog, string(text), flags.Arg(1), flags.Arg(2))
	default:
		return fmt.Errorf("unknown arguments %q: give none, or release VERSION DATE", flags.Args())
	}
}

// release records the templates as they are for a version.
func release(changelog, text, version, date string) error {
	current, err := rendered(goldens)
	if err != nil {
		return err
	}
	text, err = titled(text, version, date, current.sum())
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(releasedDir, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := record(goldens, releasedDir); err != nil {
		return err
	}
	return os.WriteFile(changelog, []byte(text), 0o644)
}

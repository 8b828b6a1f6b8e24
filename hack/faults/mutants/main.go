// SPDX-License-Identifier: Apache-2.0

// Command mutants breaks the engine on purpose, one way after the other, and demands
// that the fault suite notices each.
//
//	go run ./hack/faults/mutants               all of them
//	go run ./hack/faults/mutants --run guard   those whose name matches
//
// A mutant is a patch beside this file. It begins with what it breaks and with what
// must go red: cells of the fault suite (Cells: a regular expression for --run) and Go
// tests (Test: a command). They are tried in that order until one kills the mutant. The
// patch is applied to a copy of the working tree, never to that itself. A patch
// that no longer applies or compiles fails the run: adapt it, do not drop it.
//
// First everything is run without a mutant: what is red by itself proves nothing.
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed *.patch
var patches embed.FS

func main() {
	pattern := flag.String("run", "", "only mutants whose name matches this regular expression")
	thorough := flag.Bool("thorough", false, "do not stop at the first test that kills a mutant")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *pattern, *thorough); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

// mutant is one patch.
type mutant struct {
	name, what string
	cells      []string // --run of the fault suite
	tests      [][]string
	patch      []byte
}

func read(pattern string) ([]mutant, error) {
	chosen, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("--run: %w", err)
	}
	names, err := fs.Glob(patches, "*.patch")
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, file := range names {
		raw, err := patches.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m := mutant{name: strings.TrimSuffix(file, ".patch"), patch: raw}
		for line := range strings.Lines(string(raw)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Mutant":
				m.what = value
			case "Cells":
				m.cells = append(m.cells, value)
			case "Test":
				m.tests = append(m.tests, strings.Fields(value))
			}
		}
		if m.what == "" || len(m.cells)+len(m.tests) == 0 {
			return nil, fmt.Errorf("%s: it must say what it breaks (Mutant:) and what kills it (Cells: or Test:)", file)
		}
		if chosen.MatchString(m.name) {
			out = append(out, m)
		}
	}
	return out, nil
}

// bench is the copy in which mutants live.
type bench struct {
	dir, tree, suite string
}

func run(ctx context.Context, pattern string, thorough bool) error {
	mutants, err := read(pattern)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hexiao-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, tree: filepath.Join(dir, "tree"), suite: filepath.Join(dir, "faults")}
	if err := b.copyTree(ctx); err != nil {
		return err
	}
	if err := b.command(ctx, "go", "build", "-trimpath", "-o", b.suite, "./hack/faults"); err != nil {
		return fmt.Errorf("build the fault suite: %w", err)
	}
	if err := b.unbroken(ctx, mutants); err != nil {
		return err
	}
	killed := 0
	for _, m := range mutants {
		begin := time.Now()
		by, err := b.try(ctx, m, thorough)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if len(by) == 0 {
			fmt.Printf("ALIVE   %-20s %s\n", m.name, m.what)
			continue
		}
		killed++
		fmt.Printf("killed  %-20s %s\n", m.name, m.what)
		for _, one := range by {
			fmt.Printf("        by %s\n", one)
		}
		fmt.Fprintf(os.Stderr, "        (%s)\n", time.Since(begin).Round(time.Second))
	}
	fmt.Printf("mutants: %d  killed: %d\n", len(mutants), killed)
	if killed < len(mutants) || len(mutants) == 0 {
		return fmt.Errorf("%d of %d mutants are alive", len(mutants)-killed, len(mutants))
	}
	return nil
}

// copyTree copies the working tree: tracked files, and new ones that are not ignored.
func (b *bench) copyTree(ctx context.Context) error {
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	root := strings.TrimSpace(string(top))
	list := exec.CommandContext(ctx, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	list.Dir = root
	raw, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(raw), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
		to := filepath.Join(b.tree, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
		if err := os.WriteFile(to, content, 0o644); err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
	}
	return nil
}

// command runs something in the copy; its output is in the error.
func (b *bench) command(ctx context.Context, name string, args ...string) error {
	_, err := b.output(ctx, nil, name, args...)
	return err
}

func (b *bench) output(ctx context.Context, in []byte, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.tree
	// The copy is in no repository, whatever lies above it.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+b.dir)
	if in != nil {
		cmd.Stdin = bytes.NewReader(in)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(string(out), 30))
	}
	return string(out), nil
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// unbroken runs what the mutants name, without a mutant.
func (b *bench) unbroken(ctx context.Context, mutants []mutant) error {
	fmt.Fprintln(os.Stderr, "without a mutant everything must be green")
	var cells, seen []string
	for _, m := range mutants {
		cells = append(cells, m.cells...)
		for _, t := range m.tests {
			if line := strings.Join(t, " "); !slices.Contains(seen, line) {
				seen = append(seen, line)
				if err := b.command(ctx, t[0], t[1:]...); err != nil {
					return fmt.Errorf("without a mutant: %w", err)
				}
			}
		}
	}
	if len(cells) == 0 {
		return nil
	}
	if _, err := b.cells(ctx, strings.Join(cells, "|")); err != nil {
		return fmt.Errorf("without a mutant: %w", err)
	}
	return nil
}

// cells builds the connector of the copy and runs cells with it.
func (b *bench) cells(ctx context.Context, pattern string) (string, error) {
	connector := filepath.Join(b.dir, "connector")
	if err := b.command(ctx, "go", "build", "-trimpath", "-tags", "faults", "-o", connector, "./cmd/connector"); err != nil {
		return "", &unbuildable{err}
	}
	return b.output(ctx, nil, b.suite, "--only", "matrix", "--connector", connector, "--patience", "45s", "--run", pattern)
}

// unbuildable is a patch that does not compile.
type unbuildable struct{ error }

// try applies a mutant, says what killed it, and takes it back.
func (b *bench) try(ctx context.Context, m mutant, thorough bool) (by []string, err error) {
	if _, err := b.output(ctx, m.patch, "git", "apply", "-p1", "--verbose", "-"); err != nil {
		return nil, fmt.Errorf("the patch does not apply any more, adapt it: %w", err)
	}
	defer func() {
		if _, undo := b.output(ctx, m.patch, "git", "apply", "-p1", "-R", "-"); undo != nil {
			err = errors.Join(err, fmt.Errorf("take the patch back: %w", undo))
		}
	}()
	if err := b.command(ctx, "go", "build", "./connector/..."); err != nil {
		return nil, fmt.Errorf("the mutant does not compile, adapt it: %w", err)
	}
	for _, pattern := range m.cells {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out, red := b.cells(ctx, pattern)
		if u := (*unbuildable)(nil); errors.As(red, &u) {
			return nil, red
		}
		if reason, dead := murderer(out); red != nil && dead {
			by = append(by, "cell "+reason)
			if !thorough {
				return by, nil
			}
		}
	}
	for _, t := range m.tests {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		out, red := b.output(ctx, nil, t[0], t[1:]...)
		if red == nil {
			continue
		}
		name := failed.FindStringSubmatch(out)
		if name == nil {
			return nil, fmt.Errorf("a test command fails without naming a test: %w", red)
		}
		by = append(by, "test "+name[1])
		if !thorough {
			return by, nil
		}
	}
	return by, nil
}

var (
	failed  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	verdict = regexp.MustCompile(`(?m)^(?:cells: \d+  )(double: .*)$`)
	why     = regexp.MustCompile(`(?m)^(.+ \[[a-z ]+\]): (.+)$`)
)

// murderer reads from the suite's output which cell saw what. A cell that could not be
// carried out saw nothing.
func murderer(out string) (string, bool) {
	counts := verdict.FindStringSubmatch(out)
	if counts == nil {
		return "", false
	}
	for _, line := range why.FindAllStringSubmatch(out, -1) {
		if !strings.Contains(line[2], "could not be carried out") {
			return fmt.Sprintf("%q (%s): %s", line[1], counts[1], line[2]), true
		}
	}
	return "", false
}

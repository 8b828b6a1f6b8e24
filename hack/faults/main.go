// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

type flags struct {
	run, only        string
	list, keep       bool
	seed             uint64
	jobs             int
	budget, patience time.Duration
	connector        string
	loop             time.Duration
}

func main() {
	f := flags{}
	flag.StringVar(&f.run, "run", "", "only the cells whose \"row [column]\" matches this regular expression")
	flag.StringVar(&f.only, "only", "", "matrix, load or crash-loop (default: all three)")
	flag.BoolVar(&f.list, "list", false, "print the cells and run nothing")
	flag.BoolVar(&f.keep, "keep", false, "keep logs and ledgers of cells that fail")
	flag.Uint64Var(&f.seed, "seed", uint64(time.Now().UnixNano())%1_000_000_000, "replays a run's random choices")
	flag.IntVar(&f.jobs, "jobs", 10, "cells at once; they mostly wait")
	flag.DurationVar(&f.budget, "budget", 18*time.Minute, "what has not begun by then counts as unresolved")
	flag.DurationVar(&f.patience, "patience", 5*time.Minute, "how long a cell's till repeats before the cell counts as unresolved")
	flag.StringVar(&f.connector, "connector", "", "a connector that was built with -tags faults (default: build one)")
	flag.DurationVar(&f.loop, "loop", 2*time.Minute, "how long the crash loop kills")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	passed, err := suite(ctx, f, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	if err != nil || !passed {
		stop()
		os.Exit(1)
	}
}

// suite runs what was asked for and prints the last line.
func suite(ctx context.Context, f flags, out, progress io.Writer) (passed bool, err error) {
	if f.only != "" && f.only != "matrix" && f.only != "load" && f.only != "crash-loop" {
		return false, fmt.Errorf("--only %q: use matrix, load or crash-loop", f.only)
	}
	cells, err := chosen(f)
	if err != nil {
		return false, err
	}
	if f.list {
		for _, c := range cells {
			fmt.Fprintln(out, c.name())
		}
		return true, nil
	}
	dir, err := os.MkdirTemp("", "hexiao-faults-")
	if err != nil {
		return false, err
	}
	r := &runner{flags: f, dir: dir, progress: progress, begun: time.Now(), tool: &toolbox{patience: f.patience, connector: f.connector}}
	defer r.tool.close()
	if r.tool.connector == "" {
		if r.tool.connector, err = build(ctx, dir, progress); err != nil {
			return false, err
		}
	}
	fmt.Fprintf(out, "seed: %d   (replay: --seed %d)\n\n", f.seed, f.seed)
	r.all(ctx, cells)
	r.table(out, cells)
	total := r.total(out, cells)
	if !r.kept {
		err = os.RemoveAll(dir)
	}
	fmt.Fprintf(out, "cells: %d  double: %d  lost: %d  unresolved: %d  lies: %d\n", len(cells), total.double, total.lost, total.unresolved, total.lies)
	return total.passed() && len(cells) > 0, err
}

// build makes the connector with its crash points.
func build(ctx context.Context, dir string, progress io.Writer) (string, error) {
	fmt.Fprintln(progress, "building the connector with -tags faults")
	binary := filepath.Join(dir, "connector")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "faults", "-o", binary, "github.com/hexiao-dev/hexiao/cmd/connector")
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the connector: %w", err)
	}
	return binary, nil
}

// cell is one run of a row.
type cell struct {
	row     row
	col     column
	verdict *verdict
	took    time.Duration
	figures string // of load and crash loop
}

func (c *cell) name() string { return c.row.name + " [" + c.col.String() + "]" }

// columns in the order of the table.
var columns = []column{
	{false, []books.Vendor{books.Zhimai}}, {false, []books.Vendor{books.ALSC}}, {false, []books.Vendor{books.Zhimai, books.ALSC}},
	{true, []books.Vendor{books.Zhimai}}, {true, []books.Vendor{books.ALSC}}, {true, []books.Vendor{books.Zhimai, books.ALSC}},
}

func chosen(f flags) ([]*cell, error) {
	pattern, err := regexp.Compile(f.run)
	if err != nil {
		return nil, fmt.Errorf("--run: %w", err)
	}
	var out []*cell
	for _, row := range append(rows(), long(f.loop)...) {
		kind := "matrix"
		if row.long != "" {
			kind = row.long
		}
		if f.only != "" && f.only != kind {
			continue
		}
		for _, col := range columns {
			c := &cell{row: row, col: col}
			if (row.only == nil || row.only(col)) && pattern.MatchString(c.name()) {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// runner runs cells.
type runner struct {
	flags
	dir      string
	progress io.Writer
	begun    time.Time
	tool     *toolbox
	kept     bool
	mu       sync.Mutex
	done     int
}

// all runs the cells that mostly wait side by side, then those that need the machine.
func (r *runner) all(ctx context.Context, cells []*cell) {
	for _, heavy := range []bool{false, true} {
		var wg sync.WaitGroup
		jobs := r.jobs
		if heavy {
			jobs = 2
		}
		slots := make(chan struct{}, jobs)
		for _, c := range cells {
			if heavy != (c.row.long != "") {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				r.one(ctx, c, len(cells))
			})
		}
		wg.Wait()
	}
}

func (r *runner) one(ctx context.Context, c *cell, of int) {
	begin := time.Now()
	var w *world
	if begin.Sub(r.begun) > r.budget || ctx.Err() != nil {
		c.verdict = &verdict{unresolved: 1, why: []string{"it did not begin within the budget"}}
	} else {
		w = r.play(ctx, c)
	}
	c.took = time.Since(begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	word := "ok  "
	if !c.verdict.passed() {
		word = "FAIL"
	}
	fmt.Fprintf(r.progress, "%s %3d/%d %6.1fs  %s\n", word, r.done, of, c.took.Seconds(), c.name())
	if c.verdict.passed() || w == nil {
		return
	}
	for _, line := range c.verdict.short() {
		fmt.Fprintf(r.progress, "    %s\n", line)
	}
	w.evidence(r.progress, c.verdict)
	if r.keep {
		fmt.Fprintf(r.progress, "    kept: %s\n", w.dir)
		r.kept = true
	}
}

// play runs one cell in a world of its own.
func (r *runner) play(ctx context.Context, c *cell) *world {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.name())) // a hash never fails
	dir := filepath.Join(r.dir, strings.Trim(unsafeInPath.ReplaceAllString(c.name(), "-"), "-"))
	ctx, cancel := context.WithTimeout(ctx, r.patience+45*time.Minute) // the longest take five minutes on a busy machine
	defer cancel()
	w := &world{ctx: ctx, rng: rand.New(rand.NewPCG(r.seed, h.Sum64())), dir: dir, col: c.col, opt: c.row.options(c.col), tool: r.tool}
	c.verdict = w.play(c)
	w.close()
	if c.verdict.passed() || !r.keep {
		if p, ok := w.store.(*postgresLedger); ok {
			p.drop(ctx)
		}
		_ = os.RemoveAll(dir)
	}
	return w
}

var unsafeInPath = regexp.MustCompile(`[^A-Za-z0-9]+`)

// play is the life of a cell: the row's part, and what every cell ends with.
func (w *world) play(c *cell) (v *verdict) {
	defer func() {
		if p := recover(); p != nil {
			b, ok := p.(*broken)
			if !ok {
				b = &broken{fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
			v = &verdict{unresolved: 1, why: []string{"the cell could not be carried out: " + b.Error()}}
		}
	}()
	w.must(os.MkdirAll(w.dir, 0o700))
	w.open()
	c.row.run(w)
	w.bringBack()
	w.conclude()
	w.repeatAll()
	var errs []error
	for _, conn := range w.conns {
		if conn != nil {
			errs = append(errs, conn.end())
		}
	}
	v = w.judge()
	if w.later != nil {
		w.later(v)
	}
	if err := errors.Join(errs...); err != nil {
		v.find(&v.lies, "a connector did not stop in order: %v", err)
	}
	c.figures = w.figures
	return v
}

// repeatAll asks once more for what is known: the answer must be the same bytes.
func (w *world) repeatAll() {
	w.each(w.sales, 16, func(s *sale) {
		if _, done := s.terminal(); done {
			w.send(s)
		}
	})
}

// table prints a row for each fault.
func (r *runner) table(out io.Writer, cells []*cell) {
	byRow := map[string]map[string]*cell{}
	var names []string
	for _, c := range cells {
		if byRow[c.row.name] == nil {
			byRow[c.row.name] = map[string]*cell{}
			names = append(names, c.row.name)
		}
		byRow[c.row.name][c.col.String()] = c
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\tsqlite\t\t\tpostgres\t\t\n")
	fmt.Fprint(t, "fault")
	for _, col := range columns {
		fmt.Fprintf(t, "\t%s", col.vendor())
	}
	fmt.Fprintln(t)
	for _, name := range names {
		fmt.Fprint(t, name)
		for _, col := range columns {
			fmt.Fprintf(t, "\t%s", mark(byRow[name][col.String()]))
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // out is the terminal: who could be told?
	fmt.Fprintln(out)
}

func mark(c *cell) string {
	switch {
	case c == nil:
		return "·"
	case c.verdict.passed():
		return fmt.Sprintf("ok %.0fs", c.took.Seconds())
	case c.verdict.double > 0:
		return "DOUBLE"
	case c.verdict.lost > 0:
		return "LOST"
	case c.verdict.lies > 0:
		return "LIE"
	}
	return "UNRESOLVED"
}

// total sums the verdicts up and prints what failed and the figures.
func (r *runner) total(out io.Writer, cells []*cell) *verdict {
	sum := &verdict{}
	for _, c := range cells {
		if c.figures != "" {
			fmt.Fprintf(out, "%s\n%s\n", c.name(), c.figures)
		}
		v := c.verdict
		sum.double, sum.lost, sum.unresolved, sum.lies = sum.double+v.double, sum.lost+v.lost, sum.unresolved+v.unresolved, sum.lies+v.lies
		for _, why := range v.short() {
			fmt.Fprintf(out, "%s: %s\n", c.name(), why)
		}
	}
	fmt.Fprintf(out, "took %s\n", time.Since(r.begun).Round(time.Second))
	return sum
}

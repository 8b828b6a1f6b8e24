// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/hexiao-dev/hexiao/hack/cluster/progress"
)

type flags struct {
	brands, secrets, samples, takeovers int
	rest                                time.Duration
	slack                               float64
	manager, output, only               string
	keep                                bool
}

func main() {
	var f flags
	flag.IntVar(&f.brands, "brands", 200, "brands of the fleet")
	flag.DurationVar(&f.rest, "rest", 5*time.Minute, "how long nothing happens in the phase rest")
	flag.IntVar(&f.secrets, "secrets", 10000, "Secrets of 8 KiB that no brand names")
	flag.IntVar(&f.samples, "samples", 20, "brands created, and Secrets changed, one after another")
	flag.IntVar(&f.takeovers, "takeovers", 3, "leaders ended by SIGTERM, and as many by SIGKILL")
	flag.Float64Var(&f.slack, "slack", 1, "how many times its limit a figure in seconds may be: above 1 for a machine that is slow or busy")
	flag.StringVar(&f.manager, "manager", "bin/hexiao-manager", "the operator, built by make build-manager")
	flag.StringVar(&f.output, "o", "", "file for the figures as JSON")
	flag.StringVar(&f.only, "only", "", "phases to run, with commas between them (default: all)")
	flag.BoolVar(&f.keep, "keep", false, "keep the directory with the logs")
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // what fails is returned
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	over, err := run(ctx, f, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(2)
	}
	if over > 0 {
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	flags
	say   progress.Printer
	plane *plane
	fleet *fleet
	// unwatch ends the bench's own watches.
	unwatch context.CancelFunc
	report  *report
	phase   string
	// leader is the operator that runs the fleet between the phases.
	leader *operator
	// namespaced is the operator of one namespace that is measured beside it.
	namespaced *operator
	// operators are all processes ever started, as many as started says.
	operators []*operator
	started   int
}

// phases are all that is measured, in the order in which they run.
var phases = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"bring-up", (*bench).bringUp},
	{"rest", (*bench).atRest},
	{"secrets", (*bench).unrelatedSecrets},
	{"newcomers", (*bench).newcomers},
	{"rotation", (*bench).rotation},
	{"restart", (*bench).restart},
	{"failover", (*bench).failover},
}

// chosen says which phases run. The first always does: without it there is no fleet.
func (f flags) chosen() (map[string]bool, error) {
	chosen := map[string]bool{}
	var known []string
	for _, p := range phases {
		known = append(known, p.name)
		chosen[p.name] = f.only == "" || len(known) == 1
	}
	if f.only == "" {
		return chosen, nil
	}
	for name := range strings.SplitSeq(f.only, ",") {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("--only has %q: give some of %s", name, strings.Join(known, ","))
		}
		chosen[name] = true
	}
	return chosen, nil
}

func (f flags) check() error {
	if f.brands < 1 || f.secrets < 1 || f.samples < 1 || f.takeovers < 1 || f.rest <= 0 {
		return errors.New("--brands, --secrets, --samples, --takeovers and --rest must be above zero")
	}
	if f.slack < 1 {
		return errors.New("--slack must be 1 or more: the limits hold for every machine")
	}
	if _, err := os.Stat(f.manager); err != nil {
		return fmt.Errorf("--manager: %w: run make build-manager first", err)
	}
	return nil
}

func run(ctx context.Context, f flags, out, progressTo io.Writer) (over int, err error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	chosen, err := f.chosen()
	if err != nil {
		return 0, err
	}
	b := &bench{flags: f, say: progress.Printer{To: progressTo}}
	directory, err := os.MkdirTemp("", "hexiao-scale-")
	if err != nil {
		return 0, err
	}
	defer func() {
		stopErr := b.stop()
		if err == nil {
			err = stopErr
		}
		if f.keep || err != nil || over > 0 {
			b.say.Say("the logs are in %s", directory)
			return
		}
		_ = os.RemoveAll(directory)
	}()
	if err := b.start(ctx, directory); err != nil {
		return 0, err
	}
	before, err := readCPUTimes()
	if err != nil {
		return 0, err
	}
	if err := b.runPhases(ctx, chosen); err != nil {
		return 0, err
	}
	after, err := readCPUTimes()
	if err != nil {
		return 0, err
	}
	b.report.Machine.StealPercent, b.report.Machine.LoadAfter = after.stealSince(before), loadAverage()
	b.report.table(out)
	if f.output != "" {
		err = b.report.save(f.output)
	}
	return len(b.report.over()), err
}

// start brings up the control plane and the first operator.
func (b *bench) start(ctx context.Context, directory string) (err error) {
	version, err := exec.CommandContext(ctx, b.manager, "--version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", b.manager, err)
	}
	b.report = &report{
		Began: time.Now(), Version: strings.TrimSpace(string(version)), Brands: b.brands, Rest: b.rest.String(), Secrets: b.secrets,
		Machine: machine{CPU: cpuName(), CPUs: runtime.NumCPU(), LoadBefore: loadAverage()},
	}
	if b.plane, err = startPlane(ctx, directory, b.say); err != nil {
		return err
	}
	watching, unwatch := context.WithCancel(ctx)
	b.unwatch = unwatch
	if b.fleet, err = watchFleet(watching, b.plane); err != nil {
		return err
	}
	b.leader, err = b.startLeader(ctx)
	return err
}

func (b *bench) runPhases(ctx context.Context, chosen map[string]bool) error {
	for _, p := range phases {
		if !chosen[p.name] {
			continue
		}
		b.phase = p.name
		began := time.Now()
		b.say.Say("%s …", p.name)
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if idle := b.report.withoutFigure(p.name, limits); len(idle) > 0 {
			return fmt.Errorf("limits without a figure: %s", strings.Join(idle, "; "))
		}
		b.say.Say("%s took %s", p.name, time.Since(began).Round(time.Second))
	}
	return nil
}

func (b *bench) stop() error {
	var errs []error
	for _, o := range b.operators {
		if o.alive() {
			errs = append(errs, o.end())
		}
	}
	if b.unwatch != nil {
		b.unwatch() // the API server waits for watches to end
	}
	if b.plane != nil {
		errs = append(errs, b.plane.stop())
	}
	return errors.Join(errs...)
}

// size is what limits depend on.
func (b *bench) size() size { return size{brands: b.brands, secrets: b.secrets} }

// found notes a figure, with its limit if it has one.
func (b *bench) found(name string, value float64, unit string) {
	f := figure{Phase: b.phase, Name: name, Value: value, Unit: unit}
	if l, ok := limits[b.phase+": "+name]; ok {
		f.Limit, f.Evidence = new(l.most(b.size())*b.slackOf(unit)), l.evidence
	}
	b.report.Figures = append(b.report.Figures, f)
	b.say.Say("  %s: %s %s", name, number(value), unit)
}

// slackOf is by what the limit of a figure is multiplied: what is counted, and what is held
// in memory, does not depend on the machine.
func (b *bench) slackOf(unit string) float64 {
	if unit == "s" {
		return b.slack
	}
	return 1
}

// note adds to the report what is no figure.
func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, b.phase+": "+fmt.Sprintf(format, args...))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type flags struct {
	seed           uint64
	calls, members int
	tills          int
	faults         float64 // percent of the calls
	postgres, keep bool
	patience       time.Duration
}

func main() {
	var f flags
	flag.Uint64Var(&f.seed, "seed", 0, "replay the day of this seed (default: a random one)")
	flag.IntVar(&f.calls, "calls", 5000, "calls of the tills before closing time")
	flag.IntVar(&f.members, "members", 500, "members, over both vendors")
	flag.IntVar(&f.tills, "tills", 16, "tills that call at once")
	flag.Float64Var(&f.faults, "faults", 2, "percent of the calls that meet a vendor's misfortune")
	flag.BoolVar(&f.postgres, "postgres", false, "keep the ledger in a PostgreSQL of the run's own")
	flag.BoolVar(&f.keep, "keep", false, "keep the directory with logs, ledger and CSV")
	flag.DurationVar(&f.patience, "patience", 2*time.Minute, "how long closing may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	differences, err := run(ctx, f, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "day:", err)
		os.Exit(2)
	}
	if differences > 0 {
		os.Exit(1)
	}
}

// day is one run.
type day struct {
	flags
	*stage
	guests   []*guest
	out      *tally
	progress io.Writer
	made     atomic.Int64
}

func run(ctx context.Context, f flags, out, progress io.Writer) (differences int, err error) {
	if f.members < 1 || f.calls < 1 || f.tills < 1 || f.faults < 0 || f.faults > 100 {
		return 0, fmt.Errorf("--members, --calls and --tills must be above zero, --faults between 0 and 100")
	}
	if f.seed == 0 {
		f.seed = rand.Uint64N(1 << 32)
	}
	began := time.Now()
	fmt.Fprintf(out, "seed: %d   (replay: --seed %d)\n", f.seed, f.seed)
	s, err := openStage(ctx, f, progress)
	if s != nil {
		defer func() {
			if closeErr := s.close(f.keep || err != nil || differences > 0, progress); err == nil {
				err = closeErr
			}
		}()
	}
	if err != nil {
		return 0, err
	}
	d := &day{flags: f, stage: s, out: newTally(), progress: progress}
	if err := d.register(ctx); err != nil {
		return 0, err
	}
	if err := d.open(ctx); err != nil {
		return 0, err
	}
	opened := time.Now()
	if err := d.closing(ctx); err != nil {
		return 0, err
	}
	a, err := d.audit(ctx, began)
	if err != nil {
		return 0, err
	}
	d.out.table(out)
	a.table(out)
	fmt.Fprintf(out, "\nopen for %s, closed in %s\n", opened.Sub(began).Round(time.Second), time.Since(opened).Round(time.Second))
	fmt.Fprintf(out, "day: calls %d  members %d  differences: %d\n", d.made.Load(), len(d.guests), a.count)
	return a.count, nil
}

// open lets the tills work: each serves its own guests in turns, so that a guest's
// calls are spread over the day.
func (d *day) open(ctx context.Context) error {
	stop := d.reportEvery(ctx, 5*time.Second)
	defer stop()
	queues := make([][]*guest, d.tills)
	for i := range d.calls {
		g := d.guests[i%len(d.guests)]
		queues[g.no%d.tills] = append(queues[g.no%d.tills], g)
	}
	errs := make([]error, d.tills)
	var all sync.WaitGroup
	for i, queue := range queues {
		all.Go(func() {
			for _, g := range queue {
				if errs[i] = ctx.Err(); errs[i] != nil {
					return
				}
				if errs[i] = d.serve(ctx, g); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("till %d: %w", i, err)
		}
	}
	return nil
}

func (d *day) reportEvery(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var said sync.WaitGroup
	said.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				fmt.Fprintf(d.progress, "%d of %d calls\n", d.made.Load(), d.calls)
			}
		}
	})
	return func() { cancel(); said.Wait() }
}

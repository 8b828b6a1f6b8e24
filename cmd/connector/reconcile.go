// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/reconcile"
	"github.com/hexiao-dev/hexiao/connector/service"
)

// exitDiffers is the exit code of a reconciliation that found differences.
const exitDiffers = 2

// writeReport writes a report in one of the formats.
type writeReport func(io.Writer, reconcile.Report, *time.Location) error

var reportFormats = map[string]writeReport{"csv": reconcile.CSV, "json": reconcile.JSON, "table": reconcile.Table}

func reconcileCommand(stdout, stderr io.Writer, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the ledger with the vendors' own flows of stored value",
		Long: `Reads the ledger and, page by page, the flows that the vendors list (ALSC recharge.accountflows.get, Zhimai user.wealth-bills),
and reports what matched, what is missing here, what is missing there, and what differs. It changes nothing, works while the
connector runs, and may be run again at any time.

Exit code: 0 everything matched, 2 there are differences, 1 the command failed and says nothing about the books.

CSV columns, in this order; columns are only ever added at the end:
  ` + strings.Join(reconcile.Columns(), "\n  "),
		Example: `  hexiao-connector reconcile --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db --from 25h --to 1h
  hexiao-connector reconcile … --from 2025-12-01T00:00:00+08:00 --to 2026-01-01T00:00:00+08:00 -o csv --output december.csv
  hexiao-connector reconcile … --from 25h --to 1h --metrics-file /var/lib/node-exporter/xiaowang.prom`,
		Args: cobra.NoArgs,
	}
	which, zone := ledgerFlagsOf(cmd), zoneFlag(cmd)
	flags := cmd.Flags()
	from := flags.String("from", "", "calls sent at or after: a duration before now (25h, 7d) or a time (2025-12-10T00:00:00+08:00)")
	to := flags.String("to", "10m", "calls sent before: as --from; leave late answers some minutes to come in")
	format := flags.StringP("format", "o", "table", "csv, table or json; table shows what did not match, the others everything")
	output := flags.String("output", "", "file to write, replaced as a whole when it is there (default: standard output)")
	metrics := flags.String("metrics-file", "", "file to write the sums to, for Prometheus' textfile collector; replaced as a whole")
	cfg, o := reconcile.Config{Now: now}, reconcile.Options{}
	flags.DurationVar(&cfg.Margin, "margin", time.Hour, "how far the vendor's clock and a slow booking may put a flow from its call")
	flags.DurationVar(&cfg.LookBack, "look-back", 7*24*time.Hour, "how long before its sending a redemption may have been received")
	flags.BoolVar(&cfg.Foreign, "foreign", false, "list the flows of other hands, too: recharges, other tills, the vendor's back office")
	flags.IntVar(&o.PageSize, "page-size", 100, "flows of a page")
	flags.IntVar(&o.PerSecond, "requests-per-second", 2, "calls to each vendor; its limit is shared with the tills")
	if err := cmd.MarkFlagRequired("from"); err != nil {
		panic(err) // the flag was defined above
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loc, err := zone()
		if err != nil {
			return err
		}
		render, ok := reportFormats[*format]
		if !ok {
			return fmt.Errorf("--format %q: use csv, table or json", *format)
		}
		if cfg.From, cfg.To, err = span(*from, *to, now()); err != nil {
			return err
		}
		cfg.Progress = progress(stderr, now)
		r, err := reconcileBrand(cmd.Context(), which, cfg, o)
		if err != nil {
			return err
		}
		if err := write(*output, 0o600, stdout, func(w io.Writer) error { return render(w, r, loc) }); err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		if *metrics != "" {
			if err := write(*metrics, 0o644, nil, func(w io.Writer) error { return reconcile.Metrics(w, r) }); err != nil {
				return fmt.Errorf("--metrics-file: %w", err)
			}
		}
		if !r.Agrees() {
			return &exitError{exitDiffers, errors.New("the ledger and the vendors' flows differ")}
		}
		return nil
	}
	return cmd
}

// span reads the range of time, which lies in the past.
func span(from, to string, now time.Time) (begin, end time.Time, err error) {
	if begin, err = point(from, now); err != nil {
		return begin, end, fmt.Errorf("--from %q: %w", from, err)
	}
	if end, err = point(to, now); err != nil {
		return begin, end, fmt.Errorf("--to %q: %w", to, err)
	}
	switch {
	case begin.IsZero() || end.IsZero():
		err = errors.New("--from and --to must not be empty")
	case !begin.Before(end):
		err = errors.New("--from must be before --to")
	case end.After(now):
		err = errors.New("--to must not lie in the future")
	}
	return begin, end, err
}

func reconcileBrand(ctx context.Context, which *ledgerFlags, cfg reconcile.Config, o reconcile.Options) (reconcile.Report, error) {
	b, err := brand.Load(*which.files)
	if err != nil {
		return reconcile.Report{}, err
	}
	l, brandID, err := which.open(ctx, true)
	if err != nil {
		return reconcile.Report{}, err
	}
	defer func() { _ = l.Close() }() // nothing was written
	http := oneshot.New(oneshot.Config{})
	defer http.Close()
	sources, err := service.Flows(b, http, o)
	if err != nil {
		return reconcile.Report{}, err
	}
	cfg.BrandID = brandID
	return reconcile.Run(ctx, cfg, l, sources)
}

// progress tells how far it is, every two seconds at most, and when a list is complete.
func progress(w io.Writer, now func() time.Time) func(reconcile.Progress) {
	told := now()
	return func(p reconcile.Progress) {
		t := now()
		if t.Sub(told) < 2*time.Second && (p.Provider == "" || p.Total == 0 || p.Flows < p.Total) {
			return
		}
		told = t
		switch {
		case p.Provider == "":
			fmt.Fprintf(w, "ledger: %d redemptions read\n", p.Redemptions)
		case p.Total > 0:
			fmt.Fprintf(w, "%s: %d of %d flows read, %d pages\n", strings.TrimSpace(p.Provider+" "+p.Shop), p.Flows, p.Total, p.Pages)
		default:
			fmt.Fprintf(w, "%s: %d flows read, %d pages\n", strings.TrimSpace(p.Provider+" "+p.Shop), p.Flows, p.Pages)
		}
	}
}

// write replaces a file as a whole, so that nobody reads half of it, or writes to stdout without a path. The collector that
// reads metrics is another user's.
func write(path string, mode os.FileMode, stdout io.Writer, render func(io.Writer) error) (err error) {
	if path == "" {
		return render(stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(f.Chmod(mode), render(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

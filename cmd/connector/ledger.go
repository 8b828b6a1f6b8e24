// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/internal/group"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/ledger/report"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Exit codes of the ledger commands, beside 0 and 1.
const (
	exitBroken  = 2 // verify: the ledger is not as it was written
	exitNothing = 3 // show: no redemption fits
)

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	error
}

func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	}
	return 1
}

func ledgerCommand(stdout, stderr io.Writer, now func() time.Time) *cobra.Command {
	return group.Of(&cobra.Command{
		Use:   "ledger",
		Short: "Look redemptions up, prove that nobody changed them, export them, retire old ones",
		Long: `The ledger commands take --config, --credentials-dir, --shops and --ledger-path as serve does.
show, verify and export only read, and work while the connector runs:

  kubectl -n brands exec deploy/xiaowang -- /hexiao-connector ledger show \
    --config /etc/hexiao/brand/brand.yaml --credentials-dir /etc/hexiao/credentials \
    --ledger-path /var/lib/hexiao/ledger.db --order 2025121000002`,
	}, showCommand(stdout, now), verifyCommand(stdout, stderr, now), exportCommand(stdout, stderr, now), retainCommand(stdout, stderr, now))
}

// ledgerFlags say which ledger.
type ledgerFlags struct {
	files *brand.Files
	path  string
	fuse  bool
}

func ledgerFlagsOf(cmd *cobra.Command) *ledgerFlags {
	f := &ledgerFlags{files: brandFlags(cmd)}
	cmd.Flags().StringVar(&f.path, "ledger-path", "", "file of the embedded ledger; needed with spec.ledger.embedded")
	cmd.Flags().BoolVar(&f.fuse, "ledger-allow-fuse", false, "take a FUSE file system for a local disk")
	return f
}

// open opens the brand's ledger and returns the brand's id.
func (f *ledgerFlags) open(ctx context.Context, readOnly bool) (*ledger.Ledger, string, error) {
	b, err := brand.Load(*f.files)
	if err != nil {
		return nil, "", err
	}
	spec := &b.Object.Spec
	c := ledger.Config{ReadOnly: readOnly, MaxConnections: 2, Logger: slog.New(slog.DiscardHandler)}
	switch pg := spec.Ledger.Postgres; {
	case pg != nil:
		c.DSN, c.Schema = b.LedgerDSN.Reveal(), pg.Schema
	case f.path == "":
		return nil, "", errors.New("spec.ledger.embedded is set: name the ledger's file with --ledger-path")
	default:
		c.Path, c.AllowFUSE = f.path, f.fuse
	}
	l, err := ledger.Open(ctx, c)
	return l, spec.BrandID, err
}

// selection is a search by flags.
type selection struct {
	query        redeem.Query
	since, until string
}

func selectionOf(cmd *cobra.Command) *selection {
	s := &selection{}
	flags := cmd.Flags()
	flags.StringVar(&s.query.BizID, "biz-id", "", "bizId of the till's request")
	flags.StringVar(&s.query.TransOrderNo, "order", "", "kryTransOrderNo, the order's number")
	flags.StringVar(&s.query.PaymentNo, "payment", "", "kryPaymentNo, the payment's number")
	flags.StringVar(&s.query.TraceID, "trace-id", "", "trace id: messageUuid of the reply")
	flags.StringVar(&s.query.FlowID, "flow-id", "", "flowId of the reply")
	flags.StringVar((*string)(&s.query.State), "state", "", "redemptions with a call in this state: sent, not_sent, unknown (in doubt), executed or refused")
	timeFlags(cmd, s)
	return s
}

func timeFlags(cmd *cobra.Command, s *selection) {
	cmd.Flags().StringVar(&s.since, "since", "", "received at or after: a duration before now (24h, 7d) or a time (2025-12-10T00:00:00+08:00)")
	cmd.Flags().StringVar(&s.until, "until", "", "received before: as --since")
}

// ask is the query, or an error that names the flag at fault.
func (s *selection) ask(brandID string, now time.Time) (q redeem.Query, err error) {
	q = s.query
	q.BrandID = brandID
	if _, known := redeem.Edges[q.State]; q.State != "" && !known && !q.State.Final() {
		return q, fmt.Errorf("--state %q: use sent, not_sent, unknown, executed or refused", q.State)
	}
	if q.From, err = point(s.since, now); err != nil {
		return q, fmt.Errorf("--since %q: %w", s.since, err)
	}
	if q.To, err = point(s.until, now); err != nil {
		return q, fmt.Errorf("--until %q: %w", s.until, err)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, errors.New("--since must be before --until")
	}
	return q, nil
}

// words says what was searched.
func (s *selection) words() string {
	var parts []string
	for _, p := range []struct{ flag, value string }{
		{"--biz-id", s.query.BizID}, {"--order", s.query.TransOrderNo}, {"--payment", s.query.PaymentNo}, {"--trace-id", s.query.TraceID},
		{"--flow-id", s.query.FlowID}, {"--state", string(s.query.State)}, {"--since", s.since}, {"--until", s.until},
	} {
		if p.value != "" {
			parts = append(parts, p.flag+" "+p.value)
		}
	}
	if parts == nil {
		return "its whole ledger"
	}
	return strings.Join(parts, ", ")
}

// point reads a time, or a duration before now. Empty is no time.
func point(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := ago(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errors.New("use a duration such as 24h or 7d, or a time such as 2025-12-10T00:00:00+08:00")
	}
	return t, nil
}

// ago reads a duration that is not negative; a day ("7d") has 24 hours.
func ago(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, is := strings.CutSuffix(s, "d"); is {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < 0 {
		return 0, errors.New("use a duration such as 24h or 400d")
	}
	return d, nil
}

// zoneFlag is the time zone of what people read.
func zoneFlag(cmd *cobra.Command) func() (*time.Location, error) {
	name := cmd.Flags().String("time-zone", "Asia/Shanghai", "time zone of the times in text")
	return func() (*time.Location, error) {
		zone, err := time.LoadLocation(*name)
		if err != nil {
			return nil, fmt.Errorf("--time-zone %q: %w", *name, err)
		}
		return zone, nil
	}
}

func showCommand(stdout io.Writer, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: `Look redemptions up: "was this member charged twice?"`,
		Long: `Shows redemptions, newest first: how each ended, asset by asset and call by call, what was given back, and every event.
Conditions add up: a redemption must meet all of them.

Exit code: 0 something was found, 3 nothing was, 1 the command failed.`,
		Example: `  hexiao-connector ledger show --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db --order 2025121000002
  hexiao-connector ledger show … --state unknown --since 24h        # what is in doubt
  hexiao-connector ledger show … --trace-id 4bf92f3577b34da6a3ce929d0e0e4736 -o json`,
		Args: cobra.NoArgs,
	}
	which, what, zone := ledgerFlagsOf(cmd), selectionOf(cmd), zoneFlag(cmd)
	limit := cmd.Flags().Int("limit", 20, "at most so many redemptions")
	format := cmd.Flags().StringP("output", "o", "table", "table, wide, json or yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loc, err := zone()
		if err != nil {
			return err
		}
		render, err := renderer(*format, loc)
		if err != nil {
			return err
		}
		if *limit < 1 || *limit > 10_000 {
			return fmt.Errorf("--limit %d: use 1 to 10000; export has no limit", *limit)
		}
		q, err := what.ask("", now())
		if err != nil {
			return err
		}
		l, brandID, err := which.open(cmd.Context(), true)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }() // nothing was written
		q.BrandID = brandID
		a, err := report.Gather(cmd.Context(), l, q, *limit)
		if err != nil {
			return err
		}
		if err := render(stdout, a); err != nil {
			return err
		}
		if a.Empty() {
			return &exitError{exitNothing, fmt.Errorf("nothing found for brand %s by %s", brandID, what.words())}
		}
		return nil
	}
	return cmd
}

func renderer(format string, zone *time.Location) (func(io.Writer, report.Answer) error, error) {
	switch format {
	case "table", "wide":
		style := report.Style{Zone: zone, Wide: format == "wide"}
		return func(w io.Writer, a report.Answer) error { return report.Text(w, a, style) }, nil
	case "json":
		return report.JSON, nil
	case "yaml":
		return report.YAML, nil
	}
	return nil, fmt.Errorf("--output %q: use table, wide, json or yaml", format)
}

func verifyCommand(stdout, stderr io.Writer, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the hash chain: was anything changed, removed or added by another hand?",
		Long: `Walks the hash chain of every redemption of the brand, and the seals that tie them together.

Exit code: 0 intact, 2 not, 1 the command failed.`,
		Example: `  hexiao-connector ledger verify --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db`,
		Args:    cobra.NoArgs,
	}
	which, zone := ledgerFlagsOf(cmd), zoneFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loc, err := zone()
		if err != nil {
			return err
		}
		l, brandID, err := which.open(cmd.Context(), true)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }() // nothing was written
		told := now()
		found, err := l.VerifyWatched(cmd.Context(), brandID, func(r ledger.Report) {
			if t := now(); t.Sub(told) >= 2*time.Second {
				told = t
				fmt.Fprintf(stderr, "checked so far: %s\n", report.Progress(r))
			}
		})
		if err != nil {
			return err
		}
		if err := report.Verification(stdout, brandID, found, report.Style{Zone: loc}); err != nil {
			return err
		}
		if found.Break != nil {
			return &exitError{exitBroken, errors.New("the ledger is not as the connector wrote it")}
		}
		return nil
	}
	return cmd
}

func exportCommand(stdout, stderr io.Writer, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write redemptions as CSV (a row for each asset) or JSON lines (an object for each redemption)",
		Long: `Writes what was received in a range of time, oldest first, without the member's name or mobile number.

CSV columns, in this order; columns are only ever added at the end:
  ` + strings.Join(ledger.Columns(), "\n  ") + `

Money stands there in fen (integers) and in yuan. A cell of text that begins with = + - @, a tab or a line end has a ' in front,
so that a spreadsheet takes it for text; take it off when a program reads the file.`,
		Example: `  hexiao-connector ledger export --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db \
    --since 2025-12-01T00:00:00+08:00 --until 2026-01-01T00:00:00+08:00 --output december.csv`,
		Args: cobra.NoArgs,
	}
	which, what := ledgerFlagsOf(cmd), &selection{}
	timeFlags(cmd, what)
	format := cmd.Flags().String("format", "csv", "csv or json")
	path := cmd.Flags().String("output", "", "file to write; it must not exist (default: standard output)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if *format != string(ledger.CSV) && *format != string(ledger.JSON) {
			return fmt.Errorf("--format %q: use csv or json", *format)
		}
		q, err := what.ask("", now())
		if err != nil {
			return err
		}
		l, brandID, err := which.open(cmd.Context(), true)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }() // nothing was written
		q.BrandID = brandID
		out := stdout
		if *path != "" {
			f, err := os.OpenFile(*path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("--output: %w", err)
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out = f
		}
		n, err := l.Export(cmd.Context(), out, ledger.Format(*format), q)
		if err == nil {
			fmt.Fprintf(stderr, "%d redemptions\n", n)
		}
		return err
	}
	return cmd
}

func retainCommand(stdout, stderr io.Writer, now func() time.Time) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retain",
		Short: "Take old redemptions away and leave a tombstone of each",
		Long: `Takes away the redemptions that were concluded, and last changed, before --older-than. What stays of each is a tombstone: its bizId,
which is never accepted again, its flow id, its outcome and hashes. It cannot be undone: export first.

An embedded ledger has one writer, so the connector must be stopped. In a cluster: set spec.suspend: true, so that the operator leaves the brand alone,
scale its Deployment to 0, run this in a Pod that mounts the ledger's claim, and take both back. A PostgreSQL ledger may be in use.`,
		Example: `  hexiao-connector ledger retain --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db --older-than 400d --dry-run
  hexiao-connector ledger retain … --older-than 400d --yes`,
		Args: cobra.NoArgs,
	}
	which := ledgerFlagsOf(cmd)
	older := cmd.Flags().String("older-than", "", "age, such as 400d; at least 1d")
	dry := cmd.Flags().Bool("dry-run", false, "count them, and change nothing; works while the connector runs")
	yes := cmd.Flags().Bool("yes", false, "do it")
	if err := cmd.MarkFlagRequired("older-than"); err != nil {
		panic(err) // the flag was defined above
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		age, err := ago(*older)
		if err == nil && age < 24*time.Hour {
			err = errors.New("at least 1d: reversals and result queries still come for what is younger")
		}
		if err != nil {
			return fmt.Errorf("--older-than %q: %w", *older, err)
		}
		if !*dry && !*yes {
			return errors.New("retention cannot be undone: look with --dry-run, then confirm with --yes")
		}
		return retain(cmd.Context(), which, now(), age, *dry, stdout, stderr)
	}
	return cmd
}

func retain(ctx context.Context, which *ledgerFlags, now time.Time, age time.Duration, dry bool, stdout, stderr io.Writer) (err error) {
	l, brandID, err := which.open(ctx, dry)
	if err != nil {
		if errors.Is(err, ledger.ErrLocked) {
			return fmt.Errorf("a connector is running on this ledger; stop it first (in a cluster: spec.suspend: true, then scale its Deployment to 0), then run this again; --dry-run works meanwhile: %w", err)
		}
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	before := now.Add(-age)
	if dry {
		n, err := l.Retirable(ctx, brandID, before)
		if err == nil {
			fmt.Fprintf(stdout, "brand %s: %d redemptions from before %s would be taken away\n", brandID, n, before.UTC().Format(time.RFC3339))
		}
		return err
	}
	n, err := l.Retain(ctx, brandID, before, now)
	if err != nil {
		fmt.Fprintf(stderr, "%d redemptions were taken away before this failed; run it again to go on\n", n)
		return err
	}
	fmt.Fprintf(stdout, "brand %s: %d redemptions from before %s were taken away, and a tombstone is left of each\n", brandID, n, before.UTC().Format(time.RFC3339))
	return nil
}

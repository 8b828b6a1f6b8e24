// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/bundle"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
)

// reportOrder is what report is asked to do.
type reportOrder struct {
	bundle.Order
	all  bool
	file string
}

func reportCommand(a *access) *cobra.Command {
	o := &reportOrder{}
	cmd := &cobra.Command{
		Use:   "report [BRAND...]",
		Short: "Collect a support bundle: objects, events, logs and what is in doubt, without secrets",
		Long: `report collects, of brands and of the operator, what a support engineer asks for, into
one zip file: BrandConnectors and what was made of them, ConnectorClasses, events, logs,
what is in doubt, versions. summary.txt says what is not ready and why; manifest.json
what was collected, what was refused and why. It goes on where your rights end.

Of Secrets it holds names and keys. The values of all that you may read in the
namespaces concerned are masked wherever they stand, in base64, too; so are values of environment
variables, passwords in URLs, Authorization headers, tokens, signatures and mobile
numbers. Secrets that you may not read are not known to it: summary.txt then says so,
and the bundle should be looked over before it is handed on.`,
		Example: `  kubectl hexiao report xiaowang -n brands
  kubectl hexiao report -A --file fleet.zip --since 2h
  kubectl hexiao report xiaowang zhang -n brands --file - | ssh desk 'cat > bundle.zip'

  # for a program: the file's name and its manifest
  kubectl hexiao report xiaowang -n brands -o json | jq -r .file`,
		Args: cobra.ArbitraryArgs, ValidArgsFunction: a.completeBrands,
		RunE: func(cmd *cobra.Command, args []string) error { return a.report(cmd, args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "every brand of every namespace")
	f.StringVar(&o.file, "file", "", "file to write, which must not exist; - is standard output (default hexiao-report-TIME.zip)")
	completeTo(cmd.MarkFlagFilename("file", "zip"))
	f.Int64Var(&o.Tail, "tail", 2000, "lines of each log; 0 is all")
	f.DurationVar(&o.Since, "since", 0, "only log lines younger than this, such as 2h; 0 is all")
	f.StringVar(&o.OperatorNamespace, "operator-namespace", "", "namespace of the operator; it is looked for everywhere when it is left out")
	return cmd
}

func (a *access) report(cmd *cobra.Command, args []string, o *reportOrder) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w; the file to write is --file", desk.ErrUsage, err)
	}
	names, err := brandNames(args)
	if err != nil {
		return err
	}
	switch {
	case o.file == "-" && (format == present.JSON || format == present.YAML):
		return fmt.Errorf("%w: with --file - the bundle is standard output: leave -o out", desk.ErrUsage)
	case a.adminURL != "":
		return fmt.Errorf("%w: report reads a cluster: leave --admin-url out", desk.ErrUsage)
	case len(args) > 0 && o.all:
		return fmt.Errorf("%w: name brands or say -A, not both", desk.ErrUsage)
	case o.Tail < 0 || o.Since < 0:
		return fmt.Errorf("%w: --tail and --since must not be negative", desk.ErrUsage)
	}
	config, namespace, err := a.config()
	if err != nil {
		return err
	}
	way, err := reach.NewCluster(config)
	if err != nil {
		return err
	}
	var step atomic.Value
	step.Store("the brands")
	c, err := bundle.New(config, inDoubtOf(way), func(what string) { step.Store(what) })
	if err != nil {
		return err
	}
	if o.Namespace = namespace; o.all {
		o.Namespace = ""
	}
	for _, name := range names {
		o.Brands = append(o.Brands, reach.Brand{Namespace: namespace, Name: name})
	}
	o.Version, o.At = version, time.Now()
	stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return fmt.Sprintf("collecting: %s", step.Load()) })
	defer stop()
	name, m, err := writeBundle(cmd.Context(), c, o, cmd.OutOrStdout())
	stop()
	if err != nil {
		return err
	}
	sayBundle(cmd.ErrOrStderr(), name, m)
	_, err = present.Machine(cmd.OutOrStdout(), format, map[string]any{"file": name, "manifest": m})
	return err
}

// inDoubtOf asks a brand's connector as in-doubt list does.
func inDoubtOf(way reach.Way) func(context.Context, reach.Brand) (any, error) {
	return func(ctx context.Context, b reach.Brand) (list any, err error) {
		c, err := way.Open(ctx, b)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		return c.InDoubt(ctx, 0)
	}
}

// writeBundle writes the bundle into its file. One that could not be finished is removed.
func writeBundle(ctx context.Context, c *bundle.Collector, o *reportOrder, stdout io.Writer) (name string, m bundle.Manifest, err error) {
	out, name := stdout, "standard output"
	if o.file != "-" {
		name = cmp.Or(o.file, "hexiao-report-"+o.At.UTC().Format("20060102-150405")+".zip")
		f, openErr := newFile(name)
		if openErr != nil {
			return name, m, openErr
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				err = errors.Join(err, os.Remove(name))
			}
		}()
		out = f
	}
	m, err = c.Collect(ctx, out, o.Order)
	if errors.Is(err, bundle.ErrNoBrand) {
		err = &exit{exitNotFound, err}
	}
	return name, m, err
}

// newFile never writes over a file: it may be the bundle of the last outage.
func newFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, fmt.Errorf("%w: --file: %s is there already and is not written over: name another, or remove it", desk.ErrUsage, name)
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: --file: there is no directory %s: make it, or name another file", desk.ErrUsage, filepath.Dir(name))
	case err != nil:
		return nil, fmt.Errorf("--file: %w", err)
	}
	return f, nil
}

// sayBundle says what was written, and what the person has to look at.
func sayBundle(stderr io.Writer, name string, m bundle.Manifest) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", args...) }
	say("wrote %s: %d files of %d brands, %d places masked; begin with summary.txt", name, len(m.Collected), len(m.Brands), m.Redaction.Masked)
	if len(m.Refused) > 0 {
		say("%d parts could not be collected: see summary.txt", len(m.Refused))
	}
	if len(m.Redaction.NotRead) > 0 {
		say("LOOK THE BUNDLE OVER BEFORE YOU HAND IT ON: these Secrets could not be read, so that their values are not known: %s", strings.Join(m.Redaction.NotRead, ", "))
	}
}

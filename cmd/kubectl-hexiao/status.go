// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tree"
)

func statusCommand(a *access) *cobra.Command {
	var o statusOrder
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how a brand is, down to its Pods, and why",
		Long: `status NAME shows a brand as a tree: what the operator says of it, and below that its
Deployment with ReplicaSets and Pods, its Service and endpoints, autoscaler, disruption
budget, Ingress or HTTPRoute, the claim of its ledger and its CronJobs, each with the
reason for its state, and the warnings of the last hour.

  ok   as it should be
  ...  on its way
  BAD  it does not become good by itself, or should not be so
  ?    it could not be told

Without NAME there is a line for each brand of the namespace, or of all with -A. With
--watch it goes on: a line for each change, until the brand is ready. What is in doubt
the ledger knows, and not the API server: see kubectl hexiao in-doubt list.
Whatever you may not read is left out, and it says so. Colours are for terminals alone;
NO_COLOR turns them off.

Exit codes of status:
  0  ready, or all are
  1  the API server could not be asked
  2  the command line is wrong
  3  there is no such brand, or none at all
  8  not ready, or not all are`,
		Example: `  kubectl hexiao status xiaowang -n brands
  kubectl hexiao status -A
  kubectl hexiao status -A -o wide

  # follow a roll-out; exit code 8 when the brand is not ready in time
  kubectl hexiao status xiaowang -n brands --watch --timeout 5m

  # for a program: every condition
  kubectl hexiao status xiaowang -n brands -o json | jq .conditions`,
		Args: upTo(1), ValidArgsFunction: a.completeBrand,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all-namespaces", "A", false, "every brand of every namespace")
	f.BoolVarP(&o.watch, "watch", "w", false, "of one brand: print what changes, until it is ready")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "with --watch: at most so long; then the exit code is 8")
	return cmd
}

// statusOrder is what status is asked to do.
type statusOrder struct {
	all, watch bool
	timeout    time.Duration
}

func (a *access) status(cmd *cobra.Command, args []string, o statusOrder) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	switch {
	case len(args) > 0 && o.all:
		return fmt.Errorf("%w: name a brand or say -A, not both", desk.ErrUsage)
	case len(args) == 0 && o.watch:
		return fmt.Errorf("%w: --watch follows one brand: name it", desk.ErrUsage)
	}
	names, err := brandNames(args)
	if err != nil {
		return err
	}
	c, namespace, err := a.cluster()
	if err != nil {
		return err
	}
	stop := present.Progress(cmd.ErrOrStderr(), present.Patience, func() string { return "waiting for the API server" })
	defer stop()
	if len(args) == 0 {
		if o.all {
			namespace = ""
		}
		return statusOfAll(cmd, c, format, namespace, o.all)
	}
	brand := reach.Brand{Namespace: namespace, Name: names[0]}
	if o.watch {
		stop()
		return watchStatus(cmd, c, format, brand, o.timeout)
	}
	return statusOfOne(cmd, c, format, brand)
}

func statusOfOne(cmd *cobra.Command, c *live.Cluster, format present.Format, name reach.Brand) error {
	now := time.Now()
	t, err := treeOf(cmd.Context(), c, name, now)
	if err != nil {
		return err
	}
	return cmp.Or(writeTree(cmd.OutOrStdout(), format, t, now), notReady(t.Ready))
}

func treeOf(ctx context.Context, c *live.Cluster, name reach.Brand, now time.Time) (*tree.Tree, error) {
	b, err := c.Brand(ctx, name)
	if err != nil {
		return nil, err
	}
	snapshot, err := tree.Gather(ctx, c, b)
	if err != nil {
		return nil, err
	}
	return tree.Build(snapshot, now), nil
}

func writeTree(w io.Writer, format present.Format, t *tree.Tree, now time.Time) error {
	if done, err := present.Machine(w, format, t); done {
		return err
	}
	return tree.Write(w, t, format == present.Wide, paint(w), now)
}

// watchEvery is how often a brand is looked at: a look is some fifteen questions.
const watchEvery = 2 * time.Second

// watchStatus prints the tree, then what changes, until the brand is ready. A program
// gets the tree in the end alone.
func watchStatus(cmd *cobra.Command, c *live.Cluster, format present.Format, name reach.Brand, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	out, forPeople := cmd.OutOrStdout(), format == present.Table || format == present.Wide
	var last *tree.Tree
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		t, err := treeOf(ctx, c, name, now)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && last == nil && forPeople:
			err = writeTree(out, format, t, now)
		case err == nil && forPeople:
			err = writeChanges(out, last, t, now)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if t != nil {
			last = t
		}
		if last != nil && last.Ready {
			return endWatch(out, format, last, now, nil)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return endWatch(out, format, last, now, &exit{exitNotReady, fmt.Errorf("%s is not ready after %s: see kubectl hexiao status %s -n %s", name, timeout, name.Name, name.Namespace)})
		case <-tick.C:
		}
	}
}

func writeChanges(w io.Writer, before, t *tree.Tree, now time.Time) error {
	for _, line := range tree.Changes(before, t, paint(w)) {
		if _, err := fmt.Fprintf(w, "%s  %s\n", now.Format(time.TimeOnly), line); err != nil {
			return err
		}
	}
	return nil
}

func endWatch(w io.Writer, format present.Format, last *tree.Tree, now time.Time, verdict error) error {
	if last == nil || format == present.Table || format == present.Wide {
		return verdict
	}
	return cmp.Or(writeTree(w, format, last, now), verdict)
}

// paint colours what a terminal shows.
func paint(w io.Writer) tree.Paint {
	f, is := w.(*os.File)
	if is && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd())) {
		return tree.Colours
	}
	return tree.Plain
}

func notReady(ready bool) error {
	if ready {
		return nil
	}
	return &exit{code: exitNotReady}
}

func statusOfAll(cmd *cobra.Command, c *live.Cluster, format present.Format, namespace string, all bool) error {
	lines, err := overview(cmd.Context(), c, namespace)
	if err != nil {
		return err
	}
	done, err := present.Machine(cmd.OutOrStdout(), format, map[string]any{"brands": lines})
	if len(lines) == 0 {
		return cmp.Or(err, reach.NoBrands(namespace))
	}
	if !done {
		err = tree.WriteLines(cmd.OutOrStdout(), lines, all, format == present.Wide, time.Now())
	}
	ready := true
	for _, l := range lines {
		ready = ready && l.Ready
	}
	return cmp.Or(err, notReady(ready))
}

// overview is a line for each brand, from two lists: brands, and their Pods.
func overview(ctx context.Context, c *live.Cluster, namespace string) ([]tree.Line, error) {
	brands, err := c.Brands(ctx, namespace)
	if err != nil {
		return nil, err
	}
	pods, err := tree.Pods(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	return tree.Lines(brands, pods), nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
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
	all := false
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

Without NAME there is a line for each brand of the namespace, or of all with -A.
Whatever you may not read is left out, and it says so. Colours are for terminals alone;
NO_COLOR turns them off.

Exit codes of status:
  0  ready, or all are
  1  the API server could not be asked
  2  the command line is wrong
  3  there is no such brand
  8  not ready, or not all are`,
		Example: `  kubectl hexiao status xiaowang -n brands
  kubectl hexiao status -A
  kubectl hexiao status -A -o wide

  # in a script
  until kubectl hexiao status xiaowang -n brands >/dev/null; do sleep 5; done`,
		Args: upTo(1), ValidArgsFunction: a.completeBrand,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args, all) },
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "every brand of every namespace")
	return cmd
}

func (a *access) status(cmd *cobra.Command, args []string, all bool) error {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	if len(args) > 0 && all {
		return fmt.Errorf("%w: name a brand or say -A, not both", desk.ErrUsage)
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
		if all {
			namespace = ""
		}
		return statusOfAll(cmd, c, format, namespace, all)
	}
	return statusOfOne(cmd, c, format, reach.Brand{Namespace: namespace, Name: names[0]})
}

func statusOfOne(cmd *cobra.Command, c *live.Cluster, format present.Format, name reach.Brand) error {
	b, err := c.Brand(cmd.Context(), name)
	if err != nil {
		return err
	}
	snapshot, err := tree.Gather(cmd.Context(), c, b)
	if err != nil {
		return err
	}
	now := time.Now()
	t := tree.Build(snapshot, now)
	done, err := present.Machine(cmd.OutOrStdout(), format, t)
	if !done {
		err = tree.Write(cmd.OutOrStdout(), t, format == present.Wide, paint(cmd.OutOrStdout()), now)
	}
	return cmp.Or(err, notReady(t.Ready))
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

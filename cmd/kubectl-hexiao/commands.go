// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/internal/group"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
)

func root(in io.Reader, out, errOut io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl-hexiao",
		Short: "Look after the brands of Hexiao",
		Long: `kubectl hexiao looks after Hexiao's brands. Before a change: render, diff. While they
run: status, restart, suspend, resume, report. When money is asked about: trace,
in-doubt, reversals, which take a person's decision where no machine can find out.

The last three reach a connector through the API server, as kubectl port-forward does.
Who may create pods/portforward in a brand's namespace may use them. What is decided is
recorded under the name by which the API server knows the caller.

` + exitCodes,
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl hexiao"},
		Version:     version, SilenceUsage: true, SilenceErrors: true,
		Args: group.NoSubcommand, RunE: help,
	}
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", desk.ErrUsage, err) })
	a := accessFlags(cmd)
	cmd.AddCommand(inDoubt(a), reversals(a))
	cmd.AddCommand(renderCommand(a), diffCommand(a), statusCommand(a), restartCommand(a), suspendCommand(a), resumeCommand(a))
	cmd.AddCommand(traceCommand(a), reportCommand(a), versionCommand(a))
	addCompletion(cmd)
	addHelp(cmd)
	usageErrors(cmd)
	return cmd
}

func inDoubt(a *access) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "in-doubt",
		Short: "Vendor calls of which nobody knows whether they were executed",
		Long: `A leg is in doubt when its vendor call was sent and no answer came that says, in a
documented form, whether it was executed. The till hears code 3001 until it is known.
Most doubts end by themselves. Those that wait for a person are decided here.`,
		Args: group.NoSubcommand,
		RunE: help,
	}
	timeZoneFlag(cmd.PersistentFlags(), &a.zone)
	cmd.AddCommand(inDoubtList(a), inDoubtShow(a), inDoubtResolve(a), inDoubtRetry(a))
	return cmd
}

func inDoubtList(a *access) *cobra.Command {
	var l desk.List
	var all bool
	cmd := &cobra.Command{
		Use:   "list [BRAND]",
		Short: "List what is in doubt, oldest first",
		Example: `  # every brand of the namespace
  kubectl hexiao in-doubt list -n brands

  # every brand of the cluster, with all that is known
  kubectl hexiao in-doubt list -A -o wide

  # a connector on this machine
  kubectl hexiao in-doubt list --admin-url http://127.0.0.1:9090`,
		Args: upTo(1), ValidArgsFunction: a.completeBrand,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.list(cmd, args, all, &l, (*desk.Desk).ListInDoubt)
		},
	}
	listFlags(cmd, &l, &all)
	return cmd
}

func listFlags(cmd *cobra.Command, l *desk.List, all *bool) {
	cmd.Flags().BoolVarP(all, "all-namespaces", "A", false, "every brand of every namespace")
	cmd.Flags().IntVar(&l.Limit, "limit", 1000, "at most so many of a brand, up to 10000")
}

func inDoubtShow(a *access) *cobra.Command {
	t := &desk.Target{}
	lookUp := false
	cmd := &cobra.Command{
		Use:   "show BRAND BIZID",
		Short: "Show what was sent, which answers came, and every event",
		Example: `  kubectl hexiao in-doubt show xiaowang 20250001 -n brands

  # and ask the vendor now; the question is recorded
  kubectl hexiao in-doubt show xiaowang 20250001 -n brands --look-up`,
		Args: a.brandAndBizID, ValidArgsFunction: a.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.one(cmd, args, t, func(ctx context.Context, d *desk.Desk) error { return d.Show(ctx, *t, lookUp) })
		},
	}
	actionFlag(cmd, t)
	cmd.Flags().BoolVar(&lookUp, "look-up", false, "ask the vendor now what became of it")
	return cmd
}

func inDoubtResolve(a *access) *cobra.Command {
	t, r := &desk.Target{}, desk.Ruling{}
	cmd := &cobra.Command{
		Use:   "resolve BRAND BIZID",
		Short: "Decide what became of a leg, after a look at the evidence",
		Long: `resolve shows what was sent and which answers came, asks the vendor once more where
it can be asked, and then asks for your decision, for your reason, and for the bizId
as confirmation. The decision is final. It is kept in the ledger's event log with your
name and reason, and the till's next repeat hears it.

Say executed when you have seen the deduction at the vendor, refused when you have
seen that there is none and ten minutes have gone by since the call. When you cannot
tell, do not decide.`,
		Example: `  kubectl hexiao in-doubt resolve xiaowang 20250001 -n brands

  # from a script
  kubectl hexiao in-doubt resolve xiaowang 20250001 -n brands --decision executed \
    --reason "bill 7788 of 2550 fen in the back office" --yes`,
		Args: a.brandAndBizID, ValidArgsFunction: a.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.one(cmd, args, t, func(ctx context.Context, d *desk.Desk) error { return d.Resolve(ctx, *t, r) })
		},
	}
	actionFlag(cmd, t)
	f := cmd.Flags()
	f.IntVar(&r.Leg, "leg", -1, "number of the leg; needed when several are in doubt")
	f.StringVar(&r.Decision, "decision", "", "executed or refused; asked for when absent")
	f.StringVar(&r.Reason, "reason", "", "what you saw at the vendor, and where, in at least 10 characters; asked for when absent")
	f.BoolVar(&r.Yes, "yes", false, "do not ask for confirmation")
	f.BoolVar(&r.Force, "force", false, "decide against the evidence, or refused too early; recorded, and an alarm when the vendor has what you call refused")
	complete(cmd, "decision", desk.Decisions)
	return cmd
}

func inDoubtRetry(a *access) *cobra.Command {
	t := &desk.Target{}
	cmd := &cobra.Command{
		Use:   "retry BRAND BIZID",
		Short: "Let the resolver check now, and not at its next turn",
		Long: `retry makes what is in doubt due now: the resolver asks the vendor, or repeats the call
under the same key, as the provider's inDoubt says. It helps after an outage, and after
inDoubt was changed from Manual. Nothing is ever sent under a second key.`,
		Example: `  kubectl hexiao in-doubt retry xiaowang 20250001 -n brands`,
		Args:    a.brandAndBizID, ValidArgsFunction: a.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.one(cmd, args, t, func(ctx context.Context, d *desk.Desk) error { return d.Retry(ctx, *t) })
		},
	}
	actionFlag(cmd, t)
	return cmd
}

func actionFlag(cmd *cobra.Command, t *desk.Target) {
	cmd.Flags().StringVar(&t.Action, "action", "", "verify or reverse; needed when the till used the bizId for both")
	complete(cmd, "action", actions)
}

func reversals(a *access) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reversals",
		Short: "Redemptions that are to be undone, and are not yet",
		Args:  group.NoSubcommand,
		RunE:  help,
	}
	timeZoneFlag(cmd.PersistentFlags(), &a.zone)
	cmd.AddCommand(reversalsList(a), reversalsRetry(a))
	return cmd
}

func reversalsList(a *access) *cobra.Command {
	var l desk.List
	var all bool
	cmd := &cobra.Command{
		Use:   "list [BRAND]",
		Short: "List reversals that wait, oldest first",
		Example: `  kubectl hexiao reversals list xiaowang -n brands
  kubectl hexiao reversals list -A -o json
  kubectl hexiao reversals list xiaowang -n brands --state all`,
		Args: upTo(1), ValidArgsFunction: a.completeBrand,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.list(cmd, args, all, &l, (*desk.Desk).ListReversals)
		},
	}
	listFlags(cmd, &l, &all)
	cmd.Flags().StringVar(&l.State, "state", "waiting", "waiting or all")
	complete(cmd, "state", []string{"waiting", "all"})
	return cmd
}

func reversalsRetry(a *access) *cobra.Command {
	t := &desk.Target{Action: "reverse"}
	return &cobra.Command{
		Use:   "retry BRAND BIZID",
		Short: "Let a reversal be tried now, and not at its next turn",
		Long: `retry makes a reversal's open legs due now. One that no machine can make (the brand has
no reversal action at the vendor) is made by a person in the vendor's back office, and
then recorded: kubectl hexiao in-doubt resolve BRAND BIZID --action reverse.`,
		Example: `  kubectl hexiao reversals retry xiaowang 20250001-r1 -n brands`,
		Args:    a.brandAndBizID, ValidArgsFunction: a.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.one(cmd, args, t, func(ctx context.Context, d *desk.Desk) error { return d.Retry(ctx, *t) })
		},
	}
}

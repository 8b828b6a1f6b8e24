// SPDX-License-Identifier: Apache-2.0

// Command cluster gives tests and people a Kubernetes cluster on this machine.
//
//	hack/cluster/cluster up                    bring it up, and wait until it takes Pods
//	eval "$(hack/cluster/cluster env)"         KUBECONFIG and more, for this shell
//	hack/cluster/cluster load IMAGE.tar        give it images
//	hack/cluster/cluster exec -- COMMAND       run a command in its network
//	hack/cluster/cluster status                what it lacks, or that it is ready
//	hack/cluster/cluster down                  remove it
//
// Where KUBECONFIG is set, that cluster is used as it is and nothing is brought up or down. Otherwise kind makes the cluster where a
// Docker engine answers; elsewhere, on Linux as root, a cluster of one node is built from Go modules: see package native.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/hack/cluster/native"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := root().ExecuteContext(ctx); err != nil {
		os.Exit(exitCode(err))
	}
}

// A childExit is the end of the command that exec ran: its code is passed on, and it has said itself what there is to say.
type childExit struct{ *exec.ExitError }

func exitCode(err error) int {
	var child childExit
	if errors.As(err, &child) && child.ExitCode() >= 0 {
		return child.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	return 1
}

func root() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "cluster", Short: "A Kubernetes cluster on this machine, for tests and trying things out",
		SilenceUsage: true, SilenceErrors: true,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.name, "name", "default", "name of the cluster; there may be several")
	flags.StringVar(&o.driver, "driver", os.Getenv("HEXIAO_CLUSTER_DRIVER"), "kind or native (default: kind where Docker answers)")
	flags.StringVar(&o.root, "root", "", "directory that keeps the clusters (default ${XDG_CACHE_HOME:-~/.cache}/hexiao/clusters)")
	flags.StringVar(&o.repository, "repository", ".", "a directory of the repository, which has the modules to build from")
	cmd.AddCommand(
		simple("up", "Bring the cluster up and wait until it takes Pods", &o, up),
		simple("down", "Remove the cluster and everything that was made for it", &o, down),
		simple("status", "Say whether the cluster takes Pods, or what it lacks", &o, status),
		simple("kubeconfig", "Print the path of the kubeconfig", &o, printKubeconfig),
		simple("env", "Print the environment for a shell, for eval", &o, printEnvironment),
		loadCommand(&o), execCommand(&o), superviseCommand(), pauseCommand(),
	)
	return cmd
}

func simple(name, short string, o *options, run func(*cobra.Command, target) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		t, err := o.target(cmd.Context(), os.Getenv, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return run(cmd, t)
	}}
}

func up(cmd *cobra.Command, t target) error {
	if err := t.Up(cmd.Context()); err != nil {
		return err
	}
	return status(cmd, t)
}

func down(cmd *cobra.Command, t target) error { return t.Down(cmd.Context()) }

func status(cmd *cobra.Command, t target) error {
	info, err := t.Info()
	if err != nil {
		return err
	}
	if err := t.Ready(cmd.Context()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "ready: KUBECONFIG=%s\n", info.Kubeconfig)
	return err
}

func printKubeconfig(cmd *cobra.Command, t target) error {
	info, err := t.Info()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), info.Kubeconfig)
	return err
}

func printEnvironment(cmd *cobra.Command, t target) error {
	info, err := t.Info()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), environment(info))
	return err
}

func loadCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "load IMAGE.tar...", Short: "Give the cluster images from tarballs", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.target(cmd.Context(), os.Getenv, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			for _, tarball := range args {
				if err := t.Load(cmd.Context(), tarball); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func execCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "exec -- COMMAND [ARGUMENT]...", Short: "Run a command in the cluster's network, where Pods and Services are reached by address",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := o.target(cmd.Context(), os.Getenv, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			child, err := t.Command(cmd.Context(), args...)
			if err != nil {
				return err
			}
			child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
			child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
			err = child.Run()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				return childExit{exit}
			}
			return err
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func superviseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "supervise DIRECTORY", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return native.Supervise(args[0], os.Stdin) },
	}
}

func pauseCommand() *cobra.Command {
	return &cobra.Command{Use: "pause", Hidden: true, Args: cobra.NoArgs, Run: func(*cobra.Command, []string) { native.RunPause() }}
}

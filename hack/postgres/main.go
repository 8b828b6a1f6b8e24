// SPDX-License-Identifier: Apache-2.0

// Command postgres runs another command with a throw-away PostgreSQL at hand.
//
//	hack/postgres/postgres run [--listen ADDRESS]... -- COMMAND [ARGUMENT]...
//	hack/postgres/postgres install
//
// run starts a server, sets HEXIAO_TEST_POSTGRES_DSN for the command, and stops the server and removes its data when the command has
// ended, whatever way. Where HEXIAO_TEST_POSTGRES_DSN is set already it only runs the command. The exit code is the
// command's. With --listen the server is reachable at further addresses of this machine, and the DSN names the first of them: so
// the Pods of a local cluster reach it.
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

	"github.com/hexiao-dev/hexiao/hack/postgres/pgserver"
)

const variable = "HEXIAO_TEST_POSTGRES_DSN"

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := root().ExecuteContext(ctx); err != nil {
		os.Exit(exitCode(err))
	}
}

// A childExit is the end of the command: its code is passed on, and it has said itself what there is to say.
type childExit struct{ *exec.ExitError }

func exitCode(err error) int {
	var child childExit
	if !errors.As(err, &child) {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		return 1
	}
	if status, ok := child.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return child.ExitCode()
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "postgres", Short: "Run a command with a throw-away PostgreSQL",
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(runCommand(), installCommand())
	return cmd
}

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use: "install", Short: "Install PostgreSQL where it is missing; print the directory of its programs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := pgserver.Ensure(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), dir)
			return err
		},
	}
}

func runCommand() *cobra.Command {
	var listen []string
	cmd := &cobra.Command{
		Use:   "run [--listen ADDRESS]... -- COMMAND [ARGUMENT]...",
		Short: "Run a command with " + variable + " set to the DSN of a fresh server",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if os.Getenv(variable) != "" {
				return execute(cmd.Context(), args, os.Environ())
			}
			return runWithServer(cmd.Context(), args, listen)
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringArrayVar(&listen, "listen", nil, "IP address to listen on besides 127.0.0.1 (repeatable)")
	return cmd
}

func runWithServer(ctx context.Context, args, listen []string) (err error) {
	bin, err := pgserver.Ensure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	server, err := pgserver.Start(ctx, pgserver.Options{BinDir: bin, Listen: listen})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := server.Close(); closeErr != nil {
			fmt.Fprintln(os.Stderr, "postgres:", closeErr)
			if err == nil {
				err = closeErr
			}
		}
	}()
	dsn := server.DSN()
	if len(listen) > 0 {
		dsn = server.DSNAt(listen[0])
	}
	return execute(ctx, args, append(os.Environ(), variable+"="+dsn))
}

// execute runs the command and waits for it. A SIGINT or SIGTERM to this process becomes a SIGTERM to the command, and
// the server stays until the command has ended.
func execute(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return childExit{exit}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}

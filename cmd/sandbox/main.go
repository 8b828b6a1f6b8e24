// SPDX-License-Identifier: Apache-2.0

// Command hexiao-sandbox plays the vendors that a connector talks to, and the
// point of sale that calls it. See docs/guides/sandbox.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "hexiao-sandbox:", err)
		stop()
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hexiao-sandbox",
		Short: "Stand-ins for Zhimai, Alibaba ALSC and the Keruyun point of sale",
		Long: `hexiao-sandbox plays the vendors around a connector as their documents describe
them: real signatures, real balances, and faults on demand.

  hexiao-sandbox serve                  play Zhimai and ALSC
  hexiao-sandbox send verify …          call a connector as Keruyun does
  hexiao-sandbox books net              what each order cost in the end`,
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.AddCommand(serveCommand(), signCommand(), sendCommand())
	cmd.AddCommand(adminCommands()...)
	return cmd
}

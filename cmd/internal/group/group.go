// SPDX-License-Identifier: Apache-2.0

// Package group makes commands that only hold others, such as "hexiao-connector ledger".
// Cobra shows the help of such a command whatever stands behind it, and a script takes
// that for success.
package group

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Of adds the subcommands to cmd and returns it. By itself cmd shows its help; with a word
// behind it that is none of the subcommands it fails, and names the nearest.
func Of(cmd *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(sub...)
	cmd.Args = NoSubcommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	// The flags are the subcommand's, so they are judged after its name.
	cmd.SetFlagErrorFunc(func(at *cobra.Command, err error) error {
		if at != cmd {
			return err
		}
		if mistyped := NoSubcommand(cmd, cmd.Flags().Args()); mistyped != nil {
			return mistyped
		}
		return err
	})
	return cmd
}

// NoSubcommand is an Args check: it refuses what is taken for a subcommand and is none.
func NoSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := ""
	for _, letters := range []int{1, 2} { // that differ
		cmd.SuggestionsMinimumDistance = letters
		if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
			near = fmt.Sprintf("did you mean %s? Or ", strings.Join(names, " or "))
			break
		}
	}
	return fmt.Errorf("there is no command %q: %ssee %s --help", args[0], near, cmd.CommandPath())
}

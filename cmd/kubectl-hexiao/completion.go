// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed" // the script
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/internal/group"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
)

// completeScript is the executable that kubectl looks for: kubectl_complete-hexiao.
//
//go:embed kubectl_complete-hexiao
var completeScript string

// addCompletion adds what kubectl needs to cobra's own completion commands, which are
// for calling the plugin by its file's name. To be called after all other commands
// are there.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "Write a script for completion by the tab key"
			c.Long = "completion writes scripts for completion by the tab key. Behind kubectl, kubectl is what\nis needed, whatever the shell; the others are for kubectl-hexiao, called by its own name."
			c.AddCommand(kubectlCompletion())
			c.Args, c.RunE = group.NoSubcommand, help
		}
	}
}

// addHelp has cobra's help command refuse a topic that it does not know.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		show := c.Run
		c.Run, c.RunE = nil, func(cmd *cobra.Command, args []string) error {
			about, left, err := root.Find(args)
			if err == nil && len(left) > 0 && about.HasSubCommands() {
				err = group.NoSubcommand(about, left)
			}
			if err != nil {
				return fmt.Errorf("%w: %w", desk.ErrUsage, err)
			}
			show(cmd, args)
			return nil
		}
	}
}

func kubectlCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl",
		Short: "Write the executable that completes kubectl hexiao",
		Long: `kubectl completes a plugin by an executable on the PATH that is called
kubectl_complete-NAME. This writes it, for every shell that kubectl itself completes in.`,
		Example: `  kubectl hexiao completion kubectl > ~/.local/bin/kubectl_complete-hexiao
  chmod +x ~/.local/bin/kubectl_complete-hexiao`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), completeScript)
			return err
		},
	}
}

// SPDX-License-Identifier: Apache-2.0

package group_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/internal/group"
)

func TestAGroupHelpsOrFails(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string // what it says; the error begins so, too, when fails
		fail bool
	}{
		"by itself it shows its help":             {[]string{"ledger"}, "Available Commands", false},
		"asked for help it shows it":              {[]string{"ledger", "--help"}, "Available Commands", false},
		"a subcommand runs":                       {[]string{"ledger", "retain", "--age", "400d"}, "retained 400d", false},
		"a mistyped one fails with the nearest":   {[]string{"ledger", "retian"}, `there is no command "retian": did you mean retain? Or see tool ledger --help`, true},
		"and so it does before flags":             {[]string{"ledger", "retian", "--age", "400d"}, `there is no command "retian": did you mean retain?`, true},
		"one that is near nothing fails":          {[]string{"ledger", "frobnicate"}, `there is no command "frobnicate": see tool ledger --help`, true},
		"a flag without a subcommand is unknown":  {[]string{"ledger", "--age", "400d"}, "unknown flag: --age", true},
		"a subcommand's unknown flag is its own":  {[]string{"ledger", "retain", "--agee", "400d"}, "unknown flag: --agee", true},
		"a subcommand's arguments are its own":    {[]string{"ledger", "retain", "retian"}, `unknown command "retian" for "tool ledger retain"`, true},
		"what begins a subcommand's name is near": {[]string{"ledger", "ret"}, `did you mean retain?`, true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			retain := &cobra.Command{Use: "retain", Args: cobra.NoArgs}
			age := retain.Flags().String("age", "", "")
			retain.RunE = func(*cobra.Command, []string) error { _, err := out.WriteString("retained " + *age); return err }
			root := &cobra.Command{Use: "tool", SilenceUsage: true, SilenceErrors: true}
			root.AddCommand(group.Of(&cobra.Command{Use: "ledger"}, retain))
			root.SetOut(&out)
			root.SetArgs(c.args)
			err := root.Execute()
			said := out.String()
			if err != nil {
				said += err.Error()
			}
			if (err != nil) != c.fail || !strings.Contains(said, c.want) {
				t.Errorf("error %v, said %q; want %q", err, said, c.want)
			}
			if c.fail && out.Len() > 0 {
				t.Errorf("beside its failure it printed %q", out.String())
			}
		})
	}
}

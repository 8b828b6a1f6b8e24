// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/live"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
)

var actions = []string{"verify", "reverse"}

// access is the flags that every command has: how a connector is reached, and how
// results are written.
type access struct {
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
	adminURL   string
	format     string
	zone       string
}

func accessFlags(cmd *cobra.Command) *access {
	a := &access{}
	f := cmd.PersistentFlags()
	f.StringVar(&a.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	clientcmd.BindOverrideFlags(&a.overrides, f, clientcmd.RecommendedConfigOverrideFlags(""))
	f.StringVar(&a.adminURL, "admin-url", "", "a connector's admin listener on this machine, such as http://127.0.0.1:9090; BRAND is left out then")
	f.StringVarP(&a.format, "output", "o", string(present.Table), "table, wide, json or yaml")
	completeTo(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(present.Formats, cobra.ShellCompDirectiveNoFileComp)))
	completeTo(cmd.RegisterFlagCompletionFunc("context", a.completeContext))
	completeTo(cmd.RegisterFlagCompletionFunc("namespace", a.completeNamespace))
	return a
}

func complete(cmd *cobra.Command, flag string, words []string) {
	completeTo(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

func completeTo(err error) {
	if err != nil {
		panic(err) // the flag was defined above
	}
}

// client is the kubeconfig with the flags over it.
func (a *access) client() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &a.overrides)
}

// way is how connectors are reached, and the namespace that is meant.
func (a *access) way() (way reach.Way, namespace string, err error) {
	if a.adminURL != "" {
		return reach.Direct{URL: a.adminURL}, "", nil
	}
	config, namespace, err := a.config()
	if err != nil {
		return nil, "", err
	}
	cluster, err := reach.NewCluster(config)
	return cluster, namespace, err
}

// config is how the API server is reached, and the namespace that is meant.
func (a *access) config() (config *rest.Config, namespace string, err error) {
	loaded := a.client()
	if config, err = loaded.ClientConfig(); err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, "", noKubeconfig()
		}
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	if namespace, _, err = loaded.Namespace(); err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1 // the API server's own priority and fairness decides
	config.UserAgent = "kubectl-hexiao/" + version
	return config, namespace, nil
}

// noKubeconfig says where a kubeconfig was looked for. client-go names an environment
// variable that this program does not read.
func noKubeconfig() error {
	places := clientcmd.NewDefaultClientConfigLoadingRules().Precedence
	return fmt.Errorf("there is no cluster in the kubeconfig (%s): name one with --kubeconfig, or set KUBECONFIG", strings.Join(places, ", "))
}

// brandName reads a brand's name, as NAME or as kubectl prints it: bc/NAME.
func brandName(arg string) (string, error) {
	kind, name, is := strings.Cut(arg, "/")
	if !is {
		return arg, nil
	}
	kind, _, _ = strings.Cut(strings.ToLower(kind), ".")
	if !slices.Contains([]string{"bc", "brandconnector", "brandconnectors"}, kind) || name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%w: %q names no brand: say NAME, and the namespace with -n", desk.ErrUsage, arg)
	}
	return name, nil
}

func brandNames(args []string) ([]string, error) {
	names := make([]string, len(args))
	var err error
	for i, arg := range args {
		if names[i], err = brandName(arg); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func (a *access) desk(cmd *cobra.Command) (d *desk.Desk, namespace string, err error) {
	format, err := present.ParseFormat(a.format)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", desk.ErrUsage, err)
	}
	zone, err := timeZone(a.zone)
	if err != nil {
		return nil, "", err
	}
	way, namespace, err := a.way()
	if err != nil {
		return nil, "", err
	}
	return &desk.Desk{Way: way, Zone: zone, In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Format: format, Patience: present.Patience}, namespace, nil
}

// timeZoneFlag is the zone of the times that a person reads: the tills' own, unless
// another is asked for.
func timeZoneFlag(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "time-zone", "Asia/Shanghai", "time zone of the times that a person reads")
}

func timeZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%w: --time-zone: %q is none: use one like Asia/Shanghai", desk.ErrUsage, name)
	}
	return zone, nil
}

// list runs a command over one brand or many.
func (a *access) list(cmd *cobra.Command, args []string, all bool, l *desk.List, run func(*desk.Desk, context.Context, desk.List) error) error {
	switch {
	case len(args) > 0 && all:
		return fmt.Errorf("%w: name a brand or say -A, not both", desk.ErrUsage)
	case a.adminURL != "" && (all || len(args) > 0):
		return fmt.Errorf("%w: with --admin-url there is one connector: leave BRAND and -A out", desk.ErrUsage)
	}
	d, namespace, err := a.desk(cmd)
	if err != nil {
		return err
	}
	if l.Namespace = namespace; all {
		l.Namespace = ""
	}
	if len(args) > 0 {
		if l.Brand, err = brandName(args[0]); err != nil {
			return err
		}
	}
	return run(d, cmd.Context(), *l)
}

// one runs a command on one redemption.
func (a *access) one(cmd *cobra.Command, args []string, t *desk.Target, run func(context.Context, *desk.Desk) error) error {
	if t.Action != "" && !slices.Contains(actions, t.Action) {
		return fmt.Errorf("%w: --action: %q is none: say verify or reverse", desk.ErrUsage, t.Action)
	}
	d, namespace, err := a.desk(cmd)
	if err != nil {
		return err
	}
	t.BizID = args[len(args)-1]
	if a.adminURL == "" {
		name, err := brandName(args[0])
		if err != nil {
			return err
		}
		t.Brand = reach.Brand{Namespace: namespace, Name: name}
	}
	return run(cmd.Context(), d)
}

// brandAndBizID are the arguments of a command on one redemption.
func (a *access) brandAndBizID(cmd *cobra.Command, args []string) error {
	switch want := map[bool]int{true: 1, false: 2}[a.adminURL != ""]; {
	case len(args) == want:
		return nil
	case a.adminURL != "":
		return fmt.Errorf("%w: with --admin-url the one argument is BIZID: see %s --help", desk.ErrUsage, cmd.CommandPath())
	}
	return fmt.Errorf("%w: the arguments are BRAND BIZID: see %s --help", desk.ErrUsage, cmd.CommandPath())
}

func upTo(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%w: too many arguments: see %s --help", desk.ErrUsage, cmd.CommandPath())
		}
		return nil
	}
}

// usageErrors has every command below say of its arguments that the command line is
// wrong: cobra's own checks know no exit code.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil && !errors.Is(err, desk.ErrUsage) {
				return fmt.Errorf("%w: %w", desk.ErrUsage, err)
			} else if err != nil {
				return err
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageErrors(c)
	}
}

func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// completeWait bounds what a press of the tab key may cost.
const completeWait = 3 * time.Second

func (a *access) completeContext(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	raw, err := a.client().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for name := range raw.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *access) completeNamespace(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(orBackground(cmd.Context())), completeWait)
	defer cancel()
	c, _, err := a.cluster()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := c.List(ctx, live.NamespaceKind, "", metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].GetName()
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *access) completeBrand(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || a.adminURL != "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(orBackground(cmd.Context())), completeWait)
	defer cancel()
	way, namespace, err := a.way()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	brands, err := way.Brands(ctx, namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(brands))
	for i, b := range brands {
		names[i] = b.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeTarget completes the brand, and then the bizIds that are in doubt there.
func (a *access) completeTarget(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	want := 1
	if a.adminURL != "" {
		want = 0
	}
	if len(args) < want {
		return a.completeBrand(cmd, args, part)
	}
	if len(args) > want {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids, err := a.openIDs(orBackground(cmd.Context()), append(args, "")[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (a *access) openIDs(ctx context.Context, brand string) (ids []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, completeWait)
	defer cancel()
	way, namespace, err := a.way()
	if err != nil {
		return nil, err
	}
	c, err := way.Open(ctx, reach.Brand{Namespace: namespace, Name: brand})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	list, err := c.InDoubt(ctx, 0)
	for _, d := range list.Items {
		ids = append(ids, d.BizID+"\t"+present.Action(d.Action)+", "+present.Value(d.AmountFen, d.Points, d.Coupons))
	}
	return ids, err
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

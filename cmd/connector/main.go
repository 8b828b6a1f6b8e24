// SPDX-License-Identifier: Apache-2.0

// Command connector serves the member SPIs of one restaurant brand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/service"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	if os.Getpid() == 1 { // not for a command that somebody runs beside it
		lastWords(v1alpha1.TerminationLog, err)
	}
	os.Exit(exitCode(err))
}

// maxLastWords is what Kubernetes keeps of a container's last words, in bytes.
const maxLastWords = 4096

// lastWords writes why the program ends, in one line, where Kubernetes looks for it. What
// it would take otherwise is the end of the log, where an error stands between others.
// Outside a container there is no such file, and none is made.
func lastWords(path string, err error) {
	if err == nil {
		return
	}
	f, missing := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if missing != nil {
		return // the log has it
	}
	words := strings.Join(strings.FieldsFunc(err.Error(), func(c rune) bool { return c == '\n' || c == '\t' }), "; ")
	words = strings.ReplaceAll(words, ":; ", ": ")
	if len(words) > maxLastWords-1 {
		words = strings.ToValidUTF8(words[:maxLastWords-1], "")
	}
	_, _ = f.WriteString(words + "\n")
	_ = f.Close()
}

func command(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "hexiao-connector",
		Short: "Redeems a restaurant brand's member assets: the point of sale calls it, it spends at the brand's CRM",
		Long: `hexiao-connector serves Keruyun's member SPIs for one brand and spends stored value,
coupons and points at Zhimai or ALSC, each redemption exactly once.

It is configured by the very BrandConnector that a cluster takes, and by a
directory that holds the Secrets it refers to: DIR/SECRET/KEY, one file a key.`,
		Version:      version,
		SilenceUsage: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(serveCommand(stderr), checkCommand(stdout), ledgerCommand(stdout, stderr, time.Now), reconcileCommand(stdout, stderr, time.Now))
	return root
}

// brandFlags are the flags that say where the configuration is.
func brandFlags(cmd *cobra.Command) *brand.Files {
	f := &brand.Files{}
	cmd.Flags().StringVar(&f.Object, "config", "", "file with the BrandConnector (YAML)")
	cmd.Flags().StringVar(&f.Credentials, "credentials-dir", "", "directory with one directory per Secret and one file per key")
	cmd.Flags().StringVar(&f.Shops, "shops", "", "file with the shop table, when the brand has spec.shopsConfigMapRef")
	for _, name := range []string{"config", "credentials-dir"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return f
}

func serveCommand(stderr io.Writer) *cobra.Command {
	cfg := service.Config{Version: version}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the point of sale until SIGTERM",
		Example: `  hexiao-connector serve --config brand.yaml --credentials-dir ./credentials --ledger-path ./ledger.db

  # then, at Keruyun's console, enter
  #   https://HOST/keruyun/BRAND/member-assets/verify`,
		Args: cobra.NoArgs,
	}
	files := brandFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:8080", "address for the point of sale")
	flags.StringVar(&cfg.AdminListen, "admin-listen", "127.0.0.1:9090", "address for /livez, /readyz and /metrics")
	flags.StringVar(&cfg.LedgerPath, "ledger-path", "", "file of the embedded ledger, on a local disk; needed with spec.ledger.embedded")
	flags.BoolVar(&cfg.AllowFUSE, "ledger-allow-fuse", false, "take a FUSE file system for a local disk")
	flags.DurationVar(&cfg.DrainDelay, "drain-delay", 3*time.Second, "how long requests are still taken after SIGTERM, while load balancers learn of it")
	flags.DurationVar(&cfg.DrainTimeout, "drain-timeout", 0, "how long calls under way may take after that (default: the longest lateAnswerWindow and 5s)")
	flags.StringVar(&cfg.Owner, "owner", os.Getenv("K8S_POD_NAME"), "name of this process in the ledger's leases (default: the Pod's name, else the host's)")
	timingFlags(cmd, &cfg.Timings)
	level := flags.String("log-level", "", "debug, info, warn or error (default: spec.telemetry.logLevel)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := judge(cfg, *level); err != nil {
			return err
		}
		b, err := brand.Load(*files)
		if err != nil {
			return err
		}
		if b.Object.Spec.Ledger.Embedded != nil && cfg.LedgerPath == "" {
			return errors.New("spec.ledger.embedded is set: name the ledger's file with --ledger-path")
		}
		if *level == "" {
			*level = b.Object.Spec.Telemetry.LogLevel
		}
		if cfg.Logger, err = logger(stderr, *level); err != nil {
			return err
		}
		if cfg.Owner == "" {
			if cfg.Owner, err = os.Hostname(); err != nil {
				return fmt.Errorf("find the host's name (or give --owner): %w", err)
			}
		}
		cfg.Brand = b
		if os.Getpid() == 1 { // in a container
			cfg.LedgerPatience = patience(saidMark(), time.Now())
		}
		s, err := service.Start(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return ended(s.Run(cmd.Context()), saidMark(), time.Now)
	}
	return cmd
}

// judge names every flag of serve at fault, before a file is read: what the files say of
// themselves would hide it.
func judge(cfg service.Config, level string) error {
	var errs []error
	if level != "" {
		_, err := logger(io.Discard, level)
		errs = append(errs, err)
	}
	for _, f := range []struct{ name, address string }{{"listen", cfg.Listen}, {"admin-listen", cfg.AdminListen}} {
		if _, _, err := net.SplitHostPort(f.address); err != nil {
			errs = append(errs, fmt.Errorf("--%s %q: use HOST:PORT, such as 127.0.0.1:8080, or :8080 for every address", f.name, f.address))
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"drain-delay", cfg.DrainDelay}, {"drain-timeout", cfg.DrainTimeout}} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("--%s %s: must not be negative", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// timingFlags are the advanced timings. They are not shown: the defaults fit every
// vendor and every cluster that is known, and a wrong value costs safety. They must be
// the same on all replicas.
func timingFlags(cmd *cobra.Command, t *service.Timings) {
	for _, f := range []struct {
		value       *time.Duration
		name, usage string
	}{
		{&t.LeaseMargin, "lease-margin", "advanced: how long after a call's end another replica takes its leg for abandoned; more than the replicas' clocks differ (default 5s)"},
		{&t.SettleWindow, "settle-window", `advanced: how long after the sending a vendor's "not found" proves nothing (default 1m)`},
		{&t.RefusalWindow, "refusal-window", `advanced: how long after the last sending a person's "refused" takes force (default 10m)`},
		{&t.AbandonAfter, "abandon-after", "advanced: how long a leg that was never sent waits for a repeat (default 10m)"},
		{&t.ResolverIdle, "resolver-idle", "advanced: how often the ledger is asked for what is due (default 500ms)"},
		{&t.ResolverLease, "resolver-lease", "advanced: how long the resolver holds a leg; well above 3s (default 30s)"},
	} {
		cmd.Flags().DurationVar(f.value, f.name, 0, f.usage)
		_ = cmd.Flags().MarkHidden(f.name) // the flag was defined above
	}
}

func logger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	return telemetry.NewLogger(w, l), nil
}

func checkCommand(stdout io.Writer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read the BrandConnector and its Secrets, name every fault, and start nothing",
		Args:  cobra.NoArgs,
	}
	files := brandFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		b, err := brand.Load(*files)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "brand %s is in order (revision %s)\n", b.Object.Spec.BrandID, b.Revision)
		for _, r := range b.Object.Spec.Routes {
			fmt.Fprintf(stdout, "  route %s: %s → %s of %s\n", r.Name, strings.Join(r.Match.AssetMappingIDs, ", "), r.Asset, r.Provider)
		}
		fmt.Fprintf(stdout, "  shops with ids of their own: %d\n", len(b.Shops))
		return nil
	}
	return cmd
}

// SPDX-License-Identifier: Apache-2.0

// Command manager is the operator: it runs a connector for each BrandConnector.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/hexiao-dev/hexiao/connector/telemetry"
	"github.com/hexiao-dev/hexiao/controllers"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stderr).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hexiao-manager:", err)
		os.Exit(1)
	}
}

func command(stderr io.Writer) *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use:   "hexiao-manager",
		Short: "Runs a connector for each BrandConnector of a cluster",
		Long: `hexiao-manager is the operator of Hexiao. It turns each BrandConnector into a
running, observed and upgradable Deployment, and keeps it so.

It runs in the cluster, installed by the Helm chart; outside, it takes the
cluster that KUBECONFIG names.`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, stderr)
		},
	}
	o.addFlags(cmd.Flags(), os.Getenv)
	// controller-runtime reads this flag by itself.
	cmd.PersistentFlags().AddGoFlag(flag.CommandLine.Lookup("kubeconfig"))
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(checkCommand())
	return cmd
}

// run starts the operator and returns when ctx ends.
func run(ctx context.Context, o *options, stderr io.Writer) (reterr error) {
	settings, err := o.complete()
	if err != nil {
		return err
	}
	logger := telemetry.NewLogger(stderr, settings.logLevel)
	ctrl.SetLogger(logr.FromSlogHandler(logger.Handler()))

	tel, err := telemetry.Setup(ctx, telemetry.Config{
		ServiceName: "hexiao-manager", ServiceVersion: version,
		OTLPEndpoint: o.otlpEndpoint, Registry: crmetrics.Registry, Logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		reterr = errors.Join(reterr, tel.Shutdown(flush))
	}()

	mgr, err := newManager(settings)
	if err != nil {
		return err
	}
	if err := addController(ctx, mgr, settings, tel, logger); err != nil {
		return err
	}
	logger.Info("Starting the operator", "version", version, "connectorImage", o.connectorImage,
		"namespaces", o.watchNamespaces, "selector", o.watchLabelSelector)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the operator: %w", err)
	}
	return nil
}

func newManager(s *settings) (ctrl.Manager, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	config.UserAgent = "hexiao-manager/" + version
	// The API server's priority and fairness throttles better than a client does.
	config.QPS = -1
	gatewayAPI, err := discoverGatewayAPI(config)
	if err != nil {
		return nil, err
	}
	s.gatewayAPI = gatewayAPI
	mgr, err := ctrl.NewManager(config, s.managerOptions())
	if err != nil {
		return nil, fmt.Errorf("set up the operator: %w", err)
	}
	return mgr, nil
}

func addController(ctx context.Context, mgr ctrl.Manager, s *settings, tel *telemetry.Telemetry, logger *slog.Logger) error {
	// Before the start there is no cache to read from.
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return fmt.Errorf("set up a client: %w", err)
	}
	key, err := controllers.RevisionKey(ctx, direct, s.namespace)
	if err != nil {
		return err
	}
	s.installation.RevisionKey = key
	metrics, err := controllers.NewMetrics(crmetrics.Registry, mgr.GetCache())
	if err != nil {
		return fmt.Errorf("register the metrics: %w", err)
	}
	if err := mgr.Add(&crdComparison{config: mgr.GetConfig(), client: mgr.GetHTTPClient(), metrics: metrics, logger: logger}); err != nil {
		return fmt.Errorf("add the comparison of CRDs: %w", err)
	}
	reconciler := controllers.New(controllers.Config{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("hexiao-operator"),
		Tracer: tel.Tracer(), Clock: clock.RealClock{}, Metrics: metrics,
		Installation: s.installation, GatewayAPI: s.gatewayAPI,
		Classes: s.connectorClasses, Rollout: s.rollout, Namespace: s.namespace,
	})
	if err := reconciler.SetupWithManager(ctx, mgr, s.controller); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return addProbes(mgr)
}

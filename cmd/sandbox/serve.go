// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

type serveOptions struct {
	at       sandbox.Addresses
	config   string
	books    string
	logLevel string
	grace    time.Duration
}

func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Play Zhimai and ALSC",
		Long: `Serves POST /zhimai/api/v2, POST /top/router/rest, the administration under
/sandbox/v1 and a trace sink at POST /v1/traces. When it accepts connections it
prints one line of JSON with its addresses on standard output; logs go to
standard error. Without --config it knows a demo brand with the member 1001.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.at.All, "listen", "127.0.0.1:18080", "address of everything, host:port")
	f.StringVar(&o.at.Zhimai, "zhimai-listen", "", "one more address for Zhimai alone, so that it can refuse connections")
	f.StringVar(&o.at.ALSC, "alsc-listen", "", "one more address for ALSC alone, so that it can refuse connections")
	f.StringVar(&o.config, "config", "", "YAML file with credentials, members, faults and switches")
	f.StringVar(&o.books, "books", "", "file that keeps the books over a restart (default: memory)")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.DurationVar(&o.grace, "shutdown-grace", 5*time.Second, "how long running calls may last after SIGTERM")
	return cmd
}

func serve(cmd *cobra.Command, o serveOptions) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	cfg := sandbox.DemoConfig()
	if o.config != "" {
		var err error
		if cfg, err = sandbox.LoadConfig(o.config); err != nil {
			return err
		}
	}
	if o.books != "" {
		cfg.BooksFile = o.books
	}
	s, err := sandbox.New(cfg, sandbox.WithLogger(log))
	if err != nil {
		return err
	}
	srv, err := sandbox.Serve(s, o.at)
	if err != nil {
		return err
	}
	ready := map[string]string{"admin_url": srv.AdminURL, "zhimai_url": srv.ZhimaiURL, "alsc_url": srv.ALSCURL}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(ready); err != nil {
		return fmt.Errorf("announce addresses: %w", err)
	}
	log.Info("serving", "admin", srv.AdminURL, "zhimai", srv.ZhimaiURL, "alsc", srv.ALSCURL)
	<-cmd.Context().Done()
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), o.grace)
	defer cancel()
	return srv.Shutdown(ctx)
}

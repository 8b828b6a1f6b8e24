// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a machine of the support desk may have none

	"github.com/spf13/cobra"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/tempo"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// The environment that a support desk sets once.
const (
	envTracesURL   = "HEXIAO_TRACES_URL"
	envTempoURL    = "HEXIAO_TEMPO_URL"
	envTempoTenant = "HEXIAO_TEMPO_TENANT"
)

const (
	tracePlaceholder = "{traceID}"
	tempoTimeout     = 15 * time.Second
)

// traceOrder is what trace is asked to do.
type traceOrder struct {
	brand                         reach.Brand
	search                        adminapi.Search
	bizID                         string // by flag
	link, tempoURL, tenant, zones string
}

func traceCommand(a *access) *cobra.Command {
	o := &traceOrder{}
	cmd := &cobra.Command{
		Use:   "trace BRAND [BIZID]",
		Short: "Follow one redemption from the till's call to the reply: was it charged, and once?",
		Long: `trace finds a redemption in the brand's ledger, in whatever state it is, and everything
else of the same order. On top it says whether the member was charged, whether twice,
and whether the ledger's hash chain vouches for it. Below it shows each request with
its vendor calls, keys and flow ids, and a time line of all that happened: the plan,
each vendor's answer, what the resolver found, what a person decided, reversals, and
the reply.

With --traces-url it prints where each trace can be looked at; with --tempo-url it puts
the spans into the time line. They add durations; the verdict is the ledger's alone.`,
		Example: `  kubectl hexiao trace xiaowang 20250001 -n brands

  # by the order number on the receipt, or by messageUuid of the till's reply
  kubectl hexiao trace xiaowang --order 2025121000002 -n brands
  kubectl hexiao trace xiaowang --trace-id 4bf92f3577b34da6a3ce929d0e0e4736 -n brands

  # with what the ledger wrote down, word for word
  kubectl hexiao trace xiaowang 20250001 -n brands -o wide

  # with the spans that Tempo has
  kubectl hexiao trace xiaowang 20250001 -n brands --tempo-url http://127.0.0.1:3200`,
		Args: upTo(2), ValidArgsFunction: a.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error { return a.trace(cmd, args, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.bizID, "biz-id", "", "the same as BIZID")
	f.StringVar(&o.search.OrderNo, "order", "", "kryTransOrderNo, the order's number")
	f.StringVar(&o.search.PaymentNo, "payment", "", "kryPaymentNo, the payment's number")
	f.StringVar(&o.search.TraceID, "trace-id", "", "trace id: messageUuid of the reply")
	f.StringVar(&o.search.FlowID, "flow-id", "", "flowId of the reply")
	f.StringVar(&o.link, "traces-url", os.Getenv(envTracesURL), "where a trace can be looked at, with "+tracePlaceholder+" in it, such as http://jaeger.example/trace/"+tracePlaceholder+" ($"+envTracesURL+")")
	f.StringVar(&o.tempoURL, "tempo-url", "", "base URL of a backend with Tempo's HTTP API, to read spans from ($"+envTempoURL+")")
	f.StringVar(&o.tenant, "tempo-tenant", os.Getenv(envTempoTenant), "tenant at that backend, sent as X-Scope-OrgID ($"+envTempoTenant+")")
	timeZoneFlag(f, &o.zones)
	return cmd
}

func (a *access) trace(cmd *cobra.Command, args []string, o *traceOrder) error {
	zone, err := a.traceArgs(args, o)
	if err != nil {
		return err
	}
	d, namespace, err := a.desk(cmd)
	if err != nil {
		return err
	}
	o.brand.Namespace = namespace
	cases, err := o.find(cmd.Context(), d)
	for i := range cases {
		cases[i].Place = a.place(o.brand)
	}
	if errors.Is(err, trail.ErrNone) {
		return &exit{exitNotFound, err}
	}
	if err != nil {
		return err
	}
	stories, err := o.tell(cmd.Context(), d, cases)
	if err != nil {
		return err
	}
	if done, err := present.Machine(d.Out, d.Format, map[string]any{"stories": stories}); done {
		return err
	}
	return trail.Text(d.Out, stories, zone, d.Format == present.Wide)
}

// place is how the person named the brand, for the commands that they are told to run.
func (a *access) place(b reach.Brand) trail.Place {
	if a.adminURL != "" {
		return trail.Place{Flags: []string{"--admin-url " + a.adminURL}}
	}
	p := trail.Place{Brand: b.Name, Flags: []string{"-n " + b.Namespace}}
	if a.overrides.CurrentContext != "" {
		p.Flags = append(p.Flags, "--context "+a.overrides.CurrentContext)
	}
	return p
}

// traceArgs reads BRAND and BIZID, and checks what can be checked before anybody is
// asked.
func (a *access) traceArgs(args []string, o *traceOrder) (*time.Location, error) {
	wrong := func(format string, args ...any) (*time.Location, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{desk.ErrUsage}, args...)...)
	}
	if a.adminURL == "" {
		if len(args) == 0 {
			return wrong("name the brand: kubectl hexiao trace BRAND BIZID")
		}
		name, err := brandName(args[0])
		if err != nil {
			return nil, err
		}
		o.brand.Name, args = name, args[1:]
	}
	switch {
	case len(args) > 1:
		return wrong("with --admin-url the one argument is BIZID")
	case len(args) == 1 && o.bizID != "" && o.bizID != args[0]:
		return wrong("BIZID is %q and --biz-id %q: say one of them", args[0], o.bizID)
	}
	if o.search.BizID = o.bizID; len(args) == 1 {
		o.search.BizID = args[0]
	}
	if o.search == (adminapi.Search{}) {
		return wrong("say which redemption: BIZID, --order, --payment, --trace-id or --flow-id")
	}
	o.search.TraceID = strings.ToLower(strings.ReplaceAll(o.search.TraceID, "-", ""))
	if o.link != "" {
		if u, err := url.Parse(strings.ReplaceAll(o.link, tracePlaceholder, "0")); err != nil || u.Host == "" || !strings.Contains(o.link, tracePlaceholder) {
			return wrong("--traces-url: %q is no URL with %s in it: use one like http://jaeger.example/trace/%s", o.link, tracePlaceholder, tracePlaceholder)
		}
	}
	return timeZone(o.zones)
}

// find asks the brand's connector.
func (o *traceOrder) find(ctx context.Context, d *desk.Desk) (cases []trail.Case, err error) {
	stop := present.Progress(d.Err, d.Patience, func() string { return "waiting for the connector of " + o.brand.String() })
	defer stop()
	c, err := d.Way.Open(ctx, o.brand)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return trail.Find(ctx, c, o.search)
}

// tell adds the traces to the cases.
func (o *traceOrder) tell(ctx context.Context, d *desk.Desk, cases []trail.Case) ([]trail.Story, error) {
	base := o.tempoURL
	if base == "" {
		base = os.Getenv(envTempoURL) // no flag's default: it may hold a password, which --help would show
	}
	var backend *tempo.Client
	if base != "" {
		var err error
		if backend, err = tempo.New(base, o.tenant, &http.Client{Timeout: tempoTimeout}); err != nil {
			return nil, fmt.Errorf("%w: --tempo-url: %w", desk.ErrUsage, err)
		}
	}
	stop := present.Progress(d.Err, d.Patience, func() string { return "waiting for the tracing backend" })
	defer stop()
	stories := make([]trail.Story, len(cases))
	for i, c := range cases {
		traces := o.traces(c)
		var spans []trail.Span
		for j := range traces {
			if backend == nil {
				continue
			}
			got, err := backend.Trace(ctx, traces[j].ID)
			if err != nil {
				traces[j].Error = err.Error() // the verdict needs no spans
				continue
			}
			traces[j].Spans = len(got)
			spans = append(spans, got...)
		}
		stories[i] = trail.Tell(c, traces, spans)
	}
	return stories, nil
}

// traces are those of the case's requests, each once.
func (o *traceOrder) traces(c trail.Case) []trail.Trace {
	var all []trail.Trace
	for _, t := range c.Requests() {
		r := t.Redemption
		if r.TraceID == "" {
			continue
		}
		i := slices.IndexFunc(all, func(x trail.Trace) bool { return x.ID == r.TraceID })
		if i < 0 {
			i, all = len(all), append(all, trail.Trace{ID: r.TraceID})
			if o.link != "" {
				all[i].URL = strings.ReplaceAll(o.link, tracePlaceholder, r.TraceID)
			}
		}
		all[i].BizIDs = append(all[i].BizIDs, r.BizID)
	}
	return all
}

// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/admin"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/keruyun"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// Config is what the command line decides; the brand decides the rest.
type Config struct {
	Brand *brand.Brand
	// Listen is the address for the point of sale, AdminListen the one for probes
	// and metrics.
	Listen, AdminListen string
	// LedgerPath is the SQLite file of an embedded ledger.
	LedgerPath string
	// AllowFUSE takes a FUSE file system for a local disk.
	AllowFUSE bool
	// DrainDelay is how long requests are still taken after the order to stop, while
	// load balancers learn of it. DrainTimeout bounds everything after that; zero is
	// the longest that a vendor call may take, and a little more.
	DrainDelay, DrainTimeout time.Duration
	// Owner names this process in the ledger's leases, such as the Pod's name.
	Owner string
	// LedgerPatience is how long a database that does not answer is waited for at the
	// start; zero is for ever.
	LedgerPatience time.Duration
	// Timings of the engine, for who knows why.
	Timings Timings
	// Version of the connector.
	Version string
	Logger  *slog.Logger
}

// sealEvery is how old what no seal covers may get: until then a redemption that
// is deleted from the database whole is not missed.
const sealEvery = time.Minute

// Service is a connector. Make it with Start, run it with Run.
type Service struct {
	cfg   Config
	brand *brand.Brand
	log   *slog.Logger

	telemetry *telemetry.Telemetry
	meter     *telemetry.Metrics
	startup   *telemetry.Startup
	ledger    *ledger.Ledger
	http      *oneshot.Client
	providers map[string]redeem.Provider
	engine    *redeem.Engine
	handler   *keruyun.Handler

	public, admin net.Listener
	ready         atomic.Bool
	// desk is for who decides by hand; nil until the ledger is open.
	desk atomic.Pointer[http.Handler]
}

// Start binds both listeners and begins to answer probes; requests are answered by
// Run, once the ledger is open. An error names what to correct.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{cfg: cfg, brand: cfg.Brand, log: cfg.Logger}
	if err := s.setUpTelemetry(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.public, err = listen(ctx, cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen for the point of sale (--listen): %w", err)
	}
	if s.admin, err = listen(ctx, cfg.AdminListen); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for probes and metrics (--admin-listen): %w", err), s.public.Close())
	}
	return s, nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// Addr is where the point of sale is listened for, AdminAddr where probes are.
func (s *Service) Addr() net.Addr { return s.public.Addr() }

// AdminAddr is where probes and metrics are served.
func (s *Service) AdminAddr() net.Addr { return s.admin.Addr() }

func (s *Service) setUpTelemetry(ctx context.Context) error {
	spec := s.brand.Object.Spec.Telemetry
	ratio := float64(*spec.SamplingPercent) / 100
	var err error
	s.telemetry, err = telemetry.Setup(ctx, telemetry.Config{
		ServiceName: "hexiao-connector", ServiceVersion: s.cfg.Version, BrandID: s.brand.Object.Spec.BrandID,
		OTLPEndpoint: spec.OTLPEndpoint, SampleRatio: &ratio, Logger: s.log,
	})
	if err != nil {
		return err
	}
	names := []string{}
	if s.brand.Object.Spec.Providers.Zhimai != nil {
		names = append(names, string(v1alpha1.ProviderZhimai))
	}
	if s.brand.Object.Spec.Providers.Alsc != nil {
		names = append(names, string(v1alpha1.ProviderAlsc))
	}
	if s.meter, err = telemetry.NewMetrics(s.telemetry.MeterProvider(), names...); err != nil {
		return err
	}
	s.meter.ReplyDeadline(s.brand.Object.Spec.Keruyun.ReplyDeadline.Duration)
	return nil
}

// Run serves until ctx ends, then drains. It returns nil after an orderly stop.
func (s *Service) Run(ctx context.Context) error {
	ctx, s.startup = s.telemetry.Startup(ctx, "connector.start")
	adminServer := s.adminServer()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, background := errgroup.WithContext(background)
	group.Go(func() error { return serve(adminServer, s.admin) })

	err := s.open(ctx)
	if err == nil {
		err = s.serve(ctx, background, group)
	}
	s.ready.Store(false)
	stop()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, stopAdmin(end, adminServer), group.Wait())
	if s.ledger != nil {
		err = errors.Join(err, s.ledger.Close())
	}
	if flush := s.telemetry.Shutdown(end); flush != nil {
		s.log.Warn("the last traces were not exported", "error", flush)
	}
	return err
}

// ErrLedgerAway is the end of a Run whose database did not answer for as long as
// Config.LedgerPatience. The error that has it speaks of the last try.
var ErrLedgerAway = errors.New("the database does not answer")

// awayError is an ErrLedgerAway in the words of the last try.
type awayError struct{ error }

func (e awayError) Unwrap() []error { return []error{e.error, ErrLedgerAway} }

// open makes everything that needs the ledger. A database that is not there yet is
// waited for: the probes say that the process lives and is not ready. A refusal that
// stays until somebody changes something ends the process, which says why at its end.
func (s *Service) open(ctx context.Context) error {
	began := time.Now()
	config, backend := s.ledgerConfig()
	config.Observer = ledgerMetrics{s.meter, backend}
	for delay := time.Second; ; delay = min(2*delay, 15*time.Second) {
		var err error
		if s.ledger, err = ledger.Open(ctx, config); err == nil {
			break
		}
		if backend == "sqlite" || ctx.Err() != nil || !ledger.Passing(err) {
			return err
		}
		if p := s.cfg.LedgerPatience; p > 0 && time.Since(began) >= p {
			return awayError{err}
		}
		s.log.ErrorContext(ctx, "the ledger cannot be opened; trying again", "error", err, "in", delay.String())
		select {
		case <-ctx.Done():
			return err
		case <-time.After(delay):
		}
	}
	return s.assemble()
}

func (s *Service) ledgerConfig() (config ledger.Config, backend string) {
	config = ledger.Config{Logger: s.log, TracerProvider: s.telemetry.TracerProvider()}
	pg := s.brand.Object.Spec.Ledger.Postgres
	if pg == nil {
		config.Path, config.AllowFUSE = s.cfg.LedgerPath, s.cfg.AllowFUSE
		return config, "sqlite"
	}
	config.DSN, config.Schema = s.brand.LedgerDSN.Reveal(), pg.Schema
	config.MaxConnections = pg.MaxConnections
	return config, "postgres"
}

func (s *Service) assemble() (err error) {
	spec := &s.brand.Object.Spec
	s.http = oneshot.New(oneshot.Config{Propagate: spec.Telemetry.Propagation == v1alpha1.PropagationW3C})
	s.providers, err = vendors(s.brand, surroundings{s.http, s.telemetry.TracerProvider(), s.log, s.meter})
	if err != nil {
		return err
	}
	s.engine, err = redeem.New(s.engineConfig(), edges(redeem.Deps{
		Ledger: s.ledger, Providers: s.providers,
		Render:         func(r redeem.Redemption) []byte { return keruyun.VerifyAnswer(r, s.replies()) },
		HashMobile:     s.hashMobile,
		Logger:         s.log,
		TracerProvider: s.telemetry.TracerProvider(),
		Metrics:        engineMetrics{s.meter},
	}))
	if err != nil {
		return err
	}
	s.handler, err = keruyun.New(s.keruyunConfig(), s.engine)
	if err != nil {
		return err
	}
	desk := admin.New(admin.Config{BrandID: spec.BrandID, Engine: s.engine, Ledger: s.ledger, Now: time.Now, Logger: s.log})
	s.desk.Store(&desk)
	return s.observe()
}

func (s *Service) replies() keruyun.Options {
	k := &s.brand.Object.Spec.Keruyun
	return keruyun.Options{RefusalAsFault: k.RefusalReply == v1alpha1.RefusalReplySystemError, NoRecord: keruyun.NoRecord(k.NoRecordReply)}
}

func (s *Service) keruyunConfig() keruyun.Config {
	k := &s.brand.Object.Spec.Keruyun
	versions := make([]keruyun.Version, 0, len(k.SignatureVersions))
	for _, v := range k.SignatureVersions {
		versions = append(versions, keruyun.Version(v))
	}
	return keruyun.Config{
		BrandID: s.brand.Object.Spec.BrandID, QueryBrandID: k.BrandID,
		AppKey: s.brand.Keruyun.AppKey, Tokens: []string{s.brand.Keruyun.Token.Reveal()},
		Versions: versions, ReplyDeadline: k.ReplyDeadline.Duration, Replies: s.replies(),
		Reverser: s.engine, Finder: s.engine, Members: s.engine,
		Clock: time.Now, Logger: s.log, TracerProvider: s.telemetry.TracerProvider(),
		Observe: requests(s.meter, s.startup),
	}
}

func (s *Service) engineConfig() redeem.Config {
	spec := &s.brand.Object.Spec
	cfg := redeem.Config{
		BrandID: spec.BrandID, PartialFailure: redeem.PartialPolicy(spec.PartialFailure),
		InDoubt: map[string]redeem.Strategy{}, Limits: map[string]redeem.Limit{},
		ReplyDeadline: spec.Keruyun.ReplyDeadline.Duration,
		ReplyMargin:   min(200*time.Millisecond, spec.Keruyun.ReplyDeadline.Duration/10),
		Owner:         s.cfg.Owner, ConfigRevision: s.brand.Revision, ConnectorVersion: s.cfg.Version,
	}
	s.cfg.Timings.apply(&cfg)
	for _, r := range spec.Routes {
		cfg.Routes = append(cfg.Routes, redeem.Route{
			Name: r.Name, AssetMappingIDs: r.Match.AssetMappingIDs, Asset: redeem.Asset(r.Asset), Provider: string(r.Provider),
		})
	}
	provider := func(name v1alpha1.ProviderName, inDoubt string, l v1alpha1.ProviderLimits) {
		cfg.InDoubt[string(name)] = redeem.Strategy(inDoubt)
		cfg.Limits[string(name)] = redeem.Limit{PerSecond: float64(l.RequestsPerSecond), Concurrent: int(l.Concurrency)}
		cfg.CallWindow = max(cfg.CallWindow, l.LateAnswerWindow.Duration)
	}
	if z := spec.Providers.Zhimai; z != nil {
		provider(v1alpha1.ProviderZhimai, string(z.InDoubt), z.Limits)
	}
	if a := spec.Providers.Alsc; a != nil {
		provider(v1alpha1.ProviderAlsc, string(a.InDoubt), a.Limits)
	}
	return cfg
}

// hashMobile makes what the ledger keeps of a mobile number: enough to find a
// member's redemptions by it, useless to who does not have the brand's token.
func (s *Service) hashMobile(mobile string) string {
	mac := hmac.New(sha256.New, []byte("hexiao mobile "+s.brand.Keruyun.Token.Reveal()))
	mac.Write([]byte(mobile))
	return hex.EncodeToString(mac.Sum(nil))
}

// serve answers the point of sale until ctx ends, then lets what is under way end.
func (s *Service) serve(ctx, background context.Context, group *errgroup.Group) error {
	server := &http.Server{
		Handler: s.leaving(s.handler), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: s.brand.Object.Spec.Keruyun.ReplyDeadline.Duration + 10*time.Second,
		IdleTimeout:  75 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	group.Go(func() error { return serve(server, s.public) })
	group.Go(func() error { return ignoreCancel(s.engine.Run(background)) })
	group.Go(func() error { s.ledger.KeepSealed(background, s.brand.Object.Spec.BrandID, sealEvery); return nil })
	s.ready.Store(true)
	s.startup.Ready()
	s.log.InfoContext(ctx, "ready", "brand", s.brand.Object.Spec.BrandID, "listen", s.public.Addr().String(),
		"admin", s.admin.Addr().String(), "revision", s.brand.Revision, "version", s.cfg.Version)
	select {
	case <-ctx.Done():
	case <-background.Done(): // a listener or the resolver failed
	}
	return s.drain(server)
}

// leaving has each answer end its connection once the connector is to stop: a client that
// kept it would else send the next request just when it is closed, and could not know what
// became of that.
func (s *Service) leaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Service) drain(server *http.Server) error {
	s.ready.Store(false)
	timeout := s.cfg.DrainTimeout
	if timeout == 0 {
		timeout = s.engineConfig().CallWindow + 5*time.Second
	}
	s.log.Info("draining", "delay", s.cfg.DrainDelay.String(), "timeout", timeout.String())
	time.Sleep(s.cfg.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// Connections that are idle go first, so that no request comes in on one while
	// the handler already turns them away.
	err := errors.Join(server.Shutdown(ctx), s.handler.Drain(ctx), s.engine.Close(ctx))
	s.http.Close()
	if err != nil {
		s.log.Warn("stopped before every call had ended; the resolver of the next process goes on with them", "error", err)
		return nil
	}
	s.log.Info("drained")
	return nil
}

func serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

// stopAdmin lets what is being answered end. Shutdown waits, too, for connections on which
// nothing was said yet, and clients keep such; they are not waited for, and what is left
// of ctx is for the last traces.
func stopAdmin(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}

func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// adminServer answers probes and metrics, and who comes over the loopback interface
// to decide by hand.
func (s *Service) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "not ready: starting, or draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", s.telemetry.MetricsHandler())
	starting := admin.Unavailable()
	mux.HandleFunc("/admin/", func(w http.ResponseWriter, r *http.Request) {
		if desk := s.desk.Load(); desk != nil {
			(*desk).ServeHTTP(w, r)
			return
		}
		starting.ServeHTTP(w, r)
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
}

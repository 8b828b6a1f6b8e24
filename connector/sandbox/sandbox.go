// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/spans"
)

// Paths of the vendors, as their documents end them.
const (
	ZhimaiPath = "/zhimai/api/v2"
	ALSCPath   = "/top/router/rest"
)

// maxBody bounds what a call may send, in bytes.
const maxBody = 4 << 20

// Sandbox plays both vendors. It is an http.Handler and safe for concurrent
// use.
type Sandbox struct {
	cfg    Config
	now    func() time.Time
	log    *slog.Logger
	books  *books.Books
	faults *fault.Plan
	calls  *callLog
	spans  *spans.Store
	mux    *http.ServeMux
	done   chan struct{} // closed by Close: ends hanging and sleeping calls
	close  sync.Once

	gatewayCalls atomic.Int64 // numbers TOP's own request ids

	// booking makes "look whether this key was used, then book" one step, a
	// vendor at a time.
	booking map[books.Vendor]*sync.Mutex

	mu       sync.Mutex
	zhimai   []ZhimaiAccount
	apps     []TOPApp
	nonces   map[string]time.Time // seen Zhimai nonces → when
	bans     map[books.Vendor]time.Time
	limiters map[string]*rate.Limiter
	down     map[books.Vendor]DownMode
	onDown   func(books.Vendor, DownMode) error // the sockets', when there are any
	plants   map[int64]Plant
}

// Option changes what a sandbox is made of.
type Option func(*Sandbox)

// WithClock sets the clock that stamps entries and judges time stamps.
func WithClock(now func() time.Time) Option { return func(s *Sandbox) { s.now = now } }

// WithLogger sets the logger. The sandbox logs no personal data and no
// credentials; the call log of the administration holds calls as received.
func WithLogger(l *slog.Logger) Option { return func(s *Sandbox) { s.log = l } }

// New makes a sandbox from cfg, whose zero values mean the defaults.
func New(cfg Config, opts ...Option) (*Sandbox, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Sandbox{
		cfg: cfg, now: time.Now, log: slog.New(slog.DiscardHandler),
		faults: fault.NewPlan(cfg.Seed), calls: newCallLog(cfg.CallLog), spans: spans.NewStore(cfg.SpanLog),
		done:    make(chan struct{}),
		booking: map[books.Vendor]*sync.Mutex{books.Zhimai: {}, books.ALSC: {}},
		zhimai:  cfg.Zhimai.Accounts, apps: cfg.ALSC.Apps,
		nonces: map[string]time.Time{}, bans: map[books.Vendor]time.Time{}, limiters: map[string]*rate.Limiter{},
		down: map[books.Vendor]DownMode{}, plants: map[int64]Plant{},
	}
	for _, o := range opts {
		o(s)
	}
	if err := s.openBooks(); err != nil {
		return nil, err
	}
	if _, err := s.faults.Add(cfg.Faults...); err != nil {
		return nil, errors.Join(err, s.books.Close())
	}
	s.mux = s.routes()
	return s, nil
}

// openBooks opens the books and puts the members of the configuration, but
// not over members that the books on disk already have.
func (s *Sandbox) openBooks() error {
	if s.cfg.BooksFile == "" {
		s.books = books.New(s.cfg.Split, s.now)
	} else {
		b, err := books.Open(s.cfg.BooksFile, s.cfg.Split, s.now)
		if err != nil {
			return err
		}
		s.books = b
	}
	for i, m := range s.cfg.Members {
		if _, ok := s.books.Find(m.Vendor, books.ByID, m.ID); ok {
			continue
		}
		if err := s.books.Put(m); err != nil {
			return errors.Join(fmt.Errorf("members[%d].%w", i, err), s.books.Close())
		}
	}
	return nil
}

func (s *Sandbox) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc(ZhimaiPath, s.vendor(books.Zhimai, s.serveZhimai))
	mux.HandleFunc(ALSCPath, s.vendor(books.ALSC, s.serveTOP))
	s.adminRoutes(mux)
	s.traceRoutes(mux)
	return mux
}

// ServeHTTP serves vendors, administration and trace sink by path.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Books are the oracle: what was really taken and given back.
func (s *Sandbox) Books() *books.Books { return s.books }

// Faults is the fault plan, to be changed at any time.
func (s *Sandbox) Faults() *fault.Plan { return s.faults }

// Spans holds what came to the trace sink.
func (s *Sandbox) Spans() *spans.Store { return s.spans }

// Calls returns the remembered calls that f selects, oldest first.
func (s *Sandbox) Calls(f CallFilter) []Call { return s.calls.list(f) }

// Deliveries returns how often each key arrived and was booked; repeatedOnly
// leaves out keys that did so once.
func (s *Sandbox) Deliveries(repeatedOnly bool) []Delivery { return s.calls.counted(repeatedOnly) }

// Reset forgets calls, spans, faults, bans, planted differences and entries,
// and the members too unless keepMembers is set. Credentials stay.
func (s *Sandbox) Reset(keepMembers bool) error {
	s.calls.reset()
	s.spans.Reset()
	s.faults.Remove("")
	s.mu.Lock()
	s.nonces, s.bans, s.plants = map[string]time.Time{}, map[books.Vendor]time.Time{}, map[int64]Plant{}
	s.mu.Unlock()
	return s.books.Reset(keepMembers)
}

// Close ends calls that hang or sleep and closes the books.
func (s *Sandbox) Close() error {
	s.close.Do(func() { close(s.done) })
	return s.books.Close()
}

// SetCredentials replaces the credentials of a vendor for which at least one
// set is given, so that a rotation can accept the old and the new for a time.
func (s *Sandbox) SetCredentials(zhimai []ZhimaiAccount, apps []TOPApp) error {
	if err := (Config{Zhimai: ZhimaiConfig{Accounts: zhimai}, ALSC: ALSCConfig{Apps: apps}}).validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(zhimai) > 0 {
		s.zhimai = zhimai
	}
	if len(apps) > 0 {
		s.apps = apps
	}
	return nil
}

// DownMode is how a vendor is out of reach.
type DownMode string

// The modes. On a socket that the vendor shares with the administration,
// refusing and resetting are the same: a reset once the request was read.
const (
	Up     DownMode = ""
	Refuse DownMode = "refuse" // nothing listens: connection refused
	Reset  DownMode = "reset"  // connections are accepted and reset
)

// SetDown takes a vendor off the network or brings it back.
func (s *Sandbox) SetDown(v books.Vendor, mode DownMode) error {
	if v != books.Zhimai && v != books.ALSC {
		return fmt.Errorf("vendor: %q is unknown, use zhimai or alsc", v)
	}
	if mode != Up && mode != Refuse && mode != Reset {
		return fmt.Errorf("mode: %q is unknown, use refuse, reset or an empty text for up", mode)
	}
	s.mu.Lock()
	s.down[v] = mode
	hook := s.onDown
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(v, mode)
}

func (s *Sandbox) isDown(v books.Vendor) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down[v] != Up
}

// vendor reads a call and logs it; serve answers it.
func (s *Sandbox) vendor(v books.Vendor, serve func(*visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.isDown(v) {
			reset(w)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			// The request did not arrive whole: to a vendor it never happened.
			s.log.Warn("call cut short", "vendor", v, "error", err)
			panic(http.ErrAbortHandler)
		}
		serve(&visit{s: s, w: w, r: r, body: body, call: &Call{
			Time: s.now().UTC(), Vendor: v, HTTPMethod: r.Method, URL: r.URL.String(), Host: r.Host,
			Remote: r.RemoteAddr, Header: r.Header.Clone(), Body: string(body), Answer: Answer{How: "pending"},
		}})
	}
}

// limited reports the seconds that a ban of the vendor still lasts, and
// starts one of a second when the configured rate is exceeded.
func (s *Sandbox) limited(v books.Vendor, method string, perSecond int) (seconds int, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if until := s.bans[v]; now.Before(until) {
		return int((until.Sub(now) + time.Second - 1) / time.Second), true
	}
	if perSecond <= 0 {
		return 0, false
	}
	id := string(v) + " " + method
	l := s.limiters[id]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(perSecond), perSecond)
		s.limiters[id] = l
	}
	if l.AllowN(now, 1) {
		return 0, false
	}
	return 1, true
}

func (s *Sandbox) ban(v books.Vendor, seconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bans[v] = s.now().Add(time.Duration(seconds) * time.Second)
}

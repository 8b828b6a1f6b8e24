// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Engine redeems. It keeps to the deadline in the request, and whatever it returns is
// already durable.
type Engine interface {
	Verify(ctx context.Context, req redeem.Request) redeem.Result
}

// Reverser undoes redemptions.
type Reverser interface {
	Reverse(ctx context.Context, req redeem.Request) redeem.Result
}

// Finder says what became of a payment, or redeem.ErrNotFound. Of several redemptions
// under the same numbers it returns the one that matters most to the question whether
// the payment is through.
type Finder interface {
	Find(ctx context.Context, l redeem.Lookup) (redeem.Redemption, error)
}

// Config of a Handler. What has a default may be left zero.
type Config struct {
	// BrandID is the brand's kryBrandId: the one in the path. Required.
	BrandID string
	// QueryBrandID is the public parameter brandId, when it differs from BrandID.
	QueryBrandID string
	// AppKey and Tokens authenticate the caller. Required. Several tokens are accepted
	// while one is being replaced.
	AppKey string
	Tokens []string
	// Versions of the signature to accept. By default both: Keruyun does not say which
	// one signs the member SPIs. See V1 for what it does not cover.
	Versions []Version

	// ReplyDeadline is the budget of a call, from its arrival to our reply; default 4 s.
	ReplyDeadline time.Duration
	// MaxBody bounds the body in bytes; default 64 KiB.
	MaxBody int64
	// MaxConcurrent bounds the requests that are served at once; default 256.
	MaxConcurrent int
	// TrustTraceParent continues the trace of an inbound traceparent header. By
	// default a request starts a trace of its own and only links to it: the caller
	// must not choose our trace ids, they are what people search the ledger by.
	TrustTraceParent bool
	Replies          Options

	// Reverser, Finder and Members serve the reversal, the result query and the member
	// query; nil: 404.
	Reverser Reverser
	Finder   Finder
	Members  MemberFinder

	// Clock, Logger and TracerProvider are required.
	Clock          func() time.Time
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	// Observe, when not nil, hears of every request right before its reply.
	Observe func(context.Context, Access)
}

const (
	defaultReplyDeadline = 4 * time.Second
	defaultMaxBody       = 64 << 10
	defaultMaxConcurrent = 256
	// backstop is how long after the reply deadline the handler itself answers, should
	// the engine be stuck (a commit on a dying disk).
	backstop = 250 * time.Millisecond
)

// Handler serves the member SPIs of one brand. It answers every request with the
// envelope, so it is meant to be the handler of a whole listener: http.ServeMux would
// answer an unclean path with a redirect in HTML.
type Handler struct {
	cfg    Config
	engine Engine
	tracer trace.Tracer
	spis   map[string]spi
	slots  chan struct{}

	mu       sync.Mutex
	draining bool
	inFlight sync.WaitGroup
}

// spi is one endpoint. prepare decodes an authenticated body, fills what is logged, and
// returns the call that answers it.
type spi struct {
	name    string
	prepare func(x *exchange, body []byte) call
	// lost answers for a call that came to no answer of its own.
	lost func(traceID string) []byte
}

// call answers a decoded request. It may outlive the exchange that it answers.
type call func(ctx context.Context) reply

// reply is an answer and what the log says of it.
type reply struct {
	answer                 []byte
	replayed               bool
	refusal                bool // judged and refused: whatever the code, nobody's fault
	subCode, field, detail string
}

// exchange is a request on its way.
type exchange struct {
	access            Access
	arrived, deadline time.Time
}

// New returns the handler of a brand. It fails when the configuration could not
// authenticate anybody.
func New(cfg Config, engine Engine) (*Handler, error) {
	if cfg.BrandID == "" || cfg.AppKey == "" || len(cfg.Tokens) == 0 || slices.Contains(cfg.Tokens, "") {
		return nil, errors.New("keruyun: brand id, app key and token are required and not empty")
	}
	if cfg.Clock == nil || cfg.Logger == nil || cfg.TracerProvider == nil || engine == nil {
		return nil, errors.New("keruyun: clock, logger, tracer provider and engine are required")
	}
	if cfg.QueryBrandID == "" {
		cfg.QueryBrandID = cfg.BrandID
	}
	if len(cfg.Versions) == 0 {
		cfg.Versions = []Version{V1, V2}
	}
	for _, v := range cfg.Versions {
		if v != V1 && v != V2 {
			return nil, fmt.Errorf("keruyun: signature version %q is neither 1.0 nor 2.0", v)
		}
	}
	cfg.ReplyDeadline = positive(cfg.ReplyDeadline, defaultReplyDeadline)
	cfg.MaxBody = positive(cfg.MaxBody, defaultMaxBody)
	cfg.MaxConcurrent = positive(cfg.MaxConcurrent, defaultMaxConcurrent)
	h := &Handler{
		cfg:    cfg,
		engine: engine,
		tracer: cfg.TracerProvider.Tracer("github.com/hexiao-dev/hexiao/connector/keruyun"),
		slots:  make(chan struct{}, cfg.MaxConcurrent),
	}
	h.spis = map[string]spi{"verify": {"verify", h.verify, InDoubtAnswer}}
	if cfg.Reverser != nil {
		h.spis["reverse"] = spi{"reverse", h.reverse, InDoubtAnswer}
	}
	if cfg.Finder != nil {
		h.spis["result"] = spi{"result", h.result, InDoubtAnswer}
	}
	if cfg.Members != nil {
		h.spis["query"] = spi{"query", h.query, func(traceID string) []byte { return FaultAnswer(textUnread, traceID) }}
	}
	return h, nil
}

func positive[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Drain refuses new requests with 503 and waits until those in flight are done, also
// the ones that were answered while the engine was still at work.
func (h *Handler) Drain(ctx context.Context) error {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.inFlight.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain the member SPIs: %w", ctx.Err())
	}
}

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := h.cfg.Clock()
	x := &exchange{arrived: arrived, deadline: arrived.Add(h.cfg.ReplyDeadline)}
	endpoint, fault := h.route(r)
	ctx, span := h.startSpan(r, endpoint)
	defer span.End()
	x.access = Access{SPI: endpoint.name, BrandID: h.cfg.BrandID, TraceID: traceID(span),
		Method: knownMethod(r.Method), Route: endpoint.route(), HTTPStatus: http.StatusOK}

	var rep reply
	if fault == nil {
		rep, fault = h.admit(ctx, w, r, x, endpoint)
	}
	if fault != nil {
		rep = fault.reply(w, x)
	}
	h.finish(ctx, span, x, rep)
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(x.access.HTTPStatus)
	_, _ = w.Write(rep.answer) // the caller hung up: the ledger has the answer for its next try
}

// route finds the SPI of a request by path and method.
func (h *Handler) route(r *http.Request) (spi, *refusedCall) {
	segments := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if len(segments) != 4 || segments[0] != "keruyun" || segments[2] != "member-assets" {
		return spi{}, refuse(http.StatusNotFound, SubUnknownPath, "no such path")
	}
	endpoint, ok := h.spis[segments[3]]
	if !ok {
		return spi{}, refuse(http.StatusNotFound, SubUnknownPath, "no such SPI")
	}
	if segments[1] != h.cfg.BrandID {
		return endpoint, refuse(http.StatusNotFound, SubUnknownBrand, "the brand in the path is not served here")
	}
	if r.Method != http.MethodPost {
		return endpoint, refuse(http.StatusMethodNotAllowed, SubMethod, "the method is not POST")
	}
	return endpoint, nil
}

// admit reads a request, lets it in while there is room, authenticates it and serves it.
// The body is read first: whoever dribbles it takes no place from the others.
func (h *Handler) admit(ctx context.Context, w http.ResponseWriter, r *http.Request, x *exchange, endpoint spi) (reply, *refusedCall) {
	if fault := checkMedia(r.Header); fault != nil {
		return reply{}, fault
	}
	p, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return reply{}, refuseParams(err)
	}
	x.access.Version = p.Version
	body, fault := h.read(w, r)
	if fault != nil {
		return reply{}, fault
	}
	leave, fault := h.enter()
	if fault != nil {
		return reply{}, fault
	}
	if err := h.check(p, body); err != nil {
		leave()
		return reply{}, refuseParams(err)
	}
	x.access.Authenticated = true
	return h.serve(ctx, x, endpoint, body, leave), nil
}

// enter takes a slot without waiting: a till does better with a quick refusal, of which
// nothing was sent, than with a slow one.
func (h *Handler) enter() (leave func(), fault *refusedCall) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return nil, refuse(http.StatusServiceUnavailable, SubDraining, "draining")
	}
	select {
	case h.slots <- struct{}{}:
	default:
		return nil, refuse(http.StatusServiceUnavailable, SubOverloaded, "too many requests at once")
	}
	h.inFlight.Add(1)
	return func() {
		<-h.slots
		h.inFlight.Done()
	}, nil
}

func checkMedia(header http.Header) *refusedCall {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return refuse(http.StatusUnsupportedMediaType, SubMediaType, "Content-Type is not application/json in UTF-8")
	}
	if e := header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(http.StatusUnsupportedMediaType, SubMediaType, "Content-Encoding is not supported")
	}
	return nil
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, *refusedCall) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, SubTooLarge, fmt.Sprintf("the body has more than %d bytes", h.cfg.MaxBody))
	case err != nil:
		return nil, refuse(http.StatusBadRequest, SubBodyUnread, "the body broke off")
	}
	return body, nil
}

// check holds p against the brand's configuration. Every error wraps one of the errors
// of sign.go.
func (h *Handler) check(p Params, body []byte) error {
	switch {
	case !slices.Contains(h.cfg.Versions, p.Version):
		return fmt.Errorf("%w: version %s is switched off", ErrSignature, p.Version)
	case p.AppKey != h.cfg.AppKey:
		return fmt.Errorf("%w: appKey is not the configured one", ErrSignature)
	case p.BrandID != "" && p.BrandID != h.cfg.QueryBrandID:
		return fmt.Errorf("%w: brandId is not the configured one", ErrSignature)
	case !p.SignedBy(h.cfg.Tokens, body):
		return fmt.Errorf("%w: sign does not match", ErrSignature)
	}
	return p.Fresh(h.cfg.Clock())
}

func refuseParams(err error) *refusedCall {
	switch {
	case errors.Is(err, ErrStale):
		return refuse(http.StatusUnauthorized, SubStale, err.Error())
	case errors.Is(err, ErrSignature):
		return refuse(http.StatusUnauthorized, SubBadSignature, err.Error())
	default:
		return refuse(http.StatusBadRequest, SubMalformedQuery, err.Error())
	}
}

// serve runs the SPI apart from the POS connection: a till that hangs up stops nothing.
// It returns at the latest a moment after the reply deadline; what still runs then goes
// on, and leaves its slot when it is done.
func (h *Handler) serve(ctx context.Context, x *exchange, endpoint spi, body []byte, leave func()) reply {
	answer, fault := h.prepare(ctx, x, endpoint, body)
	if fault != nil {
		leave()
		return *fault
	}
	left := x.deadline.Sub(h.cfg.Clock())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	done := make(chan reply, 1)
	traceID := x.access.TraceID
	go func() {
		defer leave()
		defer cancel()
		// From here on something may have been sent: a panic leaves all in doubt.
		defer h.recovered(ctx, endpoint, func(detail string) {
			done <- reply{answer: endpoint.lost(traceID), detail: detail, subCode: SubInternal}
		})
		done <- answer(ctx)
	}()
	timer := time.NewTimer(left + backstop)
	defer timer.Stop()
	select {
	case rep := <-done:
		return rep
	case <-timer.C:
		return reply{answer: endpoint.lost(traceID), detail: "the engine did not keep the reply deadline"}
	}
}

// prepare decodes; nothing was sent when it panics.
func (h *Handler) prepare(ctx context.Context, x *exchange, endpoint spi, body []byte) (answer call, fault *reply) {
	defer h.recovered(ctx, endpoint, func(detail string) {
		fault = &reply{
			answer: FaultAnswer(cashierText(SubInternal), x.access.TraceID),
			detail: detail, subCode: SubInternal,
		}
	})
	return endpoint.prepare(x, body), nil
}

// recovered is deferred: it logs a panic and hands on a short text. The panic's value is
// shown by its type, and by its text only where the runtime wrote it: other texts may
// quote the request.
func (h *Handler) recovered(ctx context.Context, endpoint spi, then func(detail string)) {
	v := recover()
	if v == nil {
		return
	}
	text := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		text = e.Error()
	}
	h.cfg.Logger.ErrorContext(ctx, "panic while serving a member SPI",
		"spi", endpoint.name, "brand", h.cfg.BrandID, "panic", text, "stack", string(debug.Stack()))
	then("panic: " + text)
}

// refusedCall is a call that was turned away before its signature was proven.
type refusedCall struct {
	status          int
	subCode, detail string
}

func refuse(status int, subCode, detail string) *refusedCall {
	return &refusedCall{status, subCode, detail}
}

// reply renders the envelope and sets the headers that belong to the status.
func (c *refusedCall) reply(w http.ResponseWriter, x *exchange) reply {
	x.access.HTTPStatus = c.status
	switch c.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Keruyun-Sign")
	}
	return reply{
		answer:  FaultAnswer(cashierText(c.subCode)+"（"+c.subCode+"）", x.access.TraceID),
		subCode: c.subCode, detail: c.detail,
	}
}

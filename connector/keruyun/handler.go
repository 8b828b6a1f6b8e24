// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
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

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
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

	// Reverser and Finder serve the reversal and the result query; nil: 404.
	Reverser Reverser
	Finder   Finder

	// Clock, Logger and TracerProvider are required.
	Clock          func() time.Time
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	// Observe, when not nil, hears of every request right before its reply.
	Observe func(context.Context, Access)
}

// Access is what is logged of a request. It holds nothing personal and no secret.
type Access struct {
	SPI        string // "verify", "reverse", "result"; empty when no SPI was reached
	BrandID    string // the brand that the handler serves
	BizID      string // empty before the body was read
	FlowID     string // thirdFlowNo of a reversal
	ShopID     string
	TraceID    string
	HTTPStatus int
	Code       int    // of the envelope
	SubCode    string // even where the envelope has no place for it
	Version    Version
	// Authenticated: the signature passed.
	Authenticated bool
	// Replayed: the answer was recorded by an earlier request.
	Replayed bool
	Detail   string // English: why it was not redeemed
	Field    string // JSON path at fault
	Duration time.Duration
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
}

// call answers a decoded request. It may outlive the exchange that it answers.
type call func(ctx context.Context) reply

// reply is an answer and what the log says of it.
type reply struct {
	answer                 []byte
	replayed               bool
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
	h.spis = map[string]spi{"verify": {"verify", h.verify}}
	if cfg.Reverser != nil {
		h.spis["reverse"] = spi{"reverse", h.reverse}
	}
	if cfg.Finder != nil {
		h.spis["result"] = spi{"result", h.result}
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
	x.access = Access{SPI: endpoint.name, BrandID: h.cfg.BrandID, TraceID: traceID(span), HTTPStatus: http.StatusOK}

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
		return spi{}, refuse(http.StatusNotFound, SubUnknownPath, "接口地址不存在", "no such path")
	}
	endpoint, ok := h.spis[segments[3]]
	if !ok {
		return spi{}, refuse(http.StatusNotFound, SubUnknownPath, "接口地址不存在", "no such SPI")
	}
	if segments[1] != h.cfg.BrandID {
		return endpoint, refuse(http.StatusNotFound, SubUnknownBrand, "品牌不存在", "the brand in the path is not served here")
	}
	if r.Method != http.MethodPost {
		return endpoint, refuse(http.StatusMethodNotAllowed, SubMethod, "请求方式必须是POST", "the method is not POST")
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
		return nil, refuse(http.StatusServiceUnavailable, SubDraining, "服务正在重启，本次未核销，请稍后重试", "draining")
	}
	select {
	case h.slots <- struct{}{}:
	default:
		return nil, refuse(http.StatusServiceUnavailable, SubOverloaded, "系统繁忙，本次未核销，请稍后重试", "too many requests at once")
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
		return refuse(http.StatusUnsupportedMediaType, SubMediaType, "请求类型必须是application/json", "Content-Type is not application/json in UTF-8")
	}
	if e := header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return refuse(http.StatusUnsupportedMediaType, SubMediaType, "请求内容不能压缩", "Content-Encoding is not supported")
	}
	return nil
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, *refusedCall) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, SubTooLarge, "请求内容过大，本次未核销，请减少资产后重试", fmt.Sprintf("the body has more than %d bytes", h.cfg.MaxBody))
	case err != nil:
		return nil, refuse(http.StatusBadRequest, SubBodyUnread, "请求内容不完整，本次未核销，请重试", "the body broke off")
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
		return refuse(http.StatusUnauthorized, SubStale, "请求时间与服务器时间相差过大，请校准时间后重试", err.Error())
	case errors.Is(err, ErrSignature):
		return refuse(http.StatusUnauthorized, SubBadSignature, "签名校验失败，请联系技术支持检查应用密钥配置", err.Error())
	default:
		return refuse(http.StatusBadRequest, SubMalformedQuery, "公共参数错误，请联系技术支持", err.Error())
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
			done <- reply{answer: InDoubtAnswer(traceID), detail: detail, subCode: SubInternal}
		})
		done <- answer(ctx)
	}()
	timer := time.NewTimer(left + backstop)
	defer timer.Stop()
	select {
	case rep := <-done:
		return rep
	case <-timer.C:
		return reply{answer: InDoubtAnswer(traceID), detail: "the engine did not keep the reply deadline"}
	}
}

// prepare decodes; nothing was sent when it panics.
func (h *Handler) prepare(ctx context.Context, x *exchange, endpoint spi, body []byte) (answer call, fault *reply) {
	defer h.recovered(ctx, endpoint, func(detail string) {
		fault = &reply{
			answer: FaultAnswer("系统异常，本次未核销，请联系技术支持", x.access.TraceID),
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

// finish reads code and sub code off the answer, and tells span, log and observer.
func (h *Handler) finish(ctx context.Context, span trace.Span, x *exchange, rep reply) {
	a := &x.access
	a.Code, a.SubCode = peek(rep.answer)
	a.SubCode = orElse(a.SubCode, rep.subCode)
	a.Replayed, a.Field, a.Detail = rep.replayed, rep.field, rep.detail
	a.Duration = h.cfg.Clock().Sub(x.arrived)

	span.SetAttributes(a.attributes()...)
	if a.Code == CodeFault && (a.Authenticated || a.HTTPStatus >= http.StatusInternalServerError) {
		span.SetStatus(codes.Error, a.Detail)
		span.SetAttributes(semconv.ErrorTypeKey.String(orElse(a.SubCode, "3000")))
	}
	h.cfg.Logger.LogAttrs(ctx, a.level(), "member SPI", a.logAttrs()...)
	if h.cfg.Observe != nil {
		h.cfg.Observe(ctx, *a)
	}
}

// peek reads code and sub code of an envelope. What the engine answers was rendered by
// an earlier call perhaps, so its bytes are the only source.
func peek(answer []byte) (code int, subCode string) {
	var e struct {
		Code   int `json:"code"`
		Result struct {
			SubCode string `json:"subCode"`
		} `json:"result"`
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		return CodeInDoubt, SubInternal
	}
	return e.Code, e.Result.SubCode
}

func (a *Access) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		semconv.HTTPResponseStatusCode(a.HTTPStatus),
		telemetry.AttrCode.Int(a.Code),
	}
	for key, value := range map[attribute.Key]string{
		telemetry.AttrSPI: a.SPI, telemetry.AttrBrandID: a.BrandID, telemetry.AttrBizID: a.BizID,
		telemetry.AttrShopID: a.ShopID, telemetry.AttrSubCode: a.SubCode, telemetry.AttrFlowID: a.FlowID,
	} {
		if value != "" {
			attrs = append(attrs, key.String(value))
		}
	}
	return attrs
}

// level: a refusal is daily business; what a person may have to look at is a warning;
// our own fault is an error.
func (a *Access) level() slog.Level {
	switch {
	case a.Authenticated && a.Code == CodeFault:
		return slog.LevelError
	case !a.Authenticated || a.Code == CodeInDoubt:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func (a *Access) logAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("spi", a.SPI),
		slog.String("brand", a.BrandID),
		slog.String("bizId", a.BizID),
		slog.Int("code", a.Code),
		slog.String("subCode", a.SubCode),
		slog.Int("status", a.HTTPStatus),
		slog.Duration("duration", a.Duration),
		slog.String("messageUuid", a.TraceID),
	}
	if a.Version != "" {
		attrs = append(attrs, slog.String("version", string(a.Version)))
	}
	if a.Replayed {
		attrs = append(attrs, slog.Bool("replayed", true))
	}
	if a.Field != "" {
		attrs = append(attrs, slog.String("field", a.Field))
	}
	if a.Detail != "" {
		attrs = append(attrs, slog.String("detail", a.Detail))
	}
	return attrs
}

// refusedCall is a call that was turned away before its signature was proven.
type refusedCall struct {
	status                   int
	subCode, cashier, detail string
}

func refuse(status int, subCode, cashier, detail string) *refusedCall {
	return &refusedCall{status, subCode, cashier, detail}
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
		answer:  FaultAnswer(c.cashier+"（"+c.subCode+"）", x.access.TraceID),
		subCode: c.subCode, detail: c.detail,
	}
}

// startSpan begins the server span. The path's brand stays out of the span's name, and
// the query, which has app key and signature, out of the span.
func (h *Handler) startSpan(r *http.Request, endpoint spi) (context.Context, trace.Span) {
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(knownMethod(r.Method)),
		semconv.URLScheme(scheme(r)),
		semconv.NetworkProtocolVersion(fmt.Sprintf("%d.%d", r.ProtoMajor, r.ProtoMinor)),
	}
	name := knownMethod(r.Method)
	if endpoint.name != "" {
		route := "/keruyun/{brand}/member-assets/" + endpoint.name
		name += " " + route
		attrs = append(attrs, semconv.HTTPRoute(route))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...)}
	ctx := r.Context()
	remote := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(r.Header)))
	switch {
	case remote.IsValid() && h.cfg.TrustTraceParent:
		ctx = trace.ContextWithRemoteSpanContext(ctx, remote)
	case remote.IsValid():
		options = append(options, trace.WithNewRoot(), trace.WithLinks(trace.Link{
			SpanContext: remote, Attributes: []attribute.KeyValue{telemetry.AttrLink.String("caller")},
		}))
	default:
		options = append(options, trace.WithNewRoot())
	}
	return h.tracer.Start(ctx, name, options...)
}

// knownMethod keeps invented methods out of span names.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// traceID of the span, or a random one where no trace is kept: messageUuid and the
// ledger's row need one all the same.
func traceID(span trace.Span) string {
	if id := span.SpanContext().TraceID(); id.IsValid() {
		return id.String()
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	return hex.EncodeToString(id[:])
}

// SPDX-License-Identifier: Apache-2.0

package oneshot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Config of a Client. The zero value is usable; each zero field takes the default
// that its comment names.
type Config struct {
	// DialTimeout bounds name resolution and TCP connect, TLSTimeout the TLS
	// handshake; both also end with the context. Default 3 s each.
	DialTimeout, TLSTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next exchange, default
	// 20 s: below the keep-alive time of common gateways, because the narrow race
	// in which a server closes a connection just as a request is written costs an
	// unknown outcome, and a new connection costs only a round trip. Negative: each
	// exchange has a connection of its own.
	IdleTimeout time.Duration
	// MaxIdlePerHost connections are kept, default 8.
	MaxIdlePerHost int
	// MaxResponseBytes bounds an answer's body, default 1 MiB.
	MaxResponseBytes int64
	// RootCAs replaces the system's certificate authorities.
	RootCAs *x509.CertPool
	// UserAgent, default "hexiao-connector".
	UserAgent string
	// Propagate sends the W3C trace context of the call's span. Off by default:
	// our traces are none of a vendor's business.
	Propagate bool
	// Now is the clock for idle connections, default time.Now.
	Now func() time.Time
}

// Client makes exchanges. It is safe for concurrent use. Close it to give up its
// idle connections.
type Client struct {
	cfg    Config
	dialer net.Dialer

	mu     sync.Mutex
	idle   map[string][]*conn // by conn.key, most recently used last
	closed bool
}

var _ Doer = (*Client)(nil)

// New fills the defaults of cfg.
func New(cfg Config) *Client {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.DialTimeout, 3*time.Second)
	def(&cfg.TLSTimeout, 3*time.Second)
	def(&cfg.IdleTimeout, 20*time.Second)
	if cfg.MaxIdlePerHost == 0 {
		cfg.MaxIdlePerHost = 8
	}
	if cfg.MaxResponseBytes == 0 {
		cfg.MaxResponseBytes = 1 << 20
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "hexiao-connector"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, idle: map[string][]*conn{}}
}

// Do posts r and reads the whole answer, whatever its status. Every failure is an
// *Error. ctx bounds all of it; without a deadline in ctx there is none after the
// connection stands, so give it one.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	req, wire, err := c.encode(ctx, r)
	if err != nil {
		return nil, &Error{Cause: CauseRequest, Err: err}
	}
	cn, fail := c.connect(ctx, req.URL)
	if fail != nil {
		annotate(ctx, req.URL, false, 0, fail)
		return nil, fail
	}
	resp, reusable, fail := c.exchange(ctx, cn, req, wire, r.Guard)
	if fail != nil {
		cn.shut()
		annotate(ctx, req.URL, cn.reused, fail.Status, fail)
		return nil, fail
	}
	annotate(ctx, req.URL, cn.reused, resp.Status, nil)
	if !reusable || !c.keep(cn) {
		cn.shut()
	}
	return resp, nil
}

// encode renders the request to its bytes on the wire, so that writing it is one
// call that can be counted.
func (c *Client) encode(ctx context.Context, r Request) (*http.Request, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, nil, fmt.Errorf("build request: %w", err)
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return nil, nil, fmt.Errorf("build request: scheme %q is neither http nor https", req.URL.Scheme)
	}
	for name, values := range r.Header {
		name = http.CanonicalHeaderKey(name)
		if name == "Idempotency-Key" || name == "X-Idempotency-Key" {
			// Common clients and proxies take it as leave to send a POST again.
			return nil, nil, fmt.Errorf("build request: header %s is not allowed on a deduction", name)
		}
		req.Header[name] = append(req.Header[name], values...)
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if r.ContentType != "" {
		req.Header.Set("Content-Type", r.ContentType)
	}
	if c.cfg.Propagate {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	}
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		return nil, nil, fmt.Errorf("build request: %w", err)
	}
	return req, wire.Bytes(), nil
}

// connect returns an idle connection that is still alive, or a new one. No byte of
// a request has been written when it fails.
func (c *Client) connect(ctx context.Context, u *url.URL) (*conn, *Error) {
	key := u.Scheme + "://" + u.Host
	for cn := c.take(key); cn != nil; cn = c.take(key) {
		if cn.alive() {
			cn.reused = true
			return cn, nil
		}
		cn.shut()
	}
	cn, cause, err := c.dial(ctx, u)
	if err != nil {
		return nil, &Error{Cause: causeOf(ctx, err, cause), Err: fmt.Errorf("connect: %w", err)}
	}
	cn.key = key
	return cn, nil
}

func (c *Client) dial(ctx context.Context, u *url.URL) (*conn, Cause, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	dialCtx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	raw, err := c.dialer.DialContext(dialCtx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, CauseDial, err
	}
	metered := &meter{Conn: raw}
	cn := &conn{Conn: metered, raw: raw, meter: metered}
	if u.Scheme == "http" {
		return cn.buffered(), "", nil
	}
	secure := tls.Client(metered, &tls.Config{
		ServerName: u.Hostname(),
		RootCAs:    c.cfg.RootCAs,
		NextProtos: []string{"http/1.1"}, // one exchange a connection at a time
		MinVersion: tls.VersionTLS12,
	})
	tlsCtx, cancelTLS := context.WithTimeout(ctx, c.cfg.TLSTimeout)
	defer cancelTLS()
	if err := secure.HandshakeContext(tlsCtx); err != nil {
		_ = raw.Close()
		return nil, CauseTLS, fmt.Errorf("tls handshake: %w", err)
	}
	cn.Conn = secure
	return cn.buffered(), "", nil
}

// exchange writes the request in one call and reads the answer. It is the only
// place where request bytes are written, and it runs once per Do.
func (c *Client) exchange(ctx context.Context, cn *conn, req *http.Request, wire []byte, guard func() error) (resp *Response, reusable bool, _ *Error) {
	// A context that ends breaks every pending read and write.
	stop := context.AfterFunc(ctx, func() { _ = cn.raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	// Bytes of the TLS handshake are behind us: from here on each byte that the
	// socket takes belongs to this request.
	before := cn.meter.written()
	failed := func(cause Cause, status int, err error) *Error {
		return &Error{Sent: cn.meter.written() > before, Cause: causeOf(ctx, err, cause), Status: status, Err: err}
	}
	if guard != nil {
		if err := guard(); err != nil {
			return nil, false, &Error{Cause: CauseGuard, Err: fmt.Errorf("before the first byte: %w", err)}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, false, failed(CauseTimeout, 0, fmt.Errorf("before the first byte: %w", err))
	}
	if _, err := cn.Write(wire); err != nil {
		return nil, false, failed(CauseWrite, 0, fmt.Errorf("write request: %w", err))
	}
	cn.budget.N = maxHeaderBytes + 8*c.cfg.MaxResponseBytes
	head, err := readHead(cn.in, req)
	if err != nil {
		cause := CauseLost
		if !errors.As(err, new(net.Error)) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			cause = CauseMalformed
		}
		return nil, false, failed(cause, 0, fmt.Errorf("read answer: %w", err))
	}
	defer func() { _ = head.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(head.Body, c.cfg.MaxResponseBytes+1))
	if err != nil {
		return nil, false, failed(CauseTruncated, head.StatusCode, fmt.Errorf("read answer's body: %w", err))
	}
	if int64(len(body)) > c.cfg.MaxResponseBytes {
		return nil, false, failed(CauseTooLarge, head.StatusCode, fmt.Errorf("answer's body is longer than %d bytes", c.cfg.MaxResponseBytes))
	}
	// Not reusable when the context's end already touched the deadline, when the
	// server said so, or when it sent bytes that nobody asked for.
	reusable = stop() && !head.Close && head.StatusCode != http.StatusSwitchingProtocols && cn.in.Buffered() == 0
	return &Response{Status: head.StatusCode, Header: head.Header, Body: body}, reusable, nil
}

// maxHeaderBytes bounds the answer's head; beyond it and eight times the body's
// limit (chunk framing) the connection is given up.
const maxHeaderBytes = 64 << 10

// readHead reads the answer's head past informational ones (100, 102, 103).
func readHead(in *bufio.Reader, req *http.Request) (*http.Response, error) {
	for range 6 {
		head, err := http.ReadResponse(in, req)
		if err != nil {
			return nil, err
		}
		if head.StatusCode >= 200 || head.StatusCode == http.StatusSwitchingProtocols {
			return head, nil
		}
	}
	return nil, errors.New("too many informational answers")
}

// causeOf says timeout or cancelled when the context or a deadline is behind err,
// otherwise what the caller knows.
func causeOf(ctx context.Context, err error, otherwise Cause) Cause {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return CauseCanceled
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return CauseTimeout
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return CauseTimeout
	}
	return otherwise
}

// annotate describes the exchange on the caller's span; URL paths and bodies stay
// out of it.
func annotate(ctx context.Context, u *url.URL, reused bool, status int, fail *Error) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("http.request.method", http.MethodPost),
		attribute.String("server.address", u.Hostname()),
		attribute.Bool("hexiao.connection.reused", reused),
		attribute.Bool("hexiao.sent", fail == nil || fail.Sent),
	)
	if fail != nil {
		span.SetAttributes(attribute.String("error.type", string(fail.Cause)))
	}
	if status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Name of the provider, as in a brand's routes.
const Name = "zhimai"

// Client is a brand's access to Zhimai. It keeps no state of a redemption.
type Client struct {
	cfg    Config
	http   oneshot.Doer
	now    func() time.Time
	nonce  func() int64
	tracer trace.Tracer
	log    *slog.Logger
}

var (
	_ redeem.Provider = (*Client)(nil)
	_ redeem.LookerUp = (*Client)(nil)
	_ redeem.Repeater = (*Client)(nil)
	_ redeem.Reverser = (*Client)(nil)
)

// New checks cfg; its error names the field.
func New(cfg Config, deps Deps) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if deps.HTTP == nil {
		return nil, errors.New("zhimai: no HTTP client")
	}
	c := &Client{cfg: cfg, http: deps.HTTP, now: deps.Now, nonce: deps.Nonce, log: deps.Logger}
	if c.now == nil {
		c.now = time.Now
	}
	if c.nonce == nil {
		c.nonce = randomNonce
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if deps.TracerProvider == nil {
		deps.TracerProvider = noop.NewTracerProvider()
	}
	c.tracer = deps.TracerProvider.Tracer("github.com/hexiao-dev/hexiao/connector/zhimai")
	return c, nil
}

// randomNonce is a positive integer that fits 53 bits, whatever reads it.
func randomNonce() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int64(binary.BigEndian.Uint64(b[:])>>12) + 1
}

// Name is "zhimai".
func (c *Client) Name() string { return Name }

// Send makes the leg's call once.
func (c *Client) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempt(ctx, s, false)
}

// Repeat makes the same call again under the same bizId. That the vendor executes a
// bizId once only is not documented: who calls this has decided to rely on it. A
// refusal does not settle the leg unless the brand trusts it (TrustRepeatRefusals),
// and NotSent says that this repeat was not executed, nothing about the first call.
func (c *Client) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempt(ctx, s, true)
}

func (c *Client) attempt(ctx context.Context, s redeem.Sending, repeat bool) redeem.Outcome {
	ctx, span := answer.StartSpan(ctx, c.tracer, Name, s.Leg.Operation, s.Leg.Key)
	o := c.once(ctx, s)
	if repeat && o.Kind == redeem.Refused && !c.cfg.TrustRepeatRefusals {
		o = rowRepeatRefused.Outcome(o.HTTPStatus, o.Code, "", "")
	}
	if s.Action == redeem.ReverseVerify {
		o = answer.Reversal(o)
	}
	answer.EndSpan(span, o)
	if o.Class == "amount-mismatch" {
		c.log.ErrorContext(ctx, "vendor reports other amounts than it was asked for",
			"provider", Name, "operation", s.Leg.Operation, "upstream_key", s.Leg.Key, "detail", o.Detail)
	}
	return o
}

// once renders, sends and judges one call.
func (c *Client) once(ctx context.Context, s redeem.Sending) redeem.Outcome {
	var k call
	if err := json.Unmarshal(s.Leg.Call, &k); err != nil || s.Leg.Key == "" {
		return answer.Transport(&oneshot.Error{Cause: oneshot.CauseRequest, Err: errors.New("the leg holds no call")})
	}
	body, err := c.body(s.Leg.Operation, c.params(s.Leg.Key, k, s.Request))
	if err != nil {
		return answer.Transport(&oneshot.Error{Cause: oneshot.CauseRequest, Err: err})
	}
	resp, err := c.post(ctx, body, s.Guard)
	if err != nil {
		return answer.Transport(err)
	}
	bizID := s.Leg.Key
	if k.Reverses != "" {
		bizID = k.Reverses
	}
	return c.cfg.classify(bizID, k, decode(resp.Status, resp.Body), append(answer.Hidden(s.Request), c.operatorName(k.OperatorID, s.Request))...)
}

func (c *Client) post(ctx context.Context, body []byte, guard func() error) (*oneshot.Response, error) {
	return c.http.Do(ctx, oneshot.Request{
		URL: c.cfg.Endpoint, ContentType: "application/json; charset=utf-8", Body: body, Guard: guard,
	})
}

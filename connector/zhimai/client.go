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

	attempts answer.Attempts
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
	c := &Client{cfg: cfg, http: deps.HTTP, now: deps.Now, nonce: deps.Nonce}
	if c.now == nil {
		c.now = time.Now
	}
	if c.nonce == nil {
		c.nonce = randomNonce
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.TracerProvider == nil {
		deps.TracerProvider = noop.NewTracerProvider()
	}
	c.tracer = deps.TracerProvider.Tracer("github.com/hexiao-dev/hexiao/connector/zhimai")
	c.attempts = answer.Attempts{Provider: Name, Tracer: c.tracer, Log: deps.Logger, TrustRepeatRefusals: c.cfg.TrustRepeatRefusals}
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
	return c.attempts.Once(ctx, s, false, c.once)
}

// Repeat makes the same call again under the same bizId. That the vendor executes a
// bizId once only is not documented: who calls this has decided to rely on it. A
// refusal does not settle the leg unless the brand trusts it (TrustRepeatRefusals),
// and NotSent says that this repeat was not executed, nothing about the first call.
func (c *Client) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempts.Once(ctx, s, true, c.once)
}

// once renders, sends and judges one call.
func (c *Client) once(ctx context.Context, s redeem.Sending) redeem.Outcome {
	var k call
	if err := json.Unmarshal(s.Leg.Call, &k); err != nil || s.Leg.Key == "" {
		return answer.Unsent(errors.New("the leg holds no call"))
	}
	body, err := c.body(s.Leg.Operation, c.params(s.Leg.Key, k, s.Request))
	if err != nil {
		return answer.Unsent(err)
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

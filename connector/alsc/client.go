// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"context"
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
const Name = "alsc"

// Client is a brand's access to ALSC. It keeps no state of a redemption.
type Client struct {
	cfg    Config
	http   oneshot.Doer
	now    func() time.Time
	tracer trace.Tracer

	attempts answer.Attempts
}

var (
	_ redeem.Provider = (*Client)(nil)
	_ redeem.LookerUp = (*Client)(nil)
	_ redeem.Repeater = (*Client)(nil)
	_ redeem.Reverser = (*Client)(nil)
)

// New checks cfg and fills its defaults; its error names the field.
func New(cfg Config, deps Deps) (*Client, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	if deps.HTTP == nil {
		return nil, errors.New("alsc: no HTTP client")
	}
	c := &Client{cfg: cfg, http: deps.HTTP, now: deps.Now}
	if c.now == nil {
		c.now = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.TracerProvider == nil {
		deps.TracerProvider = noop.NewTracerProvider()
	}
	c.tracer = deps.TracerProvider.Tracer("github.com/hexiao-dev/hexiao/connector/alsc")
	c.attempts = answer.Attempts{Provider: Name, Tracer: c.tracer, Log: deps.Logger, TrustRepeatRefusals: c.cfg.TrustRepeatRefusals}
	return c, nil
}

// Name is "alsc".
func (c *Client) Name() string { return Name }

// Send makes the leg's call once.
func (c *Client) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempts.Once(ctx, s, false, c.once)
}

// Repeat makes the same call again under the same request_id, by which the vendor
// documents idempotency. What a repeat is answered is not documented: a refusal does
// not settle the leg unless the brand trusts it (TrustRepeatRefusals), and NotSent
// says that this repeat was not executed, nothing about the first call.
func (c *Client) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempts.Once(ctx, s, true, c.once)
}

// Reverse makes the reversal's call once.
func (c *Client) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempts.Once(ctx, s, false, c.once)
}

// once renders, sends and judges one call.
func (c *Client) once(ctx context.Context, s redeem.Sending) redeem.Outcome {
	var k call
	if err := json.Unmarshal(s.Leg.Call, &k); err != nil || s.Leg.Key == "" {
		return answer.Unsent(errors.New("the leg holds no call"))
	}
	if k.ChipCard {
		// Without its card this would be another call, on another account.
		if !answer.IsChipCard(s.Request) {
			return answer.Unsent(errors.New("the number of the chip card is not kept"))
		}
		k.CardID = s.Request.PaymentToken
	}
	field, object := params(s.Leg.Operation, s.Leg.Key, k)
	if object == nil {
		return answer.Unsent(errors.New("the leg's operation is not one of this vendor"))
	}
	r, err := c.post(ctx, s.Leg.Operation, field, object, s.Guard)
	if err != nil {
		return answer.Transport(err)
	}
	return classify(exchange{operation: s.Leg.Operation, key: s.Leg.Key, call: k, reply: r}, answer.Hidden(s.Request)...)
}

func (c *Client) post(ctx context.Context, method, field string, object any, guard func() error) (reply, error) {
	body, err := c.form(method, field, object)
	if err != nil {
		return reply{}, &oneshot.Error{Cause: oneshot.CauseRequest, Err: err}
	}
	resp, err := c.http.Do(ctx, oneshot.Request{
		URL: c.cfg.Endpoint, ContentType: "application/x-www-form-urlencoded;charset=utf-8", Body: body, Guard: guard,
	})
	if err != nil {
		return reply{}, err
	}
	return decode(method, resp.Status, resp.Body), nil
}

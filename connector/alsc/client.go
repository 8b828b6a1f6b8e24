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
	log    *slog.Logger
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
	c := &Client{cfg: cfg, http: deps.HTTP, now: deps.Now, log: deps.Logger}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if deps.TracerProvider == nil {
		deps.TracerProvider = noop.NewTracerProvider()
	}
	c.tracer = deps.TracerProvider.Tracer("github.com/hexiao-dev/hexiao/connector/alsc")
	return c, nil
}

// Name is "alsc".
func (c *Client) Name() string { return Name }

// Send makes the leg's call once.
func (c *Client) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempt(ctx, s, false)
}

// Repeat makes the same call again under the same request_id, by which the vendor
// documents idempotency. What a repeat is answered is not documented: a refusal does
// not settle the leg unless the brand trusts it (TrustRepeatRefusals), and NotSent
// says that this repeat was not executed, nothing about the first call.
func (c *Client) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempt(ctx, s, true)
}

// Reverse makes the reversal's call once.
func (c *Client) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempt(ctx, s, false)
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
	unsent := func(err error) redeem.Outcome {
		return answer.Transport(&oneshot.Error{Cause: oneshot.CauseRequest, Err: err})
	}
	var k call
	if err := json.Unmarshal(s.Leg.Call, &k); err != nil || s.Leg.Key == "" {
		return unsent(errors.New("the leg holds no call"))
	}
	if k.ChipCard {
		// Without its card this would be another call, on another account.
		if !answer.IsChipCard(s.Request) {
			return unsent(errors.New("the number of the chip card is not kept"))
		}
		k.CardID = s.Request.PaymentToken
	}
	field, object := params(s.Leg.Operation, s.Leg.Key, k)
	if object == nil {
		return unsent(errors.New("the leg's operation is not one of this vendor"))
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

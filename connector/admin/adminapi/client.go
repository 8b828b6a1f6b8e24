// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxAnswer bounds what a client reads.
const maxAnswer = 64 << 20

// Client calls the admin API of one connector. Errors that the connector tells are
// *Error.
type Client struct {
	// Base is such as http://127.0.0.1:9090. The host must be a loopback name.
	Base string
	HTTP *http.Client
}

// InDoubt lists the legs in doubt, at most limit of them; 0 is the server's default.
func (c *Client) InDoubt(ctx context.Context, limit int) (InDoubtList, error) {
	var out InDoubtList
	return out, c.do(ctx, http.MethodGet, InDoubtPath+query("limit", number(limit)), nil, &out)
}

// Redemption is everything known of one redemption.
func (c *Client) Redemption(ctx context.Context, action, bizID string) (Redemption, error) {
	var out Redemption
	return out, c.do(ctx, http.MethodGet, RedemptionPath(action, bizID), nil, &out)
}

// LookUp asks the vendor about the redemption's legs.
func (c *Client) LookUp(ctx context.Context, action, bizID string, p Person) (Findings, error) {
	var out Findings
	return out, c.do(ctx, http.MethodPost, LookUpPath(action, bizID), p, &out)
}

// Resolve takes a decision on a leg.
func (c *Client) Resolve(ctx context.Context, action, bizID string, leg int, d Decision) (Resolved, error) {
	var out Resolved
	return out, c.do(ctx, http.MethodPost, ResolvePath(action, bizID, leg), d, &out)
}

// Retry makes the redemption's open legs due now.
func (c *Client) Retry(ctx context.Context, action, bizID string, p Person) (Retried, error) {
	var out Retried
	return out, c.do(ctx, http.MethodPost, RetryPath(action, bizID), p, &out)
}

// Reversals lists reversals in a state: "waiting" or "all".
func (c *Client) Reversals(ctx context.Context, state string, limit int) (ReversalList, error) {
	var out ReversalList
	return out, c.do(ctx, http.MethodGet, ReversalsPath+query("state", state, "limit", number(limit)), nil, &out)
}

// RetryReversal makes the reversal's open legs due now.
func (c *Client) RetryReversal(ctx context.Context, bizID string, p Person) (Retried, error) {
	var out Retried
	return out, c.do(ctx, http.MethodPost, RetryReversalPath(bizID), p, &out)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func query(pairs ...string) string {
	q := url.Values{}
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		if pairs[1] != "" {
			q.Set(pairs[0], pairs[1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+Prefix+path, body)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("call the connector: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the connector's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return failure(resp.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode the connector's answer: %w", err)
	}
	return nil
}

// failure is the error in an answer. An answer without one comes from a connector
// that has no admin API, or from something else that listens there.
func failure(status int, raw []byte) error {
	var body struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(raw, &body) != nil || body.Error == nil {
		return fmt.Errorf("HTTP %d, and not in the words of the admin API: is it a connector's admin port, of a version that has %s?", status, Prefix)
	}
	body.Error.Status = status
	return body.Error
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var credentials = Credentials{
	OpenID: "d14c1559e87b747d577c834b275a4310", OpenKey: "LyvrkvkxRkG2R6aM55bXpPwjYAbkEXTbVnKwfDYvVHjNwNFAmx", GrantCode: "ba67d4fa46",
}

const key = "HXABCDEFGHIJKLMNOPQRSTUVWXYZ"

// vendor is a Zhimai that answers from a script.
type vendor struct {
	mu     sync.Mutex
	bodies []string // as received
	answer func(n int, body string) (status int, answer string)
	url    string
}

func serve(t *testing.T, answer func(n int, body string) (int, string)) *vendor {
	t.Helper()
	v := &vendor{answer: answer}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		v.mu.Lock()
		v.bodies = append(v.bodies, string(body))
		n := len(v.bodies)
		v.mu.Unlock()
		status, text := v.answer(n, string(body))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(srv.Close)
	v.url = srv.URL
	return v
}

// got is what was received so far.
func (v *vendor) got() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.bodies)
}

func says(answer string) func(int, string) (int, string) {
	return func(int, string) (int, string) { return 200, answer }
}

// client talks to url with a fixed clock and nonce.
func client(t *testing.T, url string, cfg Config, deps Deps) *Client {
	t.Helper()
	cfg.Endpoint = url
	if cfg.Credentials == (Credentials{}) {
		cfg.Credentials = credentials
	}
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	deps.HTTP = http
	if deps.Now == nil {
		deps.Now = func() time.Time { return time.Unix(1547186244, 0) }
	}
	if deps.Nonce == nil {
		deps.Nonce = func() int64 { return 658965 }
	}
	c, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request is the verify request of a till.
func request() redeem.Request {
	return redeem.Request{
		Action: redeem.Verify, BrandID: "11342", BizID: "20250001", ShopID: "8066287",
		TransOrderNo: "2025121000001", PaymentNo: "1113434444443211", KryMemberID: "1001", MemberID: "1001",
		Mobile: "15012341111", PaymentToken: "11100001", PaymentTokenType: "PAYMENT_TOKEN", RequestID: "1vnfjvaa-111",
		OperatorID: "1543", OperatorName: "张三丰", DeviceID: "POS-7",
	}
}

func value(no int, fen redeem.Fen) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100001", AssetID: "100001", Amount: fen, Asset: redeem.StoredValue, Provider: Name}
}

func coupon(no int, id string) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100002", AssetID: id, Count: 1, Amount: 500, Asset: redeem.Coupon, Provider: Name}
}

func points(no int, n int64) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100003", AssetID: "points", Count: n, Asset: redeem.Points, Provider: Name}
}

// sending plans lines and makes the leg as the engine would.
func sending(t *testing.T, c *Client, req redeem.Request, lines ...redeem.Line) redeem.Sending {
	t.Helper()
	plans, err := c.Plan(req, lines)
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) != 1 {
		t.Fatalf("got %d legs, want 1", len(plans))
	}
	return redeem.Sending{Leg: legOf(plans[0]), Action: req.Action, Request: req}
}

func legOf(p redeem.LegPlan) redeem.Leg {
	return redeem.Leg{
		Provider: Name, Operation: p.Operation, Key: key, Lines: p.Lines, Reversible: p.Reversible, Call: p.Call,
		MemberRef: p.MemberRef, Amount: p.Amount, Points: p.Points, Coupons: p.Coupons,
		SentAt: time.Unix(1547186244, 0),
	}
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var credentials = Credentials{
	OpenID: "d14c1559e87b747d577c834b275a4310", OpenKey: "LyvrkvkxRkG2R6aM55bXpPwjYAbkEXTbVnKwfDYvVHjNwNFAmx", GrantCode: "ba67d4fa46",
}

// sentAt is also the client's clock.
var sentAt = time.Unix(1547186244, 0)

const key = "HXABCDEFGHIJKLMNOPQRSTUVWXYZ"

// told is what the rest of the connector decides by.
type told struct {
	Kind              redeem.Kind
	Class             redeem.Class
	Code, FlowID      string
	Total, Real, Gift redeem.Fen
}

func tell(o redeem.Outcome) told {
	return told{o.Kind, o.Class, o.Code, o.FlowID, o.Total, o.Real, o.Gift}
}

// serve is a Zhimai that answers from a script.
func serve(t *testing.T, answer func(n int, body string) (int, string)) *providertest.Script[string] {
	t.Helper()
	return providertest.Serve(t, func(body string) (string, error) { return body, nil }, answer)
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
		deps.Now = func() time.Time { return sentAt }
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

// sending plans lines and makes the leg as the engine would, sent at sentAt.
func sending(t *testing.T, c *Client, req redeem.Request, lines ...redeem.Line) redeem.Sending {
	t.Helper()
	s := providertest.Sending(t, c, key, req, lines...)
	s.Leg.SentAt = sentAt
	return s
}

func legOf(p redeem.LegPlan) redeem.Leg { return providertest.Leg(Name, key, p, sentAt) }

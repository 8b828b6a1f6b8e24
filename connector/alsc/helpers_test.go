// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var credentials = Credentials{AppKey: "12345678", AppSecret: "helloworld"}

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

// serve is a TOP that answers from a script.
func serve(t *testing.T, answer func(n int, form url.Values) (int, string)) *providertest.Script[url.Values] {
	t.Helper()
	return providertest.Serve(t, url.ParseQuery, answer)
}

func says(answer string) func(int, url.Values) (int, string) {
	return func(int, url.Values) (int, string) { return 200, answer }
}

// wrapped is a result in the root that names the method.
func wrapped(method, result string) string {
	return `{"` + strings.ReplaceAll(method, ".", "_") + `_response":{"result":` + result + `,"request_id":"r1"}}`
}

// client talks to url with a fixed clock: 2025-12-10 12:00:00 in China.
func client(t *testing.T, url string, cfg Config, deps Deps) *Client {
	t.Helper()
	cfg.Endpoint = url
	if cfg.Credentials == (Credentials{}) {
		cfg.Credentials = credentials
	}
	if cfg.OperatorID == "" {
		cfg.OperatorID = "0"
	}
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	deps.HTTP = http
	if deps.Now == nil {
		deps.Now = func() time.Time { return time.Date(2025, 12, 10, 4, 0, 0, 0, time.UTC) }
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
		Mobile: "15012341111", PaymentToken: "11100001", OperatorID: "1543", OperatorName: "张三丰", DeviceID: "POS-7",
		ReceivedAt: time.Date(2025, 12, 10, 3, 59, 59, 0, time.UTC),
	}
}

func value(no int, fen redeem.Fen) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100001", AssetID: "7328763784623", Amount: fen, Asset: redeem.StoredValue, Provider: Name}
}

func coupon(no int, id string) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100002", AssetID: id, Count: 1, Amount: 500, Asset: redeem.Coupon, Provider: Name}
}

func points(no int, n int64) redeem.Line {
	return redeem.Line{No: no, AssetMappingID: "100003", AssetID: "points", Count: n, Asset: redeem.Points, Provider: Name}
}

// own is a configuration with the CRM's own ids, which points and coupons need.
func own() Config {
	return Config{BrandID: "3742863742", Shops: map[string]Shop{"8066287": {ID: "73527452"}}}
}

// sending plans lines that make one leg, as the engine would.
func sending(t *testing.T, c *Client, req redeem.Request, lines ...redeem.Line) redeem.Sending {
	t.Helper()
	return providertest.Sending(t, c, key, req, lines...)
}

func legOf(p redeem.LegPlan) redeem.Leg { return providertest.Leg(Name, key, p, time.Time{}) }

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ptr(n int64) *int64 { return &n }

// The bodies that go over the wire, byte for byte.
func TestTheBodyOfACall(t *testing.T) {
	all := Options{
		Channel: "kry", GroupID: ptr(7), AppType: "pos", DeviceSN: "SN1", IP: "10.0.0.1", OpType: ptr(0), OperatorID: ptr(9),
		ProductName: "午餐", Reason: "消费", Remark: "a&b<c>", UsePassword: "1", OperatorName: "收银台",
		ForwardPaymentToken: true, CouponsAsNumbers: true, SendEmpty: true,
	}
	lines := []redeem.Line{value(0, 1000), coupon(1, "390962138708451328"), points(2, 50), value(3, 1)}
	tests := map[string]struct {
		cfg     Config
		request func(*redeem.Request)
		lines   []redeem.Line
	}{
		"stored-value":       {lines: lines[:1]},
		"all-assets":         {lines: lines},
		"coupons-only":       {lines: lines[1:2]},
		"points-only":        {lines: lines[2:3]},
		"every-field":        {cfg: Config{Options: all}, lines: lines},
		"send-empty":         {cfg: Config{Options: Options{SendEmpty: true}}, lines: lines[2:3]},
		"scan-codes":         {cfg: Config{Options: Options{CouponsAreScanCodes: true}}, request: func(r *redeem.Request) { r.MemberID = "" }, lines: []redeem.Line{coupon(0, "ZM100000000001")}},
		"mapped-shop":        {cfg: Config{Shops: map[string]string{"8066287": "S001"}}, lines: lines[:1]},
		"capitalized-keys":   {cfg: Config{TokenKeys: Capitalized}, lines: lines[:1]},
		"mapped-operator":    {cfg: Config{Operators: map[string]Operator{"1543": {ID: 7, Name: "李四"}}, Options: Options{OperatorID: ptr(9), OperatorName: "收银台"}}, lines: lines[:1]},
		"operator-no-number": {request: func(r *redeem.Request) { r.OperatorID = "op-1" }, lines: lines[:1]},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, says(`{}`))
			c := client(t, v.URL, tc.cfg, Deps{})
			req := request()
			if tc.request != nil {
				tc.request(&req)
			}
			c.Send(t.Context(), sending(t, c, req, tc.lines...))
			if len(v.Got()) != 1 {
				t.Fatalf("the vendor saw %d requests, want 1", len(v.Got()))
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(v.Got()[0]), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", pretty.String()+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestAllLinesAreOneLeg(t *testing.T) {
	c := client(t, "http://127.0.0.1", Config{ReversalAction: "some.action"}, Deps{})
	got, err := c.Plan(request(), []redeem.Line{value(0, 1000), coupon(1, "390962138708451328"), points(2, 50), value(3, 1)})
	if err != nil {
		t.Fatal(err)
	}
	want := []redeem.LegPlan{{
		Operation: Consume, Lines: []int{0, 1, 2, 3}, Reversible: true, MemberRef: "1001",
		Amount: 1001, Points: 50, Coupons: []string{"390962138708451328"}, Call: got[0].Call,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for _, secret := range []string{"15012341111", "11100001", "张三丰"} {
		if strings.Contains(string(got[0].Call), secret) {
			t.Errorf("the kept call holds %q", secret)
		}
	}
}

func TestWhatCannotBePlannedIsRejectedByName(t *testing.T) {
	list := func(field string) string { return "memberAssetsVerificationList[0]." + field }
	noMember := func(r *redeem.Request) { r.MemberID = "" }
	twoCoupons := coupon(0, "1")
	twoCoupons.Count = 2
	other := value(0, 1)
	other.Asset = "Gold"
	tests := map[string]struct {
		cfg     Config
		request func(*redeem.Request)
		lines   []redeem.Line
		want    string
	}{
		"a member is needed for stored value":        {request: noMember, lines: []redeem.Line{value(0, 1)}, want: "thirdMemberId"},
		"a member is needed for a coupon id":         {request: noMember, lines: []redeem.Line{coupon(0, "1")}, want: "thirdMemberId"},
		"a member is needed beside a scan code":      {cfg: Config{Options: Options{CouponsAreScanCodes: true}}, request: noMember, lines: []redeem.Line{coupon(0, "1"), points(1, 1)}, want: "thirdMemberId"},
		"no amount":                                  {lines: []redeem.Line{value(0, 0)}, want: list("verifyAmount")},
		"an amount below zero":                       {lines: []redeem.Line{value(0, -1)}, want: list("verifyAmount")},
		"an amount beyond the bound":                 {lines: []redeem.Line{value(0, redeem.MaxFen+1)}, want: list("verifyAmount")},
		"amounts whose sum is beyond the bound":      {lines: []redeem.Line{value(0, redeem.MaxFen), value(1, 1)}, want: "memberAssetsVerificationList"},
		"no points":                                  {lines: []redeem.Line{points(0, 0)}, want: list("verifyCnt")},
		"a coupon without an id":                     {lines: []redeem.Line{coupon(0, "")}, want: list("assetId")},
		"a coupon id that is no number, as a number": {cfg: Config{Options: Options{CouponsAsNumbers: true}}, lines: []redeem.Line{coupon(0, "1e3")}, want: list("assetId")},
		"a coupon id with a leading zero, likewise":  {cfg: Config{Options: Options{CouponsAsNumbers: true}}, lines: []redeem.Line{coupon(0, "01")}, want: list("assetId")},
		"one coupon in two lines":                    {lines: []redeem.Line{coupon(1, "1"), coupon(0, "1")}, want: list("assetId")},
		"one coupon id, two pieces":                  {lines: []redeem.Line{twoCoupons}, want: list("verifyCnt")},
		"an asset nobody knows":                      {lines: []redeem.Line{other}, want: list("assetMappingId")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req := request()
			if tc.request != nil {
				tc.request(&req)
			}
			_, err := client(t, "http://127.0.0.1", tc.cfg, Deps{}).Plan(req, tc.lines)
			rejection, ok := errors.AsType[*redeem.Rejection](err)
			if !ok || rejection.Field != tc.want || rejection.Cashier == "" || rejection.Detail == "" || rejection.SubCode == "" {
				t.Errorf("got %+v, want a rejection of %s with all its texts", err, tc.want)
			}
		})
	}
}

// What the till asks in fen is what the vendor reads in yuan, to the fen.
func TestAmountsArriveToTheFen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "lines")
		var lines []redeem.Line
		var sum redeem.Fen
		for i := range n {
			fen := redeem.Fen(rapid.Int64Range(1, int64(redeem.MaxFen)/5).Draw(rt, "fen"))
			lines, sum = append(lines, value(i, fen)), sum+fen
		}
		c := &Client{}
		plans, err := c.Plan(request(), lines)
		if err != nil {
			rt.Fatal(err)
		}
		var k call
		if err := json.Unmarshal(plans[0].Call, &k); err != nil {
			rt.Fatal(err)
		}
		p := c.params(key, k, request()).(consumeParams)
		if got, err := redeem.ParseYuan(p.Amount); err != nil || got != sum || plans[0].Amount != sum {
			rt.Fatalf("asked for %d fen, sent %q (%v), planned %d", sum, p.Amount, err, plans[0].Amount)
		}
	})
}

func TestAConfigurationIsCheckedByName(t *testing.T) {
	good := Config{Endpoint: "https://example.test/api/v2", Credentials: credentials}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no endpoint":         {func(c *Config) { c.Endpoint = "" }, "zhimai.endpoint"},
		"another scheme":      {func(c *Config) { c.Endpoint = "ftp://x" }, "zhimai.endpoint"},
		"no openId":           {func(c *Config) { c.Credentials.OpenID = "" }, "openId"},
		"no openKey":          {func(c *Config) { c.Credentials.OpenKey = "" }, "openKey"},
		"no grantCode":        {func(c *Config) { c.Credentials.GrantCode = "" }, "grantCode"},
		"an unknown spelling": {func(c *Config) { c.TokenKeys = "UPPER" }, "zhimai.tokenKeys"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tc.change(&cfg)
			if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s named", err, tc.want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// show renders a form readably; the nested object is indented.
func show(t *testing.T, form url.Values) string {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		text := form.Get(name)
		if strings.HasPrefix(text, "{") {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(text), "", "  "); err != nil {
				t.Fatal(err)
			}
			text = pretty.String()
		}
		fmt.Fprintf(&b, "%s = %s\n", name, text)
	}
	return b.String()
}

// The forms that go over the wire.
func TestTheFormOfACall(t *testing.T) {
	full := own()
	full.SignMethod, full.Simplify, full.BizChannel, full.Account = MD5, true, "CS", ByBoth
	full.Credentials = Credentials{AppKey: "12345678", AppSecret: "helloworld", Session: "test"}
	full.Remark, full.ExtInfo = "午餐 a&b<c>", `{"payModeId":"WX", "payModeName":"微信"}`
	tests := map[string]struct {
		cfg     Config
		request func(*redeem.Request)
		line    redeem.Line
		more    []redeem.Line
	}{
		"stored-value":       {line: value(0, 1000)},
		"every-field":        {cfg: full, line: value(0, 1000)},
		"card":               {cfg: Config{Account: ByCard, SignMethod: HMAC}, request: func(r *redeem.Request) { r.MemberID = "" }, line: value(0, 1)},
		"other-outer-ids":    {cfg: Config{OutBrandID: "B1", Shops: map[string]Shop{"8066287": {OutID: "S1"}}}, line: value(0, 1)},
		"mapped-operator":    {cfg: Config{OperatorID: "88", Operators: map[string]string{"1543": "65673527"}}, line: value(0, 1)},
		"chip-card":          {cfg: Config{Account: ByBoth, ChipCardIsCardID: true}, request: func(r *redeem.Request) { r.PaymentTokenType = "PHYSICAL_CHIP_CARD_NO" }, line: value(0, 1)},
		"default-operator":   {cfg: Config{OperatorID: "88"}, request: func(r *redeem.Request) { r.OperatorID = "" }, line: value(0, 1)},
		"points-and-coupons": {cfg: own(), line: points(0, 50), more: []redeem.Line{coupon(1, "490962138708451328"), coupon(2, "490962138708451329")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(`{}`))
			c := client(t, g.URL, tc.cfg, Deps{})
			req := request()
			if tc.request != nil {
				tc.request(&req)
			}
			c.Send(t.Context(), sending(t, c, req, append([]redeem.Line{tc.line}, tc.more...)...))
			forms := g.Got()
			if len(forms) != 1 {
				t.Fatalf("the gateway saw %d requests, want 1", len(forms))
			}
			golden(t, name+".txt", show(t, forms[0]))
			params := map[string]string{}
			for n := range forms[0] {
				params[n] = forms[0].Get(n)
			}
			if want := Sign(SignMethod(params["sign_method"]), "helloworld", params); params["sign"] != want {
				t.Errorf("what was sent is signed %s, not %s", want, params["sign"])
			}
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

func TestStoredValueIsALegALineAndTheRestIsOne(t *testing.T) {
	c := client(t, "http://127.0.0.1", own(), Deps{})
	got, err := c.Plan(request(), []redeem.Line{points(0, 5), value(1, 1000), coupon(2, "7"), value(3, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		for _, secret := range []string{"15012341111", "11100001", "张三丰"} {
			if strings.Contains(string(got[i].Call), secret) {
				t.Errorf("the kept call holds %q", secret)
			}
		}
		got[i].Call = nil
	}
	want := []redeem.LegPlan{
		{Operation: Dedut, Lines: []int{1}, Reversible: true, MemberRef: "1001", Amount: 1000},
		{Operation: Dedut, Lines: []int{3}, Reversible: true, MemberRef: "1001", Amount: 1},
		{Operation: Verify, Lines: []int{0, 2}, Reversible: true, MemberRef: "1001", Points: 5, Coupons: []string{"7"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestTheKeptCallIsStable(t *testing.T) {
	c := client(t, "http://127.0.0.1", Config{}, Deps{})
	want := `{"customerId":"1001","outBrandId":"11342","outShopId":"8066287","bizChannel":"KRY","operatorId":"1543","bizDate":"2025-12-10 11:59:59",` +
		`"lines":[{"no":0,"asset":"StoredValue","id":"7328763784623","amount":1000}]}`
	if diff := cmp.Diff(want, string(sending(t, c, request(), value(0, 1000)).Leg.Call)); diff != "" {
		t.Errorf("the form in the ledger has changed; old rows must stay readable (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBePlannedIsRejectedByName(t *testing.T) {
	list := func(field string) string { return "memberAssetsVerificationList[0]." + field }
	noMember := func(r *redeem.Request) { r.MemberID = "" }
	noCard, twoCoupons, other := value(0, 1), coupon(0, "1"), value(0, 1)
	noCard.AssetID, twoCoupons.Count, other.Asset = "", 2, "Gold"
	tests := map[string]struct {
		cfg     Config
		request func(*redeem.Request)
		lines   []redeem.Line
		want    string // the field
		detail  string // what the text names, where the field is not the till's
	}{
		"an operator is needed":                       {request: func(r *redeem.Request) { r.OperatorID = "" }, lines: []redeem.Line{value(0, 1)}, want: "operatorId"},
		"a shop is needed":                            {request: func(r *redeem.Request) { r.ShopID = "" }, lines: []redeem.Line{value(0, 1)}, want: "kryShopId"},
		"a member is needed for the member's account": {request: noMember, lines: []redeem.Line{value(0, 1)}, want: "thirdMemberId"},
		"a member is needed for points":               {cfg: own(), request: noMember, lines: []redeem.Line{points(0, 1)}, want: "thirdMemberId"},
		"a card is needed for a card's account":       {cfg: Config{Account: ByCard}, lines: []redeem.Line{noCard}, want: list("assetId")},
		"the CRM's own shop is needed for points":     {cfg: Config{BrandID: "1"}, lines: []redeem.Line{points(0, 1)}, want: "kryShopId", detail: "alsc.shopID"},
		"the CRM's own brand is needed for coupons":   {cfg: Config{Shops: own().Shops}, lines: []redeem.Line{coupon(0, "1")}, want: "", detail: "set spec.providers.alsc.brandID"},
		"no amount":                  {lines: []redeem.Line{value(0, 0)}, want: list("verifyAmount")},
		"an amount beyond the bound": {lines: []redeem.Line{value(0, redeem.MaxFen+1)}, want: list("verifyAmount")},
		"no points":                  {cfg: own(), lines: []redeem.Line{points(0, 0)}, want: list("verifyCnt")},
		"a coupon without an id":     {cfg: own(), lines: []redeem.Line{coupon(0, "")}, want: list("assetId")},
		"one coupon in two lines":    {cfg: own(), lines: []redeem.Line{coupon(1, "1"), coupon(0, "1")}, want: list("assetId")},
		"one coupon id, two pieces":  {cfg: own(), lines: []redeem.Line{twoCoupons}, want: list("verifyCnt")},
		"an asset nobody knows":      {lines: []redeem.Line{other}, want: list("assetMappingId")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req := request()
			if tc.request != nil {
				tc.request(&req)
			}
			c := client(t, "http://127.0.0.1", tc.cfg, Deps{})
			if tc.want == "operatorId" {
				c.cfg.OperatorID = ""
			}
			_, err := c.Plan(req, tc.lines)
			rejection, ok := errors.AsType[*redeem.Rejection](err)
			if !ok || rejection.Field != tc.want || rejection.Cashier == "" || rejection.Detail == "" || !strings.Contains(rejection.Detail, tc.detail) || rejection.SubCode == "" {
				t.Errorf("got %+v, want a rejection of %s with all its texts", err, tc.want)
			}
		})
	}
}

func TestTheAmountArrivesToTheFen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fen := redeem.Fen(rapid.Int64Range(1, int64(redeem.MaxFen)).Draw(rt, "fen"))
		c := &Client{cfg: Config{Account: ByCustomer}}
		plans, err := c.Plan(request(), []redeem.Line{value(0, fen)})
		if err != nil {
			rt.Fatal(err)
		}
		var k call
		if err := json.Unmarshal(plans[0].Call, &k); err != nil {
			rt.Fatal(err)
		}
		_, object := params(Dedut, key, k)
		raw, err := json.Marshal(object)
		if err != nil || !strings.Contains(string(raw), fmt.Sprintf(`"value":%d,`, fen)) {
			rt.Fatalf("asked for %d fen, sent %s (%v)", fen, raw, err)
		}
	})
}

func TestAConfigurationIsCheckedByName(t *testing.T) {
	good := Config{Endpoint: "https://example.test/router/rest", Credentials: credentials}
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no endpoint":           {func(c *Config) { c.Endpoint = "" }, "alsc.endpoint"},
		"no appKey":             {func(c *Config) { c.Credentials.AppKey = "" }, "appKey"},
		"no appSecret":          {func(c *Config) { c.Credentials.AppSecret = "" }, "appSecret"},
		"an unknown signature":  {func(c *Config) { c.SignMethod = "sha1" }, "alsc.signMethod"},
		"an unknown account":    {func(c *Config) { c.Account = "Wallet" }, "alsc.account"},
		"extInfo no JSON":       {func(c *Config) { c.ExtInfo = "WX" }, "alsc.extInfo"},
		"a shop with both ids":  {func(c *Config) { c.Shops = map[string]Shop{"1": {ID: "2", OutID: "3"}} }, "alsc.shops[1]"},
		"an HTTP client is due": {func(*Config) {}, "HTTP client"},
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

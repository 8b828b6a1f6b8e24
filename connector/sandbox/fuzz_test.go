// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

var fuzzNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func fuzzed(t *testing.T) *Sandbox {
	t.Helper()
	cfg := DemoConfig()
	cfg.Zhimai.ReversalAction = "reverse"
	s, err := New(cfg, WithClock(func() time.Time { return fuzzNow }))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func total(s *Sandbox) (fen int64) {
	for _, m := range s.Books().Members("") {
		fen += m.Balance.Total()
	}
	return fen
}

// conserved fails when fen appeared or disappeared.
func conserved(t *testing.T, s *Sandbox, before int64) {
	t.Helper()
	var net int64
	for _, n := range s.Books().Nets(books.Filter{}) {
		net += n.NetFen
	}
	if total(s)+net != before {
		t.Errorf("%d fen left and %d spent are not %d", total(s), net, before)
	}
}

func serveFuzz(s *Sandbox, path, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func FuzzZhimai(f *testing.F) {
	for _, action := range []string{"communal.user.consume", "communal.user.gether-customer-info", "user.wealth-bills", "user.coupon-new-status", "reverse"} {
		f.Add(action, `{"bizId":"1","customerId":"1001","amount":"1.00","couponsCardList":[390962138708451328],"type":1,"points":"5"}`)
	}
	f.Fuzz(func(t *testing.T, action, params string) {
		s := fuzzed(t)
		before := total(s)
		stamp := strconv.FormatInt(fuzzNow.Unix(), 10)
		body, err := json.Marshal(zhimaiRequest{
			OpenID: "demo-open-id", GrantCode: "demo-grant", Timestamp: stamp, Nonce: "1", Action: action,
			Token: ZhimaiToken("demo-open-key", "demo-open-id", "demo-grant", stamp, "1", false), Params: json.RawMessage(params),
		})
		if err != nil {
			body = []byte(params) // no JSON: the bytes themselves
		}
		w := serveFuzz(s, ZhimaiPath, "application/json", string(body))
		if !json.Valid(w.Body.Bytes()) || w.Code != http.StatusOK {
			t.Errorf("HTTP %d: %s", w.Code, w.Body)
		}
		conserved(t, s, before)
	})
}

func FuzzALSC(f *testing.F) {
	for _, method := range slices.Sorted(maps.Keys(alscMethods)) {
		f.Add(method, `{"brand_id":"1","shop_id":"1","operator_id":"1","outer_order_id":"1","new_outer_order_id":"2","request_id":"1","customer_id":"1001","value":5,"point":5,"voucher_id_list":["490962138708451328"],"biz_channel":"KRY","page_no":1}`, "json")
	}
	f.Fuzz(func(t *testing.T, method, param, format string) {
		s := fuzzed(t)
		before := total(s)
		p := map[string]string{
			"method": method, "app_key": "12345678", "v": "2.0", "sign_method": "md5", "format": format,
			"timestamp": fuzzNow.In(cst).Format(clockLayout), alscMethods[method].param: param,
		}
		sign, err := TOPSign("md5", "demo-app-secret", p)
		if err != nil {
			t.Fatal(err)
		}
		q := url.Values{"sign": {sign}}
		for k, v := range p {
			q.Set(k, v)
		}
		w := serveFuzz(s, ALSCPath, "application/x-www-form-urlencoded", q.Encode())
		if w.Code != http.StatusOK || format == "json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("HTTP %d: %s", w.Code, w.Body)
		}
		conserved(t, s, before)
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"code":0,"message":"","messageUuid":"","result":{"data":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeReply(raw)
		if err == nil && (r.Code == 0) != (r.Result != nil) {
			t.Errorf("accepted %s", raw)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("split: gift-first\nmembers: [{vendor: alsc, id: x}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if err != nil {
			return
		}
		c.BooksFile = ""
		s, err := New(c)
		if err != nil {
			return
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestYuanAndFenAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fen := rapid.Int64Range(0, 99_999_999_999_999).Draw(t, "fen")
		got, err := parseYuan(yuan(fen))
		if err != nil || got != fen {
			t.Fatalf("%d fen became %s and then %d: %v", fen, yuan(fen), got, err)
		}
	})
	if got := yuan(-5); got != "-0.05" {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{"", ".", ".00", "1", "1.", "1.0", "1.000", "-1.00", "+1.00", "1e2.00", "1.0O", "１.00", " 1.00", "1234567890123.00"} {
		if _, err := parseYuan(bad); err == nil {
			t.Errorf("%q must be refused", bad)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSignIsTheVendorsExample(t *testing.T) {
	first := map[string]string{
		"method": "taobao.item.seller.get", "app_key": "12345678", "session": "test", "timestamp": "2016-01-01 12:00:00",
		"format": "json", "v": "2.0", "fields": "num_iid,title,nick,price,num", "num_iid": "11223344",
	}
	second := map[string]string{
		"method": "taobao.user.seller.get", "timestamp": "2013-05-06 13:52:03", "format": "xml", "app_key": "test",
		"v": "2.0", "fields": "nick", "session": "test",
	}
	tests := map[string]struct {
		method SignMethod
		secret string
		params map[string]string
		want   string
	}{
		"md5":                        {MD5, "helloworld", first, "66987CB115214E59E6EC978214934FB8"},
		"md5, another":               {MD5, "test", second, "72CB4D809B375A54502C09360D879C64"},
		"hmac over the same":         {HMAC, "helloworld", first, "D56D7858309C31B6251083A874D48273"},
		"hmac-sha256 over the same":  {HMACSHA256, "helloworld", first, "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"},
		"an unknown method is empty": {"sha1", "helloworld", first, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			params := maps.Clone(tc.params)
			params["sign_method"] = string(tc.method)
			if got := Sign(tc.method, tc.secret, params); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// Neither the order in which parameters were set, nor empty ones, nor a sign that is
// there already changes the sign; each other change does.
func TestWhatIsSigned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z_]{1,12}`).Filter(func(s string) bool { return s != "sign" })
		params := rapid.MapOfN(name, rapid.StringN(1, 20, 80), 1, 8).Draw(t, "params")
		method := rapid.SampledFrom([]SignMethod{MD5, HMAC, HMACSHA256}).Draw(t, "method")
		secret := rapid.StringN(1, 20, 80).Draw(t, "secret")
		sign := Sign(method, secret, params)
		if sign != strings.ToUpper(sign) || len(sign) != map[SignMethod]int{MD5: 32, HMAC: 32, HMACSHA256: 64}[method] {
			t.Fatalf("got %s", sign)
		}
		again := maps.Clone(params)
		again["sign"], again[""], again["empty_one"] = "x", "y", ""
		if Sign(method, secret, again) != sign {
			t.Fatal("an empty or unsigned parameter changed it")
		}
		for n := range params {
			changed := maps.Clone(params)
			changed[n] += "x"
			if Sign(method, secret, changed) == sign {
				t.Fatalf("another %s gives the same sign", n)
			}
		}
		if Sign(method, secret+"x", params) == sign {
			t.Fatal("another secret gives the same sign")
		}
	})
}

func TestAnErrorIsReadInEitherForm(t *testing.T) {
	const want = "50|isv.invalid-parameter|非法参数"
	tests := map[string]string{
		"JSON, texts":                                `{"error_response":{"code":"50","msg":"Remote service error","sub_code":"isv.invalid-parameter","sub_msg":"非法参数"}}`,
		"JSON, code a number":                        `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isv.invalid-parameter","sub_msg":"非法参数","request_id":"x"}}`,
		"XML":                                        `<?xml version="1.0" encoding="utf-8" ?><error_response><code>50</code><msg>Remote service error</msg><sub_code>isv.invalid-parameter</sub_code><sub_msg>非法参数</sub_msg></error_response>`,
		"XML over several lines":                     "<error_response>\n  <code> 50 </code>\n <sub_code>isv.invalid-parameter</sub_code><sub_msg>非法参数</sub_msg>\n</error_response>\n",
		"JSON, without a sub_msg":                    `{"error_response":{"code":50,"msg":"非法参数","sub_code":"isv.invalid-parameter"}}`,
		"XML, without a sub_msg":                     `<error_response><code>50</code><msg>非法参数</msg><sub_code>isv.invalid-parameter</sub_code></error_response>`,
		"JSON, with a byte mark":                     "\ufeff" + `{"error_response":{"code":50,"sub_code":"isv.invalid-parameter","sub_msg":"非法参数"}}`,
		"not: XML with two codes":                    "!<error_response><code>50</code><code>7</code></error_response>",
		"not: XML that is cut":                       "!<error_response><code>50</code>",
		"not: XML and something":                     "!<error_response><code>50</code></error_response><html/>",
		"not: XML of another root":                   "!<response><code>50</code></response>",
		"not: a page":                                "!<html><body>error_response</body></html>",
		"not: an error beside a result":              `!{"error_response":{"code":50},"result":{"biz_success":true}}`,
		"not: an error that is text beside a result": `!{"error_response":"50","result":{"biz_success":true}}`,
		"not: an error that is text":                 `!{"error_response":"50"}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			body, none := strings.CutPrefix(body, "!")
			r := decode(Dedut, 200, []byte(body))
			if none {
				if r.readable {
					t.Errorf("got %+v, want nothing", r.failed)
				}
				return
			}
			if r.failed == nil || !r.readable {
				t.Fatal("no error was read")
			}
			if got := r.failed.Code + "|" + r.failed.SubCode + "|" + r.failed.Message; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

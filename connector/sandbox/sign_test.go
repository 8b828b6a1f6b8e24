// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The vectors are the vendors' published ones, or such that several
// independent clients reproduce.

func TestTOPSign(t *testing.T) {
	seller := map[string]string{
		"method": "taobao.item.seller.get", "app_key": "12345678", "session": "test", "timestamp": "2016-01-01 12:00:00",
		"format": "json", "v": "2.0", "sign_method": "md5", "fields": "num_iid,title,nick,price,num", "num_iid": "11223344",
	}
	with := func(method string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range seller {
			out[k] = v
		}
		out["sign_method"] = method
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	tests := map[string]struct {
		method, secret string
		params         map[string]string
		want           string
	}{
		"md5": {"md5", "helloworld", seller, "66987CB115214E59E6EC978214934FB8"},
		"md5 of a user": {"md5", "test", map[string]string{
			"method": "taobao.user.seller.get", "timestamp": "2013-05-06 13:52:03", "format": "xml", "app_key": "test",
			"v": "2.0", "fields": "nick", "sign_method": "md5", "session": "test",
		}, "72CB4D809B375A54502C09360D879C64"},
		"hmac":                              {"hmac", "helloworld", with("hmac"), "D56D7858309C31B6251083A874D48273"},
		"hmac-sha256":                       {"hmac-sha256", "helloworld", with("hmac-sha256"), "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"},
		"sign and empty values are skipped": {"md5", "helloworld", with("md5", "sign", "X", "empty", "", "", "noname"), "66987CB115214E59E6EC978214934FB8"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := TOPSign(tc.method, tc.secret, tc.params)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := TOPSign("sha1", "", nil); err == nil {
		t.Error("an unknown method must be refused")
	}
}

func TestZhimaiToken(t *testing.T) {
	got := ZhimaiToken("LyvrkvkxRkG2R6aM55bXpPwjYAbkEXTbVnKwfDYvVHjNwNFAmx", "d14c1559e87b747d577c834b275a4310", "ba67d4fa46", "1465185768", "11886", false)
	if diff := cmp.Diff("cFw0t9IuvL9jVo9qAzk0qMcw5BM%3D", got); diff != "" {
		t.Error(diff)
	}
	if other := ZhimaiToken("k", "o", "g", "1", "2", true); other == ZhimaiToken("k", "o", "g", "1", "2", false) {
		t.Error("the spelling of the keys must matter")
	}
}

func TestKeruyunSign(t *testing.T) {
	const token = "66e53b22f1496d183e71b4ab90f4acf7"
	shop := map[string]string{"appKey": "7857ca1808d370e2501290bc853eecdc", "shopIdenty": "810094162", "timestamp": "1528683797798", "version": "2.0"}
	brand := map[string]string{"appKey": "7857ca1808d370e2501290bc853eecdc", "brandId": "32296", "timestamp": "1528683797798", "version": "2.0"}
	body := []byte(`{"aaa":1}`)
	tests := map[string]struct {
		signing Signing
		params  map[string]string
		body    []byte
		want    string
	}{
		"version 1 leaves the body out": {V1, map[string]string{"appKey": "301001", "shopIdenty": "247900001", "timestamp": "1425635264", "version": "1.0"}, body, "acb4355599742492518363653dd060b818ef7813284e823dcf5a61d722f27771"},
		"version 2 without the word":    {V2NoLiteral, shop, body, "779d704132837f6fd93178a0eff9e70ce8e365321cb5874708a05bad96a44887"},
		"version 2 with the word":       {V2, shop, body, "5a699c212b03c0452c776302689c24e7f64638ff6c6f29fe7fbad1c281403417"},
		"version 2 of a brand":          {V2, brand, body, "2f3107d0ec8739fe6f87dad862d549e4d2094bb14efec2b72ef580019d055faa"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, KeruyunSign(tc.signing, tc.params, tc.body, token)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

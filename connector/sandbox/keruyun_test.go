// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

func TestKeruyunSignsWhatItSends(t *testing.T) {
	at := func() time.Time { return time.UnixMilli(1528683797798) }
	tests := map[string]struct {
		kry  sandbox.Keruyun
		want map[string]string
	}{
		"version 2": {sandbox.Keruyun{AppKey: "7857ca1808d370e2501290bc853eecdc", BrandID: "32296", Millis: true}, map[string]string{
			"appKey": "7857ca1808d370e2501290bc853eecdc", "brandId": "32296", "timestamp": "1528683797798", "version": "2.0",
			"sign": "2f3107d0ec8739fe6f87dad862d549e4d2094bb14efec2b72ef580019d055faa",
		}},
		"version 2 without the word, of a shop": {sandbox.Keruyun{AppKey: "7857ca1808d370e2501290bc853eecdc", ShopIdenty: "810094162", PathBrandID: "32296", Millis: true, Signing: sandbox.V2NoLiteral}, map[string]string{
			"appKey": "7857ca1808d370e2501290bc853eecdc", "shopIdenty": "810094162", "timestamp": "1528683797798", "version": "2.0",
			"sign": "779d704132837f6fd93178a0eff9e70ce8e365321cb5874708a05bad96a44887",
		}},
		"version 1 in seconds": {sandbox.Keruyun{AppKey: "a", BrandID: "32296", Signing: sandbox.V1}, map[string]string{
			"appKey": "a", "brandId": "32296", "timestamp": "1528683797", "version": "1.0",
			"sign": sandbox.KeruyunSign(sandbox.V1, map[string]string{"appKey": "a", "brandId": "32296", "timestamp": "1528683797", "version": "1.0"}, nil, "66e53b22f1496d183e71b4ab90f4acf7"),
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var path, body, trace string
			var query url.Values
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				path, body, query, trace = r.URL.Path, string(raw), r.URL.Query(), r.Header.Get("Traceparent")
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, `{"code":0}`)
			}))
			defer srv.Close()
			tc.kry.BaseURL, tc.kry.Token, tc.kry.Now = srv.URL, "66e53b22f1496d183e71b4ab90f4acf7", at
			tc.kry.Header = http.Header{"Traceparent": {"x"}}
			status, reply, err := tc.kry.Verify(context.Background(), []byte(`{"aaa":1}`))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for k := range query {
				got[k] = query.Get(k)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]any{"/keruyun/32296/member-assets/verify", `{"aaa":1}`, "x", 418, `{"code":0}`}, []any{path, body, trace, status, string(reply)}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeruyunReachesEveryInterface(t *testing.T) {
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.URL.Path) }))
	defer srv.Close()
	k := sandbox.Keruyun{BaseURL: srv.URL + "/base", BrandID: "1"}
	for _, call := range []func(context.Context, []byte) (int, []byte, error){k.Query, k.Verify, k.Reverse, k.Result} {
		if _, _, err := call(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := k.Call(context.Background(), "/own", nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"/base/keruyun/1/member-assets/query", "/base/keruyun/1/member-assets/verify", "/base/keruyun/1/member-assets/reverse", "/base/keruyun/1/member-assets/result", "/base/own"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]sandbox.Keruyun{
		"an unknown signing": {Signing: "v3"}, "brand and shop": {BrandID: "1", ShopIdenty: "2"}, "a broken URL": {BaseURL: "http://[::1"},
	} {
		if _, _, err := bad.Verify(context.Background(), nil); err == nil {
			t.Errorf("%s must be an error", name)
		}
	}
}

func TestDecodeReplyHoldsTheContract(t *testing.T) {
	const ok = `{"code":0,"message":"OK","messageUuid":"u","result":{"data":{"flowId":"f","verifyAssetsDetailList":[{"assetId":"1","verifyTotalAmount":1000,"status":"SUCCESS"}]},"subCode":"000","subMsg":"成功","success":true}}`
	tests := map[string]struct{ reply, want string }{
		"a success":                    {ok, ""},
		"a timeout":                    {`{"code":3001,"message":"请求超时","messageUuid":"u"}`, ""},
		"no JSON":                      {`<html>`, "not a JSON object"},
		"no code":                      {`{"message":"","messageUuid":""}`, "no code"},
		"no message":                   {`{"code":0,"messageUuid":""}`, "no message"},
		"no messageUuid":               {`{"code":0,"message":""}`, "no messageUuid"},
		"a success without a result":   {`{"code":0,"message":"","messageUuid":""}`, "no result"},
		"a failure with a result":      {`{"code":3000,"message":"","messageUuid":"","result":{}}`, "and a result"},
		"a code that is not a number":  {`{"code":"0","message":"","messageUuid":""}`, "decode reply"},
		"a null instead of the result": {`{"code":3001,"message":"","messageUuid":"","result":null}`, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := sandbox.DecodeReply([]byte(tc.reply))
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	r, err := sandbox.DecodeReply([]byte(ok))
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.VerifyData()
	if err != nil || d.FlowID != "f" || d.Lines[0].VerifyTotalAmount != 1000 {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := (sandbox.Reply{}).VerifyData(); err == nil {
		t.Error("no result has no data")
	}
}

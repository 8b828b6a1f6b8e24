// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// world is a sandbox with a clock of its own and careless clients.
type world struct {
	*sandbox.Server
	t     testing.TB
	at    *atomic.Int64 // unix nanoseconds
	nonce atomic.Int64
	http  *http.Client
}

func start(t testing.TB, change func(*sandbox.Config)) *world {
	t.Helper()
	cfg := sandbox.DemoConfig()
	if change != nil {
		change(&cfg)
	}
	w := &world{t: t, at: &atomic.Int64{}}
	w.at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	w.Server = sandboxtest.Start(t, cfg, sandbox.WithClock(w.now))
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	w.http = &http.Client{Transport: tr, Timeout: 2 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

func (w *world) now() time.Time { return time.Unix(0, w.at.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.at.Add(int64(d)) }

// zhimaiBody is a signed request; change may spoil it.
func (w *world) zhimaiBody(action, params string, change func(map[string]any)) []byte {
	stamp, nonce := strconv.FormatInt(w.now().Unix(), 10), strconv.FormatInt(w.nonce.Add(1), 10)
	body := map[string]any{
		"OpenId": "demo-open-id", "GrantCode": "demo-grant", "Timestamp": stamp, "Nonce": nonce, "Action": action,
		"Token":  sandbox.ZhimaiToken("demo-open-key", "demo-open-id", "demo-grant", stamp, nonce, false),
		"Params": json.RawMessage(params),
	}
	if change != nil {
		change(body)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// answer is what a client got.
type answer struct {
	status int
	body   string
	err    error
}

func (w *world) post(ctx context.Context, target, contentType string, body []byte) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(raw), err}
}

func (w *world) zhimai(action, params string) answer {
	return w.post(context.Background(), w.ZhimaiURL, "application/json", w.zhimaiBody(action, params, nil))
}

// topForm is a signed form; before may change what is signed, after spoils it.
func (w *world) topForm(method, name, param string, before, after func(map[string]string)) []byte {
	p := map[string]string{
		"method": method, "app_key": "12345678", "v": "2.0", "sign_method": "hmac-sha256", "format": "json",
		"timestamp": w.now().In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04:05"),
	}
	if name != "" {
		p[name] = param
	}
	if before != nil {
		before(p)
	}
	sign, err := sandbox.TOPSign(p["sign_method"], "demo-app-secret", p)
	if err != nil {
		sign = "unknown"
	}
	p["sign"] = sign
	if after != nil {
		after(p)
	}
	q := url.Values{}
	for k, v := range p {
		q.Set(k, v)
	}
	return []byte(q.Encode())
}

const formType = "application/x-www-form-urlencoded;charset=utf-8"

func (w *world) top(method, param string, before func(map[string]string)) answer {
	return w.post(context.Background(), w.ALSCURL, formType, w.topForm(method, topParam[method], param, before, nil))
}

const (
	dedut       = "alibaba.alsc.crm.recharge.dedut.update"
	undedut     = "alibaba.alsc.crm.recharge.undedut.update"
	precheck    = "alibaba.alsc.crm.recharge.dedutprecheck.get"
	flowDetail  = "alibaba.alsc.crm.recharge.account.flowdetail.get"
	flows       = "alibaba.alsc.crm.recharge.accountflows.get"
	account     = "alibaba.alsc.crm.recharge.account.get"
	verify      = "alibaba.alsc.crm.open.assert.verify"
	refund      = "alibaba.alsc.crm.open.assert.refund"
	customerGet = "alibaba.alsc.crm.open.customer.get"
)

var topParam = map[string]string{
	dedut: "param_dedut_open_req", undedut: "param_undedut_open_req", precheck: "param_deduct_pre_check_open_req",
	flowDetail: "param_query_recharge_account_flow_open_req", flows: "param_page_query_account_flows_open_req",
	account: "param_query_recharge_account_open_req", verify: "param_property_verify_open_req",
	refund: "param_property_refund_open_req", customerGet: "param_customer_get_open_req",
}

// object merges fields, later ones first, "-" removing one, and encodes them.
func object(fields ...map[string]any) string {
	out := map[string]any{}
	for _, f := range fields {
		for k, v := range f {
			if v == "-" {
				delete(out, k)
				continue
			}
			out[k] = v
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

type o = map[string]any

func spendParams(change ...map[string]any) string {
	return object(append([]map[string]any{{
		"out_brand_id": "11342", "out_shop_id": "8066287", "customer_id": "1001", "operator_id": "1543",
		"outer_order_id": "order-1", "request_id": "req-1", "biz_channel": "KRY", "value": 25000,
	}}, change...)...)
}

func consumeParams(change ...map[string]any) string {
	return object(append([]map[string]any{{"bizId": "biz-1", "customerId": "1001", "amount": "250.00"}}, change...)...)
}

// fields decodes an answer and picks nested fields by their path.
func fields(t testing.TB, a answer, paths ...string) []any {
	t.Helper()
	if a.err != nil {
		t.Fatal(a.err)
	}
	var doc any
	d := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	out := []any{}
	for _, p := range paths {
		out = append(out, pick(doc, p))
	}
	return out
}

func pick(doc any, path string) any {
	for path != "" {
		var step string
		for i, c := range path + "/" {
			if c == '/' {
				step, path = path[:i], path[min(i+1, len(path)):]
				break
			}
		}
		switch d := doc.(type) {
		case map[string]any:
			doc = d[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(d) {
				return nil
			}
			doc = d[i]
		default:
			return nil
		}
	}
	if n, ok := doc.(json.Number); ok {
		return n.String()
	}
	return doc
}

// expect compares fields of an answer.
func expect(t testing.TB, a answer, want map[string]any) {
	t.Helper()
	got := map[string]any{}
	for p := range want {
		got[p] = fields(t, a, p)[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\nin %s", diff, a.body)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func (w *world) balance(v books.Vendor) int64 {
	w.t.Helper()
	m, ok := w.Sandbox.Books().Find(v, books.ByID, "1001")
	if !ok {
		w.t.Fatal("no member 1001")
	}
	return m.Balance.Total()
}

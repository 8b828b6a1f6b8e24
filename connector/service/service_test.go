// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/sandbox/spans"
	"github.com/hexiao-dev/hexiao/connector/service/servicetest"
)

// samples is where the files lie that a cluster takes, too.
const samples = "../../config/samples"

// fixture is a connector between a till and the vendors, all on real sockets.
type fixture struct {
	*servicetest.Connector
	t *testing.T
}

// start runs a connector from the samples, with change applied to the object's text
// and secrets in place of the samples' values. Its till has patience, unless change says
// otherwise: what a busy machine takes longer for is not in doubt.
func start(t *testing.T, cfg sandbox.Config, change func(object string) string, secrets map[string]string) *fixture {
	t.Helper()
	object, credentials := readSample(t, "xiaowang.yaml"), sampleSecrets(t)
	if change != nil {
		object = change(object)
	}
	if !strings.Contains(object, "replyDeadline:") {
		object = strings.Replace(object, "  keruyun:\n", "  keruyun:\n    replyDeadline: 60s\n", 1)
	}
	maps.Copy(credentials, secrets)
	return &fixture{servicetest.Start(t, servicetest.Config{Vendors: cfg, Object: object, Credentials: credentials}), t}
}

func readSample(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(samples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func sampleSecrets(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, doc := range strings.Split(readSample(t, "credentials.yaml"), "\n---\n") {
		var s struct {
			Metadata   struct{ Name string }
			StringData map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &s); err != nil {
			t.Fatal(err)
		}
		for k, v := range s.StringData {
			out[s.Metadata.Name+"/"+k] = v
		}
	}
	return out
}

// envelope is what Keruyun reads of every reply.
type envelope struct {
	Code        *int
	Message     string
	MessageUUID string
	Result      *struct {
		Success bool
		SubCode string
		Data    struct {
			FlowID                 string
			VerifyAssetsDetailList []struct {
				AssetMappingID   string
				Status           string
				VerifyTotalAmout int64 `json:"verifyTotalAmount"`
			}
		}
	}
}

func parse(t *testing.T, reply []byte) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(reply, &e); err != nil || e.Code == nil || e.MessageUUID == "" {
		t.Fatalf("not the envelope (%v): %s", err, reply)
	}
	return e
}

func (f *fixture) verify(body string) (status int, reply []byte) {
	f.t.Helper()
	status, reply, err := f.Till.Verify(f.t.Context(), []byte(body))
	if err != nil {
		f.t.Fatal(err)
	}
	return status, reply
}

func (f *fixture) entries() []books.Entry { return f.Sandbox.Sandbox.Books().Entries(books.Filter{}) }

func TestKeruyunsSampleRequestIsRedeemedUnderEverySignature(t *testing.T) {
	for _, signing := range []sandbox.Signing{sandbox.V1, sandbox.V2, sandbox.V2NoLiteral} {
		t.Run(string(signing), func(t *testing.T) {
			f := start(t, sandbox.DemoConfig(), nil, nil)
			f.Till.Signing = signing
			status, reply := f.verify(readSample(t, "request.json"))
			e := parse(t, reply)
			if status != http.StatusOK || *e.Code != 0 || e.Result == nil || !e.Result.Success || e.Result.SubCode != "000" {
				t.Fatalf("HTTP %d, %s", status, reply)
			}
			if got := f.entries(); len(got) != 1 || got[0].Vendor != books.ALSC || got[0].AmountFen != 1000 {
				t.Errorf("booked at the vendors: %+v, want one deduction of 1000 fen at alsc", got)
			}
		})
	}
}

func TestOneChangedBitIsRefusedAndNothingIsSent(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	body := []byte(readSample(t, "request.json"))
	cases := map[string]func(url string) (string, []byte){
		"in the body under V2": func(url string) (string, []byte) {
			changed := bytes.Replace(body, []byte(`"verifyAmount": 1000`), []byte(`"verifyAmount": 1001`), 1)
			if bytes.Equal(changed, body) {
				t.Fatal("the sample has changed its shape")
			}
			return url, changed
		},
		"in the sign": func(url string) (string, []byte) {
			i := strings.Index(url, "sign=") + len("sign=")
			flipped := byte('0')
			if url[i] == '0' {
				flipped = '1'
			}
			return url[:i] + string(flipped) + url[i+1:], body
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			url, err := f.Till.URL(sandbox.VerifyPath, body)
			if err != nil {
				t.Fatal(err)
			}
			url, sent := change(url)
			status, reply, err := f.Till.Post(t.Context(), url, sent)
			if err != nil {
				t.Fatal(err)
			}
			if e := parse(t, reply); status != http.StatusUnauthorized || *e.Code == 0 || e.Result != nil {
				t.Errorf("HTTP %d, %s; want 401 and an envelope without a result", status, reply)
			}
			if calls := f.Sandbox.Sandbox.Calls(sandbox.CallFilter{}); len(calls) != 0 {
				t.Errorf("%d calls reached a vendor", len(calls))
			}
		})
	}
}

func TestARequestOverBothVendorsIsSpentAtBothOnceHoweverOftenItComes(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	body := readSample(t, "request-both.json")
	_, first := f.verify(body)
	if e := parse(t, first); *e.Code != 0 || !e.Result.Success || len(e.Result.Data.VerifyAssetsDetailList) != 4 {
		t.Fatalf("reply: %s", first)
	}
	for range 3 {
		if _, again := f.verify(body); !bytes.Equal(first, again) {
			t.Errorf("a repeat was answered differently:\n%s\n%s", first, again)
		}
	}
	got := map[books.Vendor]int64{}
	for _, e := range f.entries() {
		got[e.Vendor] += e.AmountFen
	}
	if diff := cmp.Diff(map[books.Vendor]int64{books.ALSC: 1000, books.Zhimai: 2550}, got); diff != "" || len(f.entries()) != 2 {
		t.Errorf("booked in fen (-want +got):\n%s\n%+v", diff, f.entries())
	}
}

func TestBadInputIsNamedToTheCashierAndNothingIsSent(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	sample := readSample(t, "request.json")
	swap := func(old, new string) string {
		if !strings.Contains(sample, old) {
			t.Fatalf("the sample has no %s", old)
		}
		return strings.Replace(sample, old, new, 1)
	}
	amount := func(v string) string { return swap(`"verifyAmount": 1000`, `"verifyAmount": `+v) }
	cases := map[string]struct{ body, names string }{
		"zero":               {amount("0"), "verifyAmount"},
		"negative":           {amount("-1"), "verifyAmount"},
		"fractional":         {amount("10.5"), "verifyAmount"},
		"overflowing":        {amount("9223372036854775808"), "verifyAmount"},
		"beyond the bound":   {amount("900000000000"), "verifyAmount"},
		"an exponent":        {amount("1e3"), "verifyAmount"},
		"not a number":       {amount(`"ten"`), "verifyAmount"},
		"unroutable":         {swap(`"assetMappingId": "100001"`, `"assetMappingId": "999999"`), "assetMappingId"},
		"another brand":      {swap(`"kryBrandId": "11342"`, `"kryBrandId": "11343"`), "kryBrandId"},
		"no bizId":           {swap(`"bizId": "20250001"`, `"bizId": ""`), "bizId"},
		"no member for ALSC": {swap(`"thirdMemberId": "1001"`, `"thirdMemberId": ""`), "thirdMemberId"},
		"no lines":           {sample[:strings.Index(sample, `[`)+1] + sample[strings.Index(sample, `]`):], "memberAssetsVerificationList"},
		"malformed":          {sample[:len(sample)/2], ""},
		"not an object":      {`[]`, ""},
		"oversized":          {swap(`"张三"`, `"`+strings.Repeat("a", 70<<10)+`"`), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, reply := f.verify(tc.body)
			e := parse(t, reply)
			if *e.Code == 0 && e.Result != nil && e.Result.Success {
				t.Fatalf("accepted: %s", reply)
			}
			if !strings.Contains(string(reply), tc.names) {
				t.Errorf("the reply does not name %s: %s", tc.names, reply)
			}
			if !containsHan(string(reply)) {
				t.Errorf("the reply says nothing to the cashier in Chinese: %s", reply)
			}
		})
	}
	stale := f.Till
	stale.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
	status, reply, err := stale.Verify(t.Context(), []byte(sample))
	if err != nil || status != http.StatusUnauthorized {
		t.Errorf("a stale request: HTTP %d, %v, %s", status, err, reply)
	}
	if calls := f.Sandbox.Sandbox.Calls(sandbox.CallFilter{}); len(calls) != 0 {
		t.Errorf("%d calls reached a vendor", len(calls))
	}
	// What was refused is not remembered: the same bizId may come again, corrected.
	if _, reply := f.verify(sample); !parse(t, reply).Result.Success {
		t.Errorf("the corrected request: %s", reply)
	}
}

func containsHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff })
}

func TestARefusalByTheVendorIsSaidLineByLine(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	_, reply := f.verify(readSample(t, "request-refused.json"))
	e := parse(t, reply)
	if *e.Code != 0 || e.Result == nil || e.Result.Success || e.Result.Data.VerifyAssetsDetailList[0].Status == "SUCCESS" {
		t.Errorf("reply: %s", reply)
	}
	if got := f.entries(); len(got) != 0 {
		t.Errorf("booked: %+v", got)
	}
}

func TestALostAnswerIsUnknownUntilItIsKnown(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{
		Vendor: "alsc", Method: "alibaba.alsc.crm.recharge.dedut.update", Kind: fault.ApplyThenReset, Count: 1,
	}); err != nil {
		t.Fatal(err)
	}
	body := readSample(t, "request.json")
	_, reply := f.verify(body)
	if e := parse(t, reply); *e.Code != 3001 || e.Result != nil {
		t.Fatalf("want 3001 without a result, got %s", reply)
	}
	servicetest.Await(t, "answer", func() bool {
		_, reply = f.verify(body)
		e := parse(t, reply)
		return *e.Code == 0 && e.Result.Success
	})
	if got := f.entries(); len(got) != 1 {
		t.Errorf("booked %d times: %+v", len(got), got)
	}
}

func TestTheTraceOfARedemptionGoesFromTheTillToTheLedgerAndIsItsMessageUUID(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	_, reply := f.verify(readSample(t, "request-both.json"))
	traceID := parse(t, reply).MessageUUID
	f.Stop() // flushes
	got := map[string]spans.Span{}
	for _, s := range f.Sandbox.Sandbox.Spans().Trace(traceID) {
		got[s.Name] = s
	}
	for _, name := range []string{
		"POST /keruyun/{brand}/member-assets/verify", "redeem.plan", "ledger.record", "ledger.settle",
		"zhimai communal.user.consume", "alsc alibaba.alsc.crm.recharge.dedut.update",
	} {
		if _, ok := got[name]; !ok {
			t.Errorf("the trace has no span %q; it has %v", name, keys(got))
		}
	}
	root := got["POST /keruyun/{brand}/member-assets/verify"]
	for name, s := range got {
		if s.Name != root.Name && s.ParentID == "" {
			t.Errorf("the span %s has no parent", name)
		}
	}
	lines := 0
	for _, line := range strings.Split(f.Logs.String(), "\n") {
		if strings.Contains(line, `"bizId":"20250002"`) {
			lines++
			if !strings.Contains(line, fmt.Sprintf("%q:%q", "trace_id", traceID)) {
				t.Errorf("a log line of the request without its trace_id: %s", line)
			}
		}
	}
	if lines == 0 {
		t.Errorf("no log line names the bizId")
	}
	for _, c := range f.Sandbox.Sandbox.Calls(sandbox.CallFilter{}) {
		for _, header := range []string{"Traceparent", "Tracestate", "Baggage", "Idempotency-Key", "X-Idempotency-Key"} {
			if c.Header.Get(header) != "" {
				t.Errorf("the call to %s carries %s", c.Method, header)
			}
		}
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

func TestNothingPersonalAndNoSecretIsInLogsSpansOrMetrics(t *testing.T) {
	canary := func(name string) string { return "canary-" + name + "-7f3a" }
	cfg := sandbox.DemoConfig()
	cfg.Zhimai.Accounts[0].OpenKey, cfg.Zhimai.Accounts[0].GrantCode = canary("openKey"), canary("grantCode")
	cfg.ALSC.Apps[0].AppSecret, cfg.ALSC.Apps[0].Session = canary("appSecret"), canary("session")
	f := start(t, cfg, func(object string) string {
		return strings.Replace(object, "xiaowang-zhimai}\n", "xiaowang-zhimai}\n      paymentToken: PayPassword\n", 1)
	}, map[string]string{
		"xiaowang-keruyun/token": canary("token"), "xiaowang-zhimai/openKey": canary("openKey"),
		"xiaowang-zhimai/grantCode": canary("grantCode"), "xiaowang-alsc/appSecret": canary("appSecret"), "xiaowang-alsc/session": canary("session"),
	})
	personal := func(body string) string {
		body = strings.Replace(body, `150****1111`, "13912345678", 1)
		body = strings.Replace(body, `"paymentToken": "11100001"`, `"paymentToken": "`+canary("paymentToken")+`"`, 1)
		return strings.Replace(body, "张三", "欧阳金丝雀", 1)
	}
	f.verify(personal(readSample(t, "request-both.json")))
	f.verify(personal(readSample(t, "request-both.json")))
	f.verify(personal(readSample(t, "request-refused.json")))
	f.verify(personal(strings.Replace(readSample(t, "request.json"), `"verifyAmount": 1000`, `"verifyAmount": "x"`, 1)))
	for _, kind := range []fault.Kind{fault.ApplyThenReset, fault.Garbage, fault.HTML} {
		if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Kind: kind, Count: 2}); err != nil {
			t.Fatal(err)
		}
		f.verify(personal(strings.Replace(readSample(t, "request-both.json"), "20250002", "2025-"+string(kind), 1)))
	}
	wrong := f.Till
	wrong.Token = canary("wrong-token")
	if _, _, err := wrong.Verify(t.Context(), []byte(personal(readSample(t, "request.json")))); err != nil {
		t.Fatal(err)
	}
	_, metrics := f.Admin("/metrics")
	f.Stop()
	exported, err := json.Marshal(f.Sandbox.Sandbox.Spans().All())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Sandbox.Sandbox.Spans().All()) < 20 || !strings.Contains(metrics, "hexiao_") || f.Logs.String() == "" {
		t.Fatal("there is nothing to search: the test would prove nothing")
	}
	for place, text := range map[string]string{"the logs": f.Logs.String(), "the spans": string(exported), "the metrics": metrics} {
		for _, secret := range []string{"canary-", "13912345678", "欧阳金丝雀", "sign="} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s hold %q: …%s…", place, secret, text[max(0, i-120):min(len(text), i+60)])
			}
		}
	}
}

func TestOnTheOrderToStopCallsUnderWayEnd(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Vendor: "alsc", Kind: fault.Slow, DelayBefore: fault.Duration(2 * time.Second), Count: 1}); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		reply []byte
		err   error
	}
	replied := make(chan outcome, 1)
	go func() {
		_, reply, err := f.Till.Verify(context.Background(), []byte(readSample(t, "request.json")))
		replied <- outcome{reply, err}
	}()
	sandboxtest.AwaitFault(t, f.Sandbox)
	f.Stop()
	got := <-replied
	if got.err != nil {
		t.Fatalf("the till was hung up on: %v", got.err)
	}
	if e := parse(t, got.reply); *e.Code != 0 || !e.Result.Success {
		t.Errorf("reply: %s", got.reply)
	}
}

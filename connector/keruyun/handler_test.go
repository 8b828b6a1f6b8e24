// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const (
	verifyPath  = "/keruyun/11342/member-assets/verify"
	reversePath = "/keruyun/11342/member-assets/reverse"
	resultPath  = "/keruyun/11342/member-assets/result"
)

var now = time.Unix(1528683797, 0)

var (
	_ Engine   = (*redeem.Engine)(nil)
	_ Reverser = (*redeem.Engine)(nil)
	_ Finder   = (*redeem.Engine)(nil)
)

// fakeEngine answers as told and remembers what it was asked.
type fakeEngine struct {
	mu   sync.Mutex
	asks []redeem.Request
	do   func(context.Context, redeem.Request) redeem.Result
}

func (e *fakeEngine) Verify(ctx context.Context, req redeem.Request) redeem.Result {
	e.mu.Lock()
	e.asks = append(e.asks, req)
	e.mu.Unlock()
	if e.do == nil {
		return executed(req)
	}
	return e.do(ctx, req)
}

func (e *fakeEngine) Reverse(ctx context.Context, req redeem.Request) redeem.Result {
	return e.Verify(ctx, req)
}

func (e *fakeEngine) asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asks)
}

// executed concludes a request as the engine does when every line is redeemed.
func executed(req redeem.Request) redeem.Result {
	r := redeem.Redemption{
		Action: req.Action, BrandID: req.BrandID, BizID: req.BizID, FlowID: "F1", ShopID: req.ShopID, MemberID: req.MemberID,
		TransOrderNo: req.TransOrderNo, PaymentNo: req.PaymentNo, TraceID: req.TraceID, Lines: req.Lines,
	}
	for i := range r.Lines {
		r.Lines[i].Result = redeem.LineResult{Kind: redeem.Executed, Total: r.Lines[i].Amount, Real: r.Lines[i].Amount}
	}
	return redeem.Result{Ending: redeem.Concluded, Answer: VerifyAnswer(r, Options{}), SubCode: redeem.SubOK}
}

type fakeFinder struct {
	found redeem.Redemption
	err   error
}

func (f fakeFinder) Find(context.Context, redeem.Lookup) (redeem.Redemption, error) {
	return f.found, f.err
}

// fixture is a handler with everything around it in view.
type fixture struct {
	*Handler
	engine   *fakeEngine
	log      *bytes.Buffer
	spans    *tracetest.SpanRecorder
	accesses []Access
}

func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{engine: &fakeEngine{}, log: &bytes.Buffer{}, spans: tracetest.NewSpanRecorder()}
	cfg := Config{
		BrandID: "11342", AppKey: exampleAppKey, Tokens: []string{exampleToken},
		Reverser: f.engine, Finder: fakeFinder{},
		Clock:          func() time.Time { return now },
		Logger:         slog.New(slog.NewTextHandler(f.log, nil)),
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(f.spans)),
		Observe:        func(_ context.Context, a Access) { f.accesses = append(f.accesses, a) },
	}
	if change != nil {
		change(&cfg)
	}
	h, err := New(cfg, f.engine)
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = h
	return f
}

// signed returns a call as Keruyun makes it.
func signed(path string, v Version, body []byte) *http.Request {
	p := Params{AppKey: exampleAppKey, BrandID: "11342", Version: v, Timestamp: fmt.Sprint(now.Unix())}
	r := httptest.NewRequest(http.MethodPost, path+"?"+SignedQuery(p, exampleToken, body), bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (f *fixture) call(t testing.TB, r *http.Request) (*httptest.ResponseRecorder, decoded) {
	t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	return w, decode(t, w.Body.Bytes())
}

func TestTheSampleRequestReachesTheEngine(t *testing.T) {
	plain := func() *http.Request { // version 2.0 without the word body
		r := signed(verifyPath, V2, seedBody)
		p, err := ParseParams(r.URL.RawQuery)
		if err != nil {
			t.Fatal(err)
		}
		q := r.URL.Query()
		q.Set("sign", fmt.Sprintf("%x", p.digest(exampleToken, seedBody, false)))
		r.URL.RawQuery = q.Encode()
		return r
	}
	upper := signed(verifyPath, V2, seedBody)
	q := upper.URL.Query()
	q.Set("sign", strings.ToUpper(q.Get("sign")))
	upper.URL.RawQuery = q.Encode()

	for name, r := range map[string]*http.Request{
		"version 1.0":                       signed(verifyPath, V1, seedBody),
		"version 2.0 with the word body":    signed(verifyPath, V2, seedBody),
		"version 2.0 without the word body": plain(),
		"a signature in capitals":           upper,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			w, got := f.call(t, r)
			if w.Code != http.StatusOK || got.Code != CodeOK || !got.Result.Success || got.Result.SubCode != redeem.SubOK {
				t.Fatalf("status %d, %s", w.Code, w.Body)
			}
			want := seedRequest()
			want.TraceID, want.ReceivedAt, want.ReplyDeadlineAt = got.MessageUUID, now, now.Add(4*time.Second)
			if diff := cmp.Diff([]redeem.Request{want}, f.engine.asks, cmpopts.IgnoreFields(redeem.Line{}, "Result")); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestAnyFlippedBitOfTheSampleIsRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Observe = nil })
	refused := func(r *http.Request, what string) {
		t.Helper()
		if w, got := f.call(t, r); w.Code/100 != 4 || got.Code != CodeFault {
			t.Fatalf("%s: status %d, %s", what, w.Code, w.Body)
		}
	}
	for i := range seedBody {
		changed := bytes.Clone(seedBody)
		changed[i] ^= 1 << (i % 8)
		r := signed(verifyPath, V2, seedBody)
		r.Body = io.NopCloser(bytes.NewReader(changed))
		refused(r, fmt.Sprintf("bit %d of byte %d", i%8, i))
	}
	sign := signed(verifyPath, V2, seedBody).URL.Query().Get("sign")
	for i := range sign {
		changed := []byte(sign)
		changed[i] ^= 1
		r := signed(verifyPath, V2, seedBody)
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, sign, string(changed), 1)
		refused(r, "digit "+fmt.Sprint(i)+" of the signature")
	}
	if f.engine.asked() != 0 {
		t.Errorf("the engine was asked %d times", f.engine.asked())
	}
}

func TestCallsAreTurnedAwayBeforeTheEngine(t *testing.T) {
	change := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(name, value)
			r.URL.RawQuery = q.Encode()
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	path := func(p string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = p } }
	signedBy := func(p Params) func(*http.Request) {
		p.Version, p.Timestamp = V2, fmt.Sprint(now.Unix())
		return func(r *http.Request) { r.URL.RawQuery = SignedQuery(p, exampleToken, seedBody) }
	}
	at := func(d time.Duration) func(*http.Request) {
		return func(r *http.Request) {
			p := Params{AppKey: exampleAppKey, BrandID: "11342", Version: V2, Timestamp: fmt.Sprint(now.Add(d).UnixMilli())}
			r.URL.RawQuery = SignedQuery(p, exampleToken, seedBody)
		}
	}
	tests := map[string]struct {
		change  func(*http.Request)
		status  int
		subCode string
	}{
		"the root":                       {path("/"), 404, SubUnknownPath},
		"another path":                   {path("/healthz"), 404, SubUnknownPath},
		"an unclean path":                {path("//keruyun/11342/member-assets/verify"), 404, SubUnknownPath},
		"a path that goes on":            {path(verifyPath + "/"), 404, SubUnknownPath},
		"an SPI unheard of":              {path("/keruyun/11342/member-assets/pay"), 404, SubUnknownPath},
		"another brand":                  {path("/keruyun/11343/member-assets/verify"), 404, SubUnknownBrand},
		"a GET":                          {func(r *http.Request) { r.Method = http.MethodGet }, 405, SubMethod},
		"an invented method":             {func(r *http.Request) { r.Method = "BREW" }, 405, SubMethod},
		"a form":                         {header("Content-Type", "application/x-www-form-urlencoded"), 415, SubMediaType},
		"no type":                        {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, SubMediaType},
		"another charset":                {header("Content-Type", "application/json; charset=gbk"), 415, SubMediaType},
		"a compressed body":              {header("Content-Encoding", "gzip"), 415, SubMediaType},
		"no query":                       {func(r *http.Request) { r.URL.RawQuery = "" }, 400, SubMalformedQuery},
		"a parameter twice":              {func(r *http.Request) { r.URL.RawQuery += "&brandId=11342" }, 400, SubMalformedQuery},
		"an empty signature":             {change("sign", ""), 401, SubBadSignature},
		"another app key":                {change("appKey", "x"), 401, SubBadSignature},
		"another brand in the query":     {change("brandId", "1"), 401, SubBadSignature},
		"another app key, signed":        {signedBy(Params{AppKey: "x", BrandID: "11342"}), 401, SubBadSignature},
		"another brand, signed":          {signedBy(Params{AppKey: exampleAppKey, BrandID: "1"}), 401, SubBadSignature},
		"another time stamp":             {change("timestamp", fmt.Sprint(now.Unix()+1)), 401, SubBadSignature},
		"the other version":              {change("version", "1.0"), 401, SubBadSignature},
		"a stale time stamp":             {at(-MaxSkew - time.Millisecond), 401, SubStale},
		"a time stamp from the future":   {at(MaxSkew + time.Millisecond), 401, SubStale},
		"a body over the limit":          {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", 64<<10+1))) }, 413, SubTooLarge},
		"a body that breaks off":         {func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), brokenReader{})) }, 400, SubBodyUnread},
		"no body where one was signed":   {func(r *http.Request) { r.Body = http.NoBody }, 401, SubBadSignature},
		"a signature that was appended ": {func(r *http.Request) { r.URL.RawQuery += "&sign=0" }, 400, SubMalformedQuery},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			r := signed(verifyPath, V2, seedBody)
			test.change(r)
			w, got := f.call(t, r)
			if w.Code != test.status || got.Code != CodeFault || !strings.Contains(got.Message, test.subCode) {
				t.Errorf("got %d %q, want %d with sub code %s", w.Code, got.Message, test.status, test.subCode)
			}
			if f.engine.asked() != 0 {
				t.Error("the engine was asked")
			}
			if a := f.accesses[0]; a.SubCode != test.subCode || a.Authenticated || a.BizID != "" || a.Detail == "" {
				t.Errorf("observed %+v", a)
			}
			if (w.Header().Get("Allow") != "") != (w.Code == 405) || (w.Header().Get("WWW-Authenticate") != "") != (w.Code == 401) {
				t.Errorf("headers: %v", w.Header())
			}
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOverASocket(t *testing.T) {
	f := newFixture(t, nil)
	server := httptest.NewServer(f)
	defer server.Close()
	post := func(body []byte) (*http.Response, decoded) {
		r := signed(verifyPath, V2, body)
		resp, err := http.Post(server.URL+r.URL.RequestURI(), "application/json;charset=UTF-8", r.Body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, decode(t, raw)
	}
	if resp, got := post(seedBody); resp.StatusCode != http.StatusOK || got.Code != CodeOK || !got.Result.Success {
		t.Errorf("status %d: %+v", resp.StatusCode, got)
	}
	if resp, got := post(bytes.Repeat([]byte(" "), 64<<10+1)); resp.StatusCode != http.StatusRequestEntityTooLarge || got.Code != CodeFault {
		t.Errorf("status %d: %+v", resp.StatusCode, got)
	}
	if resp, got := post(bytes.Repeat([]byte(" "), 64<<10)); resp.StatusCode != http.StatusOK || got.Result.SubCode != SubNotJSON {
		t.Errorf("status %d: %+v", resp.StatusCode, got)
	}
}

func TestAVersionThatIsSwitchedOffIsRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Versions = []Version{V2} })
	if w, _ := f.call(t, signed(verifyPath, V1, seedBody)); w.Code != http.StatusUnauthorized {
		t.Errorf("status %d", w.Code)
	}
	if w, _ := f.call(t, signed(verifyPath, V2, seedBody)); w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func TestAShopAuthorisedCallIsAccepted(t *testing.T) {
	f := newFixture(t, nil)
	p := Params{AppKey: exampleAppKey, ShopIdenty: "8066287", Version: V2, Timestamp: fmt.Sprint(now.UnixMilli())}
	r := signed(verifyPath, V2, seedBody)
	r.URL.RawQuery = SignedQuery(p, exampleToken, seedBody)
	if w, _ := f.call(t, r); w.Code != http.StatusOK {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestARejectedBodyIsAnsweredWithTheFieldAndStatus200(t *testing.T) {
	f := newFixture(t, nil)
	changed := bytes.Replace(seedBody, []byte(`"verifyAmount": 1000`), []byte(`"verifyAmount": 0.5`), 1)
	w, got := f.call(t, signed(verifyPath, V2, changed))
	const field = "memberAssetsVerificationList[0].verifyAmount"
	if w.Code != http.StatusOK || got.Code != CodeOK || got.Result.Success || got.Result.SubCode != SubAmount || !strings.Contains(got.Result.SubMsg, field) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if f.engine.asked() != 0 {
		t.Error("the engine was asked")
	}
	if a := f.accesses[0]; a.Field != field || a.BizID != "20250001" || !a.Authenticated {
		t.Errorf("observed %+v", a)
	}
}

func TestEndingsOfTheEngineBecomeAnswers(t *testing.T) {
	tests := map[string]struct {
		result redeem.Result
		want   decoded
	}{
		"in doubt":                     {redeem.Result{Ending: redeem.InDoubt, Detail: "zhimai: timeout"}, decoded{Code: CodeInDoubt, Message: textInDoubt}},
		"in doubt until a person acts": {redeem.Result{Ending: redeem.InDoubt, Rejection: &redeem.Rejection{SubCode: "135", Cashier: "已登记，等待人工处理"}}, decoded{Code: CodeInDoubt, Message: "已登记，等待人工处理"}},
		"nothing at all":               {redeem.Result{}, decoded{Code: CodeInDoubt, Message: textInDoubt}},
		"concluded without an answer":  {redeem.Result{Ending: redeem.Concluded}, decoded{Code: CodeInDoubt, Message: textInDoubt}},
		"rejected without a reason":    {redeem.Result{Ending: redeem.Rejected}, decoded{Code: CodeInDoubt, Message: textInDoubt}},
		"rejected for now":             {redeem.Result{Ending: redeem.Rejected, Rejection: &redeem.Rejection{SubCode: "512", Cashier: "请稍后重试", Retryable: true}}, decoded{Code: CodeFault, Message: "请稍后重试"}},
		"rejected for good":            {redeem.Result{Ending: redeem.Rejected, Rejection: &redeem.Rejection{SubCode: "112", Cashier: "该资产未开通核销"}}, decoded{Code: CodeOK, Message: "该资产未开通核销"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.engine.do = func(context.Context, redeem.Request) redeem.Result { return test.result }
			w, got := f.call(t, signed(verifyPath, V2, seedBody))
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(decoded{}, "MessageUUID", "Result")); diff != "" || w.Code != http.StatusOK {
				t.Errorf("status %d (-want +got): %s", w.Code, diff)
			}
		})
	}
}

func TestARecordedAnswerIsPassedOnByteForByte(t *testing.T) {
	f := newFixture(t, nil)
	recorded := VerifyAnswer(redemption(poor), Options{})
	f.engine.do = func(context.Context, redeem.Request) redeem.Result {
		return redeem.Result{Ending: redeem.Concluded, Answer: recorded, SubCode: redeem.SubRefused, Replayed: true}
	}
	w, _ := f.call(t, signed(verifyPath, V2, seedBody))
	if diff := cmp.Diff(string(recorded), w.Body.String()); diff != "" {
		t.Error("(-want +got):", diff)
	}
	if a := f.accesses[0]; !a.Replayed || a.SubCode != redeem.SubRefused || a.MessageUUID != callersTrace || a.TraceID == callersTrace {
		t.Errorf("observed %+v", a)
	}
}

func TestARefusalIsNoFaultHoweverItIsTold(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Replies.RefusalAsFault = true })
	for _, result := range []redeem.Result{
		{Ending: redeem.Concluded, Answer: VerifyAnswer(redemption(poor), Options{RefusalAsFault: true}), SubCode: redeem.SubRefused},
		{Ending: redeem.Rejected, Rejection: &redeem.Rejection{SubCode: redeem.SubRefused, Cashier: "该资产未开通核销"}},
	} {
		f.engine.do = func(context.Context, redeem.Request) redeem.Result { return result }
		f.log.Reset()
		if _, got := f.call(t, signed(verifyPath, V2, seedBody)); got.Code != CodeFault {
			t.Errorf("code %d", got.Code)
		}
		if log := f.log.String(); !strings.Contains(log, "level=INFO") || !strings.Contains(log, "subCode=202") {
			t.Error(log)
		}
	}
}

func TestReversalReachesTheEngine(t *testing.T) {
	f := newFixture(t, nil)
	const body = `{"bizId":"r1","kryPaymentNo":"p1","thirdFlowNo":"F1","assetsReverseVerificationList":[{"assetMappingId":"m","reverseVerifyAmount":1}]}`
	if w, got := f.call(t, signed(reversePath, V2, []byte(body))); w.Code != http.StatusOK || got.Code != CodeOK || !got.Result.Success {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if f.engine.asked() != 1 || f.engine.asks[0].Action != redeem.ReverseVerify || f.engine.asks[0].ThirdFlowNo != "F1" {
		t.Errorf("asked %+v", f.engine.asks)
	}
}

func TestResultQueryIsAnsweredFromTheLedger(t *testing.T) {
	const query = `{"kryPaymentNo":"p1","action":"VERIFY"}`
	concluded := redemption(paid)
	concluded.Answer = []byte("{}")
	tests := map[string]struct {
		body    string
		finder  fakeFinder
		code    int
		subCode string
	}{
		"found":              {query, fakeFinder{found: concluded}, CodeOK, redeem.SubOK},
		"nothing":            {query, fakeFinder{err: redeem.ErrNotFound}, CodeOK, SubNoRecord},
		"not known yet":      {query, fakeFinder{found: redemption(uncertain)}, CodeInDoubt, ""},
		"the ledger is down": {query, fakeFinder{err: errors.New("down")}, CodeInDoubt, ""},
		"without an action":  {`{"kryPaymentNo":"p1"}`, fakeFinder{}, CodeOK, SubMissing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.Finder, c.Replies.RefusalAsFault = test.finder, true })
			w, got := f.call(t, signed(resultPath, V2, []byte(test.body)))
			if w.Code != http.StatusOK || got.Code != test.code || (got.Result != nil && got.Result.SubCode != test.subCode) {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}

func TestABrandChoosesWhatIsSaidOfAPaymentThatNobodyKnows(t *testing.T) {
	for choice, want := range map[NoRecord]int{"": CodeOK, NoRecordSubCode: CodeOK, NoRecordFault: CodeFault, NoRecordInDoubt: CodeInDoubt} {
		t.Run(string(choice), func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.Finder, c.Replies.NoRecord = fakeFinder{err: redeem.ErrNotFound}, choice })
			_, got := f.call(t, signed(resultPath, V2, []byte(`{"kryPaymentNo":"p1","action":"VERIFY"}`)))
			if got.Code != want || (got.Code == CodeOK) != (got.Result != nil) || got.Message == "" {
				t.Errorf("answer %+v, want code %d", got, want)
			}
		})
	}
}

func TestSPIsThatAreNotServedAreUnknown(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Reverser, c.Finder = nil, nil })
	for _, path := range []string{reversePath, resultPath} {
		if w, _ := f.call(t, signed(path, V2, seedBody)); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

func TestAPanicOfTheEngineLeavesAllInDoubt(t *testing.T) {
	f := newFixture(t, nil)
	f.engine.do = func(context.Context, redeem.Request) redeem.Result { panic("the card 11100001 of 张三") }
	w, got := f.call(t, signed(verifyPath, V2, seedBody))
	if w.Code != http.StatusOK || got.Code != CodeInDoubt {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	log := f.log.String()
	if !strings.Contains(log, "handler_test.go") || strings.Contains(log, "张三") {
		t.Errorf("the log must have the stack and not the panic's text: %s", log)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Error("the slot was not left:", err)
	}
}

func TestAPanicBeforeTheEngineIsOurFault(t *testing.T) {
	f := newFixture(t, nil)
	f.spis["verify"] = spi{"verify", func(*exchange, []byte) call { panic("a defect") }, InDoubtAnswer}
	w, got := f.call(t, signed(verifyPath, V2, seedBody))
	if w.Code != http.StatusOK || got.Code != CodeFault {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if a := f.accesses[0]; a.SubCode != SubInternal || a.Detail != "panic: string" {
		t.Errorf("observed %+v", a)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Error("the slot was not left:", err)
	}
}

func TestAStuckEngineIsAnsweredWithInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.ReplyDeadline = 2 * time.Second })
		release := make(chan struct{})
		deadlines := make(chan time.Time, 1)
		f.engine.do = func(ctx context.Context, req redeem.Request) redeem.Result {
			deadline, _ := ctx.Deadline()
			deadlines <- deadline
			<-release
			return executed(req)
		}
		start := time.Now()
		_, got := f.call(t, signed(verifyPath, V2, seedBody))
		if got.Code != CodeInDoubt || time.Since(start) != 2*time.Second+backstop {
			t.Errorf("code %d after %s", got.Code, time.Since(start))
		}
		if deadline, want := <-deadlines, start.Add(2*time.Second); !deadline.Equal(want) {
			t.Errorf("the engine's deadline is %s, want %s", deadline, want)
		}
		if a := f.accesses[0]; a.BizID != "20250001" {
			t.Errorf("observed %+v", a)
		}
		drained := make(chan error, 1)
		go func() { drained <- f.Drain(t.Context()) }()
		synctest.Wait()
		select {
		case <-drained:
			t.Error("drained while the engine is at work")
		default:
		}
		close(release)
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

func TestATillThatHangsUpStopsNothing(t *testing.T) {
	f := newFixture(t, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	f.engine.do = func(ctx context.Context, req redeem.Request) redeem.Result {
		hangUp()
		if ctx.Err() != nil {
			return redeem.Result{Ending: redeem.InDoubt}
		}
		return executed(req)
	}
	if _, got := f.call(t, signed(verifyPath, V2, seedBody).WithContext(ctx)); got.Code != CodeOK {
		t.Errorf("code %d", got.Code)
	}
}

func TestAFullHouseAndADrainingOneAnswer503(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxConcurrent = 1; c.Observe = nil })
	entered, release := make(chan struct{}), make(chan struct{})
	f.engine.do = func(_ context.Context, req redeem.Request) redeem.Result {
		entered <- struct{}{}
		<-release
		return executed(req)
	}
	first := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, signed(verifyPath, V2, seedBody))
		first <- w.Code
	}()
	<-entered
	w, got := f.call(t, signed(verifyPath, V2, seedBody))
	if w.Code != http.StatusServiceUnavailable || got.Code != CodeFault || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, headers %v: %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first got status %d", code)
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w, got := f.call(t, signed(verifyPath, V2, seedBody)); w.Code != http.StatusServiceUnavailable || !strings.Contains(got.Message, SubDraining) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if f.engine.asked() != 1 {
		t.Errorf("the engine was asked %d times", f.engine.asked())
	}
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	f := newFixture(t, nil)
	leave, fault := f.enter()
	if fault != nil {
		t.Fatal(fault)
	}
	defer leave()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

const callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

func TestTheSpanIsTheRequestsOwnAndTellsNoSecrets(t *testing.T) {
	f := newFixture(t, nil)
	r := signed(verifyPath, V2, seedBody)
	r.Header.Set("traceparent", "00-"+callersTrace+"-00f067aa0ba902b7-01")
	_, got := f.call(t, r)
	span := f.spans.Ended()[0]
	if span.Name() != "POST /keruyun/{brand}/member-assets/verify" || span.SpanKind() != trace.SpanKindServer {
		t.Errorf("span %q of kind %s", span.Name(), span.SpanKind())
	}
	if span.Parent().IsValid() || got.MessageUUID != span.SpanContext().TraceID().String() || got.MessageUUID == callersTrace {
		t.Errorf("messageUuid %s, trace %s, parent %v", got.MessageUUID, span.SpanContext().TraceID(), span.Parent())
	}
	if links := span.Links(); len(links) != 1 || links[0].SpanContext.TraceID().String() != callersTrace {
		t.Errorf("links %v", links)
	}
	attrs := map[string]string{}
	for _, a := range span.Attributes() {
		attrs[string(a.Key)] = a.Value.String()
	}
	want := map[string]string{
		"http.request.method": "POST", "http.route": "/keruyun/{brand}/member-assets/verify", "url.scheme": "http",
		"network.protocol.version": "1.1", "http.response.status_code": "200",
		"hexiao.spi": "verify", "hexiao.brand.id": "11342", "hexiao.biz_id": "20250001", "hexiao.shop.id": "8066287",
		"hexiao.code": "0", "hexiao.sub_code": "000",
	}
	if diff := cmp.Diff(want, attrs); diff != "" {
		t.Error("(-want +got):", diff)
	}
	told := f.log.String() + fmt.Sprint(span.Attributes(), f.accesses)
	for _, secret := range []string{exampleToken, exampleAppKey, "150****1111", "11100001", "张三", r.URL.Query().Get("sign")} {
		if strings.Contains(told, secret) {
			t.Errorf("%q is told in %s", secret, told)
		}
	}
	for _, word := range []string{"messageUuid=" + got.MessageUUID, "brand=11342", "bizId=20250001", "code=0", "subCode=000", "duration="} {
		if strings.Count(f.log.String(), word) != 1 {
			t.Errorf("%q is not in the log line: %s", word, f.log)
		}
	}
}

func TestATrustedCallersTraceIsContinued(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.TrustTraceParent = true })
	r := signed(verifyPath, V2, seedBody)
	r.Header.Set("traceparent", "00-"+callersTrace+"-00f067aa0ba902b7-01")
	if _, got := f.call(t, r); got.MessageUUID != callersTrace {
		t.Errorf("messageUuid is %s", got.MessageUUID)
	}
}

func TestWithoutATraceMessageUuidIsRandom(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.TracerProvider = noop.NewTracerProvider() })
	_, one := f.call(t, signed(verifyPath, V2, seedBody))
	_, two := f.call(t, signed(verifyPath, V2, seedBody))
	if len(one.MessageUUID) != 32 || one.MessageUUID == two.MessageUUID {
		t.Errorf("%q and %q", one.MessageUUID, two.MessageUUID)
	}
}

func TestNewRefusesWhatCouldAuthenticateNobody(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no brand":          func(c *Config) { c.BrandID = "" },
		"no app key":        func(c *Config) { c.AppKey = "" },
		"no token":          func(c *Config) { c.Tokens = nil },
		"an empty token":    func(c *Config) { c.Tokens = []string{exampleToken, ""} },
		"no clock":          func(c *Config) { c.Clock = nil },
		"a version unheard": func(c *Config) { c.Versions = []Version{"3.0"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newFixture(t, nil).cfg
			change(&cfg)
			if _, err := New(cfg, &fakeEngine{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// Whatever arrives, the handler answers with the envelope, and the engine hears only of
// what was signed.
func FuzzHandler(f *testing.F) {
	good := signed(verifyPath, V2, seedBody).URL.RawQuery
	f.Add("POST", verifyPath, good, "application/json", seedBody, true)
	f.Add("POST", reversePath, "", "application/json", []byte(`{"bizId":"r1"}`), true)
	f.Add("POST", resultPath, "", "application/json", []byte(`{"kryPaymentNo":"1","action":"VERIFY"}`), true)
	f.Add("GET", "/", "sign=&sign=", "text/plain;;", []byte{0xff}, false)
	f.Fuzz(func(t *testing.T, method, path, query, contentType string, body []byte, sign bool) {
		fix := newFixture(t, nil)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header.Set("Content-Type", contentType)
		if sign {
			p := Params{AppKey: exampleAppKey, BrandID: "11342", Version: V2, Timestamp: fmt.Sprint(now.Unix())}
			r.URL.RawQuery = SignedQuery(p, exampleToken, body)
		}
		w, _ := fix.call(t, r)
		if fix.engine.asked() == 0 {
			return
		}
		p, err := ParseParams(r.URL.RawQuery)
		if err != nil || !p.SignedBy([]string{exampleToken}, body) || method != http.MethodPost || w.Code != http.StatusOK {
			t.Fatalf("the engine was asked by %s %s?%s", method, path, r.URL.RawQuery)
		}
	})
}

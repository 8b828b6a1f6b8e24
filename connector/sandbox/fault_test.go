// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
)

func (w *world) fault(rules ...fault.Rule) {
	w.t.Helper()
	if _, err := w.Sandbox.Faults().Add(rules...); err != nil {
		w.t.Fatal(err)
	}
}

// what a client can tell of an answer.
func told(a answer) string {
	switch {
	case errors.Is(a.err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(a.err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(a.err, io.ErrUnexpectedEOF):
		return "cut after " + a.body
	case errors.Is(a.err, io.EOF):
		return "closed"
	case a.err != nil && strings.Contains(a.err.Error(), "deadline"):
		return "nothing"
	case a.err != nil:
		return a.err.Error()
	case a.status != http.StatusOK:
		return http.StatusText(a.status)
	}
	return a.body
}

func TestEveryFaultAtBothVendors(t *testing.T) {
	yes, no := true, false
	tests := map[string]struct {
		rule         fault.Rule
		zhimai, alsc string // how the answer begins
		booked       bool
		how          string
	}{
		"refuse":                  {fault.Rule{Kind: fault.Refuse, Code: "77", Message: "不行"}, `{"status":true,"code":"77","message":"不行"}`, `{"alibaba_alsc_crm_recharge_dedut_update_response":{"result":{"biz_success":false,"result_code":"77","result_desc":"不行"`, false, "sent"},
		"refuse without words":    {fault.Rule{Kind: fault.Refuse}, `{"status":true,"code":"10010"`, `{"alibaba_alsc_crm_recharge_dedut_update_response":{"result":{"biz_success":false`, false, "sent"},
		"slow":                    {fault.Rule{Kind: fault.Slow, DelayBefore: 1e6, DelayAfter: 1e6}, `{"status":"true"`, `{"alibaba_alsc_crm_recharge_dedut_update_response":{"result":{"biz_success":true`, true, "sent"},
		"apply, then hang":        {fault.Rule{Kind: fault.ApplyThenHang}, "nothing", "nothing", true, "hung"},
		"apply, then reset":       {fault.Rule{Kind: fault.ApplyThenReset}, "reset", "reset", true, "reset"},
		"apply, then close":       {fault.Rule{Kind: fault.ApplyThenClose}, "closed", "closed", true, "closed"},
		"apply, then 500":         {fault.Rule{Kind: fault.ApplyThen500}, "Internal Server Error", "Internal Server Error", true, "sent"},
		"reset before":            {fault.Rule{Kind: fault.ResetBeforeApply}, "reset", "reset", false, "reset"},
		"truncate":                {fault.Rule{Kind: fault.Truncate, Bytes: 9}, `cut after {"status"`, `cut after {"alibaba`, true, "cut"},
		"truncate all":            {fault.Rule{Kind: fault.Truncate}, `cut after `, `cut after `, true, "cut"},
		"truncate, not applied":   {fault.Rule{Kind: fault.Truncate, Apply: &no, Bytes: 9}, "", "", false, "cut"},
		"clip":                    {fault.Rule{Kind: fault.Clip, Bytes: 9}, `{"status"`, `{"alibaba`, true, "sent"},
		"html":                    {fault.Rule{Kind: fault.HTML}, "<html>", "<html>", true, "sent"},
		"html, not applied":       {fault.Rule{Kind: fault.HTML, Apply: &no}, "<html>", "<html>", false, "sent"},
		"empty":                   {fault.Rule{Kind: fault.Empty}, "", "", true, "sent"},
		"garbage":                 {fault.Rule{Kind: fault.Garbage}, `{"status":"tru`, `{"status":"tru`, true, "sent"},
		"rate limit":              {fault.Rule{Kind: fault.RateLimit, Seconds: 3}, `{"status":false,"code":"42900","message":"请求过于频繁，请3秒后再试"`, `{"error_response":{"code":7,"msg":"App Call Limited","sub_code":"accesscontrol.limited-by-api-access-count","sub_msg":"This ban will last for 3 more seconds"`, false, "sent"},
		"system error":            {fault.Rule{Kind: fault.SystemError}, `{"status":false,"code":"50000"`, `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isp.remote-service-error"`, false, "sent"},
		"system error, applied":   {fault.Rule{Kind: fault.SystemError, Apply: &yes, Code: "isp.x"}, `{"status":false,"code":"isp.x"`, `{"error_response":{"code":50,"msg":"Remote service error","sub_code":"isp.x"`, true, "sent"},
		"redirect":                {fault.Rule{Kind: fault.Redirect}, "Temporary Redirect", "Temporary Redirect", false, "sent"},
		"not found of a spend":    {fault.Rule{Kind: fault.NotFound, Seconds: 5}, `{"status":"true"`, `{"alibaba_alsc_crm_recharge_dedut_update_response":{"result":{"biz_success":true`, true, "sent"},
		"a fault of another call": {fault.Rule{Kind: fault.HTML, Key: "other"}, `{"status":"true"`, `{"alibaba_alsc_crm_recharge_dedut_update_response":{"result":{"biz_success":true`, true, "sent"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t, nil)
			w.fault(tc.rule)
			calls := map[books.Vendor]func(context.Context) answer{
				books.Zhimai: func(ctx context.Context) answer {
					return w.post(ctx, w.ZhimaiURL, "application/json", w.zhimaiBody(consume, consumeParams(), nil))
				},
				books.ALSC: func(ctx context.Context) answer {
					return w.post(ctx, w.ALSCURL, formType, w.topForm(dedut, topParam[dedut], spendParams(), nil, nil))
				},
			}
			for vendor, want := range map[books.Vendor]string{books.Zhimai: tc.zhimai, books.ALSC: tc.alsc} {
				ctx := t.Context()
				if tc.rule.Kind == fault.ApplyThenHang { // who waits gives up, but not before there is nothing else to wait for
					waiting, giveUp := oneshottest.Deadline(ctx)
					ctx = waiting
					go func() { w.awaitHanging(vendor); giveUp() }()
				}
				a := calls[vendor](ctx)
				if got := told(a); !strings.HasPrefix(got, want) {
					t.Errorf("%s: got %q, want %q", vendor, got, want)
				}
				entries := w.Sandbox.Books().Entries(books.Filter{Vendor: vendor})
				if (len(entries) == 1) != tc.booked || len(entries) > 1 {
					t.Errorf("%s: booked %d times, want %v", vendor, len(entries), tc.booked)
				}
				call := w.Sandbox.Calls(sandbox.CallFilter{Vendor: vendor})[0]
				if call.Answer.How != tc.how || (call.Fault != "") != (tc.rule.Key == "") || (len(call.Booked) == 1) != tc.booked {
					t.Errorf("%s: the call is recorded as %+v", vendor, call)
				}
			}
		})
	}
}

func TestARateLimitLasts(t *testing.T) {
	w := start(t, nil)
	w.fault(fault.Rule{Kind: fault.RateLimit, Vendor: "alsc", Seconds: 3, Count: 1})
	want := func(msg string) {
		t.Helper()
		expect(t, w.top(dedut, spendParams(), nil), o{"error_response/sub_msg": msg})
	}
	want("This ban will last for 3 more seconds")
	w.pass(1500 * time.Millisecond)
	want("This ban will last for 2 more seconds")
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "0"})
	w.pass(1500 * time.Millisecond)
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
}

func TestTheConfiguredRateIsKept(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.ALSC.RequestsPerSecond, c.Zhimai.RequestsPerSecond = 2, 1 })
	at := object(o{"out_brand_id": "1", "outer_order_id": "1"})
	for range 2 {
		w.expectTOP(t, flowDetail, at, o{"biz_success": false})
	}
	expect(t, w.top(flowDetail, at, nil), o{"error_response/code": "7"})
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true}) // another method
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "0"})
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "42900"})
	w.pass(time.Second)
	w.expectTOP(t, flowDetail, at, o{"biz_success": false})
}

func TestLookUpsLag(t *testing.T) {
	w := start(t, nil)
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
	w.fault(fault.Rule{Kind: fault.NotFound, Seconds: 5})
	detail := object(o{"out_brand_id": "11342", "outer_order_id": "order-1"})
	list := object(o{"out_brand_id": "11342", "page_no": 1})
	w.zhimai(consume, consumeParams())
	w.expectTOP(t, flowDetail, detail, o{"biz_success": false})
	w.expectTOP(t, flows, list, o{"total_size": "0"})
	expect(t, w.zhimai("user.wealth-bills", "{}"), o{"data/total": "0"})
	w.pass(5 * time.Second)
	w.expectTOP(t, flowDetail, detail, o{"biz_success": true})
	w.expectTOP(t, flows, list, o{"total_size": "1"})
	expect(t, w.zhimai("user.wealth-bills", "{}"), o{"data/total": "1"})
}

func TestASlowVendorBooksAfterTheCallerLeft(t *testing.T) {
	w := start(t, nil)
	w.fault(fault.Rule{Kind: fault.Slow, DelayBefore: fault.Duration(4 * time.Second)})
	ctx, leave := oneshottest.Deadline(t.Context())
	go func() { sandboxtest.AwaitFault(t, w.Server); leave() }()
	if a := w.post(ctx, w.ZhimaiURL, "application/json", w.zhimaiBody(consume, consumeParams(), nil)); told(a) != "nothing" {
		t.Fatalf("got %q", told(a))
	}
	if n := len(w.Sandbox.Books().Entries(books.Filter{})); n != 0 {
		t.Fatalf("booked %d times too early", n)
	}
	w.awaitBooking(books.Zhimai)
}

// awaitHanging waits until a vendor leaves a call without an answer.
func (w *world) awaitHanging(vendor books.Vendor) {
	hung := func(c sandbox.Call) bool { return c.Answer.How == "hung" }
	for !slices.ContainsFunc(w.Sandbox.Calls(sandbox.CallFilter{Vendor: vendor}), hung) && w.t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// awaitBooking waits until a vendor has booked something.
func (w *world) awaitBooking(vendor books.Vendor) {
	for len(w.Sandbox.Books().Entries(books.Filter{Vendor: vendor})) == 0 && w.t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

func TestARedirectCatchesClientsThatFollow(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.Zhimai.NonceReuse = "allow" })
	yes := true
	w.fault(fault.Rule{Kind: fault.Redirect, Apply: &yes, Count: 1})
	w.http.CheckRedirect = nil
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "0"})
	if got := w.Sandbox.Books().Nets(books.Filter{})[0].Spends; got != 2 {
		t.Errorf("a client that follows was charged %d times, want 2", got)
	}
}

// A client of Go repeats a POST by itself when it carries Idempotency-Key and
// the kept-alive connection breaks. The sandbox must let that happen.
func TestAResetCatchesClientsThatRepeatByThemselves(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.Zhimai.NonceReuse = "allow" })
	expect(t, w.zhimai("user.wealth-bills", "{}"), o{"code": "0"}) // a connection to be reused
	w.fault(fault.Rule{Kind: fault.ApplyThenReset, Count: 1})
	req, err := http.NewRequest(http.MethodPost, w.ZhimaiURL, bytes.NewReader(w.zhimaiBody(consume, consumeParams(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "1")
	resp, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := []sandbox.Delivery{{Vendor: books.Zhimai, Method: consume, Key: "biz-1", Deliveries: 2, Booked: 2}}
	if diff := cmp.Diff(want, w.Sandbox.Deliveries(true)); diff != "" {
		t.Error(diff)
	}
	if got := w.Sandbox.Calls(sandbox.CallFilter{Key: "biz-1"})[0].Header.Get("Idempotency-Key"); got != "1" {
		t.Error("the call log must show the header")
	}
}

func TestAVendorGoesDownAndComesBack(t *testing.T) {
	w := start(t, nil)
	shared := w.AdminURL + sandbox.ZhimaiPath
	body := func() []byte { return w.zhimaiBody("user.wealth-bills", "{}", nil) }
	post := func(url string) string { return told(w.post(context.Background(), url, "application/json", body())) }
	for range 2 {
		for mode, want := range map[sandbox.DownMode]string{sandbox.Refuse: "refused", sandbox.Reset: "reset"} {
			if got := post(w.ZhimaiURL); !strings.HasPrefix(got, `{"status":"true"`) {
				t.Fatalf("up: got %q", got)
			}
			if err := w.Sandbox.SetDown(books.Zhimai, mode); err != nil {
				t.Fatal(err)
			}
			// The first attempt may meet the connection that was kept alive.
			if got := post(w.ZhimaiURL); got != want && post(w.ZhimaiURL) != want {
				t.Errorf("%s: got %q, want %q", mode, got, want)
			}
			if got := post(shared); got != "reset" {
				t.Errorf("%s on the shared socket: got %q", mode, got)
			}
			w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
			if err := w.Sandbox.SetDown(books.Zhimai, sandbox.Up); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Sandbox.SetDown("x", sandbox.Up); err == nil {
		t.Error("an unknown vendor must be refused")
	}
	if err := w.Sandbox.SetDown(books.Zhimai, "x"); err == nil {
		t.Error("an unknown mode must be refused")
	}
}

func TestGoingDownResetsRunningCalls(t *testing.T) {
	w := start(t, nil)
	w.fault(fault.Rule{Kind: fault.ApplyThenHang})
	got := make(chan answer, 1)
	go func() { got <- w.zhimai(consume, consumeParams()) }()
	w.awaitBooking(books.Zhimai)
	if err := w.Sandbox.SetDown(books.Zhimai, sandbox.Refuse); err != nil {
		t.Fatal(err)
	}
	if a := <-got; told(a) != "reset" {
		t.Errorf("got %q", told(a))
	}
}

func TestShutdownEndsHangingCalls(t *testing.T) {
	w := start(t, nil)
	w.fault(fault.Rule{Kind: fault.ApplyThenHang})
	got := make(chan answer, 1)
	go func() { got <- w.zhimai(consume, consumeParams()) }()
	w.awaitBooking(books.Zhimai)
	if err := w.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.err == nil {
		t.Errorf("got %s", a.body)
	}
}

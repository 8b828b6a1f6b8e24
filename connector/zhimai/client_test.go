// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestACallThatDoesNotLeaveIsNotSent(t *testing.T) {
	v := serve(t, says(done10))
	over := func() error { return errors.New("the lease is over") }
	tests := map[string]struct {
		url   string
		guard func() error
		leg   func(*redeem.Leg)
		want  redeem.Class
	}{
		"nobody listens":       {url: "http://" + oneshottest.Nobody(t), want: "dial"},
		"the guard says no":    {url: v.URL, guard: over, want: "guard"},
		"the leg has no call":  {url: v.URL, leg: func(l *redeem.Leg) { l.Call = nil }, want: "request"},
		"the leg has no bizId": {url: v.URL, leg: func(l *redeem.Leg) { l.Key = "" }, want: "request"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, tc.url, Config{}, Deps{})
			s := sending(t, c, request(), value(0, 1000))
			s.Guard = tc.guard
			if tc.leg != nil {
				tc.leg(&s.Leg)
			}
			if diff := cmp.Diff(told{Kind: redeem.NotSent, Class: tc.want}, tell(c.Send(t.Context(), s))); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
	if len(v.Got()) != 0 {
		t.Errorf("the vendor saw %d requests, want none", len(v.Got()))
	}
}

func TestALostAnswerIsUnknown(t *testing.T) {
	released := make(chan struct{})
	ctx, reach := oneshottest.Deadline(t.Context())
	tests := map[string]struct {
		answer func(int, string) (int, string)
		want   redeem.Class
	}{
		"the vendor hangs":       {func(int, string) (int, string) { reach(); <-released; return 200, done10 }, "timeout"},
		"the vendor hangs up":    {func(int, string) (int, string) { panic(http.ErrAbortHandler) }, "connection-lost"},
		"the answer is oversize": {says(strings.Repeat(" ", 2<<20)), "too-large"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, tc.answer)
			waiting := t.Context()
			if tc.want == "timeout" {
				defer close(released)
				waiting = ctx
			}
			c := client(t, v.URL, Config{}, Deps{})
			got := tell(c.Send(waiting, sending(t, c, request(), value(0, 1000))))
			if diff := cmp.Diff(told{Kind: redeem.Unknown, Class: tc.want}, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if len(v.Got()) != 1 {
				t.Errorf("the vendor saw %d requests, want 1", len(v.Got()))
			}
		})
	}
}

// A repeat is the same call under the same bizId, and its refusal is not taken for the
// fate of the first one.
func TestARepeat(t *testing.T) {
	const refusal = `{"status":true,"code":"40999","message":"业务标识重复"}`
	tests := map[string]struct {
		answer string
		cfg    Config
		want   told
	}{
		"is executed":                           {answer: done10, want: told{redeem.Executed, "executed", "", "QM77", 1000, 800, 200}},
		"is refused: nothing is known":          {answer: refusal, want: told{Kind: redeem.Unknown, Class: "repeat-refused", Code: "40999"}},
		"is refused, and the brand trusts that": {answer: refusal, cfg: Config{TrustRepeatRefusals: true}, want: told{Kind: redeem.Refused, Class: "refused", Code: "40999"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, says(tc.answer))
			c := client(t, v.URL, tc.cfg, Deps{})
			s := sending(t, c, request(), value(0, 1000))
			c.Send(t.Context(), s)
			s.Request = redeem.Request{} // the ledger keeps nothing personal
			if diff := cmp.Diff(tc.want, tell(c.Repeat(t.Context(), s))); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			again := strings.Replace(v.Got()[0], `"operatorName":"张三丰",`, "", 1)
			if diff := cmp.Diff(again, v.Got()[1]); diff != "" {
				t.Errorf("the repeat is another call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALookUp(t *testing.T) {
	bill := func(order, user, recharge, gift, amount string) string {
		return fmt.Sprintf(`{"order_no":%q,"user_id":%s,"change_recharge_amount":%q,"change_gift_amount":%s,"change_amount":%q}`, order, user, recharge, gift, amount)
	}
	page := func(n, last int, bills ...string) string {
		return fmt.Sprintf(`{"status":"true","code":"0","data":{"current_page":%d,"per_page":50,"last_page":"%d","total":1,"reta_list":[%s]}}`, n, last, strings.Join(bills, ","))
	}
	mine := bill(key, `"1001"`, "-800", "-200", "-1000")
	other := bill("X1", `1001`, "5", "5", "10")
	value10 := []redeem.Line{value(0, 1000)}
	tests := map[string]struct {
		lines   []redeem.Line
		pages   []string
		want    redeem.Verdict
		outcome told
	}{
		"finds it":                       {lines: value10, pages: []string{page(1, 1, other, mine)}, want: redeem.Found, outcome: told{redeem.Executed, "looked-up", "", key, 1000, 800, 200}},
		"finds it on the last page":      {lines: value10, pages: []string{page(1, 2, other), page(2, 2, mine)}, want: redeem.Found, outcome: told{redeem.Executed, "looked-up", "", key, 1000, 800, 200}},
		"finds it without a split":       {lines: value10, pages: []string{page(1, 1, bill(key, `1001`, "", "0", "-1000"))}, want: redeem.Found, outcome: told{redeem.Executed, "looked-up", "", key, 1000, 1000, 0}},
		"finds nothing":                  {lines: value10, pages: []string{page(1, 1)}, want: redeem.Missing},
		"finds only others":              {lines: value10, pages: []string{page(1, 1, other)}, want: redeem.Missing},
		"finds another amount":           {lines: value10, pages: []string{page(1, 1, bill(key, `1001`, "-801", "-200", "-1001"))}, want: redeem.Differs},
		"finds another member":           {lines: value10, pages: []string{page(1, 1, bill(key, `1002`, "-800", "-200", "-1000"))}, want: redeem.Differs},
		"finds it twice":                 {lines: value10, pages: []string{page(1, 1, mine, mine)}, want: redeem.Differs},
		"finds a split that contradicts": {lines: value10, pages: []string{page(1, 1, bill(key, `1001`, "-800", "-200", "-900"))}, want: redeem.Differs},
		"finds an amount in yuan":        {lines: value10, pages: []string{page(1, 1, bill(key, `1001`, "-8.00", "-2.00", "-10.00"))}, want: redeem.Differs},
		"cannot speak of points":         {lines: []redeem.Line{points(0, 5)}, want: redeem.Inconclusive},
		"is refused":                     {lines: value10, pages: []string{`{"status":true,"code":"9"}`}, want: redeem.Inconclusive},
		"fails":                          {lines: value10, pages: []string{`{"status":false,"code":"9"}`}, want: redeem.Inconclusive},
		"gets no list":                   {lines: value10, pages: []string{`{"status":true,"code":0,"data":{}}`}, want: redeem.Inconclusive},
		"gets a page":                    {lines: value10, pages: []string{`<html>`}, want: redeem.Inconclusive},
		"fails on the second page":       {lines: value10, pages: []string{page(1, 2, mine), `<html>`}, want: redeem.Inconclusive},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, func(n int, _ string) (int, string) { return 200, tc.pages[n-1] })
			c := client(t, v.URL, Config{}, Deps{})
			got := c.LookUp(t.Context(), sending(t, c, request(), tc.lines...).Leg)
			if got.Verdict != tc.want || got.Detail == "" {
				t.Fatalf("got %s (%s), want %s", got.Verdict, got.Detail, tc.want)
			}
			if diff := cmp.Diff(tc.outcome, tell(got.Outcome)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if len(v.Got()) != len(tc.pages) {
				t.Errorf("the vendor saw %d requests, want %d", len(v.Got()), len(tc.pages))
			}
			if len(v.Got()) > 0 && !strings.Contains(v.Got()[0], `"Action":"user.wealth-bills","Params":{"start_time":"2019-01-11 12:57:24","end_time":"2019-01-11 14:57:24","order_no":"`+key+`","user_id":"1001","page_size":50,"page":1}}`) {
				t.Errorf("asked %s", v.Got()[0])
			}
		})
	}
}

func TestABillBookThatNeverEndsIsGivenUp(t *testing.T) {
	v := serve(t, says(`{"status":true,"code":0,"data":{"last_page":999999,"reta_list":[]}}`))
	c := client(t, v.URL, Config{}, Deps{})
	got := c.LookUp(t.Context(), sending(t, c, request(), value(0, 1000)).Leg)
	if got.Verdict != redeem.Inconclusive || len(v.Got()) != billsPages {
		t.Errorf("got %+v after %d requests", got, len(v.Got()))
	}
}

func TestAReversal(t *testing.T) {
	lines := []redeem.Line{value(0, 1000), coupon(1, "7"), points(2, 5)}
	back := []redeem.Line{points(0, 5), value(1, 1000), coupon(2, "7")}
	t.Run("is by the bizId that the vendor returned", func(t *testing.T) {
		v := serve(t, says(strings.Replace(done10, "QM77", "QM78", 1)))
		c := client(t, v.URL, Config{ReversalAction: "communal.user.consume-reverse"}, Deps{})
		original := sending(t, c, request(), lines...).Leg
		original.Outcome.FlowID = "QM77"
		plan, err := c.PlanReversal(request(), original, back)
		if err != nil {
			t.Fatal(err)
		}
		leg := legOf(plan)
		if plan.Amount != 1000 || plan.Points != 5 || plan.Reversible || len(plan.Lines) != 3 {
			t.Errorf("got plan %+v", plan)
		}
		o := c.Reverse(t.Context(), redeem.Sending{Leg: leg, Action: redeem.ReverseVerify})
		if o.Cashier != "反核销成功" || o.Lines[0].Cashier != o.Cashier {
			t.Errorf("the till hears %s, of a line %s", o.Cashier, o.Lines[0].Cashier)
		}
		if diff := cmp.Diff(told{redeem.Executed, "executed", "", "QM78", 1000, 800, 200}, tell(o)); diff != "" {
			t.Errorf("outcome (-want +got):\n%s", diff)
		}
		if want := `"Action":"communal.user.consume-reverse","Params":{"bizId":"QM77","customerId":"1001","operatorId":1543,`; !strings.Contains(v.Got()[0], want) {
			t.Errorf("sent %s, want %s in it", v.Got()[0], want)
		}
	})
	byHand := map[string]struct {
		cfg  Config
		back []redeem.Line
	}{
		"without an action":    {Config{}, back},
		"of a part":            {Config{ReversalAction: "x"}, back[:2]},
		"of less stored value": {Config{ReversalAction: "x"}, []redeem.Line{points(0, 5), value(1, 999), coupon(2, "7")}},
		"of fewer points":      {Config{ReversalAction: "x"}, []redeem.Line{points(0, 4), value(1, 1000), coupon(2, "7")}},
		"of another coupon":    {Config{ReversalAction: "x"}, []redeem.Line{points(0, 5), value(1, 1000), coupon(2, "8")}},
	}
	for name, tc := range byHand {
		t.Run("goes to a person "+name, func(t *testing.T) {
			c := client(t, "http://127.0.0.1", tc.cfg, Deps{})
			_, err := c.PlanReversal(request(), sending(t, c, request(), lines...).Leg, tc.back)
			rejection, ok := errors.AsType[*redeem.Rejection](err)
			if !ok || rejection.Field != "" || rejection.SubCode != redeem.SubManualReversal {
				t.Errorf("got %v, want a rejection that names no field", err)
			}
		})
	}
}

// What is secret or personal goes to the vendor and nowhere else.
func TestNothingSecretOrPersonalIsToldElsewhere(t *testing.T) {
	canaries := []string{credentials.OpenKey, "11100001", "15012341111", "张三丰", "金丝雀李"}
	bodies := []string{
		done10, `{"status":true,"code":"11100001 15012341111","message":"11100001 15012341111 张三丰"}`,
		`{"status":false,"message":"15012341111 张三丰"}`, `{"status":true,"code":"40012","message":"操作员金丝雀李无权限"}`, "15012341111 张三丰 11100001",
		strings.Replace(done10, "8.00", "9.00", 1),
	}
	for _, body := range bodies {
		var logs bytes.Buffer
		spans := tracetest.NewSpanRecorder()
		v := serve(t, says(body))
		c := client(t, v.URL, Config{
			Options: Options{ForwardPaymentToken: true}, Operators: map[string]Operator{"1543": {ID: 7, Name: "金丝雀李"}},
		}, Deps{
			Logger:         slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		})
		s := sending(t, c, request(), value(0, 1000))
		o := c.Send(t.Context(), s)
		if !strings.Contains(v.Got()[0], `"payPassword":"11100001"`) {
			t.Fatal("the token was not forwarded")
		}
		told := []string{logs.String(), fmt.Sprintf("%+v", o), string(s.Leg.Call), fmt.Sprintf("%v %+v %#v", credentials, credentials, credentials)}
		for _, span := range spans.Ended() {
			told = append(told, fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status()))
		}
		if len(told) != 5 {
			t.Fatalf("got %d spans, want 1", len(told)-4)
		}
		providertest.Untold(t, canaries, told)
	}
}

func TestTheSpanOfACall(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	v := serve(t, says(`{"status":true,"code":"40012"}`))
	c := client(t, v.URL, Config{}, Deps{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	c.Send(t.Context(), sending(t, c, request(), value(0, 1000)))
	span := spans.Ended()[0]
	got := map[string]string{}
	for _, a := range span.Attributes() {
		got[string(a.Key)] = a.Value.String()
	}
	want := map[string]string{
		"hexiao.provider": "zhimai", "hexiao.operation": Consume, "hexiao.upstream_key": key, "hexiao.kind": "refused",
		"hexiao.class": "refused", "hexiao.vendor_code": "40012", "hexiao.sent": "true", "hexiao.connection.reused": "false",
		"http.request.method": "POST", "http.response.status_code": "200", "server.address": "127.0.0.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if span.Name() != "zhimai communal.user.consume" || span.SpanKind() != trace.SpanKindClient {
		t.Errorf("got span %s of kind %s", span.Name(), span.SpanKind())
	}
}

func TestNoncesArePositiveAndFresh(t *testing.T) {
	seen := map[int64]bool{}
	for range 1000 {
		n := randomNonce()
		if n <= 0 || n > 1<<53 || seen[n] {
			t.Fatalf("got %d", n)
		}
		seen[n] = true
	}
}

func TestTheKeptCallIsStable(t *testing.T) {
	c := client(t, "http://127.0.0.1", Config{}, Deps{})
	leg := sending(t, c, request(), value(0, 1000), coupon(1, "390962138708451328")).Leg
	want := `{"customerId":"1001","deviceSn":"POS-7","operatorId":1543,"remark":"2025121000001 1113434444443211","multiMark":"8066287",` +
		`"lines":[{"no":0,"asset":"StoredValue","id":"100001","amount":1000},{"no":1,"asset":"Coupon","id":"390962138708451328","amount":500,"count":1}]}`
	if diff := cmp.Diff(want, string(leg.Call)); diff != "" {
		t.Errorf("the form in the ledger has changed; old rows must stay readable (-want +got):\n%s", diff)
	}
	var k call
	if err := json.Unmarshal(leg.Call, &k); err != nil || len(k.Lines) != 2 || k.Lines[1] != (basket.Line{No: 1, Asset: redeem.Coupon, ID: "390962138708451328", Amount: 500, Count: 1}) {
		t.Errorf("got %+v, %v", k, err)
	}
}

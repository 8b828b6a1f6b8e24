// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hexiao-dev/hexiao/connector/providertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestACallThatDoesNotLeaveIsNotSent(t *testing.T) {
	g := serve(t, says(executed(flow(""))))
	tests := map[string]struct {
		change func(*redeem.Sending)
		want   redeem.Class
	}{
		"the guard says no":           {func(s *redeem.Sending) { s.Guard = func() error { return errors.New("the lease is over") } }, "guard"},
		"the leg has no call":         {func(s *redeem.Sending) { s.Leg.Call = nil }, "request"},
		"the leg has no key":          {func(s *redeem.Sending) { s.Leg.Key = "" }, "request"},
		"the leg is of another world": {func(s *redeem.Sending) { s.Leg.Operation = "communal.user.consume" }, "request"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, g.URL, Config{}, Deps{})
			s := sending(t, c, request(), value(0, 1000))
			tc.change(&s)
			if diff := cmp.Diff(told{Kind: redeem.NotSent, Class: tc.want}, tell(c.Send(t.Context(), s))); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
	if n := len(g.Got()); n != 0 {
		t.Errorf("the gateway saw %d requests, want none", n)
	}
}

func TestALostAnswerIsUnknown(t *testing.T) {
	g := serve(t, func(int, url.Values) (int, string) { panic(http.ErrAbortHandler) })
	c := client(t, g.URL, Config{}, Deps{})
	got := tell(c.Send(t.Context(), sending(t, c, request(), value(0, 1000))))
	if diff := cmp.Diff(told{Kind: redeem.Unknown, Class: "connection-lost"}, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	if n := len(g.Got()); n != 1 {
		t.Errorf("the gateway saw %d requests, want 1", n)
	}
}

// A repeat is the same call under the same request_id, and its refusal is not taken for
// the fate of the first one.
func TestARepeat(t *testing.T) {
	refusal := wrapped(Dedut, `{"biz_success":false,"result_code":"DUPLICATE"}`)
	tests := map[string]struct {
		answer string
		cfg    Config
		want   told
	}{
		"is executed":                           {answer: executed(flow(split)), want: told{redeem.Executed, "executed", "", "7862783618", 1000, 700, 300}},
		"is refused: nothing is known":          {answer: refusal, want: told{Kind: redeem.Unknown, Class: "repeat-refused", Code: "DUPLICATE"}},
		"is refused, and the brand trusts that": {answer: refusal, cfg: Config{TrustRepeatRefusals: true}, want: told{Kind: redeem.Refused, Class: "refused", Code: "DUPLICATE"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(tc.answer))
			c := client(t, g.URL, tc.cfg, Deps{})
			s := sending(t, c, request(), value(0, 1000))
			c.Send(t.Context(), s)
			s.Request = redeem.Request{} // the ledger keeps nothing personal
			if diff := cmp.Diff(tc.want, tell(c.Repeat(t.Context(), s))); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(g.Got()[0], g.Got()[1]); diff != "" {
				t.Errorf("the repeat is another call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALookUp(t *testing.T) {
	answer := func(inner string) string { return wrapped(FlowDetail, commonResult("true", inner)) }
	found := told{redeem.Executed, "looked-up", "", "7862783618", 1000, 700, 300}
	card := Config{Account: ByCard}
	tests := map[string]struct {
		cfg     Config
		line    redeem.Line
		body    string
		want    redeem.Verdict
		outcome told
	}{
		"finds it":                               {body: answer(flow(split)), want: redeem.Found, outcome: found},
		"finds it, simplified":                   {body: `{"result":` + commonResult("true", flow(splitSimple)) + `}`, want: redeem.Found, outcome: found},
		"finds it under the card":                {cfg: card, body: answer(flow(split + `,"card_id":"7328763784623"`)), want: redeem.Found, outcome: found},
		"finds another card":                     {cfg: card, body: answer(flow(split + `,"card_id":"9"`)), want: redeem.Differs},
		"finds another customer":                 {body: answer(flow(split + `,"customer_id":"9"`)), want: redeem.Differs},
		"finds another brand":                    {cfg: own(), body: answer(flow(split + `,"brand_id":"9"`)), want: redeem.Differs},
		"finds another amount":                   {body: answer(flow(`,"order_value":-999`)), want: redeem.Differs},
		"finds no amount":                        {body: answer(flow(``)), want: redeem.Differs},
		"finds a recharge of the same amount":    {body: answer(flow(`,"order_value":1000`)), want: redeem.Differs},
		"finds a flow of another type":           {body: answer(strings.Replace(flow(split), "DEDUT", "UNDEDUT", 1)), want: redeem.Differs},
		"finds another order":                    {body: answer(strings.Replace(flow(split), key, "X", 1)), want: redeem.Differs},
		"finds a flow without an order":          {body: answer(`{"flow_id":"1","order_value":-1000}`), want: redeem.Differs},
		"finds nothing: null":                    {body: answer(`null`), want: redeem.Missing},
		"finds nothing: left out":                {body: wrapped(FlowDetail, `{"biz_success":true,"result_code":"200"}`), want: redeem.Missing},
		"finds nothing: empty":                   {body: answer(`{}`), want: redeem.Missing},
		"finds nothing: a code that is listed":   {cfg: Config{NotFoundCodes: []string{"FLOW_NOT_EXIST"}}, body: wrapped(FlowDetail, `{"biz_success":false,"result_code":"FLOW_NOT_EXIST"}`), want: redeem.Missing},
		"finds nothing: an error that is listed": {cfg: Config{NotFoundCodes: []string{"isv.flow-not-exist"}}, body: failed("15", "isv.flow-not-exist", ""), want: redeem.Missing},
		"fails: a code that is not listed":       {body: wrapped(FlowDetail, `{"biz_success":false,"result_code":"FLOW_NOT_EXIST"}`), want: redeem.Inconclusive},
		"fails: no code at all":                  {cfg: Config{NotFoundCodes: []string{""}}, body: wrapped(FlowDetail, `{"biz_success":false}`), want: redeem.Inconclusive},
		"fails: an error":                        {body: failed("50", "isp.timeout", ""), want: redeem.Inconclusive},
		"fails: limited":                         {body: failed("7", "", ""), want: redeem.Inconclusive},
		"fails: a page":                          {body: `<html>`, want: redeem.Inconclusive},
		"fails: the answer of another method":    {body: executed(flow(split)), want: redeem.Inconclusive},
		"fails: a flow that is text":             {body: answer(`"x"`), want: redeem.Inconclusive},
		"fails: biz_success false with a flow":   {body: wrapped(FlowDetail, commonResult("false", flow(split))), want: redeem.Inconclusive},
		"cannot speak of points":                 {cfg: own(), line: points(0, 5), want: redeem.Inconclusive},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(tc.body))
			c := client(t, g.URL, tc.cfg, Deps{})
			if tc.line.Asset == "" {
				tc.line = value(0, 1000)
			}
			got := c.LookUp(t.Context(), sending(t, c, request(), tc.line).Leg)
			if got.Verdict != tc.want || got.Detail == "" {
				t.Fatalf("got %s (%s), want %s", got.Verdict, got.Detail, tc.want)
			}
			if diff := cmp.Diff(tc.outcome, tell(got.Outcome)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			for _, form := range g.Got() {
				brand := `"out_brand_id":"11342"`
				if tc.cfg.BrandID != "" {
					brand = `"brand_id":"3742863742"`
				}
				if want := `{` + brand + `,"outer_order_id":"` + key + `"}`; form.Get("param_query_recharge_account_flow_open_req") != want || form.Get("method") != FlowDetail {
					t.Errorf("asked %v, want %s", form, want)
				}
			}
		})
	}
}

func TestAReversal(t *testing.T) {
	type lines = []redeem.Line
	assets := `{"biz_success":true,"result":{"point_success":true,"voucher_status_list":[{"success":true,"voucher_id":"A"},{"success":true,"voucher_id":"B"}]}}`
	tests := map[string]struct {
		did, back lines
		answer    string
		operation string
		want      string // the request object
		total     redeem.Fen
	}{
		"of stored value, whole": {
			did: lines{value(0, 1000)}, back: lines{value(0, 1000)}, operation: Undedut, total: 1000,
			answer: wrapped(Undedut, commonResult("true", strings.Replace(strings.Replace(flow(split), "-1000", "1000", 1), "DEDUT", "UNDEDUT", 1))),
			want:   `{"customer_id":"1001","new_outer_order_id":"HXREVERSAL","operator_id":"1543","outer_order_id":"` + key + `","request_id":"HXREVERSAL","value":1000,"out_shop_id":"","out_brand_id":"","biz_channel":"KRY"}`,
		},
		"of stored value, a part": {
			did: lines{value(0, 1000)}, back: lines{value(0, 1)}, operation: Undedut, total: 1,
			answer: wrapped(Undedut, commonResult("true", `{"flow_id":"1","outer_order_id":"HXREVERSAL","order_value":1}`)),
			want:   `{"customer_id":"1001","new_outer_order_id":"HXREVERSAL","operator_id":"1543","outer_order_id":"` + key + `","request_id":"HXREVERSAL","value":1,"out_shop_id":"","out_brand_id":"","biz_channel":"KRY"}`,
		},
		"of points and coupons, whole": {
			did: lines{points(0, 5), coupon(1, "A"), coupon(2, "B")}, back: lines{coupon(0, "B"), coupon(1, "A"), points(2, 5)}, operation: Refund,
			answer: wrapped(Refund, assets),
			want:   `{"brand_id":"3742863742","new_outer_order_id":"HXREVERSAL","operator_id":"1543","outer_order_id":"` + key + `","request_id":"HXREVERSAL","shop_id":"73527452","customer_id":"1001"}`,
		},
		"of one coupon of two": {
			did: lines{coupon(0, "A"), coupon(1, "B")}, back: lines{coupon(0, "B")}, operation: Refund,
			answer: wrapped(Refund, `{"biz_success":true,"result":{"voucher_status_list":[{"success":true,"voucher_id":"B"}]}}`),
			want:   `{"brand_id":"3742863742","new_outer_order_id":"HXREVERSAL","operator_id":"1543","outer_order_id":"` + key + `","request_id":"HXREVERSAL","shop_id":"73527452","voucher_id_list":["B"],"customer_id":"1001"}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(tc.answer))
			c := client(t, g.URL, own(), Deps{})
			plan, err := c.PlanReversal(request(), sending(t, c, request(), tc.did...).Leg, tc.back)
			if err != nil {
				t.Fatal(err)
			}
			leg := legOf(plan)
			leg.Key = "HXREVERSAL"
			o := c.Reverse(t.Context(), redeem.Sending{Leg: leg, Action: redeem.ReverseVerify})
			if o.Cashier != "反核销成功" || o.Lines[0].Cashier != o.Cashier {
				t.Errorf("the till hears %s, of a line %s", o.Cashier, o.Lines[0].Cashier)
			}
			if o.Kind != redeem.Executed || o.Class != "executed" || o.Total != tc.total || len(o.Lines) != len(tc.back) {
				t.Errorf("got %+v", o)
			}
			form := g.Got()[0]
			field := map[string]string{Undedut: "param_undedut_open_req", Refund: "param_property_refund_open_req"}[tc.operation]
			want := strings.NewReplacer(`"out_shop_id":"","out_brand_id":"",`, ``, `{"customer_id":"1001","new`, `{"brand_id":"3742863742","customer_id":"1001","new`, `,"value"`, `,"shop_id":"73527452","value"`).Replace(tc.want)
			if form.Get("method") != tc.operation || form.Get(field) != want {
				t.Errorf("sent %s, want %s", form.Get(field), want)
			}
		})
	}
}

func TestWhatCannotBeReversed(t *testing.T) {
	type lines = []redeem.Line
	tests := map[string]struct {
		did, back lines
		refused   []int // lines that the vendor had refused
		field     string
		code      string
	}{
		"more than was taken":                {did: lines{value(0, 1000)}, back: lines{value(0, 1001)}, field: "assetsReverseVerificationList", code: redeem.SubOverReversed},
		"nothing":                            {did: lines{value(0, 1000)}, back: lines{value(0, 0)}, field: "assetsReverseVerificationList[0].reverseVerifyAmount", code: redeem.SubAmount},
		"a coupon that was not part of it":   {did: lines{coupon(0, "A")}, back: lines{coupon(0, "B")}, field: "assetsReverseVerificationList[0].assetId", code: redeem.SubNotRedeemed},
		"a coupon that was refused":          {did: lines{coupon(0, "A"), coupon(1, "B")}, refused: []int{1}, back: lines{coupon(0, "B")}, field: "assetsReverseVerificationList[0].assetId", code: redeem.SubNotRedeemed},
		"some of the points: by hand":        {did: lines{points(0, 5)}, back: lines{points(0, 4)}, code: redeem.SubManualReversal},
		"points without coupons: by hand":    {did: lines{points(0, 5), coupon(1, "A")}, back: lines{points(0, 5)}, code: redeem.SubManualReversal},
		"a coupon beside points: by hand":    {did: lines{points(0, 5), coupon(1, "A")}, back: lines{coupon(0, "A")}, code: redeem.SubManualReversal},
		"points, the coupon was refused: ok": {did: lines{points(0, 5), coupon(1, "A")}, refused: []int{1}, back: lines{points(0, 5)}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := client(t, "http://127.0.0.1", own(), Deps{})
			original := sending(t, c, request(), tc.did...).Leg
			for _, no := range tc.refused {
				original.Outcome.Lines = append(original.Outcome.Lines, redeem.LineOutcome{Line: no, Kind: redeem.Refused})
			}
			_, err := c.PlanReversal(request(), original, tc.back)
			rejection, _ := errors.AsType[*redeem.Rejection](err)
			if tc.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if rejection == nil || rejection.Field != tc.field || rejection.SubCode != tc.code {
				t.Errorf("got %+v, want %s of %q", err, tc.code, tc.field)
			}
		})
	}
}

// What is secret or personal goes to the vendor and nowhere else.
func TestNothingSecretOrPersonalIsToldElsewhere(t *testing.T) {
	const session = "sess-6100-canary"
	canaries := []string{credentials.AppSecret, session, "11100001", "15012341111", "张三丰"}
	bodies := []string{
		executed(flow(split)), failed("50", "isv.15012341111", "11100001 15012341111 张三丰"), failed("50", "张三丰", ""),
		wrapped(Dedut, `{"biz_success":false,"result_code":"15012341111","result_desc":"会员张三丰 15012341111"}`), "15012341111 张三丰",
		executed(flow(`,"order_value":-1,"operator_name":"张三丰"`)),
	}
	for _, body := range bodies {
		var logs bytes.Buffer
		spans := tracetest.NewSpanRecorder()
		g := serve(t, says(body))
		cfg := Config{Credentials: credentials}
		cfg.Credentials.Session = session
		c := client(t, g.URL, cfg, Deps{
			Logger:         slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		})
		s := sending(t, c, request(), value(0, 1000))
		o := c.Send(t.Context(), s)
		f := c.LookUp(t.Context(), s.Leg)
		told := []string{logs.String(), fmt.Sprintf("%+v %+v", o, f), string(s.Leg.Call), fmt.Sprintf("%v %+v %#v", c.cfg.Credentials, c.cfg.Credentials, c.cfg.Credentials)}
		for _, span := range spans.Ended() {
			told = append(told, fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status()))
		}
		if len(told) != 6 {
			t.Fatalf("got %d spans, want 2", len(told)-4)
		}
		providertest.Untold(t, canaries, told)
	}
}

// Without the chip's number the call would be one on another account: it is not made.
func TestACallWithAChipCardIsNotRepeatedWithoutItsNumber(t *testing.T) {
	g := serve(t, says(`{}`))
	c := client(t, g.URL, Config{Account: ByCard, ChipCardIsCardID: true}, Deps{})
	req := request()
	req.PaymentToken, req.PaymentTokenType = "990011223344", "PHYSICAL_CHIP_CARD_NO"
	s := sending(t, c, req, value(0, 1000))
	if strings.Contains(string(s.Leg.Call), req.PaymentToken) || s.Leg.MemberRef != "" {
		t.Fatalf("the ledger is given the number: %s, %q", s.Leg.Call, s.Leg.MemberRef)
	}
	for name, without := range map[string]redeem.Request{
		"from the ledger": {}, "with a payment code": {PaymentToken: "11100001", PaymentTokenType: "PAYMENT_TOKEN"},
	} {
		s.Request = without
		for _, o := range []redeem.Outcome{c.Send(t.Context(), s), c.Repeat(t.Context(), s)} {
			if o.Kind != redeem.NotSent {
				t.Errorf("%s: got %+v", name, o)
			}
		}
	}
	if n := len(g.Got()); n != 0 {
		t.Errorf("%d calls were made", n)
	}
	s.Request = req
	if c.Repeat(t.Context(), s); len(g.Got()) != 1 || !strings.Contains(g.Got()[0].Get("param_dedut_open_req"), `"card_id":"990011223344"`) {
		t.Errorf("with the number: %v", g.Got())
	}
}

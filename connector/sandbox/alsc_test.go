// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// result is the path of a business answer.
func result(method, path string) string {
	return strings.ReplaceAll(method, ".", "_") + "_response/result/" + path
}

func (w *world) expectTOP(t *testing.T, method, param string, want o) {
	t.Helper()
	full := o{}
	for p, v := range want {
		full[result(method, p)] = v
	}
	expect(t, w.top(method, param, nil), full)
}

func TestTOPChecksTheProtocol(t *testing.T) {
	set := func(name, value string) func(map[string]string) {
		return func(p map[string]string) { p[name] = value }
	}
	tests := map[string]struct {
		before, after func(map[string]string)
		session       string
		code          string
	}{
		"no method":                {before: set("method", ""), code: "21"},
		"an unknown method":        {before: set("method", "alibaba.alsc.nothing"), code: "22"},
		"an unknown format":        {before: set("format", "yaml"), code: "23"},
		"no sign":                  {after: set("sign", ""), code: "24"},
		"a wrong sign":             {after: set("sign", "00"), code: "25"},
		"a parameter changed":      {after: set("param_dedut_open_req", spendParams(o{"value": 1})), code: "25"},
		"an unknown sign method":   {before: set("sign_method", "sha1"), code: "25"},
		"no session":               {session: "s", code: "26"},
		"a wrong session":          {session: "s", before: set("session", "x"), code: "27"},
		"no app key":               {before: set("app_key", ""), code: "28"},
		"an unknown app key":       {before: set("app_key", "1"), code: "29"},
		"no time stamp":            {before: set("timestamp", ""), code: "30"},
		"a stale time stamp":       {before: set("timestamp", "2026-01-02 10:53:00"), code: "31"},
		"a time stamp of UTC":      {before: set("timestamp", "2026-01-02 03:04:05"), code: "31"},
		"no version":               {before: set("v", ""), code: "32"},
		"an unknown version":       {before: set("v", "3.0"), code: "33"},
		"an old version":           {before: set("v", "1.0"), code: "34"},
		"no business parameter":    {before: set("param_dedut_open_req", ""), code: "40"},
		"a parameter of no object": {before: set("param_dedut_open_req", "["), code: "41"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.ALSC.Apps[0].Session = tc.session })
			a := w.post(context.Background(), w.ALSCURL, formType, w.topForm(dedut, topParam[dedut], spendParams(), tc.before, tc.after))
			if tc.code == "23" {
				if !strings.Contains(a.body, "<error_response><code>23</code>") {
					t.Errorf("got %s", a.body)
				}
				return
			}
			expect(t, a, o{"error_response/code": tc.code})
			if a.status != 200 {
				t.Errorf("HTTP %d, TOP answers errors with 200", a.status)
			}
			if got := w.Sandbox.Books().Entries(books.Filter{}); len(got) != 0 {
				t.Errorf("a rejected call was booked: %+v", got)
			}
		})
	}
}

func TestTOPTakesEverySignMethod(t *testing.T) {
	for i, m := range []string{"md5", "hmac", "hmac-sha256"} {
		w := start(t, nil)
		p := spendParams(o{"request_id": fmt.Sprint(i), "outer_order_id": fmt.Sprint(i), "remark": "撒娇好的"})
		expect(t, w.top(dedut, p, func(p map[string]string) { p["sign_method"] = m }), o{result(dedut, "biz_success"): true})
	}
}

func TestALSCSpendAnswersInEveryForm(t *testing.T) {
	for name, before := range map[string]func(map[string]string){
		"alsc-dedut-wrapped.json":    func(p map[string]string) {},
		"alsc-dedut-simplified.json": func(p map[string]string) { p["simplify"] = "true" },
		"alsc-dedut.xml":             func(p map[string]string) { delete(p, "format") },
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, nil).top(dedut, spendParams(), before)
			golden(t, name, a.body)
			if strings.HasSuffix(name, ".xml") {
				d := xml.NewDecoder(strings.NewReader(a.body))
				for {
					if _, err := d.Token(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

func TestALSCErrorsInEveryForm(t *testing.T) {
	w := start(t, nil)
	bad := spendParams(o{"operator_id": ""})
	want := o{"error_response/code": "50", "error_response/sub_code": "isv.invalid-parameter"}
	expect(t, w.top(dedut, bad, nil), want)
	expect(t, w.top(dedut, bad, func(p map[string]string) { p["simplify"] = "true" }), want)
	if a := w.top(dedut, bad, func(p map[string]string) { p["format"] = "xml" }); !strings.Contains(a.body, "<sub_code>isv.invalid-parameter</sub_code>") {
		t.Error(a.body)
	}
}

func TestALSCSpendNamesTheWrongField(t *testing.T) {
	w := start(t, nil)
	tests := map[string]struct {
		change o
		field  string
	}{
		"no operator":            {o{"operator_id": "-"}, "operator_id"},
		"no order":               {o{"outer_order_id": "-"}, "outer_order_id"},
		"no request id":          {o{"request_id": "-"}, "request_id"},
		"no channel":             {o{"biz_channel": "-"}, "biz_channel"},
		"an unknown channel":     {o{"biz_channel": "X"}, "biz_channel"},
		"no brand":               {o{"out_brand_id": "-"}, "brand_id"},
		"no shop":                {o{"out_shop_id": "-"}, "shop_id"},
		"no value":               {o{"value": "-"}, "value"},
		"a value of zero":        {o{"value": 0}, "value"},
		"a negative value":       {o{"value": -1}, "value"},
		"a fraction of a fen":    {o{"value": 1.5}, "value"},
		"a value as a text":      {o{"value": "25000"}, "value"},
		"a numeric member":       {o{"customer_id": 1001}, "customer_id"},
		"no member and card":     {o{"customer_id": "-"}, "card_id"},
		"a date of another form": {o{"biz_date": "2026-01-02T03:04:05Z"}, "biz_date"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := w.top(dedut, spendParams(tc.change), nil)
			got := fields(t, a, "error_response/sub_code", "error_response/sub_msg")
			if got[0] != "isv.invalid-parameter" || !strings.Contains(got[1].(string), tc.field) {
				t.Errorf("got %v, want it to name %s", got, tc.field)
			}
		})
	}
	if got := w.Sandbox.Books().Entries(books.Filter{}); len(got) != 0 {
		t.Errorf("booked: %+v", got)
	}
}

func TestALSCSpendRefuses(t *testing.T) {
	tests := map[string]struct {
		change o
		code   string
	}{
		"more than there is":          {o{"value": 110001}, "BALANCE_NOT_ENOUGH"},
		"an unknown member":           {o{"customer_id": "9"}, "CUSTOMER_NOT_EXIST"},
		"a card of somebody else":     {o{"card_id": "other"}, "CUSTOMER_NOT_EXIST"},
		"an unknown brand":            {o{"out_brand_id": "9"}, "BRAND_NOT_EXIST"},
		"a used order, a new request": {o{"outer_order_id": "used"}, "OUTER_ORDER_ID_REPEAT"},
		"a used request, other order": {o{"request_id": "used"}, "REQUEST_ID_CONFLICT"},
		"a stopped card":              {o{"customer_id": "off"}, "CARD_STATUS_INVALID"},
	}
	w := start(t, func(c *sandbox.Config) {
		c.ALSC.Brands = []sandbox.ALSCBrand{{ID: "b1", OutID: "11342"}}
		c.Members = append(c.Members, books.Member{Vendor: books.ALSC, ID: "off", Disabled: true, Balance: books.Money{Real: 99999}},
			books.Member{Vendor: books.ALSC, ID: "o2", CardID: "other"})
	})
	w.expectTOP(t, dedut, spendParams(o{"request_id": "used", "outer_order_id": "used", "value": 1}), o{"biz_success": true, "result/brand_id": "b1"})
	before := w.Sandbox.Books().Members("")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w.expectTOP(t, dedut, spendParams(tc.change), o{"biz_success": false, "result_code": tc.code, "result": nil})
		})
	}
	if diff := cmp.Diff(before, w.Sandbox.Books().Members("")); diff != "" {
		t.Errorf("a refused call changed the books: %s", diff)
	}
}

func TestALSCRequestIDIsIdempotent(t *testing.T) {
	for name, tc := range map[string]struct {
		behaviour string
		success   bool
	}{"replayed by default": {"", true}, "refused when so set": {"refuse", false}} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.ALSC.DuplicateRequestID = tc.behaviour })
			first := fields(t, w.top(dedut, spendParams(), nil), result(dedut, "result"))
			w.expectTOP(t, dedut, spendParams(o{"request_id": "req-2", "outer_order_id": "order-2", "value": 1}), o{"biz_success": true})
			// A clock, an operator and a remark are not the economic content.
			again := w.top(dedut, spendParams(o{"biz_date": "2026-01-02 11:04:05", "operator_id": "2"}), nil)
			expect(t, again, o{result(dedut, "biz_success"): tc.success})
			if tc.success {
				if diff := cmp.Diff(first, fields(t, again, result(dedut, "result"))); diff != "" {
					t.Errorf("the same request must get the same answer: %s", diff)
				}
			}
			if got := w.balance(books.ALSC); got != 110000-25001 {
				t.Errorf("%d fen left", got)
			}
		})
	}
}

func TestALSCReversal(t *testing.T) {
	w := start(t, nil)
	back := func(n int, change ...o) string {
		return object(append([]o{{
			"out_brand_id": "11342", "out_shop_id": "8066287", "operator_id": "1543", "outer_order_id": "order-1",
			"new_outer_order_id": fmt.Sprint("back-", n), "request_id": fmt.Sprint("back-req-", n), "biz_channel": "KRY",
		}}, change...)...)
	}
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
	w.expectTOP(t, undedut, back(1, o{"value": 10000}), o{
		"biz_success": true, "result/flow_type": "UNDEDUT", "result/order_value": "10000", "result/outer_order_id": "back-1", "result/current_value": "95000",
	})
	w.expectTOP(t, undedut, back(1, o{"value": 10000}), o{"biz_success": true, "result/current_value": "95000"})
	w.expectTOP(t, undedut, back(2, o{"value": 15001}), o{"biz_success": false, "result_code": "REFUND_EXCEEDS"})
	w.expectTOP(t, undedut, back(3), o{"biz_success": false, "result_code": "REFUND_EXCEEDS"})
	w.expectTOP(t, undedut, back(4, o{"value": 15000, "customer_id": "1001"}), o{"biz_success": true, "result/current_value": "110000"})
	w.expectTOP(t, undedut, back(5, o{"value": 1}), o{"biz_success": false, "result_code": "REFUND_EXCEEDS"})
	w.expectTOP(t, undedut, back(6, o{"outer_order_id": "nothing"}), o{"biz_success": false, "result_code": "ORIGINAL_ORDER_NOT_EXIST"})
	w.expectTOP(t, undedut, back(7, o{"customer_id": "9"}), o{"biz_success": false, "result_code": "CUSTOMER_NOT_EXIST"})
	for _, name := range []string{"new_outer_order_id", "outer_order_id", "request_id", "operator_id", "biz_channel"} {
		expect(t, w.top(undedut, back(8, o{name: ""}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
	}
	expect(t, w.top(undedut, back(9, o{"value": 0}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})

	w.expectTOP(t, dedut, spendParams(o{"outer_order_id": "order-2", "request_id": "req-2"}), o{"biz_success": true})
	w.expectTOP(t, undedut, back(10, o{"outer_order_id": "order-2"}), o{"biz_success": true, "result/order_value": "25000"})
	w.expectTOP(t, undedut, back(11, o{"outer_order_id": "order-2"}), o{"biz_success": false})
}

func TestALSCLooksFlowsUp(t *testing.T) {
	w := start(t, nil)
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
	get := func(f o) string { return object(o{"out_brand_id": "11342"}, f) }
	w.expectTOP(t, flowDetail, get(o{"outer_order_id": "order-1"}), o{
		"biz_success": true, "result/order_value": "-25000", "result/flow_type": "DEDUT", "result/card_id": "7328763784623",
		"result/affected_property_list/recharge_account_property_open_info/3/value": "25000", "result/order_time": "2026-01-02 11:04:05",
	})
	id := w.Sandbox.Books().Entries(books.Filter{})[0].FlowID
	w.expectTOP(t, flowDetail, get(o{"flow_id": id}), o{"result/outer_order_id": "order-1"})
	w.expectTOP(t, flowDetail, get(o{"outer_order_id": "order-9"}), o{"biz_success": false, "result_code": "FLOW_NOT_EXIST"})
	expect(t, w.top(flowDetail, get(nil), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
	expect(t, w.top(flowDetail, object(o{"outer_order_id": "order-1"}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})

	empty := start(t, func(c *sandbox.Config) { c.ALSC.FlowNotFound = "empty" })
	empty.expectTOP(t, flowDetail, get(o{"outer_order_id": "order-9"}), o{"biz_success": true, "result": nil})
}

func TestALSCPagesThroughFlows(t *testing.T) {
	w := start(t, nil)
	for i := range 5 {
		w.expectTOP(t, dedut, spendParams(o{"outer_order_id": fmt.Sprint("o", i), "request_id": fmt.Sprint("r", i), "value": 100 + i}), o{"biz_success": true})
		w.pass(time.Minute)
	}
	page := func(f ...o) string { return object(append([]o{{"out_brand_id": "11342", "page_no": 1}}, f...)...) }
	rows := "result_list/page_query_account_flows_open_info/"
	w.expectTOP(t, flows, page(o{"page_size": 2}), o{"total_size": "5", "page_size": "2", "current_page": "1", rows + "0/outer_order_id": "o4", rows + "1/order_value": "-103", rows + "2": nil})
	w.expectTOP(t, flows, page(o{"page_size": 2, "page_no": 3}), o{rows + "0/outer_order_id": "o0", rows + "1": nil})
	w.expectTOP(t, flows, page(o{"page_size": 2, "page_no": 4}), o{"total_size": "5", "result_list": nil})
	w.expectTOP(t, flows, page(o{"page_no": 9223372036854775807}), o{"result_list": nil})
	w.expectTOP(t, flows, page(o{"out_order_id": "o2"}), o{"total_size": "1"})
	w.expectTOP(t, flows, page(o{"customer_id": "1001"}), o{"total_size": "5"})
	w.expectTOP(t, flows, page(o{"customer_id": "9"}), o{"biz_success": false})
	w.expectTOP(t, flows, page(o{"flow_types": "UNDEDUT"}), o{"total_size": "0"})
	w.expectTOP(t, flows, page(o{"out_shop_id": "9"}), o{"total_size": "0"})
	w.expectTOP(t, flows, page(o{"start_time": "2026-01-02 11:05:05", "end_time": "2026-01-02 11:06:05"}), o{"total_size": "2"})
	expect(t, w.top(flows, page(o{"page_no": "-"}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
	expect(t, w.top(flows, page(o{"start_time": "now"}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
}

func TestALSCAccountAndPrecheck(t *testing.T) {
	w := start(t, nil)
	at := o{"out_brand_id": "11342", "out_shop_id": "8066287"}
	for name, by := range map[string]o{"account": {"account_id": "7627347265"}, "card": {"card_id": "7328763784623"}, "customer": {"customer_id": "1001"}} {
		t.Run(name, func(t *testing.T) {
			w.expectTOP(t, account, object(at, by), o{"result/real_value": "80000", "result/gift_value": "20000", "result/pre_value": "10000", "result/usable_value": "110000"})
		})
	}
	w.expectTOP(t, account, object(at), o{"biz_success": false, "result_code": "CUSTOMER_NOT_EXIST"})
	w.expectTOP(t, precheck, object(at, o{"customer_id": "1001", "value": 110000}), o{"biz_success": true, "result": true})
	w.expectTOP(t, precheck, object(at, o{"customer_id": "1001", "value": 110001}), o{"biz_success": true, "result": false})
	w.expectTOP(t, precheck, object(at, o{"customer_id": "9", "value": 1}), o{"biz_success": false})
	expect(t, w.top(precheck, object(at, o{"customer_id": "1001"}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
}

func verifyParams(change ...o) string {
	return object(append([]o{{
		"brand_id": "11342", "shop_id": "8066287", "operator_id": "1543", "outer_order_id": "v-1", "request_id": "vr-1", "customer_id": "1001",
	}}, change...)...)
}

func TestALSCVerifySucceedsInPart(t *testing.T) {
	w := start(t, nil)
	p := verifyParams(o{"value": 110001, "point": 50, "voucher_id_list": []string{"490962138708451328", "1"}})
	want := o{
		"biz_success": true, "result/value_success": false, "result/point_success": true,
		"result/voucher_status_list/voucher_status_info/0/success": true, "result/voucher_status_list/voucher_status_info/1/success": false,
		"result/voucher_status_list/voucher_status_info/1/voucher_id": "1",
	}
	w.expectTOP(t, verify, p, want)
	w.expectTOP(t, verify, p, want) // the same request, the same answer
	net := books.Net{Vendor: books.ALSC, Key: "v-1", Member: "1001", Spends: 1, NetPoints: 50, NetCoupon: 1}
	if diff := cmp.Diff([]books.Net{net}, w.Sandbox.Books().Nets(books.Filter{})); diff != "" {
		t.Error(diff)
	}
	w.expectTOP(t, verify, verifyParams(o{"outer_order_id": "v-5", "request_id": "vr-5", "point": 1, "voucher_id_list": []string{"490962138708451328"}}), o{
		"biz_success": true, "result/point_success": true, "result/voucher_status_list/voucher_status_info/0/success": false, // used just now
	})
	w.expectTOP(t, verify, verifyParams(o{"outer_order_id": "v-2", "request_id": "vr-2", "value": 110001}), o{"biz_success": false, "result/value_success": false})
	w.expectTOP(t, verify, verifyParams(o{"request_id": "vr-3", "point": 1}), o{"biz_success": false, "result_code": "OUTER_ORDER_ID_REPEAT"})
	w.expectTOP(t, verify, verifyParams(o{"customer_id": "-", "mobile": "15000001111", "outer_order_id": "v-4", "request_id": "vr-4", "value": 100}), o{"biz_success": true, "result/value_success": true, "result/point_success": nil})
	expect(t, w.top(verify, verifyParams(), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
	expect(t, w.top(verify, verifyParams(o{"value": 1, "brand_id": ""}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
}

func TestALSCRefund(t *testing.T) {
	back := func(n int, change ...o) string {
		return object(append([]o{{
			"brand_id": "11342", "shop_id": "8066287", "operator_id": "1543", "outer_order_id": "v-1",
			"new_outer_order_id": fmt.Sprint("vb-", n), "request_id": fmt.Sprint("vbr-", n),
		}}, change...)...)
	}
	all := verifyParams(o{"value": 1000, "point": 50, "voucher_id_list": []string{"490962138708451328", "490962138708451329"}})
	one := o{"voucher_id_list": []string{"490962138708451328"}}
	for name, tc := range map[string]struct {
		scope string
		first o
		net   books.Net
	}{
		"a listed voucher and the rest": {"all", o{"biz_success": true, "result/value_success": true, "result/point_success": true}, books.Net{NetCoupon: 1}},
		"a listed voucher alone":        {"listed", o{"biz_success": true, "result/value_success": nil, "result/point_success": nil}, books.Net{NetFen: 1000, NetPoints: 50, NetCoupon: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.ALSC.RefundScope = tc.scope })
			w.expectTOP(t, verify, all, o{"biz_success": true})
			w.expectTOP(t, refund, back(1, one), tc.first)
			w.expectTOP(t, refund, back(1, one), tc.first)
			tc.net.Vendor, tc.net.Key, tc.net.Member, tc.net.Spends, tc.net.Reversals, tc.net.SpentFen = books.ALSC, "v-1", "1001", 1, 1, 1000
			if diff := cmp.Diff([]books.Net{tc.net}, w.Sandbox.Books().Nets(books.Filter{})); diff != "" {
				t.Error(diff)
			}
			w.expectTOP(t, refund, back(2), o{"biz_success": true, "result/voucher_status_list/voucher_status_info/0/success": false, "result/voucher_status_list/voucher_status_info/1/success": true})
			w.expectTOP(t, refund, back(3), o{"biz_success": false, "result_code": "REFUND_EXCEEDS"})
			if got := w.balance(books.ALSC); got != 110000 {
				t.Errorf("%d fen, want all back", got)
			}
		})
	}
}

func TestALSCCustomer(t *testing.T) {
	w := start(t, nil)
	at := o{"brand_id": "11342", "shop_id": "8066287"}
	golden(t, "alsc-customer.json", w.top(customerGet, object(at, o{"mobile": "15000001111"}), nil).body)
	w.expectTOP(t, customerGet, object(at, o{"mobile": "1"}), o{"biz_success": false, "result_code": "CUSTOMER_NOT_EXIST"})
	w.expectTOP(t, customerGet, object(at), o{"biz_success": false})
	expect(t, w.top(customerGet, object(o{"brand_id": "1", "mobile": "1"}), nil), o{"error_response/sub_code": "isv.invalid-parameter"})
}

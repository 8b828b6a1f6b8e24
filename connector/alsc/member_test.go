// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const guest = `{"customer_open_info":{"customer_id":"1001","name":"张三","mobile":"15000001111","gender":1,"birthday":"1990-01-02 00:00:00","email":"z@example.test"},
	"card_open_info_list":{"card_open_info":[
		{"card_id":"7328763784623","card_type":"MEMBER","status":"ACTIVED","accounts":{"account_open_info":[{"balance":110000,"gift":20000,"pre":10000,"real":80000}]}},
		{"card_id":"2","card_type":"GIFT","status":"ACTIVED","accounts":[{"balance":5000,"gift":0,"real":5000},{"balance":1}]},
		{"card_id":"3","card_type":"MEMBER","status":"STOP","accounts":[{"balance":1}]}]},
	"point_account_open_info":{"available_point":5000},
	"voucher_open_info_list":[{"voucher_id":490962138708451328,"title":"代金券20元","amount":2000,"start_fee":10000,"status":"UNUSED","start_time":"a","end_time":"b"},
		{"voucher_id":"490962138708451329","status":"USED"},{"voucher_id":"490962138708451328"}]}`

func shown(inner string) string {
	return wrapped(Customer, `{"biz_success":true,"result":`+inner+`,"result_code":"200"}`)
}

func query(by redeem.MemberBy) redeem.MemberQuery {
	return redeem.MemberQuery{BrandID: "11342", ShopID: "8066287", By: by, Value: "15000001111"}
}

func TestAMemberIsReadWithWhatCanBeSpent(t *testing.T) {
	card := redeem.Holding{Asset: redeem.StoredValue, AssetID: "7328763784623", Total: 110000, Real: 90000, Gift: 20000}
	gift := redeem.Holding{Asset: redeem.StoredValue, AssetID: "2", Total: 5001, Real: 5001}
	points := redeem.Holding{Asset: redeem.Points, AssetID: "1001", Count: 5000}
	voucher := redeem.Holding{Asset: redeem.Coupon, AssetID: "490962138708451328", Name: "代金券20元", Count: 1, Face: 2000, Minimum: 10000, From: "a", Until: "b"}
	tests := map[string]struct {
		from, to string
		account  Account
		held     []redeem.Holding
		unsaid   []redeem.Asset
	}{
		"by customer":                    {held: []redeem.Holding{card, points, voucher}},
		"by card":                        {account: ByCard, held: []redeem.Holding{card, gift, points, voucher}},
		"no cards":                       {from: `"card_open_info_list"`, to: `"x"`, held: []redeem.Holding{points, voucher}},
		"no points":                      {from: `"point_account_open_info"`, to: `"x"`, held: []redeem.Holding{card, voucher}},
		"no vouchers":                    {from: `"voucher_open_info_list"`, to: `"x"`, held: []redeem.Holding{card, points}},
		"a gift above the balance":       {from: `"gift":20000`, to: `"gift":110001`, held: []redeem.Holding{points, voucher}, unsaid: []redeem.Asset{redeem.StoredValue}},
		"a balance below zero":           {from: `"balance":110000`, to: `"balance":-1`, held: []redeem.Holding{points, voucher}, unsaid: []redeem.Asset{redeem.StoredValue}},
		"a balance that is a float":      {from: `"balance":110000`, to: `"balance":110000.0`, held: []redeem.Holding{points, voucher}, unsaid: []redeem.Asset{redeem.StoredValue}},
		"points that cannot be read":     {from: `"available_point":5000`, to: `"available_point":"many"`, held: []redeem.Holding{card, voucher}, unsaid: []redeem.Asset{redeem.Points}},
		"a voucher without its number":   {from: `"voucher_id":490962138708451328,`, held: []redeem.Holding{card, points}, unsaid: []redeem.Asset{redeem.Coupon}},
		"cards that are no list":         {from: `{"card_open_info":[`, to: `{"a":1,"card_open_info":[`, held: []redeem.Holding{points, voucher}, unsaid: []redeem.Asset{redeem.StoredValue}},
		"a card without accounts":        {from: `"accounts":{"account_open_info":[{"balance":110000,"gift":20000,"pre":10000,"real":80000}]}`, to: `"level":1`, held: []redeem.Holding{{Asset: redeem.StoredValue, AssetID: "7328763784623"}, points, voucher}},
		"a card that is not activated":   {from: `"MEMBER","status":"ACTIVED"`, to: `"MEMBER","status":"SOLD"`, held: []redeem.Holding{points, voucher}},
		"a card whose state is not told": {from: `"MEMBER","status":"ACTIVED"`, to: `"MEMBER"`, held: []redeem.Holding{card, points, voucher}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(shown(strings.Replace(guest, tc.from, tc.to, 1))))
			cfg := own()
			cfg.Account = tc.account
			got, err := client(t, g.URL, cfg, Deps{}).ReadMember(t.Context(), query(redeem.ByMobile))
			if err != nil {
				t.Fatal(err)
			}
			want := redeem.Member{
				ID: "1001", Name: "张三", Mobile: "15000001111", Gender: redeem.Male, Birthday: "1990-01-02 00:00:00", Email: "z@example.test",
				Holdings: tc.held, Unsaid: tc.unsaid,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestAMemberIsLookedForInTheVendorsFields(t *testing.T) {
	for by, want := range map[redeem.MemberBy]string{
		redeem.ByMobile:       `{"brand_id":"3742863742","mobile":"15000001111","shop_id":"73527452"}`,
		redeem.ByMemberID:     `{"brand_id":"3742863742","shop_id":"73527452","customer_id":"15000001111"}`,
		redeem.ByCard:         `{"brand_id":"3742863742","physical_card_id":"15000001111","shop_id":"73527452"}`,
		redeem.ByWeChatOpenID: `{"brand_id":"3742863742","outer_id":"15000001111","outer_type":"wechat","shop_id":"73527452"}`,
		redeem.ByAlipayUserID: `{"brand_id":"3742863742","outer_id":"15000001111","outer_type":"alipay","shop_id":"73527452"}`,
	} {
		g := serve(t, says(shown(guest)))
		if _, err := client(t, g.URL, own(), Deps{}).ReadMember(t.Context(), query(by)); err != nil {
			t.Fatal(err)
		}
		if got := g.Got()[0].Get("param_customer_get_open_req"); got != want {
			t.Errorf("%s: asked %s, want %s", by, got, want)
		}
	}
}

func TestOnlyTheBusinessSaysThatThereIsNoMember(t *testing.T) {
	tests := map[string]struct {
		cfg    Config
		by     redeem.MemberBy
		status int
		answer string
		none   bool
		class  redeem.Class
		again  bool
	}{
		"biz_success false":          {own(), redeem.ByMobile, 200, wrapped(Customer, `{"biz_success":false,"result_code":"CUSTOMER_NOT_EXIST"}`), true, "", false},
		"a success without a member": {own(), redeem.ByMobile, 200, wrapped(Customer, `{"biz_success":true}`), true, "", false},
		"a member without an id":     {own(), redeem.ByMobile, 200, shown(`{}`), false, "undocumented", false},
		"a member that is no object": {own(), redeem.ByMobile, 200, shown(`[]`), false, "undocumented", false},
		"no biz_success":             {own(), redeem.ByMobile, 200, wrapped(Customer, `{"result":{}}`), false, "undocumented", false},
		"isp":                        {own(), redeem.ByMobile, 200, `{"error_response":{"code":50,"sub_code":"isp.unknown"}}`, false, "system-failure", true},
		"isv":                        {own(), redeem.ByMobile, 200, `{"error_response":{"code":50,"sub_code":"isv.invalid-parameter"}}`, false, "refused", false},
		"a limit":                    {own(), redeem.ByMobile, 200, `{"error_response":{"code":7,"sub_msg":"This ban will last for 3 more seconds"}}`, false, "rate-limited", true},
		"a signature":                {own(), redeem.ByMobile, 200, `{"error_response":{"code":25}}`, false, "configuration", false},
		"a gateway's page":           {own(), redeem.ByMobile, 502, `<html>`, false, "http-status", true},
		"not JSON":                   {own(), redeem.ByMobile, 200, `<html>`, false, "unreadable", true},
		"outer ids alone":            {Config{}, redeem.ByMobile, 200, shown(guest), false, "configuration", false},
		"a shop without the CRM's":   {Config{BrandID: "1"}, redeem.ByMobile, 200, shown(guest), false, "configuration", false},
		"a WeChat union id":          {own(), redeem.ByWeChatUnion, 200, shown(guest), false, "unsupported", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			g := serve(t, func(int, url.Values) (int, string) { return tc.status, tc.answer })
			_, err := client(t, g.URL, tc.cfg, Deps{}).ReadMember(t.Context(), query(tc.by))
			failed, is := errors.AsType[*redeem.ReadError](err)
			if tc.none != errors.Is(err, redeem.ErrNoMember) || is == tc.none || (is && (failed.Class != tc.class || failed.Again != tc.again)) {
				t.Errorf("got %v %+v", err, failed)
			}
			if is && failed.Class == "rate-limited" && failed.RetryAfter != 3*time.Second {
				t.Errorf("to be left alone for %s", failed.RetryAfter)
			}
			if strings.Contains(err.Error(), "15000001111") {
				t.Errorf("personal: %v", err)
			}
		})
	}
}

func TestFlowsAreReadPageByPage(t *testing.T) {
	page := `{"biz_success":true,"total_size":7,"result_list":{"page_query_account_flows_open_info":[
		{"flow_id":"1","outer_order_id":"HXA","flow_type":"DEDUT","order_value":-1000,"order_time":"2025-12-10 12:00:01"},
		{"flow_id":"2","outer_order_id":"HXB","outer_pay_id":"HXA","flow_type":"UNDEDUT","order_value":"500","gmt_create":"2025-12-10 12:00:02"},
		{"flow_id":"3","deleted":true,"order_value":-1,"order_time":"2025-12-10 12:00:02"},
		{"flow_id":"4","order_value":"1.5","order_time":"2025-12-10 12:00:02"}]}}`
	from := time.Date(2025, 12, 9, 16, 0, 0, 0, time.UTC)
	at := time.Date(2025, 12, 10, 12, 0, 1, 0, china)
	want := FlowPage{Total: 7, Rows: 4, Flows: []Flow{
		{ID: "1", OuterOrderID: "HXA", Type: "DEDUT", Amount: 1000, Sign: -1, At: at, Readable: true},
		{ID: "2", OuterOrderID: "HXB", OuterPayID: "HXA", Type: "UNDEDUT", Amount: 500, Sign: 1, At: at.Add(time.Second), Readable: true},
		{ID: "4", Sign: 1, At: at.Add(time.Second)},
	}}
	for name, tc := range map[string]struct {
		cfg         Config
		asked, with string
	}{
		"outer ids":       {Config{}, `"out_brand_id":"11342","out_shop_id":"8066287"`, wrapped(AccountFlows, page)},
		"the CRM's ids":   {own(), `"brand_id":"3742863742"`, wrapped(AccountFlows, page)},
		"simplified form": {own(), `"shop_id":"73527452"`, `{"result":` + page + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := serve(t, says(tc.with))
			got, err := client(t, g.URL, tc.cfg, Deps{}).Flows(t.Context(), "11342", "8066287", from, from.Add(24*time.Hour), 2, 4)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(Flow{})); diff != "" {
				t.Error("(-want +got):", diff)
			}
			param := g.Got()[0].Get("param_page_query_account_flows_open_req")
			for _, part := range []string{tc.asked, `"start_time":"2025-12-10 00:00:00"`, `"end_time":"2025-12-11 00:00:00"`, `"page_no":2`, `"page_size":4`} {
				if !strings.Contains(param, part) {
					t.Errorf("asked without %s: %s", part, param)
				}
			}
		})
	}
}

func TestAListThatCannotBeReadIsNoList(t *testing.T) {
	for _, said := range []string{
		wrapped(AccountFlows, `{"biz_success":false,"result_code":"X"}`), wrapped(AccountFlows, `{}`),
		wrapped(AccountFlows, `{"biz_success":true,"result_list":[1]}`), wrapped(AccountFlows, `{"biz_success":true,"result_list":"x"}`),
		wrapped(AccountFlows, `{"biz_success":true,"total_size":"many"}`), `{"error_response":{"code":15}}`, ``,
	} {
		g := serve(t, says(said))
		p, err := client(t, g.URL, Config{}, Deps{}).Flows(t.Context(), "1", "2", time.Time{}, time.Time{}, 1, 10)
		if _, is := errors.AsType[*redeem.ReadError](err); !is {
			t.Errorf("%s: got %+v, %v", said, p, err)
		}
	}
}

func FuzzReadCustomer(f *testing.F) {
	f.Add([]byte(guest))
	f.Add([]byte(`{"customer_open_info":{"customer_id":"1"},"card_open_info_list":[{"card_id":"1","accounts":[{"balance":-1}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		info, err := answer.Parse(body)
		if err != nil {
			return
		}
		for _, account := range []Account{ByCustomer, ByCard, ByBoth} {
			m, ok := readCustomer(info, account)
			if ok != (m.ID != "") {
				t.Errorf("ok %v, id %q", ok, m.ID)
			}
			for _, h := range m.Holdings {
				if h.Total != h.Real+h.Gift || h.Real < 0 || h.Gift < 0 || h.Count < 0 || (h.Asset == redeem.Coupon && h.AssetID == "") {
					t.Errorf("held: %+v", h)
				}
			}
		}
	})
}

func FuzzReadFlows(f *testing.F) {
	f.Add([]byte(`{"total_size":1,"result_list":[{"order_value":-5,"outer_order_id":"A"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := answer.Parse(body)
		if err != nil {
			return
		}
		p, ok := readFlows(o)
		if len(p.Flows) > p.Rows || p.Total < 0 {
			t.Errorf("%+v", p)
		}
		for _, flow := range p.Flows {
			if !ok || flow.Amount < 0 || (flow.Sign != 1 && flow.Sign != -1) {
				t.Errorf("%v %+v", ok, flow)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

const consume = "communal.user.consume"

func TestZhimaiChecksTheProtocol(t *testing.T) {
	w := start(t, nil)
	set := func(name string, value any) func(map[string]any) {
		return func(b map[string]any) { b[name] = value }
	}
	tests := map[string]struct {
		change func(map[string]any)
		code   string
	}{
		"a token of another nonce":        {set("Nonce", "99999999"), "40003"},
		"an unencoded token":              {set("Token", "cFw0t9IuvL9jVo9qAzk0qMcw5BM="), "40003"},
		"an unknown OpenId":               {set("OpenId", "x"), "40002"},
		"no OpenId":                       {set("OpenId", ""), "40002"},
		"a GrantCode of someone else":     {set("GrantCode", "x"), "40007"},
		"a stale time stamp":              {set("Timestamp", "1465185768"), "40004"},
		"a time stamp that is no number":  {set("Timestamp", "today"), "40004"},
		"a nonce that is not positive":    {set("Nonce", "0"), "40005"},
		"an unknown Action":               {set("Action", "communal.user.nothing"), "40006"},
		"Params as an array":              {set("Params", []string{}), "40001"},
		"a time stamp as a number":        {set("Timestamp", 1465185768), "40001"},
		"the reversal that is not set up": {set("Action", ""), "40006"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := w.post(context.Background(), w.ZhimaiURL, "application/json", w.zhimaiBody(consume, consumeParams(), tc.change))
			expect(t, a, o{"status": false, "code": tc.code})
		})
	}
	if got := w.Sandbox.Books().Entries(books.Filter{}); len(got) != 0 {
		t.Errorf("a rejected call was booked: %+v", got)
	}
	if got := w.Sandbox.Deliveries(false); len(got) != 0 {
		t.Errorf("a rejected call counts as delivered: %+v", got)
	}
}

func TestZhimaiSpellingOfTokenKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		keys        string
		capitalised bool
		want        any
	}{
		"lower by default":            {"", false, "true"},
		"capitalised is not lower":    {"", true, false},
		"capitalised when so set":     {"capitalised", true, "true"},
		"lower is not capitalised":    {"capitalised", false, false},
		"any takes the capitalised":   {"any", true, "true"},
		"any takes the lower as well": {"any", false, "true"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.Zhimai.TokenKeys = tc.keys })
			body := w.zhimaiBody(consume, consumeParams(), func(b map[string]any) {
				b["Token"] = sandbox.ZhimaiToken("demo-open-key", "demo-open-id", "demo-grant", b["Timestamp"].(string), b["Nonce"].(string), tc.capitalised)
			})
			expect(t, w.post(context.Background(), w.ZhimaiURL, "application/json", body), o{"status": tc.want})
		})
	}
}

func TestZhimaiNonceCountsOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		reuse string
		want  any
		net   int64
	}{
		"refused by default": {"", "40005", 25000},
		"allowed when set":   {"allow", "0", 50000},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.Zhimai.NonceReuse = tc.reuse })
			body := w.zhimaiBody(consume, consumeParams(), nil)
			expect(t, w.post(context.Background(), w.ZhimaiURL, "application/json", body), o{"code": "0"})
			expect(t, w.post(context.Background(), w.ZhimaiURL, "application/json", body), o{"code": tc.want})
			if got := w.Sandbox.Books().Nets(books.Filter{})[0].NetFen; got != tc.net {
				t.Errorf("%d fen, want %d", got, tc.net)
			}
		})
	}
}

func TestZhimaiConsumeAnswersAsTheSampleShows(t *testing.T) {
	params := consumeParams(o{"couponsCardList": []any{390962138708451328}, "points": 100, "operatorId": 1543, "multiMark": "S001"})
	for name, change := range map[string]func(*sandbox.Config){
		"zhimai-consume-sample.json": nil,
		"zhimai-consume-table.json":  func(c *sandbox.Config) { c.Zhimai.ReplyTypes, c.Zhimai.ReturnedBizID = "table", "echo" },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, change)
			golden(t, name, w.zhimai(consume, params).body)
			m, _ := w.Sandbox.Books().Find(books.Zhimai, books.ByID, "1001")
			want := []any{int64(75000), int64(4900), books.CouponRedeemed, books.CouponUnused}
			if diff := cmp.Diff(want, []any{m.Balance.Total(), m.Points, m.Coupons[0].Status, m.Coupons[1].Status}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestZhimaiConsumeRefuses(t *testing.T) {
	tests := map[string]struct {
		change o
		code   string
	}{
		"no bizId":                        {o{"bizId": ""}, "10001"},
		"neither amount nor coupon":       {o{"amount": "", "points": 5}, "10001"},
		"nothing to take":                 {o{"amount": "0.00"}, "10001"},
		"an amount of three decimals":     {o{"amount": "1.000"}, "10001"},
		"an amount without decimals":      {o{"amount": "1"}, "10001"},
		"an amount as a number":           {o{"amount": 1.25}, "10001"},
		"a negative amount":               {o{"amount": "-1.00"}, "10001"},
		"negative points":                 {o{"points": -1}, "10001"},
		"no member":                       {o{"customerId": ""}, "10001"},
		"an unknown member":               {o{"customerId": "9"}, "10002"},
		"more than the balance":           {o{"amount": "1000.01"}, "10003"},
		"more points than there are":      {o{"points": 5001}, "10004"},
		"an unknown coupon":               {o{"couponsCardList": []string{"1"}}, "10005"},
		"a coupon id that became a float": {o{"couponsCardList": []any{3.90962138708451e17}}, "10005"},
		"a coupon id with an exponent":    {o{"couponsCardList": []any{1e30}}, "10001"},
		"coupons as a text":               {o{"couponsCardList": "390962138708451328"}, "10001"},
		"a scan code of nobody":           {o{"type": 1, "couponsCardList": []string{"no"}}, "10005"},
		"a scan code of another member":   {o{"type": 1, "couponsCardList": []string{"THEIRS"}}, "10005"},
		"scan codes of two members":       {o{"customerId": "-", "type": 1, "couponsCardList": []string{"ZM100000000001", "THEIRS"}}, "10005"},
		"a coupon id as a scan code":      {o{"type": 1, "couponsCardList": []any{390962138708451328}}, "10005"},
		"a wrong password":                {o{"usePassword": "1", "payPassword": "0000"}, "10006"},
		"an unknown shop":                 {o{"multiMark": "S9"}, "10007"},
		"good coupon, balance not enough": {o{"amount": "1000.01", "couponsCardList": []any{390962138708451328}}, "10003"},
		"good balance, coupon not usable": {o{"couponsCardList": []any{390962138708451328, 1}}, "10005"},
		"good balance, points not enough": {o{"points": 5001, "couponsCardList": []any{390962138708451328}}, "10004"},
	}
	w := start(t, func(c *sandbox.Config) {
		c.Zhimai.Shops = []string{"S001"}
		c.Members[0].PayPassword = "1234"
		c.Members = append(c.Members, books.Member{Vendor: books.Zhimai, ID: "2", Balance: books.Money{Real: 50000}, Coupons: []books.Coupon{{ID: "2", ScanCode: "THEIRS"}}})
	})
	before := w.Sandbox.Books().Members("")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			expect(t, w.zhimai(consume, consumeParams(tc.change)), o{"status": true, "code": tc.code})
		})
	}
	if diff := cmp.Diff(before, w.Sandbox.Books().Members("")); diff != "" {
		t.Errorf("a refused call changed the books: %s", diff)
	}
}

func TestZhimaiConsumeAccepts(t *testing.T) {
	tests := map[string]struct {
		change o
		net    books.Net
	}{
		"every field of the sample, empty ones too": {o{
			"channel": "", "groupId": "", "couponsCardList": "", "type": "", "appType": "", "deviceSn": "", "ip": "", "opType": "",
			"operatorId": "", "operatorName": "", "payPassword": "", "productName": "", "reason": "", "remark": "", "usePassword": "",
			"points": "", "multiMark": "",
		}, books.Net{SpentFen: 25000, NetFen: 25000}},
		"coupons alone":                     {o{"amount": "-", "couponsCardList": []string{"390962138708451328"}}, books.Net{NetCoupon: 1}},
		"points with an amount of zero":     {o{"amount": "0.00", "points": 7}, books.Net{NetPoints: 7}},
		"a scan code without a member":      {o{"customerId": "-", "type": 1, "couponsCardList": []string{"ZM100000000001"}}, books.Net{SpentFen: 25000, NetFen: 25000, NetCoupon: 1}},
		"the right password":                {o{"usePassword": "1", "payPassword": "1234"}, books.Net{SpentFen: 25000, NetFen: 25000}},
		"a password that is not to be used": {o{"usePassword": "0", "payPassword": "0000"}, books.Net{SpentFen: 25000, NetFen: 25000}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.Members[0].PayPassword = "1234" })
			expect(t, w.zhimai(consume, consumeParams(tc.change)), o{"status": "true", "code": "0", "data/status": "true", "data/code": "0"})
			tc.net.Vendor, tc.net.Key, tc.net.Member, tc.net.Spends = books.Zhimai, "biz-1", "1001", 1
			if diff := cmp.Diff([]books.Net{tc.net}, w.Sandbox.Books().Nets(books.Filter{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestZhimaiRepeatedBizID(t *testing.T) {
	for name, tc := range map[string]struct {
		behaviour string
		code      string
		spends    int
	}{
		"is executed again by default": {"", "0", 2},
		"is refused when so set":       {"refuse", "10008", 1},
		"is replayed when so set":      {"replay", "0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, func(c *sandbox.Config) { c.Zhimai.DuplicateBizID = tc.behaviour })
			first := w.zhimai(consume, consumeParams())
			again := w.zhimai(consume, consumeParams())
			expect(t, again, o{"code": tc.code})
			if got := w.Sandbox.Books().Nets(books.Filter{})[0].Spends; got != tc.spends {
				t.Errorf("deducted %d times, want %d", got, tc.spends)
			}
			if tc.behaviour == "replay" && first.body != again.body {
				t.Errorf("the replay differs: %s and %s", first.body, again.body)
			}
			want := []sandbox.Delivery{{Vendor: books.Zhimai, Method: consume, Key: "biz-1", Deliveries: 2, Booked: tc.spends}}
			if diff := cmp.Diff(want, w.Sandbox.Deliveries(true)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestZhimaiReversalTakesTheReturnedBizID(t *testing.T) {
	const reversal = "communal.user.consume-reverse"
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = reversal })
	params := consumeParams(o{"couponsCardList": []string{"390962138708451328"}, "points": 10})
	returned := fields(t, w.zhimai(consume, params), "data/bizId")[0].(string)
	expect(t, w.zhimai(reversal, object(o{"bizId": "biz-1"})), o{"status": true, "code": "10009"})
	expect(t, w.zhimai(reversal, object(o{"bizId": returned, "amount": "250.01"})), o{"status": true, "code": "10009"})
	expect(t, w.zhimai(reversal, object(o{"bizId": returned, "amount": "100.00"})), o{"code": "0", "data/total_amount": "850.00"})
	expect(t, w.zhimai(reversal, object(o{"bizId": returned})), o{"code": "0", "data/total_amount": "1000.00"})
	expect(t, w.zhimai(reversal, object(o{"bizId": returned})), o{"status": true, "code": "10009"})
	want := []books.Net{{Vendor: books.Zhimai, Key: "biz-1", Member: "1001", Spends: 1, Reversals: 2, SpentFen: 25000}}
	if diff := cmp.Diff(want, w.Sandbox.Books().Nets(books.Filter{})); diff != "" {
		t.Error(diff)
	}
	off := start(t, nil)
	expect(t, off.zhimai(reversal, object(o{"bizId": "1"})), o{"status": false, "code": "40006"})
}

func TestZhimaiReversalOfEchoedBizIDs(t *testing.T) {
	const reversal = "r"
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction, c.Zhimai.ReturnedBizID = reversal, "echo" })
	w.zhimai(consume, consumeParams())
	w.zhimai(consume, consumeParams())
	for _, code := range []string{"0", "0", "10009"} {
		expect(t, w.zhimai(reversal, object(o{"bizId": "biz-1"})), o{"code": code})
	}
	if got := w.balance(books.Zhimai); got != 100000 {
		t.Errorf("%d fen, want all back", got)
	}
}

func TestZhimaiLooksMembersUp(t *testing.T) {
	w := start(t, func(c *sandbox.Config) {
		c.Members[0].OpenID, c.Members[0].UnionID, c.Members[0].AlipayID = "wx", "un", "ali"
	})
	const action = "communal.user.gether-customer-info"
	for typ, id := range map[int]string{1: "1001", 2: "15000001111", 3: "880000001001", 4: "ali", 5: "wx", 6: "un"} {
		expect(t, w.zhimai(action, object(o{"type": typ, "identifierNumber": id})), o{
			"status": "true", "data/customerId": "1001", "data/giftBalance": "200.00", "data/rechargeBalance": "800.00",
			"data/totalPoints": "5000", "data/couponList/0/cardId": "390962138708451328", "data/isPassword": "2",
		})
	}
	expect(t, w.zhimai(action, object(o{"type": 2, "identifierNumber": "1001"})), o{"status": true, "code": "10002"})
	expect(t, w.zhimai(action, object(o{"type": 9, "identifierNumber": "1001"})), o{"status": true, "code": "10001"})
	expect(t, w.zhimai(action, object(o{"type": 1})), o{"status": true, "code": "10001"})
}

func TestZhimaiCouponStatus(t *testing.T) {
	w := start(t, nil)
	w.zhimai(consume, consumeParams(o{"couponsCardList": []string{"390962138708451328"}}))
	const action = "user.coupon-new-status"
	expect(t, w.zhimai(action, object(o{"customerId": "1001", "cardId": "390962138708451328"})), o{"data/useStatus": "1", "data/cardId": "390962138708451328", "data/customerId": "1001"})
	expect(t, w.zhimai(action, object(o{"customerId": "1001", "cardId": "1"})), o{"status": "true", "data/0": nil})
	expect(t, w.zhimai(action, object(o{"customerId": "1001", "useStatus": 0})), o{"data/0/cardId": "390962138708451329", "data/1": nil})
	expect(t, w.zhimai(action, object(o{"customerId": "1001", "useStatus": ""})), o{"data/0/useStatus": "1", "data/1/useStatus": "0"})
	expect(t, w.zhimai(action, object(o{"customerId": "9"})), o{"status": true, "code": "10002"})
	expect(t, w.zhimai(action, object(o{})), o{"status": true, "code": "10001"})
}

func TestZhimaiCouponStatusByTheTables(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReplyTypes = "table" })
	expect(t, w.zhimai("user.coupon-new-status", object(o{"customerId": "1001", "cardId": "390962138708451328"})), o{"data/0/useStatus": "0", "data/1": nil})
}

// A look-up that lags shows neither the bill nor the coupon's use, nor later its return.
func TestZhimaiLookUpsThatLagShowNothingNew(t *testing.T) {
	const coupon, action, reversal = "390962138708451328", "user.coupon-new-status", "r"
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = reversal })
	status := func(want string) {
		t.Helper()
		expect(t, w.zhimai(action, object(o{"customerId": "1001", "cardId": coupon})), o{"data/useStatus": want})
	}
	returned := fields(t, w.zhimai(consume, consumeParams(o{"couponsCardList": []string{coupon}})), "data/bizId")[0]
	if _, err := w.Sandbox.Faults().Add(fault.Rule{Vendor: "zhimai", Method: "user.*", Kind: fault.NotFound, Seconds: 60}); err != nil {
		t.Fatal(err)
	}
	status("0")
	expect(t, w.zhimai("user.wealth-bills", object(o{"order_no": "biz-1"})), o{"data/total": "0"})
	w.pass(time.Minute)
	status("1")
	expect(t, w.zhimai("user.wealth-bills", object(o{"order_no": "biz-1"})), o{"data/total": "1"})
	w.zhimai(reversal, object(o{"bizId": returned, "couponsCardList": []string{coupon}}))
	status("1")
	w.pass(time.Minute)
	status("0")
	expect(t, w.zhimai("user.wealth-bills", object(o{"order_no": "biz-1"})), o{"data/total": "1"}) // the money was not given back
}

func TestZhimaiBillsAreFenAndPaged(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = "r" })
	var returned string
	for i := range 3 {
		returned = fields(t, w.zhimai(consume, consumeParams(o{"bizId": fmt.Sprint("b", i), "amount": "1.00"})), "data/bizId")[0].(string)
		w.pass(time.Minute)
	}
	w.zhimai("r", object(o{"bizId": returned}))
	const action = "user.wealth-bills"
	expect(t, w.zhimai(action, object(o{"page": 1, "page_size": 3})), o{
		"data/total": "4", "data/last_page": "2", "data/current_page": "1", "data/per_page": "3",
		"data/reta_list/0/cat_name": "冲正", "data/reta_list/0/change_amount": "100", "data/reta_list/0/order_no": "b2",
		"data/reta_list/1/cat_name": "消费", "data/reta_list/1/change_amount": "-100", "data/reta_list/1/change_gift_amount": "-100",
	})
	expect(t, w.zhimai(action, object(o{"page": 2, "page_size": 3})), o{"data/reta_list/0/order_no": "b0", "data/reta_list/1": nil})
	expect(t, w.zhimai(action, object(o{"page": 9, "page_size": 3})), o{"data/reta_list/0": nil})
	expect(t, w.zhimai(action, object(o{"order_no": "b1"})), o{"data/total": "1"})
	expect(t, w.zhimai(action, object(o{"start_time": "2026-01-02 11:05:05", "end_time": "2026-01-02 11:05:05"})), o{
		"data/total": "1", "data/reta_list/0/order_no": "b1", "data/reta_list/0/created_at": "2026-01-02 11:05:05",
	})
	expect(t, w.zhimai(action, object(o{"start_time": "2026-01-02 11:05:05"})), o{"status": true, "code": "10001"})
	expect(t, w.zhimai(action, object(o{"user_id": 1001})), o{"data/total": "4"})
	expect(t, w.zhimai(action, object(o{"user_id": 7})), o{"data/total": "0"})
}

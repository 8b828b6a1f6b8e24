// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const guest = `{"username":"张三","mobile":"15000001111","gender":"0","customerId":1001,"cardNo":"880000001001","cardName":"会员卡",
	"giftCardList":[{"cardNo":"9","balance":"50.00"}],"totalPoints":"5000","giftBalance":"200.00","rechargeBalance":"800.00","totalBalance":"1000.00",
	"couponList":[{"cardId":390962138708451328,"title":"满100减20","useStatus":"0","beginAt":"2025-01-01","endAt":"2026-01-01"},
	{"cardId":"390962138708451329","useStatus":1},{"cardId":"390962138708451328","useStatus":"0"}]}`

func done2(data string) string {
	return `{"status":"true","code":"0","message":"","data":` + data + `}`
}

func query(by redeem.MemberBy) redeem.MemberQuery {
	return redeem.MemberQuery{BrandID: "11342", ShopID: "8066287", By: by, Value: "15000001111"}
}

func TestAMemberIsReadWithWhatCanBeSpent(t *testing.T) {
	whole := redeem.Member{
		ID: "1001", Name: "张三", Mobile: "15000001111", Holdings: []redeem.Holding{
			{Asset: redeem.StoredValue, AssetID: "880000001001", Name: "会员卡", Total: 100000, Real: 80000, Gift: 20000},
			{Asset: redeem.Points, AssetID: "1001", Count: 5000},
			{Asset: redeem.Coupon, AssetID: "390962138708451328", Name: "满100减20", Count: 1, From: "2025-01-01", Until: "2026-01-01"},
		},
	}
	with := func(change func(*redeem.Member)) redeem.Member {
		m := whole
		m.Holdings = append([]redeem.Holding(nil), whole.Holdings...)
		change(&m)
		return m
	}
	tests := map[string]struct {
		from, to string
		cfg      Config
		want     redeem.Member
	}{
		"everything": {want: whole},
		"no card":    {from: `"880000001001"`, to: `""`, want: with(func(m *redeem.Member) { m.Holdings[0].AssetID = "1001" })},
		"a split that does not add up is none": {from: `"giftBalance":"200.00"`, to: `"giftBalance":"200.01"`,
			want: with(func(m *redeem.Member) { m.Holdings[0].Real, m.Holdings[0].Gift = 100000, 0 })},
		"no balance is not told": {from: `,"totalBalance":"1000.00"`, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = m.Holdings[1:], []redeem.Asset{redeem.StoredValue}
		})},
		"a balance with parts of a fen is not read": {from: `"1000.00"`, to: `"1000.001"`, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = m.Holdings[1:], []redeem.Asset{redeem.StoredValue}
		})},
		"no coupons are not told": {from: `"couponList"`, to: `"coupons"`, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = m.Holdings[:2], []redeem.Asset{redeem.Coupon}
		})},
		"a coupon without its id": {from: `"cardId":390962138708451328,`, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = m.Holdings[:2], []redeem.Asset{redeem.Coupon}
		})},
		"points that are no number": {from: `"5000"`, to: `"5e3"`, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = []redeem.Holding{m.Holdings[0], m.Holdings[2]}, []redeem.Asset{redeem.Points}
		})},
		"scan codes are not told": {cfg: Config{Options: Options{CouponsAreScanCodes: true}}, want: with(func(m *redeem.Member) {
			m.Holdings, m.Unsaid = m.Holdings[:2], []redeem.Asset{redeem.Coupon}
		})},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, says(done2(strings.Replace(guest, tc.from, tc.to, 1))))
			got, err := client(t, v.URL, tc.cfg, Deps{}).ReadMember(t.Context(), query(redeem.ByMobile))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestAMemberIsLookedForByTheVendorsTypes(t *testing.T) {
	for by, want := range map[redeem.MemberBy]int{
		redeem.ByMemberID: 1, redeem.ByMobile: 2, redeem.ByCard: 3, redeem.ByAlipayUserID: 4, redeem.ByWeChatOpenID: 5, redeem.ByWeChatUnion: 6,
	} {
		v := serve(t, says(done2(guest)))
		if _, err := client(t, v.URL, Config{Shops: map[string]string{"8066287": "S001"}}, Deps{}).ReadMember(t.Context(), query(by)); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Action string
			Params map[string]any
		}
		if err := json.Unmarshal([]byte(v.Got()[0]), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{"identifierNumber": "15000001111", "type": float64(want), "multiMark": "S001"}, got.Params); diff != "" || got.Action != MemberInfo {
			t.Errorf("%s by %s (-want +got): %s", got.Action, by, diff)
		}
	}
}

func TestOnlyARefusalSaysThatThereIsNoMember(t *testing.T) {
	tests := map[string]struct {
		status int
		answer string
		none   bool
		class  redeem.Class
		again  bool
	}{
		"a refusal":                    {200, `{"status":true,"code":"40004","message":"查询的信息不存在"}`, true, "", false},
		"a refusal inside":             {200, done2(`{"status":"true","code":"40004"}`), true, "", false},
		"a failure of the system":      {200, `{"status":false,"code":"500"}`, false, "system-failure", true},
		"a failure inside":             {200, done2(`{"status":"false","code":"500"}`), false, "system-failure", true},
		"a limit":                      {200, `{"status":true,"code":"429"}`, false, "rate-limited", true},
		"a gateway's page":             {502, `<html>`, false, "http-status", true},
		"cut JSON":                     {200, `{"status":true`, false, "unreadable", true},
		"an answer without a verdict":  {200, `{"data":{}}`, false, "undocumented", false},
		"a success without a member":   {200, `{"status":true,"code":0}`, false, "undocumented", false},
		"a member that has no id":      {200, done2(`{"username":"x"}`), false, "undocumented", false},
		"a success like code, no data": {200, `{"status":true,"code":"200"}`, false, "undocumented", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, func(int, string) (int, string) { return tc.status, tc.answer })
			_, err := client(t, v.URL, Config{RateLimitCodes: []string{"429"}}, Deps{}).ReadMember(t.Context(), query(redeem.ByMobile))
			failed, is := errors.AsType[*redeem.ReadError](err)
			if tc.none != errors.Is(err, redeem.ErrNoMember) || is == tc.none || (is && (failed.Class != tc.class || failed.Again != tc.again)) {
				t.Errorf("got %v %+v", err, failed)
			}
			if err != nil && strings.Contains(err.Error(), "15000001111") {
				t.Errorf("personal: %v", err)
			}
		})
	}
}

func TestFlowsAreReadPageByPage(t *testing.T) {
	page := `{"current_page":"2","per_page":"2","last_page":"3","total":"5","reta_list":[
		{"id":"7","user_id":"1001","order_no":"HXA","change_gift_amount":"-200","change_recharge_amount":"-800","change_amount":"-1000","created_at":"2025-12-10 12:00:01"},
		{"id":8,"order_no":"HXB","change_amount":500,"created_at":"2025-12-10 12:00:02"},
		{"id":"9","order_no":"HXC","change_amount":"5.00","created_at":"2025-12-10 12:00:02"},
		{"id":"10","order_no":"HXD","change_amount":"1","created_at":""}]}`
	v := serve(t, says(done2(page)))
	from := time.Date(2025, 12, 9, 16, 0, 0, 0, time.UTC)
	got, err := client(t, v.URL, Config{}, Deps{}).Flows(t.Context(), from, from.Add(24*time.Hour), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2025, 12, 10, 12, 0, 1, 0, china)
	want := FlowPage{Last: 3, Total: 5, Flows: []Flow{
		{ID: "7", OrderNo: "HXA", Amount: 1000, Sign: -1, At: at, Readable: true},
		{ID: "8", OrderNo: "HXB", Amount: 500, Sign: 1, At: at.Add(time.Second), Readable: true},
		{ID: "9", OrderNo: "HXC", Sign: 1, At: at.Add(time.Second)},
		{ID: "10", OrderNo: "HXD", Amount: 1, Sign: 1},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):", diff)
	}
	for _, part := range []string{`"start_time":"2025-12-10 00:00:00"`, `"end_time":"2025-12-11 00:00:00"`, `"page":2`, `"page_size":2`} {
		if !strings.Contains(v.Got()[0], part) {
			t.Errorf("asked without %s: %s", part, v.Got()[0])
		}
	}
}

func TestAListThatCannotBeReadIsNoList(t *testing.T) {
	for _, answer := range []string{
		done2(`{}`), done2(`{"reta_list":[1]}`), done2(`{"reta_list":[],"last_page":"x"}`), done2(`{"reta_list":[],"total":"-1"}`),
		`{"status":true,"code":"40001"}`, `{"status":false,"code":"1"}`, `nothing`,
	} {
		v := serve(t, says(answer))
		p, err := client(t, v.URL, Config{}, Deps{}).Flows(t.Context(), time.Time{}, time.Time{}, 1, 10)
		if _, is := errors.AsType[*redeem.ReadError](err); !is {
			t.Errorf("%s: got %+v, %v", answer, p, err)
		}
	}
}

func FuzzReadMember(f *testing.F) {
	f.Add([]byte(done2(guest)))
	f.Add([]byte(done2(`{"customerId":"1","totalBalance":"-1","totalPoints":"-1"}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := decode(200, body)
		if r.data == nil {
			return
		}
		m, ok := readMember(r.data, false)
		if ok != (m.ID != "") {
			t.Errorf("ok %v, id %q", ok, m.ID)
		}
		for _, h := range m.Holdings {
			if h.Total != h.Real+h.Gift || h.Real < 0 || h.Gift < 0 || h.Count < 0 || (h.Asset == redeem.Coupon && h.AssetID == "") {
				t.Errorf("held: %+v", h)
			}
		}
	})
}

func FuzzReadFlows(f *testing.F) {
	f.Add([]byte(done2(`{"reta_list":[{"id":"7","order_no":"A","change_amount":"-1"}],"last_page":1}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, ok := readFlows(decode(200, body).data)
		for _, flow := range p.Flows {
			if !ok || flow.Amount < 0 || (flow.Sign != 1 && flow.Sign != -1) {
				t.Errorf("%v %+v", ok, flow)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const queryPath = "/keruyun/11342/member-assets/query"

var _ MemberFinder = (*redeem.Engine)(nil)

const queryBody = `{"queryType":"MOBILE","queryValue":"15000001111","assetMappingId":"","assetMappingType":"ALL",
	"kryBrandId":"11342","kryShopId":"8066287","requestId":"r1","callInterface":"c","callMethod":"m","mobile":"15000001111"}`

func TestDecodeMemberQuery(t *testing.T) {
	query := func(change func(*redeem.MemberQuery)) redeem.MemberQuery {
		q := redeem.MemberQuery{BrandID: "11342", ShopID: "8066287", By: redeem.ByMobile, Value: "15000001111"}
		if change != nil {
			change(&q)
		}
		return q
	}
	tests := map[string]struct {
		from, to string
		want     redeem.MemberQuery
	}{
		"every field":                        {want: query(nil)},
		"the mobile stands in for the value": {`"queryValue":"15000001111"`, `"queryValue":""`, query(nil)},
		"a number as it is written":          {`"queryValue":"15000001111"`, `"queryValue":15000001111`, query(nil)},
		"the vendor's own number":            {`"MOBILE"`, `"MEMBER_ID"`, query(func(q *redeem.MemberQuery) { q.By = redeem.ByMemberID })},
		"one mapping":                        {`"assetMappingId":""`, `"assetMappingId":"100001"`, query(func(q *redeem.MemberQuery) { q.AssetMappingID = "100001" })},
		"balances":                           {`"ALL"`, `"BALANCE"`, query(func(q *redeem.MemberQuery) { q.Assets = []redeem.Asset{redeem.StoredValue, redeem.Points} })},
		"vouchers":                           {`"ALL"`, `"VOUCHER"`, query(func(q *redeem.MemberQuery) { q.Assets = []redeem.Asset{redeem.Coupon} })},
		"no mapping type is all of them":     {`"ALL"`, `null`, query(nil)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, rejection := DecodeMemberQuery([]byte(strings.Replace(queryBody, tc.from, tc.to, 1)), "11342")
			if rejection != nil {
				t.Fatal(rejection)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestDecodeMemberQueryRefusesByName(t *testing.T) {
	tests := map[string]struct{ from, to, field, says string }{
		"an unknown type":             {`"MOBILE"`, `"FACE"`, "queryType", "WECHAT_OPENID"},
		"no type":                     {`"MOBILE"`, `null`, "queryType", "missing"},
		"cut":                         {`"m","mobile"`, `"m","mobile`, "", "JSON"},
		"a value that is a list":      {`"queryValue":"15000001111"`, `"queryValue":[1]`, "queryValue", "string"},
		"an unknown mapping type":     {`"ALL"`, `"COUPON"`, "assetMappingType", "VOUCHER"},
		"another brand":               {`"kryBrandId":"11342"`, `"kryBrandId":"1"`, "kryBrandId", "another brand"},
		"a value that stands twice":   {`"queryValue"`, `"queryValue":"1","queryValue"`, "queryValue", "twice"},
		"a card without its number":   {`"MOBILE","queryValue":"15000001111"`, `"CARD_NO","queryValue":""`, "queryValue", "missing"},
		"a mobile that is not a text": {`"mobile":"15000001111"`, `"mobile":{}`, "mobile", "string"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, rejection := DecodeMemberQuery([]byte(strings.Replace(queryBody, tc.from, tc.to, 1)), "11342")
			if rejection == nil || rejection.Field != tc.field || !strings.Contains(rejection.Detail, tc.says) || rejection.Cashier == "" {
				t.Errorf("got %+v, want a rejection of %s that says %q", rejection, tc.field, tc.says)
			}
		})
	}
}

func FuzzDecodeMemberQuery(f *testing.F) {
	f.Add([]byte(queryBody))
	f.Add([]byte(`{"queryType":"CARD_NO","queryValue":1e3}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, rejection := DecodeMemberQuery(body, "11342")
		if rejection == nil && (q.By == "" || q.Value == "" || q.BrandID != "11342") {
			t.Errorf("accepted without a question: %+v", q)
		}
		if rejection != nil && (rejection.SubCode == "" || rejection.Cashier == "") {
			t.Errorf("a fault without words: %+v", rejection)
		}
	})
}

func member() redeem.Member {
	return redeem.Member{ID: "1001", Name: "张三", Gender: redeem.Male, Mobile: "15000001111", Birthday: "1990-01-02", Email: "z@example.test"}
}

func items() []redeem.MemberItem {
	return []redeem.MemberItem{
		{AssetMappingID: "100001", Asset: redeem.StoredValue, State: redeem.Shown, Holding: redeem.Holding{
			Asset: redeem.StoredValue, AssetID: "7328763784623", Name: "会员卡", Total: 110000, Real: 90000, Gift: 20000,
		}},
		{AssetMappingID: "200001", Asset: redeem.Coupon, State: redeem.Shown, Holding: redeem.Holding{
			Asset: redeem.Coupon, AssetID: "390962138708451328", Name: "满100减20", Count: 1, Face: 2000, Minimum: 10000, From: "2025-01-01", Until: "2026-01-01",
		}},
		{AssetMappingID: "300001", Asset: redeem.Points, State: redeem.Shown, Holding: redeem.Holding{Asset: redeem.Points, AssetID: "1001", Count: 5000}},
	}
}

func TestMemberAnswersAreAsRecorded(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	unread := append(items()[:1:1], redeem.MemberItem{AssetMappingID: "200001", Asset: redeem.Coupon, State: redeem.NotRead, Code: "timeout"})
	absent := append(items()[:1:1], redeem.MemberItem{AssetMappingID: "200001", Asset: redeem.Coupon, State: redeem.NoMember})
	rejected := func(r redeem.Rejection) []byte { return queryRejected(trace, &r).answer }
	tests := map[string][]byte{
		"query-all":        MemberAnswer("11342", redeem.MemberView{Member: member(), Items: items(), Found: true}, trace),
		"query-nothing":    MemberAnswer("11342", redeem.MemberView{Member: member(), Found: true}, trace),
		"query-incomplete": MemberAnswer("11342", redeem.MemberView{Member: member(), Items: unread, Found: true, Incomplete: true}, trace),
		"query-one-vendor": MemberAnswer("11342", redeem.MemberView{Member: member(), Items: absent, Found: true}, trace),
		"query-no-member":  MemberAnswer("11342", redeem.MemberView{}, trace),
		"query-unread":     MemberAnswer("11342", redeem.MemberView{Incomplete: true}, trace),
		"query-type":       rejected(redeem.Rejection{SubCode: SubMalformed, Field: "queryType", Cashier: "查询类型不支持（queryType），本次未核销，请核对后重新提交或联系技术支持"}),
		"query-busy":       rejected(redeem.Rejection{SubCode: redeem.SubDraining, Cashier: "系统正在切换，本次未扣款，请立即重试", Retryable: true}),
	}
	for name, got := range tests {
		t.Run(name, func(t *testing.T) {
			if n := bytes.Count(got, []byte(trace)); n != 1 {
				t.Errorf("the trace id stands there %d times", n)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "    "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			file := filepath.Join("testdata", "answers", name+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

// A till must not take what is not known for what is not there.
func TestWhatIsNotKnownIsNoSuccess(t *testing.T) {
	for name, v := range map[string]redeem.MemberView{
		"a vendor is silent":               {Member: member(), Found: true, Incomplete: true},
		"all are silent":                   {Incomplete: true},
		"one is silent, one does not know": {Incomplete: true, Items: []redeem.MemberItem{{State: redeem.NoMember}, {State: redeem.NotRead}}},
	} {
		t.Run(name, func(t *testing.T) {
			var e struct {
				Code   int
				Result *struct{ Success bool }
			}
			if err := json.Unmarshal(MemberAnswer("11342", v, "t"), &e); err != nil {
				t.Fatal(err)
			}
			if e.Code == CodeOK && e.Result.Success {
				t.Error("said to be a success")
			}
		})
	}
}

// fakeMembers answers as told.
type fakeMembers func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection)

func (f fakeMembers) Member(_ context.Context, q redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
	return f(q)
}

func TestAMemberQueryIsAnsweredAndLeavesNothingPersonal(t *testing.T) {
	tests := map[string]struct {
		finds   fakeMembers
		body    string
		code    int
		subCode string
	}{
		"found": {func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
			return redeem.MemberView{Member: member(), Items: items(), Found: true}, nil
		}, queryBody, CodeOK, redeem.SubOK},
		"nobody knows the guest": {func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
			return redeem.MemberView{}, nil
		}, queryBody, CodeOK, SubNoMember},
		"nobody can be asked": {func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
			return redeem.MemberView{Incomplete: true}, nil
		}, queryBody, CodeFault, SubUnread},
		"no route": {func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
			return redeem.MemberView{}, &redeem.Rejection{SubCode: redeem.SubNoRoute, Field: "assetMappingId", Cashier: "该资产未开通核销"}
		}, queryBody, CodeOK, redeem.SubNoRoute},
		"a panic": {func(redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
			panic("15000001111 张三")
		}, queryBody, CodeFault, SubInternal},
		"an unknown type": {nil, strings.Replace(queryBody, "MOBILE", "FACE", 1), CodeOK, SubMalformed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var asked []redeem.MemberQuery
			f := newFixture(t, func(c *Config) {
				c.Members = fakeMembers(func(q redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection) {
					asked = append(asked, q)
					return tc.finds(q)
				})
			})
			w, got := f.call(t, signed(queryPath, V2, []byte(tc.body)))
			if w.Code != http.StatusOK || got.Code != tc.code || f.accesses[0].SubCode != tc.subCode || f.accesses[0].SPI != "query" {
				t.Errorf("status %d, access %+v, %s", w.Code, f.accesses[0], w.Body)
			}
			if tc.finds != nil && (len(asked) != 1 || !asked[0].ReplyDeadlineAt.Equal(now.Add(4*time.Second)) || asked[0].TraceID != got.MessageUUID) {
				t.Errorf("asked %+v", asked)
			}
			if f.engine.asked() != 0 {
				t.Error("something was redeemed")
			}
			told := f.log.String() + fmt.Sprint(f.accesses)
			for _, s := range f.spans.Ended() {
				told += fmt.Sprint(s.Name(), s.Attributes(), s.Status(), s.Events())
			}
			for _, personal := range []string{"15000001111", "张三", "z@example.test", "1990-01-02", "7328763784623"} {
				if strings.Contains(told, personal) {
					t.Errorf("log or span has %q: %s", personal, told)
				}
			}
		})
	}
}

func TestWithoutMembersThereIsNoSuchSPI(t *testing.T) {
	if w, _ := newFixture(t, nil).call(t, signed(queryPath, V2, []byte(queryBody))); w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}

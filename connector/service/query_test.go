// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// bothAtALSC routes every kind of asset of both vendors.
func bothAtALSC(object string) string {
	object = strings.Replace(object, "    zhimai:\n", "    zhimai:\n      limits: {requestsPerSecond: 1000}\n", 1)
	object = strings.Replace(object, "    alsc:\n", "    alsc:\n      limits: {requestsPerSecond: 1000}\n", 1)
	return strings.Replace(object, "  shops:\n", `  - name: alsc-coupons
    match: {assetMappingIDs: ["200002"]}
    asset: Coupon
    provider: alsc
  - name: alsc-points
    match: {assetMappingIDs: ["300002"]}
    asset: Points
    provider: alsc
  shops:
`, 1)
}

// queryReply is what a till reads of a member query.
type queryReply struct {
	Code   int
	Result *struct {
		Success bool
		SubCode string
		Data    struct {
			MemberBasic      struct{ MemberID, Name, Mobile string }
			BalanceAssetList []heldAsset
		}
	}
}

type heldAsset struct {
	AssetMappingID, AssetID, AssetType, Status string
	VerifyTotalAmount                          *int64
	VerifyCnt                                  int64
}

func (f *fixture) query(body string) (queryReply, string) {
	f.t.Helper()
	status, reply, err := f.Till.Call(f.t.Context(), "member-assets/query", []byte(body))
	if err != nil || status != http.StatusOK {
		f.t.Fatalf("HTTP %d, %v: %s", status, err, reply)
	}
	parse(f.t, reply)
	var q queryReply
	if err := json.Unmarshal(reply, &q); err != nil {
		f.t.Fatal(err)
	}
	return q, string(reply)
}

const byMobile = `{"queryType":"MOBILE","queryValue":%q,"assetMappingType":"ALL","kryBrandId":"11342","kryShopId":"8066287"}`

// Whatever query shows can be spent by verify as named: member, mappings, ids and amounts, without another mapping.
func TestWhateverAQueryShowsCanBeSpentAsNamed(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		mobile := fmt.Sprintf("139%08d", n)
		same := rapid.Bool().Draw(t, "the vendors know the member under one id")
		for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} {
			m := books.Member{
				Vendor: vendor, ID: fmt.Sprint(7000 + n), CardID: fmt.Sprintf("card-%s-%d", vendor, n), Name: "李四", Mobile: mobile,
				Balance: books.Money{Real: rapid.Int64Range(0, 50_000).Draw(t, "real"), Gift: rapid.Int64Range(0, 50_000).Draw(t, "gift")},
				Points:  rapid.Int64Range(0, 1000).Draw(t, "points"),
			}
			if !same && vendor == books.Zhimai {
				m.ID = fmt.Sprint(900000 + n)
			}
			for c := range rapid.IntRange(0, 3).Draw(t, "coupons") {
				m.Coupons = append(m.Coupons, books.Coupon{ID: fmt.Sprintf("%d%09d%d", len(vendor), n, c), Title: "券"})
			}
			if err := f.Sandbox.Sandbox.Books().Put(m); err != nil {
				t.Fatal(err)
			}
		}
		shown, text := f.query(fmt.Sprintf(byMobile, mobile))
		if shown.Code != 0 || !shown.Result.Success {
			t.Fatalf("query: %s", text)
		}
		data := shown.Result.Data
		var lines []string
		for _, a := range data.BalanceAssetList {
			if a.Status != "SUCCESS" || a.VerifyTotalAmount == nil {
				t.Fatalf("query: %s", text)
			}
			if *a.VerifyTotalAmount == 0 && a.VerifyCnt == 0 {
				continue // an empty account
			}
			lines = append(lines, fmt.Sprintf(`{"assetMappingId":%q,"assetId":%q,"verifyAmount":%d,"verifyCnt":%d}`,
				a.AssetMappingID, a.AssetID, *a.VerifyTotalAmount, a.VerifyCnt))
		}
		if len(lines) == 0 {
			return
		}
		_, reply := f.verify(fmt.Sprintf(`{"bizId":"query-%d","kryTransOrderNo":"o%d","kryPaymentNo":"p%d","kryShopId":"8066287","thirdMemberId":%q,"operatorId":"1543",
			"memberAssetsVerificationList":[%s]}`, n, n, n, data.MemberBasic.MemberID, strings.Join(lines, ",")))
		if e := parse(f.t, reply); *e.Code != 0 || !e.Result.Success {
			t.Fatalf("shown:\n%s\nbut not spent:\n%s", text, reply)
		}
		for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} {
			for _, m := range f.Sandbox.Sandbox.Books().Members(vendor) {
				if m.Mobile != mobile {
					continue
				}
				left := m.Balance.Total() + m.Points
				for _, c := range m.Coupons {
					if c.Status == books.CouponUnused {
						left++
					}
				}
				if left != 0 {
					t.Fatalf("%s: not all that is there was shown: %+v", vendor, m)
				}
			}
		}
	})
}

func TestAVendorThatIsAwayIsNotAnEmptyAccount(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	if err := f.Sandbox.Sandbox.SetDown(books.Zhimai, sandbox.Refuse); err != nil {
		t.Fatal(err)
	}
	q, text := f.query(fmt.Sprintf(byMobile, "15000001111"))
	if q.Code != 0 || q.Result.Success || q.Result.SubCode != "311" || !strings.HasPrefix(q.Result.Data.MemberBasic.MemberID, "alsc:1001") {
		t.Fatalf("reply: %s", text)
	}
	shown, unread := 0, 0
	for _, a := range q.Result.Data.BalanceAssetList {
		if a.Status == "SUCCESS" {
			shown++
		} else if unread++; a.VerifyTotalAmount != nil {
			t.Errorf("an amount of what is not known: %s", text)
		}
	}
	if shown != 4 || unread != 3 { // balance, points and two coupons; balance, points and coupons
		t.Errorf("%d shown, %d not read: %s", shown, unread, text)
	}
	if err := f.Sandbox.Sandbox.SetDown(books.ALSC, sandbox.Refuse); err != nil {
		t.Fatal(err)
	}
	if q, text := f.query(fmt.Sprintf(byMobile, "15000001111")); q.Code != 3000 || q.Result != nil {
		t.Errorf("reply: %s", text)
	}
}

func TestALostAnswerToAQuestionIsAskedForAgain(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	for vendor, method := range map[string]string{"alsc": "alibaba.alsc.crm.open.customer.get", "zhimai": "communal.user.gether-customer-info"} {
		if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Vendor: vendor, Method: method, Kind: fault.ResetBeforeApply, Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	q, text := f.query(fmt.Sprintf(byMobile, "15000001111"))
	if q.Code != 0 || !q.Result.Success {
		t.Fatalf("reply: %s", text)
	}
	for _, c := range f.Sandbox.Sandbox.Calls(sandbox.CallFilter{}) {
		if len(c.Unknown) > 0 {
			t.Errorf("%s: fields that the vendor does not know: %v", c.Method, c.Unknown)
		}
	}
	f.Stop()
	told := f.Logs.String()
	for _, s := range f.Sandbox.Sandbox.Spans().Traces("") {
		told += fmt.Sprintf("%+v", f.Sandbox.Sandbox.Spans().Trace(s.TraceID))
	}
	if !strings.Contains(told, "zhimai communal.user.gether-customer-info") {
		t.Error("the trace has no span of the vendor's call")
	}
	for _, personal := range []string{"15000001111", "张三", "7328763784623", "880000001001"} {
		if strings.Contains(told, personal) {
			t.Errorf("log or trace has %q", personal)
		}
	}
}

func TestAGuestWhomNobodyKnows(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	if q, text := f.query(fmt.Sprintf(byMobile, "10000000000")); q.Code != 0 || q.Result.Success || q.Result.SubCode != "310" {
		t.Errorf("reply: %s", text)
	}
	if q, text := f.query(strings.Replace(fmt.Sprintf(byMobile, "1"), "MOBILE", "FACE", 1)); q.Code != 0 || q.Result.SubCode != "103" || !strings.Contains(text, "queryType") {
		t.Errorf("reply: %s", text)
	}
}

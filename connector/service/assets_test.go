// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/service/servicetest"
)

const (
	dedut         = "alibaba.alsc.crm.recharge.dedut.update"
	undedut       = "alibaba.alsc.crm.recharge.undedut.update"
	consume       = "communal.user.consume"
	reverseAction = "communal.user.consume-reverse"
)

// also adds lines to the sample's object: under the providers, and under spec.
func also(zhimai, alsc, spec string) func(string) string {
	return func(object string) string {
		object = bothAtALSC(object)
		object = strings.Replace(object, "    zhimai:\n", "    zhimai:\n"+zhimai, 1)
		object = strings.Replace(object, "    alsc:\n", "    alsc:\n"+alsc, 1)
		return strings.Replace(object, "  ledger:\n", spec+"  ledger:\n", 1)
	}
}

// sale is a request of a till; a field that is not set is not sent.
type sale map[string]any

func line(mapping, asset string, fen, count int64) sale {
	return sale{"assetMappingId": mapping, "assetId": asset, "verifyAmount": fen, "verifyCnt": count}
}

func (f *fixture) sell(bizID string, change sale, lines ...sale) (envelope, string) {
	f.t.Helper()
	body := sale{
		"bizId": bizID, "kryTransOrderNo": "o-" + bizID, "kryPaymentNo": "p-" + bizID, "kryShopId": "8066287",
		"thirdMemberId": "1001", "operatorId": "1543", "operatorName": "张三", "memberAssetsVerificationList": lines,
	}
	for k, v := range change {
		body[k] = v
	}
	raw, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	_, reply := f.verify(string(raw))
	return parse(f.t, reply), string(reply)
}

// statuses are what the till was told line by line.
func (e envelope) statuses() []string {
	var out []string
	if e.Result != nil {
		for _, l := range e.Result.Data.VerifyAssetsDetailList {
			out = append(out, l.Status)
		}
	}
	return out
}

// sent are the business parameters of each call of a method, as the vendor received them.
func (f *fixture) sent(method string) []map[string]any {
	f.t.Helper()
	var out []map[string]any
	for _, c := range f.Sandbox.Sandbox.Calls(sandbox.CallFilter{Method: method}) {
		text := c.Body
		if c.Vendor == books.ALSC {
			form, err := url.ParseQuery(c.Body)
			if err != nil {
				f.t.Fatal(err)
			}
			for name := range form {
				if strings.HasPrefix(name, "param_") {
					text = `{"Params":` + form.Get(name) + `}`
				}
			}
		}
		var body struct{ Params map[string]any }
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			f.t.Fatalf("%v: %s", err, text)
		}
		if len(c.Unknown) > 0 && method != reverseAction { // the reversal's parameters are not published
			f.t.Errorf("%s: fields that the vendor does not know: %v", c.Method, c.Unknown)
		}
		out = append(out, body.Params)
	}
	return out
}

// left is what a vendor's books leave of each sale: spent and not given back, in fen.
func (f *fixture) left(vendor books.Vendor) int64 {
	sum := int64(0)
	for _, e := range f.entries() {
		if e.Vendor == vendor && e.Kind == books.KindSpend {
			sum += e.AmountFen
		} else if e.Vendor == vendor {
			sum -= e.AmountFen
		}
	}
	return sum
}

// told is everything that a connector says of itself, and what its ledger's files hold. It stops the connector.
func (f *fixture) told() map[string]string {
	f.t.Helper()
	_, metrics := f.Admin("/metrics")
	f.Stop()
	exported, err := json.Marshal(f.Sandbox.Sandbox.Spans().All())
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]string{"the logs": f.Logs.String(), "the spans": string(exported), "the metrics": metrics}
	files, err := filepath.Glob(f.LedgerPath + "*")
	if err != nil || len(files) == 0 {
		f.t.Fatalf("no ledger: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.t.Fatal(err)
		}
		out["the ledger "+filepath.Base(file)] = string(raw)
	}
	return out
}

func TestAnOperatorIsNamedAsMappedAndElseAsKeruyunNamesHim(t *testing.T) {
	cfg := sandbox.DemoConfig()
	cfg.Zhimai.ReversalAction = reverseAction
	f := start(t, cfg, also("      reversalAction: "+reverseAction+"\n", "      operatorID: \"88\"\n", `  operators:
  - {kryOperatorID: "1543", zhimai: {operatorID: 7, operatorName: 金丝雀李}, alsc: {operatorID: "65673527"}}
  - {kryOperatorID: cashier-2, zhimai: {operatorID: 9}}
`), nil)
	cases := map[string]struct {
		operator, name       string
		zhimai, called, alsc any
	}{
		"mapped at both":             {"1543", "金丝雀张", 7.0, "金丝雀李", "65673527"},
		"mapped at Zhimai, no name":  {"cashier-2", "金丝雀王", 9.0, "金丝雀王", "cashier-2"},
		"not mapped, a number":       {"1600", "金丝雀赵", 1600.0, "金丝雀赵", "1600"},
		"not mapped, not a number":   {"op-1", "金丝雀赵", nil, "金丝雀赵", "op-1"},
		"nobody: the brand's own id": {"", "", nil, nil, "88"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := len(f.sent(consume))
			e, reply := f.sell(name, sale{"operatorId": tc.operator, "operatorName": tc.name}, line("400001", "", 100, 0), line("100001", "", 100, 0))
			if *e.Code != 0 || !e.Result.Success {
				t.Fatalf("reply: %s", reply)
			}
			zhimai, alsc := f.sent(consume)[before:], f.sent(dedut)[before:]
			if len(zhimai) != 1 || len(alsc) != 1 {
				t.Fatalf("%d calls to zhimai, %d to alsc", len(zhimai), len(alsc))
			}
			got := []any{zhimai[0]["operatorId"], zhimai[0]["operatorName"], alsc[0]["operator_id"]}
			if diff := cmp.Diff([]any{tc.zhimai, tc.called, tc.alsc}, got); diff != "" {
				t.Errorf("operators (-want +got):\n%s", diff)
			}
		})
	}
	first, reply := f.sell("mapped at both", sale{"operatorName": "金丝雀张"}, line("400001", "", 100, 0), line("100001", "", 100, 0))
	if *first.Code != 0 {
		t.Fatalf("reply: %s", reply)
	}
	// A vendor that repeats the name in a refusal does not bring it to the till.
	if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Vendor: "zhimai", Kind: fault.Refuse, Code: "40012", Message: "操作员 金丝雀李 无权限", Count: 1}); err != nil {
		t.Fatal(err)
	}
	if e, reply := f.sell("quoted", nil, line("400001", "", 100, 0)); e.Result == nil || e.Result.Success || strings.Contains(reply, "金丝雀") {
		t.Errorf("reply: %s", reply)
	}
	if status, reply, err := f.Till.Reverse(t.Context(), fmt.Appendf(nil, `{"bizId":"back","kryTransOrderNo":"o-mapped at both","kryPaymentNo":"p-mapped at both","kryRefundPaymentNo":"r1","thirdFlowNo":%q,
		"kryShopId":"8066287","thirdMemberId":"1001","operatorId":"cashier-2","assetsReverseVerificationList":[
		{"assetMappingId":"400001","assetId":"","reverseVerifyAmount":100},{"assetMappingId":"100001","assetId":"","reverseVerifyAmount":100}]}`, first.Result.Data.FlowID)); err != nil || status != 200 || *parse(t, reply).Code != 0 || !parse(t, reply).Result.Success {
		t.Fatalf("HTTP %d, %v, %s", status, err, reply)
	}
	if back := f.sent(reverseAction); len(back) != 1 || back[0]["operatorId"] != 9.0 {
		t.Errorf("the reversal at zhimai: %v", back)
	}
	if back := f.sent(undedut); len(back) != 1 || back[0]["operator_id"] != "cashier-2" {
		t.Errorf("the reversal at alsc: %v", back)
	}
	for place, text := range f.told() {
		if i := strings.Index(text, "金丝雀"); i >= 0 {
			t.Errorf("%s hold a name: …%q…", place, text[max(0, i-80):min(len(text), i+40)])
		}
	}
}

func TestAPaymentCodeIsAPasswordAtZhimaiAndAChipCardIsNot(t *testing.T) {
	const secret = "canary-2468-7f3a"
	cases := map[string]struct {
		setting string // providers.zhimai.paymentToken
		kind    any    // paymentTokenType
		locked  bool   // the member needs a password
		sends   any    // payPassword
		success bool
		calls   int
	}{
		"a code, forwarded":                            {"PayPassword", "PAYMENT_TOKEN", true, secret, true, 1},
		"a code without a type, forwarded":             {"PayPassword", nil, true, secret, true, 1},
		"a code, not forwarded":                        {"None", "PAYMENT_TOKEN", true, nil, false, 1},
		"a code that nobody needs, not forwarded":      {"None", "PAYMENT_TOKEN", false, nil, true, 1},
		"a chip card is no password":                   {"PayPassword", "PHYSICAL_CHIP_CARD_NO", true, nil, false, 1},
		"a chip card does not stand in the way":        {"PayPassword", "PHYSICAL_CHIP_CARD_NO", false, nil, true, 1},
		"a chip card, not forwarded":                   {"None", "PHYSICAL_CHIP_CARD_NO", false, nil, true, 1},
		"an unknown type where a token is used":        {"PayPassword", "FACE", false, nil, false, 0},
		"an unknown type where no token is looked at":  {"None", "FACE", false, nil, true, 1},
		"an unknown type that is written almost right": {"PayPassword", "payment_token", true, nil, false, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sandbox.DemoConfig()
			cfg.Members[0].PayPassword, cfg.Members[0].PasswordRequired = secret, tc.locked
			f := start(t, cfg, also("      paymentToken: "+tc.setting+"\n", "", ""), nil)
			token := sale{"paymentToken": secret}
			if tc.kind != nil {
				token["paymentTokenType"] = tc.kind
			}
			e, reply := f.sell("b1", token, line("400001", "", 2550, 0))
			calls := f.sent(consume)
			if *e.Code != 0 || e.Result.Success != tc.success || len(calls) != tc.calls {
				t.Fatalf("%d calls, reply: %s", len(calls), reply)
			}
			if tc.calls == 0 && !strings.Contains(reply, "paymentTokenType") {
				t.Errorf("the reply does not name the field: %s", reply)
			}
			if tc.calls == 1 && calls[0]["payPassword"] != tc.sends {
				t.Errorf("payPassword: %v, want %v", calls[0]["payPassword"], tc.sends)
			}
			want := int64(0)
			if tc.success {
				want = 2550
			}
			if got := f.left(books.Zhimai); got != want {
				t.Errorf("%d fen were spent, want %d", got, want)
			}
			for place, text := range f.told() {
				if strings.Contains(text, secret) {
					t.Errorf("%s hold the token", place)
				}
			}
		})
	}
}

func TestAChipCardNamesTheCardAtALSCOnlyWhereTheBrandSaysSo(t *testing.T) {
	const chip, other = "990011223344", "7328763784623" // of member 2002, and of member 1001
	value := line("100001", other, 700, 0)
	cases := map[string]struct {
		settings string
		kind     any
		lines    []sale
		card     any // card_id, nil: no call of stored value
		member   string
		refused  bool
	}{
		"ignored by default":                {"      account: Card\n", "PHYSICAL_CHIP_CARD_NO", []sale{value}, other, "1001", false},
		"ignored, whatever its type":        {"      account: Card\n", "FACE", []sale{value}, other, "1001", false},
		"in place of assetId":               {"      account: Card\n      chipCard: CardID\n", "PHYSICAL_CHIP_CARD_NO", []sale{value}, chip, "2002", false},
		"where there is no assetId":         {"      account: Card\n      chipCard: CardID\n", "PHYSICAL_CHIP_CARD_NO", []sale{line("100001", "", 700, 0)}, chip, "2002", false},
		"a payment code is no card":         {"      account: Card\n      chipCard: CardID\n", "PAYMENT_TOKEN", []sale{value}, other, "1001", false},
		"no type, no card":                  {"      account: Card\n      chipCard: CardID\n", nil, []sale{value}, other, "1001", false},
		"an unknown type":                   {"      account: Card\n      chipCard: CardID\n", "FACE", []sale{value}, nil, "", true},
		"an unknown type, nothing to name":  {"      account: Card\n      chipCard: CardID\n", "FACE", []sale{line("300002", "", 0, 5)}, nil, "1001", false},
		"one chip, two cards":               {"      account: Card\n      chipCard: CardID\n", "PHYSICAL_CHIP_CARD_NO", []sale{value, line("100001", "1", 5, 0)}, nil, "", true},
		"a card of another member":          {"      account: CustomerAndCard\n      chipCard: CardID\n", "PHYSICAL_CHIP_CARD_NO", []sale{value}, chip, "", true},
		"by customer, a chip names nothing": {"", "PHYSICAL_CHIP_CARD_NO", []sale{value}, nil, "1001", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sandbox.DemoConfig()
			cfg.Members = append(cfg.Members, books.Member{Vendor: books.ALSC, ID: "2002", CardID: chip, Balance: books.Money{Real: 10000}})
			f := start(t, cfg, also("", tc.settings, ""), nil)
			change := sale{"paymentToken": chip}
			if tc.kind != nil {
				change["paymentTokenType"] = tc.kind
			}
			e, reply := f.sell("b1", change, tc.lines...)
			if *e.Code != 0 || e.Result.Success == tc.refused {
				t.Fatalf("reply: %s", reply)
			}
			if calls := f.sent(dedut); len(calls) > 0 && calls[0]["card_id"] != tc.card {
				t.Errorf("card_id: %v, want %v", calls[0]["card_id"], tc.card)
			} else if len(calls) == 0 && tc.card != nil {
				t.Error("nothing was sent")
			}
			if got := f.entries(); (tc.member == "") != (len(got) == 0) || len(got) > 0 && got[0].Member != tc.member {
				t.Errorf("booked: %+v, want member %q", got, tc.member)
			}
			for place, text := range f.told() {
				if strings.Contains(text, chip) {
					t.Errorf("%s hold the chip's number", place)
				}
			}
		})
	}
}

// The chip's number is not kept, and still a lost answer is found and the money comes back.
func TestWhatAChipCardPaidIsFoundAndGivenBackWithoutItsNumber(t *testing.T) {
	cfg := sandbox.DemoConfig()
	cfg.Faults = []fault.Rule{{Vendor: "alsc", Method: dedut, Kind: fault.ApplyThenReset, Count: 1}}
	f := start(t, cfg, also("", "      account: Card\n      chipCard: CardID\n", ""), nil)
	card := sale{"thirdMemberId": "", "paymentToken": "7328763784623", "paymentTokenType": "PHYSICAL_CHIP_CARD_NO"}
	if e, reply := f.sell("b1", card, line("100001", "", 700, 0)); *e.Code != 3001 {
		t.Fatalf("reply: %s", reply)
	}
	var flow string
	servicetest.Await(t, "answer", func() bool {
		e, _ := f.sell("b1", card, line("100001", "", 700, 0))
		if *e.Code != 0 || !e.Result.Success {
			return false
		}
		flow = e.Result.Data.FlowID
		return true
	})
	if got := f.entries(); len(got) != 1 || f.left(books.ALSC) != 700 {
		t.Fatalf("booked: %+v", got)
	}
	_, reply, err := f.Till.Reverse(t.Context(), fmt.Appendf(nil, `{"bizId":"back","kryTransOrderNo":"o-b1","kryPaymentNo":"p-b1","kryRefundPaymentNo":"r1","thirdFlowNo":%q,
		"kryShopId":"8066287","operatorId":"1543","assetsReverseVerificationList":[{"assetMappingId":"100001","assetId":"","reverseVerifyAmount":300}]}`, flow))
	if err != nil || !parse(t, reply).Result.Success || f.left(books.ALSC) != 400 {
		t.Errorf("%v, %s; left %d fen", err, reply, f.left(books.ALSC))
	}
}

func TestScanCodesNeedNoMember(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), also("      couponCodes: ScanCode\n", "", ""), nil)
	e, reply := f.sell("b1", sale{"thirdMemberId": ""}, line("200001", "ZM100000000001", 0, 1), line("200001", "ZM100000000002", 0, 1))
	if *e.Code != 0 || !e.Result.Success {
		t.Fatalf("reply: %s", reply)
	}
	calls := f.sent(consume)
	if len(calls) != 1 || calls[0]["type"] != 1.0 || calls[0]["customerId"] != nil {
		t.Errorf("calls: %v", calls)
	}
	if got := f.entries(); len(got) != 1 || got[0].Member != "1001" || !cmp.Equal(got[0].Coupons, []string{"390962138708451328", "390962138708451329"}) {
		t.Errorf("booked: %+v", got)
	}
	// Stored value beside the code is a member's: the member has to be named.
	if e, reply := f.sell("b2", sale{"thirdMemberId": ""}, line("200001", "ZM100000000001", 0, 1), line("400001", "", 100, 0)); e.Result == nil || e.Result.Success || !strings.Contains(reply, "thirdMemberId") {
		t.Errorf("reply: %s", reply)
	}
	if e, reply := f.sell("b3", sale{"thirdMemberId": ""}, line("200001", "ZM100000000001", 0, 1)); e.Result == nil || e.Result.Success {
		t.Errorf("a code that was used is accepted: %s", reply)
	}
	if len(f.entries()) != 1 {
		t.Errorf("booked: %+v", f.entries())
	}
}

func TestAShopIsNamedAsMappedAndElseByItsKryShopId(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	for shop, want := range map[string][3]any{"8066287": {"S001", "73527452", nil}, "8066288": {"8066288", nil, "8066288"}} {
		before := len(f.sent(consume))
		if e, reply := f.sell("b-"+shop, sale{"kryShopId": shop}, line("400001", "", 100, 0), line("100001", "", 100, 0)); *e.Code != 0 || !e.Result.Success {
			t.Fatalf("reply: %s", reply)
		}
		zhimai, alsc := f.sent(consume)[before], f.sent(dedut)[before]
		if got := [3]any{zhimai["multiMark"], alsc["shop_id"], alsc["out_shop_id"]}; got != want {
			t.Errorf("shop %s is named %v, want %v", shop, got, want)
		}
	}
}

func TestEachAssetOfALSCIsAnsweredByItself(t *testing.T) {
	points, good, bad := line("300002", "", 0, 50), line("200002", "490962138708451328", 0, 1), line("200002", "490962138708451399", 0, 1)
	tooMany := line("300002", "", 0, 5001)
	cases := map[string]struct {
		lines   []sale
		want    []string
		subCode string
		points  int64
		coupons []string
	}{
		"all":              {[]sale{points, good}, []string{"SUCCESS", "SUCCESS"}, "000", 50, []string{"490962138708451328"}},
		"a coupon refused": {[]sale{bad, points, good}, []string{"FAIL", "SUCCESS", "SUCCESS"}, "201", 50, []string{"490962138708451328"}},
		"points refused":   {[]sale{tooMany, good}, []string{"FAIL", "SUCCESS"}, "201", 0, []string{"490962138708451328"}},
		"all refused":      {[]sale{tooMany, bad}, []string{"FAIL", "FAIL"}, "202", 0, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
			e, reply := f.sell("b1", nil, tc.lines...)
			if *e.Code != 0 || e.Result.SubCode != tc.subCode {
				t.Fatalf("reply: %s", reply)
			}
			if diff := cmp.Diff(tc.want, e.statuses()); diff != "" {
				t.Errorf("lines (-want +got):\n%s\n%s", diff, reply)
			}
			var gotPoints int64
			var gotCoupons []string
			for _, b := range f.entries() {
				gotPoints, gotCoupons = gotPoints+b.Points, append(gotCoupons, b.Coupons...)
			}
			if gotPoints != tc.points || !cmp.Equal(gotCoupons, tc.coupons) {
				t.Errorf("booked %d points and %v, want %d and %v", gotPoints, gotCoupons, tc.points, tc.coupons)
			}
		})
	}
}

func TestStoredValueOfALSCIsTakenFromTheAccountThatTheBrandNames(t *testing.T) {
	cases := map[string]struct {
		account        string
		customer, card any
	}{
		"customer": {"Customer", "1001", nil}, "card": {"Card", nil, "7328763784623"}, "both": {"CustomerAndCard", "1001", "7328763784623"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, sandbox.DemoConfig(), also("", "      account: "+tc.account+"\n", ""), nil)
			e, reply := f.sell("b1", nil, line("100001", "7328763784623", 700, 0))
			if *e.Code != 0 || !e.Result.Success || f.left(books.ALSC) != 700 {
				t.Fatalf("reply: %s; %d fen spent", reply, f.left(books.ALSC))
			}
			call := f.sent(dedut)[0]
			if call["customer_id"] != tc.customer || call["card_id"] != tc.card {
				t.Errorf("customer_id %v, card_id %v", call["customer_id"], call["card_id"])
			}
		})
	}
}

func TestAPartialFailureOverBothVendorsIsReportedOrReversed(t *testing.T) {
	alscValue, zhimaiValue := line("100001", "", 1000, 0), line("400001", "", 2000, 0)
	cases := map[string]struct {
		policy, zhimai string
		refuses        string // the vendor that refuses
		lines          []sale
		want           []string
		subCode        string
		left           map[books.Vendor]int64
		calls          int
	}{
		"reported: Zhimai refuses": {
			"Report", "", "zhimai", []sale{alscValue, zhimaiValue},
			[]string{"SUCCESS", "FAIL"}, "201", map[books.Vendor]int64{books.ALSC: 1000}, 2,
		},
		"reported: ALSC refuses": {
			"Report", "", "alsc", []sale{alscValue, zhimaiValue},
			[]string{"FAIL", "SUCCESS"}, "201", map[books.Vendor]int64{books.Zhimai: 2000}, 2,
		},
		"reversed at ALSC: Zhimai refuses": {
			"Reverse", "", "zhimai", []sale{zhimaiValue, alscValue},
			[]string{"FAIL", "FAIL"}, "203", map[books.Vendor]int64{}, 3,
		},
		"reversed at Zhimai: ALSC refuses": {
			"Reverse", "      reversalAction: " + reverseAction + "\n", "alsc", []sale{zhimaiValue, alscValue},
			[]string{"FAIL", "FAIL"}, "203", map[books.Vendor]int64{}, 3,
		},
		"what cannot be undone is not begun: ALSC refuses": {
			"Reverse", "", "alsc", []sale{zhimaiValue, alscValue},
			[]string{"FAIL", "FAIL"}, "202", map[books.Vendor]int64{}, 1,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := sandbox.DemoConfig()
			cfg.Zhimai.ReversalAction = reverseAction
			cfg.Faults = []fault.Rule{{Vendor: tc.refuses, Kind: fault.Refuse, Code: "40012", Count: 1}}
			f := start(t, cfg, also(tc.zhimai, "", "  partialFailure: "+tc.policy+"\n"), nil)
			e, reply := f.sell("b1", nil, tc.lines...)
			if *e.Code != 0 || e.Result.SubCode != tc.subCode {
				t.Fatalf("reply: %s", reply)
			}
			if diff := cmp.Diff(tc.want, e.statuses()); diff != "" {
				t.Errorf("lines (-want +got):\n%s\n%s", diff, reply)
			}
			got := map[books.Vendor]int64{}
			for _, v := range []books.Vendor{books.ALSC, books.Zhimai} {
				if n := f.left(v); n != 0 {
					got[v] = n
				}
			}
			if diff := cmp.Diff(tc.left, got); diff != "" {
				t.Errorf("left in the books (-want +got):\n%s", diff)
			}
			if _, again := f.sell("b1", nil, tc.lines...); again != reply {
				t.Errorf("a repeat was answered differently:\n%s\n%s", reply, again)
			}
			if calls := f.Sandbox.Sandbox.Calls(sandbox.CallFilter{}); len(calls) != tc.calls {
				t.Errorf("%d calls to the vendors, want %d", len(calls), tc.calls)
			}
		})
	}
}

// ALSC may do a half of one call; where the brand wants all or nothing, that half comes back.
func TestAHalfOfOneCallIsReversedToo(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), also("", "", "  partialFailure: Reverse\n"), nil)
	e, reply := f.sell("b1", nil,
		line("300002", "", 0, 50), line("200002", "490962138708451328", 0, 1), line("200002", "490962138708451399", 0, 1), line("100001", "", 1000, 0))
	if *e.Code != 0 || e.Result.SubCode != "203" {
		t.Fatalf("reply: %s", reply)
	}
	if diff := cmp.Diff([]string{"FAIL", "FAIL", "FAIL", "FAIL"}, e.statuses()); diff != "" {
		t.Errorf("lines (-want +got):\n%s\n%s", diff, reply)
	}
	for _, m := range f.Sandbox.Sandbox.Books().Members(books.ALSC) {
		if m.Balance.Total() != 110000 || m.Points != 5000 || m.Coupons[0].Status != books.CouponUnused {
			t.Errorf("not as before: %+v", m)
		}
	}
	if len(f.entries()) == 0 {
		t.Error("nothing was ever spent: the test proves nothing")
	}
}

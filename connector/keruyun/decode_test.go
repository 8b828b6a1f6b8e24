// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// seedBody is the sample request of Keruyun's page, byte for byte.
//
//go:embed testdata/seed-request.json
var seedBody []byte

// seedRequest is what the sample means.
func seedRequest() redeem.Request {
	return redeem.Request{
		Action:           redeem.Verify,
		BrandID:          "11342",
		BizID:            "20250001",
		ShopID:           "8066287",
		TransOrderNo:     "2025121000001",
		PaymentNo:        "1113434444443211",
		KryMemberID:      "1001",
		MemberID:         "1001",
		Mobile:           "150****1111",
		PaymentToken:     "11100001",
		PaymentTokenType: "PAYMENT_TOKEN",
		RequestID:        "1vnfjvaa-111",
		OperatorID:       "1543",
		OperatorName:     "张三",
		Lines:            []redeem.Line{{AssetMappingID: "100001", AssetID: "100001", Amount: 1000}},
	}
}

func TestDecodeVerifyReadsTheSample(t *testing.T) {
	got, rejection := DecodeVerify(seedBody, "11342")
	if rejection != nil {
		t.Fatal(rejection)
	}
	if diff := cmp.Diff(seedRequest(), got); diff != "" {
		t.Error("(-want +got):", diff)
	}
}

// body returns the smallest accepted body, with replacements in pairs.
func body(replacements ...string) string {
	const minimal = `{"bizId":"b1","kryPaymentNo":"p1","memberAssetsVerificationList":[{"assetMappingId":"m1","verifyAmount":1}]}`
	return strings.NewReplacer(replacements...).Replace(minimal)
}

func TestDecodeVerifyTolerates(t *testing.T) {
	minimal := redeem.Request{
		Action: redeem.Verify, BrandID: "1", BizID: "b1", PaymentNo: "p1",
		Lines: []redeem.Line{{AssetMappingID: "m1", Amount: 1}},
	}
	tests := map[string]struct {
		body   string
		change func(*redeem.Request)
	}{
		"the smallest body":                  {body(), func(*redeem.Request) {}},
		"unknown fields, at any depth":       {body(`{"bizId"`, `{"x":{"y":[1.5e3,{}]},"bizId"`, `{"asset`, `{"z":null,"asset`), func(*redeem.Request) {}},
		"nulls for absent fields":            {body(`"bizId"`, `"kryShopId":null,"mobile":null,"bizId"`, `"verifyAmount"`, `"verifyCnt":null,"verifyAmount"`), func(*redeem.Request) {}},
		"space around":                       {" \n" + body() + "\t\r\n", func(*redeem.Request) {}},
		"an amount as a string of digits":    {body(`:1}`, `:"1000"}`), func(r *redeem.Request) { r.Lines[0].Amount = 1000 }},
		"the greatest amount":                {body(`:1}`, `:100000000}`), func(r *redeem.Request) { r.Lines[0].Amount = redeem.MaxFen }},
		"a count alone":                      {body(`"verifyAmount":1`, `"verifyAmount":0,"verifyCnt":"2"`), func(r *redeem.Request) { r.Lines[0].Amount, r.Lines[0].Count = 0, 2 }},
		"the order number without a payment": {body("kryPaymentNo", "kryTransOrderNo"), func(r *redeem.Request) { r.PaymentNo, r.TransOrderNo = "", "p1" }},
		"the brand that is called":           {body(`"bizId"`, `"kryBrandId":1,"bizId"`), func(*redeem.Request) {}},
		"identities as numbers, digit by digit": {
			body(`"b1"`, `12345678901234567890123456789`, `"p1"`, `9007199254740993`),
			func(r *redeem.Request) { r.BizID, r.PaymentNo = "12345678901234567890123456789", "9007199254740993" },
		},
		"an escaped key and text":              {body(`"bizId":"b1"`, `"\u0062izId":"\u5f20"`), func(r *redeem.Request) { r.BizID = "张" }},
		"a key in another case is another key": {body(`"bizId"`, `"BIZID":"b2","bizId"`), func(*redeem.Request) {}},
		"an identity of 64 Chinese characters": {body("b1", strings.Repeat("店", 64)), func(r *redeem.Request) { r.BizID = strings.Repeat("店", 64) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := minimal
			want.Lines = []redeem.Line{minimal.Lines[0]}
			test.change(&want)
			got, rejection := DecodeVerify([]byte(test.body), "1")
			if rejection != nil {
				t.Fatal(rejection)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func TestDecodeVerifyRefuses(t *testing.T) {
	const amount = "memberAssetsVerificationList[0].verifyAmount"
	tests := map[string]struct {
		body    string
		subCode string
		field   string
	}{
		"nothing":                              {"", SubNotJSON, ""},
		"half an object":                       {`{"bizId":"b1"`, SubNotJSON, ""},
		"a list":                               {`[]`, SubNotJSON, ""},
		"null":                                 {`null`, SubNotJSON, ""},
		"a second object":                      {body() + `{}`, SubNotJSON, ""},
		"something after the object":           {body() + `x`, SubNotJSON, ""},
		"a byte order mark":                    {"\uFEFF" + body(), SubNotJSON, ""},
		"bytes that are not UTF-8":             {body("b1", "\xff"), SubNotJSON, ""},
		"no bizId":                             {body("bizId", "bizid"), SubMissing, "bizId"},
		"an empty bizId":                       {body(`"b1"`, `""`), SubMissing, "bizId"},
		"a null bizId":                         {body(`"b1"`, `null`), SubMissing, "bizId"},
		"a bizId that is true":                 {body(`"b1"`, `true`), SubMalformed, "bizId"},
		"a bizId with a fraction":              {body(`"b1"`, `1.5`), SubMalformed, "bizId"},
		"a negative bizId":                     {body(`"b1"`, `-1`), SubMalformed, "bizId"},
		"a bizId with an exponent":             {body(`"b1"`, `1e3`), SubMalformed, "bizId"},
		"a bizId that is an object":            {body(`"b1"`, `{}`), SubMalformed, "bizId"},
		"a bizId of 65 characters":             {body("b1", strings.Repeat("b", 65)), SubMalformed, "bizId"},
		"a bizId with a NUL":                   {body("b1", `\u0000`), SubMalformed, "bizId"},
		"a bizId with a line feed":             {body("b1", `b\n1`), SubMalformed, "bizId"},
		"a bizId with half a character":        {body("b1", `\ud800`), SubMalformed, "bizId"},
		"the bizId twice":                      {body(`"bizId"`, `"bizId":"b2","bizId"`), SubDuplicateKey, "bizId"},
		"the bizId twice, once escaped":        {body(`"bizId"`, `"\u0062izId":"b2","bizId"`), SubDuplicateKey, "bizId"},
		"neither payment nor order number":     {body("kryPaymentNo", "x"), SubMissing, "kryPaymentNo"},
		"another brand":                        {body(`"bizId"`, `"kryBrandId":"2","bizId"`), SubOtherBrand, "kryBrandId"},
		"no list":                              {body("memberAssetsVerificationList", "x"), SubMissing, "memberAssetsVerificationList"},
		"an empty list":                        {body(`{"assetMappingId":"m1","verifyAmount":1}`, ""), SubMissing, "memberAssetsVerificationList"},
		"a list that is an object":             {body(`[{"assetMappingId":"m1","verifyAmount":1}]`, "{}"), SubMalformed, "memberAssetsVerificationList"},
		"too many lines":                       {body(`[{"assetMappingId":"m1","verifyAmount":1}]`, "[1"+strings.Repeat(",1", 100)+"]"), SubMalformed, "memberAssetsVerificationList"},
		"a line that is no object":             {body(`{"assetMappingId":"m1","verifyAmount":1}`, "1"), SubNotJSON, "memberAssetsVerificationList[0]"},
		"a second line without assetMappingId": {body(`1}]`, `1},{"verifyAmount":1}]`), SubMissing, "memberAssetsVerificationList[1].assetMappingId"},
		"the amount twice":                     {body(`"verifyAmount":1`, `"verifyAmount":1,"verifyAmount":100`), SubDuplicateKey, amount},
		"an amount of zero":                    {body(`:1}`, `:0}`), SubAmount, amount},
		"no amount":                            {body(`,"verifyAmount":1`, ""), SubAmount, amount},
		"a negative amount":                    {body(`:1}`, `:-1}`), SubAmount, amount},
		"a negative amount as a string":        {body(`:1}`, `:"-1"}`), SubAmount, amount},
		"a negative zero":                      {body(`:1}`, `:-0}`), SubAmount, amount},
		"a fraction":                           {body(`:1}`, `:1.5}`), SubAmount, amount},
		"a fraction of nothing":                {body(`:1}`, `:1000.0}`), SubAmount, amount},
		"an exponent":                          {body(`:1}`, `:1e3}`), SubAmount, amount},
		"a hexadecimal string":                 {body(`:1}`, `:"0x10"}`), SubAmount, amount},
		"a string with a plus":                 {body(`:1}`, `:"+1"}`), SubAmount, amount},
		"a string with leading zeros":          {body(`:1}`, `:"01"}`), SubAmount, amount},
		"a string with space":                  {body(`:1}`, `:" 1"}`), SubAmount, amount},
		"an empty string":                      {body(`:1}`, `:""}`), SubAmount, amount},
		"fullwidth digits":                     {body(`:1}`, `:"１"}`), SubAmount, amount},
		"a boolean":                            {body(`:1}`, `:true}`), SubAmount, amount},
		"one fen too much":                     {body(`:1}`, `:100000001}`), SubAmount, amount},
		"more than 64 bits":                    {body(`:1}`, `:18446744073709551617}`), SubAmount, amount},
		"a negative count":                     {body(`:1}`, `:1,"verifyCnt":-1}`), SubAmount, "memberAssetsVerificationList[0].verifyCnt"},
		"a payment token that is too long":     {body(`"bizId"`, `"paymentToken":"`+strings.Repeat("t", 513)+`","bizId"`), SubMalformed, "paymentToken"},
		"an operator's name with an escape":    {body(`"bizId"`, `"operatorName":"\u001b[31m","bizId"`), SubMalformed, "operatorName"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, got := DecodeVerify([]byte(test.body), "1")
			if got == nil {
				t.Fatal("accepted")
			}
			if got.SubCode != test.subCode || got.Field != test.field || got.Retryable {
				t.Errorf("got sub code %s, field %q, retryable %t; want %s, %q, false", got.SubCode, got.Field, got.Retryable, test.subCode, test.field)
			}
			if test.field != "" && (!strings.Contains(got.Cashier, test.field) || !strings.Contains(got.Error(), test.field)) {
				t.Errorf("the field is not named: %q, %q", got.Cashier, got.Error())
			}
			if !strings.Contains(got.Cashier, "未核销") {
				t.Errorf("the cashier does not hear that nothing was redeemed: %q", got.Cashier)
			}
		})
	}
}

func TestDecodeReverse(t *testing.T) {
	const reversal = `{"bizId":"r1","kryTransOrderNo":"t1","kryPaymentNo":"p1","kryRefundPaymentNo":"rp1","thirdFlowNo":"F1",
		"kryMemberId":"1","thirdMemberId":"2","mobile":"150","assetsReverseVerificationList":[
		{"assetId":"a1","assetMappingId":"m1","reverseVerifyAmount":600,"reverseVerifyCnt":0},
		{"assetId":"a2","assetMappingId":"m2","reverseVerifyAmount":0,"reverseVerifyCnt":1}],
		"requestId":"q","kryBrandId":"1","kryShopId":"s1","operatorId":"o","operatorName":"n","callInterface":"i","callMethod":"m"}`
	want := redeem.Request{
		Action: redeem.ReverseVerify, BrandID: "1", BizID: "r1", ShopID: "s1", TransOrderNo: "t1", PaymentNo: "p1",
		RefundPaymentNo: "rp1", ThirdFlowNo: "F1", KryMemberID: "1", MemberID: "2", Mobile: "150", RequestID: "q",
		OperatorID: "o", OperatorName: "n", CallInterface: "i", CallMethod: "m",
		Lines: []redeem.Line{
			{No: 0, AssetMappingID: "m1", AssetID: "a1", Amount: 600},
			{No: 1, AssetMappingID: "m2", AssetID: "a2", Count: 1},
		},
	}
	got, rejection := DecodeReverse([]byte(reversal), "1")
	if rejection != nil {
		t.Fatal(rejection)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):", diff)
	}
	for name, test := range map[string]struct{ old, new, subCode, field string }{
		"nothing to reverse in a line": {`:600`, `:0`, SubAmount, "assetsReverseVerificationList[0].reverseVerifyAmount"},
		"no list":                      {"assetsReverse", "x", SubMissing, "assetsReverseVerificationList"},
		"another brand":                {`"kryBrandId":"1"`, `"kryBrandId":"2"`, SubOtherBrand, "kryBrandId"},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := DecodeReverse([]byte(strings.Replace(reversal, test.old, test.new, 1)), "1")
			if got == nil || got.SubCode != test.subCode || got.Field != test.field {
				t.Errorf("got %+v, want sub code %s for %s", got, test.subCode, test.field)
			}
		})
	}
}

func TestDecodeResultQuery(t *testing.T) {
	tests := map[string]struct {
		body  string
		want  redeem.Lookup
		field string
	}{
		"by both numbers": {
			`{"kryBrandId":"1","kryTransOrderNo":"t1","kryPaymentNo":"p1","action":"VERIFY","kryShopId":"s"}`,
			redeem.Lookup{BrandID: "1", TransOrderNo: "t1", PaymentNo: "p1", Action: redeem.Verify}, "",
		},
		"of a reversal": {
			`{"kryPaymentNo":"p1","action":"REVERSE_VERIFY"}`,
			redeem.Lookup{BrandID: "1", PaymentNo: "p1", Action: redeem.ReverseVerify}, "",
		},
		"without numbers":           {`{"action":"VERIFY"}`, redeem.Lookup{BrandID: "1", Action: redeem.Verify}, "kryPaymentNo"},
		"without an action":         {`{"kryPaymentNo":"p1"}`, redeem.Lookup{BrandID: "1", PaymentNo: "p1"}, "action"},
		"with an action unheard of": {`{"kryPaymentNo":"p1","action":"PAY"}`, redeem.Lookup{BrandID: "1", PaymentNo: "p1", Action: "PAY"}, "action"},
		"of another brand":          {`{"kryBrandId":"2","kryPaymentNo":"p1","action":"VERIFY"}`, redeem.Lookup{BrandID: "1"}, "kryBrandId"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, rejection := DecodeResultQuery([]byte(test.body), "1")
			field := ""
			if rejection != nil {
				field = rejection.Field
			}
			if field != test.field {
				t.Errorf("rejected %q, want %q", field, test.field)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(seedBody)
	f.Add([]byte(body()))
	f.Add([]byte(body(`:1}`, `:"9223372036854775808"}`)))
	f.Add([]byte(`{"kryPaymentNo":"p1","action":"VERIFY"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, rejection := DecodeVerify(raw, "11342")
		checkDecoded(t, req, rejection)
		req, rejection = DecodeReverse(raw, "11342")
		checkDecoded(t, req, rejection)
		_, _ = DecodeResultQuery(raw, "11342")
	})
}

func checkDecoded(t *testing.T, req redeem.Request, rejection *redeem.Rejection) {
	t.Helper()
	if req.BrandID != "11342" {
		t.Fatalf("the body chose the brand %q", req.BrandID)
	}
	for i, l := range req.Lines {
		if l.No != i || l.Amount < 0 || l.Amount > redeem.MaxFen || l.Count < 0 || l.Count > maxCount {
			t.Fatalf("line %d out of bounds: %+v", i, l)
		}
	}
	if rejection != nil {
		if rejection.SubCode == "" || rejection.Cashier == "" || rejection.Detail == "" || !utf8.ValidString(rejection.Field) {
			t.Fatalf("a rejection that does not explain itself: %+v", rejection)
		}
		return
	}
	for _, s := range []string{req.BizID, req.PaymentNo + req.TransOrderNo, req.Lines[0].AssetMappingID} {
		if s == "" || !utf8.ValidString(s) {
			t.Fatalf("accepted without what is needed: %s", fmt.Sprintf("%+v", req))
		}
	}
}

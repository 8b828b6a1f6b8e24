// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// redemption returns the sample's redemption with these results, one a line.
func redemption(results ...redeem.LineResult) redeem.Redemption {
	r := redeem.Redemption{
		Action: redeem.Verify, BrandID: "11342", BizID: "20250001", FlowID: "F1114423111", ShopID: "8066287",
		TransOrderNo: "2025121000001", PaymentNo: "1113434444443211", KryMemberID: "1001", MemberID: "1001",
		MemberName: "张三", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
	}
	ids := []string{"100001", "100002", "100003"}
	assets := []redeem.Asset{redeem.StoredValue, redeem.Coupon, redeem.Points}
	for i, res := range results {
		r.Lines = append(r.Lines, redeem.Line{No: i, AssetMappingID: ids[i], AssetID: ids[i], Asset: assets[i], Amount: 1000, Count: 1, Result: res})
	}
	return r
}

var (
	paid      = redeem.LineResult{Kind: redeem.Executed, Total: 1000, Real: 800, Gift: 200}
	given     = redeem.LineResult{Kind: redeem.Executed}
	poor      = redeem.LineResult{Kind: redeem.Refused, Code: "40012", Cashier: "余额不足（<10元），请充值或更换支付方式"}
	mute      = redeem.LineResult{Kind: redeem.Refused}
	back      = redeem.LineResult{Kind: redeem.Refused, Code: redeem.CodeReversed, Cashier: "已扣部分已自动退回，请重新发起"}
	uncertain = redeem.LineResult{Kind: redeem.Unknown}
	unsent    = redeem.LineResult{Kind: redeem.NotSent}
)

func reversal(results ...redeem.LineResult) redeem.Redemption {
	r := redemption(results...)
	r.Action, r.RefundPaymentNo, r.ReversesBizID = redeem.ReverseVerify, "R1", "20250001"
	return r
}

func TestAnswersAreAsRecorded(t *testing.T) {
	lookup := redeem.Lookup{BrandID: "11342", TransOrderNo: "2025121000001", PaymentNo: "1113434444443211", Action: redeem.Verify}
	concluded := func(r redeem.Redemption) redeem.Redemption {
		r.Answer = []byte("{}")
		return r
	}
	rejected := seedRequest()
	rejected.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	rejected.Lines = append(rejected.Lines, redeem.Line{No: 1, AssetMappingID: "100002"})
	inLine := &redeem.Rejection{SubCode: SubAmount, Field: "memberAssetsVerificationList[1].verifyAmount", Cashier: "金额不正确", Detail: "zero"}
	atRoot := &redeem.Rejection{SubCode: SubMissing, Field: "bizId", Cashier: "缺少必填字段（bizId）", Detail: "is missing"}
	busy := &redeem.Rejection{SubCode: "512", Cashier: "会员系统繁忙，本次未扣款，请稍后重试", Detail: "limit", Retryable: true}
	fault := Options{RefusalAsFault: true}
	trace := rejected.TraceID

	tests := map[string][]byte{
		"verify-executed":         VerifyAnswer(redemption(paid, given, given), Options{}),
		"verify-partial":          VerifyAnswer(redemption(paid, poor), Options{}),
		"verify-partial-as-fault": VerifyAnswer(redemption(paid, poor), fault),
		"verify-refused":          VerifyAnswer(redemption(poor, mute), Options{}),
		"verify-refused-as-fault": VerifyAnswer(redemption(poor, mute), fault),
		"verify-reversed":         VerifyAnswer(redemption(back, poor), Options{}),
		"verify-unknown":          VerifyAnswer(redemption(paid, uncertain), Options{}),
		"verify-partly-not-sent":  VerifyAnswer(redemption(paid, unsent), Options{}),
		"verify-not-sent":         VerifyAnswer(redemption(unsent, unsent), Options{}),
		"reverse-executed":        VerifyAnswer(reversal(paid, given), Options{}),
		"reverse-refused":         VerifyAnswer(reversal(poor), Options{}),
		"rejected-in-a-line":      RejectionAnswer(rejected, inLine, Options{}),
		"rejected":                RejectionAnswer(rejected, atRoot, Options{}),
		"rejected-as-fault":       RejectionAnswer(rejected, atRoot, fault),
		"rejected-retryable":      RejectionAnswer(rejected, busy, Options{}),
		"result-executed":         ResultAnswer(concluded(redemption(paid)), trace),
		"result-refused":          ResultAnswer(concluded(redemption(poor)), trace),
		"result-unknown":          ResultAnswer(redemption(uncertain), trace),
		"result-on-its-way-back":  ResultAnswer(redemption(paid, poor), trace),
		"result-of-a-reversal":    ResultAnswer(concluded(reversal(paid)), trace),
		"result-nothing-found":    NoRecordAnswer(lookup, trace),
	}
	for name, got := range tests {
		t.Run(name, func(t *testing.T) {
			var indented bytes.Buffer
			if err := json.Indent(&indented, got, "", "    "); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			indented.WriteByte('\n')
			file := filepath.Join("testdata", "answers", name+".json")
			if *update {
				if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), indented.String()); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

// Keruyun's sample has errCode FAIL beside SUCCESS, and numbers of its own; what it
// fixes is which fields there are, and their order.
func TestAnswerHasTheFieldsOfTheSampleInItsOrder(t *testing.T) {
	sample, err := os.ReadFile("testdata/seed-answer.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys(t, sample), keys(t, VerifyAnswer(redemption(paid), Options{}))); diff != "" {
		t.Error("(-want +got):", diff)
	}
}

// keys lists the keys of a JSON text in the order in which they stand.
func keys(t *testing.T, raw []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	var out []string
	var inObject []bool // for each open bracket
	isKey := false
	for d.More() || len(inObject) > 0 {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch token {
		case json.Delim('{'):
			inObject = append(inObject, true)
		case json.Delim('['):
			inObject = append(inObject, false)
		case json.Delim('}'), json.Delim(']'):
			inObject = inObject[:len(inObject)-1]
		default:
			if isKey {
				out = append(out, token.(string))
				isKey = false
				continue
			}
		}
		isKey = len(inObject) > 0 && inObject[len(inObject)-1]
	}
	return out
}

// decoded is an answer as Keruyun reads it.
type decoded struct {
	Code        int
	Message     string
	MessageUUID string `json:"messageUuid"`
	Result      *struct {
		SubCode, SubMsg string
		Success         bool
		Data            struct {
			FlowID string `json:"flowId"`
			Lines  []struct {
				Status, ErrCode, ErrorDescription string
				Total                             int64 `json:"verifyTotalAmount"`
				Real                              int64 `json:"verifyRealAmount"`
				Gift                              int64 `json:"verifyGiftAmount"`
			} `json:"verifyAssetsDetailList"`
		}
	}
}

func decode(t interface{ Fatalf(string, ...any) }, raw []byte) decoded {
	var d decoded
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatalf("not an envelope: %v: %s", err, raw)
	}
	if d.Message == "" || (d.Code != CodeOK && d.Code != CodeFault && d.Code != CodeInDoubt) || (d.Code == CodeOK) != (d.Result != nil) {
		t.Fatalf("not Keruyun's envelope: %s", raw)
	}
	return d
}

// Whatever the lines of a redemption are, its answer claims exactly what is known.
func TestAnAnswerIsNeverALie(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SliceOfN(rapid.SampledFrom([]redeem.Kind{redeem.Executed, redeem.Refused, redeem.Unknown, redeem.NotSent, ""}), 0, 3).Draw(t, "kinds")
		results := make([]redeem.LineResult, len(kinds))
		known, executed := len(kinds) > 0, 0
		for i, k := range kinds {
			total := redeem.Fen(rapid.Int64Range(1, 1000).Draw(t, "total"))
			gift := redeem.Fen(rapid.Int64Range(0, int64(total)).Draw(t, "gift"))
			results[i] = redeem.LineResult{Kind: k, Total: total, Gift: gift, Real: total - gift}
			known = known && (k == redeem.Executed || k == redeem.Refused)
			if k == redeem.Executed {
				executed++
			}
		}
		o := Options{RefusalAsFault: rapid.Bool().Draw(t, "as fault")}
		d := decode(t, VerifyAnswer(redemption(results...), o))
		if !known {
			if d.Code == CodeOK {
				t.Fatalf("said %+v of %v", d, kinds)
			}
			if executed > 0 && d.Code != CodeInDoubt {
				t.Fatalf("said %d though something was redeemed", d.Code)
			}
			return
		}
		if executed == 0 && o.RefusalAsFault {
			if d.Code != CodeFault {
				t.Fatalf("said %d of a refusal", d.Code)
			}
			return
		}
		if d.Code != CodeOK || d.Result.Success != (executed == len(kinds)) || d.Result.Success != (d.Result.SubCode == redeem.SubOK) {
			t.Fatalf("said %+v of %v", d, kinds)
		}
		for i, l := range d.Result.Data.Lines {
			if (l.Status == "SUCCESS") != (kinds[i] == redeem.Executed) || (l.Status == "SUCCESS") != (l.ErrCode == "SUCCESS") {
				t.Fatalf("line %d: said %+v of %s", i, l, kinds[i])
			}
			if l.Total != l.Real+l.Gift || (l.Total != 0) != (kinds[i] == redeem.Executed) {
				t.Fatalf("line %d: amounts %+v of %s", i, l, kinds[i])
			}
		}
	})
}

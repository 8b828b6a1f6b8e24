// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Options choose between forms of a reply that Keruyun's documents leave open.
type Options struct {
	// RefusalAsFault answers a request of which nothing was redeemed with code 3000
	// and the reason as message, in place of code 0 with success false.
	RefusalAsFault bool
	// NoRecord answers a result query about a payment that is not known; NoRecordSubCode
	// by default.
	NoRecord NoRecord
}

// NoRecord is a form of the answer about a payment that is not known.
type NoRecord string

const (
	NoRecordSubCode NoRecord = "SubCode"     // code 0, success false, sub code SubNoRecord
	NoRecordFault   NoRecord = "SystemError" // code 3000
	NoRecordInDoubt NoRecord = "InDoubt"     // code 3001
)

// The texts that say the next step to whoever stands at the till.
const (
	textOK       = "OK"
	textSuccess  = "成功"
	textInDoubt  = "核销结果确认中，请勿重复收款，请稍后查询核销结果"
	textFault    = "系统繁忙，本次未核销，请稍后重试"
	textNotFound = "未找到核销记录，请核对单号"

	textLineOK      = "核销成功"
	textLineUndone  = "反核销成功"
	textLineRefused = "核销失败，请更换支付方式"
	textLineSkipped = "未核销：同单其他资产未通过校验"
)

// Status values and error codes of a line. Keruyun's sample has errCode FAIL beside
// status SUCCESS; here the two always agree.
const (
	statusSuccess = "SUCCESS"
	statusFail    = "FAIL"
	errRefused    = "REFUSED"
)

// envelope is the shape of every answer.
type envelope struct {
	Code        int     `json:"code"`
	Message     string  `json:"message"`
	MessageUUID string  `json:"messageUuid"`
	Result      *result `json:"result,omitempty"`
}

type result struct {
	Data    any    `json:"data"`
	SubCode string `json:"subCode"`
	SubMsg  string `json:"subMsg"`
	Success bool   `json:"success"`
}

// verifyData is result.data of 会员资产核销 and, with the reversal's own numbers, of
// 会员资产反核销.
type verifyData struct {
	BrandID          string `json:"kryBrandId"`
	ShopID           string `json:"kryShopId"`
	TransOrderNo     string `json:"kryTransOrderNo"`
	PaymentNo        string `json:"kryPaymentNo"`
	RefundPaymentNo  string `json:"kryRefundPaymentNo,omitempty"`
	ThirdFlowNo      string `json:"thirdFlowNo,omitempty"`
	FlowID           string `json:"flowId"`
	MemberID         string `json:"memberId"`
	MemberName       string `json:"memberName"`
	Lines            []line `json:"verifyAssetsDetailList"`
	ErrorDescription string `json:"errorDescription"`
}

// line is one asset of a reply; amounts are in fen.
type line struct {
	AssetMappingID     string     `json:"assetMappingId"`
	AssetID            string     `json:"assetId"`
	BrandID            string     `json:"kryBrandId"`
	Total              redeem.Fen `json:"verifyTotalAmount"`
	Real               redeem.Fen `json:"verifyRealAmount"`
	Gift               redeem.Fen `json:"verifyGiftAmount"`
	PlatformDiscount   redeem.Fen `json:"platformDiscountAmount"`
	PlatformCommission redeem.Fen `json:"platformCommissionAmount"`
	Status             string     `json:"status"`
	ErrorDescription   string     `json:"errorDescription"`
	ErrCode            string     `json:"errCode"`
}

// VerifyAnswer renders the reply to a redemption whose lines are all known, whichever
// its action. It is pure: the engine stores the bytes in the commit that settles r.
//
// A redemption of which a line is not known gets the in-doubt reply, and one of which
// nothing ever left gets the fault reply: whatever r is, the answer claims no more than
// r knows.
func VerifyAnswer(r redeem.Redemption, o Options) []byte {
	t := tally(r)
	switch {
	case len(r.Lines) > 0 && t.notSent == len(r.Lines):
		return FaultAnswer(textFault, r.TraceID)
	case t.executed+t.refused < len(r.Lines) || len(r.Lines) == 0:
		return InDoubtAnswer(r.TraceID)
	}
	subCode := redeem.SubCodeOf(r)
	text := describe(r, subCode, t)
	switch {
	case subCode == redeem.SubOK:
		return success(dataOf(r, text), r.TraceID)
	case t.executed == 0 && o.RefusalAsFault:
		return FaultAnswer(text, r.TraceID)
	default:
		return refusal(dataOf(r, text), subCode, text, r.TraceID)
	}
}

// RejectionAnswer renders the reply to an authenticated request of which nothing was
// sent. A retryable rejection is our own fault and gets code 3000; any other says in
// each line that it was not redeemed, and in the one at fault why. The field at fault is
// always named: what the cashier reads aloud is what support works with.
func RejectionAnswer(req redeem.Request, rej *redeem.Rejection, o Options) []byte {
	cashier := rej.Cashier
	if !strings.Contains(cashier, rej.Field) {
		cashier += "（" + rej.Field + "）"
	}
	if rej.Retryable || o.RefusalAsFault {
		return FaultAnswer(cashier, req.TraceID)
	}
	data := verifyData{
		BrandID:          req.BrandID,
		ShopID:           req.ShopID,
		TransOrderNo:     req.TransOrderNo,
		PaymentNo:        req.PaymentNo,
		RefundPaymentNo:  req.RefundPaymentNo,
		ThirdFlowNo:      req.ThirdFlowNo,
		MemberID:         req.MemberID,
		Lines:            make([]line, 0, len(req.Lines)),
		ErrorDescription: cashier,
	}
	for _, l := range req.Lines {
		text := cashier
		if inLine(rej.Field) && !inLineNo(rej.Field, l.No) {
			text = textLineSkipped
		}
		data.Lines = append(data.Lines, line{
			AssetMappingID: l.AssetMappingID, AssetID: l.AssetID, BrandID: req.BrandID,
			Status: statusFail, ErrCode: rej.SubCode, ErrorDescription: text,
		})
	}
	return refusal(data, rej.SubCode, cashier, req.TraceID)
}

// InDoubtAnswer is the reply while it is not known whether something was redeemed. It
// has no result: nothing may be concluded from it.
func InDoubtAnswer(traceID string) []byte { return waitingAnswer(textInDoubt, traceID) }

// waitingAnswer is InDoubtAnswer in other words: what is waited for is known.
func waitingAnswer(message, traceID string) []byte {
	return marshal(envelope{Code: CodeInDoubt, Message: message, MessageUUID: traceID})
}

// FaultAnswer is the reply when nothing was sent and the request is not to blame, or
// when it was not even authenticated. message is Chinese and says the next step.
func FaultAnswer(message, traceID string) []byte {
	if message == "" {
		message = textFault
	}
	return marshal(envelope{Code: CodeFault, Message: message, MessageUUID: traceID})
}

func success(data any, traceID string) []byte {
	return marshal(envelope{
		Code: CodeOK, Message: textOK, MessageUUID: traceID,
		Result: &result{Data: data, SubCode: redeem.SubOK, SubMsg: textSuccess, Success: true},
	})
}

func refusal(data any, subCode, text, traceID string) []byte {
	return marshal(envelope{
		Code: CodeOK, Message: text, MessageUUID: traceID,
		Result: &result{Data: data, SubCode: subCode, SubMsg: text},
	})
}

// counts of a redemption's lines by what is known of them.
type counts struct{ executed, refused, notSent int }

func tally(r redeem.Redemption) (c counts) {
	for _, l := range r.Lines {
		switch l.Result.Kind {
		case redeem.Executed:
			c.executed++
		case redeem.Refused:
			c.refused++
		case redeem.NotSent:
			c.notSent++
		}
	}
	return c
}

// describe says in Chinese how a concluded redemption ended and what to do next.
func describe(r redeem.Redemption, subCode string, c counts) string {
	verb := "核销"
	if r.Action == redeem.ReverseVerify {
		verb = "反核销"
	}
	switch subCode {
	case redeem.SubOK:
		return "全部" + verb + "成功"
	case redeem.SubPartial:
		return fmt.Sprintf("部分%s成功：成功%d项，失败%d项，请按明细处理未成功的资产", verb, c.executed, c.refused)
	case redeem.SubReversed:
		return "核销未成功，已扣部分已退回，请更换支付方式或重新发起"
	default:
		return verb + "未成功：" + firstRefusal(r)
	}
}

func firstRefusal(r redeem.Redemption) string {
	for _, l := range r.Lines {
		if l.Result.Kind == redeem.Refused {
			return orElse(l.Result.Cashier, textLineRefused)
		}
	}
	return textLineRefused
}

func dataOf(r redeem.Redemption, text string) verifyData {
	data := verifyData{
		BrandID:          r.BrandID,
		ShopID:           r.ShopID,
		TransOrderNo:     r.TransOrderNo,
		PaymentNo:        r.PaymentNo,
		RefundPaymentNo:  r.RefundPaymentNo,
		FlowID:           r.FlowID,
		MemberID:         r.MemberID,
		MemberName:       r.MemberName,
		Lines:            make([]line, 0, len(r.Lines)),
		ErrorDescription: text,
	}
	for _, l := range r.Lines {
		data.Lines = append(data.Lines, lineOf(r, l))
	}
	return data
}

func lineOf(r redeem.Redemption, l redeem.Line) line {
	out := line{AssetMappingID: l.AssetMappingID, AssetID: l.AssetID, BrandID: r.BrandID}
	if l.Result.Kind != redeem.Executed {
		out.Status = statusFail
		out.ErrCode = orElse(l.Result.Code, errRefused)
		out.ErrorDescription = orElse(l.Result.Cashier, textLineRefused)
		return out
	}
	out.Total, out.Real, out.Gift = l.Result.Total, l.Result.Real, l.Result.Gift
	out.Status, out.ErrCode, out.ErrorDescription = statusSuccess, statusSuccess, textLineOK
	if r.Action == redeem.ReverseVerify {
		out.ErrorDescription = textLineUndone
	}
	return out
}

// ResultAnswer renders the reply to a result query from the redemption that was found.
// Until that is concluded the answer is the in-doubt reply, also when every line is
// known: what was redeemed may be on its way back.
func ResultAnswer(r redeem.Redemption, traceID string) []byte {
	t := tally(r)
	if r.Answer == nil || len(r.Lines) == 0 || t.executed+t.refused < len(r.Lines) {
		return InDoubtAnswer(traceID)
	}
	subCode := redeem.SubCodeOf(r)
	text := describe(r, subCode, t)
	data := resultData{verifyData: dataOf(r, text), KryMemberID: r.KryMemberID, Action: r.Action}
	if subCode == redeem.SubOK {
		return success(data, traceID)
	}
	return refusal(data, subCode, text, traceID)
}

// NoRecordAnswer is the reply to a result query whose numbers no redemption has.
func NoRecordAnswer(l redeem.Lookup, traceID string) []byte {
	return refusal(resultData{
		verifyData: verifyData{
			BrandID: l.BrandID, TransOrderNo: l.TransOrderNo, PaymentNo: l.PaymentNo,
			Lines: []line{}, ErrorDescription: textNotFound,
		},
		Action: l.Action,
	}, SubNoRecord, textNotFound, traceID)
}

// resultData is result.data of 查询核销结果. It has no mobile number: the ledger does
// not keep one.
type resultData struct {
	verifyData
	KryMemberID string        `json:"kryMemberId"`
	Action      redeem.Action `json:"action"`
}

// inLine reports whether a JSON path lies in one line of the request.
func inLine(path string) bool {
	return strings.HasPrefix(path, lines+"[") || strings.HasPrefix(path, undoes+"[")
}

func inLineNo(path string, no int) bool {
	return strings.HasPrefix(path, fmt.Sprintf("%s[%d]", lines, no)) ||
		strings.HasPrefix(path, fmt.Sprintf("%s[%d]", undoes, no))
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// marshal renders in the order of Keruyun's sample, without HTML escapes, which a till
// may print as they are.
func marshal(e envelope) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		// Strings and integers alone: unreachable, and an answer must still be given.
		return fmt.Appendf(nil, `{"code":%d,"message":"系统异常","messageUuid":""}`, CodeInDoubt)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

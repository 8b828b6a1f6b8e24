// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Bounds of a body's fields. They are far above what a till sends and keep the
// ledger's keys, the vendors' calls and our replies small.
const (
	maxID    = 64          // characters of an identity or a number
	maxText  = 128         // characters of a name
	maxToken = 512         // characters of a payment token
	maxLines = 100         // assets in one request
	maxCount = 100_000_000 // pieces or points in one line
	lines    = "memberAssetsVerificationList"
	undoes   = "assetsReverseVerificationList"
)

// DecodeVerify reads the body of 会员资产核销 (member asset verification) for the
// brand that the caller was authenticated for.
//
// Identities may come as strings or as whole numbers, amounts as whole numbers or as
// strings of digits; a null is an absent field; fields that we do not know are
// ignored. The request is complete when the rejection is nil. Otherwise it holds what
// was read before the fault, for the reply and the log.
func DecodeVerify(body []byte, brandID string) (redeem.Request, *redeem.Rejection) {
	req := redeem.Request{Action: redeem.Verify, BrandID: brandID}
	d := decodeBody(body)
	d.identities(&req, brandID)
	d.objects(lines, func(line *object) {
		l := redeem.Line{
			No:             len(req.Lines),
			AssetMappingID: line.id("assetMappingId"),
			AssetID:        line.id("assetId"),
			Amount:         redeem.Fen(line.whole("verifyAmount", int64(redeem.MaxFen))),
			Count:          line.whole("verifyCnt", maxCount),
		}
		line.need("assetMappingId", l.AssetMappingID)
		if l.Amount == 0 && l.Count == 0 {
			line.reject("verifyAmount", SubAmount, "金额和数量都为零", "neither verifyAmount nor verifyCnt is above zero")
		}
		req.Lines = append(req.Lines, l)
	})
	req.PaymentToken = d.text("paymentToken", maxToken)
	req.PaymentTokenType = d.id("paymentTokenType")
	return req, *d.fault
}

// DecodeReverse reads the body of 会员资产反核销 (member asset reverse verification).
// It reads like DecodeVerify does. thirdFlowNo may be absent: a till that never got our
// reply has no flow number of ours, and the order and payment numbers stand in.
func DecodeReverse(body []byte, brandID string) (redeem.Request, *redeem.Rejection) {
	req := redeem.Request{Action: redeem.ReverseVerify, BrandID: brandID}
	d := decodeBody(body)
	d.identities(&req, brandID)
	req.RefundPaymentNo = d.id("kryRefundPaymentNo")
	req.ThirdFlowNo = d.id("thirdFlowNo")
	d.objects(undoes, func(line *object) {
		l := redeem.Line{
			No:             len(req.Lines),
			AssetMappingID: line.id("assetMappingId"),
			AssetID:        line.id("assetId"),
			Amount:         redeem.Fen(line.whole("reverseVerifyAmount", int64(redeem.MaxFen))),
			Count:          line.whole("reverseVerifyCnt", maxCount),
		}
		line.need("assetMappingId", l.AssetMappingID)
		if l.Amount == 0 && l.Count == 0 {
			line.reject("reverseVerifyAmount", SubAmount, "金额和数量都为零", "neither reverseVerifyAmount nor reverseVerifyCnt is above zero")
		}
		req.Lines = append(req.Lines, l)
	})
	return req, *d.fault
}

// DecodeResultQuery reads the body of 查询核销结果 (verification result query). It has
// no bizId: a redemption is found by order number, payment number and action.
func DecodeResultQuery(body []byte, brandID string) (redeem.Lookup, *redeem.Rejection) {
	d := decodeBody(body)
	d.brand(brandID)
	q := redeem.Lookup{
		BrandID:      brandID,
		TransOrderNo: d.id("kryTransOrderNo"),
		PaymentNo:    d.id("kryPaymentNo"),
		Action:       redeem.Action(d.id("action")),
	}
	d.needOneOf(q.TransOrderNo, q.PaymentNo)
	switch q.Action {
	case "":
		d.reject("action", SubMissing, "缺少操作类型", "is missing")
	case redeem.Verify, redeem.ReverseVerify:
	default:
		d.reject("action", SubMalformed, "操作类型不支持", "is neither VERIFY nor REVERSE_VERIFY")
	}
	return q, *d.fault
}

// identities reads what a verification and its reversal have in common.
func (o *object) identities(req *redeem.Request, brandID string) {
	o.brand(brandID)
	req.BizID = o.id("bizId")
	o.need("bizId", req.BizID)
	req.TransOrderNo = o.id("kryTransOrderNo")
	req.PaymentNo = o.id("kryPaymentNo")
	o.needOneOf(req.TransOrderNo, req.PaymentNo)
	req.ShopID = o.id("kryShopId")
	req.KryMemberID = o.id("kryMemberId")
	req.MemberID = o.id("thirdMemberId")
	req.Mobile = o.text("mobile", maxID)
	req.RequestID = o.id("requestId")
	req.OperatorID = o.id("operatorId")
	req.OperatorName = o.text("operatorName", maxText)
	req.DeviceID = o.text("kryDeviceId", maxText)
	req.CallInterface = o.text("callInterface", maxText)
	req.CallMethod = o.text("callMethod", maxText)
}

// brand holds kryBrandId, when it is there, against the brand whose token signed the
// call. Under version 1.0 the body is not signed, so the body never chooses the brand.
func (o *object) brand(brandID string) {
	if got := o.id("kryBrandId"); got != "" && got != brandID {
		o.reject("kryBrandId", SubOtherBrand, "品牌与接口地址不一致", "is another brand than the one that is called")
	}
}

// needOneOf: a till that missed our reply asks for it by these numbers, so a request
// without either could never be found again.
func (o *object) needOneOf(transOrderNo, paymentNo string) {
	if transOrderNo == "" && paymentNo == "" {
		o.reject("kryPaymentNo", SubMissing, "缺少支付单号和交易单号", "is missing, and so is kryTransOrderNo: one of them is needed")
	}
}

// object is a JSON object whose fields are read one by one. The first fault is kept
// and shared by the objects of one body; after it every read returns the zero value.
type object struct {
	path   string // "" or "list[0]."
	fields map[string]json.RawMessage
	fault  **redeem.Rejection
}

// decodeBody opens the body, which must be one JSON object in UTF-8.
func decodeBody(body []byte) *object {
	o := &object{fault: new(*redeem.Rejection)}
	if !utf8.Valid(body) {
		o.reject("", SubNotJSON, "请求内容不是UTF-8编码", "is not UTF-8")
		return o
	}
	o.open(body)
	return o
}

// reject keeps the first fault. what is Chinese and names the fault; the cashier's text
// adds the field and the next step.
func (o *object) reject(field, subCode, what, detail string) {
	if *o.fault != nil {
		return
	}
	path := strings.TrimSuffix(o.path+field, ".")
	cashier := what
	if path != "" {
		cashier += "（" + path + "）"
	} else {
		detail = "the body " + detail
	}
	*o.fault = &redeem.Rejection{
		SubCode: subCode,
		Field:   path,
		Cashier: cashier + "，本次未核销，请核对后重新提交或联系技术支持",
		Detail:  detail,
	}
}

var errDuplicate = errors.New("a key stands twice")

// open splits raw into its fields. encoding/json takes the last of two equal keys and
// folds their case; another reader of the same bytes may take the first, and then the
// till and the member disagree on the amount. So a repeated key is a fault, and case
// counts.
func (o *object) open(raw []byte) {
	fields, err := split(raw)
	var dup *duplicateKey
	switch {
	case errors.As(err, &dup):
		o.reject(clip(dup.key), SubDuplicateKey, "字段重复", "stands twice")
	case err != nil:
		o.reject("", SubNotJSON, "请求内容不是有效的JSON对象", "is not a JSON object")
	default:
		o.fields = fields
	}
}

type duplicateKey struct{ key string }

func (e *duplicateKey) Error() string { return fmt.Sprintf("%q: %v", e.key, errDuplicate) }

func split(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no object")
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := fields[key]; twice {
			return nil, &duplicateKey{key}
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		fields[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return fields, nil
}

// raw returns the value of a field, nil when it is absent or null.
func (o *object) raw(field string) json.RawMessage {
	if *o.fault != nil {
		return nil
	}
	v := o.fields[field]
	if string(v) == "null" {
		return nil
	}
	return v
}

// id reads an identity: a string, or a whole number as it is written.
func (o *object) id(field string) string { return o.text(field, maxID) }

// text reads a string of at most limit characters, none of which is a control
// character. A whole number is taken as its digits, never through a float.
func (o *object) text(field string, limit int) string {
	v := o.raw(field)
	if v == nil {
		return ""
	}
	var s string
	switch {
	case v[0] == '"':
		if err := json.Unmarshal(v, &s); err != nil {
			o.reject(field, SubMalformed, "字段格式错误", "is not a string")
			return ""
		}
	case isDigits(string(v)):
		s = string(v)
	default:
		o.reject(field, SubMalformed, "字段格式错误", "is neither a string nor a whole number")
		return ""
	}
	if utf8.RuneCountInString(s) > limit {
		o.reject(field, SubMalformed, "字段过长", fmt.Sprintf("has more than %d characters", limit))
		return ""
	}
	for _, r := range s {
		// U+FFFD is what half a surrogate pair decodes to: two different texts would
		// become the same key.
		if unicode.IsControl(r) || r == utf8.RuneError {
			o.reject(field, SubMalformed, "字段含有非法字符", "has a control character or half a character")
			return ""
		}
	}
	return s
}

// whole reads a whole number from 0 to limit, written in digits alone: as a number or
// as a string. Absent is 0. 10.0 and 1e3 are refused: whoever sends them computes with
// floats, and their next amount may be 9.99.
func (o *object) whole(field string, limit int64) int64 { //nolint:unparam // that both limits are the same number is chance
	v := o.raw(field)
	if v == nil {
		return 0
	}
	digits := string(v)
	if len(v) >= 2 && v[0] == '"' {
		digits = string(v[1 : len(v)-1])
	}
	if len(digits) > 1 && digits[0] == '-' && isDigits(digits[1:]) {
		o.reject(field, SubAmount, "金额或数量不能为负数", "is negative")
		return 0
	}
	if !isDigits(digits) || (len(digits) > 1 && digits[0] == '0') {
		o.reject(field, SubAmount, "金额（单位：分）或数量必须是整数", "is not a whole number in digits")
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > limit {
		o.reject(field, SubAmount, "金额或数量超出上限", fmt.Sprintf("is above %d", limit))
		return 0
	}
	return n
}

// objects reads a list of at least one and at most maxLines objects.
func (o *object) objects(field string, each func(*object)) {
	v := o.raw(field)
	if v == nil {
		o.reject(field, SubMissing, "缺少核销资产列表", "is missing")
		return
	}
	var items []json.RawMessage
	if v[0] != '[' || json.Unmarshal(v, &items) != nil {
		o.reject(field, SubMalformed, "字段格式错误", "is not a list")
		return
	}
	if len(items) == 0 {
		o.reject(field, SubMissing, "核销资产列表为空", "has no element")
		return
	}
	if len(items) > maxLines {
		o.reject(field, SubMalformed, "核销资产过多", fmt.Sprintf("has more than %d elements", maxLines))
		return
	}
	for i, item := range items {
		line := &object{path: fmt.Sprintf("%s[%d].", field, i), fault: o.fault}
		line.open(item)
		each(line)
		if *o.fault != nil {
			return
		}
	}
}

// need rejects a field that is absent or empty.
func (o *object) need(field, value string) {
	if value == "" {
		o.reject(field, SubMissing, "缺少必填字段", "is missing")
	}
}

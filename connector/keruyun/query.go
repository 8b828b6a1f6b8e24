// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// MemberFinder says who a guest is and what he may spend. A rejection says that no vendor was asked.
type MemberFinder interface {
	Member(ctx context.Context, q redeem.MemberQuery) (redeem.MemberView, *redeem.Rejection)
}

// queryTypes are the values of queryType. Keruyun's page names MOBILE alone; the others are ours, for
// what the vendors can look for.
var queryTypes = map[string]redeem.MemberBy{
	"MOBILE":         redeem.ByMobile,
	"MEMBER_ID":      redeem.ByMemberID,
	"CARD_NO":        redeem.ByCard,
	"WECHAT_OPENID":  redeem.ByWeChatOpenID,
	"WECHAT_UNIONID": redeem.ByWeChatUnion,
	"ALIPAY_USER_ID": redeem.ByAlipayUserID,
}

// mappingTypes are the values of assetMappingType: which kinds of asset are shown. Points are a balance, too.
var mappingTypes = map[string][]redeem.Asset{
	"":        nil,
	"ALL":     nil,
	"BALANCE": {redeem.StoredValue, redeem.Points},
	"VOUCHER": {redeem.Coupon},
}

// DecodeMemberQuery reads the body of 会员及资产查询 (member and asset query). It reads like
// DecodeVerify does. With queryType MOBILE an empty queryValue is the field mobile.
func DecodeMemberQuery(body []byte, brandID string) (redeem.MemberQuery, *redeem.Rejection) {
	d := decodeBody(body)
	d.brand(brandID)
	q := redeem.MemberQuery{
		BrandID: brandID, ShopID: d.id("kryShopId"), AssetMappingID: d.id("assetMappingId"),
	}
	kind := d.id("queryType")
	d.need("queryType", kind)
	by, ok := queryTypes[kind]
	if !ok {
		d.reject("queryType", SubMalformed, "查询类型不支持，可用："+known(queryTypes), "is none of "+known(queryTypes))
	}
	q.By, q.Value = by, d.text("queryValue", maxText)
	if mobile := d.text("mobile", maxID); q.Value == "" && by == redeem.ByMobile {
		q.Value = mobile
	}
	d.need("queryValue", q.Value)
	mapping := d.id("assetMappingType")
	if q.Assets, ok = mappingTypes[mapping]; !ok {
		d.reject("assetMappingType", SubMalformed, "资产类型不支持，可用："+known(mappingTypes), "is none of "+known(mappingTypes))
	}
	return q, *d.fault
}

// known lists a table's values.
func known[T any](table map[string]T) string {
	names := slices.Sorted(maps.Keys(table))
	return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "" }), ", ")
}

// query serves 会员及资产查询. Nothing of it is recorded, and nobody is charged, so no answer of it is in doubt.
func (h *Handler) query(x *exchange, body []byte) call {
	q, rejection := DecodeMemberQuery(body, h.cfg.BrandID)
	q.TraceID, q.ReplyDeadlineAt = x.access.TraceID, x.deadline
	x.access.ShopID = q.ShopID
	return func(ctx context.Context) reply {
		if rejection != nil {
			return queryRejected(q.TraceID, rejection)
		}
		v, rejection := h.cfg.Members.Member(ctx, q)
		if rejection != nil {
			return queryRejected(q.TraceID, rejection)
		}
		rep := reply{answer: MemberAnswer(q.BrandID, v, q.TraceID)}
		switch {
		case !v.Found && v.Incomplete:
			rep.subCode, rep.detail = SubUnread, "no vendor could be read"
		case !v.Found:
			rep.refusal = true
		case v.Incomplete:
			rep.detail = "not every vendor could be read"
		}
		return rep
	}
}

func queryRejected(traceID string, r *redeem.Rejection) reply {
	text := strings.NewReplacer("，本次未核销", "", "，本次未扣款", "").Replace(r.Cashier)
	rep := reply{refusal: !r.Retryable, subCode: r.SubCode, field: r.Field, detail: r.Detail}
	if r.Retryable {
		rep.answer = FaultAnswer(text, traceID)
		return rep
	}
	if !strings.Contains(text, r.Field) {
		text += "（" + r.Field + "）"
	}
	rep.answer = refusal(memberData{Assets: []asset{}}, r.SubCode, text, traceID)
	return rep
}

// memberData is result.data of 会员及资产查询.
type memberData struct {
	Member memberBasic `json:"memberBasic"`
	Assets []asset     `json:"balanceAssetList"`
}

// memberBasic is the guest. memberId is to be sent back as thirdMemberId.
type memberBasic struct {
	MemberID string `json:"memberId"`
	Name     string `json:"name"`
	Gender   string `json:"gender"`
	Mobile   string `json:"mobile"`
	Birthday string `json:"birthday"`
	Email    string `json:"email"`
	State    string `json:"state"`
}

// stateNormal is the state of a member whom a vendor shows; none documents another.
const stateNormal = "NORMAL"

// asset is one of balanceAssetList. Keruyun's page does not show its fields: they are named as in the
// verify request and reply, where they come back.
type asset struct {
	AssetMappingID   string `json:"assetMappingId"`
	AssetID          string `json:"assetId"`
	AssetType        string `json:"assetType"`
	AssetName        string `json:"assetName"`
	BrandID          string `json:"kryBrandId"`
	*held                   // nil where it is not known: an amount of 0 would be an answer
	Status           string `json:"status"`
	ErrorDescription string `json:"errorDescription"`
	ErrCode          string `json:"errCode"`
}

// held is what verify can take of an asset. Money is fen.
type held struct {
	Total      redeem.Fen `json:"verifyTotalAmount"`
	Real       redeem.Fen `json:"verifyRealAmount"`
	Gift       redeem.Fen `json:"verifyGiftAmount"`
	Count      int64      `json:"verifyCnt"`
	Face       redeem.Fen `json:"faceAmount"`
	Minimum    redeem.Fen `json:"minimumAmount"`
	ValidFrom  string     `json:"validFrom"`
	ValidUntil string     `json:"validUntil"`
}

// assetTypes are the values of assetType.
var assetTypes = map[redeem.Asset]string{redeem.StoredValue: "BALANCE", redeem.Points: "POINTS", redeem.Coupon: "VOUCHER"}

const (
	textNoMember   = "未找到会员，请核对后重试"
	textUnread     = "会员系统暂时无法连接，请稍后重新查询"
	textIncomplete = "部分会员资产暂时无法查询，请稍后重新查询；未显示金额的资产不代表余额为零"
	textItemOK     = "可核销"
	textItemAbsent = "该会员系统未查到此会员"
	textItemUnread = "暂时无法查询，不代表余额为零，请稍后重新查询"
	errNoMember    = "NO_MEMBER"
	errNotRead     = "NOT_READ"
)

// MemberAnswer renders the reply to a member query. Nothing that is not known looks like nothing that
// is there: what a vendor did not say stands in the list with status FAIL, and the answer as a whole is
// no success then. Where no vendor knows the guest and one could not be asked it is code 3000.
func MemberAnswer(brandID string, v redeem.MemberView, traceID string) []byte {
	switch {
	case !v.Found && v.Incomplete:
		return FaultAnswer(textUnread, traceID)
	case !v.Found:
		return refusal(memberData{Assets: []asset{}}, SubNoMember, textNoMember, traceID)
	}
	m := v.Member
	data := memberData{
		Member: memberBasic{m.ID, m.Name, m.Gender, m.Mobile, m.Birthday, m.Email, stateNormal},
		Assets: make([]asset, 0, len(v.Items)),
	}
	for _, i := range v.Items {
		data.Assets = append(data.Assets, assetOf(brandID, i))
	}
	if v.Incomplete {
		return refusal(data, SubIncomplete, textIncomplete, traceID)
	}
	return success(data, traceID)
}

func assetOf(brandID string, i redeem.MemberItem) asset {
	a := asset{AssetMappingID: i.AssetMappingID, AssetType: assetTypes[i.Asset], BrandID: brandID, Status: statusFail}
	switch i.State {
	case redeem.Shown:
		h := i.Holding
		a.AssetID, a.AssetName = h.AssetID, h.Name
		a.held = &held{h.Total, h.Real, h.Gift, h.Count, h.Face, h.Minimum, h.From, h.Until}
		a.Status, a.ErrCode, a.ErrorDescription = statusSuccess, statusSuccess, textItemOK
	case redeem.NoMember:
		a.ErrCode, a.ErrorDescription = errNoMember, textItemAbsent
	default:
		a.ErrCode, a.ErrorDescription = orElse(i.Code, errNotRead), textItemUnread
	}
	return a
}

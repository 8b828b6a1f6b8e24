// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// flexInt reads an integer that may come as a number, a text of digits or an
// empty text (the document's sample shows every field as an empty text).
type flexInt int64

func (f *flexInt) UnmarshalJSON(raw []byte) error {
	s := strings.Trim(string(raw), `"`)
	if s == "" || s == "null" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not an integer", raw)
	}
	*f = flexInt(n)
	return nil
}

// couponIDs reads an array of ids, as numbers or texts. The ids exceed 2^53,
// so they are kept as the digits that came.
type couponIDs []string

func (c *couponIDs) UnmarshalJSON(raw []byte) error {
	if s := string(raw); s == `""` || s == "null" {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return errors.New("couponsCardList is not an array")
	}
	for _, e := range list {
		id := looseText(e)
		if id == "" || bytes.ContainsAny(e, "eE.") && e[0] != '"' {
			return fmt.Errorf("couponsCardList holds %s, which is no id", e)
		}
		*c = append(*c, id)
	}
	return nil
}

// consumeParams are the parameters of communal.user.consume.
type consumeParams struct {
	BizID           string          `json:"bizId"`
	Channel         string          `json:"channel"`
	CustomerID      string          `json:"customerId"`
	GroupID         flexInt         `json:"groupId"`
	CouponsCardList couponIDs       `json:"couponsCardList"`
	Type            flexInt         `json:"type"`
	Amount          string          `json:"amount"`
	AppType         string          `json:"appType"`
	DeviceSn        string          `json:"deviceSn"`
	IP              string          `json:"ip"`
	OpType          flexInt         `json:"opType"`
	OperatorID      flexInt         `json:"operatorId"`
	OperatorName    string          `json:"operatorName"`
	PayPassword     string          `json:"payPassword"`
	ProductName     string          `json:"productName"`
	Reason          string          `json:"reason"`
	Remark          string          `json:"remark"`
	UsePassword     json.RawMessage `json:"usePassword"`
	Points          flexInt         `json:"points"`
	MultiMark       string          `json:"multiMark"`
}

// consume spends coupons, stored value and points of one member, all or
// nothing (Zhimai V2, communal.user.consume).
func (z *zhimaiCall) consume(time.Duration) reply {
	var p consumeParams
	if err := json.Unmarshal(z.req.Params, &p); err != nil {
		return zhimaiRefusal(zhimaiBadParam, "参数错误: "+err.Error())
	}
	z.noteUnknown(&p)
	spend, refusal := z.plan(&p)
	if refusal != nil {
		return *refusal
	}
	z.s.booking[books.Zhimai].Lock()
	defer z.s.booking[books.Zhimai].Unlock()
	if used := spendsOf(z.s.books.ByKey(books.Zhimai, p.BizID)); len(used) > 0 {
		switch z.s.cfg.Zhimai.DuplicateBizID {
		case "refuse":
			return zhimaiRefusal(zhimaiDuplicate, "业务标识重复: "+p.BizID)
		case "replay":
			return z.consumed(used[0])
		}
	}
	e, err := z.s.books.Spend(spend)
	if err != nil {
		return zhimaiBooksError(err)
	}
	z.booked(e)
	return z.consumed(e)
}

func spendsOf(entries []books.Entry) []books.Entry {
	return slices.DeleteFunc(entries, func(e books.Entry) bool { return e.Kind != books.KindSpend })
}

// plan checks p against the document's rules and says what to book.
func (z *zhimaiCall) plan(p *consumeParams) (books.Spend, *reply) {
	bad := func(code, format string, args ...any) (books.Spend, *reply) {
		r := zhimaiRefusal(code, fmt.Sprintf(format, args...))
		return books.Spend{}, &r
	}
	var fen int64
	if p.Amount != "" {
		var err error
		if fen, err = parseYuan(p.Amount); err != nil {
			return bad(zhimaiBadParam, "amount 错误: %v", err)
		}
	}
	switch {
	case p.BizID == "":
		return bad(zhimaiBadParam, "bizId 不能为空")
	case p.Amount == "" && len(p.CouponsCardList) == 0:
		return bad(zhimaiBadParam, "amount 和 couponsCardList 至少有一个存在")
	case p.Points < 0:
		return bad(zhimaiBadParam, "points 不能为负数")
	case p.Type != 1 && p.CustomerID == "":
		return bad(zhimaiBadParam, "customerId 不能为空")
	case p.MultiMark != "" && len(z.s.cfg.Zhimai.Shops) > 0 && !slices.Contains(z.s.cfg.Zhimai.Shops, p.MultiMark):
		return bad(zhimaiNoShop, "门店不存在: %s", p.MultiMark)
	}
	m, coupons, refusal := z.whose(p)
	if refusal != nil {
		return books.Spend{}, refusal
	}
	if (m.PasswordRequired || truthy(p.UsePassword)) && m.PayPassword != p.PayPassword {
		return bad(zhimaiBadPassword, "支付密码错误")
	}
	return books.Spend{
		Vendor: books.Zhimai, Method: z.req.Action, Key: p.BizID, Member: m.ID, Shop: p.MultiMark,
		Operator: strconv.FormatInt(int64(p.OperatorID), 10), Remark: p.Remark,
		AmountFen: fen, Points: int64(p.Points), Coupons: coupons,
	}, nil
}

// whose finds the member, by customerId or by the owner of the scan codes,
// and turns scan codes into coupon ids.
func (z *zhimaiCall) whose(p *consumeParams) (books.Member, []string, *reply) {
	bad := func(code, format string, args ...any) (books.Member, []string, *reply) {
		r := zhimaiRefusal(code, fmt.Sprintf(format, args...))
		return books.Member{}, nil, &r
	}
	m, ok := z.s.books.Find(books.Zhimai, books.ByID, p.CustomerID)
	if p.CustomerID != "" && !ok {
		return bad(zhimaiNoMember, "查询的信息不存在: customerId")
	}
	if p.Type != 1 {
		return m, p.CouponsCardList, nil
	}
	var ids []string
	for _, code := range p.CouponsCardList {
		owner, found := z.s.books.Find(books.Zhimai, books.ByScanCode, code)
		if !found || ok && owner.ID != m.ID {
			return bad(zhimaiBadCoupon, "核销码无效: %s", code)
		}
		m, ok = owner, true
		i := slices.IndexFunc(owner.Coupons, func(c books.Coupon) bool { return c.ScanCode == code })
		ids = append(ids, owner.Coupons[i].ID)
	}
	if !ok {
		return bad(zhimaiNoMember, "查询的信息不存在: customerId")
	}
	return m, ids, nil
}

// truthy reads usePassword, whose values the document does not list.
func truthy(raw json.RawMessage) bool {
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "", "null", "0", "false", "否":
		return false
	}
	return true
}

// consumed is the answer for an entry, the same however often it is given.
func (z *zhimaiCall) consumed(e books.Entry) reply {
	return z.ok(append(object{{"status", z.yes()}, {"code", z.number(0)}, {"message", "操作成功"}}, z.change(e)...))
}

func (z *zhimaiCall) change(e books.Entry) object {
	var coupons any = texts("", e.Coupons)
	if z.sampleTypes() {
		coupons = strings.Join(e.Coupons, ",")
	}
	return object{
		{"bizId", z.returnedBizID(e)},
		{"couponsCardList", coupons},
		{"gift_amount", yuan(e.After.Gift)},
		{"recharge_amount", yuan(e.After.Real)},
		{"total_amount", yuan(e.After.Total())},
		{"change_gift_amount", yuan(e.Split.Gift)},
		{"change_recharge_amount", yuan(e.Split.Real)},
		{"storeBalance", z.yuanNumber(e.AmountFen)},
		{"shopBalance", z.yuanNumber(0)},
	}
}

func (z *zhimaiCall) returnedBizID(e books.Entry) string {
	if z.s.cfg.Zhimai.ReturnedBizID == "echo" {
		return e.Key
	}
	return e.FlowID
}

// reverseParams are the parameters of the configured reversal action. That it
// takes the returned bizId is documented; the rest is the sandbox's own: with
// neither amount nor points nor couponsCardList all that is left is given back.
type reverseParams struct {
	BizID           string    `json:"bizId"`
	Amount          string    `json:"amount"` // yuan
	Points          flexInt   `json:"points"`
	CouponsCardList couponIDs `json:"couponsCardList"`
	Remark          string    `json:"remark"`
	OperatorID      flexInt   `json:"operatorId"`
	OperatorName    string    `json:"operatorName"`
	MultiMark       string    `json:"multiMark"`
}

func (z *zhimaiCall) reverse(time.Duration) reply {
	var p reverseParams
	if err := json.Unmarshal(z.req.Params, &p); err != nil {
		return zhimaiRefusal(zhimaiBadParam, "参数错误: "+err.Error())
	}
	z.noteUnknown(&p)
	var fen int64
	if p.Amount != "" {
		var err error
		if fen, err = parseYuan(p.Amount); err != nil {
			return zhimaiRefusal(zhimaiBadParam, "amount 错误: "+err.Error())
		}
	}
	z.s.booking[books.Zhimai].Lock()
	defer z.s.booking[books.Zhimai].Unlock()
	original, ok := z.original(p.BizID)
	if !ok {
		return zhimaiRefusal(zhimaiBadReversal, "原消费记录不存在: "+p.BizID)
	}
	e, err := z.s.books.Reverse(books.Reversal{
		Vendor: books.Zhimai, Method: z.req.Action, Original: original.Seq, Key: p.BizID, Shop: p.MultiMark,
		Operator: strconv.FormatInt(int64(p.OperatorID), 10), Remark: p.Remark,
		Rest:      p.Amount == "" && p.Points == 0 && len(p.CouponsCardList) == 0,
		AmountFen: fen, Points: int64(p.Points), Coupons: p.CouponsCardList,
	})
	if err != nil {
		return zhimaiBooksError(err)
	}
	z.booked(e)
	return z.consumed(e)
}

// original finds the spend by the bizId that its answer returned.
func (z *zhimaiCall) original(bizID string) (books.Entry, bool) {
	if z.s.cfg.Zhimai.ReturnedBizID == "own" {
		e, ok := z.s.books.ByFlow(books.Zhimai, bizID)
		return e, ok && e.Kind == books.KindSpend
	}
	// With echoed ids a repeated bizId is ambiguous: the latest that still has
	// something left.
	spends := spendsOf(z.s.books.ByKey(books.Zhimai, bizID))
	for _, e := range slices.Backward(spends) {
		if !z.s.books.Left(e.Seq).Empty() {
			return e, true
		}
	}
	if len(spends) > 0 {
		return spends[0], true
	}
	return books.Entry{}, false
}

func (z *zhimaiCall) noteUnknown(into any) {
	u := unknownFields(z.req.Params, into)
	z.s.calls.update(func() { z.call.Unknown = u })
}

func zhimaiBooksError(err error) reply {
	var r *books.Refusal
	if !errors.As(err, &r) {
		return zhimaiFault(zhimaiBroken, "系统错误: "+err.Error())
	}
	codes := map[books.Reason]string{
		books.NoMember: zhimaiNoMember, books.MemberDisabled: zhimaiNoMember, books.InsufficientValue: zhimaiNoBalance,
		books.InsufficientPoint: zhimaiNoPoints, books.NoCoupon: zhimaiBadCoupon, books.CouponNotUsable: zhimaiBadCoupon,
		books.NoOriginal: zhimaiBadReversal, books.OverReversal: zhimaiBadReversal, books.NothingToDo: zhimaiBadParam,
	}
	messages := map[books.Reason]string{
		books.NoMember: "查询的信息不存在", books.MemberDisabled: "会员已停用", books.InsufficientValue: "余额不足",
		books.InsufficientPoint: "积分不足", books.NoCoupon: "优惠券不存在", books.CouponNotUsable: "优惠券不可用",
		books.NoOriginal: "原消费记录不存在", books.OverReversal: "超出可冲正金额", books.NothingToDo: "没有可扣减的内容",
	}
	return zhimaiRefusal(codes[r.Reason], messages[r.Reason]+": "+r.Detail)
}

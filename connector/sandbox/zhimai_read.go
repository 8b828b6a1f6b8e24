// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// cst is the time zone that both vendors write times in.
var cst = time.FixedZone("GMT+8", 8*60*60)

const clockLayout = "2006-01-02 15:04:05"

type customerParams struct {
	IdentifierNumber string          `json:"identifierNumber"`
	Type             flexInt         `json:"type"`
	MultiMark        string          `json:"multiMark"`
	TypeCate         flexInt         `json:"typeCate"`
	DiscountPrice    json.RawMessage `json:"discountPrice"` // yuan
}

// customerInfo looks a member up (Zhimai V2, communal.user.gether-customer-info).
// The document's end, where balances and coupons stand, is not public: those
// fields are named as in the sibling look-up of the same chapter.
func (z *zhimaiCall) customerInfo(time.Duration) reply {
	var p customerParams
	if err := json.Unmarshal(z.req.Params, &p); err != nil {
		return zhimaiRefusal(zhimaiBadParam, "参数错误: "+err.Error())
	}
	z.noteUnknown(&p)
	by := map[flexInt]books.By{
		1: books.ByID, 2: books.ByMobile, 3: books.ByCard, 4: books.ByAlipayID, 5: books.ByOpenID, 6: books.ByUnionID,
	}[p.Type]
	if by == "" {
		return zhimaiRefusal(zhimaiBadParam, "type 错误: 取值 1 至 6")
	}
	if p.IdentifierNumber == "" {
		return zhimaiRefusal(zhimaiBadParam, "identifierNumber 不能为空")
	}
	m, ok := z.s.books.Find(books.Zhimai, by, p.IdentifierNumber)
	if !ok || m.Disabled {
		return zhimaiRefusal(zhimaiNoMember, "查询的信息不存在")
	}
	return z.ok(z.customer(m))
}

func (z *zhimaiCall) customer(m books.Member) object {
	password := int64(2)
	if m.PayPassword != "" {
		password = 1
	}
	coupons := list{}
	for _, c := range m.Coupons {
		if c.Status == books.CouponUnused {
			coupons.values = append(coupons.values, z.coupon(m, c))
		}
	}
	return object{
		{"username", m.Name}, {"mobile", m.Mobile}, {"memberLevel", z.number(1)}, {"memberLevelName", "普通会员"},
		{"memberLevelExpiredAt", ""}, {"gender", z.number(0)}, {"customerId", m.ID}, {"cardNo", m.CardID},
		{"cardName", "会员卡"}, {"isMemberEnterprise", z.number(1)}, {"paidBenefitsCardDetailList", list{}},
		{"isPassword", z.number(password)}, {"giftCardList", list{}},
		{"totalPoints", strconv.FormatInt(m.Points, 10)},
		{"giftBalance", yuan(m.Balance.Gift)}, {"rechargeBalance", yuan(m.Balance.Real)},
		{"totalBalance", yuan(m.Balance.Total())}, {"couponList", coupons},
	}
}

func (z *zhimaiCall) coupon(m books.Member, c books.Coupon) object {
	return object{
		{"beginAt", ""}, {"cardId", c.ID}, {"channel", ""}, {"couponId", c.ID}, {"couponType", "0"}, {"createdAt", ""},
		{"customerId", m.ID}, {"title", c.Title}, {"updatedAt", ""}, {"useStatus", z.number(int64(c.Status))},
		{"templateId", z.number(1)}, {"endAt", ""}, {"extra", c.ScanCode},
	}
}

type couponParams struct {
	CustomerID string          `json:"customerId"`
	UseStatus  json.RawMessage `json:"useStatus"`
	CardID     string          `json:"cardId"`
}

// couponStatus shows coupons with their state (Zhimai V2, user.coupon-new-status). It
// says which state a coupon is in and not which call put it there: the answer has no
// bizId. The sample shows one coupon as data, without a list around it; so does the
// sandbox for one cardId, unless it answers by the tables. A change that is younger than hide
// is not shown yet.
func (z *zhimaiCall) couponStatus(hide time.Duration) reply {
	var p couponParams
	if err := json.Unmarshal(z.req.Params, &p); err != nil {
		return zhimaiRefusal(zhimaiBadParam, "参数错误: "+err.Error())
	}
	z.noteUnknown(&p)
	if p.CustomerID == "" {
		return zhimaiRefusal(zhimaiBadParam, "customerId 不能为空")
	}
	m, ok := z.s.books.Find(books.Zhimai, books.ByID, p.CustomerID)
	if !ok {
		return zhimaiRefusal(zhimaiNoMember, "查询的信息不存在")
	}
	z.s.unbook(m.Coupons, m.ID, hide)
	status := looseText(p.UseStatus)
	out := list{}
	for _, c := range m.Coupons {
		if (p.CardID == "" || p.CardID == c.ID) && (status == "" || status == strconv.Itoa(c.Status)) {
			out.values = append(out.values, z.coupon(m, c))
		}
	}
	if p.CardID != "" && z.sampleTypes() && len(out.values) == 1 {
		return z.ok(out.values[0])
	}
	return z.ok(out)
}

// unbook sets coupons of a member back to what they were before the changes that are
// younger than hide: only an unused coupon is ever spent, and only a redeemed one given back.
func (s *Sandbox) unbook(coupons []books.Coupon, member string, hide time.Duration) {
	now := s.now()
	for _, e := range slices.Backward(s.books.Entries(books.Filter{Vendor: books.Zhimai, Member: member})) {
		if now.Sub(e.Time) >= hide {
			return
		}
		for i := range coupons {
			if !slices.Contains(e.Coupons, coupons[i].ID) {
				continue
			}
			coupons[i].Status = books.CouponUnused
			if e.Kind == books.KindReverse {
				coupons[i].Status = books.CouponRedeemed
			}
		}
	}
}

type billParams struct {
	StartTime string          `json:"start_time"`
	EndTime   string          `json:"end_time"`
	OrderNo   string          `json:"order_no"`
	UserID    json.RawMessage `json:"user_id"`
	PageSize  flexInt         `json:"page_size"`
	Page      flexInt         `json:"page"`
}

// wealthBills pages through the flows of stored value, newest first, amounts
// in fen (Zhimai V2, user.wealth-bills). Times are GMT+8; end_time is
// inclusive.
func (z *zhimaiCall) wealthBills(hide time.Duration) reply {
	var p billParams
	if err := json.Unmarshal(z.req.Params, &p); err != nil {
		return zhimaiRefusal(zhimaiBadParam, "参数错误: "+err.Error())
	}
	z.noteUnknown(&p)
	from, err := parseClock(p.StartTime)
	if err != nil {
		return zhimaiRefusal(zhimaiBadParam, "start_time 错误: "+err.Error())
	}
	to, err := parseClock(p.EndTime)
	if err != nil {
		return zhimaiRefusal(zhimaiBadParam, "end_time 错误: "+err.Error())
	}
	if !from.IsZero() && to.IsZero() {
		return zhimaiRefusal(zhimaiBadParam, "end_time 不能为空: start_time 已传")
	}
	if !to.IsZero() {
		to = to.Add(time.Second)
	}
	flows := z.s.flows(books.Filter{Vendor: books.Zhimai, Member: looseText(p.UserID), From: from, To: to}, hide)
	flows = slices.DeleteFunc(flows, func(e books.Entry) bool { return p.OrderNo != "" && z.orderNo(e) != p.OrderNo })
	return z.ok(z.billPage(flows, max(1, int(p.Page)), pageSize(int(p.PageSize))))
}

func pageSize(n int) int {
	if n <= 0 {
		return 20
	}
	return min(n, 500)
}

func parseClock(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.ParseInLocation(clockLayout, s, cst)
}

func (z *zhimaiCall) billPage(flows []books.Entry, page, size int) object {
	last := max(1, (len(flows)+size-1)/size)
	lo := min((page-1)*size, len(flows))
	hi := min(lo+size, len(flows))
	rows := list{}
	for _, e := range flows[lo:hi] {
		rows.values = append(rows.values, z.bill(z.s.shown(e)))
	}
	return object{
		{"current_page", z.number(int64(page))}, {"per_page", z.number(int64(size))}, {"last_page", z.number(int64(last))},
		{"total", z.number(int64(len(flows)))}, {"reta_list", rows},
	}
}

// orderNo is what the flows call order_no: the spend's own number, or for a
// reversal that of what it reverses.
func (z *zhimaiCall) orderNo(e books.Entry) string {
	if z.s.cfg.Zhimai.BillOrderNo == "returned" {
		return e.FlowID
	}
	if e.Kind == books.KindReverse {
		return e.Reverses
	}
	return e.Key
}

func (z *zhimaiCall) bill(e books.Entry) object {
	sign, cat := int64(-1), "消费"
	if e.Kind == books.KindReverse {
		sign, cat = 1, "冲正"
	}
	if z.s.cfg.Zhimai.BillSign == "absolute" {
		sign = 1
	}
	at := e.Time.In(cst).Format(clockLayout)
	return object{
		{"id", z.number(e.Seq)}, {"user_id", e.Member}, {"order_no", z.orderNo(e)}, {"cat_name", cat},
		{"product_name", ""}, {"remark", e.Remark},
		{"change_gift_amount", z.number(sign * e.Split.Gift)}, {"change_recharge_amount", z.number(sign * e.Split.Real)},
		{"created_at", at}, {"updated_at", at},
		{"changed_total_gift_amount", z.number(e.After.Gift)}, {"changed_total_recharge_amount", z.number(e.After.Real)},
		{"changed_total_amount", z.number(e.After.Total())}, {"change_amount", z.number(sign * e.AmountFen)},
	}
}

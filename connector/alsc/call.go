// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// The methods that are called.
const (
	Dedut      = "alibaba.alsc.crm.recharge.dedut.update"           // spend stored value
	Undedut    = "alibaba.alsc.crm.recharge.undedut.update"         // give it back
	FlowDetail = "alibaba.alsc.crm.recharge.account.flowdetail.get" // what became of it
	Verify     = "alibaba.alsc.crm.open.assert.verify"              // spend points and coupons
	Refund     = "alibaba.alsc.crm.open.assert.refund"              // give them back
)

// call is what the ledger keeps of a leg so that it can be sent, repeated and
// reversed: nothing secret, nothing personal. What the configuration decided is
// frozen in it, so that a repeat after a change of configuration is the same call.
type call struct {
	Reverses   string        `json:"reverses,omitempty"` // reversals: outer_order_id of what they undo
	Whole      bool          `json:"whole,omitempty"`    // reversals: all that the leg did
	CustomerID string        `json:"customerId,omitempty"`
	CardID     string        `json:"cardId,omitempty"`
	ChipCard   bool          `json:"chipCard,omitempty"` // card_id is the request's token, which is not kept
	BrandID    string        `json:"brandId,omitempty"`
	OutBrandID string        `json:"outBrandId,omitempty"`
	ShopID     string        `json:"shopId,omitempty"`
	OutShopID  string        `json:"outShopId,omitempty"`
	BizChannel string        `json:"bizChannel,omitempty"`
	OperatorID string        `json:"operatorId"`
	BizDate    string        `json:"bizDate,omitempty"` // GMT+8
	Remark     string        `json:"remark,omitempty"`
	ExtInfo    string        `json:"extInfo,omitempty"`
	Lines      []basket.Line `json:"lines"`
}

func (c call) totals() (value redeem.Fen, points int64, vouchers []string) {
	return basket.Totals(c.Lines)
}

// Plan makes a leg of each stored-value line, and one of all points and coupons.
func (c *Client) Plan(req redeem.Request, lines []redeem.Line) ([]redeem.LegPlan, error) {
	base, err := c.base(req)
	if err != nil {
		return nil, err
	}
	chip, err := c.chipCard(req, lines)
	if err != nil {
		return nil, err
	}
	base.ChipCard = chip
	var legs []redeem.LegPlan
	var others []redeem.Line
	var check basket.Checker
	for _, l := range lines {
		if err := check.Check(l); err != nil {
			return nil, err
		}
		if l.Asset != redeem.StoredValue {
			others = append(others, l)
			continue
		}
		leg, err := c.planValue(req, base, l)
		if err != nil {
			return nil, err
		}
		legs = append(legs, leg)
	}
	if len(others) > 0 {
		leg, err := c.planOthers(req, base, others)
		if err != nil {
			return nil, err
		}
		legs = append(legs, leg)
	}
	return legs, nil
}

// base is what the calls of a request have in common.
func (c *Client) base(req redeem.Request) (call, error) {
	k := call{BrandID: c.cfg.BrandID, BizChannel: c.cfg.BizChannel, OperatorID: c.operatorID(req.OperatorID), Remark: c.cfg.Remark, ExtInfo: c.cfg.ExtInfo}
	if k.OperatorID == "" {
		return k, missing("operatorId", "缺少操作员编号，请登录收银员账号后重试", "the CRM needs operator_id: send operatorId or configure providers.alsc.operatorID")
	}
	if k.BrandID == "" {
		k.OutBrandID = c.cfg.OutBrandID
		if k.OutBrandID == "" {
			k.OutBrandID = req.BrandID
		}
	}
	shop, mapped := c.cfg.Shops[req.ShopID]
	k.ShopID, k.OutShopID = shop.ID, shop.OutID
	if !mapped || shop == (Shop{}) {
		k.OutShopID = req.ShopID
	}
	if k.ShopID == "" && k.OutShopID == "" {
		return k, missing("kryShopId", "缺少门店编号，请联系门店管理员", "the CRM needs a shop: send kryShopId")
	}
	if !req.ReceivedAt.IsZero() {
		k.BizDate = topTime(req.ReceivedAt)
	}
	return k, nil
}

// operatorID names Keruyun's operator to the CRM: as the brand maps him, else as he is,
// else the brand's default.
func (c *Client) operatorID(kry string) string {
	if id := c.cfg.Operators[kry]; id != "" {
		return id
	}
	if kry == "" {
		return c.cfg.OperatorID
	}
	return kry
}

// chipCard says whether the request's token names the card. One token is one card, so it
// serves one stored-value line: which of two it is for cannot be told.
func (c *Client) chipCard(req redeem.Request, lines []redeem.Line) (bool, error) {
	values := 0
	for _, l := range lines {
		if l.Asset == redeem.StoredValue {
			values++
		}
	}
	if !c.cfg.ChipCardIsCardID || values == 0 {
		return false, nil
	}
	if err := answer.KnownToken(req); err != nil || !answer.IsChipCard(req) {
		return false, err
	}
	if values > 1 {
		return false, &redeem.Rejection{
			SubCode: redeem.SubUnplannable, Field: "memberAssetsVerificationList", Cashier: "一次只能核销一张实体卡，请分次核销",
			Detail: fmt.Sprintf("alsc: the chip card in paymentToken names one card, and %d lines spend stored value", values),
		}
	}
	return true, nil
}

func missing(field, cashier, detail string) error {
	return basket.Missing(field, cashier, "alsc: "+detail)
}

func (c *Client) planValue(req redeem.Request, k call, l redeem.Line) (redeem.LegPlan, error) {
	if c.cfg.Account != ByCard {
		if k.CustomerID = req.MemberID; k.CustomerID == "" {
			return redeem.LegPlan{}, missing("thirdMemberId", "缺少会员编号，请重新识别会员后再试", "the CRM needs customer_id: send thirdMemberId")
		}
	}
	if c.cfg.Account != ByCustomer && !k.ChipCard {
		if k.CardID = l.AssetID; k.CardID == "" {
			return redeem.LegPlan{}, missing(fmt.Sprintf("memberAssetsVerificationList[%d].assetId", l.No), "缺少卡号，请重新选择储值卡", "the CRM needs card_id: send assetId")
		}
	}
	k.Lines = basket.Keep([]redeem.Line{l})
	return leg(Dedut, k)
}

func (c *Client) planOthers(req redeem.Request, k call, lines []redeem.Line) (redeem.LegPlan, error) {
	if k.CustomerID = req.MemberID; k.CustomerID == "" {
		return redeem.LegPlan{}, missing("thirdMemberId", "缺少会员编号，请重新识别会员后再试", "the CRM needs customer_id: send thirdMemberId")
	}
	if k.BrandID == "" { // nothing that the till sent is at fault
		return redeem.LegPlan{}, missing("", answer.TillConfig,
			"points and coupons need the CRM's own id of the brand: set spec.providers.alsc.brandID")
	}
	if k.ShopID == "" {
		return redeem.LegPlan{}, missing("kryShopId", answer.TillConfig, fmt.Sprintf(
			"points and coupons need the CRM's own id of the shop %q: list it with its alsc.shopID in spec.shops, or in the ConfigMap of spec.shopsConfigMapRef", req.ShopID))
	}
	k.BizChannel, k.BizDate, k.ExtInfo, k.Remark = "", "", "", "" // not fields of this call
	k.ChipCard = false
	k.Lines = basket.Keep(lines)
	return leg(Verify, k)
}

func leg(operation string, k call) (redeem.LegPlan, error) {
	p, err := basket.Leg(operation, k, k.Lines)
	p.Reversible, p.MemberRef = operation == Dedut || operation == Verify, k.CustomerID
	if p.MemberRef == "" {
		p.MemberRef = k.CardID
	}
	return p, err
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Consume is the action that spends.
const Consume = "communal.user.consume"

// call is what the ledger keeps of a leg so that it can be sent, repeated and
// reversed: nothing secret, nothing personal. What the configuration decided is
// frozen in it, so that a repeat after a change of configuration is the same call.
type call struct {
	Reverses string `json:"reverses,omitempty"` // reversals: the bizId that the consume's answer gave

	Channel     string        `json:"channel,omitempty"`
	CustomerID  string        `json:"customerId,omitempty"`
	GroupID     *int64        `json:"groupId,omitempty"`
	ScanCodes   bool          `json:"scanCodes,omitempty"`
	AsNumbers   bool          `json:"asNumbers,omitempty"`
	SendEmpty   bool          `json:"sendEmpty,omitempty"`
	AppType     string        `json:"appType,omitempty"`
	DeviceSN    string        `json:"deviceSn,omitempty"`
	IP          string        `json:"ip,omitempty"`
	OpType      *int64        `json:"opType,omitempty"`
	OperatorID  *int64        `json:"operatorId,omitempty"`
	ProductName string        `json:"productName,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Remark      string        `json:"remark,omitempty"`
	UsePassword string        `json:"usePassword,omitempty"`
	MultiMark   string        `json:"multiMark,omitempty"`
	Lines       []basket.Line `json:"lines"`
}

// totals of the call's lines: stored value in fen, points, and the coupons.
func (c call) totals() (amount redeem.Fen, points int64, coupons []string) {
	return basket.Totals(c.Lines)
}

// Plan puts all lines into one leg: communal.user.consume takes stored value,
// coupons and points together. It is reversible only where the brand has named the
// action that reverses.
func (c *Client) Plan(req redeem.Request, lines []redeem.Line) ([]redeem.LegPlan, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	if err := c.checkLines(lines); err != nil {
		return nil, err
	}
	if c.cfg.Options.ForwardPaymentToken {
		if err := answer.KnownToken(req); err != nil {
			return nil, err
		}
	}
	o := c.cfg.Options
	k := call{
		Channel: o.Channel, CustomerID: req.MemberID, GroupID: o.GroupID,
		ScanCodes: o.CouponsAreScanCodes, AsNumbers: o.CouponsAsNumbers, SendEmpty: o.SendEmpty,
		AppType: o.AppType, DeviceSN: o.DeviceSN, IP: o.IP, OpType: o.OpType,
		OperatorID: c.operatorID(req.OperatorID), ProductName: o.ProductName, Reason: o.Reason, Remark: o.Remark,
		UsePassword: o.UsePassword, MultiMark: c.multiMark(req.ShopID), Lines: basket.Keep(lines),
	}
	if k.DeviceSN == "" {
		k.DeviceSN = req.DeviceID
	}
	if k.Remark == "" {
		k.Remark = strings.TrimSpace(req.TransOrderNo + " " + req.PaymentNo)
	}
	amount, points, _ := k.totals()
	if amount > redeem.MaxFen {
		return nil, &redeem.Rejection{
			SubCode: redeem.SubTotal, Field: "memberAssetsVerificationList", Cashier: "核销总金额超出上限，请分次核销",
			Detail: fmt.Sprintf("the stored value of a call adds up to more than %s yuan", redeem.MaxFen.Yuan()),
		}
	}
	scanOnly := o.CouponsAreScanCodes && amount == 0 && points == 0
	if req.MemberID == "" && !scanOnly {
		return nil, basket.Missing("thirdMemberId", "缺少会员编号，请重新识别会员后再试",
			"zhimai needs the member's customerId: send thirdMemberId")
	}
	p, err := leg(Consume, k)
	if err != nil {
		return nil, err
	}
	p.Reversible = c.cfg.ReversalAction != ""
	return []redeem.LegPlan{p}, nil
}

// checkLines finds what the vendor's call cannot say.
func (c *Client) checkLines(lines []redeem.Line) error {
	var check basket.Checker
	if c.cfg.Options.CouponsAsNumbers {
		check.CouponID = digits
	}
	for _, l := range lines {
		if err := check.Check(l); err != nil {
			return err
		}
	}
	return nil
}

func leg(operation string, k call) (redeem.LegPlan, error) {
	p, err := basket.Leg(operation, k, k.Lines)
	p.MemberRef = k.CustomerID
	return p, err
}

// digits says whether s is a JSON integer as it stands.
func digits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return len(s) > 0 && (s[0] != '0' || len(s) == 1)
}

func number(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !digits(s) {
		return nil
	}
	return &n
}

// multiMark is the shop as Zhimai knows it.
func (c *Client) multiMark(shop string) string {
	if mark, ok := c.cfg.Shops[shop]; ok {
		return mark
	}
	return shop
}

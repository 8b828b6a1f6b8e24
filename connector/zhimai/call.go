// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/answer"
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
	Lines       []answer.Line `json:"lines"`
}

// totals of a call's lines: stored value in fen, points, and the coupons.
func (c call) totals() (amount redeem.Fen, points int64, coupons []string) {
	for _, l := range c.Lines {
		switch l.Asset {
		case redeem.StoredValue:
			amount += l.Amount
		case redeem.Points:
			points += l.Count
		case redeem.Coupon:
			coupons = append(coupons, l.ID)
		}
	}
	return amount, points, coupons
}

// Plan puts all lines into one leg: communal.user.consume takes stored value,
// coupons and points together. It is reversible only where the brand has named the
// action that reverses.
func (c *Client) Plan(req redeem.Request, lines []redeem.Line) ([]redeem.LegPlan, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	if err := checkLines(lines, c.cfg.Options.CouponsAsNumbers); err != nil {
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
		UsePassword: o.UsePassword, MultiMark: c.multiMark(req.ShopID), Lines: answer.Keep(lines),
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
		return nil, answer.Missing("thirdMemberId", "缺少会员编号，请重新识别会员后再试",
			"zhimai needs the member's customerId: send thirdMemberId")
	}
	return c.leg(Consume, k, c.cfg.ReversalAction != "")
}

func (c *Client) leg(operation string, k call, reversible bool) ([]redeem.LegPlan, error) {
	raw, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", operation, err)
	}
	p := redeem.LegPlan{Operation: operation, Reversible: reversible, Call: raw, MemberRef: k.CustomerID}
	p.Amount, p.Points, p.Coupons = k.totals()
	for _, l := range k.Lines {
		p.Lines = append(p.Lines, l.No)
	}
	return []redeem.LegPlan{p}, nil
}

// checkLines finds what the vendor's call cannot say.
func checkLines(lines []redeem.Line, couponsAsNumbers bool) error {
	seen := map[string]bool{}
	for _, l := range lines {
		at := func(field string) string { return fmt.Sprintf("memberAssetsVerificationList[%d].%s", l.No, field) }
		switch l.Asset {
		case redeem.StoredValue:
			if l.Amount <= 0 || l.Amount > redeem.MaxFen {
				return answer.BadAmount(at("verifyAmount"))
			}
		case redeem.Points:
			if l.Count <= 0 || l.Count > redeem.MaxCount {
				return answer.BadCount(at("verifyCnt"))
			}
		case redeem.Coupon:
			if l.AssetID == "" || (couponsAsNumbers && !digits(l.AssetID)) {
				return answer.BadCoupon(at("assetId"))
			}
			if seen[l.AssetID] {
				return answer.TwiceCoupon(at("assetId"))
			}
			if l.Count < 0 || l.Count > 1 { // one id is one coupon; 0: the till left it out
				return answer.BadCount(at("verifyCnt"))
			}
			seen[l.AssetID] = true
		default:
			return answer.BadAsset(at("assetMappingId"), l.Asset)
		}
	}
	return nil
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

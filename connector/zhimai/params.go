// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// envelope is the body of every V2 call, in the order of the vendor's example. Action
// and Params differ from call to call; Params is documented as an array and shown
// as an object, which it is.
type envelope struct {
	OpenID    string `json:"OpenId"`
	GrantCode string
	Timestamp string
	Nonce     string
	Token     string
	Action    string
	Params    any
}

// consumeParams are all fields of communal.user.consume.
type consumeParams struct {
	BizID           string            `json:"bizId"`
	Channel         string            `json:"channel,omitempty"`
	CustomerID      string            `json:"customerId,omitempty"`
	GroupID         *int64            `json:"groupId,omitempty"`
	CouponsCardList []json.RawMessage `json:"couponsCardList,omitzero"`
	Type            int               `json:"type,omitempty"`
	Amount          string            `json:"amount,omitempty"`
	AppType         string            `json:"appType,omitempty"`
	DeviceSN        string            `json:"deviceSn,omitempty"`
	IP              string            `json:"ip,omitempty"`
	OpType          *int64            `json:"opType,omitempty"`
	OperatorID      *int64            `json:"operatorId,omitempty"`
	OperatorName    string            `json:"operatorName,omitempty"`
	PayPassword     string            `json:"payPassword,omitempty"`
	ProductName     string            `json:"productName,omitempty"`
	Reason          string            `json:"reason,omitempty"`
	Remark          string            `json:"remark,omitempty"`
	UsePassword     string            `json:"usePassword,omitempty"`
	Points          int64             `json:"points,omitempty"`
	MultiMark       string            `json:"multiMark,omitempty"`
}

// reversalParams are what a reversal sends: the consume's returned bizId, by which
// the vendor says that it is reversed, and what every action takes.
type reversalParams struct {
	BizID        string `json:"bizId"`
	Channel      string `json:"channel,omitempty"`
	CustomerID   string `json:"customerId,omitempty"`
	GroupID      *int64 `json:"groupId,omitempty"`
	OperatorID   *int64 `json:"operatorId,omitempty"`
	OperatorName string `json:"operatorName,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Remark       string `json:"remark,omitempty"`
	MultiMark    string `json:"multiMark,omitempty"`
}

// params renders the business parameters of a leg. req adds what is not kept.
func (c *Client) params(key string, k call, req redeem.Request) any {
	operatorName := c.operatorName(k.OperatorID, req)
	if k.Reverses != "" {
		return reversalParams{
			BizID: k.Reverses, Channel: k.Channel, CustomerID: k.CustomerID, GroupID: k.GroupID, OperatorID: k.OperatorID,
			OperatorName: operatorName, Reason: k.Reason, Remark: k.Remark, MultiMark: k.MultiMark,
		}
	}
	amount, points, coupons := k.totals()
	p := consumeParams{
		BizID: key, Channel: k.Channel, CustomerID: k.CustomerID, GroupID: k.GroupID,
		AppType: k.AppType, DeviceSN: k.DeviceSN, IP: k.IP, OpType: k.OpType, OperatorID: k.OperatorID,
		OperatorName: operatorName, ProductName: k.ProductName, Reason: k.Reason, Remark: k.Remark,
		UsePassword: k.UsePassword, Points: points, MultiMark: k.MultiMark,
	}
	// At least one of amount and couponsCardList has to be there, so points alone
	// come with an amount of nothing.
	if amount > 0 || len(coupons) == 0 || k.SendEmpty {
		p.Amount = amount.Yuan()
	}
	if len(coupons) > 0 || k.SendEmpty {
		p.CouponsCardList = couponList(coupons, k.AsNumbers)
	}
	if len(coupons) > 0 && k.ScanCodes {
		p.Type = 1
	}
	if c.cfg.Options.ForwardPaymentToken && answer.IsPaymentCode(req) {
		p.PayPassword = req.PaymentToken
	}
	return p
}

func couponList(ids []string, asNumbers bool) []json.RawMessage {
	list := make([]json.RawMessage, 0, len(ids))
	for _, id := range ids {
		if !asNumbers {
			quoted, _ := json.Marshal(id) // a string always has a JSON form
			id = string(quoted)
		}
		list = append(list, json.RawMessage(id))
	}
	return list
}

// body signs and renders one V2 call.
func (c *Client) body(action string, params any) ([]byte, error) {
	e := envelope{
		OpenID: c.cfg.Credentials.OpenID, GrantCode: c.cfg.Credentials.GrantCode,
		Timestamp: strconv.FormatInt(c.now().Unix(), 10), Nonce: strconv.FormatInt(c.nonce(), 10),
		Action: action, Params: params,
	}
	e.Token = Token(c.cfg.Credentials, c.cfg.TokenKeys, e.Timestamp, e.Nonce)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a remark's "&" is not the vendor's puzzle
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("render %s: %w", action, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

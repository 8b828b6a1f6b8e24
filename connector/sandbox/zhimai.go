// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// zhimaiRequest is the body of every call of Zhimai V2.
type zhimaiRequest struct {
	OpenID    string          `json:"OpenId"`
	GrantCode string          `json:"GrantCode"`
	Token     string          `json:"Token"`
	Timestamp string          `json:"Timestamp"`
	Nonce     string          `json:"Nonce"`
	Action    string          `json:"Action"`
	Params    json.RawMessage `json:"Params"`
}

// Codes of the answers. The vendor's table of codes is not public: these are
// the sandbox's own, and clients must not depend on them.
const (
	zhimaiBadRequest   = "40001"
	zhimaiNoAccount    = "40002"
	zhimaiBadToken     = "40003"
	zhimaiBadTime      = "40004"
	zhimaiNonceReused  = "40005"
	zhimaiNoAction     = "40006"
	zhimaiBadGrant     = "40007"
	zhimaiLimited      = "42900"
	zhimaiBroken       = "50000"
	zhimaiBadParam     = "10001"
	zhimaiNoMember     = "10002"
	zhimaiNoBalance    = "10003"
	zhimaiNoPoints     = "10004"
	zhimaiBadCoupon    = "10005"
	zhimaiBadPassword  = "10006"
	zhimaiNoShop       = "10007"
	zhimaiDuplicate    = "10008"
	zhimaiBadReversal  = "10009"
	zhimaiOtherRefusal = "10010"
)

func (s *Sandbox) serveZhimai(v *visit) {
	req, err := decodeZhimai(v.body)
	if v.r.Method != http.MethodPost {
		err = fmt.Errorf("method %s is not POST", v.r.Method)
	}
	if err != nil {
		v.rejected(err.Error(), zhimaiFault(zhimaiBadRequest, "请求格式错误: "+err.Error()))
		return
	}
	v.call.Method = req.Action
	z := &zhimaiCall{visit: v, req: req}
	z.describe()
	if code, why := s.checkZhimai(req); code != "" {
		v.rejected(why, zhimaiFault(code, why))
		return
	}
	action, ok := s.zhimaiAction(req.Action)
	if !ok {
		v.rejected("unknown Action", zhimaiFault(zhimaiNoAction, "接口方法不存在: "+req.Action))
		return
	}
	z.action = action
	v.deliver(z, s.cfg.Zhimai.RequestsPerSecond)
}

func decodeZhimai(body []byte) (zhimaiRequest, error) {
	var req zhimaiRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return zhimaiRequest{}, err
	}
	if p := bytes.TrimSpace(req.Params); len(p) == 0 || p[0] != '{' {
		return zhimaiRequest{}, errors.New("Params is not an object")
	}
	return req, nil
}

// checkZhimai is the protocol check: who calls, when, and is it signed.
func (s *Sandbox) checkZhimai(req zhimaiRequest) (code, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var account *ZhimaiAccount
	grantKnown := false
	for i, a := range s.zhimai {
		if a.OpenID != req.OpenID {
			continue
		}
		grantKnown = grantKnown || a.GrantCode == req.GrantCode
		if a.GrantCode == req.GrantCode && (account == nil || s.zhimaiTokenOK(&s.zhimai[i], req)) {
			account = &s.zhimai[i]
		}
	}
	now := s.now()
	stamp, err := strconv.ParseInt(req.Timestamp, 10, 64)
	switch {
	case account == nil && !grantKnown && req.OpenID == "":
		return zhimaiNoAccount, "OpenId is missing"
	case account == nil && !s.zhimaiKnows(req.OpenID):
		return zhimaiNoAccount, "OpenId is unknown"
	case account == nil:
		return zhimaiBadGrant, "GrantCode does not belong to OpenId"
	case err != nil:
		return zhimaiBadTime, "Timestamp is not a number of seconds"
	case now.Sub(time.Unix(stamp, 0)).Abs() > time.Duration(s.cfg.Zhimai.Skew):
		return zhimaiBadTime, "Timestamp is too far off"
	case !positiveInteger(req.Nonce):
		return zhimaiNonceReused, "Nonce is not a positive integer"
	case !s.zhimaiTokenOK(account, req):
		return zhimaiBadToken, "Token is wrong"
	case !s.freshNonce(req, now):
		return zhimaiNonceReused, "Nonce was used before"
	}
	return "", ""
}

func (s *Sandbox) zhimaiKnows(openID string) bool {
	for _, a := range s.zhimai {
		if a.OpenID == openID {
			return true
		}
	}
	return false
}

func positiveInteger(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n > 0
}

func (s *Sandbox) zhimaiTokenOK(a *ZhimaiAccount, req zhimaiRequest) bool {
	same := func(capitalised bool) bool {
		want := ZhimaiToken(a.OpenKey, req.OpenID, req.GrantCode, req.Timestamp, req.Nonce, capitalised)
		return subtle.ConstantTimeCompare([]byte(want), []byte(req.Token)) == 1
	}
	switch s.cfg.Zhimai.TokenKeys {
	case "capitalised":
		return same(true)
	case "any":
		return same(false) || same(true)
	}
	return same(false)
}

// freshNonce remembers the nonce as long as its time stamp can be accepted.
func (s *Sandbox) freshNonce(req zhimaiRequest, now time.Time) bool {
	if s.cfg.Zhimai.NonceReuse == "allow" {
		return true
	}
	life := 2 * time.Duration(s.cfg.Zhimai.Skew)
	id := req.OpenID + " " + req.Timestamp + " " + req.Nonce
	if _, used := s.nonces[id]; used {
		return false
	}
	s.nonces[id] = now
	if len(s.nonces)%4096 == 0 {
		for k, t := range s.nonces {
			if now.Sub(t) > life {
				delete(s.nonces, k)
			}
		}
	}
	return true
}

// zhimaiCall is one checked call.
type zhimaiCall struct {
	*visit
	req    zhimaiRequest
	action func(*zhimaiCall, time.Duration) reply
}

func (s *Sandbox) zhimaiAction(name string) (func(*zhimaiCall, time.Duration) reply, bool) {
	actions := map[string]func(*zhimaiCall, time.Duration) reply{
		"communal.user.consume":              (*zhimaiCall).consume,
		"communal.user.gether-customer-info": (*zhimaiCall).customerInfo,
		"user.wealth-bills":                  (*zhimaiCall).wealthBills,
		"user.coupon-new-status":             (*zhimaiCall).couponStatus,
	}
	if r := s.cfg.Zhimai.ReversalAction; r != "" {
		actions[r] = (*zhimaiCall).reverse
	}
	a, ok := actions[name]
	return a, ok
}

// describe fills the call record from Params without judging them.
func (z *zhimaiCall) describe() {
	var p map[string]json.RawMessage
	if json.Unmarshal(z.req.Params, &p) != nil {
		return
	}
	z.call.Key = looseText(p["bizId"])
	for _, name := range []string{"customerId", "identifierNumber", "user_id"} {
		if m := looseText(p[name]); m != "" {
			z.call.Members = append(z.call.Members, m)
		}
	}
}

// looseText reads a JSON text or number as text, anything else as empty.
func looseText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

func (z *zhimaiCall) apply(hide time.Duration) reply { return z.action(z, hide) }

func (z *zhimaiCall) refused(code, message string) reply {
	return zhimaiRefusal(or(code, zhimaiOtherRefusal), or(message, "业务处理失败"))
}

func (z *zhimaiCall) limited(seconds int) reply {
	return zhimaiFault(zhimaiLimited, fmt.Sprintf("请求过于频繁，请%d秒后再试", seconds))
}

func (z *zhimaiCall) systemError(code, message string) reply {
	return zhimaiFault(or(code, zhimaiBroken), or(message, "系统错误"))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// zhimaiRefusal is the document's answer for a business refusal: status true
// and a code that is not 0.
func zhimaiRefusal(code, message string) reply {
	return jsonReply(object{{"status", true}, {"code", code}, {"message", message}}.json(false))
}

// zhimaiFault is the document's answer for a failure of the system.
func zhimaiFault(code, message string) reply {
	return jsonReply(object{{"status", false}, {"code", code}, {"message", message}}.json(false))
}

func jsonReply(body []byte) reply {
	return reply{http.StatusOK, "application/json;charset=UTF-8", body}
}

// ok is the outer answer around data.
func (z *zhimaiCall) ok(data any) reply {
	return jsonReply(object{{"status", z.yes()}, {"code", z.number(0)}, {"message", "操作成功"}, {"data", data}}.json(false))
}

func (z *zhimaiCall) sampleTypes() bool { return z.s.cfg.Zhimai.ReplyTypes == "sample" }

func (z *zhimaiCall) yes() any {
	if z.sampleTypes() {
		return "true"
	}
	return true
}

// number is an integer, as a text where the document's samples show texts.
func (z *zhimaiCall) number(n int64) any {
	if z.sampleTypes() {
		return strconv.FormatInt(n, 10)
	}
	return n
}

// yuanNumber is an amount in yuan for fields whose type is number.
func (z *zhimaiCall) yuanNumber(fen int64) any {
	if z.sampleTypes() {
		return yuan(fen)
	}
	return json.Number(yuan(fen))
}

// yuan writes fen as yuan with two decimals.
func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// parseYuan reads a non-negative amount with exactly two decimals, the only
// form that the document describes.
func parseYuan(s string) (fen int64, err error) {
	whole, cents, ok := strings.Cut(s, ".")
	if !ok || len(cents) != 2 || whole == "" || len(whole) > 12 || !digits(whole) || !digits(cents) {
		return 0, fmt.Errorf("%q is not an amount in yuan with two decimals", s)
	}
	return strconv.ParseInt(whole+cents, 10, 64)
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// unknownFields lists the keys of the object raw that into, a pointer to a
// struct with json tags, has no field for.
func unknownFields(raw []byte, into any) []string {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	t := reflect.TypeOf(into).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		delete(m, name)
	}
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
)

// Credentials of a brand at Zhimai. It prints as nothing.
type Credentials struct {
	OpenID, OpenKey, GrantCode string
}

// String keeps the key out of logs.
func (Credentials) String() string { return "[redacted]" }

// GoString keeps the key out of logs.
func (Credentials) GoString() string { return "[redacted]" }

// LogValue keeps the key out of logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Config is what a brand says about Zhimai.
type Config struct {
	// Endpoint is the one URL of the V2 interface.
	Endpoint    string
	Credentials Credentials
	// TokenKeys is how the signed names are written, default LowerCamel.
	TokenKeys Keys
	// Shops maps kryShopId to multiMark, for shops whose codes differ; a shop that
	// is not in it has its kryShopId as multiMark.
	Shops map[string]string
	// Operators maps Keruyun's operatorId to the operator, for those who are named
	// otherwise; they come before Options.OperatorID and Options.OperatorName.
	Operators map[string]Operator
	// Options are the fields of the call that a request does not decide.
	Options Options
	// ReversalAction is the V2 action that reverses a consume. It is not published;
	// empty: reversals are rejected and wait for a person.
	ReversalAction string
	// RateLimitCodes are codes by which the vendor says that the call came too fast
	// and was not executed. Such a call may be made again.
	RateLimitCodes []string
	// NotExecutedCodes are codes of system failures (status false) of which the
	// vendor has confirmed that nothing was executed. Any other system failure
	// leaves the outcome unknown.
	NotExecutedCodes []string
	// TrustRepeatRefusals takes a refusal of a repeated bizId for the fate of the
	// first call. Off by default: the vendor may refuse a repeat because the first
	// call was executed ("bizId exists", "balance too low").
	TrustRepeatRefusals bool
	// ChangeAmountsInFen reads change_recharge_amount and change_gift_amount as fen.
	// Their unit is not documented; the amounts beside them are yuan, the default.
	ChangeAmountsInFen bool
}

// Operator is an operator as the vendor knows him.
type Operator struct {
	ID   int64  // operatorId
	Name string // operatorName, personal; empty: the request's
}

// Options are constants of a brand for fields of communal.user.consume. An empty
// text and a nil number leave the field out, unless said otherwise.
type Options struct {
	Channel     string // channel 账户名
	GroupID     *int64 // groupId 集团ID
	AppType     string // appType
	DeviceSN    string // deviceSn 收银机识别码; empty: the request's kryDeviceId
	IP          string // ip 终端ip
	OpType      *int64 // opType 操作类型
	OperatorID  *int64 // operatorId 操作员id; nil: the request's operatorId where it is a number
	ProductName string // productName 商品名称字段
	Reason      string // reason 改变原因
	Remark      string // remark 流水备注; empty: the order and the payment number
	UsePassword string // usePassword 是否使用密码

	// OperatorName is operatorName 操作员名称; empty: the request's. It is personal, so
	// a call that is repeated from the ledger goes without the request's.
	OperatorName string
	// CouponsAreScanCodes says that a coupon line's assetId is the code that was
	// scanned (type=1) and not the member's coupon id. The member's id is then only
	// needed for stored value and points.
	CouponsAreScanCodes bool
	// CouponsAsNumbers writes couponsCardList as JSON numbers, digit for digit, in
	// place of strings.
	CouponsAsNumbers bool
	// SendEmpty writes amount "0.00" and an empty couponsCardList where there is no
	// stored value or no coupon, in place of leaving the field out. The document
	// calls both required and asks for at least one of them.
	SendEmpty bool
	// ForwardPaymentToken sends the request's paymentToken as payPassword when it is a
	// payment code (PAYMENT_TOKEN, or no type). The number of a chip card is no
	// password and is left out; a token of any other type is rejected. Off by
	// default: then no token is looked at. The token is never kept: a call repeated
	// from the ledger goes without it.
	ForwardPaymentToken bool
}

// Deps are what a Client needs from its surroundings.
type Deps struct {
	HTTP oneshot.Doer
	// Now is the clock, default time.Now.
	Now func() time.Time
	// Nonce returns a fresh random positive integer, default from crypto/rand.
	Nonce func() int64
	// TracerProvider, default none.
	TracerProvider trace.TracerProvider
	// Logger, default none.
	Logger *slog.Logger
}

// check names the first field that is wrong.
func (c Config) check() error {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("zhimai.endpoint: not an http or https URL")
	}
	for name, value := range map[string]string{
		"openId": c.Credentials.OpenID, "openKey": c.Credentials.OpenKey, "grantCode": c.Credentials.GrantCode,
	} {
		if value == "" {
			return fmt.Errorf("zhimai credentials: %s is empty", name)
		}
	}
	switch c.TokenKeys {
	case "", LowerCamel, Capitalized:
		return nil
	}
	return fmt.Errorf("zhimai.tokenKeys: %q is neither %s nor %s", c.TokenKeys, LowerCamel, Capitalized)
}

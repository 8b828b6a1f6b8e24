// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
)

// Credentials of an app at TOP. It prints as nothing.
type Credentials struct {
	AppKey, AppSecret string
	// Session is sent when it is not empty; whether ALSC needs one depends on the
	// app's authorisation.
	Session string
}

// String keeps the secret out of logs.
func (Credentials) String() string { return "[redacted]" }

// GoString keeps the secret out of logs.
func (Credentials) GoString() string { return "[redacted]" }

// LogValue keeps the secret out of logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Account says which of the CRM's accounts stored value is taken from.
type Account string

const (
	// ByCustomer: the member's account, customer_id = thirdMemberId. The default.
	ByCustomer Account = "Customer"
	// ByCard: the account of a card, card_id = the line's assetId.
	ByCard Account = "Card"
	// ByBoth sends both.
	ByBoth Account = "CustomerAndCard"
)

// Shop is a shop as the CRM knows it; at most one of the two is set.
type Shop struct {
	ID    string // shop_id, the CRM's own
	OutID string // out_shop_id, the caller's
}

// Config is what a brand says about ALSC.
type Config struct {
	// Endpoint of the TOP gateway.
	Endpoint    string
	Credentials Credentials
	// SignMethod, default hmac-sha256.
	SignMethod SignMethod
	// Simplify asks for answers without the wrapping root and lists. Both forms are
	// read whatever is asked.
	Simplify bool
	// BrandID is brand_id, the CRM's own. Empty: out_brand_id is sent, OutBrandID or
	// else kryBrandId. open.assert.verify knows no outer ids: points and coupons
	// need BrandID and, for each shop, Shop.ID.
	BrandID, OutBrandID string
	// Shops maps kryShopId to the CRM's shop; a shop that is not in it is sent as
	// out_shop_id = kryShopId.
	Shops map[string]Shop
	// BizChannel is biz_channel, default KRY (Keruyun).
	BizChannel string
	// OperatorID is used when the request has no operatorId; the CRM requires one.
	OperatorID string
	// Operators maps Keruyun's operatorId to the CRM's, for those that differ.
	Operators map[string]string
	// Account, default Customer.
	Account Account
	// ChipCardIsCardID sends the paymentToken of a request as card_id of its
	// stored-value line, in place of assetId, when it is the number of a card's chip
	// (PHYSICAL_CHIP_CARD_NO). Off by default: the CRM tells a card's id and its physical
	// number apart. Needs an Account that names a card. The number is never kept: a call
	// repeated from the ledger cannot be made.
	ChipCardIsCardID bool
	// Remark is the remark of each spend, ExtInfo its ext_info: a JSON object as
	// text.
	Remark, ExtInfo string
	// TrustRepeatRefusals takes a refusal of a repeated request_id for the fate of
	// the first call. Off by default: what a repeat is answered is not documented,
	// and it may be refused because the first call was executed.
	TrustRepeatRefusals bool
	// NotFoundCodes are result_codes and sub_codes by which a look-up says that there
	// is no such flow. Without them only a success without a flow says so.
	NotFoundCodes []string
}

// Deps are what a Client needs from its surroundings.
type Deps struct {
	HTTP oneshot.Doer
	// Now is the clock, default time.Now.
	Now func() time.Time
	// TracerProvider, default none.
	TracerProvider trace.TracerProvider
	// Logger, default none.
	Logger *slog.Logger
}

// filled is c with its defaults, or an error that names the first wrong field.
func (c Config) filled() (Config, error) {
	if c.SignMethod == "" {
		c.SignMethod = HMACSHA256
	}
	if c.BizChannel == "" {
		c.BizChannel = "KRY"
	}
	if c.Account == "" {
		c.Account = ByCustomer
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return c, errors.New("alsc.endpoint: not an http or https URL")
	case c.Credentials.AppKey == "":
		return c, errors.New("alsc credentials: appKey is empty")
	case c.Credentials.AppSecret == "":
		return c, errors.New("alsc credentials: appSecret is empty")
	case Sign(c.SignMethod, "", nil) == "":
		return c, fmt.Errorf("alsc.signMethod: %q is none of md5, hmac, hmac-sha256", c.SignMethod)
	case c.Account != ByCustomer && c.Account != ByCard && c.Account != ByBoth:
		return c, fmt.Errorf("alsc.account: %q is none of Customer, Card, CustomerAndCard", c.Account)
	case c.ChipCardIsCardID && c.Account == ByCustomer:
		return c, errors.New("alsc.chipCard: needs account Card or CustomerAndCard")
	case c.ExtInfo != "" && json.Unmarshal([]byte(c.ExtInfo), &map[string]any{}) != nil:
		return c, errors.New("alsc.extInfo: not a JSON object")
	}
	for kry, shop := range c.Shops {
		if shop.ID != "" && shop.OutID != "" {
			return c, fmt.Errorf("alsc.shops[%s]: both ids are set, one is enough", kry)
		}
	}
	return c, nil
}

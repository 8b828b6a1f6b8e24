// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// Config is what a sandbox starts with. The zero value of a switch means its
// default, which is the first value that its comment names.
type Config struct {
	// Seed makes probabilities of faults repeatable.
	Seed uint64 `json:"seed,omitempty"`
	// Split is gift-first or real-first: which stored value is spent first.
	Split books.Split `json:"split,omitempty"`
	// BooksFile keeps the books on disk; empty keeps them in memory.
	BooksFile string `json:"books_file,omitempty"`
	// CallLog is how many calls are remembered at least, default 10000.
	CallLog int `json:"call_log,omitempty"`
	// SpanLog is how many spans are remembered, default 100000.
	SpanLog int `json:"span_log,omitempty"`

	Zhimai  ZhimaiConfig   `json:"zhimai,omitempty"`
	ALSC    ALSCConfig     `json:"alsc,omitempty"`
	Members []books.Member `json:"members,omitempty"`
	Faults  []fault.Rule   `json:"faults,omitempty"`
}

// ZhimaiAccount is one set of Zhimai credentials.
type ZhimaiAccount struct {
	OpenID    string `json:"open_id"`
	OpenKey   string `json:"open_key"`
	GrantCode string `json:"grant_code"`
}

// ZhimaiConfig sets how Zhimai behaves.
type ZhimaiConfig struct {
	Accounts []ZhimaiAccount `json:"accounts,omitempty"`
	// TokenKeys is lower, capitalised or any: how the keys of the signed text
	// are written. The only published example has them in lower camel case.
	TokenKeys string `json:"token_keys,omitempty"`
	// Skew is how far Timestamp may be off, default 5m.
	Skew fault.Duration `json:"skew,omitempty"`
	// NonceReuse is refuse or allow.
	NonceReuse string `json:"nonce_reuse,omitempty"`
	// DuplicateBizID is execute, refuse or replay: what a repeated bizId does.
	// Nothing documents that it is idempotent, so it is not.
	DuplicateBizID string `json:"duplicate_biz_id,omitempty"`
	// ReturnedBizID is own or echo: whether the answer's bizId, which is the
	// one that counts for a reversal, differs from the request's.
	ReturnedBizID string `json:"returned_biz_id,omitempty"`
	// ReversalAction is the Action that reverses a consume; empty: there is none.
	ReversalAction string `json:"reversal_action,omitempty"`
	// ReplyTypes is sample or table: texts as the document's samples show them
	// ("true", "0"), or the types that its tables name (true, 0).
	ReplyTypes string `json:"reply_types,omitempty"`
	// BillOrderNo is biz_id or returned: what user.wealth-bills calls order_no.
	BillOrderNo string `json:"bill_order_no,omitempty"`
	// BillSign is signed or absolute: whether a spend's change_amount is negative.
	BillSign string `json:"bill_sign,omitempty"`
	// Shops are the known values of multiMark; empty: any.
	Shops []string `json:"shops,omitempty"`
	// RequestsPerSecond limits calls per Action; 0: no limit.
	RequestsPerSecond int `json:"requests_per_second,omitempty"`
}

// TOPApp is one set of TOP credentials.
type TOPApp struct {
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	// Session, when set, must come with each call.
	Session string `json:"session,omitempty"`
}

// ALSCBrand is a brand under the vendor's own id and under the caller's.
type ALSCBrand struct {
	ID    string `json:"id"`
	OutID string `json:"out_id,omitempty"`
}

// ALSCConfig sets how TOP and ALSC behave.
type ALSCConfig struct {
	Apps []TOPApp `json:"apps,omitempty"`
	// Skew is how far timestamp may be off, default 10m.
	Skew fault.Duration `json:"skew,omitempty"`
	// DuplicateRequestID is replay or refuse: what a repeated request_id with
	// the same content gets. It is never executed again.
	DuplicateRequestID string `json:"duplicate_request_id,omitempty"`
	// FlowNotFound is refuse or empty: biz_success false, or true without a
	// result, for a flow that does not exist.
	FlowNotFound string `json:"flow_not_found,omitempty"`
	// RefundScope is all or listed: whether assert.refund with a
	// voucher_id_list also gives back value and points.
	RefundScope string `json:"refund_scope,omitempty"`
	// Brands are the known brands; empty: any.
	Brands []ALSCBrand `json:"brands,omitempty"`
	// RequestsPerSecond limits calls per method; 0: no limit.
	RequestsPerSecond int `json:"requests_per_second,omitempty"`
}

// LoadConfig reads a YAML file; a key that it does not know is an error.
func LoadConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	c, err := ParseConfig(raw)
	if err != nil {
		return Config{}, fmt.Errorf("config %s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads YAML; a key that it does not know is an error.
func ParseConfig(raw []byte) (Config, error) {
	var c Config
	if err := yaml.UnmarshalStrict(raw, &c); err != nil {
		return Config{}, err
	}
	return c.withDefaults()
}

// withDefaults fills what is empty and names the first field that is wrong.
func (c Config) withDefaults() (Config, error) {
	choices := []struct {
		field string
		value *string
		of    []string
	}{
		{"split", (*string)(&c.Split), []string{string(books.GiftFirst), string(books.RealFirst)}},
		{"zhimai.token_keys", &c.Zhimai.TokenKeys, []string{"lower", "capitalised", "any"}},
		{"zhimai.nonce_reuse", &c.Zhimai.NonceReuse, []string{"refuse", "allow"}},
		{"zhimai.duplicate_biz_id", &c.Zhimai.DuplicateBizID, []string{"execute", "refuse", "replay"}},
		{"zhimai.returned_biz_id", &c.Zhimai.ReturnedBizID, []string{"own", "echo"}},
		{"zhimai.reply_types", &c.Zhimai.ReplyTypes, []string{"sample", "table"}},
		{"zhimai.bill_order_no", &c.Zhimai.BillOrderNo, []string{"biz_id", "returned"}},
		{"zhimai.bill_sign", &c.Zhimai.BillSign, []string{"signed", "absolute"}},
		{"alsc.duplicate_request_id", &c.ALSC.DuplicateRequestID, []string{"replay", "refuse"}},
		{"alsc.flow_not_found", &c.ALSC.FlowNotFound, []string{"refuse", "empty"}},
		{"alsc.refund_scope", &c.ALSC.RefundScope, []string{"all", "listed"}},
	}
	for _, ch := range choices {
		if *ch.value == "" {
			*ch.value = ch.of[0]
		}
		if !slices.Contains(ch.of, *ch.value) {
			return Config{}, fmt.Errorf("%s: %q is unknown, use one of %v", ch.field, *ch.value, ch.of)
		}
	}
	numbers := []struct {
		field string
		value *int
		unset int
	}{
		{"call_log", &c.CallLog, 10000},
		{"span_log", &c.SpanLog, 100000},
		{"zhimai.requests_per_second", &c.Zhimai.RequestsPerSecond, 0},
		{"alsc.requests_per_second", &c.ALSC.RequestsPerSecond, 0},
	}
	for _, n := range numbers {
		if *n.value < 0 {
			return Config{}, fmt.Errorf("%s: %d is negative", n.field, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.unset
		}
	}
	c.Zhimai.Skew = orDuration(c.Zhimai.Skew, 5*time.Minute)
	c.ALSC.Skew = orDuration(c.ALSC.Skew, 10*time.Minute)
	return c, c.validate()
}

func orDuration(d fault.Duration, unset time.Duration) fault.Duration {
	if d <= 0 {
		return fault.Duration(unset)
	}
	return d
}

func (c Config) validate() error {
	for i, a := range c.Zhimai.Accounts {
		if a.OpenID == "" || a.OpenKey == "" || a.GrantCode == "" {
			return fmt.Errorf("zhimai.accounts[%d]: open_id, open_key and grant_code must be given", i)
		}
	}
	for i, a := range c.ALSC.Apps {
		if a.AppKey == "" || a.AppSecret == "" {
			return fmt.Errorf("alsc.apps[%d]: app_key and app_secret must be given", i)
		}
	}
	return nil
}

// DemoConfig is the built-in set that is used when no configuration is given:
// a brand whose member 1001 has value, points and coupons at both vendors.
// The credentials are of no use elsewhere.
func DemoConfig() Config {
	c, err := Config{
		Zhimai: ZhimaiConfig{
			Accounts: []ZhimaiAccount{{OpenID: "demo-open-id", OpenKey: "demo-open-key", GrantCode: "demo-grant"}},
		},
		ALSC: ALSCConfig{
			Apps: []TOPApp{{AppKey: "12345678", AppSecret: "demo-app-secret"}},
		},
		Members: []books.Member{
			{
				Vendor: books.Zhimai, ID: "1001", CardID: "880000001001", Name: "张三", Mobile: "15000001111",
				Balance: books.Money{Real: 80000, Gift: 20000}, Points: 5000,
				Coupons: []books.Coupon{
					{ID: "390962138708451328", ScanCode: "ZM100000000001", Title: "满100减20", FaceFen: 2000},
					{ID: "390962138708451329", ScanCode: "ZM100000000002", Title: "满50减5", FaceFen: 500},
				},
			},
			{
				Vendor: books.ALSC, ID: "1001", CardID: "7328763784623", AccountID: "7627347265",
				Name: "张三", Mobile: "15000001111",
				Balance: books.Money{Real: 80000, Gift: 20000, Pre: 10000}, Points: 5000,
				Coupons: []books.Coupon{
					{ID: "490962138708451328", Title: "代金券20元", FaceFen: 2000},
					{ID: "490962138708451329", Title: "代金券5元", FaceFen: 500},
				},
			},
		},
	}.withDefaults()
	if err != nil {
		panic("sandbox: the built-in configuration is wrong: " + err.Error())
	}
	return c
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"encoding/json"
	"time"
)

// Action is what the point of sale asked for; the values are Keruyun's.
type Action string

const (
	Verify        Action = "VERIFY"
	ReverseVerify Action = "REVERSE_VERIFY"
)

// Asset is the kind of a member's asset; the values are those of a route of a
// BrandConnector.
type Asset string

const (
	StoredValue Asset = "StoredValue"
	Coupon      Asset = "Coupon"
	Points      Asset = "Points"
)

// Request is one verify or reverse call of the point of sale, decoded and
// authenticated. Personal fields are used for the vendor call and are not kept.
type Request struct {
	Action                      Action
	BrandID, BizID              string // kryBrandId, bizId: the idempotency key
	ShopID                      string // kryShopId
	TransOrderNo, PaymentNo     string // kryTransOrderNo, kryPaymentNo
	RefundPaymentNo             string // kryRefundPaymentNo, reversals only
	ThirdFlowNo                 string // thirdFlowNo, reversals only: FlowID of the redemption to undo
	KryMemberID, MemberID       string // kryMemberId, thirdMemberId
	Mobile                      string // personal
	PaymentToken                string // secret
	PaymentTokenType            string // PHYSICAL_CHIP_CARD_NO or PAYMENT_TOKEN
	RequestID                   string
	OperatorID, OperatorName    string // the name is personal
	DeviceID                    string
	CallInterface, CallMethod   string
	Lines                       []Line
	TraceID                     string // 32 hex digits: messageUuid of the reply
	ReceivedAt, ReplyDeadlineAt time.Time
}

// Line is one asset of a request. Amount is in fen, Count in pieces (vouchers) or
// points; which of the two counts is the route's asset.
type Line struct {
	No             int // position in the request, from 0
	AssetMappingID string
	AssetID        string
	Amount         Fen
	Count          int64
	// Asset and Provider are filled by planning, from the brand's routes.
	Asset    Asset
	Provider string
	// Result is filled from the leg's outcome.
	Result LineResult
}

// LineResult is what became of a line. Status is empty until it is known.
type LineResult struct {
	Kind              Kind
	Code, Cashier     string
	Total, Real, Gift Fen
	// Reversed sums what later reversals took back: never more than Total.
	Reversed      Fen
	ReversedCount int64
}

// State of a leg. The legal edges are in Edges; the ledger enforces them.
type State string

const (
	// StateSent: the intent is durable; bytes may be on their way. Entered by the
	// record commit, before the first byte.
	StateSent State = "sent"
	// StateNotSent: proof that nothing left. A repeat of the bizId sends it again.
	StateNotSent State = "not_sent"
	// StateUnknown: in doubt; the resolver's.
	StateUnknown State = "unknown"
	// StateExecuted and StateRefused are final.
	StateExecuted State = "executed"
	StateRefused  State = "refused"
)

// Edges lists every legal change of a leg's state. Anything else is refused by the
// ledger whoever asks.
var Edges = map[State][]State{
	StateSent:    {StateExecuted, StateRefused, StateNotSent, StateUnknown},
	StateNotSent: {StateSent, StateRefused},
	StateUnknown: {StateExecuted, StateRefused},
}

// Leg is what one vendor call carries.
type Leg struct {
	No        int
	Provider  string // "zhimai", "alsc"
	Operation string // "communal.user.consume", "alibaba.alsc.crm.recharge.dedut.update"
	// Key is the upstream key (Zhimai bizId, ALSC request_id and outer_order_id),
	// a function of brand, action, bizId and leg number: the same for ever.
	Key        string
	Lines      []int // Line.No
	Reversible bool
	// Call is what is needed to make the same call again, and nothing personal or
	// secret: the vendor package's own JSON.
	Call json.RawMessage
	// MemberRef is the member as the vendor knows it (customer or card id), to
	// match a look-up's answer against.
	MemberRef string
	Amount    Fen // money part in fen
	Points    int64
	Coupons   []string

	State State
	// Epoch fences: every change names the epoch it believes in, and taking a
	// lease raises it, so that a process that slept cannot write.
	Epoch      int64
	LeaseOwner string
	LeaseUntil time.Time
	// NextCheck is when the resolver is due; zero: a person is (Manual).
	NextCheck time.Time
	Checks    int
	// NotFound counts consecutive "not found" look-ups past the settle window.
	NotFound int
	// SentAt is the time of the last transition to sent; UnknownAt of the first to unknown.
	SentAt, UnknownAt, ResolvedAt time.Time
	Outcome                       Outcome
}

// Redemption is one verify or reverse request and everything known of it.
type Redemption struct {
	Action           Action
	BrandID, BizID   string
	FlowID           string // our own identity of it: Keruyun's flowId, thirdFlowNo later
	ShopID           string
	TransOrderNo     string
	PaymentNo        string
	RefundPaymentNo  string
	KryMemberID      string
	MemberID         string
	MemberName       string // what a reply must repeat; empty when the vendor gave none
	MobileHash       string // keyed hash, hex; empty without a mobile
	RequestID        string
	OperatorID       string
	TraceID          string
	Fingerprint      []byte // of the economic content
	FingerprintVer   int
	ReversesBizID    string // reversals: bizId of the redemption that is undone
	Lines            []Line
	Legs             []Leg
	Answer           []byte // the reply, byte for byte, once concluded
	CreatedAt        time.Time
	UpdatedAt        time.Time
	ConcludedAt      time.Time
	Contradiction    bool // there is evidence against what was concluded of a leg: alarm
	PolicyOnPartial  string
	PolicyOnInDoubt  map[string]string // by provider, as configured when recorded
	ConfigRevision   string
	ConnectorVersion string
}

// Key identifies a redemption.
type Key struct {
	BrandID string
	Action  Action
	BizID   string
}

// Key of r.
func (r *Redemption) Key() Key { return Key{r.BrandID, r.Action, r.BizID} }

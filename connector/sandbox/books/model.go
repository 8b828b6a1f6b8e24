// SPDX-License-Identifier: Apache-2.0

package books

import (
	"fmt"
	"slices"
	"time"
)

// Vendor names one of the two CRMs that the sandbox plays.
type Vendor string

// The vendors.
const (
	Zhimai Vendor = "zhimai"
	ALSC   Vendor = "alsc"
)

// Coupon states, as Zhimai numbers them (user.coupon-new-status, useStatus).
const (
	CouponUnused   = 0 // unused, or reversed
	CouponRedeemed = 1
	CouponFrozen   = 2
	CouponExpired  = 6
	CouponDeleted  = 7
)

// Money is stored value by pocket, in fen.
type Money struct {
	Real int64 `json:"real"`          // paid in
	Gift int64 `json:"gift"`          // given
	Pre  int64 `json:"pre,omitempty"` // prepaid; ALSC only
}

// Total is the sum of the pockets, in fen.
func (m Money) Total() int64 { return m.Real + m.Gift + m.Pre }

func (m Money) plus(o Money) Money {
	return Money{Real: m.Real + o.Real, Gift: m.Gift + o.Gift, Pre: m.Pre + o.Pre}
}

func (m Money) minus(o Money) Money {
	return Money{Real: m.Real - o.Real, Gift: m.Gift - o.Gift, Pre: m.Pre - o.Pre}
}

func (m Money) negative() bool { return m.Real < 0 || m.Gift < 0 || m.Pre < 0 }

// Coupon is one coupon of one member.
type Coupon struct {
	ID string `json:"id"` // decimal text: real ids exceed 2^53

	// ScanCode is what the till scans (Zhimai, type=1).
	ScanCode string `json:"scan_code,omitempty"`
	Title    string `json:"title,omitempty"`
	FaceFen  int64  `json:"face_fen,omitempty"`
	Status   int    `json:"status"`
}

// Member is one member of one vendor with one stored-value account.
type Member struct {
	Vendor    Vendor `json:"vendor"`
	ID        string `json:"id"` // Zhimai customerId, ALSC customer_id
	CardID    string `json:"card_id,omitempty"`
	AccountID string `json:"account_id,omitempty"` // ALSC; the card id when empty
	Name      string `json:"name,omitempty"`
	Mobile    string `json:"mobile,omitempty"`
	OpenID    string `json:"open_id,omitempty"`   // WeChat
	UnionID   string `json:"union_id,omitempty"`  // WeChat
	AlipayID  string `json:"alipay_id,omitempty"` // Alipay

	Balance Money    `json:"balance"` // fen
	Points  int64    `json:"points,omitempty"`
	Coupons []Coupon `json:"coupons,omitempty"`

	// PayPassword is compared when the caller says that a password is used,
	// or always when PasswordRequired is set.
	PayPassword      string `json:"pay_password,omitempty"`
	PasswordRequired bool   `json:"password_required,omitempty"`
	Disabled         bool   `json:"disabled,omitempty"`
}

func (m *Member) clone() Member {
	c := *m
	c.Coupons = slices.Clone(m.Coupons)
	return c
}

func (m *Member) coupon(id string) *Coupon {
	for i := range m.Coupons {
		if m.Coupons[i].ID == id {
			return &m.Coupons[i]
		}
	}
	return nil
}

// Kind says what an entry did to the member.
type Kind string

// The kinds of entry.
const (
	KindSpend   Kind = "spend"
	KindReverse Kind = "reverse"
)

// Entry is one booked change. Amounts are magnitudes: Kind tells the sign.
type Entry struct {
	Seq       int64     `json:"seq"`
	Time      time.Time `json:"time"`
	Kind      Kind      `json:"kind"`
	Vendor    Vendor    `json:"vendor"`
	Method    string    `json:"method"`
	Key       string    `json:"key"`     // bizId or outer_order_id of this change
	FlowID    string    `json:"flow_id"` // the vendor's own number of it
	RequestID string    `json:"request_id,omitempty"`
	Member    string    `json:"member"`
	Shop      string    `json:"shop,omitempty"`
	Operator  string    `json:"operator,omitempty"`
	Remark    string    `json:"remark,omitempty"`

	AmountFen int64    `json:"amount_fen"`
	Split     Money    `json:"split"` // of AmountFen, fen
	Points    int64    `json:"points,omitempty"`
	Coupons   []string `json:"coupons,omitempty"`

	Before Money `json:"before"` // fen
	After  Money `json:"after"`  // fen

	// Reverses is the Key of the entry that this one gives back, and
	// ReversesSeq its Seq.
	Reverses    string `json:"reverses,omitempty"`
	ReversesSeq int64  `json:"reverses_seq,omitempty"`

	// Fingerprint identifies the content of the request under RequestID, and
	// Note is what the vendor needs to give the same answer again.
	Fingerprint string `json:"fingerprint,omitempty"`
	Note        string `json:"note,omitempty"`
}

// Split is the order in which a spend takes from the pockets.
type Split string

// The orders: given value first, or paid-in value first. Prepaid value comes
// in between.
const (
	GiftFirst Split = "gift-first"
	RealFirst Split = "real-first"
)

// take splits amount over the pockets of have; amount ≤ have.Total().
func (s Split) take(have Money, amount int64) Money {
	var out Money
	pockets := []struct{ from, to *int64 }{{&have.Gift, &out.Gift}, {&have.Pre, &out.Pre}, {&have.Real, &out.Real}}
	if s == RealFirst {
		slices.Reverse(pockets)
	}
	for _, p := range pockets {
		n := min(amount, *p.from)
		*p.to += n
		amount -= n
	}
	return out
}

// giveBack splits amount over what is still out, last taken first returned.
func (s Split) giveBack(out Money, amount int64) Money {
	if s == RealFirst {
		return GiftFirst.take(out, amount)
	}
	return RealFirst.take(out, amount)
}

// Refusal is a business reason not to book. It is a value that callers
// compare with errors.As; Field names the offending input.
type Refusal struct {
	Reason Reason
	Field  string
	Detail string
}

// Reason is why the books refuse.
type Reason string

// The reasons.
const (
	NoMember          Reason = "no such member"
	MemberDisabled    Reason = "member disabled"
	InsufficientValue Reason = "insufficient stored value"
	InsufficientPoint Reason = "insufficient points"
	NoCoupon          Reason = "no such coupon"
	CouponNotUsable   Reason = "coupon not usable"
	DuplicateKey      Reason = "key already used"
	NoOriginal        Reason = "nothing booked under the original key"
	OverReversal      Reason = "more than what is left to reverse"
	NothingToDo       Reason = "nothing to book"
)

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s (%s): %s", r.Reason, r.Field, r.Detail)
}

func refuse(reason Reason, field, format string, args ...any) error {
	return &Refusal{Reason: reason, Field: field, Detail: fmt.Sprintf(format, args...)}
}

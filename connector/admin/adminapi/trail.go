// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"context"
	"net/http"
	"time"
)

// Search names redemptions. The conditions that are set add up; at least one is.
type Search struct {
	BizID, OrderNo, PaymentNo, TraceID, FlowID string
}

// Trails is the answer of GET /redemptions: newest first.
type Trails struct {
	BrandID string    `json:"brandId"`
	At      time.Time `json:"at"`
	Items   []Trail   `json:"items"`
	// Retired is what retention left of others; only bizId and flowId still find it.
	Retired   []Retired `json:"retired,omitempty"`
	Totals    Totals    `json:"totals"`
	Truncated bool      `json:"truncated,omitempty"`
}

// Trail is one redemption from the till's call to the reply, with its reversals in
// full, and whether the ledger is as it was written.
type Trail struct {
	Redemption Redemption `json:"redemption"`
	Conclusion Conclusion `json:"conclusion"`
	Chain      Chain      `json:"chain"`
	// Reversals of it, oldest first, in full. Where a search finds a redemption and its
	// reversal, the reversal is here alone.
	Reversals []Trail `json:"reversals,omitempty"`
}

// The words of a Conclusion.
const (
	WordRedeemed    = "redeemed"        // all of it; of a reversal: given back
	WordPartly      = "partly-redeemed" // some of it, and that is final
	WordNotRedeemed = "not-redeemed"    // nothing, and that is final
	WordUndone      = "undone"          // redeemed in part and given back by the connector
	WordInDoubt     = "in-doubt"        // a call was made, and its fate is not known
	WordUnderWay    = "under-way"       // a call is being made
	WordNotSent     = "not-sent"        // nothing left; a repeat of the bizId sends it
)

// Conclusion is how one redemption stands. Each line counts in exactly one sum.
type Conclusion struct {
	Word    string `json:"word"`
	Done    Sum    `json:"done"`    // redeemed; of a reversal: given back
	Refused Sum    `json:"refused"` // not, and it will not be
	Open    Sum    `json:"open"`    // not known, or not sent
	// WaitsForPerson: the connector does not find out by itself, or an alarm was raised.
	WaitsForPerson bool `json:"waitsForPerson"`
}

// Sum is an amount of each kind of asset.
type Sum struct {
	Fen     int64 `json:"fen"`
	Coupons int64 `json:"coupons"`
	Points  int64 `json:"points"`
}

// Totals of the redemptions of an answer and of their reversals:
// redeemed - givenBack = net, as far as it is known.
type Totals struct {
	Redeemed    Sum `json:"redeemed"`
	GivenBack   Sum `json:"givenBack"`
	Net         Sum `json:"net"`
	InDoubt     Sum `json:"inDoubt"`     // may have been redeemed besides
	InDoubtBack Sum `json:"inDoubtBack"` // may have been given back besides
	// Repeated are payments that redeemed, or may have redeemed, something under more
	// than one bizId.
	Repeated []Repeated `json:"repeated,omitempty"`
}

// Repeated is a payment with the redemptions that were made of it.
type Repeated struct {
	OrderNo   string   `json:"orderNo"`
	PaymentNo string   `json:"paymentNo"`
	BizIDs    []string `json:"bizIds"`
}

// Chain says whether a redemption and its events are as the connector wrote them.
type Chain struct {
	Intact bool  `json:"intact"`
	Events int64 `json:"events"`
	// Sealed: a later seal of the brand holds it, too.
	Sealed bool `json:"sealed"`
	// Problem is what another hand changed; empty when it is intact.
	Problem string `json:"problem,omitempty"`
}

// Retired is a redemption whose details retention took away.
type Retired struct {
	Action      string    `json:"action"`
	BizID       string    `json:"bizId"`
	FlowID      string    `json:"flowId"`
	Outcome     string    `json:"outcome"`
	CreatedAt   time.Time `json:"createdAt"`
	ConcludedAt time.Time `json:"concludedAt"`
	RetiredAt   time.Time `json:"retiredAt"`
}

// Trails finds redemptions in whatever state, at most limit of them; 0 is the
// server's default.
func (c *Client) Trails(ctx context.Context, s Search, limit int) (Trails, error) {
	var out Trails
	q := query("bizId", s.BizID, "orderNo", s.OrderNo, "paymentNo", s.PaymentNo, "traceId", s.TraceID, "flowId", s.FlowID, "limit", number(limit))
	return out, c.do(ctx, http.MethodGet, RedemptionsPath+q, nil, &out)
}

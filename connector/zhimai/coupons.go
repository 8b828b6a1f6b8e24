// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/answer"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// CouponStatus is the action that shows the state of a member's coupons.
const CouponStatus = "user.coupon-new-status"

type couponStatusParams struct {
	CustomerID string `json:"customerId"`
	CardID     string `json:"cardId"`
}

// couponState is what the vendor shows of a coupon. It never says which call did it.
type couponState int

const (
	// couponUnasked: the question itself failed, another may be answered.
	couponUnasked couponState = iota
	// couponUnused: useStatus 0, unused or given back.
	couponUnused
	// couponRedeemed: useStatus 1, redeemed, by whatever call.
	couponRedeemed
	// couponUnclear: an answer that tells neither: frozen, invalid or deleted, no such
	// coupon, a scan code, a form that is not documented.
	couponUnclear
)

// couponCount is how many of a leg's coupons are in which state.
type couponCount [couponUnclear + 1]int

func (n couponCount) all() int {
	sum := 0
	for _, c := range n {
		sum += c
	}
	return sum
}

func (n couponCount) String() string {
	return fmt.Sprintf("of %d coupons %d redeemed, by a call that is not named, %d unused, %d unclear, %d not asked",
		n.all(), n[couponRedeemed], n[couponUnused], n[couponUnclear], n[couponUnasked])
}

// countCoupons asks for each coupon of the leg.
func (c *Client) countCoupons(ctx context.Context, leg redeem.Leg, k call) couponCount {
	var n couponCount
	for _, id := range leg.Coupons {
		if k.ScanCodes { // a coupon is found by its id alone
			n[couponUnclear]++
			continue
		}
		n[c.couponState(ctx, leg.MemberRef, id)]++
	}
	return n
}

func (c *Client) couponState(ctx context.Context, member, id string) couponState {
	r, failed := c.ask(ctx, CouponStatus, couponStatusParams{CustomerID: member, CardID: id})
	if failed != nil {
		return couponUnasked
	}
	return readCouponState(r, member, id)
}

// readCouponState reads the row of the coupon id. The document shows one coupon as data,
// and a member has many: data may be a row, or a list of the one row that was asked for.
func readCouponState(r reply, member, id string) couponState {
	row := r.data
	if len(r.rows) == 1 {
		row, _ = answer.Parse(r.rows[0])
	}
	owner := row.Text("customerId")
	if r.outer.said() != done || r.inner.said() == refusal || row.Text("cardId") != id || owner != "" && owner != member {
		return couponUnclear
	}
	switch row.Text("useStatus") {
	case "0":
		return couponUnused
	case "1":
		return couponRedeemed
	}
	return couponUnclear
}

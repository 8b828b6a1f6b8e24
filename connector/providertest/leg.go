// SPDX-License-Identifier: Apache-2.0

package providertest

import (
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Sending plans lines that make one leg, and makes it as the engine would.
func Sending(t testing.TB, p redeem.Provider, key string, req redeem.Request, lines ...redeem.Line) redeem.Sending {
	t.Helper()
	plans, err := p.Plan(req, lines)
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) != 1 {
		t.Fatalf("got %d legs, want 1", len(plans))
	}
	return redeem.Sending{Leg: Leg(p.Name(), key, plans[0], time.Time{}), Action: req.Action, Request: req}
}

// Leg is the plan's leg under a key.
func Leg(provider, key string, p redeem.LegPlan, sent time.Time) redeem.Leg {
	return redeem.Leg{
		Provider: provider, Operation: p.Operation, Key: key, Lines: p.Lines, Reversible: p.Reversible, Call: p.Call,
		MemberRef: p.MemberRef, Amount: p.Amount, Points: p.Points, Coupons: p.Coupons, SentAt: sent,
	}
}

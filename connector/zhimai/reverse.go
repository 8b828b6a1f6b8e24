// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hexiao-dev/hexiao/connector/basket"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// PlanReversal plans the reversal of a whole consume by the bizId that its answer
// gave. What a reversal of a part would look like is not documented, so that is a
// person's, and so is every reversal while the brand has not named the action.
func (c *Client) PlanReversal(req redeem.Request, original redeem.Leg, lines []redeem.Line) (redeem.LegPlan, error) {
	if c.cfg.ReversalAction == "" {
		return redeem.LegPlan{}, basket.ByHand("zhimai: no reversalAction is configured")
	}
	var k call
	if err := json.Unmarshal(original.Call, &k); err != nil {
		return redeem.LegPlan{}, fmt.Errorf("plan reversal: read the call of leg %d: %w", original.No, err)
	}
	if err := wholeLeg(k.Lines, lines); err != nil {
		return redeem.LegPlan{}, err
	}
	k.Reverses = original.Outcome.FlowID
	if k.Reverses == "" {
		k.Reverses = original.Key
	}
	k.OperatorID = c.operatorID(req.OperatorID)
	k.Lines = basket.Keep(lines)
	return leg(c.cfg.ReversalAction, k)
}

// wholeLeg demands that lines undo all that the leg did.
func wholeLeg(did []basket.Line, lines []redeem.Line) error {
	part := basket.ByHand("zhimai: a consume can only be reversed as a whole")
	if len(did) != len(lines) {
		return part
	}
	for _, d := range did {
		found := false
		for _, l := range lines {
			same := l.Asset == d.Asset && l.AssetID == d.ID
			switch d.Asset {
			case redeem.StoredValue:
				found = found || same && l.Amount == d.Amount
			case redeem.Points:
				found = found || same && l.Count == d.Count
			default:
				found = found || same
			}
		}
		if !found {
			return part
		}
	}
	return nil
}

// Reverse makes the reversal's call once.
func (c *Client) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	return c.attempts.Once(ctx, s, false, c.once)
}

// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Ledger is what is read of a ledger.
type Ledger interface {
	Export(ctx context.Context, w io.Writer, f ledger.Format, q redeem.Query) (int64, error)
}

// recorded is what the ledger holds.
type recorded struct {
	ours  []Ours
	shops map[string][]string // by provider: where its calls were made
	count int                 // of redemptions
}

// readLedger reads the redemptions of the brand that were received in a range of time.
func readLedger(ctx context.Context, l Ledger, brandID string, from, to time.Time, tell func(redemptions int)) (recorded, error) {
	r, w := io.Pipe()
	go func() {
		_, err := l.Export(ctx, w, ledger.JSON, redeem.Query{BrandID: brandID, From: from, To: to})
		_ = w.CloseWithError(err) // nil: the end
	}()
	defer func() { _ = r.Close() }() // an export that is given up ends
	found := recorded{shops: map[string][]string{}}
	for dec := json.NewDecoder(r); ; {
		var one redeem.Redemption
		err := dec.Decode(&one)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return recorded{}, fmt.Errorf("read the ledger: %w", err)
		}
		found.add(one)
		tell(found.count)
	}
}

func (f *recorded) add(r redeem.Redemption) {
	f.count++
	f.ours = append(f.ours, oursOf(r)...)
	for _, leg := range r.Legs {
		if !slices.Contains(f.shops[leg.Provider], r.ShopID) && r.ShopID != "" {
			f.shops[leg.Provider] = append(f.shops[leg.Provider], r.ShopID)
		}
	}
}

// mostLegs is more than a redemption has. Which of them a reversal gives back does not matter here: at Zhimai, which
// lists a reversal under the bizId of what it gives back, a redemption is one leg.
const mostLegs = 32

// oursOf are the calls of a redemption that move stored value.
func oursOf(r redeem.Redemption) []Ours {
	var out []Ours
	for _, leg := range r.Legs {
		if leg.Amount == 0 {
			continue
		}
		o := Ours{
			Provider: leg.Provider, Key: leg.Key, Keys: []string{leg.Key}, Direction: Spent, Amount: leg.Amount, State: leg.State,
			At: leg.SentAt, Settled: leg.ResolvedAt, BizID: r.BizID, FlowID: r.FlowID, Action: r.Action, Leg: leg.No, TraceID: r.TraceID,
		}
		if o.At.IsZero() {
			o.At = r.CreatedAt
		}
		also := []string{leg.Outcome.FlowID}
		if r.Action == redeem.ReverseVerify {
			o.Direction = Given
			also = append(also, reverses(leg))
			for no := range mostLegs {
				also = append(also, redeem.UpstreamKey(r.BrandID, redeem.Verify, r.ReversesBizID, no))
			}
		}
		for _, key := range also {
			if key != "" && !slices.Contains(o.Keys, key) {
				o.Keys = append(o.Keys, key)
			}
		}
		out = append(out, o)
	}
	return out
}

// reverses is the number by which the vendor was told what to give back (Zhimai's returned bizId): both vendors' packages keep it
// under this name.
func reverses(leg redeem.Leg) string {
	var call struct {
		Reverses string `json:"reverses"`
	}
	if json.Unmarshal(leg.Call, &call) != nil {
		return ""
	}
	return call.Reverses
}

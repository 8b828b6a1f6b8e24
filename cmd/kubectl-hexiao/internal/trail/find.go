// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// ErrNone is wrapped when the connector knows nothing under the names that were given.
var ErrNone = errors.New("no such redemption")

// Asker is a connector's admin API.
type Asker interface {
	Trails(ctx context.Context, s adminapi.Search, limit int) (adminapi.Trails, error)
}

// most bounds what is read of one order.
const most = 200

// Case is what a connector knows of one order: the redemptions of it that were asked
// for, and the others.
type Case struct {
	Found adminapi.Trails
	// Asked are the keys of the redemptions and reversals that were asked for.
	Asked map[string]bool
	// Place is how the brand is named on a command line.
	Place Place
}

// Place is what a command line needs to say to come by the same connector.
type Place struct {
	Brand string   // empty: Flags name the connector
	Flags []string // such as -n brands
}

// resolve is the command line that decides on a leg. With what the API does not take
// apart by itself: a bizId of a reversal, and one leg of several.
func (p Place) resolve(r adminapi.Redemption, leg int, several bool) string {
	words := []string{"kubectl hexiao in-doubt resolve", p.Brand, r.BizID}
	if r.Action == "REVERSE_VERIFY" {
		words = append(words, "--action reverse")
	}
	if several {
		words = append(words, fmt.Sprintf("--leg %d", leg))
	}
	words = append(words, p.Flags...)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

func keyOf(r adminapi.Redemption) string { return r.Action + " " + r.BizID }

// Find reads the redemptions that s names, and all others of their orders: one case an
// order. A redemption of no order is a case of its own.
func Find(ctx context.Context, a Asker, s adminapi.Search) ([]Case, error) {
	first, err := ask(ctx, a, s)
	if err != nil {
		return nil, err
	}
	if len(first.Items) == 0 && len(first.Retired) == 0 {
		return nil, fmt.Errorf("%w in the ledger of brand %s: check number and brand; a request that was turned away before it was written down (a bad signature, say) was sent to no vendor", ErrNone, first.BrandID)
	}
	asked := map[string]bool{}
	var orders []string
	alone := adminapi.Trails{BrandID: first.BrandID, At: first.At, Retired: first.Retired, Totals: first.Totals}
	for _, t := range first.Items {
		asked[keyOf(t.Redemption)] = true
		switch order := t.Redemption.OrderNo; {
		case order == "":
			alone.Items = append(alone.Items, t)
		case !slices.Contains(orders, order):
			orders = append(orders, order)
		}
	}
	var cases []Case
	if len(alone.Items) > 0 || len(alone.Retired) > 0 {
		cases = append(cases, Case{Found: alone, Asked: asked})
	}
	for _, order := range orders {
		all, err := ask(ctx, a, adminapi.Search{OrderNo: order})
		if err != nil {
			return nil, err
		}
		cases = append(cases, Case{Found: all, Asked: asked})
	}
	return cases, nil
}

func ask(ctx context.Context, a Asker, s adminapi.Search) (adminapi.Trails, error) {
	found, err := a.Trails(ctx, s, most)
	var told *adminapi.Error
	if errors.As(err, &told) && told.Code == adminapi.CodeNotFound {
		return found, errors.New("the connector's version cannot be asked for a trail: upgrade it, or use kubectl hexiao in-doubt show BRAND BIZID")
	}
	return found, err
}

// Requests are the case's redemptions and reversals, each with its place: newest
// first, a reversal after what it reverses.
func (c *Case) Requests() []adminapi.Trail {
	var all []adminapi.Trail
	for _, t := range c.Found.Items {
		all = append(append(all, t), t.Reversals...)
	}
	return all
}

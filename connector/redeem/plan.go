// SPDX-License-Identifier: Apache-2.0

package redeem

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Route sends the lines of some asset mappings to a provider. The first match wins.
type Route struct {
	Name            string
	AssetMappingIDs []string
	Asset           Asset
	Provider        string
}

// MaxCount bounds the vouchers or points of one line.
const MaxCount = 100_000_000

const maxBizID = 128 // bytes

// fieldNames are the request's JSON names, which rejections quote.
type fieldNames struct{ list, amount, count string }

func fieldsOf(a Action) fieldNames {
	if a == ReverseVerify {
		return fieldNames{"assetsReverseVerificationList", "reverseVerifyAmount", "reverseVerifyCnt"}
	}
	return fieldNames{"memberAssetsVerificationList", "verifyAmount", "verifyCnt"}
}

func (f fieldNames) of(i int, name string) string { return fmt.Sprintf("%s[%d].%s", f.list, i, name) }

// checkEnvelope checks what every request must have, whatever its routes.
func checkEnvelope(req Request, brandID string, maxLines int) *Rejection {
	f := fieldsOf(req.Action)
	switch {
	case req.BrandID != brandID:
		return reject(SubBizID, "kryBrandId", "the request is for another brand")
	case req.BizID == "" || len(req.BizID) > maxBizID:
		return reject(SubBizID, "bizId", fmt.Sprintf("must have 1 to %d bytes", maxBizID))
	case strings.HasPrefix(req.BizID, compensationPrefix):
		return reject(SubBizID, "bizId", "begins with a prefix that is the connector's own")
	case len(req.Lines) == 0:
		return reject(SubNoLines, f.list, "lists no asset")
	case len(req.Lines) > maxLines:
		return reject(SubTooManyLines, f.list, fmt.Sprintf("lists %d assets, at most %d go into one call", len(req.Lines), maxLines))
	}
	return nil
}

// planLines routes the lines and checks their amounts. It returns copies, numbered
// by position.
func planLines(req Request, routes []Route) ([]Line, *Rejection) {
	f := fieldsOf(req.Action)
	lines := make([]Line, 0, len(req.Lines))
	var total Fen
	seen := map[[2]string]int{}
	for i, l := range req.Lines {
		l.No, l.Result = i, LineResult{}
		route, ok := routeOf(routes, l.AssetMappingID)
		if !ok {
			return nil, reject(SubNoRoute, f.of(i, "assetMappingId"), fmt.Sprintf("no route matches %q", clip(l.AssetMappingID)))
		}
		l.Asset, l.Provider = route.Asset, route.Provider
		if rej := checkLine(f, l); rej != nil {
			return nil, rej
		}
		asset := [2]string{l.AssetMappingID, l.AssetID}
		if first, dup := seen[asset]; dup {
			return nil, reject(SubDuplicateLine, f.of(i, "assetId"), fmt.Sprintf("the same asset stands at position %d", first))
		}
		seen[asset] = i
		if total += l.Amount; total > MaxFen { // each is ≤ MaxFen, so the sum cannot wrap
			return nil, reject(SubTotal, f.of(i, f.amount), fmt.Sprintf("the amounts add up to more than %d fen", MaxFen))
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func routeOf(routes []Route, assetMappingID string) (Route, bool) {
	for _, r := range routes {
		if slices.Contains(r.AssetMappingIDs, assetMappingID) {
			return r, true
		}
	}
	return Route{}, false
}

// checkLine checks one line by its asset. Stored value counts by amount and its
// count is ignored (the till sends 0). Coupons count by verifyCnt and are named by
// assetId. Points count by verifyCnt, one a point: an amount in fen is no number of
// points, so it never stands in for it. The amount of the latter two is what the
// till reckons them worth; it moves nothing.
func checkLine(f fieldNames, l Line) *Rejection {
	if l.Amount < 0 || l.Amount > MaxFen {
		return reject(SubAmount, f.of(l.No, f.amount), fmt.Sprintf("%d fen is not between 0 and %d", l.Amount, MaxFen))
	}
	if l.Count < 0 || l.Count > MaxCount {
		return reject(SubCount, f.of(l.No, f.count), fmt.Sprintf("%d is not between 0 and %d", l.Count, MaxCount))
	}
	switch l.Asset {
	case StoredValue:
		if l.Amount == 0 {
			return reject(SubAmount, f.of(l.No, f.amount), "stored value needs an amount in fen above 0")
		}
	case Coupon:
		if l.AssetID == "" {
			return reject(SubAssetID, f.of(l.No, "assetId"), "a coupon needs the coupon's id")
		}
		if l.Count == 0 {
			return reject(SubCount, f.of(l.No, f.count), "a coupon needs a count of at least 1")
		}
	case Points:
		if l.Count == 0 {
			return reject(SubCount, f.of(l.No, f.count), "points need a count of at least 1")
		}
	default:
		return reject(SubNoRoute, f.of(l.No, "assetMappingId"), fmt.Sprintf("the route's asset %q is not known", l.Asset))
	}
	return nil
}

// planLegs lets each provider group its lines, puts reversible legs first and gives
// each its number and key.
func planLegs(req Request, lines []Line, providers map[string]Provider) ([]Leg, *Rejection) {
	f := fieldsOf(req.Action)
	var legs []Leg
	for _, group := range byProvider(lines) {
		p, ok := providers[group.name]
		if !ok {
			return nil, reject(SubNoProvider, f.of(group.lines[0].No, "assetMappingId"), fmt.Sprintf("provider %q is not configured", group.name))
		}
		own := req
		own.MemberID = MemberAt(req.MemberID, group.name, providers)
		plans, err := p.Plan(own, group.lines)
		if err != nil {
			return nil, asRejection(err)
		}
		if err := covers(plans, group.lines); err != nil {
			return nil, reject(SubUnplannable, f.list, fmt.Sprintf("%s planned badly: %v", group.name, err))
		}
		for _, plan := range plans {
			legs = append(legs, legOf(group.name, plan))
		}
	}
	slices.SortStableFunc(legs, func(a, b Leg) int {
		switch {
		case a.Reversible == b.Reversible:
			return 0
		case a.Reversible:
			return -1
		}
		return 1
	})
	number(legs, req.BrandID, req.Action, req.BizID)
	return legs, nil
}

func number(legs []Leg, brandID string, action Action, bizID string) {
	for i := range legs {
		legs[i].No = i
		legs[i].Key = UpstreamKey(brandID, action, bizID, i)
	}
}

func legOf(provider string, p LegPlan) Leg {
	return Leg{
		Provider: provider, Operation: p.Operation, Lines: p.Lines, Reversible: p.Reversible, Call: p.Call,
		MemberRef: p.MemberRef, Amount: p.Amount, Points: p.Points, Coupons: p.Coupons, State: StateSent, Epoch: 1,
	}
}

type providerLines struct {
	name  string
	lines []Line
}

// byProvider groups the lines, providers in the order of their first line.
func byProvider(lines []Line) []providerLines {
	var groups []providerLines
	for _, l := range lines {
		i := slices.IndexFunc(groups, func(g providerLines) bool { return g.name == l.Provider })
		if i < 0 {
			groups = append(groups, providerLines{name: l.Provider})
			i = len(groups) - 1
		}
		groups[i].lines = append(groups[i].lines, l)
	}
	return groups
}

// covers checks that the plans carry each line exactly once and exactly its money
// and points: a plan that does not would deduct something else than was asked for.
func covers(plans []LegPlan, lines []Line) error {
	byNo := map[int]Line{}
	for _, l := range lines {
		byNo[l.No] = l
	}
	for _, p := range plans {
		var amount Fen
		var points int64
		for _, no := range p.Lines {
			l, ok := byNo[no]
			if !ok {
				return fmt.Errorf("line %d is carried twice or was not asked for", no)
			}
			delete(byNo, no)
			switch l.Asset {
			case StoredValue:
				amount += l.Amount
			case Points:
				points += l.Count
			}
		}
		if p.Amount != amount || p.Points != points {
			return fmt.Errorf("%s carries %d fen and %d points, its lines %d and %d", p.Operation, p.Amount, p.Points, amount, points)
		}
	}
	if len(byNo) > 0 {
		return errors.New("a line is carried by no leg")
	}
	return nil
}

func asRejection(err error) *Rejection {
	if rej, ok := errors.AsType[*Rejection](err); ok {
		return rej
	}
	return reject(SubUnplannable, "", err.Error())
}

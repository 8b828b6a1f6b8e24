// SPDX-License-Identifier: Apache-2.0

package redeem_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/redeem/redeemtest"
)

// shows is a vendor that shows members, as often as it is told.
type shows struct {
	*redeemtest.Vendor
	asked []redeem.MemberQuery
	says  func(ctx context.Context, n int) (redeem.Member, error)
}

func (s *shows) ReadMember(ctx context.Context, q redeem.MemberQuery) (redeem.Member, error) {
	s.asked = append(s.asked, q)
	return s.says(ctx, len(s.asked))
}

func knows(m redeem.Member) func(context.Context, int) (redeem.Member, error) {
	return func(context.Context, int) (redeem.Member, error) { return m, nil }
}

func fails(err error) func(context.Context, int) (redeem.Member, error) {
	return func(context.Context, int) (redeem.Member, error) { return redeem.Member{}, err }
}

// members puts two vendors that show members into w.
func members(w *world, alsc, zhimai func(context.Context, int) (redeem.Member, error)) (a, z *shows) {
	a, z = &shows{Vendor: w.alsc, says: alsc}, &shows{Vendor: w.zhimai, says: zhimai}
	w.deps.Providers = map[string]redeem.Provider{"alsc": a, "zhimai": z}
	return a, z
}

func mobile() redeem.MemberQuery {
	return redeem.MemberQuery{BrandID: brand, ShopID: "s1", By: redeem.ByMobile, Value: "15000001111"}
}

var (
	money  = redeem.Holding{Asset: redeem.StoredValue, AssetID: "c1", Total: 300, Real: 200, Gift: 100}
	ticket = redeem.Holding{Asset: redeem.Coupon, AssetID: "k1", Count: 1}
	score  = redeem.Holding{Asset: redeem.Points, AssetID: "1001", Count: 50}
	broken = &redeem.ReadError{Class: "configuration"}
)

// look is what of a view a test cares for.
func look(v redeem.MemberView) []string {
	out := []string{fmt.Sprintf("%s found=%v incomplete=%v", v.Member.ID, v.Found, v.Incomplete)}
	for _, i := range v.Items {
		out = append(out, fmt.Sprintf("%s %s %s", i.AssetMappingID, i.State, i.Holding.AssetID))
	}
	return out
}

func TestAViewIsMergedByTheRoutes(t *testing.T) {
	rich := redeem.Member{ID: "1001", Name: "A", Holdings: []redeem.Holding{money}}
	full := redeem.Member{ID: "1001", Name: "B", Mobile: "m", Holdings: []redeem.Holding{money, ticket, score}}
	other := full
	other.ID = "2002"
	mute := full
	mute.Holdings, mute.Unsaid = []redeem.Holding{money}, []redeem.Asset{redeem.Coupon}
	nobody := fmt.Errorf("%w: code 1", redeem.ErrNoMember)
	tests := map[string]struct {
		alsc, zhimai func(context.Context, int) (redeem.Member, error)
		change       func(*redeem.MemberQuery)
		want         []string
	}{
		"both know the guest under one id": {knows(rich), knows(full), nil,
			[]string{"1001 found=true incomplete=false", "balance shown c1", "card shown c1", "coupon shown k1", "points shown 1001"}},
		"each knows the guest under an id of its own": {knows(rich), knows(other), nil,
			[]string{"alsc:1001,zhimai:2002 found=true incomplete=false", "balance shown c1", "card shown c1", "coupon shown k1", "points shown 1001"}},
		"one does not know the guest": {knows(rich), fails(nobody), nil,
			[]string{"alsc:1001 found=true incomplete=false", "balance shown c1", "card no-member ", "coupon no-member ", "points no-member "}},
		"one fails": {fails(broken), knows(full), nil,
			[]string{"zhimai:1001 found=true incomplete=true", "balance not-read ", "card shown c1", "coupon shown k1", "points shown 1001"}},
		"nobody knows the guest": {fails(nobody), fails(nobody), nil,
			[]string{" found=false incomplete=false", "balance no-member ", "card no-member ", "coupon no-member ", "points no-member "}},
		"one fails, one does not know the guest": {fails(broken), fails(nobody), nil,
			[]string{" found=false incomplete=true", "balance not-read ", "card no-member ", "coupon no-member ", "points no-member "}},
		"a kind of asset is not told": {knows(rich), knows(mute), nil,
			[]string{"1001 found=true incomplete=true", "balance shown c1", "card shown c1", "coupon not-read "}},
		"one mapping asks one vendor": {fails(broken), knows(full), func(q *redeem.MemberQuery) { q.AssetMappingID = "coupon" },
			[]string{"zhimai:1001 found=true incomplete=false", "coupon shown k1"}},
		"vouchers": {fails(broken), knows(full), func(q *redeem.MemberQuery) { q.Assets = []redeem.Asset{redeem.Coupon} },
			[]string{"zhimai:1001 found=true incomplete=false", "coupon shown k1"}},
		"a mapping of another kind: the member alone": {knows(rich), knows(full), func(q *redeem.MemberQuery) {
			q.AssetMappingID, q.Assets = "balance", []redeem.Asset{redeem.Coupon}
		}, []string{"1001 found=true incomplete=false"}},
		"a panic": {func(context.Context, int) (redeem.Member, error) { panic("personal") }, knows(full), nil,
			[]string{"zhimai:1001 found=true incomplete=true", "balance not-read ", "card shown c1", "coupon shown k1", "points shown 1001"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				members(w, tc.alsc, tc.zhimai)
				q := mobile()
				if tc.change != nil {
					tc.change(&q)
				}
				v, rej := w.engine().Member(t.Context(), q)
				if rej != nil {
					t.Fatal(rej)
				}
				if diff := cmp.Diff(tc.want, look(v)); diff != "" {
					t.Error("(-want +got):", diff)
				}
			})
		})
	}
}

func TestTheFirstRoutesWordsAboutTheGuestWin(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		members(w, knows(redeem.Member{ID: "1", Name: "A"}), knows(redeem.Member{ID: "1", Name: "B", Mobile: "m"}))
		v, _ := w.engine().Member(t.Context(), mobile())
		if diff := cmp.Diff(redeem.Member{ID: "1", Name: "A", Mobile: "m"}, v.Member); diff != "" {
			t.Error("(-want +got):", diff)
		}
	})
}

func TestABalanceStandsThereOnce(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.Routes = []redeem.Route{
			{AssetMappingIDs: []string{"m1", "m2"}, Asset: redeem.StoredValue, Provider: "alsc"},
			{AssetMappingIDs: []string{"m1"}, Asset: redeem.Coupon, Provider: "alsc"}, // never reached
			{AssetMappingIDs: []string{"m3"}, Asset: redeem.StoredValue, Provider: "alsc"},
		}
		members(w, knows(redeem.Member{ID: "1", Holdings: []redeem.Holding{money, ticket}}), nil)
		for mapping, want := range map[string][]string{
			"":   {"1 found=true incomplete=false", "m1 shown c1"},
			"m2": {"1 found=true incomplete=false", "m2 shown c1"},
			"m3": {"1 found=true incomplete=false", "m3 shown c1"},
		} {
			q := mobile()
			q.AssetMappingID = mapping
			v, _ := w.engine().Member(t.Context(), q)
			if diff := cmp.Diff(want, look(v)); diff != "" {
				t.Errorf("%q (-want +got): %s", mapping, diff)
			}
		}
	})
}

func TestNobodyIsAskedWithoutARoute(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, z := members(w, knows(redeem.Member{}), knows(redeem.Member{}))
		q := mobile()
		q.AssetMappingID = "gold"
		_, rej := w.engine().Member(t.Context(), q)
		if rej == nil || rej.SubCode != redeem.SubNoRoute || rej.Field != "assetMappingId" || len(a.asked)+len(z.asked) != 0 {
			t.Errorf("got %v, asked %d times", rej, len(a.asked)+len(z.asked))
		}
	})
}

func TestAQuestionIsAskedAgainWithinTheBudget(t *testing.T) {
	again := &redeem.ReadError{Class: "timeout", Again: true}
	hangs := func(ctx context.Context, _ int) (redeem.Member, error) {
		<-ctx.Done()
		return redeem.Member{}, again
	}
	once := func(ctx context.Context, n int) (redeem.Member, error) {
		if n == 1 {
			return hangs(ctx, n)
		}
		return redeem.Member{ID: "1", Holdings: []redeem.Holding{money}}, nil
	}
	tests := map[string]struct {
		says  func(context.Context, int) (redeem.Member, error)
		asked int
		found bool
	}{
		"a lost answer":                {once, 2, true},
		"a vendor that is away":        {hangs, 3, false},
		"a fault that will not pass":   {fails(broken), 1, false},
		"a vendor that wants its rest": {fails(&redeem.ReadError{Class: "rate-limited", Again: true, RetryAfter: time.Minute}), 1, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world) {
				a, _ := members(w, tc.says, fails(broken))
				q := mobile()
				q.AssetMappingID, q.ReplyDeadlineAt = "balance", time.Now().Add(4*time.Second)
				v, _ := w.engine().Member(t.Context(), q)
				if v.Found != tc.found || len(a.asked) != tc.asked || time.Now().After(q.ReplyDeadlineAt) {
					t.Errorf("found %v, asked %d times, %s before the deadline", v.Found, len(a.asked), time.Until(q.ReplyDeadlineAt))
				}
			})
		})
	}
}

func TestQuestionsPassTheGateAndDoNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.Limits["alsc"] = redeem.Limit{PerSecond: 1}
		a, _ := members(w, fails(broken), fails(broken))
		e := w.engine()
		q := mobile()
		q.AssetMappingID = "balance"
		for range 30 {
			if _, rej := e.Member(t.Context(), q); rej != nil {
				t.Fatal(rej)
			}
		}
		if got := e.Breakers()["alsc"]; got != "closed" {
			t.Errorf("the breaker is %s", got)
		}
		before := len(a.asked)
		q.ReplyDeadlineAt = time.Now().Add(300 * time.Millisecond)
		v, _ := e.Member(t.Context(), q)
		if len(a.asked) != before || !v.Incomplete || v.Items[0].Code != redeem.SubRateLimited {
			t.Errorf("asked %d times beyond the limit; %+v", len(a.asked)-before, v)
		}
	})
}

func TestASecondQuestionTakesAPlaceInTheCallLimit(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.cfg.Limits["alsc"] = redeem.Limit{PerSecond: 1}
		a, _ := members(w, nil, fails(broken))
		var at []time.Time
		a.says = func(_ context.Context, n int) (redeem.Member, error) {
			if at = append(at, time.Now()); n == 1 {
				return redeem.Member{}, &redeem.ReadError{Class: "reset", Again: true}
			}
			return redeem.Member{ID: "1"}, nil
		}
		q := mobile()
		q.AssetMappingID = "balance"
		if v, _ := w.engine().Member(t.Context(), q); !v.Found || len(at) != 2 || at[1].Sub(at[0]) < time.Second {
			t.Errorf("found %v, asked at %v", v.Found, at)
		}
	})
}

func TestAQuestionMayBeTheProbeOfABreaker(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.alsc.Next = always(redeemtest.LostBefore)
		a, _ := members(w, knows(redeem.Member{ID: "1", Holdings: []redeem.Holding{money}}), fails(broken))
		e := w.engine()
		openBreaker(t, w, e)
		time.Sleep(6 * time.Second)
		q := mobile()
		q.AssetMappingID = "balance"
		if v, _ := e.Member(t.Context(), q); !v.Found || len(a.asked) != 1 || e.Breakers()["alsc"] != "closed" {
			t.Errorf("found %v, asked %d times, the breaker is %s", v.Found, len(a.asked), e.Breakers()["alsc"])
		}
	})
}

func TestEachVendorGetsItsOwnIDOfTheMember(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a, z := members(w, knows(redeem.Member{ID: "1001"}), knows(redeem.Member{ID: "2002"}))
		e := w.engine()
		for id, want := range map[string][2]string{
			"alsc:1001,zhimai:2002": {"1001", "2002"},
			"zhimai:2002":           {"", "2002"},
			"7":                     {"7", "7"},
		} {
			a.asked, z.asked = nil, nil
			q := mobile()
			q.By, q.Value = redeem.ByMemberID, id
			if _, rej := e.Member(t.Context(), q); rej != nil {
				t.Fatal(rej)
			}
			got := [2]string{}
			for i, s := range []*shows{a, z} {
				if len(s.asked) > 0 {
					got[i] = s.asked[0].Value
				}
			}
			if got != want {
				t.Errorf("%s: asked for %v, want %v", id, got, want)
			}
		}
	})
}

// Whatever ids the vendors have, the one that query says gives each vendor its own back.
func TestAQualifiedIDGivesEachVendorItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vendors := []string{"alsc", "zhimai"}[:rapid.IntRange(1, 2).Draw(t, "vendors")]
		known := map[string]redeem.Provider{"alsc": nil, "zhimai": nil}
		ids := map[string]string{}
		for _, v := range vendors {
			ids[v] = rapid.SampledFrom([]string{"", "1001", "2002", "a,b", "alsc:7", "zhimai:7,alsc:8", "会员", "x%3A"}).Draw(t, v)
		}
		id := redeem.QualifiedID(vendors, ids)
		for _, v := range vendors {
			if got := redeem.MemberAt(id, v, known); got != ids[v] {
				t.Fatalf("%v as %q gives %s the id %q", ids, id, v, got)
			}
		}
	})
}

func TestVerifyTakesAQualifiedID(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		var got []string
		for name, p := range w.deps.Providers {
			w.deps.Providers[name] = planning{p, func(id string) { got = append(got, name+"="+id) }}
		}
		req := request("b1", pay("balance", 1), pay("card", 1))
		req.MemberID = "alsc:1001,zhimai:2002"
		e := w.engine()
		e.Verify(t.Context(), req)
		slices.Sort(got)
		if diff := cmp.Diff([]string{"alsc=1001", "zhimai=2002"}, got); diff != "" {
			t.Error("(-want +got):", diff)
		}
		if r, err := w.ledger.Get(t.Context(), key("b1")); err != nil || r.MemberID != req.MemberID {
			t.Errorf("recorded for %q (%v): the reply must repeat what was asked", r.MemberID, err)
		}
	})
}

// planning tells for whom a provider plans.
type planning struct {
	redeem.Provider
	tell func(memberID string)
}

func (p planning) Plan(req redeem.Request, lines []redeem.Line) ([]redeem.LegPlan, error) {
	p.tell(req.MemberID)
	return p.Provider.Plan(req, lines)
}

func TestAReadErrorSaysItsClass(t *testing.T) {
	if err := error(&redeem.ReadError{Class: "timeout", Detail: "no answer"}); err.Error() != "timeout: no answer" || errors.Is(err, redeem.ErrNoMember) {
		t.Error(err)
	}
}

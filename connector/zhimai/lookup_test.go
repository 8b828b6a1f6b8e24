// SPDX-License-Identifier: Apache-2.0

package zhimai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// records answer look-ups: bills in fen by what they show, coupons by their row.
type records struct {
	bills   []string
	coupons map[string]string // cardId → data; none: no such coupon
	refuses bool              // the coupon question
	fails   bool
}

func (r records) answer(_ int, body string) (int, string) {
	var e struct {
		Action string
		Params struct{ CardID, CustomerID string }
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		return 500, err.Error()
	}
	data := `[]`
	switch {
	case e.Action == Bills:
		data = `{"last_page":1,"reta_list":[` + strings.Join(r.bills, ",") + `]}`
	case e.Action != CouponStatus || e.Params.CustomerID != "1001":
		return 500, "an action or a member that was not expected"
	case r.fails:
		return 502, "bad gateway"
	case r.refuses:
		return 200, `{"status":true,"code":"10002","message":"查询的信息不存在"}`
	case r.coupons[e.Params.CardID] != "":
		data = r.coupons[e.Params.CardID]
	}
	return 200, `{"status":"true","code":"0","data":` + data + `}`
}

func billOf(user string, fen redeem.Fen) string {
	return fmt.Sprintf(`{"order_no":%q,"user_id":%q,"change_amount":"-%d"}`, key, user, fen)
}

func couponRow(id, member, status string) string {
	return fmt.Sprintf(`{"cardId":%q,"customerId":%q,"useStatus":%q}`, id, member, status)
}

func mixedLeg(t *testing.T, c *Client, lines ...redeem.Line) redeem.Leg {
	t.Helper()
	return sending(t, c, request(), lines...).Leg
}

// What a call with stored value and something else can be found out to be.
func TestALookUpOfAMixedCall(t *testing.T) {
	paid := []string{billOf("1001", 1000)}
	row := func(status string) map[string]string { return map[string]string{"7": couponRow("7", "1001", status)} }
	one := []redeem.Line{value(0, 1000), coupon(1, "7")}
	two := []redeem.Line{value(0, 1000), coupon(1, "7"), coupon(2, "8")}
	withPoints := []redeem.Line{value(0, 1000), points(1, 5)}
	scan := Config{Options: Options{CouponsAreScanCodes: true}}
	tests := map[string]struct {
		cfg   Config
		lines []redeem.Line
		says  records
		early bool // within the time that a coupon may take
		want  redeem.Verdict
		asked int // questions about coupons
	}{
		"paid, the coupon is redeemed, by whom nobody says":     {lines: one, says: records{bills: paid, coupons: row("1")}, want: redeem.Partly, asked: 1},
		"paid, the coupon is unused":                            {lines: one, says: records{bills: paid, coupons: row("0")}, want: redeem.Differs, asked: 1},
		"paid, the coupon is not redeemed yet":                  {lines: one, says: records{bills: paid, coupons: row("0")}, early: true, want: redeem.Partly, asked: 1},
		"paid, the coupon is frozen":                            {lines: one, says: records{bills: paid, coupons: row("2")}, want: redeem.Partly, asked: 1},
		"paid, there is no such coupon":                         {lines: one, says: records{bills: paid}, want: redeem.Partly, asked: 1},
		"paid, the coupon cannot be asked about":                {lines: one, says: records{bills: paid, fails: true}, want: redeem.Partly, asked: 1},
		"paid, the question about the coupon is refused":        {lines: one, says: records{bills: paid, refuses: true}, want: redeem.Partly, asked: 1},
		"paid, one coupon of two is unused":                     {lines: two, says: records{bills: paid, coupons: map[string]string{"7": couponRow("7", "1001", "1"), "8": couponRow("8", "1001", "0")}}, want: redeem.Differs, asked: 2},
		"paid, and there are points":                            {lines: withPoints, says: records{bills: paid}, want: redeem.Partly},
		"paid, with scan codes":                                 {cfg: scan, lines: one, says: records{bills: paid}, want: redeem.Partly},
		"not paid, the coupon is unused":                        {lines: one, says: records{coupons: row("0")}, want: redeem.Missing, asked: 1},
		"not paid, the coupon is unused, as a list of one":      {lines: one, says: records{coupons: map[string]string{"7": "[" + couponRow("7", "1001", "0") + "]"}}, want: redeem.Missing, asked: 1},
		"not paid, the coupon is unused, and a number":          {lines: one, says: records{coupons: map[string]string{"7": `{"cardId":7,"useStatus":0}`}}, want: redeem.Missing, asked: 1},
		"not paid, the coupon is redeemed, by whom nobody says": {lines: one, says: records{coupons: row("1")}, want: redeem.Unshown, asked: 1},
		"not paid, the coupon is frozen":                        {lines: one, says: records{coupons: row("2")}, want: redeem.Unshown, asked: 1},
		"not paid, the coupon is invalid":                       {lines: one, says: records{coupons: row("6")}, want: redeem.Unshown, asked: 1},
		"not paid, the coupon is deleted":                       {lines: one, says: records{coupons: row("7")}, want: redeem.Unshown, asked: 1},
		"not paid, the coupon's state is a word":                {lines: one, says: records{coupons: row("unused")}, want: redeem.Unshown, asked: 1},
		"not paid, there is no such coupon":                     {lines: one, says: records{}, want: redeem.Unshown, asked: 1},
		"not paid, another coupon is shown":                     {lines: one, says: records{coupons: map[string]string{"7": couponRow("8", "1001", "0")}}, want: redeem.Unshown, asked: 1},
		"not paid, another member's coupon is shown":            {lines: one, says: records{coupons: map[string]string{"7": couponRow("7", "1002", "0")}}, want: redeem.Unshown, asked: 1},
		"not paid, two coupons are shown":                       {lines: one, says: records{coupons: map[string]string{"7": "[" + couponRow("7", "1001", "0") + "," + couponRow("7", "1001", "0") + "]"}}, want: redeem.Unshown, asked: 1},
		"not paid, the question about the coupon is refused":    {lines: one, says: records{refuses: true}, want: redeem.Unshown, asked: 1},
		"not paid, the coupon cannot be asked about":            {lines: one, says: records{fails: true}, want: redeem.Inconclusive, asked: 1},
		"not paid, one coupon of two is redeemed":               {lines: two, says: records{coupons: map[string]string{"7": couponRow("7", "1001", "0"), "8": couponRow("8", "1001", "1")}}, want: redeem.Unshown, asked: 2},
		"not paid, and there are points":                        {lines: withPoints, says: records{}, want: redeem.Unshown},
		"not paid, the coupon is unused, and there are points":  {lines: append(slices.Clone(one), points(2, 5)), says: records{coupons: row("0")}, want: redeem.Unshown, asked: 1},
		"not paid, with scan codes":                             {cfg: scan, lines: one, says: records{}, want: redeem.Unshown},
		"another amount":                                        {lines: one, says: records{bills: []string{billOf("1001", 999)}, coupons: row("1")}, want: redeem.Differs},
		"another member":                                        {lines: one, says: records{bills: []string{billOf("1002", 1000)}, coupons: row("1")}, want: redeem.Differs},
		"two bills":                                             {lines: withPoints, says: records{bills: []string{billOf("1001", 1000), billOf("1001", 1000)}}, want: redeem.Differs},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := serve(t, tc.says.answer)
			sent := time.Unix(1547186244, 0)
			now := sent.Add(time.Hour)
			if tc.early {
				now = sent.Add(time.Minute)
			}
			c := client(t, v.URL, tc.cfg, Deps{Now: func() time.Time { return now }})
			got := c.LookUp(t.Context(), mixedLeg(t, c, tc.lines...))
			if got.Verdict != tc.want || got.Detail == "" {
				t.Errorf("got %s (%s), want %s", got.Verdict, got.Detail, tc.want)
			}
			if diff := cmp.Diff(redeem.Outcome{}, got.Outcome); diff != "" {
				t.Errorf("an outcome that nobody knows (-want +got):\n%s", diff)
			}
			if asked := len(v.Got()) - 1; asked != tc.asked {
				t.Errorf("asked about %d coupons, want %d", asked, tc.asked)
			}
			for _, id := range []string{"390962", "1001", key} {
				if strings.Contains(got.Detail, id) {
					t.Errorf("the detail names %s: %s", id, got.Detail)
				}
			}
		})
	}
}

// fate is what became of the parts of a call, which no vendor promises to be one.
type fate struct {
	value, points bool
	coupons       map[string]string // useStatus now
	ours          map[string]bool   // redeemed by this call
}

func drawFate(t *rapid.T, ids []string, hasPoints bool) fate {
	f := fate{coupons: map[string]string{}, ours: map[string]bool{}}
	whole := rapid.SampledFrom([]string{"whole", "nothing", "parts"}).Draw(t, "executed")
	done := func(what string) bool {
		return whole == "whole" || whole == "parts" && rapid.Bool().Draw(t, what)
	}
	f.value, f.points = done("value"), hasPoints && done("points")
	for _, id := range ids {
		if done("coupon " + id) {
			f.coupons[id], f.ours[id] = "1", true
			continue
		}
		f.coupons[id] = rapid.SampledFrom([]string{"0", "1", "2", "6", "7"}).Draw(t, "else "+id) // 1: by another call
	}
	return f
}

// Whatever part of a call the vendor executed, and whatever else befell the coupons:
// executed is never said of a call of which a part was not, not executed never of one of
// which a part was, a part always exists that is said to, and nothing is called a
// contradiction in what was executed as a whole or not at all.
func TestAMixedCallIsNeverGuessed(t *testing.T) {
	var now records
	v := serve(t, func(n int, body string) (int, string) { return now.answer(n, body) })
	c := client(t, v.URL, Config{}, Deps{Now: func() time.Time { return time.Unix(1547186244, 0).Add(time.Hour) }})
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int64{0, 5}).Draw(rt, "points")
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[1-9][0-9]{0,17}`), 0, 3, rapid.ID).Draw(rt, "coupons")
		lines := []redeem.Line{value(0, redeem.Fen(rapid.Int64Range(1, 100000).Draw(rt, "fen")))}
		if n > 0 {
			lines = append(lines, points(len(lines), n))
		}
		for _, id := range ids {
			lines = append(lines, coupon(len(lines), id))
		}
		f := drawFate(rt, ids, n > 0)
		now = records{fails: rapid.IntRange(0, 2).Draw(rt, "fails") == 0, coupons: map[string]string{}}
		if f.value {
			now.bills = []string{billOf("1001", lines[0].Amount)}
		}
		for id, status := range f.coupons {
			now.coupons[id] = couponRow(id, "1001", status)
		}
		plans, err := c.Plan(request(), lines)
		if err != nil {
			rt.Fatal(err)
		}
		got := c.LookUp(t.Context(), legOf(plans[0]))
		some := f.value || f.points || len(f.ours) > 0
		all := f.value && f.points == (n > 0) && len(f.ours) == len(ids)
		switch got.Verdict {
		case redeem.Found:
			if !all {
				rt.Fatalf("executed, and it was not as a whole: %+v", f)
			}
		case redeem.Missing:
			if some {
				rt.Fatalf("not executed, and a part was: %+v", f)
			}
		case redeem.Partly:
			if !f.value {
				rt.Fatalf("a part was executed, and none was: %+v", f)
			}
		case redeem.Differs:
			if all || !some {
				rt.Fatalf("a contradiction in what was executed as a whole or not at all: %+v", f)
			}
		}
	})
}

func FuzzCouponState(f *testing.F) {
	f.Add(`{"status":"true","code":"0","data":` + couponRow("7", "1001", "0") + `}`)
	f.Add(`{"status":true,"code":0,"data":[` + couponRow("7", "", "1") + `]}`)
	f.Add(`{"status":true,"code":0,"data":[{"cardId":7}]}`)
	f.Add(`{"status":true,"code":"9"}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		state := readCouponState(decode(200, []byte(body)), "1001", "7")
		if state == couponUnclear {
			return
		}
		// Unused may end as "not executed": it is said by a success alone, in so many words.
		if !strings.Contains(body, "cardId") && !strings.Contains(body, `\u`) || state != couponUnused && state != couponRedeemed {
			t.Errorf("state %d of %s", state, body)
		}
	})
}

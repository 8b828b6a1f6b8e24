// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// answer is a concluded one with a line each for statuses.
func answer(trace, subCode string, fen int64, statuses ...string) []byte {
	var lines []string
	for _, s := range statuses {
		lines = append(lines, fmt.Sprintf(`{"assetMappingId":"100001","assetId":"c","verifyTotalAmount":%d,"status":%q}`, fen, s))
	}
	return fmt.Appendf(nil, `{"code":0,"message":"m","messageUuid":%q,"result":{"success":%t,"subCode":%q,"subMsg":"m","data":{"flowId":"F","verifyAssetsDetailList":[%s]}}}`,
		trace, subCode == "000", subCode, strings.Join(lines, ","))
}

func sale(action redeem.Action, lines ...line) *order {
	g := &guest{believed: map[books.Vendor]*purse{books.ALSC: {fen: 1000, coupons: map[string]int64{}}}}
	return &order{guest: g, action: action, bizID: "S1", lines: lines}
}

func TestWhatATillHearsIsBelievedOnceItIsFinal(t *testing.T) {
	code := func(n int) []byte { return fmt.Appendf(nil, `{"code":%d,"message":"m","messageUuid":"t"}`, n) }
	tests := map[string]struct {
		action  redeem.Action
		answers [][]byte
		word    string // of the last answer
		wrong   bool
		fen     int64
	}{
		"spent":                             {redeem.Verify, [][]byte{answer("t", "000", 100, "SUCCESS")}, "done", false, 900},
		"given back":                        {redeem.ReverseVerify, [][]byte{answer("t", "000", 100, "SUCCESS")}, "done", false, 1100},
		"refused":                           {redeem.Verify, [][]byte{answer("t", "202", 0, "FAIL")}, "refused", false, 1000},
		"not known, then spent":             {redeem.Verify, [][]byte{code(3001), answer("t", "000", 100, "SUCCESS")}, "done", false, 900},
		"spent, and told again":             {redeem.Verify, [][]byte{answer("t", "000", 100, "SUCCESS"), answer("t", "000", 100, "SUCCESS")}, "as before", false, 900},
		"nothing was sent":                  {redeem.Verify, [][]byte{code(3000)}, "nothing sent (3000)", false, 1000},
		"turned away":                       {redeem.ReverseVerify, [][]byte{answer("t", "133", 0, "FAIL")}, "turned away (133)", false, 1000},
		"a second answer that differs":      {redeem.Verify, [][]byte{answer("t", "000", 100, "SUCCESS"), answer("u", "000", 100, "SUCCESS")}, "unreadable", true, 900},
		"another amount than was asked for": {redeem.Verify, [][]byte{answer("t", "000", 99, "SUCCESS")}, "done", true, 900},
		"a line too few":                    {redeem.Verify, [][]byte{answer("t", "000", 100)}, "unreadable", true, 1000},
		"no JSON":                           {redeem.Verify, [][]byte{[]byte("<html>")}, "unreadable", true, 1000},
		"a code that there is not":          {redeem.Verify, [][]byte{code(7)}, "unreadable", true, 1000},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := sale(tc.action, line{mapping: "100001", assetID: "c", fen: 100})
			var word string
			var err error
			for _, raw := range tc.answers {
				word, err = (&day{}).hear(o, raw)
			}
			if word != tc.word || (err != nil) != tc.wrong {
				t.Errorf("heard %q, %v", word, err)
			}
			if got := o.guest.believed[books.ALSC].fen; got != tc.fen {
				t.Errorf("the till believes in %d fen, want %d", got, tc.fen)
			}
		})
	}
}

func TestOfAnOrderIsLeftWhatMayNotHaveBeenGivenBack(t *testing.T) {
	l := line{mapping: "100001", assetID: "c", fen: 100}
	part := func(fen int64, final, done, turned bool) *order {
		r := sale(redeem.ReverseVerify, line{mapping: "100001", assetID: "c", fen: fen})
		if r.turned = turned; final {
			r.final, r.done = []byte("x"), []bool{done}
		}
		return r
	}
	for name, tc := range map[string]struct {
		undone []*order
		want   int64
	}{
		"nothing was given back":                 {nil, 100},
		"a part was":                             {[]*order{part(30, true, true, false)}, 70},
		"a part is in doubt: it counts as given": {[]*order{part(30, false, false, false)}, 70},
		"a part was refused":                     {[]*order{part(30, true, false, false)}, 100},
		"a part was turned away":                 {[]*order{part(30, false, false, true)}, 100},
		"more was asked for than there is":       {[]*order{part(101, false, false, false)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := sale(redeem.Verify, l)
			o.final, o.done, o.undone = []byte("x"), []bool{true}, tc.undone
			if got, _ := o.left(0); got != tc.want {
				t.Errorf("%d fen are left, want %d", got, tc.want)
			}
		})
	}
}

func TestTheAuditSeesEachKindOfDifference(t *testing.T) {
	made := func(spends int, taken, back int64) *account {
		a := newAccount()
		if a.spends = spends; taken > 0 {
			a.taken[value] = taken
		}
		if back > 0 {
			a.back[value] = back
		}
		return a
	}
	for name, tc := range map[string]struct {
		ledger, books *account
		want          int
	}{
		"they agree":               {made(0, 100, 40), made(1, 100, 40), 0},
		"missing here":             {nil, made(1, 100, 0), 1},
		"missing there":            {made(0, 100, 0), nil, 1},
		"charged twice":            {made(0, 100, 0), made(2, 100, 0), 1},
		"another amount":           {made(0, 100, 0), made(1, 99, 0), 1},
		"given back here alone":    {made(0, 100, 1), made(1, 100, 0), 1},
		"given back there alone":   {made(0, 100, 0), made(1, 100, 1), 1},
		"nothing on either side":   {nil, nil, 0},
		"of another kind of asset": {made(0, 100, 0), func() *account { a := newAccount(); a.spends, a.taken[points] = 1, 100; return a }(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			one := func(a *account) map[legKey]*account {
				if a == nil {
					return nil
				}
				return map[legKey]*account{{books.ALSC, "HX"}: a}
			}
			a := &audit{}
			if a.compare(one(tc.ledger), one(tc.books)); a.count != tc.want {
				t.Errorf("%d differences, want %d: %v", a.count, tc.want, a.why)
			}
		})
	}
}

func TestAPurseDiffersInEachOfItsParts(t *testing.T) {
	p := func(fen, points, coupon int64) *purse { return &purse{fen, points, map[string]int64{"c": coupon}} }
	for name, tc := range map[string]struct {
		other *purse
		want  string
	}{
		"the same":                     {p(1, 2, 1), ""},
		"fen":                          {p(2, 2, 1), "1 and 2 fen"},
		"points":                       {p(1, 3, 1), "2 and 3 points"},
		"a coupon that is gone":        {p(1, 2, 0), "coupons [c] and []"},
		"a coupon that is there twice": {p(1, 2, 2), "coupons [c] and [c c]"},
		"a coupon spent twice":         {p(1, 2, -1), "coupons [c] and [-c]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p(1, 2, 1).differs(tc.other); got != tc.want {
				t.Errorf("differs %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPercentiles(t *testing.T) {
	var took []time.Duration
	for i := range 101 {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	if diff := cmp.Diff([]time.Duration{50 * time.Millisecond, 99 * time.Millisecond}, []time.Duration{percentile(took, 50), percentile(took, 99)}); diff != "" {
		t.Error(diff)
	}
	if got := yuan(-1205); got != "-12.05" {
		t.Error(got)
	}
	if !json.Valid((&guest{}).body("b", "s", nil)) {
		t.Error("a body is no JSON")
	}
}

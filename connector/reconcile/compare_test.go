// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

var noon = time.Date(2025, 12, 10, 4, 0, 0, 0, time.UTC)

func keyOf(n int) string { return redeem.UpstreamKey("11342", redeem.Verify, fmt.Sprint(n), 0) }

func call(n int, d Direction, amount redeem.Fen, state redeem.State, also ...string) Ours {
	return Ours{Provider: "alsc", Key: keyOf(n), Keys: append([]string{keyOf(n)}, also...), Direction: d, Amount: amount, State: state, At: noon.Add(time.Duration(n) * time.Second)}
}

func flow(id, key string, d Direction, amount redeem.Fen) Theirs {
	return Theirs{Provider: "alsc", ID: id, Key: key, Direction: d, Amount: amount, At: noon, Readable: true}
}

// told is what of a row a test cares for.
func told(rows []Row) []string {
	out := []string{}
	for _, r := range rows {
		s := string(r.Verdict) + " " + r.Reason
		if r.Ours != nil {
			s += fmt.Sprintf(" ours=%d", r.Ours.Amount)
		}
		if r.Theirs != nil {
			s += fmt.Sprintf(" theirs=%d", r.Theirs.Amount)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func TestCompare(t *testing.T) {
	unreadable := flow("f", keyOf(1), Spent, 0)
	unreadable.Readable = false
	back := flow("g", "BACKOFFICE", Given, 10)
	back.Reverses = keyOf(1)
	elsewhere := flow("f", keyOf(1), Spent, 10)
	elsewhere.Provider = "zhimai"
	tests := map[string]struct {
		ours   []Ours
		theirs []Theirs
		want   []string
	}{
		"nothing":                                   {nil, nil, []string{}},
		"a pair":                                    {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Spent, 10)}, []string{"matched  ours=10 theirs=10"}},
		"a pair by the vendor's own number":         {[]Ours{call(1, Spent, 10, redeem.StateExecuted, "V1")}, []Theirs{flow("f", "V1", Spent, 10)}, []string{"matched  ours=10 theirs=10"}},
		"the vendor leaves the direction open":      {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Either, 10)}, []string{"matched  ours=10 theirs=10"}},
		"the vendor has no flow":                    {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, nil, []string{"missing-there no-flow ours=10"}},
		"the ledger has no call":                    {nil, []Theirs{flow("f", keyOf(1), Spent, 10)}, []string{"missing-here no-record theirs=10"}},
		"charged twice":                             {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Spent, 10), flow("g", keyOf(1), Spent, 10)}, []string{"matched  ours=10 theirs=10", "missing-here second-flow theirs=10"}},
		"another amount":                            {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Spent, 11)}, []string{"differs amount ours=10 theirs=11"}},
		"another direction":                         {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Given, 10)}, []string{"differs direction ours=10 theirs=10"}},
		"an amount that cannot be read":             {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{unreadable}, []string{"differs unreadable ours=10 theirs=0"}},
		"refused, and yet it is there":              {[]Ours{call(1, Spent, 10, redeem.StateRefused)}, []Theirs{flow("f", keyOf(1), Spent, 10)}, []string{"differs refused ours=10 theirs=10"}},
		"never sent, and yet it is there":           {[]Ours{call(1, Spent, 10, redeem.StateNotSent)}, []Theirs{flow("f", keyOf(1), Spent, 10)}, []string{"differs refused ours=10 theirs=10"}},
		"refused, and it is not there":              {[]Ours{call(1, Spent, 10, redeem.StateRefused), call(2, Spent, 10, redeem.StateNotSent)}, nil, []string{}},
		"in doubt, and it is there":                 {[]Ours{call(1, Spent, 10, redeem.StateUnknown)}, []Theirs{flow("f", keyOf(1), Spent, 10)}, []string{"differs in-doubt ours=10 theirs=10"}},
		"in doubt, and it is not there":             {[]Ours{call(1, Spent, 10, redeem.StateSent)}, nil, []string{"differs in-doubt ours=10"}},
		"a recharge":                                {nil, []Theirs{flow("f", "RECHARGE-1", Given, 10)}, []string{"foreign  theirs=10"}},
		"given back at the back office":             {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{flow("f", keyOf(1), Spent, 10), back}, []string{"matched  ours=10 theirs=10", "missing-here no-record theirs=10"}},
		"the other vendor's flow is not this one's": {[]Ours{call(1, Spent, 10, redeem.StateExecuted)}, []Theirs{elsewhere}, []string{"missing-here no-record theirs=10", "missing-there no-flow ours=10"}},
		"a reversal under the original's number": {
			[]Ours{call(1, Spent, 10, redeem.StateExecuted), call(2, Given, 10, redeem.StateExecuted, keyOf(1))},
			[]Theirs{flow("g", keyOf(1), Given, 10), flow("f", keyOf(1), Spent, 10)},
			[]string{"matched  ours=10 theirs=10", "matched  ours=10 theirs=10"},
		},
		"the same, and the vendor tells no direction": {
			[]Ours{call(1, Spent, 10, redeem.StateExecuted), call(2, Given, 4, redeem.StateExecuted, keyOf(1))},
			[]Theirs{flow("g", keyOf(1), Either, 4), flow("f", keyOf(1), Either, 10)},
			[]string{"matched  ours=10 theirs=10", "matched  ours=4 theirs=4"},
		},
		"a spend is gone, its reversal is there": {
			[]Ours{call(1, Spent, 10, redeem.StateExecuted), call(2, Given, 10, redeem.StateExecuted, keyOf(1))},
			[]Theirs{flow("g", keyOf(1), Given, 10)},
			[]string{"matched  ours=10 theirs=10", "missing-there no-flow ours=10"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, told(Compare(tc.ours, tc.theirs))); diff != "" {
				t.Error("(-want +got):", diff)
			}
		})
	}
}

// A day with known differences: each is found, none is invented, nothing stands there twice, and the order of the
// lists does not matter.
func TestEveryPlantedDifferenceIsFoundAndNoOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var ours []Ours
		var theirs []Theirs
		want := map[Verdict]int{}
		for n := range rapid.IntRange(0, 40).Draw(rt, "calls") {
			amount := redeem.Fen(rapid.Int64Range(1, 5).Draw(rt, "amount")) // small: many are equal
			d := rapid.SampledFrom([]Direction{Spent, Given}).Draw(rt, "direction")
			shown := rapid.SampledFrom([]Direction{d, Either}).Draw(rt, "shown")
			id := fmt.Sprint("f", n)
			executed := call(n, d, amount, redeem.StateExecuted)
			switch rapid.SampledFrom([]string{"fine", "fine", "hidden", "amount", "extra", "twice", "refused", "refused there", "doubt", "foreign"}).Draw(rt, "fate") {
			case "fine":
				ours, theirs = append(ours, executed), append(theirs, flow(id, keyOf(n), shown, amount))
				want[Matched]++
			case "hidden":
				ours = append(ours, executed)
				want[MissingThere]++
			case "amount":
				ours, theirs = append(ours, executed), append(theirs, flow(id, keyOf(n), shown, amount+1))
				want[Differs]++
			case "extra":
				theirs = append(theirs, flow(id, keyOf(n), shown, amount))
				want[MissingHere]++
			case "twice":
				ours = append(ours, executed)
				theirs = append(theirs, flow(id, keyOf(n), shown, amount), flow(id+"b", keyOf(n), shown, amount))
				want[Matched]++
				want[MissingHere]++
			case "refused":
				ours = append(ours, call(n, d, amount, redeem.StateRefused))
			case "refused there":
				ours, theirs = append(ours, call(n, d, amount, redeem.StateRefused)), append(theirs, flow(id, keyOf(n), shown, amount))
				want[Differs]++
			case "doubt":
				ours = append(ours, call(n, d, amount, redeem.StateUnknown))
				want[Differs]++
			case "foreign":
				theirs = append(theirs, flow(id, "other-"+id, shown, amount))
				want[Foreign]++
			}
		}
		rows := Compare(rapid.Permutation(ours).Draw(rt, "ours"), rapid.Permutation(theirs).Draw(rt, "theirs"))
		got, flows, calls := map[Verdict]int{}, map[string]int{}, map[string]int{}
		for _, r := range rows {
			got[r.Verdict]++
			if r.Theirs != nil {
				flows[r.Theirs.ID]++
			}
			if r.Ours != nil {
				calls[r.Ours.Key]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-want +got): %s\n%v", diff, told(rows))
		}
		if len(flows) != len(theirs) {
			rt.Fatalf("%d of %d flows stand in a row", len(flows), len(theirs))
		}
		for name, n := range flows {
			if n != 1 {
				rt.Fatalf("flow %s stands in %d rows", name, n)
			}
		}
		for key, n := range calls {
			if n != 1 {
				rt.Fatalf("call %s stands in %d rows", key, n)
			}
		}
		if diff := cmp.Diff(told(Compare(ours, theirs)), told(rows)); diff != "" {
			rt.Fatalf("the order matters: %s", diff)
		}
	})
}

func TestTheGuideSaysWhatEachReasonMeans(t *testing.T) {
	guide, err := os.ReadFile("../../docs/guides/reconcile.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{ReasonAmount, ReasonDirection, ReasonUnreadable, ReasonRefused, ReasonInDoubt, ReasonSecondFlow, ReasonNoRecord, ReasonNoFlow} {
		if !strings.Contains(string(guide), "| `"+r+"` |") {
			t.Errorf("the guide does not explain %s", r)
		}
	}
	for _, v := range verdicts {
		if !strings.Contains(string(guide), "| `"+string(v)+"` |") {
			t.Errorf("the guide does not explain %s", v)
		}
	}
}

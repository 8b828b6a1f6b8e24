// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func plan(t *testing.T, rules ...Rule) *Plan {
	t.Helper()
	p := NewPlan(1)
	if _, err := p.Add(rules...); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestARuleMeetsTheCallsThatItSelects(t *testing.T) {
	call := Call{Vendor: "alsc", Method: "alibaba.alsc.crm.recharge.dedut.update", Member: []string{"1001", "card"}, Key: "order-7"}
	tests := map[string]struct {
		rule Rule
		want bool
	}{
		"no selector":      {Rule{}, true},
		"vendor":           {Rule{Vendor: "alsc"}, true},
		"other vendor":     {Rule{Vendor: "zhimai"}, false},
		"method":           {Rule{Method: "alibaba.alsc.crm.recharge.dedut.update"}, true},
		"part of a method": {Rule{Method: "alibaba.alsc.crm.recharge.dedut"}, false},
		"method by prefix": {Rule{Method: "alibaba.alsc.crm.recharge.*"}, true},
		"one of the names": {Rule{Member: "card"}, true},
		"other member":     {Rule{Member: "1002"}, false},
		"key":              {Rule{Key: "order-7"}, true},
		"key by prefix":    {Rule{Key: "order-*"}, true},
		"other key":        {Rule{Key: "order-70"}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.rule.Kind = Refuse
			if _, got := plan(t, tc.rule).Pick(call); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestTheFirstDueRuleWins(t *testing.T) {
	p := plan(t,
		Rule{ID: "third", Kind: HTML, Nth: 3},
		Rule{ID: "twice", Kind: Empty, Count: 2},
		Rule{ID: "other", Kind: Garbage, Vendor: "zhimai"},
		Rule{ID: "rest", Kind: Refuse},
	)
	var got []string
	for range 5 {
		r, ok := p.Pick(Call{Vendor: "alsc"})
		if !ok {
			t.Fatal("no rule")
		}
		got = append(got, r.ID)
	}
	if diff := cmp.Diff([]string{"twice", "twice", "third", "rest", "rest"}, got); diff != "" {
		t.Error(diff)
	}
	counters := map[string][2]int{}
	for _, s := range p.Rules() {
		counters[s.ID] = [2]int{s.Matched, s.Fired}
	}
	want := map[string][2]int{"third": {5, 1}, "twice": {4, 2}, "other": {0, 0}, "rest": {2, 2}}
	if diff := cmp.Diff(want, counters); diff != "" {
		t.Error(diff)
	}
}

func TestProbabilityFollowsTheSeed(t *testing.T) {
	draw := func(seed uint64) (out []bool) {
		p := NewPlan(seed)
		if _, err := p.Add(Rule{Kind: Refuse, Probability: 0.5}); err != nil {
			t.Fatal(err)
		}
		for range 64 {
			_, hit := p.Pick(Call{})
			out = append(out, hit)
		}
		return out
	}
	if diff := cmp.Diff(draw(7), draw(7)); diff != "" {
		t.Errorf("the same seed must decide the same: %s", diff)
	}
	if cmp.Equal(draw(7), draw(8)) {
		t.Error("another seed must decide otherwise")
	}
	fired := 0
	for _, hit := range draw(7) {
		if hit {
			fired++
		}
	}
	if fired < 16 || fired > 48 {
		t.Errorf("fired %d of 64 times at a probability of one half", fired)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	yes := true
	tests := map[string]struct {
		rule Rule
		want string
	}{
		"kind":                     {Rule{}, "kind"},
		"vendor":                   {Rule{Kind: Refuse, Vendor: "x"}, "vendor"},
		"nth":                      {Rule{Kind: Refuse, Nth: -1}, "nth"},
		"probability":              {Rule{Kind: Refuse, Probability: 1.1}, "probability"},
		"count":                    {Rule{Kind: Refuse, Count: -1}, "count"},
		"slow without a delay":     {Rule{Kind: Slow}, "delay_before"},
		"bytes of another kind":    {Rule{Kind: HTML, Bytes: 1}, "bytes"},
		"seconds of another kind":  {Rule{Kind: HTML, Seconds: 1}, "seconds"},
		"not-found without an age": {Rule{Kind: NotFound}, "seconds"},
		"apply that is decided":    {Rule{Kind: ApplyThenHang, Apply: &yes}, "apply"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewPlan(1).Add(Rule{Kind: Refuse}, tc.rule)
			if err == nil || !strings.HasPrefix(err.Error(), "faults[1]."+tc.want+":") {
				t.Errorf("got %v, want it to name faults[1].%s", err, tc.want)
			}
		})
	}
}

func TestEveryKindSaysWhetherItApplies(t *testing.T) {
	yes, no := true, false
	tests := map[string]struct {
		rule Rule
		want bool
	}{
		"refuse":             {Rule{Kind: Refuse}, false},
		"rate limit":         {Rule{Kind: RateLimit}, false},
		"reset before":       {Rule{Kind: ResetBeforeApply}, false},
		"reset after":        {Rule{Kind: ApplyThenReset}, true},
		"system error":       {Rule{Kind: SystemError}, false},
		"system error, done": {Rule{Kind: SystemError, Apply: &yes}, true},
		"redirect":           {Rule{Kind: Redirect}, false},
		"html":               {Rule{Kind: HTML}, true},
		"html, not done":     {Rule{Kind: HTML, Apply: &no}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.rule.Applied(); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestIDsAreUnique(t *testing.T) {
	p := plan(t, Rule{ID: "f1", Kind: Refuse}, Rule{Kind: HTML}, Rule{Kind: HTML})
	var ids []string
	for _, s := range p.Rules() {
		ids = append(ids, s.ID)
	}
	if diff := cmp.Diff([]string{"f1", "f2", "f3"}, ids); diff != "" {
		t.Error(diff)
	}
	if _, err := p.Add(Rule{ID: "f2", Kind: HTML}); err == nil {
		t.Error("an id that is taken must be refused")
	}
	if p.Remove("f2") != 1 || p.Remove("f2") != 0 || p.Remove("") != 2 {
		t.Error("remove must count what it removed")
	}
}

func FuzzRule(f *testing.F) {
	f.Add([]byte(`{"kind":"slow","delay_before":"1.5s"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r Rule
		if json.Unmarshal(raw, &r) != nil || r.Validate() != nil {
			return
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Rule
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Error(diff)
		}
		if time.Duration(r.DelayBefore) < 0 {
			t.Error("a valid rule has no negative delay")
		}
	})
}

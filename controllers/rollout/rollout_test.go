// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/controllers/rollout"
)

var now = time.Unix(1_800_000_000, 0)

func survey(p rollout.Policy, members ...rollout.Member) rollout.Survey {
	var s rollout.Survey
	for _, m := range members {
		s.Add(m, p, now)
	}
	return s
}

var (
	canaryWaiting  = rollout.Member{Name: "b/c", State: rollout.Waiting, Canary: true}
	canaryRolling  = rollout.Member{Name: "b/c", State: rollout.Rolling, Canary: true}
	canaryFailed   = rollout.Member{Name: "b/c", State: rollout.Failed, Canary: true}
	canaryApart    = rollout.Member{Name: "b/c", State: rollout.Apart, Canary: true}
	canarySoaking  = rollout.Member{Name: "b/c", State: rollout.Current, Canary: true, AvailableSince: now.Add(-30 * time.Second)}
	canaryRestarts = rollout.Member{Name: "b/c", State: rollout.Current, Canary: true}
	canaryProven   = rollout.Member{Name: "b/c", State: rollout.Current, Canary: true, AvailableSince: now.Add(-time.Minute)}
	waiting        = rollout.Member{Name: "b/w", State: rollout.Waiting}
	rolling        = rollout.Member{Name: "b/r", State: rollout.Rolling}
	failed         = rollout.Member{Name: "b/f", State: rollout.Failed}
	current        = rollout.Member{Name: "b/x", State: rollout.Current}
)

func TestWhoMayGo(t *testing.T) {
	var (
		other  = rollout.Candidate{}
		own    = rollout.Candidate{Own: true}
		idle   = rollout.Candidate{Idle: true}
		canary = rollout.Candidate{Canary: true}
		placed = rollout.Candidate{Placed: true}
	)
	tests := map[string]struct {
		members   []rollout.Member
		candidate rollout.Candidate
		want      rollout.Verdict
	}{
		"a brand without canaries before it goes":           {[]rollout.Member{waiting}, other, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Open}},
		"a brand waits for a place":                         {[]rollout.Member{waiting, rolling, rolling}, other, rollout.Verdict{Counts: true, Phase: rollout.Open}},
		"a failed brand keeps its place":                    {[]rollout.Member{waiting, rolling, failed}, other, rollout.Verdict{Counts: true, Phase: rollout.Open}},
		"all places failed":                                 {[]rollout.Member{waiting, failed, failed}, other, rollout.Verdict{Phase: rollout.Halted}},
		"a brand waits for the canary to begin":             {[]rollout.Member{waiting, canaryWaiting}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand waits for the canary to end":               {[]rollout.Member{waiting, canaryRolling}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand waits for the canary to soak":              {[]rollout.Member{waiting, canarySoaking}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand waits for the canary's own restart":        {[]rollout.Member{waiting, canaryRestarts}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand waits when no canary can take part":        {[]rollout.Member{waiting, canaryApart}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a canary that is broken otherwise is not asked":    {[]rollout.Member{waiting, canaryApart, canaryProven}, other, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Open}},
		"a brand follows a proven canary":                   {[]rollout.Member{waiting, canaryProven}, other, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Open}},
		"a failed canary halts":                             {[]rollout.Member{waiting, canaryProven, canaryFailed}, other, rollout.Verdict{Phase: rollout.Halted}},
		"a canary goes first":                               {[]rollout.Member{waiting, canaryWaiting}, canary, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Canaries}},
		"a canary waits for a place too":                    {[]rollout.Member{canaryWaiting, rolling, rolling}, canary, rollout.Verdict{Counts: true, Phase: rollout.Canaries}},
		"a canary mends a halt":                             {[]rollout.Member{canaryWaiting, canaryFailed, failed}, canary, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Halted}},
		"a brand's own change needs no place":               {[]rollout.Member{waiting, rolling, rolling}, own, rollout.Verdict{Go: true}},
		"a brand's own change waits for the canaries":       {[]rollout.Member{waiting, canaryRolling}, own, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand's own change waits while halted":           {[]rollout.Member{waiting, canaryFailed}, own, rollout.Verdict{Phase: rollout.Halted}},
		"a canary's own change needs no place":              {[]rollout.Member{canaryWaiting, rolling, rolling}, rollout.Candidate{Canary: true, Own: true}, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Canaries}},
		"a brand that has nothing to lose goes, halt or no": {[]rollout.Member{waiting, canaryFailed}, idle, rollout.Verdict{Go: true}},

		"a brand that the survey has as current waits for the canary to soak": {[]rollout.Member{current, canarySoaking}, other, rollout.Verdict{Phase: rollout.Canaries}},
		"a brand that has a place needs no other":                             {[]rollout.Member{rolling, rolling}, placed, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Open}},
		"a brand that has a place waits for the canaries":                     {[]rollout.Member{rolling, canaryRolling}, placed, rollout.Verdict{Phase: rollout.Canaries}},
		"a canary that has a place needs no other":                            {[]rollout.Member{canaryRolling, rolling}, rollout.Candidate{Canary: true, Placed: true}, rollout.Verdict{Go: true, Counts: true, Phase: rollout.Canaries}},
		"a brand that failed for the platform keeps its place":                {[]rollout.Member{rolling, canaryFailed}, rollout.Candidate{Idle: true, Placed: true}, rollout.Verdict{Go: true, Counts: true}},
		"a brand that has a place keeps it for its own change":                {[]rollout.Member{rolling}, rollout.Candidate{Own: true, Placed: true}, rollout.Verdict{Go: true, Counts: true}},
	}
	p := rollout.Policy{MaxConcurrent: 2, SoakTime: time.Minute}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, rollout.Decide(p, survey(p, tc.members...), tc.candidate)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPausedRolloutLetsNobodyGoWhoHasSomethingToLose(t *testing.T) {
	p := rollout.Policy{MaxConcurrent: 2, Paused: true}
	s := survey(p, waiting, canaryWaiting)
	if got := s.Phase(p); got != rollout.Paused {
		t.Errorf("phase %v", got)
	}
	for _, c := range []rollout.Candidate{{}, {Canary: true}, {Own: true}, {Canary: true, Own: true}} {
		if v := rollout.Decide(p, s, c); v.Go || v.Phase != rollout.Paused {
			t.Errorf("%+v: %+v", c, v)
		}
	}
	if v := rollout.Decide(p, s, rollout.Candidate{Idle: true}); !v.Go || v.Counts {
		t.Errorf("a brand with nothing to lose: %+v", v)
	}
	if v := rollout.Decide(p, s, rollout.Candidate{Idle: true, Placed: true}); !v.Go || !v.Counts {
		t.Errorf("a brand that failed for the platform: %+v", v)
	}
}

func TestASelectorThatMatchesNobodyHoldsEverybody(t *testing.T) {
	p := rollout.Policy{MaxConcurrent: 2, Canaries: labels.SelectorFromSet(labels.Set{"canary": "ture"})}
	if v := rollout.Decide(p, survey(p, waiting), rollout.Candidate{}); v.Go || v.Phase != rollout.Canaries {
		t.Errorf("verdict %+v", v)
	}
	for name, tc := range map[string]struct {
		members []rollout.Member
		policy  rollout.Policy
		want    bool
	}{
		"brands wait":                             {[]rollout.Member{waiting, current}, p, true},
		"all are current":                         {[]rollout.Member{current}, p, false},
		"the canary is apart":                     {[]rollout.Member{waiting, canaryApart}, p, false},
		"the canaries are current":                {[]rollout.Member{current, canaryProven}, p, false},
		"no canaries are asked for":               {[]rollout.Member{waiting}, rollout.Policy{MaxConcurrent: 2}, false},
		"the roll-out is paused, which says more": {[]rollout.Member{waiting}, rollout.Policy{MaxConcurrent: 2, Paused: true, Canaries: p.Canaries}, false},
	} {
		s := survey(tc.policy, tc.members...)
		if got := s.WithoutCanary(tc.policy); got != tc.want {
			t.Errorf("%s: without a canary: %v", name, got)
		}
	}
}

func TestThePhaseOfARollout(t *testing.T) {
	p := rollout.Policy{MaxConcurrent: 2, SoakTime: time.Minute}
	tests := map[string]struct {
		members []rollout.Member
		want    rollout.Phase
		left    time.Duration
	}{
		"no brands":                     {nil, rollout.Done, 0},
		"all current":                   {[]rollout.Member{current, canaryProven}, rollout.Done, 0},
		"current beside one apart":      {[]rollout.Member{current, {State: rollout.Apart}}, rollout.Done, 0},
		"all current, the canary soaks": {[]rollout.Member{current, canarySoaking}, rollout.Done, 30 * time.Second},
		"one waits, the canary soaks":   {[]rollout.Member{waiting, canarySoaking}, rollout.Canaries, 30 * time.Second},
		"one rolls":                     {[]rollout.Member{rolling}, rollout.Open, 0},
		"one failed of two places":      {[]rollout.Member{failed}, rollout.Open, 0},
		"two failed of two places":      {[]rollout.Member{failed, failed}, rollout.Halted, 0},
		"a canary failed":               {[]rollout.Member{canaryFailed}, rollout.Halted, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := survey(p, tc.members...)
			if got := s.Phase(p); got != tc.want || s.SoakLeft != tc.left {
				t.Errorf("phase %v, soak left %s; want %v, %s", got, s.SoakLeft, tc.want, tc.left)
			}
		})
	}
}

// fleet is a model of a class: brands that take up a revision when they may, become
// available or fail, and are changed by their teams.
type fleet struct {
	policy   rollout.Policy
	members  []rollout.Member
	broken   bool // the revision itself
	now      time.Time
	ownMoves int // brands that went because of their team
}

func (f *fleet) survey() rollout.Survey {
	var s rollout.Survey
	for _, m := range f.members {
		s.Add(m, f.policy, f.now)
	}
	return s
}

func (f *fleet) step(t *rapid.T) {
	f.now = f.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
	m := &f.members[rapid.IntRange(0, len(f.members)-1).Draw(t, "brand")]
	switch m.State {
	case rollout.Waiting:
		c := rollout.Candidate{Canary: m.Canary, Own: rapid.Bool().Draw(t, "own")}
		before := f.survey()
		v := rollout.Decide(f.policy, before, c)
		if !v.Go {
			return
		}
		if !m.Canary && before.Canaries > 0 && before.Proven < before.Capable {
			t.Fatalf("a brand went before the canaries were proven: %+v", before)
		}
		if !m.Canary && before.FailedCanary != "" {
			t.Fatalf("a brand went although a canary failed: %+v", before)
		}
		if c.Own {
			f.ownMoves++
		}
		if v.Counts || m.Canary {
			m.State = rollout.Rolling
		} else {
			m.State = rollout.Current
		}
	case rollout.Rolling:
		if f.broken {
			m.State = rollout.Failed
		} else {
			m.State, m.AvailableSince = rollout.Current, f.now
		}
	case rollout.Current, rollout.Failed, rollout.Apart:
	}
}

func TestNoMoreThanTheBudgetRestartsAndABrokenRevisionStaysWithTheCanaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fleet{now: now, broken: rapid.Bool().Draw(t, "broken"),
			policy: rollout.Policy{MaxConcurrent: rapid.IntRange(1, 3).Draw(t, "places"), SoakTime: 30 * time.Second}}
		canaries := rapid.IntRange(0, 2).Draw(t, "canaries")
		for i := range rapid.IntRange(1, 8).Draw(t, "brands") {
			f.members = append(f.members, rollout.Member{Name: string(rune('a' + i)), State: rollout.Waiting, Canary: i < canaries})
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			f.step(t)
			if s := f.survey(); s.Rolling > f.policy.MaxConcurrent+f.ownMoves {
				t.Fatalf("%d restart at a time, %d may: %+v", s.Rolling, f.policy.MaxConcurrent, s)
			}
		}
		for _, m := range f.members {
			if f.broken && canaries > 0 && !m.Canary && m.State != rollout.Waiting {
				t.Fatalf("%s took up a revision that its canaries failed with", m.Name)
			}
		}
	})
}

func TestAGoodRevisionReachesEveryBrand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fleet{now: now, policy: rollout.Policy{MaxConcurrent: rapid.IntRange(1, 3).Draw(t, "places"), SoakTime: 30 * time.Second}}
		for i := range rapid.IntRange(1, 6).Draw(t, "brands") {
			f.members = append(f.members, rollout.Member{Name: string(rune('a' + i)), State: rollout.Waiting, Canary: rapid.Bool().Draw(t, "canary")})
		}
		for range 4 * len(f.members) {
			f.now = f.now.Add(f.policy.SoakTime)
			for i := range f.members {
				m := &f.members[i]
				if m.State == rollout.Waiting && rollout.Decide(f.policy, f.survey(), rollout.Candidate{Canary: m.Canary}).Go {
					m.State = rollout.Rolling
				} else if m.State == rollout.Rolling {
					m.State, m.AvailableSince = rollout.Current, f.now
				}
			}
		}
		if s := f.survey(); s.Current != s.Total {
			t.Fatalf("some were left behind: %+v", s)
		}
	})
}

func TestABrandThatWasToldToGoIsCountedOnce(t *testing.T) {
	for is, want := range map[rollout.State]rollout.Survey{
		rollout.Waiting: {Waiting: 1, Rolling: 2, Failed: 1, Current: 1},
		rollout.Apart:   {Waiting: 2, Rolling: 2, Failed: 1, Current: 1},
		rollout.Rolling: {Waiting: 2, Rolling: 1, Failed: 1, Current: 1},
		rollout.Failed:  {Waiting: 2, Rolling: 1, Failed: 1, Current: 1},
	} {
		s := rollout.Survey{Waiting: 2, Rolling: 1, Failed: 1, Current: 1}
		s.Admit(is)
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("one that was seen in state %d (-want +got):\n%s", is, diff)
		}
	}
}

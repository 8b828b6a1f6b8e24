// SPDX-License-Identifier: Apache-2.0

// Package fault decides which call of the sandbox meets which misfortune.
//
// A [Rule] selects calls (by vendor, method, member, key, the nth one, with a
// probability, a limited number of times) and says what happens to them. A
// [Plan] holds rules in order; the first that matches a call and is due wins.
// Given the same seed and the same sequence of calls a plan decides the same.
// The package only decides: the sandbox carries out.
package fault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a misfortune.
type Kind string

// The kinds. "Applied" means that the books hold the change although the
// caller does not learn of it properly.
const (
	Refuse           Kind = "refuse"             // a documented business refusal; never applied
	Slow             Kind = "slow"               // only the delays of the rule, then a proper answer
	ApplyThenHang    Kind = "apply-then-hang"    // applied; no answer until the caller gives up
	ApplyThenReset   Kind = "apply-then-reset"   // applied; connection reset (RST)
	ApplyThenClose   Kind = "apply-then-close"   // applied; connection closed (FIN) without an answer
	ApplyThen500     Kind = "apply-then-500"     // applied; HTTP 500
	ResetBeforeApply Kind = "reset-before-apply" // connection reset, not applied
	Truncate         Kind = "truncate"           // the connection closes after bytes bytes of the answer's body
	Clip             Kind = "clip"               // a whole HTTP answer whose body ends after bytes bytes
	HTML             Kind = "html"               // HTTP 200 with an HTML page
	Empty            Kind = "empty"              // HTTP 200 with an empty body
	Garbage          Kind = "garbage"            // HTTP 200 with bytes that are no JSON
	RateLimit        Kind = "rate-limit"         // call limited for seconds seconds; never applied
	SystemError      Kind = "system-error"       // TOP: isp.*; Zhimai: status false
	Redirect         Kind = "redirect"           // 307 to the same URL
	NotFound         Kind = "not-found"          // look-ups do not see entries younger than seconds
)

// Kinds lists all kinds.
var Kinds = []Kind{
	Refuse, Slow, ApplyThenHang, ApplyThenReset, ApplyThenClose, ApplyThen500, ResetBeforeApply, Truncate,
	Clip, HTML, Empty, Garbage, RateLimit, SystemError, Redirect, NotFound,
}

// applies tells whether a call that meets the kind is applied when the rule
// does not say.
var applies = map[Kind]bool{
	Slow: true, ApplyThenHang: true, ApplyThenReset: true, ApplyThenClose: true, ApplyThen500: true,
	Truncate: true, Clip: true, HTML: true, Empty: true, Garbage: true, NotFound: true,
}

// fixed are the kinds whose rule cannot say.
var fixed = []Kind{
	Refuse, Slow, ApplyThenHang, ApplyThenReset, ApplyThenClose, ApplyThen500, ResetBeforeApply, RateLimit, NotFound,
}

// Rule is one line of a plan. Empty selectors select every call.
type Rule struct {
	ID string `json:"id,omitempty"` // given by the plan when empty

	Vendor string `json:"vendor,omitempty"` // zhimai or alsc
	Method string `json:"method,omitempty"` // Zhimai Action or TOP method; a trailing * is a prefix
	Member string `json:"member,omitempty"`
	Key    string `json:"key,omitempty"` // bizId or outer_order_id; a trailing * is a prefix

	// Nth fires on the nth matching call only, counted from 1. Probability
	// fires on that share of the matching calls, 0 meaning all. Count is the
	// most times that the rule fires, 0 meaning no limit.
	Nth         int     `json:"nth,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Count       int     `json:"count,omitempty"`

	Kind Kind `json:"kind"`

	// DelayBefore passes before the call is applied, DelayAfter between that
	// and the answer. Both go with every kind.
	DelayBefore Duration `json:"delay_before,omitempty"`
	DelayAfter  Duration `json:"delay_after,omitempty"`

	Bytes   int    `json:"bytes,omitempty"`   // truncate, clip: how much of the body arrives
	Seconds int    `json:"seconds,omitempty"` // rate-limit: length of the ban; not-found: age limit
	Apply   *bool  `json:"apply,omitempty"`   // truncate, clip, html, empty, garbage (default true); system-error, redirect (default false)
	Code    string `json:"code,omitempty"`    // refuse: result code; system-error: TOP sub_code or Zhimai code
	Message string `json:"message,omitempty"` // refuse, system-error
}

// Applied tells whether a call that meets the rule changes the books.
func (r Rule) Applied() bool {
	if r.Apply != nil {
		return *r.Apply
	}
	return applies[r.Kind]
}

// Validate names the first field that is wrong and what to write instead.
func (r Rule) Validate() error {
	switch {
	case !slices.Contains(Kinds, r.Kind):
		return fmt.Errorf("kind: %q is unknown, use one of %v", r.Kind, Kinds)
	case r.Vendor != "" && r.Vendor != "zhimai" && r.Vendor != "alsc":
		return fmt.Errorf("vendor: %q is unknown, use zhimai or alsc", r.Vendor)
	case r.Nth < 0:
		return fmt.Errorf("nth: %d is negative, calls count from 1", r.Nth)
	case r.Probability < 0 || r.Probability > 1 || r.Probability != r.Probability:
		return fmt.Errorf("probability: %v is not between 0 and 1", r.Probability)
	case r.Count < 0:
		return fmt.Errorf("count: %d is negative, use 0 for no limit", r.Count)
	case r.DelayBefore < 0:
		return fmt.Errorf("delay_before: must not be negative")
	case r.DelayAfter < 0:
		return fmt.Errorf("delay_after: must not be negative")
	case r.Bytes < 0 || r.Bytes > 0 && r.Kind != Truncate && r.Kind != Clip:
		return fmt.Errorf("bytes: goes with kinds truncate and clip and must not be negative")
	case r.Seconds < 0 || r.Seconds > 0 && r.Kind != RateLimit && r.Kind != NotFound:
		return fmt.Errorf("seconds: goes with kinds rate-limit and not-found and must not be negative")
	case r.Kind == NotFound && r.Seconds == 0:
		return fmt.Errorf("seconds: kind not-found needs the age limit in seconds")
	case r.Kind == Slow && r.DelayBefore == 0 && r.DelayAfter == 0:
		return fmt.Errorf("delay_before: kind slow needs delay_before or delay_after")
	case r.Apply != nil && slices.Contains(fixed, r.Kind):
		return fmt.Errorf("apply: kind %s decides it itself, leave it out", r.Kind)
	}
	return nil
}

// Duration is a time.Duration that JSON and YAML write as "1.5s".
type Duration time.Duration

// MarshalJSON writes the duration as Go does, "1.5s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a duration as Go writes it.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a text such as \"1.5s\": %w", err)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// Call is what a plan knows of a call.
type Call struct {
	Vendor string
	Method string
	Member []string // every name under which the caller gave the member
	Key    string
}

func (r *Rule) matches(c Call) bool {
	return (r.Vendor == "" || r.Vendor == c.Vendor) &&
		glob(r.Method, c.Method) && glob(r.Key, c.Key) &&
		(r.Member == "" || slices.Contains(c.Member, r.Member))
}

func glob(pattern, s string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, p)
	}
	return pattern == "" || pattern == s
}

// Status is a rule with how often it matched and fired.
type Status struct {
	Rule
	Matched int `json:"matched"`
	Fired   int `json:"fired"`
}

// Plan is an ordered list of rules. It is safe for concurrent use.
type Plan struct {
	mu    sync.Mutex
	rng   *rand.Rand
	rules []*Status
	next  int
}

// NewPlan returns an empty plan whose probabilities are drawn from seed.
func NewPlan(seed uint64) *Plan {
	return &Plan{rng: rand.New(rand.NewPCG(seed, seed)), next: 1}
}

// Add appends the rules, all or none, and returns them with their ids.
func (p *Plan) Add(rules ...Rule) ([]Rule, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := map[string]bool{}
	for _, s := range p.rules {
		ids[s.ID] = true
	}
	next := p.next
	out := slices.Clone(rules)
	for i := range out {
		if err := out[i].Validate(); err != nil {
			return nil, fmt.Errorf("faults[%d].%w", i, err)
		}
		if out[i].ID != "" && ids[out[i].ID] {
			return nil, fmt.Errorf("faults[%d].id: %q is taken", i, out[i].ID)
		}
		for ; out[i].ID == ""; next++ {
			if id := fmt.Sprintf("f%d", next); !ids[id] {
				out[i].ID = id
			}
		}
		ids[out[i].ID] = true
	}
	p.next = next
	for _, r := range out {
		p.rules = append(p.rules, &Status{Rule: r})
	}
	return out, nil
}

// Remove drops the rule with that id, all rules when id is empty, and
// reports how many it dropped.
func (p *Plan) Remove(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.rules)
	p.rules = slices.DeleteFunc(p.rules, func(s *Status) bool { return id == "" || s.ID == id })
	return before - len(p.rules)
}

// Seed restarts the random sequence.
func (p *Plan) Seed(seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rng = rand.New(rand.NewPCG(seed, seed))
}

// Rules returns the rules in order with their counters, never nil.
func (p *Plan) Rules() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Status, 0, len(p.rules))
	for _, s := range p.rules {
		out = append(out, *s)
	}
	return out
}

// Pick returns the rule that c meets, if any, and counts it. Every rule that
// c is tried against counts the match, so that "the third call of this
// method" means the same whatever rules stand before it and did not fire.
func (p *Plan) Pick(c Call) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.rules {
		if !s.matches(c) {
			continue
		}
		s.Matched++
		if p.due(s) {
			s.Fired++
			return s.Rule, true
		}
	}
	return Rule{}, false
}

func (p *Plan) due(s *Status) bool {
	if s.Count > 0 && s.Fired >= s.Count || s.Nth > 0 && s.Matched != s.Nth {
		return false
	}
	return s.Probability == 0 || p.rng.Float64() < s.Probability
}

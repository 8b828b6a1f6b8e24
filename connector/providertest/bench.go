// SPDX-License-Identifier: Apache-2.0

package providertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
)

// Bench is a client against the vendor's stand-in, which was written from the
// vendor's documents alone.
type Bench[C redeem.Provider] struct {
	Client C
	Server *sandbox.Server
	Vendor books.Vendor
	// Request is what a leg is planned of.
	Request redeem.Request
}

// Leg plans lines and makes the n-th leg of the first plan.
func (b Bench[C]) Leg(t testing.TB, n int, lines ...redeem.Line) redeem.Leg {
	t.Helper()
	plans, err := b.Client.Plan(b.Request, lines)
	if err != nil {
		t.Fatal(err)
	}
	return b.Made(plans[0], n)
}

// Made is the n-th leg, of a plan, sent now.
func (b Bench[C]) Made(p redeem.LegPlan, n int) redeem.Leg {
	return Leg(b.Client.Name(), fmt.Sprintf("HXTEST%d", n), p, time.Now())
}

// Spent says how often the vendor booked something under a leg's key, and what last.
func (b Bench[C]) Spent(key string) (times int, entry books.Entry) {
	for _, e := range b.Server.Sandbox.Books().ByKey(b.Vendor, key) {
		times, entry = times+1, e
	}
	return times, entry
}

// Endure lets each fault befall the second of three calls of line, whose method is given:
// whatever befalls a call, it is delivered at most once, "executed" and "refused" are
// true, and so is "not sent". limited looks at the outcome of a call that came too fast.
func Endure[C redeem.Provider](t *testing.T, method string, line redeem.Line, start func(*testing.T, ...fault.Rule) Bench[C], limited func(*testing.T, redeem.Outcome)) {
	for _, kind := range fault.Kinds {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " applied ", apply), func(t *testing.T) {
				rule := ruleOf(kind, apply)
				rule.Method = method
				b := start(t, rule)
				for n := 1; n <= 3; n++ { // the fault meets a connection that is used again
					o := b.endured(t, n, kind, line)
					if kind == fault.RateLimit && n == 2 && limited != nil {
						limited(t, o)
					}
				}
				for _, d := range b.Server.Sandbox.Deliveries(false) {
					if d.Deliveries != 1 {
						t.Errorf("%s was delivered %d times", d.Key, d.Deliveries)
					}
				}
			})
		}
	}
}

func ruleOf(kind fault.Kind, apply bool) fault.Rule {
	rule := fault.Rule{Kind: kind, Nth: 2, Apply: &apply}
	if rule.Validate() != nil {
		rule.Apply = nil
	}
	switch kind {
	case fault.Truncate, fault.Clip:
		rule.Bytes = 60
	case fault.Slow:
		rule.DelayAfter = fault.Duration(20 * time.Millisecond)
	case fault.NotFound:
		rule.Seconds = 60
	}
	return rule
}

// endured makes the n-th call and holds what the client says against the books.
func (b Bench[C]) endured(t *testing.T, n int, kind fault.Kind, line redeem.Line) redeem.Outcome {
	t.Helper()
	leg := b.Leg(t, n, line)
	ctx, giveUp := oneshottest.Deadline(t.Context())
	if kind == fault.ApplyThenHang && n == 2 {
		go func() { sandboxtest.AwaitFault(t, b.Server); giveUp() }()
	}
	o := b.Client.Send(ctx, redeem.Sending{Leg: leg})
	booked, _ := b.Spent(leg.Key)
	if booked > 1 {
		t.Fatalf("call %d was booked %d times", n, booked)
	}
	if o.Kind == redeem.Executed && booked != 1 || (o.Kind == redeem.Refused || o.Kind == redeem.NotSent) && booked != 0 {
		t.Errorf("call %d: got %s (%s), booked %d times", n, o.Kind, o.Class, booked)
	}
	if n != 2 && o.Kind != redeem.Executed && kind != fault.RateLimit {
		t.Errorf("call %d: got %s (%s) without a fault", n, o.Kind, o.Class)
	}
	return o
}

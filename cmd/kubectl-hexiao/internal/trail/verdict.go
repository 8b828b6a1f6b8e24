// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// The answers. Scripts may rely on the values.
const (
	Yes       = "yes"
	No        = "no"
	InPart    = "in-part"    // Charged: some assets were, some were refused
	GivenBack = "given-back" // Charged: it was, and all of it was given back
	NotKnown  = "not-known"  // Charged: a call is open, or an alarm rang
	Perhaps   = "perhaps"    // Twice: two requests, and one of them is open, or an alarm
	Intact    = "intact"     // Proof
	Broken    = "broken"     // Proof: another hand changed the ledger
	Retired   = "retired"    // retention took the details away
)

// Answer is an answer in one word, and why.
type Answer struct {
	Answer string `json:"answer"`
	Why    string `json:"why"`
}

// Verdict on an order.
type Verdict struct {
	Charged Answer `json:"charged"`
	Twice   Answer `json:"twice"`
	// Proof says whether the records that the answers rest on are as they were written.
	Proof Answer `json:"proof"`
	// Net is what the member has paid, as far as it is known.
	Net adminapi.Sum `json:"net"`
	// Do is what is to be done, if anything.
	Do []string `json:"do,omitempty"`
}

// Judge says what became of an order. Pure.
func Judge(c Case) Verdict {
	if len(c.Found.Items) == 0 {
		return retired(c.Found.Retired)
	}
	v := Verdict{Charged: charged(c), Twice: twice(c), Proof: proof(c), Net: c.Found.Totals.Net}
	v.Do = toDo(c, v)
	return v
}

func retired(list []adminapi.Retired) Verdict {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%s %s had ended as %s", present.Action(r.Action), r.BizID, r.Outcome))
	}
	gone := Answer{Retired, "retention took the details away: " + strings.Join(parts, "; ")}
	return Verdict{Charged: gone, Twice: gone, Proof: gone, Do: []string{"the vendor's back office has the rest"}}
}

func charged(c Case) Answer {
	t := c.Found.Totals
	beside := ""
	if t.GivenBack != (adminapi.Sum{}) {
		beside = fmt.Sprintf("; %s charged, %s given back", words(t.Redeemed), words(t.GivenBack))
	}
	if t.InDoubtBack != (adminapi.Sum{}) {
		beside += "; " + words(t.InDoubtBack) + " may have been given back besides: that is not known yet"
	}
	known := "so far " + words(t.Net) + " is known to be charged" + beside
	switch {
	case has(c, func(x adminapi.Trail) bool { return x.Redemption.Contradiction }):
		return Answer{NotKnown, "ALARM: a vendor's evidence contradicts what was concluded; " + known}
	case t.InDoubt != (adminapi.Sum{}):
		return Answer{NotKnown, words(t.InDoubt) + " may or may not have been charged; " + known}
	case !has(c, func(x adminapi.Trail) bool { return x.Redemption.Action == "VERIFY" }):
		return Answer{NotKnown, "only a reversal is known here, not what it reverses"}
	case t.Net == (adminapi.Sum{}) && t.Redeemed == (adminapi.Sum{}):
		return Answer{No, notCharged(c) + beside}
	case t.Net == (adminapi.Sum{}):
		return Answer{GivenBack, "nothing remains" + beside}
	case has(c, func(x adminapi.Trail) bool { return x.Conclusion.Word == adminapi.WordPartly }):
		return Answer{InPart, words(t.Net) + " in all; some of what was asked for was refused" + beside}
	}
	return Answer{Yes, words(t.Net) + " in all" + beside}
}

// notCharged says why nothing was.
func notCharged(c Case) string {
	switch {
	case has(c, is(adminapi.WordNotSent)):
		return "nothing has left the connector; a repeat of the same bizId sends it"
	case has(c, is(adminapi.WordUndone)):
		return "what had been taken was given back, because the rest was refused"
	}
	return "the vendor refused it, or is known not to have done it; that is final"
}

func is(word string) func(adminapi.Trail) bool {
	return func(t adminapi.Trail) bool { return t.Conclusion.Word == word }
}

// has says whether one of the case's redemptions, or of their reversals, is so.
func has(c Case, so func(adminapi.Trail) bool) bool { return slices.ContainsFunc(c.Requests(), so) }

// twice looks at the two ways in which a member could pay twice: a second request of
// the same payment, and a call that left more than once.
func twice(c Case) Answer {
	for _, p := range c.Found.Totals.Repeated {
		paid, open := standing(c, p.BizIDs)
		text := fmt.Sprintf("the till made %d requests of payment %s of order %s (%s)", len(p.BizIDs), p.PaymentNo, p.OrderNo, strings.Join(p.BizIDs, ", "))
		switch {
		case paid > 1:
			return Answer{Yes, fmt.Sprintf("%s, and %d of them charged", text, paid)}
		case paid+open > 1:
			return Answer{Perhaps, text + ", and it is not known yet what became of all of them"}
		default:
			return Answer{No, text + "; what was charged more than once was given back"}
		}
	}
	if has(c, func(x adminapi.Trail) bool { return x.Redemption.Contradiction }) {
		return Answer{Perhaps, "ALARM: a vendor says that it did what had been concluded as not done, or the other way round"}
	}
	return Answer{No, once(c)}
}

// standing counts those of the redemptions that charged something that was not given
// back in full, and those that are open.
func standing(c Case, bizIDs []string) (paid, open int) {
	for _, t := range c.Found.Items {
		if t.Redemption.Action != "VERIFY" || !slices.Contains(bizIDs, t.Redemption.BizID) {
			continue
		}
		back := adminapi.Sum{}
		for _, r := range t.Reversals {
			back = plus(back, r.Conclusion.Done)
		}
		switch word := t.Conclusion.Word; {
		case word == adminapi.WordInDoubt || word == adminapi.WordUnderWay:
			open++
		case t.Conclusion.Done != (adminapi.Sum{}) && t.Conclusion.Done != back:
			paid++
		}
	}
	return paid, open
}

// once says how often something left for the vendors.
func once(c Case) string {
	var calls []string
	requests, most := 0, 0
	for _, t := range c.Found.Items {
		if t.Redemption.Action != "VERIFY" {
			continue
		}
		requests++
		for _, l := range t.Redemption.Legs {
			n := Calls(t.Redemption, l.No)
			most = max(most, n)
			if n > 1 {
				calls = append(calls, fmt.Sprintf("call %d of %s was made %d times under its one key %s, as the brand's inDoubt (%s) has it: the vendor takes a key once", l.No, t.Redemption.BizID, n, l.Key, l.Strategy))
			}
		}
	}
	text := "the till made one request of this payment"
	if requests > 1 {
		text = fmt.Sprintf("the order has %d requests, and no payment of it charged under two of them", requests)
	}
	switch most {
	case 0:
		return text + ", and nothing left for a vendor"
	case 1:
		return text + ", and each call to a vendor left once"
	}
	return text + "; " + strings.Join(calls, "; ")
}

// Calls counts how often a leg's call left for its vendor, or may have: the ledger is
// told before each. One of which nothing left does not count.
func Calls(r adminapi.Redemption, leg int) int {
	n := 1
	for _, l := range r.Legs {
		if l.No == leg && l.Operation == manual {
			n = 0
		}
	}
	for _, e := range r.Events {
		if e.Leg == nil || *e.Leg != leg {
			continue
		}
		d := detailOf(e)
		switch {
		case e.Kind == "state" && e.To == "sent":
			n++
		case e.Kind == "state" && e.To == "not_sent":
			n--
		case e.Kind == "evidence" && repeated(d.What) && d.Kind != "not-sent":
			n++
		}
	}
	return n
}

// manual is the operation of a leg that no machine sends.
const manual = "manual-reversal"

// repeated: the resolver made the same call again under the same key.
func repeated(what string) bool {
	return strings.HasSuffix(what, "under the same key") || strings.Contains(what, "repeat")
}

func proof(c Case) Answer {
	var problems []string
	events, requests, unsealed := int64(0), 0, 0
	for _, t := range c.Requests() {
		requests++
		events += t.Chain.Events
		if !t.Chain.Sealed {
			unsealed++
		}
		if !t.Chain.Intact {
			problems = append(problems, t.Chain.Problem)
		}
	}
	if len(problems) > 0 {
		return Answer{Broken, "the ledger was changed by another hand (" + strings.Join(problems, "; ") + "): nothing above may be relied on"}
	}
	text := fmt.Sprintf("the hash chain of %s was verified now, %s", count(requests, "request"), count(int(events), "event"))
	if unsealed > 0 {
		text += fmt.Sprintf("; %s not sealed yet", count(unsealed, "request"))
	}
	return Answer{Intact, text}
}

func toDo(c Case, v Verdict) []string {
	var do []string
	if v.Proof.Answer == Broken {
		do = append(do, "keep a copy of the ledger's database as it is, and call the on-call engineer")
	}
	for _, t := range c.Requests() {
		r := t.Redemption
		if r.Contradiction {
			do = append(do, fmt.Sprintf("%s: call the on-call engineer at once: docs/guides/in-doubt.md, \"When the alarm rings\"", r.BizID))
		}
		open := openLegs(r)
		for _, l := range r.Legs {
			switch l.WaitsFor {
			case adminapi.WaitsForPerson:
				do = append(do, fmt.Sprintf("%s: look for key %s in the back office of %s, then %s", r.BizID, l.Key, l.Provider, c.Place.resolve(r, l.No, open > 1)))
			case adminapi.WaitsForCheck:
				do = append(do, fmt.Sprintf("%s: wait; the connector looks again by itself", r.BizID))
			case adminapi.WaitsForCall, adminapi.WaitsForLease:
				do = append(do, fmt.Sprintf("%s: look again in half a minute; a call is being made, or its process has died", r.BizID))
			}
		}
	}
	if v.Charged.Answer == NotKnown {
		do = append(do, "until it is known: no new request for this payment, and no promise to the member")
	}
	if v.Twice.Answer == Yes {
		do = append(do, "ask the shop whether both were meant; if not, it reverses one of them at the till")
	}
	return slices.Compact(do)
}

// openLegs counts what somebody, or something, has still to find out.
func openLegs(r adminapi.Redemption) (n int) {
	for _, l := range r.Legs {
		if l.WaitsFor != "" {
			n++
		}
	}
	return n
}

func plus(a, b adminapi.Sum) adminapi.Sum {
	return adminapi.Sum{Fen: a.Fen + b.Fen, Coupons: a.Coupons + b.Coupons, Points: a.Points + b.Points}
}

// words is "25.50 yuan, 1 coupon, 300 points", or "nothing".
func words(s adminapi.Sum) string {
	var parts []string
	if s.Fen != 0 {
		parts = append(parts, present.Yuan(s.Fen)+" yuan")
	}
	if s.Coupons != 0 {
		parts = append(parts, count(int(s.Coupons), "coupon"))
	}
	if s.Points != 0 {
		parts = append(parts, count(int(s.Points), "point"))
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// detail is what is read of an event's detail. What it does not know it leaves out;
// the machine formats have everything.
type detail struct {
	Reason, What, Kind, Class, Code, Detail, FlowID, Verdict, Who, Alarm, By, Force, Overrules string
	Outcome                                                                                    *struct {
		Kind, Class, Code, Detail, FlowID string
		HTTPStatus                        int
		Total                             int64
	}
	NotFound int
	Bytes    int
	Legs     []struct {
		No            int
		Provider, Key string
		Operation     string
	}
}

func detailOf(e adminapi.Event) detail {
	var d detail
	if json.Unmarshal(e.Detail, &d) != nil {
		return detail{}
	}
	return d
}

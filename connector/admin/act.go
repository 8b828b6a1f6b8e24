// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

const maxWho = 200

// lookUp asks the vendors now.
func (d *desk) lookUp(r *http.Request) (any, error) {
	key, p, err := d.person(r)
	if err != nil {
		return nil, err
	}
	x, err := d.Ledger.Get(r.Context(), key)
	if err != nil {
		return nil, err
	}
	out := adminapi.Findings{Items: []adminapi.Finding{}}
	for _, l := range x.Legs {
		if p.Leg != nil && *p.Leg != l.No {
			continue
		}
		f, err := d.ask(r, key, l.No, p.Who)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, f)
	}
	if len(out.Items) == 0 {
		return nil, invalid("leg", "the redemption has no such leg", "use 0 to "+strconv.Itoa(len(x.Legs)-1))
	}
	return out, nil
}

// cannotAsk is the verdict where there is nobody to ask.
const cannotAsk = "cannot-ask"

func (d *desk) ask(r *http.Request, key redeem.Key, no int, who string) (adminapi.Finding, error) {
	c, err := d.Engine.Consult(r.Context(), key, no, who)
	if errors.Is(err, redeem.ErrCannotAsk) {
		return adminapi.Finding{Leg: no, At: d.Now().UTC(), Verdict: cannotAsk, Detail: err.Error()}, nil
	}
	if err != nil {
		return adminapi.Finding{}, err
	}
	out := adminapi.Finding{Leg: no, At: c.At.UTC(), Verdict: string(c.Finding.Verdict), Detail: scrub(c.Finding.Detail), Alarm: c.Alarm}
	if c.Finding.Verdict == redeem.Found {
		o := c.Finding.Outcome
		o.Kind = redeem.Executed
		out.Answer = answer(o)
	}
	return out, nil
}

func (d *desk) retry(r *http.Request) (any, error) {
	key, p, err := d.person(r)
	if err != nil {
		return nil, err
	}
	return d.dueNow(r, key, p.Who)
}

func (d *desk) retryReversal(r *http.Request) (any, error) {
	var p adminapi.Person
	if err := decode(r, &p); err != nil {
		return nil, err
	}
	if err := checkWho(p.Who); err != nil {
		return nil, err
	}
	return d.dueNow(r, redeem.Key{BrandID: d.BrandID, Action: redeem.ReverseVerify, BizID: r.PathValue("bizID")}, p.Who)
}

func (d *desk) dueNow(r *http.Request, key redeem.Key, who string) (any, error) {
	x, legs, err := d.Engine.Retry(r.Context(), key, who)
	if err != nil {
		return nil, err
	}
	if len(legs) == 0 {
		return nil, &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeDecided,
			Message: "nothing of it is open for a retry", Remedy: "look at it: it is concluded, or waits for the till to repeat it"}
	}
	view, err := d.view(r.Context(), x)
	return adminapi.Retried{Legs: legs, Redemption: view}, err
}

// person reads the body of a look-up or a retry.
func (d *desk) person(r *http.Request) (redeem.Key, adminapi.Person, error) {
	var p adminapi.Person
	key, err := d.key(r)
	if err == nil {
		err = decode(r, &p)
	}
	if err == nil {
		err = checkWho(p.Who)
	}
	return key, p, err
}

// resolve takes a decision on one leg: on what it looks like now, after the vendor was
// asked once more, and not against the evidence unless it is forced.
func (d *desk) resolve(r *http.Request) (any, error) {
	key, err := d.key(r)
	if err != nil {
		return nil, err
	}
	no, err := strconv.Atoi(r.PathValue("no"))
	if err != nil || no < 0 {
		return nil, invalid("no", "is not a leg's number", "use 0 for the first leg")
	}
	var in adminapi.Decision
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := checkDecision(in); err != nil {
		return nil, err
	}
	return d.decide(r, key, no, in)
}

func (d *desk) decide(r *http.Request, key redeem.Key, no int, in adminapi.Decision) (any, error) {
	ctx := r.Context()
	if err := d.decidable(r, key, no, in); err != nil {
		return nil, err
	}
	if _, err := d.ask(r, key, no, in.Who); err != nil {
		return nil, err
	}
	// What follows is decided on this reading; a change after it fails the commit.
	seen, err := d.Ledger.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	events, err := d.Ledger.Events(ctx, key)
	if err != nil {
		return nil, err
	}
	verdict := redeem.Kind(in.Decision)
	over := against(verdict, no, events)
	if over != nil && !in.Force {
		return nil, &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeEvidence, Field: "decision",
			Message: fmt.Sprintf("%s contradicts the evidence: %s", in.Decision, over.Evidence),
			Remedy:  "decide the other way, or force it when you know better: that is recorded, too"}
	}
	over = d.withHaste(over, verdict, seen, no, events)
	decision := redeem.Decision{Key: key, Leg: no, Verdict: verdict, Who: in.Who, Reason: strings.TrimSpace(in.Reason), Force: in.Force}
	if err := d.sameVersion(seen, no, in.Version); err != nil {
		return nil, err
	}
	after, err := d.Engine.DecideOn(ctx, seen, decision, over)
	if err != nil {
		return nil, err
	}
	view, err := d.view(ctx, after)
	out := adminapi.Resolved{Decision: in.Decision, Who: decision.Who, Reason: decision.Reason, Redemption: view}
	if over != nil {
		out.Overruled = over.Evidence
	}
	return out, err
}

// decidable fails early, before a vendor is asked, when there is nothing to decide, or
// when it is too early for it.
func (d *desk) decidable(r *http.Request, key redeem.Key, no int, in adminapi.Decision) error {
	x, err := d.Ledger.Get(r.Context(), key)
	if err != nil {
		return err
	}
	if err := d.sameVersion(x, no, in.Version); err != nil {
		return err
	}
	events, err := d.Ledger.Events(r.Context(), key)
	if err != nil {
		return err
	}
	if why := d.haste(redeem.Kind(in.Decision), x, no, events); why != "" && !in.Force {
		return tooEarly(why)
	}
	return nil
}

// haste says why the verdict comes too early; empty when it does not.
func (d *desk) haste(verdict redeem.Kind, x redeem.Redemption, no int, events []redeem.Event) string {
	from, now := d.Engine.RefusableFrom(x, no, events), d.Now()
	if verdict != redeem.Refused || !now.Before(from) {
		return ""
	}
	return fmt.Sprintf("leg %d may be called refused from %s on, in %s: until then the vendor may have it without showing it",
		no, from.UTC().Format("2006-01-02 15:04:05Z"), max(from.Sub(now).Round(time.Second), time.Second))
}

// withHaste adds to what is overruled that the verdict comes too early.
func (d *desk) withHaste(over *redeem.Overruling, verdict redeem.Kind, x redeem.Redemption, no int, events []redeem.Event) *redeem.Overruling {
	why := d.haste(verdict, x, no, events)
	switch {
	case why == "":
		return over
	case over == nil:
		return &redeem.Overruling{Evidence: why}
	}
	return &redeem.Overruling{Evidence: over.Evidence + "; " + why, Outcome: over.Outcome}
}

func tooEarly(why string) *adminapi.Error {
	return &adminapi.Error{Status: http.StatusConflict, Code: adminapi.CodeEarly, Field: "decision", Message: why,
		Remedy: "look again then; a wrong refusal charges the guest twice. Force it when the vendor itself has told you that it will never be done: that is recorded, too"}
}

func (d *desk) sameVersion(x redeem.Redemption, no int, version *int64) error {
	for _, l := range x.Legs {
		if l.No != no {
			continue
		}
		switch {
		case l.State.Final():
			return fmt.Errorf("%w: leg %d is %s since %s", redeem.ErrDecision, no, l.State, l.ResolvedAt.UTC().Format("2006-01-02 15:04:05Z"))
		case l.State == redeem.StateSent:
			return fmt.Errorf("%w: the call of leg %d is under way", redeem.ErrDecision, no)
		case version != nil && *version != l.Epoch:
			return fmt.Errorf("%w: leg %d has version %d, not %d", redeem.ErrFenced, no, l.Epoch, *version)
		}
		return nil
	}
	return &adminapi.Error{Status: http.StatusNotFound, Code: adminapi.CodeNotFound, Field: "no",
		Message: fmt.Sprintf("there is no leg %d", no), Remedy: fmt.Sprintf("the legs are 0 to %d", len(x.Legs)-1)}
}

// against is the newest evidence on a leg, if it says the contrary of the verdict. An
// answer that says nothing either way is passed over: what was said before it stands.
// What the vendor's record shows as done in part is against "refused" alone; and once the
// record has turned out not to show the leg, an earlier "not there" is no evidence.
// Pure.
func against(verdict redeem.Kind, no int, events []redeem.Event) *redeem.Overruling {
	unshown := false
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if e.LegNo != no || e.Kind != "evidence" && e.Kind != "alarm" {
			continue
		}
		var said struct{ What, Kind, Class, Code, FlowID, Detail string }
		if json.Unmarshal(e.Detail, &said) != nil {
			continue
		}
		over := &redeem.Overruling{Evidence: strings.TrimSpace(fmt.Sprintf("at %s %s (%s %s)", e.At.UTC().Format("2006-01-02 15:04:05Z"), said.What, said.Detail, said.FlowID))}
		partly := said.Class == string(redeem.Partly)
		switch {
		case said.Class == string(redeem.Unshown):
			unshown = true
		case said.Class == string(redeem.Missing) && unshown:
		case (said.Kind == string(redeem.Executed) || partly) && verdict == redeem.Refused:
			over.Outcome = redeem.Outcome{Kind: redeem.Executed, Class: redeem.Class(said.Class), Code: said.Code, FlowID: said.FlowID, Detail: said.Detail}
			return over
		case said.Kind == string(redeem.Refused) && verdict == redeem.Executed,
			said.Class == string(redeem.Missing) && verdict == redeem.Executed,
			said.Class == string(redeem.Differs):
			return over
		case partly, said.Kind == string(redeem.Executed), said.Kind == string(redeem.Refused), said.Class == string(redeem.Missing):
			return nil
		}
	}
	return nil
}

func checkDecision(in adminapi.Decision) error {
	if in.Decision != adminapi.Executed && in.Decision != adminapi.Refused {
		return invalid("decision", strconv.Quote(in.Decision)+" is no decision", "use executed when the vendor did it, refused when it did not")
	}
	if wrong := adminapi.CheckReason(in.Reason); wrong != nil {
		return wrong
	}
	return checkWho(in.Who)
}

func checkWho(who string) error {
	odd := strings.IndexFunc(who, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError })
	switch {
	case strings.TrimSpace(who) == "":
		return invalid("who", "is empty", "name the account of the person who acts")
	case len(who) > maxWho || odd >= 0:
		return invalid("who", "is too long, or holds control characters", fmt.Sprintf("use the account's name, at most %d bytes", maxWho))
	}
	return nil
}

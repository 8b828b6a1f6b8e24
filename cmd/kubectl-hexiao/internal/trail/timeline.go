// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Where an entry comes from.
const (
	FromLedger = "ledger"
	FromSpan   = "span"
)

// Entry is a moment of the time line.
type Entry struct {
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	BizID  string    `json:"bizId,omitempty"`
	Action string    `json:"action,omitempty"`
	Leg    *int      `json:"leg,omitempty"`
	Who    string    `json:"who,omitempty"`
	What   string    `json:"what"`
	// Took is how long it lasted: of a span its duration, of a leg's end the time since
	// the call left, of a reply the time since the till's call. In nanoseconds.
	Took time.Duration `json:"tookNanos,omitempty"`

	rank, depth int
	event       *adminapi.Event // what it was made of
}

// Span is one of a tracing backend.
type Span struct {
	ID, Parent, Name, Service string
	Start, End                time.Time
	Error                     bool
	Status                    string // HTTP status code, if it has one
}

// TimeLine puts what the ledger recorded of the case, and spans, in order. Pure.
func TimeLine(c Case, spans []Span) []Entry {
	var all []Entry
	for _, t := range c.Requests() {
		all = append(all, entries(t.Redemption)...)
	}
	all = append(all, spanEntries(spans)...)
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.rank, b.rank)) })
	return all
}

// entries are the till's call, the log's events and the reply.
func entries(r adminapi.Redemption) []Entry {
	base := Entry{Source: FromLedger, BizID: r.BizID, Action: present.Action(r.Action)}
	call := base
	call.At, call.Who, call.What, call.rank = r.CreatedAt, "till", asked(r), -1
	all := []Entry{call}
	sent := map[int]time.Time{}
	for _, l := range r.Legs {
		sent[l.No] = r.CreatedAt
	}
	for _, e := range r.Events {
		x := base
		x.At, x.Leg, x.Who, x.rank = e.At, e.Leg, e.Actor, int(e.Seq)
		x.What, x.event = what(r, e), &e
		switch {
		case e.Kind == "answer":
			x.Took = e.At.Sub(r.CreatedAt)
		case e.Kind == "state" && e.Leg != nil && e.To == "sent":
			sent[*e.Leg] = e.At
		case e.Kind == "state" && e.Leg != nil && e.To != "not_sent":
			x.Took = e.At.Sub(sent[*e.Leg])
		}
		all = append(all, x)
	}
	return all
}

// asked is what the till's call asked for.
func asked(r adminapi.Redemption) string {
	var lines []string
	for _, l := range r.Lines {
		text := l.Asset + " " + l.AssetMappingID
		if l.AmountFen != 0 {
			text += ", " + present.Yuan(l.AmountFen) + " yuan"
		} else {
			text += fmt.Sprintf(", %d", l.Count)
		}
		lines = append(lines, text)
	}
	verb := "asks to redeem"
	if r.Action == "REVERSE_VERIFY" {
		verb = "asks to give back, of " + r.ReversesBizID + ","
	}
	return verb + " " + strings.Join(lines, "; ")
}

// Words puts an event of r's log into words.
func Words(r adminapi.Redemption, e adminapi.Event) string { return what(r, e) }

// what puts an event into words.
func what(r adminapi.Redemption, e adminapi.Event) string {
	d := detailOf(e)
	switch e.Kind {
	case "recorded":
		return plan(d)
	case "answer":
		return fmt.Sprintf("the final reply is stored (subCode %s, %d bytes): each repeat of the bizId hears it", r.SubCode, d.Bytes)
	case "alarm":
		return "ALARM: evidence contradicts what was concluded"
	case "lease":
		return "takes the call in hand, to find out what became of it"
	case "decision":
		return decision(d)
	case "state":
		return join(change(r, e), reason(d), outcome(d, e.To))
	case "reserved":
		return join("an amount is reserved, so that it is not given back twice", by(d))
	case "released":
		return join("what was reserved is free again", by(d))
	case "evidence":
		return join(d.What, reason(d), outcome(d, ""))
	}
	return join(e.Kind, d.What, reason(d), by(d), outcome(d, ""))
}

func plan(d detail) string {
	calls := make([]string, len(d.Legs))
	for i, l := range d.Legs {
		calls[i] = fmt.Sprintf("call %d to %s, %s, under key %s", l.No, l.Provider, l.Operation, l.Key)
	}
	return fmt.Sprintf("%s planned and written down before anything is sent: %s", count(len(calls), "vendor call"), strings.Join(calls, "; "))
}

func decision(d detail) string {
	text := fmt.Sprintf("decides by hand: %s; reason: %s", d.Verdict, d.Reason)
	if d.Overrules != "" {
		text += "; against the evidence: " + d.Overrules
	}
	return text
}

// change is a leg's new state in words.
func change(r adminapi.Redemption, e adminapi.Event) string {
	provider := "the vendor"
	for _, l := range r.Legs {
		if e.Leg != nil && l.No == *e.Leg {
			provider = l.Provider
		}
	}
	switch e.To {
	case "executed":
		return provider + " did it"
	case "refused":
		return provider + " did not do it and will not"
	case "unknown":
		return "no answer that says whether " + provider + " did it: IN DOUBT"
	case "not_sent":
		return "nothing left for " + provider
	case "sent":
		return "sent to " + provider + " again: nothing had left before"
	}
	return e.From + " → " + e.To
}

func reason(d detail) string {
	switch d.Reason {
	case "", d.Kind, d.Class:
		return ""
	}
	if o := d.Outcome; o != nil && (d.Reason == o.Kind || d.Reason == o.Class) {
		return ""
	}
	return d.Reason
}

func by(d detail) string {
	if d.By == "" {
		return ""
	}
	return "by reversal " + d.By
}

// outcome is a classified answer in words, without what was said already.
func outcome(d detail, said string) string {
	kind, class, code, text, flow, status := d.Kind, d.Class, d.Code, d.Detail, d.FlowID, 0
	if o := d.Outcome; o != nil {
		kind, class, code, text, flow, status = o.Kind, o.Class, o.Code, o.Detail, o.FlowID, o.HTTPStatus
	}
	var parts []string
	for _, p := range []struct{ name, value string }{{"", kind}, {"", class}, {"code ", code}, {"vendor's flow ", flow}} {
		if p.value != "" && p.name+p.value != said && !slices.Contains(parts, p.name+p.value) {
			parts = append(parts, p.name+p.value)
		}
	}
	if status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", status))
	}
	if d.NotFound > 0 {
		parts = append(parts, fmt.Sprintf("not found %s", count(d.NotFound, "time")))
	}
	if text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "; ")
}

// spanEntries are spans, each as deep as its ancestors that are there.
func spanEntries(spans []Span) []Entry {
	parents := map[string]string{}
	for _, s := range spans {
		parents[s.ID] = s.Parent
	}
	var all []Entry
	for _, s := range spans {
		e := Entry{At: s.Start, Source: FromSpan, Who: s.Service, What: s.Name, Took: s.End.Sub(s.Start), rank: 1 << 30}
		for id, seen := s.Parent, 0; id != "" && seen < len(spans); seen++ {
			up, there := parents[id]
			if !there {
				break
			}
			e.depth++
			id = up
		}
		if s.Status != "" {
			e.What += ", HTTP " + s.Status
		}
		if s.Error {
			e.What += ", error"
		}
		all = append(all, e)
	}
	return all
}

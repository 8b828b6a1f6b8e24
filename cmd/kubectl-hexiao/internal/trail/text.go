// SPDX-License-Identifier: Apache-2.0

package trail

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Trace is a distributed trace of a request.
type Trace struct {
	ID     string   `json:"id"`
	BizIDs []string `json:"bizIds"`
	URL    string   `json:"url,omitempty"`
	Spans  int      `json:"spans,omitempty"`
	// Error says why its spans are not in the time line.
	Error string `json:"error,omitempty"`
}

// Story is all there is to tell of a case.
type Story struct {
	OrderNo  string          `json:"orderNo,omitempty"`
	Verdict  Verdict         `json:"verdict"`
	TimeLine []Entry         `json:"timeLine"`
	Traces   []Trace         `json:"traces,omitempty"`
	Ledger   adminapi.Trails `json:"ledger"`

	asked map[string]bool
}

// Tell makes the story of a case.
func Tell(c Case, traces []Trace, spans []Span) Story {
	s := Story{Verdict: Judge(c), TimeLine: TimeLine(c, spans), Traces: traces, Ledger: c.Found, asked: c.Asked}
	for _, t := range c.Requests() {
		s.OrderNo = t.Redemption.OrderNo
	}
	return s
}

// Text writes stories for a person: the verdict first. Times are those of zone. For an
// engineer, wide adds each call's state in numbers, and what the ledger wrote down.
func Text(w io.Writer, stories []Story, zone *time.Location, wide bool) error {
	var b bytes.Buffer
	for i, s := range stories {
		if i > 0 {
			b.WriteString("\n")
		}
		s.head(&b)
		for _, t := range s.Ledger.Items {
			s.request(&b, t, zone, "", wide)
		}
		s.lines(&b, zone, wide)
	}
	_, err := io.WriteString(w, present.CleanLines(b.String()))
	return err
}

func (s *Story) head(b *bytes.Buffer) {
	v := s.Verdict
	title := "brand " + s.Ledger.BrandID
	if s.OrderNo != "" {
		title = "order " + s.OrderNo + " of " + title
	}
	fmt.Fprintf(b, "%s\n\n", title)
	for _, a := range []struct {
		question string
		Answer
	}{{"Was it charged?", v.Charged}, {"Charged twice?", v.Twice}, {"Can this be trusted?", v.Proof}} {
		fmt.Fprintf(b, "  %-21s %s: %s.\n", a.question, strings.ToUpper(strings.ReplaceAll(a.Answer.Answer, "-", " ")), a.Why)
	}
	for i, do := range v.Do {
		name := ""
		if i == 0 {
			name = "What to do"
		}
		fmt.Fprintf(b, "  %-21s %s.\n", name, do)
	}
}

// request is a redemption, and its reversals below it.
func (s *Story) request(b *bytes.Buffer, t adminapi.Trail, zone *time.Location, indent string, wide bool) {
	r := t.Redemption
	mark := ""
	if len(s.asked) > 0 && !s.asked[keyOf(r)] && indent == "" {
		mark = ", of the same order"
	}
	fmt.Fprintf(b, "\n%s%s %s%s: %s\n", indent, strings.ToUpper(present.Action(r.Action)), r.BizID, mark, conclusion(t))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s  %-11s %s\n", indent, name, value)
		}
	}
	field("payment", join(r.PaymentNo, refund(r)))
	field("shop", r.ShopID)
	field("flow", r.FlowID)
	field("received", clock(r.CreatedAt, zone))
	field("answered", answered(r, zone))
	field("trace", s.trace(r.TraceID))
	field("connector", join(r.ConnectorVersion, r.ConfigRevision))
	for _, l := range r.Legs {
		field(fmt.Sprintf("call %d", l.No), fmt.Sprintf("%s at %s, %s, key %s: %s", present.Value(l.AmountFen, l.Points, l.Coupons), l.Provider, l.Operation, l.Key,
			join(present.State(l), answer(l))))
		if wide {
			field("", numbers(l, zone))
		}
	}
	if wide {
		field("chain", chain(t.Chain))
	}
	for _, v := range t.Reversals {
		s.request(b, v, zone, indent+"  ", wide)
	}
}

// answer is a vendor's answer, without what the call's state says already.
func answer(l adminapi.Leg) string {
	a := l.Answer
	if a == nil {
		if l.State == "sent" || l.State == "not_sent" {
			return "" // the state says that there is none
		}
		return "no answer"
	}
	d := detail{Kind: a.Kind, Class: a.Class, Code: a.Code, Detail: a.Detail, FlowID: a.FlowID}
	parts := []string{outcome(d, l.State)}
	if a.HTTPStatus != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", a.HTTPStatus))
	}
	if a.TotalFen != 0 && a.TotalFen != l.AmountFen {
		parts = append(parts, "the vendor says "+present.Yuan(a.TotalFen)+" yuan")
	}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

// numbers are a call's amounts, times and strategy, as the ledger has them.
func numbers(l adminapi.Leg, zone *time.Location) string {
	parts := []string{fmt.Sprintf("%d fen", l.AmountFen)}
	if len(l.Coupons) > 0 {
		parts = append(parts, "coupons "+strings.Join(l.Coupons, " "))
	}
	parts = append(parts, "inDoubt "+l.Strategy, fmt.Sprintf("version %d", l.Version), fmt.Sprintf("checked %s", count(l.Checks, "time")))
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"sent", l.SentAt}, {"in doubt", l.UnknownAt}, {"known", l.ResolvedAt}, {"next check", l.NextCheck}} {
		if t.at != nil {
			parts = append(parts, t.name+" "+clock(*t.at, zone))
		}
	}
	return strings.Join(parts, ", ")
}

func chain(c adminapi.Chain) string {
	text := fmt.Sprintf("%s, intact", count(int(c.Events), "event"))
	if !c.Intact {
		text = "BROKEN: " + c.Problem
	}
	if !c.Sealed {
		text += ", not sealed yet"
	}
	return text
}

func refund(r adminapi.Redemption) string {
	if r.RefundPaymentNo == "" {
		return ""
	}
	return "refund " + r.RefundPaymentNo
}

func answered(r adminapi.Redemption, zone *time.Location) string {
	if r.ConcludedAt == nil {
		return "not finally: the till hears 3001, outcome not known"
	}
	return fmt.Sprintf("%s, subCode %s", clock(*r.ConcludedAt, zone), r.SubCode)
}

// trace is a trace's id, with where it can be seen.
func (s *Story) trace(id string) string {
	for _, t := range s.Traces {
		if t.ID != id {
			continue
		}
		if t.Error != "" {
			return join(id, t.URL, "NO SPANS: "+t.Error)
		}
		return join(id, t.URL)
	}
	return id
}

// conclusion is how a request stands, in words.
func conclusion(t adminapi.Trail) string {
	c := t.Conclusion
	done := "charged"
	if t.Redemption.Action == "REVERSE_VERIFY" {
		done = "given back"
	}
	text := map[string]string{
		adminapi.WordRedeemed:    words(c.Done) + " " + done,
		adminapi.WordPartly:      words(c.Done) + " " + done + ", " + words(c.Refused) + " refused",
		adminapi.WordNotRedeemed: "nothing " + done + ", " + words(c.Refused) + " refused",
		adminapi.WordUndone:      "nothing remains: what was taken was given back, because the rest was refused",
		adminapi.WordInDoubt:     words(c.Open) + " IN DOUBT",
		adminapi.WordUnderWay:    words(c.Open) + " under way",
		adminapi.WordNotSent:     words(c.Open) + " not sent yet",
	}[c.Word]
	if text == "" {
		text = c.Word
	}
	if c.WaitsForPerson {
		text += ", WAITS FOR A PERSON"
	}
	return text
}

func (s *Story) lines(b *bytes.Buffer, zone *time.Location, wide bool) {
	if len(s.TimeLine) == 0 {
		return
	}
	start := s.TimeLine[0].At
	fmt.Fprintf(b, "\nTIME LINE from %s\n", clock(start, zone))
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, e := range s.TimeLine {
		of := e.BizID
		if e.Leg != nil {
			of += fmt.Sprintf(" call %d", *e.Leg)
		}
		if e.Source == FromSpan {
			of = "span"
		}
		took := ""
		if e.Took > 0 {
			took = Short(e.Took)
		}
		moment, raw := "+"+Short(e.At.Sub(start)), ""
		if wide {
			moment, raw = e.At.In(zone).Format("15:04:05.000")+" "+moment, recorded(e.event)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s%s%s\n", moment, took, present.Clean(of), present.Clean(e.Who), strings.Repeat("· ", e.depth), present.Clean(e.What), present.Clean(raw))
	}
	_ = tw.Flush() // a buffer takes everything
}

// recorded is an event as the ledger has it.
func recorded(e *adminapi.Event) string {
	if e == nil {
		return ""
	}
	text := fmt.Sprintf("  [event %d, %s", e.Seq, e.Kind)
	if e.To != "" && e.To != e.From {
		text += " " + strings.TrimPrefix(e.From+"→"+e.To, "→")
	}
	if len(e.Detail) > 0 {
		text += " " + string(e.Detail)
	}
	return text + "]"
}

func clock(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("2006-01-02 15:04:05.000 -07:00")
}

// Short is a duration with what matters of it: 0 ms, 12.3 ms, 1.204 s, 3m20s, 5h12m.
func Short(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Short(-d)
	case d < time.Second:
		return fmt.Sprintf("%d.%d ms", d.Milliseconds(), d.Microseconds()%1000/100)
	case d < time.Minute:
		return fmt.Sprintf("%d.%03d s", int64(d/time.Second), d.Milliseconds()%1000)
	}
	return present.Span(d)
}

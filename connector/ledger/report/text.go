// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Style of Text.
type Style struct {
	// Zone of the times.
	Zone *time.Location
	// Wide adds fen, request and operator, epochs and leases, versions and hashes.
	Wide bool
}

// Text renders the answer for people, a block for each redemption.
func Text(w io.Writer, a Answer, s Style) error {
	p := &printer{Style: s}
	for i := range a.Entries {
		p.entry(&a.Entries[i])
	}
	for i := range a.Tombstones {
		p.tombstone(&a.Tombstones[i])
	}
	if len(a.Entries) > 0 {
		p.totals(Tally(a.Entries))
	}
	if a.More {
		p.line("", "There are more: these are the newest %d. Narrow the search or raise --limit.", len(a.Entries))
	}
	_, err := w.Write(p.Bytes())
	return err
}

type printer struct {
	bytes.Buffer
	Style
}

func (p *printer) line(indent, format string, args ...any) {
	_, _ = p.WriteString(indent + strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// table prints rows in columns, the first row being the heading.
func (p *printer) table(indent string, rows [][]string) {
	var out bytes.Buffer
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = cmp.Or(oneLine(cell), "-")
		}
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t")) // a buffer takes everything
	}
	_ = t.Flush()
	for _, l := range strings.Split(strings.TrimRight(out.String(), "\n"), "\n") {
		p.line(indent, "%s", l)
	}
}

// oneLine keeps text of a till or a vendor from moving the cursor or breaking the table.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

func (p *printer) clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.Zone).Format("2006-01-02 15:04:05.000")
}

func (p *printer) zoned(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.Zone).Format("2006-01-02 15:04:05.000 -07:00")
}

func (p *printer) entry(e *Entry) {
	r := &e.Redemption
	p.line("", "%s %s", r.Action, oneLine(r.BizID))
	p.head(r)
	p.line("  ", "assets")
	p.lines("    ", r)
	p.line("  ", "calls to the vendors")
	p.legs("    ", r)
	if len(e.Reversals) > 0 {
		p.line("  ", "reversals of it")
		for i := range e.Reversals {
			p.reversal(&e.Reversals[i])
		}
	}
	p.line("  ", "events")
	p.events("    ", e.Events)
	p.line("", "")
}

func (p *printer) head(r *redeem.Redemption) {
	field := func(name, format string, args ...any) {
		p.line("  ", "%-11s %s", name, oneLine(fmt.Sprintf(format, args...)))
	}
	field("conclusion", "%s", p.conclusion(r))
	if r.Contradiction {
		field("ALARM", "there is evidence against what was concluded, of a success or of a refusal: someone must compare it with the vendor's books")
	}
	if r.ReversesBizID != "" {
		field("reverses", "%s %s", redeem.Verify, r.ReversesBizID)
	}
	field("brand", "%s, shop %s, member %s", r.BrandID, cmp.Or(r.ShopID, "-"), cmp.Or(r.MemberID, r.KryMemberID, "-"))
	field("order", "%s, payment %s", cmp.Or(r.TransOrderNo, "-"), cmp.Or(r.PaymentNo, "-"))
	if r.RefundPaymentNo != "" {
		field("refund", "payment %s", r.RefundPaymentNo)
	}
	field("flow id", "%s", r.FlowID)
	field("trace id", "%s", cmp.Or(r.TraceID, "-"))
	field("received", "%s", p.zoned(r.CreatedAt))
	if r.ConcludedAt.IsZero() {
		field("answered", "not finally yet")
	} else {
		field("answered", "%s", p.zoned(r.ConcludedAt))
	}
	if p.Wide {
		field("request", "%s, operator %s", cmp.Or(r.RequestID, "-"), cmp.Or(r.OperatorID, "-"))
		field("connector", "%s, configuration %s, partial failure: %s", cmp.Or(r.ConnectorVersion, "-"), cmp.Or(r.ConfigRevision, "-"), cmp.Or(r.PolicyOnPartial, "-"))
	}
}

// conclusion is the sentence that answers the member.
func (p *printer) conclusion(r *redeem.Redemption) string {
	c := Conclude(r)
	done, not := "REDEEMED", "NOT REDEEMED"
	if r.Action == redeem.ReverseVerify {
		done, not = "GIVEN BACK", "NOT GIVEN BACK"
	}
	beside := ""
	if (c.Done != Sum{}) {
		beside += "; " + strings.ToLower(done) + ": " + c.Done.String()
	}
	if (c.Refused != Sum{}) {
		beside += "; refused: " + c.Refused.String()
	}
	switch c.Word {
	case Redeemed:
		return done + ": " + c.Done.String()
	case Partly:
		return "PARTLY " + done + ": " + c.Done.String() + "; refused: " + c.Refused.String()
	case Undone:
		return "NOT REDEEMED: what had been redeemed was given back, because the rest was refused"
	case NotRedeemed:
		return not + ": " + c.Refused.String() + " refused"
	case UnderWay:
		return "UNDER WAY: " + c.Open.String() + beside
	case NotSent:
		return "NOT SENT: " + c.Open.String() + "; a repeat of this bizId sends it" + beside
	}
	wait := "the connector keeps asking the vendor"
	if c.Person {
		wait = "it WAITS FOR A PERSON to look at the vendor's books"
	}
	return "IN DOUBT: " + c.Open.String() + " may or may not have been " + strings.ToLower(done) + "; " + wait + beside
}

func (p *printer) lines(indent string, r *redeem.Redemption) {
	rows := [][]string{{"NO", "MAPPING", "ASSET", "ID", "ASKED", "STATUS", "GOT", "CODE", "CASHIER READS"}}
	if p.Wide {
		rows = [][]string{{"NO", "MAPPING", "ASSET", "ID", "ASKED", "FEN", "STATUS", "GOT", "FEN", "PAID-IN", "GIFT", "TAKEN BACK", "CODE", "CASHIER READS"}}
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		status, received := lineStatus(r, l), ""
		if l.Result.Kind == redeem.Executed {
			received = got(l).String()
		}
		row := []string{strconv.Itoa(l.No), l.AssetMappingID, string(l.Asset), l.AssetID, asked(l).String(), status, received, l.Result.Code, l.Result.Cashier}
		if p.Wide {
			row = []string{strconv.Itoa(l.No), l.AssetMappingID, string(l.Asset), l.AssetID, asked(l).String(), fen(l.Amount), status, received,
				fen(l.Result.Total), l.Result.Real.Yuan(), l.Result.Gift.Yuan(), quantity(l.Asset, l.Result.Reversed, l.Result.ReversedCount).String(), l.Result.Code, l.Result.Cashier}
		}
		rows = append(rows, row)
	}
	p.table(indent, rows)
}

func fen(f redeem.Fen) string { return strconv.FormatInt(int64(f), 10) }

// lineStatus is the line's own verdict, or the state of the call that carries it.
func lineStatus(r *redeem.Redemption, l *redeem.Line) string {
	if l.Result.Kind != "" {
		return string(l.Result.Kind)
	}
	if g := legOf(r, l.No); g != nil {
		return string(g.State)
	}
	return ""
}

func (p *printer) legs(indent string, r *redeem.Redemption) {
	heading := []string{"NO", "VENDOR", "OPERATION", "KEY AT THE VENDOR", "STATE", "ANSWER", "VENDOR'S FLOW ID", "NEXT"}
	if p.Wide {
		heading = append(heading, "CHECKS", "NOT FOUND", "EPOCH", "LEASE", "SENT", "IN DOUBT SINCE", "RESOLVED", "HTTP", "DETAIL")
	}
	rows := [][]string{heading}
	for i := range r.Legs {
		g := &r.Legs[i]
		row := []string{strconv.Itoa(g.No), g.Provider, g.Operation, g.Key, string(g.State), answer(g.Outcome), g.Outcome.FlowID, p.next(g)}
		if p.Wide {
			lease := ""
			if g.LeaseOwner != "" {
				lease = g.LeaseOwner + " until " + p.clock(g.LeaseUntil)
			}
			row = append(row, strconv.Itoa(g.Checks), strconv.Itoa(g.NotFound), strconv.FormatInt(g.Epoch, 10), lease, p.clock(g.SentAt), p.clock(g.UnknownAt),
				p.clock(g.ResolvedAt), strconv.Itoa(g.Outcome.HTTPStatus), g.Outcome.Detail)
		}
		rows = append(rows, row)
	}
	p.table(indent, rows)
}

// answer is kind, class and code: "refused insufficient-balance 40012".
func answer(o redeem.Outcome) string {
	parts := []string{}
	for i, s := range []string{string(o.Kind), string(o.Class), o.Code} {
		if s != "" && (i == 0 || s != string(o.Kind)) {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, " ")
}

// next is what happens to the leg by itself.
func (p *printer) next(g *redeem.Leg) string {
	switch {
	case g.State.Final():
		return "done"
	case forPerson(*g):
		return "waits for a person"
	case g.State == redeem.StateSent:
		return "answer awaited until " + p.clock(g.LeaseUntil)
	case g.State == redeem.StateNotSent:
		return "closed at " + p.clock(g.NextCheck) + " unless repeated"
	}
	return fmt.Sprintf("check %d at %s", g.Checks+1, p.clock(g.NextCheck))
}

func (p *printer) reversal(r *redeem.Redemption) {
	p.line("    ", "%s %s, flow id %s, received %s", r.Action, oneLine(r.BizID), oneLine(r.FlowID), p.zoned(r.CreatedAt))
	p.line("      ", "%s", p.conclusion(r))
	p.legs("      ", r)
}

func (p *printer) events(indent string, events []redeem.Event) {
	heading := []string{"TIME", "WHO", "WHAT", "WHY"}
	if p.Wide {
		heading = []string{"SEQ", "TIME", "WHO", "WHAT", "HASH", "WHY"}
	}
	rows := [][]string{heading}
	for i := range events {
		e := &events[i]
		what := e.Kind
		if e.LegNo >= 0 {
			what = "call " + strconv.Itoa(e.LegNo) + ": " + e.Kind
			if e.To != "" {
				what = "call " + strconv.Itoa(e.LegNo) + ": " + cmp.Or(string(e.From), "new") + " → " + string(e.To)
			}
		}
		row := []string{p.clock(e.At), e.Actor, what, p.why(e.Detail)}
		if p.Wide {
			row = []string{strconv.FormatInt(e.Seq, 10), p.clock(e.At), e.Actor, what, fmt.Sprintf("%.12x", e.Hash), p.why(e.Detail)}
		}
		rows = append(rows, row)
	}
	p.table(indent, rows)
}

// why puts an event's detail into words: what was decided and on which evidence. What it does not know it leaves out; JSON has everything.
func (p *printer) why(detail json.RawMessage) string {
	var d struct {
		Reason, What, Kind, Class, Code, Detail, Verdict, Who, Alarm, By string
		Outcome                                                          *redeem.Outcome
		NextCheck                                                        time.Time
		NotFound                                                         int
		Bytes                                                            int
		Legs                                                             []struct{ Provider string }
	}
	if len(detail) == 0 || json.Unmarshal(detail, &d) != nil {
		return ""
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if len(d.Legs) > 0 {
		add("%s written down before anything was sent", count(int64(len(d.Legs)), "call"))
	}
	if d.What != "" {
		add("%s", d.What)
	}
	if d.Verdict != "" {
		add("%s, says %s", d.Verdict, cmp.Or(d.Who, "a person"))
	}
	if d.Alarm != "" {
		add("%s", d.Alarm)
	}
	o := redeem.Outcome{Kind: redeem.Kind(d.Kind), Class: redeem.Class(d.Class), Code: d.Code, Detail: d.Detail}
	if d.Outcome != nil {
		o = *d.Outcome
	}
	if d.Reason != "" && d.Reason != string(o.Kind) && d.Reason != string(o.Class) {
		add("%s", d.Reason)
	}
	if a := answer(o); a != "" {
		add("%s", a)
	}
	if o.Detail != "" {
		add("%s", o.Detail)
	}
	if d.NotFound > 0 {
		add("not found %s", count(int64(d.NotFound), "time"))
	}
	if !d.NextCheck.IsZero() {
		add("next check %s", p.clock(d.NextCheck))
	}
	if d.By != "" {
		add("by reversal %s", d.By)
	}
	if d.Bytes > 0 {
		add("final reply of %s stored", count(int64(d.Bytes), "byte"))
	}
	return strings.Join(parts, "; ")
}

func (p *printer) tombstone(t *ledger.Tombstone) {
	p.line("", "%s %s", t.Key.Action, oneLine(t.Key.BizID))
	p.line("  ", "conclusion  RETIRED: its details were taken away by retention on %s; it had ended as %s", p.zoned(t.RetiredAt), t.Outcome)
	p.line("  ", "flow id     %s", oneLine(t.FlowID))
	p.line("  ", "received    %s", p.zoned(t.CreatedAt))
	p.line("  ", "answered    %s", p.zoned(t.ConcludedAt))
	p.line("", "")
}

func (p *printer) totals(t Totals) {
	p.line("", "In all: %s, %s; redeemed %s; given back %s; net %s.", count(int64(t.Redemptions), "redemption"), count(int64(t.Reversals), "reversal"), t.Redeemed, t.GivenBack, t.Net)
	if (t.InDoubt != Sum{}) {
		p.line("", "In doubt: %s may have been redeemed besides.", t.InDoubt)
	}
	if (t.InDoubtBack != Sum{}) {
		p.line("", "In doubt: %s may have been given back besides.", t.InDoubtBack)
	}
	for _, r := range t.Repeated {
		p.line("", "LOOK: payment %s of order %s was sent under %d bizIds (%s): the till made more than one request of it.",
			oneLine(r.PaymentNo), oneLine(r.TransOrderNo), len(r.BizIDs), oneLine(strings.Join(r.BizIDs, ", ")))
	}
}

// SPDX-License-Identifier: Apache-2.0

package present

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Evidence writes everything known of a redemption: what was asked for, what was
// sent, which answers came, and the log, each event of it put into words.
func Evidence(w io.Writer, r adminapi.Redemption, zone *time.Location, words func(adminapi.Redemption, adminapi.Event) string) error {
	var b bytes.Buffer
	kind := "redemption"
	if r.Action == "REVERSE_VERIFY" {
		kind = "reversal"
	}
	fmt.Fprintf(&b, "%s %s of brand %s: %s\n", kind, r.BizID, r.BrandID, outcome(r))
	if r.Contradiction {
		b.WriteString("ALARM: evidence contradicts what was concluded\n")
	}
	fields(&b, "order", r.OrderNo, "payment", r.PaymentNo, "refund", r.RefundPaymentNo, "reverses", r.ReversesBizID, "shop", r.ShopID,
		"flow", r.FlowID, "trace", r.TraceID, "received", Stamp(&r.CreatedAt, zone), "answered", answered(r, zone))
	b.WriteString("\nASSETS\n")
	t := &table{header: []string{"  NO", "ASSET", "MAPPING", "ID", "ASKED", "RESULT", "CODE", "DONE", "TAKEN BACK"}}
	for _, l := range r.Lines {
		done := int64(0)
		if l.Result == "executed" {
			done = l.Count
		}
		t.add(fmt.Sprintf("  %d", l.No), l.Asset, l.AssetMappingID, l.AssetID, amount(l, l.AmountFen, l.Count), result(r, l), l.Code,
			amount(l, l.TotalFen, done), amount(l, l.ReversedFen, l.ReversedCount))
	}
	if err := t.write(&b); err != nil {
		return err
	}
	for _, l := range r.Legs {
		writeLeg(&b, l, zone)
	}
	for _, v := range r.Reversals {
		fmt.Fprintf(&b, "\nREVERSED BY %s: %s, %s, at %s\n", v.BizID, Value(v.AmountFen, v.Points, v.Coupons), v.Outcome, Stamp(&v.CreatedAt, zone))
	}
	b.WriteString("\nLOG\n")
	if err := events(&b, r, zone, words); err != nil {
		return err
	}
	_, err := io.WriteString(w, CleanLines(InZone(b.String(), zone)))
	return err
}

// amount is a part of a line with its unit: of stored value yuan, of points and coupons
// their number, and the yuan that they were worth where the line says so.
func amount(l adminapi.Line, fen, count int64) string {
	unit := map[string]string{"Points": "point", "Coupon": "coupon"}[l.Asset]
	if unit == "" || count == 0 {
		return Value(fen, 0, nil)
	}
	if count != 1 {
		unit += "s"
	}
	text := fmt.Sprintf("%d %s", count, unit)
	if fen != 0 {
		text += " (" + Yuan(fen) + " yuan)"
	}
	return text
}

// result is what became of a line: as it was concluded, or how its call stands.
func result(r adminapi.Redemption, l adminapi.Line) string {
	if l.Result != "" {
		return l.Result
	}
	for _, leg := range r.Legs {
		if slices.Contains(leg.Lines, l.No) {
			return standing(leg.State)
		}
	}
	return ""
}

// outcome is how the whole stands. What is not known of any call is not known of it.
func outcome(r adminapi.Redemption) string {
	if r.Outcome != "unknown" {
		return r.Outcome
	}
	for _, state := range []string{"unknown", "sent", "not_sent"} {
		if slices.ContainsFunc(r.Legs, func(l adminapi.Leg) bool { return l.State == state }) {
			return standing(state)
		}
	}
	return r.Outcome
}

func standing(state string) string {
	if text, ok := map[string]string{"unknown": "in doubt", "sent": "under way", "not_sent": "not sent"}[state]; ok {
		return text
	}
	return state
}

func answered(r adminapi.Redemption, zone *time.Location) string {
	if r.ConcludedAt == nil {
		return "no: the till hears 3001, outcome not known"
	}
	return Stamp(r.ConcludedAt, zone) + ", subCode " + r.SubCode
}

func writeLeg(b *bytes.Buffer, l adminapi.Leg, zone *time.Location) {
	fmt.Fprintf(b, "\nLEG %d: %s at %s: %s\n", l.No, Value(l.AmountFen, l.Points, l.Coupons), l.Provider, State(l))
	fields(b, "operation", l.Operation, "key", l.Key, "member", l.Member, "sent", Stamp(l.SentAt, zone), "in doubt since", Stamp(l.UnknownAt, zone),
		"final since", Stamp(l.ResolvedAt, zone), "strategy", l.Strategy, "checks", fmt.Sprint(l.Checks), "next check", Stamp(l.NextCheck, zone))
	if l.RefusableFrom != nil {
		fields(b, "refused", "not before "+Stamp(l.RefusableFrom, zone)+": the vendor may have it without showing it")
	}
	if len(l.Coupons) > 0 {
		fields(b, "coupons", strings.Join(l.Coupons, ", "))
	}
	fields(b, "vendor's answer", Answer(l.Answer), "what was sent", compact(l.Call))
}

// State is a leg's state, and who moves it on.
func State(l adminapi.Leg) string {
	words := map[string]string{"sent": "SENT, no answer yet", "unknown": "IN DOUBT", "not_sent": "NEVER SENT", "executed": "EXECUTED", "refused": "REFUSED"}
	text, ok := words[l.State]
	if !ok {
		text = l.State
	}
	switch l.WaitsFor {
	case adminapi.WaitsForPerson:
		text += ", waits for a person"
	case adminapi.WaitsForCheck:
		text += ", waits for the next check"
	case adminapi.WaitsForCall:
		text += ", under way"
	case adminapi.WaitsForLease:
		text += ", is being worked on"
	}
	return text
}

// Answer is a vendor's answer in one line.
func Answer(a *adminapi.Answer) string {
	if a == nil {
		return "none"
	}
	parts := []string{a.Kind}
	for _, p := range []struct{ name, value string }{{"", a.Class}, {"code ", a.Code}, {"flow ", a.FlowID}} {
		if p.value != "" {
			parts = append(parts, p.name+p.value)
		}
	}
	if a.HTTPStatus != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", a.HTTPStatus))
	}
	if a.TotalFen != 0 {
		parts = append(parts, Yuan(a.TotalFen)+" yuan")
	}
	text := strings.Join(parts, ", ")
	if a.Detail != "" {
		text += ": " + a.Detail
	}
	return text
}

// Finding is a look-up's result in words.
func Finding(f adminapi.Finding, zone *time.Location) string {
	words := map[string]string{
		"found":        "FOUND: the vendor did it",
		"missing":      "MISSING: the vendor does not know it",
		"differs":      "DIFFERS: the vendor has something else under this key",
		"partly":       "PARTLY: the vendor did a part, and cannot show the rest",
		"unshown":      "NOT SHOWN: the vendor's record does not tell",
		"inconclusive": "NO KNOWLEDGE: the vendor's answer says nothing",
		"cannot-ask":   "CANNOT BE ASKED: look into the vendor's back office",
	}
	text, ok := words[f.Verdict]
	if !ok {
		text = f.Verdict
	}
	if f.Answer != nil {
		text += " (" + Answer(f.Answer) + ")"
	} else if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	if f.Alarm {
		text += "\n  ALARM: it was concluded as refused"
	}
	return CleanLines(InZone(fmt.Sprintf("leg %d, asked now, %s: %s", f.Leg, Stamp(&f.At, zone), text), zone))
}

func events(b *bytes.Buffer, r adminapi.Redemption, zone *time.Location, words func(adminapi.Redemption, adminapi.Event) string) error {
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, e := range r.Events {
		leg := "-"
		if e.Leg != nil {
			leg = fmt.Sprint(*e.Leg)
		}
		if _, err := fmt.Fprintf(tw, "  %s\tleg %s\t%s\t%s\n", Stamp(&e.At, zone), leg, Clean(e.Actor), Clean(words(r, e))); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// fields writes the named values that are not empty.
func fields(b *bytes.Buffer, pairs ...string) {
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		if pairs[1] != "" {
			fmt.Fprintf(b, "  %-16s %s\n", pairs[0]+":", Clean(pairs[1]))
		}
	}
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return ""
	}
	return b.String()
}

// Stamp is a moment as people read it, empty without one.
func Stamp(t *time.Time, zone *time.Location) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.In(zone).Format("2006-01-02 15:04:05 -07:00")
}

// moments are the times in what a connector wrote down or says, which are UTC.
var moments = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`)

// InZone is text with a connector's times in the reader's zone.
func InZone(text string, zone *time.Location) string {
	return moments.ReplaceAllStringFunc(text, func(m string) string {
		t, err := time.Parse("2006-01-02 15:04:05Z", m)
		if err != nil {
			return m
		}
		return Stamp(&t, zone)
	})
}

// CleanLines cleans text that has lines of its own.
func CleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(Clean(l), " ")
	}
	return strings.Join(lines, "\n")
}

// Recorded writes what a decision left behind.
func Recorded(w io.Writer, r adminapi.Resolved, leg int, zone *time.Location) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "recorded: leg %d of %s is %s\n", leg, r.Redemption.BizID, r.Decision)
	fields(&b, "who", r.Who, "why", r.Reason, "overruled", r.Overruled)
	if e := decisionEvent(r.Redemption.Events, leg); e != nil {
		fields(&b, "event", fmt.Sprintf("%d, at %s", e.Seq, Stamp(&e.At, zone)))
	}
	if r.Redemption.ConcludedAt != nil {
		fields(&b, "till", "a repeat of the bizId hears subCode "+r.Redemption.SubCode+" from now on")
	} else {
		fields(&b, "till", "still hears 3001: other legs are open")
	}
	if r.Redemption.Contradiction {
		b.WriteString("  ALARM: evidence contradicts what was concluded; see docs/guides/in-doubt.md\n")
	}
	_, err := io.WriteString(w, CleanLines(InZone(b.String(), zone)))
	return err
}

func decisionEvent(list []adminapi.Event, leg int) *adminapi.Event {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Kind == "decision" && list[i].Leg != nil && *list[i].Leg == leg {
			return &list[i]
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// verdicts in the order in which they are shown.
var verdicts = []Verdict{Matched, Differs, MissingHere, MissingThere, Foreign}

// line is a row as it is written.
type line struct {
	Verdict       Verdict      `json:"verdict"`
	Reason        string       `json:"reason,omitempty"`
	Provider      string       `json:"provider"`
	Key           string       `json:"key,omitempty"`
	Direction     Direction    `json:"direction,omitempty"`
	OursFen       *redeem.Fen  `json:"oursFen,omitempty"`
	TheirsFen     *redeem.Fen  `json:"theirsFen,omitempty"`
	State         redeem.State `json:"state,omitempty"`
	BizID         string       `json:"bizId,omitempty"`
	FlowID        string       `json:"flowId,omitempty"`
	Leg           string       `json:"leg,omitempty"`
	TraceID       string       `json:"traceId,omitempty"`
	SentAt        string       `json:"sentAt,omitempty"`
	VendorFlow    string       `json:"vendorFlow,omitempty"`
	VendorKey     string       `json:"vendorKey,omitempty"`
	VendorReverse string       `json:"vendorReverses,omitempty"`
	BookedAt      string       `json:"bookedAt,omitempty"`
}

func lineOf(r Row, zone *time.Location) line {
	l := line{Verdict: r.Verdict, Reason: r.Reason, Provider: r.Provider()}
	if t := r.Theirs; t != nil {
		l.Key, l.Direction, l.VendorFlow, l.VendorKey, l.VendorReverse, l.BookedAt = t.Key, t.Direction, t.ID, t.Key, t.Reverses, clock(t.At, zone)
		if t.Readable {
			l.TheirsFen = &t.Amount
		}
	}
	if o := r.Ours; o != nil {
		l.Key, l.Direction, l.OursFen, l.State = o.Key, o.Direction, &o.Amount, o.State
		l.BizID, l.FlowID, l.Leg, l.TraceID, l.SentAt = o.BizID, o.FlowID, strconv.Itoa(o.Leg), o.TraceID, clock(o.At, zone)
	}
	return l
}

func clock(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format("2006-01-02T15:04:05.000Z07:00")
}

// JSON writes the report as one object.
func JSON(w io.Writer, r Report, zone *time.Location) error {
	lines := make([]line, 0, len(r.Rows))
	for _, row := range r.Rows {
		lines = append(lines, lineOf(row, zone))
	}
	sums := map[string]map[Verdict]map[string]int64{}
	for p, by := range r.Sums {
		sums[p] = map[Verdict]map[string]int64{}
		for _, v := range verdicts {
			sums[p][v] = map[string]int64{"rows": int64(by[v].Rows), "fen": by[v].Fen}
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		BrandID string                                  `json:"brandId"`
		From    string                                  `json:"from"`
		To      string                                  `json:"to"`
		At      string                                  `json:"at"`
		Agrees  bool                                    `json:"agrees"`
		Sums    map[string]map[Verdict]map[string]int64 `json:"sums"`
		Rows    []line                                  `json:"rows"`
	}{r.BrandID, clock(r.From, zone), clock(r.To, zone), clock(r.At, zone), r.Agrees(), sums, lines})
}

var columns = strings.Fields(`verdict reason provider key direction ours_fen theirs_fen difference_fen ours_yuan theirs_yuan state
	biz_id flow_id leg trace_id sent_at vendor_flow_id vendor_key vendor_reverses booked_at brand_id`)

// Columns of CSV, in order. New ones are only added at the end.
func Columns() []string { return slices.Clone(columns) }

// CSV writes a row for each pair, call and flow, with a heading. difference_fen is theirs less ours.
func CSV(w io.Writer, r Report, zone *time.Location) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, row := range r.Rows {
		l := lineOf(row, zone)
		difference := ""
		if row.Verdict != Foreign && (l.OursFen != nil || l.TheirsFen != nil) && (row.Theirs == nil || row.Theirs.Readable) {
			difference = strconv.FormatInt(int64(value(l.TheirsFen)-value(l.OursFen)), 10)
		}
		record := []string{
			string(l.Verdict), l.Reason, l.Provider, l.Key, string(l.Direction), fen(l.OursFen), fen(l.TheirsFen), difference, yuan(l.OursFen), yuan(l.TheirsFen),
			string(l.State), l.BizID, l.FlowID, l.Leg, l.TraceID, l.SentAt, l.VendorFlow, l.VendorKey, l.VendorReverse, l.BookedAt, r.BrandID,
		}
		for i, name := range columns {
			if name != "difference_fen" { // our own number, which may be negative
				record[i] = inert(record[i])
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func value(f *redeem.Fen) redeem.Fen {
	if f == nil {
		return 0
	}
	return *f
}

func fen(f *redeem.Fen) string {
	if f == nil {
		return ""
	}
	return strconv.FormatInt(int64(*f), 10)
}

func yuan(f *redeem.Fen) string {
	if f == nil {
		return ""
	}
	return f.Yuan()
}

// inert keeps a spreadsheet from taking a vendor's text for a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Table writes the sums, and each row that did not match, for people.
func Table(w io.Writer, r Report, zone *time.Location) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "brand %s, %s to %s\n\n", r.BrandID, r.From.In(zone).Format(time.DateTime), r.To.In(zone).Format(time.DateTime))
	fmt.Fprintln(out, "PROVIDER\tVERDICT\tROWS\tYUAN")
	for _, p := range r.Providers {
		for _, v := range verdicts {
			s := r.Sums[p][v]
			fmt.Fprintf(out, "%s\t%s\t%d\t%s\n", p, v, s.Rows, redeem.Fen(s.Fen).Yuan())
		}
	}
	first := true
	for _, row := range r.Rows {
		if row.Verdict == Matched {
			continue
		}
		if first {
			fmt.Fprintln(out, "\nVERDICT\tREASON\tPROVIDER\tTIME\tOURS\tTHEIRS\tSTATE\tBIZ ID\tVENDOR'S FLOW\tKEY")
			first = false
		}
		l := lineOf(row, zone)
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Verdict, dash(l.Reason), l.Provider, row.At().In(zone).Format(time.DateTime),
			dash(yuan(l.OursFen)), dash(yuan(l.TheirsFen)), dash(string(l.State)), printable(l.BizID), printable(l.VendorFlow), printable(l.Key))
	}
	if r.Agrees() {
		fmt.Fprintln(out, "\nThe books agree.")
	} else {
		fmt.Fprintln(out, "\nThe books do NOT agree: docs/guides/reconcile.md says what each reason means and what to do.")
	}
	return out.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printable keeps a vendor's or a till's text from moving the cursor.
func printable(s string) string { return dash(strings.Trim(strconv.QuoteToGraphic(s), `"`)) }

// Metrics writes the sums for the textfile collector of Prometheus' node exporter.
func Metrics(w io.Writer, r Report) error {
	var b strings.Builder
	family := func(name, help string, value func(p string, v Verdict) int64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		for _, p := range r.Providers {
			for _, v := range verdicts {
				fmt.Fprintf(&b, "%s{brand=%s,provider=%s,verdict=%s} %d\n", name, label(r.BrandID), label(p), label(string(v)), value(p, v))
			}
		}
	}
	family("hexiao_reconcile_rows", "Calls and flows of the last reconciliation by verdict.", func(p string, v Verdict) int64 { return int64(r.Sums[p][v].Rows) })
	family("hexiao_reconcile_fen", "Their sum in fen.", func(p string, v Verdict) int64 { return r.Sums[p][v].Fen })
	for _, t := range []struct {
		name, help string
		at         time.Time
	}{
		{"hexiao_reconcile_from_timestamp_seconds", "Begin of the range that was reconciled.", r.From},
		{"hexiao_reconcile_to_timestamp_seconds", "End of the range that was reconciled.", r.To},
		{"hexiao_reconcile_last_success_timestamp_seconds", "When the last reconciliation came to its end, with or without differences.", r.At},
	} {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s{brand=%s} %d\n", t.name, t.help, t.name, t.name, label(r.BrandID), t.at.Unix())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// label quotes a label's value as the exposition format wants it.
func label(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

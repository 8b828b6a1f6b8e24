// SPDX-License-Identifier: Apache-2.0

package present

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Format of an output.
type Format string

// The formats.
const (
	Table Format = "table"
	Wide  Format = "wide"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// Formats is every format, for flags and completion.
var Formats = []string{string(Table), string(Wide), string(JSON), string(YAML)}

// ParseFormat reads the flag -o.
func ParseFormat(text string) (Format, error) {
	for _, f := range Formats {
		if text == f {
			return Format(f), nil
		}
	}
	return "", fmt.Errorf("-o: %q is no format: use %s", text, strings.Join(Formats, ", "))
}

// Machine writes v for a program. done is false for the formats of people.
func Machine(w io.Writer, f Format, v any) (done bool, err error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return true, fmt.Errorf("encode the output: %w", err)
	}
	switch f {
	case JSON:
		_, err = fmt.Fprintf(w, "%s\n", raw)
		return true, err
	case YAML:
		if raw, err = yaml.JSONToYAML(raw); err == nil {
			_, err = w.Write(raw)
		}
		return true, err
	}
	return false, nil
}

// Of names the brand that something is of.
type Of struct {
	Namespace string `json:"namespace,omitempty"`
	Brand     string `json:"brand,omitempty"`
	Pod       string `json:"pod,omitempty"`
	// Error says why the brand could not be asked.
	Error string `json:"error,omitempty"`
}

// Doubts is a brand's list.
type Doubts struct {
	Of
	InDoubt *adminapi.InDoubtList `json:"inDoubt,omitempty"`
}

// Reversals is a brand's list.
type Reversals struct {
	Of
	Reversals *adminapi.ReversalList `json:"reversals,omitempty"`
}

// table is rows under a header. Cells are cleaned: what a till or a vendor sent must
// not move the reader's cursor.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, c := range row {
			if c = Clean(c); c == "" {
				c = "-"
			}
			row[i] = c
		}
		if _, err := fmt.Fprintln(tw, strings.TrimRight(strings.Join(row, "\t"), "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// Clean takes control characters out of text that came over the wire.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '·'
		}
		return r
	}, text)
}

// InDoubt writes the brands' lists.
func InDoubt(w io.Writer, f Format, brands []Doubts, zone *time.Location) error {
	if done, err := Machine(w, f, map[string]any{"brands": brands}); done {
		return err
	}
	t := &table{header: []string{"NAMESPACE", "BRAND", "ACTION", "BIZID", "LEG", "PROVIDER", "AMOUNT", "WAITS FOR", "SINCE", "CHECKS", "NEXT"}}
	if f == Wide {
		t.header = append(t.header, "STATE", "IN DOUBT SINCE", "CLASS", "STRATEGY", "OPERATION", "KEY", "ORDER", "PAYMENT", "SHOP", "TRACE")
	}
	for _, b := range brands {
		if b.InDoubt == nil {
			continue
		}
		for _, d := range b.InDoubt.Items {
			row := []string{b.Namespace, b.Brand, Action(d.Action), d.BizID, strconv.Itoa(d.Leg), d.Provider, Value(d.AmountFen, d.Points, d.Coupons),
				waits(d.WaitsFor), ago(b.InDoubt.At, d.Since), strconv.Itoa(d.Checks), until(b.InDoubt.At, d.NextCheck)}
			if f == Wide {
				row = append(row, d.State, Stamp(&d.Since, zone), d.Class, d.Strategy, d.Operation, d.Key, d.OrderNo, d.PaymentNo, d.ShopID, d.TraceID)
			}
			t.add(row...)
		}
	}
	return finish(w, t, "nothing is in doubt", doubtNotes(brands))
}

func doubtNotes(brands []Doubts) (notes []string) {
	for _, b := range brands {
		notes = append(notes, b.note(b.InDoubt != nil && b.InDoubt.Truncated)...)
	}
	return notes
}

func (o Of) note(truncated bool) []string {
	name := strings.TrimPrefix(o.Namespace+"/"+o.Brand, "/")
	switch {
	case o.Error != "":
		return []string{fmt.Sprintf("NOT ASKED: %s: %s", name, o.Error)}
	case truncated:
		return []string{fmt.Sprintf("%s has more than are listed: use --limit", name)}
	}
	return nil
}

// finish writes the table, or that there is nothing, and what must not be missed. It
// never says that there is nothing when somebody was not asked.
func finish(w io.Writer, t *table, nothing string, notes []string) error {
	switch {
	case len(t.rows) > 0:
		if err := t.write(w); err != nil {
			return err
		}
	case len(notes) == 0:
		if _, err := fmt.Fprintln(w, nothing); err != nil {
			return err
		}
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, Clean(n)); err != nil {
			return err
		}
	}
	return nil
}

// ReversalLists writes the brands' reversals; times in zone.
func ReversalLists(w io.Writer, f Format, brands []Reversals, zone *time.Location) error {
	if done, err := Machine(w, f, map[string]any{"brands": brands}); done {
		return err
	}
	t := &table{header: []string{"NAMESPACE", "BRAND", "BIZID", "REVERSES", "AMOUNT", "OUTCOME", "LEG", "PROVIDER", "STATE", "WAITS FOR", "AGE", "NEXT"}}
	if f == Wide {
		t.header = append(t.header, "ASKED FOR AT", "OPERATION", "CLASS", "ORDER", "PAYMENT")
	}
	var notes []string
	for _, b := range brands {
		notes = append(notes, b.note(b.Reversals != nil && b.Reversals.Truncated)...)
		if b.Reversals == nil {
			continue
		}
		for _, r := range b.Reversals.Items {
			open := r.Open
			if len(open) == 0 {
				open = []adminapi.OpenLeg{{No: -1}}
			}
			for _, l := range open {
				leg := ""
				if l.No >= 0 {
					leg = strconv.Itoa(l.No)
				}
				row := []string{b.Namespace, b.Brand, r.BizID, r.ReversesBizID, Value(r.AmountFen, r.Points, r.Coupons), r.Outcome,
					leg, l.Provider, l.State, waits(l.WaitsFor), ago(b.Reversals.At, r.CreatedAt), until(b.Reversals.At, l.NextCheck)}
				if f == Wide {
					row = append(row, Stamp(&r.CreatedAt, zone), l.Operation, l.Class, r.OrderNo, r.PaymentNo)
				}
				t.add(row...)
			}
		}
	}
	return finish(w, t, "no reversal waits", notes)
}

// Value is what a leg is about: 25.50 yuan, 300 points, 1 coupon.
func Value(fen, points int64, coupons []string) string {
	var parts []string
	if fen != 0 {
		parts = append(parts, Yuan(fen)+" yuan")
	}
	if points != 0 {
		parts = append(parts, strconv.FormatInt(points, 10)+" points")
	}
	switch n := len(coupons); {
	case n == 1:
		parts = append(parts, "1 coupon")
	case n > 1:
		parts = append(parts, strconv.Itoa(n)+" coupons")
	}
	return strings.Join(parts, " + ")
}

// Yuan renders fen as yuan with two digits.
func Yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// Action is the word for people: verify or reverse.
func Action(action string) string {
	if action == "REVERSE_VERIFY" {
		return "reverse"
	}
	return strings.ToLower(action)
}

// waits is who moves a leg next.
func waits(waitsFor string) string {
	if waitsFor == adminapi.WaitsForCall {
		return "under way"
	}
	return waitsFor
}

func ago(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	return Span(now.Sub(then))
}

func until(now time.Time, then *time.Time) string {
	switch {
	case then == nil:
		return ""
	case !then.After(now):
		return "now"
	}
	return "in " + Span(then.Sub(now))
}

// Span is a duration in its two largest units: 45s, 3m20s, 5h12m, 3d4h.
func Span(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s%86400/3600)
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Format of an export.
type Format string

const (
	// CSV has a row for each line (asset) of a redemption, and a heading.
	CSV Format = "csv"
	// JSON has an object for each redemption, one to a row of text.
	JSON Format = "json"
)

const exportPage = 200

// Export writes what the query finds, oldest first, and returns how many redemptions that were. It holds neither the member's name nor the hash of a mobile number, nor the
// answer, which may repeat the name. Amounts are in fen, in CSV in yuan as well. It reads in pages, so that it may run beside writers and over years.
func (l *Ledger) Export(ctx context.Context, w io.Writer, f Format, q redeem.Query) (int64, error) {
	out, err := newExporter(w, f)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	where, args := conditions(q)
	after := []any{int64(0), "", "", ""}
	var n int64
	for {
		size := len(args)
		clause := fmt.Sprintf("WHERE %s AND (created_at, brand_id, action, biz_id) > (%s) ORDER BY created_at, brand_id, action, biz_id LIMIT %d",
			where, placeholders(size+1, 4), exportPage)
		records, err := l.page(ctx, clause, append(args[:size:size], after...))
		if err != nil {
			return n, fmt.Errorf("export: %w", err)
		}
		for _, r := range records {
			if err := out.write(&r.Redemption); err != nil {
				return n, fmt.Errorf("export: %w", err)
			}
			after = []any{micros(r.CreatedAt), r.BrandID, string(r.Action), r.BizID}
			n++
		}
		if len(records) == 0 {
			return n, wrap("export", out.flush())
		}
	}
}

type exporter interface {
	write(r *redeem.Redemption) error
	flush() error
}

func newExporter(w io.Writer, f Format) (exporter, error) {
	switch f {
	case CSV:
		e := csvExporter{csv.NewWriter(w)}
		return e, e.w.Write(csvHeading)
	case JSON:
		return jsonExporter{json.NewEncoder(w)}, nil
	}
	return nil, fmt.Errorf("format %q: want csv or json", f)
}

var csvHeading = strings.Fields(`created_at concluded_at brand_id action biz_id flow_id shop_id trans_order_no payment_no refund_payment_no reverses_biz_id
	member_id trace_id line asset asset_mapping_id asset_id provider amount_fen quantity leg_state result code total_fen real_fen gift_fen reversed_fen reversed_quantity
	vendor_operation vendor_key vendor_flow_id amount_yuan total_yuan real_yuan gift_yuan reversed_yuan`)

// Columns of CSV, in order. New ones are only added at the end.
func Columns() []string { return slices.Clone(csvHeading) }

type csvExporter struct{ w *csv.Writer }

func (e csvExporter) write(r *redeem.Redemption) error {
	for i := range r.Lines {
		l := &r.Lines[i]
		var g redeem.Leg
		for _, leg := range r.Legs {
			for _, no := range leg.Lines {
				if no == l.No {
					g = leg
				}
			}
		}
		row := []string{
			clock(r.CreatedAt), clock(r.ConcludedAt), r.BrandID, string(r.Action), r.BizID, r.FlowID, r.ShopID, r.TransOrderNo, r.PaymentNo,
			r.RefundPaymentNo, r.ReversesBizID, r.MemberID, r.TraceID, number(int64(l.No)), string(l.Asset), l.AssetMappingID, l.AssetID, l.Provider,
			number(int64(l.Amount)), number(l.Count), string(g.State), string(l.Result.Kind), l.Result.Code, number(int64(l.Result.Total)),
			number(int64(l.Result.Real)), number(int64(l.Result.Gift)), number(int64(l.Result.Reversed)), number(l.Result.ReversedCount),
			g.Operation, g.Key, g.Outcome.FlowID,
			l.Amount.Yuan(), l.Result.Total.Yuan(), l.Result.Real.Yuan(), l.Result.Gift.Yuan(), l.Result.Reversed.Yuan(),
		}
		for i := range row {
			row[i] = inert(row[i])
		}
		if err := e.w.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (e csvExporter) flush() error {
	e.w.Flush()
	return e.w.Error()
}

// inert keeps a spreadsheet from taking text of a till or a vendor for a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

type jsonExporter struct{ enc *json.Encoder }

func (e jsonExporter) write(r *redeem.Redemption) error {
	public := *r
	public.MemberName, public.MobileHash, public.Answer = "", "", nil
	return e.enc.Encode(&public)
}

func (e jsonExporter) flush() error { return nil }

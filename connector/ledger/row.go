// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// record is a redemption as it is stored: the domain's value and the ledger's own bookkeeping.
type record struct {
	redeem.Redemption
	reserved []hold
	writeID  []byte
	seq      int64
	head     []byte
	sealed   int64
}

// hold is what a line of a reversal holds of a line of the original.
type hold struct {
	Reversal int        `json:"reversal"` // Line.No in the reversal
	Original int        `json:"original"` // Line.No in the original
	Amount   redeem.Fen `json:"amount,omitempty"`
	Quantity int64      `json:"quantity,omitempty"`
	Released bool       `json:"released,omitempty"`
}

// The columns in the order of the functions below. The hash chain covers them in this order: a later schema appends, with a new
// format.
var (
	keyColumns        = split("brand_id action biz_id")
	redemptionColumns = split(`brand_id action biz_id flow_id shop_id trans_order_no payment_no refund_payment_no kry_member_id member_id
		member_name mobile_hash request_id operator_id trace_id fingerprint fingerprint_ver reverses_biz_id answer created_at updated_at
		concluded_at contradiction policy_on_partial policy_on_in_doubt config_revision connector_version reserved write_id
		seq head sealed`)
	lineColumns = split(`brand_id action biz_id no asset_mapping_id asset_id amount_fen quantity asset provider kind code cashier
		total_fen real_fen gift_fen reversed_fen reversed_quantity`)
	legColumns = split(`brand_id action biz_id no provider operation upstream_key lines reversible call member_ref amount_fen points coupons
		state epoch lease_owner lease_until next_check checks not_found sent_at unknown_at resolved_at outcome due_at`)
	eventColumns = split(`brand_id action biz_id seq at leg_no actor kind from_state to_state detail format state_hash prev_hash hash`)
)

// bookkeeping columns close redemptionColumns and are outside the digest: seq and head speak of the digest, sealed changes
// without an event. Verify compares them with what they stand for.
const bookkeeping = 3

func split(s string) []string { return strings.Fields(s) }

func (r *record) values() []any {
	return []any{
		r.BrandID, string(r.Action), r.BizID, r.FlowID, r.ShopID, r.TransOrderNo, r.PaymentNo, r.RefundPaymentNo, r.KryMemberID, r.MemberID,
		r.MemberName, r.MobileHash, r.RequestID, r.OperatorID, r.TraceID, blob(r.Fingerprint), int64(r.FingerprintVer), r.ReversesBizID,
		optional(r.Answer), micros(r.CreatedAt), micros(r.UpdatedAt), micros(r.ConcludedAt), bit(r.Contradiction), r.PolicyOnPartial,
		text(r.PolicyOnInDoubt, len(r.PolicyOnInDoubt)), r.ConfigRevision, r.ConnectorVersion, text(r.reserved, len(r.reserved)), blob(r.writeID),
		r.seq, blob(r.head), r.sealed,
	}
}

func (r *record) scan(scan func(...any) error) error {
	var (
		created, updated, concluded, contradiction int64
		policies, reserved                         string
	)
	err := scan(&r.BrandID, (*string)(&r.Action), &r.BizID, &r.FlowID, &r.ShopID, &r.TransOrderNo, &r.PaymentNo, &r.RefundPaymentNo,
		&r.KryMemberID, &r.MemberID, &r.MemberName, &r.MobileHash, &r.RequestID, &r.OperatorID, &r.TraceID, &r.Fingerprint, &r.FingerprintVer,
		&r.ReversesBizID, &r.Answer, &created, &updated, &concluded, &contradiction, &r.PolicyOnPartial, &policies, &r.ConfigRevision,
		&r.ConnectorVersion, &reserved, &r.writeID, &r.seq, &r.head, &r.sealed)
	if err != nil {
		return err
	}
	r.Fingerprint, r.Answer = nilIfEmpty(r.Fingerprint), nilIfEmpty(r.Answer)
	r.CreatedAt, r.UpdatedAt, r.ConcludedAt = moment(created), moment(updated), moment(concluded)
	r.Contradiction = contradiction != 0
	return firstError(parse(policies, &r.PolicyOnInDoubt), parse(reserved, &r.reserved))
}

func lineValues(k redeem.Key, l *redeem.Line) []any {
	return []any{
		k.BrandID, string(k.Action), k.BizID, int64(l.No), l.AssetMappingID, l.AssetID, int64(l.Amount), l.Count, string(l.Asset), l.Provider,
		string(l.Result.Kind), l.Result.Code, l.Result.Cashier, int64(l.Result.Total), int64(l.Result.Real), int64(l.Result.Gift),
		int64(l.Result.Reversed), l.Result.ReversedCount,
	}
}

func scanLine(scan func(...any) error) (l redeem.Line, err error) {
	var k redeem.Key
	err = scan(&k.BrandID, (*string)(&k.Action), &k.BizID, &l.No, &l.AssetMappingID, &l.AssetID, (*int64)(&l.Amount), &l.Count,
		(*string)(&l.Asset), &l.Provider, (*string)(&l.Result.Kind), &l.Result.Code, &l.Result.Cashier, (*int64)(&l.Result.Total),
		(*int64)(&l.Result.Real), (*int64)(&l.Result.Gift), (*int64)(&l.Result.Reversed), &l.Result.ReversedCount)
	return l, err
}

func legValues(k redeem.Key, g *redeem.Leg) []any {
	return []any{
		k.BrandID, string(k.Action), k.BizID, int64(g.No), g.Provider, g.Operation, g.Key, text(g.Lines, len(g.Lines)), bit(g.Reversible),
		string(g.Call), g.MemberRef, int64(g.Amount), g.Points, text(g.Coupons, len(g.Coupons)), string(g.State), g.Epoch, g.LeaseOwner,
		micros(g.LeaseUntil), micros(g.NextCheck), int64(g.Checks), int64(g.NotFound), micros(g.SentAt), micros(g.UnknownAt),
		micros(g.ResolvedAt), outcomeText(g.Outcome), due(g),
	}
}

func scanLeg(scan func(...any) error) (g redeem.Leg, dueAt int64, err error) {
	var (
		k                                                       redeem.Key
		lines, call, coupons, outcome                           string
		reversible, leaseUntil, next, sentAt, unknown, resolved int64
	)
	err = scan(&k.BrandID, (*string)(&k.Action), &k.BizID, &g.No, &g.Provider, &g.Operation, &g.Key, &lines, &reversible, &call, &g.MemberRef,
		(*int64)(&g.Amount), &g.Points, &coupons, (*string)(&g.State), &g.Epoch, &g.LeaseOwner, &leaseUntil, &next, &g.Checks, &g.NotFound,
		&sentAt, &unknown, &resolved, &outcome, &dueAt)
	if err != nil {
		return g, 0, err
	}
	g.Reversible = reversible != 0
	g.Call = nilIfEmpty(json.RawMessage(call))
	g.LeaseUntil, g.NextCheck = moment(leaseUntil), moment(next)
	g.SentAt, g.UnknownAt, g.ResolvedAt = moment(sentAt), moment(unknown), moment(resolved)
	return g, dueAt, firstError(parse(lines, &g.Lines), parse(coupons, &g.Coupons), parse(outcome, &g.Outcome))
}

// due says when a resolver may take the leg, in microseconds, 0 for never: a leg that was sent, when its lease is over; one that is open, when
// its check is due and nobody holds it.
func due(g *redeem.Leg) int64 {
	switch g.State {
	case redeem.StateSent:
		return max(1, micros(g.LeaseUntil))
	case redeem.StateUnknown, redeem.StateNotSent:
		next := micros(g.NextCheck)
		if next > 0 && g.LeaseOwner != "" {
			next = max(next, micros(g.LeaseUntil))
		}
		return next
	}
	return 0
}

// event is a redeem.Event with the digest of the redemption as the commit left it.
type event struct {
	redeem.Event
	format    int64
	stateHash []byte
}

// format of the bytes that the chain hashes.
const format = 1

func (e *event) values() []any {
	return []any{
		e.Key.BrandID, string(e.Key.Action), e.Key.BizID, e.Seq, micros(e.At), int64(e.LegNo), e.Actor, e.Kind, string(e.From), string(e.To),
		string(e.Detail), e.format, blob(e.stateHash), blob(e.PrevHash), blob(e.Hash),
	}
}

func (e *event) scan(scan func(...any) error) error {
	var (
		at     int64
		detail string
	)
	err := scan(&e.Key.BrandID, (*string)(&e.Key.Action), &e.Key.BizID, &e.Seq, &at, &e.LegNo, &e.Actor, &e.Kind, (*string)(&e.From), (*string)(&e.To),
		&detail, &e.format, &e.stateHash, &e.PrevHash, &e.Hash)
	e.At, e.Detail = moment(at), nilIfEmpty(json.RawMessage(detail))
	return err
}

// sum is the hash of the event: over all its columns but the hash itself, the previous event's hash among them.
func (e *event) sum() []byte {
	h := sha256.New()
	h.Write([]byte("hexiao event\x00"))
	values := e.values()
	encode(h, values[:len(values)-1])
	return h.Sum(nil)
}

// digest is the hash of the redemption with its lines and legs.
func (r *record) digest() []byte {
	h := sha256.New()
	h.Write([]byte("hexiao redemption\x00"))
	values := r.values()
	encode(h, values[:len(values)-bookkeeping])
	for i := range r.Lines {
		encode(h, lineValues(r.Key(), &r.Lines[i]))
	}
	for i := range r.Legs {
		encode(h, legValues(r.Key(), &r.Legs[i]))
	}
	return h.Sum(nil)
}

// encode writes values so that no two lists of values have the same bytes: each is led by its type and size.
func encode(h hash.Hash, values []any) {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, uint64(len(values)))
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v))
		case string:
			b = binary.BigEndian.AppendUint64(append(b, 's'), uint64(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v)))
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("a column of type %T", v)) // the functions above make no other
		}
	}
	h.Write(b)
}

// normal returns r as it would be read back: times in microseconds and UTC, no empty slices where nil says the same, lines and legs in order.
func normal(r redeem.Redemption) redeem.Redemption {
	r.CreatedAt, r.UpdatedAt, r.ConcludedAt = stored(r.CreatedAt), stored(r.UpdatedAt), stored(r.ConcludedAt)
	r.Fingerprint, r.Answer = nilIfEmpty(r.Fingerprint), nilIfEmpty(r.Answer)
	if len(r.PolicyOnInDoubt) == 0 {
		r.PolicyOnInDoubt = nil
	}
	r.Lines, r.Legs = nilIfEmpty(slices.Clone(r.Lines)), nilIfEmpty(slices.Clone(r.Legs))
	for i := range r.Lines {
		r.Lines[i].Result = clean(r.Lines[i].Result)
	}
	for i := range r.Legs {
		g := &r.Legs[i]
		g.Lines, g.Coupons, g.Call = nilIfEmpty(g.Lines), nilIfEmpty(g.Coupons), nilIfEmpty(g.Call)
		g.LeaseUntil, g.NextCheck = stored(g.LeaseUntil), stored(g.NextCheck)
		g.SentAt, g.UnknownAt, g.ResolvedAt = stored(g.SentAt), stored(g.UnknownAt), stored(g.ResolvedAt)
		g.Outcome = normalOutcome(g.Outcome)
	}
	slices.SortFunc(r.Lines, func(a, b redeem.Line) int { return a.No - b.No })
	slices.SortFunc(r.Legs, func(a, b redeem.Leg) int { return a.No - b.No })
	return r
}

// clean makes text that a vendor wrote fit for both databases: neither NUL nor broken UTF-8 may make the commit of a charge fail.
func clean(l redeem.LineResult) redeem.LineResult {
	l.Code, l.Cashier = cleanText(l.Code), cleanText(l.Cashier)
	return l
}

func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// normalOutcome is o after a round trip through the database. The member's name is not part of it: a reply repeats it from its one column.
func normalOutcome(o redeem.Outcome) redeem.Outcome {
	o.MemberName = ""
	var back redeem.Outcome
	if err := parse(outcomeText(o), &back); err != nil {
		panic(err) // the struct holds nothing that JSON cannot
	}
	return back
}

func outcomeText(o redeem.Outcome) string {
	if o.Kind == "" && o.Class == "" && o.Code == "" && o.Detail == "" && o.Cashier == "" && o.FlowID == "" && o.Total == 0 && o.Real == 0 && o.Gift == 0 &&
		len(o.Lines) == 0 && o.RetryAfter == 0 && o.HTTPStatus == 0 {
		return ""
	}
	if len(o.Lines) == 0 {
		o.Lines = nil
	}
	return text(o, 1)
}

func text(v any, size int) string {
	if size == 0 {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps, slices and structs of plain values
	}
	return string(b)
}

func parse(s string, v any) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), v)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func stored(t time.Time) time.Time { return moment(micros(t)) }

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// blob is never NULL, optional is when empty.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func optional(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func nilIfEmpty[S ~[]E, E any](s S) S {
	if len(s) == 0 {
		return nil
	}
	return s
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// placeholders is "$from,…" for n parameters.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(from+i))
	}
	return b.String()
}

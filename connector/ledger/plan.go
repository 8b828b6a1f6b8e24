// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Everything in this file is pure: what is stored and what is wanted go in, the new value and the statements that make it so come out.

// ErrIllegal is wrapped by the refusal of a change that no writer may make: an edge that is not in redeem.Edges, an epoch that
// falls, the release of what is still open. It is a fault of the caller, never of the moment.
var ErrIllegal = errors.New("illegal change")

var (
	insertRedemption = "INSERT INTO redemption (" + strings.Join(redemptionColumns, ", ") + ") SELECT " + placeholders(1, len(redemptionColumns)) +
		" WHERE NOT EXISTS (SELECT 1 FROM tombstone WHERE brand_id = $1 AND action = $2 AND biz_id = $3)" +
		" ON CONFLICT (brand_id, action, biz_id) DO NOTHING"
	insertLine  = insertIfMine("line", lineColumns)
	insertLeg   = insertIfMine("leg", legColumns)
	insertFirst = insertIfMine("event", eventColumns)
	insertEvent = "INSERT INTO event (" + strings.Join(eventColumns, ", ") + ") VALUES (" + placeholders(1, len(eventColumns)) + ")"
)

const (
	updateRedemption = `UPDATE redemption SET member_name = $4, answer = $5, updated_at = $6, concluded_at = $7, contradiction = $8, reserved = $9,
		seq = $10, head = $11, sealed = 0 WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND seq = $12`
	updateLine = `UPDATE line SET kind = $5, code = $6, cashier = $7, total_fen = $8, real_fen = $9, gift_fen = $10
		WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND no = $4`
	// The guard that keeps reversals within what was redeemed, in the database itself.
	updateReversed = `UPDATE line SET reversed_fen = reversed_fen + $5, reversed_quantity = reversed_quantity + $6
		WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND no = $4
		AND reversed_fen + $5 BETWEEN 0 AND total_fen AND reversed_quantity + $6 BETWEEN 0 AND quantity`
	// The guard that lets one writer win: the state and the epoch that it believes in.
	updateLeg = `UPDATE leg SET state = $5, epoch = $6, lease_owner = $7, lease_until = $8, next_check = $9, checks = $10, not_found = $11,
		sent_at = $12, unknown_at = $13, resolved_at = $14, outcome = $15, due_at = $16
		WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND no = $4 AND state = $17 AND epoch = $18`
)

// insertIfMine inserts a row of a redemption only if this very call inserted the redemption. So the statements of a record can be sent
// together, before anyone knows whether the key was free.
func insertIfMine(table string, columns []string) string {
	n := len(columns)
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") SELECT " + placeholders(1, n) +
		" WHERE EXISTS (SELECT 1 FROM redemption WHERE brand_id = $1 AND action = $2 AND biz_id = $3 AND write_id = " + placeholders(n+1, 1) + ")"
}

func keyArgs(k redeem.Key) []any { return []any{k.BrandID, string(k.Action), k.BizID} }

// fresh is the record of a new redemption. original is what a reversal takes back, nil otherwise; it is changed to hold the reservation.
func fresh(r redeem.Redemption, writeID []byte, original *record) (*record, []statement, error) {
	if err := acceptable(&r); err != nil {
		return nil, nil, err
	}
	r = normal(r)
	r.Answer, r.ConcludedAt, r.Contradiction = nil, time.Time{}, false
	r.UpdatedAt = r.CreatedAt
	for i := range r.Lines {
		r.Lines[i].Result.Reversed, r.Lines[i].Result.ReversedCount = 0, 0
	}
	for i := range r.Legs {
		g := &r.Legs[i]
		g.State, g.Epoch = redeem.StateSent, 1
		if g.SentAt.IsZero() {
			g.SentAt = r.CreatedAt
		}
	}
	rec := &record{Redemption: r, writeID: writeID}
	var taken []statement
	if original != nil {
		var err error
		if taken, err = reserve(rec, original); err != nil {
			return nil, nil, err
		}
	}
	events := rec.append(r.CreatedAt, "engine", []redeem.Event{{LegNo: -1, Kind: "recorded", Detail: recordedDetail(&r)}})

	statements := []statement{{sql: insertRedemption, args: rec.values(), must: original != nil}}
	for i := range r.Lines {
		statements = append(statements, statement{sql: insertLine, args: append(lineValues(r.Key(), &r.Lines[i]), blob(writeID))})
	}
	for i := range r.Legs {
		statements = append(statements, statement{sql: insertLeg, args: append(legValues(r.Key(), &r.Legs[i]), blob(writeID))})
	}
	for i := range events {
		statements = append(statements, statement{sql: insertFirst, args: append(events[i].values(), blob(writeID))})
	}
	return rec, append(statements, taken...), nil
}

func recordedDetail(r *redeem.Redemption) json.RawMessage {
	type leg struct {
		No        int        `json:"no"`
		Provider  string     `json:"provider"`
		Operation string     `json:"operation"`
		Key       string     `json:"key"`
		Amount    redeem.Fen `json:"amountFen,omitempty"`
		Owner     string     `json:"owner,omitempty"`
	}
	legs := make([]leg, 0, len(r.Legs))
	for _, g := range r.Legs {
		legs = append(legs, leg{g.No, g.Provider, g.Operation, g.Key, g.Amount, g.LeaseOwner})
	}
	return detail(map[string]any{"legs": legs, "traceId": r.TraceID, "reverses": r.ReversesBizID})
}

// acceptable refuses what the databases would refuse, or would store differently from each other.
func acceptable(r *redeem.Redemption) error {
	if r.BrandID == "" || r.BizID == "" || r.FlowID == "" {
		return fmt.Errorf("record: brandID, bizID and flowID must not be empty")
	}
	if r.Action != redeem.Verify && r.Action != redeem.ReverseVerify {
		return fmt.Errorf("record: action %q", r.Action)
	}
	if r.CreatedAt.IsZero() {
		return fmt.Errorf("record: createdAt must be set")
	}
	values := (&record{Redemption: *r}).values()
	columns := slices.Clone(redemptionColumns)
	for i := range r.Lines {
		if r.Lines[i].Amount < 0 || r.Lines[i].Count < 0 {
			return fmt.Errorf("record: line %d: amount and count must not be negative", r.Lines[i].No)
		}
		l := r.Lines[i]
		l.Result = clean(l.Result)
		values, columns = append(values, lineValues(r.Key(), &l)...), append(columns, lineColumns...)
	}
	for i := range r.Legs {
		if c := r.Legs[i].Call; len(c) > 0 && !json.Valid(c) {
			return fmt.Errorf("record: leg %d: call is not JSON", r.Legs[i].No)
		}
		values, columns = append(values, legValues(r.Key(), &r.Legs[i])...), append(columns, legColumns...)
	}
	for i, v := range values {
		if s, ok := v.(string); ok && (!utf8.ValidString(s) || strings.ContainsRune(s, 0)) {
			return fmt.Errorf("record: %s is not text: it must be UTF-8 without NUL", columns[i])
		}
	}
	return nil
}

// append chains events to r, whose new content must be complete: each event carries its digest.
func (r *record) append(at time.Time, actor string, events []redeem.Event) []event {
	state := r.digest()
	chained := make([]event, 0, len(events))
	for _, e := range events {
		if e.At.IsZero() {
			e.At = at
		}
		if e.Actor == "" {
			e.Actor = actor
		}
		e.At, e.Detail, e.Key = stored(e.At), nilIfEmpty(e.Detail), r.Key()
		e.Actor, e.Kind = cleanText(e.Actor), cleanText(e.Kind)
		e.Seq, e.PrevHash = r.seq+1, blob(r.head)
		c := event{Event: e, format: format, stateHash: state}
		c.Hash = c.sum()
		r.seq, r.head = c.Seq, c.Hash
		chained = append(chained, c)
	}
	return chained
}

// reserve takes what the lines of the reversal ask for from the lines of the original: of the same asset, executed, not yet taken back.
func reserve(reversal, original *record) ([]statement, error) {
	for _, g := range original.Legs {
		if !settled(g.State) {
			return nil, fmt.Errorf("reverse %s: leg %d is %s: %w", original.BizID, g.No, g.State, redeem.ErrReversalPending)
		}
	}
	before := original.seq
	for _, l := range reversal.Lines {
		if err := hold1(reversal, original, l); err != nil {
			return nil, fmt.Errorf("reverse %s: line %d: %w", original.BizID, l.No, err)
		}
	}
	return shift(original, before, reversal.reserved, +1, reversal.CreatedAt, reversal.BizID), nil
}

func hold1(reversal, original *record, l redeem.Line) error {
	amount, quantity := l.Amount, l.Count
	matched := false
	for i := range original.Lines {
		o := &original.Lines[i]
		if o.AssetMappingID != l.AssetMappingID || o.AssetID != l.AssetID || o.Result.Kind != redeem.Executed {
			continue
		}
		if !matched { // which of the two counts is the asset's nature
			matched = true
			if o.Asset == redeem.StoredValue {
				quantity = 0
			} else {
				amount = 0
			}
		}
		h := hold{
			Reversal: l.No, Original: o.No,
			Amount:   min(amount, o.Result.Total-o.Result.Reversed),
			Quantity: min(quantity, o.Count-o.Result.ReversedCount),
		}
		if h.Amount == 0 && h.Quantity == 0 {
			continue
		}
		amount, quantity = amount-h.Amount, quantity-h.Quantity
		o.Result.Reversed, o.Result.ReversedCount = o.Result.Reversed+h.Amount, o.Result.ReversedCount+h.Quantity
		reversal.reserved = append(reversal.reserved, h)
	}
	if !matched || amount > 0 || quantity > 0 {
		return redeem.ErrOverReversed
	}
	return nil
}

// shift makes the statements that move the holds onto (+1) or off (-1) the lines of the original, whose lines are already so in memory.
func shift(original *record, before int64, holds []hold, sign int64, at time.Time, by string) []statement {
	if len(holds) == 0 {
		return nil
	}
	kind := "reserved"
	if sign < 0 {
		kind = "released"
	}
	ordered := slices.Clone(holds)
	slices.SortStableFunc(ordered, func(a, b hold) int { return cmp.Compare(a.Original, b.Original) }) // one order of locks
	statements := make([]statement, 0, len(ordered)+2)
	for _, h := range ordered {
		statements = append(statements, statement{sql: updateReversed, must: true,
			args: append(keyArgs(original.Key()), int64(h.Original), sign*int64(h.Amount), sign*h.Quantity)})
	}
	original.UpdatedAt = stored(at)
	events := original.append(at, "engine", []redeem.Event{{LegNo: -1, Kind: kind, Detail: detail(map[string]any{"by": by, "holds": holds})}})
	return append(statements, original.save(before, events)...)
}

// save makes the statements that store the events and the redemption's own row. The number of the first event is the arbiter between writers: it is
// a key, so one of two that read the same state fails.
func (r *record) save(before int64, events []event) []statement {
	statements := make([]statement, 0, len(events)+1)
	for i := range events {
		statements = append(statements, statement{sql: insertEvent, args: events[i].values()})
	}
	return append(statements, statement{sql: updateRedemption, must: true, args: append(keyArgs(r.Key()),
		r.MemberName, optional(r.Answer), micros(r.UpdatedAt), micros(r.ConcludedAt), bit(r.Contradiction), text(r.reserved, len(r.reserved)),
		r.seq, blob(r.head), before)})
}

// changed makes c of cur. original is needed, and changed, when c releases a reversal.
func changed(cur *record, c redeem.Change, original *record) (*record, []statement, error) {
	next := *cur
	next.Lines, next.Legs, next.reserved = slices.Clone(cur.Lines), slices.Clone(cur.Legs), slices.Clone(cur.reserved)
	next.UpdatedAt = stored(c.At)

	var statements []statement
	var events []redeem.Event
	changes := slices.Clone(c.Legs)
	slices.SortStableFunc(changes, func(a, b redeem.LegChange) int { return cmp.Compare(a.No, b.No) }) // one order of locks
	for _, lc := range changes {
		s, e, err := next.moveLeg(lc, c.At)
		if err != nil {
			return nil, nil, err
		}
		statements, events = append(statements, s), append(events, e)
	}
	lines, err := next.settleLines(c.Lines)
	if err != nil {
		return nil, nil, err
	}
	statements = append(statements, lines...)
	more, err := next.conclude(c)
	if err != nil {
		return nil, nil, err
	}
	events = append(events, more...)
	var released []hold
	if c.ReleaseReversal {
		if released, err = next.release(c.Lines, original); err != nil {
			return nil, nil, err
		}
		if len(released) > 0 {
			events = append(events, redeem.Event{LegNo: -1, Kind: "released", Detail: detail(map[string]any{"holds": released})})
		}
	}
	for _, e := range c.Events {
		if len(e.Detail) > 0 && !json.Valid(e.Detail) {
			return nil, nil, fmt.Errorf("event %q: detail is not JSON", e.Kind)
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		if len(statements) == 0 && next.MemberName == cur.MemberName {
			return cur, nil, nil
		}
		events = append(events, redeem.Event{LegNo: -1, Kind: "evidence", Detail: detail(map[string]any{"lines": len(c.Lines)})})
	}
	statements = append(statements, next.save(cur.seq, next.append(c.At, c.Actor, events))...)
	if len(released) > 0 {
		statements = append(statements, shift(original, original.seq, released, -1, c.At, next.BizID)...)
	}
	return &next, statements, nil
}

func (r *record) moveLeg(lc redeem.LegChange, at time.Time) (statement, redeem.Event, error) {
	i := slices.IndexFunc(r.Legs, func(g redeem.Leg) bool { return g.No == lc.No })
	if i < 0 {
		return statement{}, redeem.Event{}, fmt.Errorf("leg %d: %w", lc.No, redeem.ErrNotFound)
	}
	g := r.Legs[i]
	if g.State != lc.From || g.Epoch != lc.Epoch {
		return statement{}, redeem.Event{}, fmt.Errorf("leg %d is %s in epoch %d, not %s in epoch %d: %w", lc.No, g.State, g.Epoch, lc.From, lc.Epoch, redeem.ErrFenced)
	}
	e := redeem.Event{LegNo: lc.No, Kind: "evidence", From: g.State, To: g.State}
	if lc.To != "" {
		if !slices.Contains(redeem.Edges[g.State], lc.To) {
			return statement{}, redeem.Event{}, fmt.Errorf("leg %d from %s to %s: %w", lc.No, g.State, lc.To, ErrIllegal)
		}
		e.Kind, e.To = "state", lc.To
		enter(&g, lc.To, stored(at))
	}
	if lc.NewEpoch != 0 {
		if lc.NewEpoch < g.Epoch {
			return statement{}, redeem.Event{}, fmt.Errorf("leg %d from epoch %d to %d: %w", lc.No, g.Epoch, lc.NewEpoch, ErrIllegal)
		}
		g.Epoch = lc.NewEpoch
	}
	if lc.Outcome != nil {
		g.Outcome = normalOutcome(*lc.Outcome)
	}
	g.LeaseOwner, g.LeaseUntil, g.NextCheck, g.Checks, g.NotFound = lc.LeaseOwner, stored(lc.LeaseUntil), stored(lc.NextCheck), lc.Checks, lc.NotFound
	e.Detail = legDetail(&g, lc)
	r.Legs[i] = g
	return legStatement(r.Key(), &g, lc.From, lc.Epoch), e, nil
}

func enter(g *redeem.Leg, to redeem.State, at time.Time) {
	g.State = to
	switch to {
	case redeem.StateSent:
		g.SentAt = at
	case redeem.StateUnknown:
		if g.UnknownAt.IsZero() {
			g.UnknownAt = at
		}
	case redeem.StateExecuted, redeem.StateRefused:
		g.ResolvedAt = at
	}
}

func legStatement(k redeem.Key, g *redeem.Leg, from redeem.State, epoch int64) statement {
	return statement{sql: updateLeg, must: true, args: append(keyArgs(k), int64(g.No), string(g.State), g.Epoch, g.LeaseOwner,
		micros(g.LeaseUntil), micros(g.NextCheck), int64(g.Checks), int64(g.NotFound), micros(g.SentAt), micros(g.UnknownAt), micros(g.ResolvedAt),
		outcomeText(g.Outcome), due(g), string(from), epoch)}
}

func legDetail(g *redeem.Leg, lc redeem.LegChange) json.RawMessage {
	d := map[string]any{"epoch": g.Epoch}
	if lc.Reason != "" {
		d["reason"] = lc.Reason
	}
	if lc.Outcome != nil {
		d["outcome"] = g.Outcome
	}
	if g.Checks > 0 {
		d["checks"] = g.Checks
	}
	if g.NotFound > 0 {
		d["notFound"] = g.NotFound
	}
	if !g.NextCheck.IsZero() {
		d["nextCheck"] = g.NextCheck
	}
	return detail(d)
}

// settleLines replaces results; what reversals took stays as it is, for that is the ledger's to say.
func (r *record) settleLines(lines []redeem.Line) ([]statement, error) {
	ordered := slices.Clone(lines)
	slices.SortStableFunc(ordered, func(a, b redeem.Line) int { return cmp.Compare(a.No, b.No) })
	var statements []statement
	for _, l := range ordered {
		i := slices.IndexFunc(r.Lines, func(o redeem.Line) bool { return o.No == l.No })
		if i < 0 {
			return nil, fmt.Errorf("line %d: %w", l.No, redeem.ErrNotFound)
		}
		result := clean(l.Result)
		result.Reversed, result.ReversedCount = r.Lines[i].Result.Reversed, r.Lines[i].Result.ReversedCount
		if result.Total < result.Reversed {
			return nil, fmt.Errorf("line %d: total %d fen is less than the %d fen that are reversed: %w", l.No, result.Total, result.Reversed, ErrIllegal)
		}
		r.Lines[i].Result = result
		statements = append(statements, statement{sql: updateLine, must: true, args: append(keyArgs(r.Key()), int64(l.No), string(result.Kind), result.Code,
			result.Cashier, int64(result.Total), int64(result.Real), int64(result.Gift))})
	}
	return statements, nil
}

func (r *record) conclude(c redeem.Change) ([]redeem.Event, error) {
	var events []redeem.Event
	if c.MemberName != "" {
		r.MemberName = cleanText(c.MemberName)
	}
	if len(c.Answer) > 0 {
		if r.Answer != nil {
			return nil, fmt.Errorf("answer: one was given: %w", redeem.ErrFenced)
		}
		for _, g := range r.Legs {
			if !settled(g.State) {
				return nil, fmt.Errorf("answer: leg %d is %s: %w", g.No, g.State, redeem.ErrFenced)
			}
		}
		r.Answer, r.ConcludedAt = slices.Clone(c.Answer), stored(c.At)
		events = append(events, redeem.Event{LegNo: -1, Kind: "answer", Detail: detail(map[string]any{"bytes": len(c.Answer)})})
	}
	if c.Contradiction && !r.Contradiction {
		r.Contradiction = true
		events = append(events, redeem.Event{LegNo: -1, Kind: "alarm", Detail: detail(map[string]any{"alarm": "contradiction"})})
	}
	return events, nil
}

func settled(s redeem.State) bool { return s == redeem.StateExecuted || s == redeem.StateRefused }

// release gives back what the refused ones of lines hold. What a line of an open leg holds stays held, for the vendor may yet have taken it back.
func (r *record) release(lines []redeem.Line, original *record) ([]hold, error) {
	if r.Action != redeem.ReverseVerify {
		return nil, fmt.Errorf("release: not a reversal: %w", ErrIllegal)
	}
	refused := map[int]bool{}
	for _, l := range lines {
		refused[l.No] = l.Result.Kind == redeem.Refused
	}
	for _, g := range r.Legs {
		for _, no := range g.Lines {
			if refused[no] && !settled(g.State) {
				return nil, fmt.Errorf("release: line %d: its leg is %s: %w", no, g.State, ErrIllegal)
			}
		}
	}
	var released []hold
	for i := range r.reserved {
		h := &r.reserved[i]
		if h.Released || !refused[h.Reversal] {
			continue
		}
		j := slices.IndexFunc(original.Lines, func(l redeem.Line) bool { return l.No == h.Original })
		if j < 0 {
			return nil, fmt.Errorf("release: line %d of %s: %w", h.Original, original.BizID, redeem.ErrNotFound)
		}
		o := &original.Lines[j].Result
		o.Reversed, o.ReversedCount = o.Reversed-h.Amount, o.ReversedCount-h.Quantity
		released = append(released, *h)
		h.Released = true
	}
	return released, nil
}

// leased gives those of the wanted legs of cur that are due to owner. It returns the numbers of those that were.
func leased(cur *record, wanted []int, owner string, now, until time.Time) (*record, []int, []statement) {
	next := *cur
	next.Legs = slices.Clone(cur.Legs)
	var (
		taken      []int
		statements []statement
		events     []redeem.Event
	)
	for i := range next.Legs {
		g := &next.Legs[i]
		if at := due(g); at == 0 || at > now.UnixMicro() || !slices.Contains(wanted, g.No) {
			continue
		}
		from, epoch := g.State, g.Epoch
		kind := "lease"
		if from == redeem.StateSent {
			kind = "state"
			enter(g, redeem.StateUnknown, stored(now))
		}
		g.Epoch, g.LeaseOwner, g.LeaseUntil = epoch+1, owner, stored(until)
		taken = append(taken, g.No)
		statements = append(statements, legStatement(next.Key(), g, from, epoch))
		events = append(events, redeem.Event{LegNo: g.No, Kind: kind, From: from, To: g.State, Detail: detail(map[string]any{"epoch": g.Epoch, "until": g.LeaseUntil})})
	}
	if len(taken) == 0 {
		return cur, nil, nil
	}
	next.UpdatedAt = stored(now)
	return &next, taken, append(statements, next.save(cur.seq, next.append(now, owner, events))...)
}

func detail(v map[string]any) json.RawMessage {
	for k, x := range v {
		if x == "" {
			delete(v, k)
		}
	}
	return json.RawMessage(text(v, len(v)))
}

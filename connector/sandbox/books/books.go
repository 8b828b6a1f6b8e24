// SPDX-License-Identifier: Apache-2.0

package books

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Books holds the members and the journal of both vendors.
type Books struct {
	now   func() time.Time
	split Split

	mu        sync.Mutex
	members   map[memberKey]*Member
	order     []memberKey // members in the order they were put
	entries   []Entry
	nextSeq   int64
	byKey     map[vendorKey][]int // key → positions in entries
	byFlow    map[vendorKey]int
	byRequest map[vendorKey]int
	bySeq     map[int64]int
	reversals map[int64][]int // seq of the original → positions of its reversals
	find      map[memberIndex]memberKey
	journal   *journal
	broken    error // a failed write: nothing is booked any more
}

type memberKey struct {
	vendor Vendor
	id     string
}

type vendorKey struct {
	vendor Vendor
	key    string
}

// By names how a member is looked up.
type By string

// The look-ups.
const (
	ByID       By = "id"
	ByCard     By = "card_id"
	ByAccount  By = "account_id"
	ByMobile   By = "mobile"
	ByOpenID   By = "open_id"
	ByUnionID  By = "union_id"
	ByAlipayID By = "alipay_id"
	ByCoupon   By = "coupon"
	ByScanCode By = "scan_code"
)

type memberIndex struct {
	vendor Vendor
	by     By
	value  string
}

// New returns empty books that live in memory.
func New(split Split, now func() time.Time) *Books {
	b := &Books{now: now, split: split}
	b.clear()
	return b
}

func (b *Books) clear() {
	b.members = map[memberKey]*Member{}
	b.order = nil
	b.find = map[memberIndex]memberKey{}
	b.clearEntries()
}

func (b *Books) clearEntries() {
	b.entries = nil
	b.nextSeq = 1
	b.byKey = map[vendorKey][]int{}
	b.byFlow = map[vendorKey]int{}
	b.byRequest = map[vendorKey]int{}
	b.bySeq = map[int64]int{}
	b.reversals = map[int64][]int{}
}

// Put creates the member or replaces the one with the same vendor and id,
// with the balances given. The journal of earlier entries stays.
func (b *Books) Put(m Member) error {
	if err := m.validate(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.write(record{Member: &m}); err != nil {
		return err
	}
	b.put(m)
	return nil
}

func (m Member) validate() error {
	switch {
	case m.Vendor != Zhimai && m.Vendor != ALSC:
		return fmt.Errorf("vendor: %q is not a vendor, use %q or %q", m.Vendor, Zhimai, ALSC)
	case m.ID == "":
		return fmt.Errorf("id: a member needs an id")
	case m.Balance.negative():
		return fmt.Errorf("balance: a pocket must not be negative: %+v", m.Balance)
	case m.Vendor == Zhimai && m.Balance.Pre != 0:
		return fmt.Errorf("balance.pre: Zhimai has no prepaid value, use real or gift")
	case m.Points < 0:
		return fmt.Errorf("points: must not be negative: %d", m.Points)
	}
	seen := map[string]bool{}
	for i, c := range m.Coupons {
		if c.ID == "" || seen[c.ID] {
			return fmt.Errorf("coupons[%d].id: must be given and unique, got %q", i, c.ID)
		}
		seen[c.ID] = true
	}
	return nil
}

func (b *Books) put(m Member) {
	k := memberKey{m.Vendor, m.ID}
	if old, ok := b.members[k]; ok {
		b.unindex(old)
	} else {
		b.order = append(b.order, k)
	}
	c := m.clone()
	b.members[k] = &c
	for _, ix := range indexes(&c) {
		b.find[ix] = k
	}
}

func (b *Books) unindex(m *Member) {
	for _, ix := range indexes(m) {
		delete(b.find, ix)
	}
}

func indexes(m *Member) []memberIndex {
	out := []memberIndex{{m.Vendor, ByID, m.ID}}
	add := func(by By, v string) {
		if v != "" {
			out = append(out, memberIndex{m.Vendor, by, v})
		}
	}
	add(ByCard, m.CardID)
	add(ByAccount, m.AccountID)
	if m.AccountID == "" {
		add(ByAccount, m.CardID)
	}
	add(ByMobile, m.Mobile)
	add(ByOpenID, m.OpenID)
	add(ByUnionID, m.UnionID)
	add(ByAlipayID, m.AlipayID)
	for _, c := range m.Coupons {
		add(ByCoupon, c.ID)
		add(ByScanCode, c.ScanCode)
	}
	return out
}

// Find returns a copy of the member with that property.
func (b *Books) Find(v Vendor, by By, value string) (Member, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.find[memberIndex{v, by, value}]
	if !ok {
		return Member{}, false
	}
	return b.members[k].clone(), true
}

// Members returns copies of the vendor's members (of all when v is empty) in
// the order they were put.
func (b *Books) Members(v Vendor) []Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Member{}
	for _, k := range b.order {
		if v == "" || k.vendor == v {
			out = append(out, b.members[k].clone())
		}
	}
	return out
}

// Spend is what a vendor call takes from one member, all of it or nothing.
type Spend struct {
	Vendor      Vendor
	Method      string
	Key         string // bizId or outer_order_id
	UniqueKey   bool   // refuse a key that was used before
	RequestID   string
	Member      string
	Shop        string
	Operator    string
	Remark      string
	AmountFen   int64
	Points      int64
	Coupons     []string
	Fingerprint string
	Note        string
}

// Spend books s, or returns a *[Refusal] and books nothing.
func (b *Books) Spend(s Spend) (Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, err := b.checkSpend(s)
	if err != nil {
		return Entry{}, err
	}
	split := b.split.take(m.Balance, s.AmountFen)
	e := Entry{
		Kind: KindSpend, Vendor: s.Vendor, Method: s.Method, Key: s.Key, RequestID: s.RequestID,
		Member: s.Member, Shop: s.Shop, Operator: s.Operator, Remark: s.Remark,
		AmountFen: s.AmountFen, Split: split, Points: s.Points, Coupons: slices.Clone(s.Coupons),
		Before: m.Balance, After: m.Balance.minus(split), Fingerprint: s.Fingerprint, Note: s.Note,
	}
	return b.book(e)
}

func (b *Books) checkSpend(s Spend) (*Member, error) {
	m, ok := b.members[memberKey{s.Vendor, s.Member}]
	switch {
	case !ok:
		return nil, refuse(NoMember, "member", "%q", s.Member)
	case m.Disabled:
		return nil, refuse(MemberDisabled, "member", "%q", s.Member)
	case s.UniqueKey && len(b.byKey[vendorKey{s.Vendor, s.Key}]) > 0:
		return nil, refuse(DuplicateKey, "key", "%q", s.Key)
	case s.AmountFen < 0 || s.Points < 0 || s.AmountFen == 0 && s.Points == 0 && len(s.Coupons) == 0:
		return nil, refuse(NothingToDo, "amount", "amount %d fen, points %d, no coupon", s.AmountFen, s.Points)
	case s.AmountFen > m.Balance.Total():
		return nil, refuse(InsufficientValue, "amount", "asked %d fen, has %d fen", s.AmountFen, m.Balance.Total())
	case s.Points > m.Points:
		return nil, refuse(InsufficientPoint, "points", "asked %d, has %d", s.Points, m.Points)
	}
	seen := map[string]bool{}
	for _, id := range s.Coupons {
		c := m.coupon(id)
		if c == nil {
			return nil, refuse(NoCoupon, "coupon", "%q", id)
		}
		if c.Status != CouponUnused || seen[id] {
			return nil, refuse(CouponNotUsable, "coupon", "%q has status %d", id, c.Status)
		}
		seen[id] = true
	}
	return m, nil
}

// Reversal gives back what an earlier spend took.
type Reversal struct {
	Vendor      Vendor
	Method      string
	Original    int64  // Seq of the spend
	Key         string // the reversal's own number
	UniqueKey   bool
	RequestID   string
	Shop        string
	Operator    string
	Remark      string
	Rest        bool  // give back all that is left; the three below are ignored
	AmountFen   int64 // fen
	Points      int64
	Coupons     []string
	Fingerprint string
	Note        string
}

// Left is what of a spend was not given back yet.
type Left struct {
	Money   Money    `json:"money"` // fen
	Points  int64    `json:"points"`
	Coupons []string `json:"coupons,omitempty"`
}

// Empty reports that nothing is left to give back.
func (l Left) Empty() bool { return l.Money == Money{} && l.Points == 0 && len(l.Coupons) == 0 }

// Left returns what is left to reverse of the spend with that Seq.
func (b *Books) Left(seq int64) Left {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(seq)
}

func (b *Books) left(seq int64) Left {
	i, ok := b.bySeq[seq]
	if !ok || b.entries[i].Kind != KindSpend {
		return Left{}
	}
	o := &b.entries[i]
	l := Left{Money: o.Split, Points: o.Points, Coupons: slices.Clone(o.Coupons)}
	for _, j := range b.reversals[seq] {
		e := &b.entries[j]
		l.Money = l.Money.minus(e.Split)
		l.Points -= e.Points
		l.Coupons = slices.DeleteFunc(l.Coupons, func(c string) bool { return slices.Contains(e.Coupons, c) })
	}
	return l
}

// Reverse books r, or returns a *[Refusal] and books nothing. Over any number
// of reversals never more is given back than the original took.
func (b *Books) Reverse(r Reversal) (Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.bySeq[r.Original]
	if !ok || b.entries[i].Kind != KindSpend || b.entries[i].Vendor != r.Vendor {
		return Entry{}, refuse(NoOriginal, "original", "seq %d", r.Original)
	}
	o := b.entries[i]
	if r.UniqueKey && len(b.byKey[vendorKey{r.Vendor, r.Key}]) > 0 {
		return Entry{}, refuse(DuplicateKey, "key", "%q", r.Key)
	}
	split, err := b.checkReversal(&r)
	if err != nil {
		return Entry{}, err
	}
	m, ok := b.members[memberKey{o.Vendor, o.Member}]
	if !ok {
		return Entry{}, refuse(NoMember, "member", "%q", o.Member)
	}
	return b.book(Entry{
		Kind: KindReverse, Vendor: r.Vendor, Method: r.Method, Key: r.Key, RequestID: r.RequestID,
		Member: o.Member, Shop: r.Shop, Operator: r.Operator, Remark: r.Remark,
		AmountFen: split.Total(), Split: split, Points: r.Points, Coupons: slices.Clone(r.Coupons),
		Before: m.Balance, After: m.Balance.plus(split), Fingerprint: r.Fingerprint, Note: r.Note,
		Reverses: o.Key, ReversesSeq: o.Seq,
	})
}

func (b *Books) checkReversal(r *Reversal) (Money, error) {
	left := b.left(r.Original)
	if r.Rest {
		r.AmountFen, r.Points, r.Coupons = left.Money.Total(), left.Points, left.Coupons
		if left.Empty() {
			return Money{}, refuse(OverReversal, "amount", "nothing is left to give back")
		}
	}
	switch {
	case r.AmountFen < 0 || r.Points < 0 || r.AmountFen == 0 && r.Points == 0 && len(r.Coupons) == 0:
		return Money{}, refuse(NothingToDo, "amount", "amount %d fen, points %d, no coupon", r.AmountFen, r.Points)
	case r.AmountFen > left.Money.Total():
		return Money{}, refuse(OverReversal, "amount", "asked %d fen, left %d fen", r.AmountFen, left.Money.Total())
	case r.Points > left.Points:
		return Money{}, refuse(OverReversal, "points", "asked %d, left %d", r.Points, left.Points)
	}
	seen := map[string]bool{}
	for _, c := range r.Coupons {
		if seen[c] || !slices.Contains(left.Coupons, c) {
			return Money{}, refuse(OverReversal, "coupon", "%q is not left to give back", c)
		}
		seen[c] = true
	}
	return b.split.giveBack(left.Money, r.AmountFen), nil
}

// book stamps e, writes it, applies it and asserts the invariants.
func (b *Books) book(e Entry) (Entry, error) {
	e.Seq = b.nextSeq
	e.Time = b.now().UTC()
	e.FlowID = flowID(e.Vendor, e.Seq)
	if err := b.write(record{Entry: &e}); err != nil {
		return Entry{}, err
	}
	if err := b.apply(e); err != nil {
		panic("books: " + err.Error()) // an oracle that is wrong must not go on
	}
	return e, nil
}

// flowID has 19 digits and exceeds 2^53, as the vendors' own ids do: a client
// that passes it through a float64 loses it.
func flowID(v Vendor, seq int64) string {
	base := int64(7_862_783_618_000_000_000)
	if v == Zhimai {
		base = 3_909_621_387_000_000_000
	}
	return strconv.FormatInt(base+seq, 10)
}

func (b *Books) apply(e Entry) error {
	m := b.members[memberKey{e.Vendor, e.Member}]
	status, points := CouponRedeemed, -e.Points
	if e.Kind == KindReverse {
		status, points = CouponUnused, e.Points
	}
	m.Balance = e.After
	m.Points += points
	for _, id := range e.Coupons {
		// A member that was replaced since may not have the coupon any more.
		if c := m.coupon(id); c != nil {
			c.Status = status
		}
	}
	b.nextSeq = e.Seq + 1
	pos := len(b.entries)
	b.entries = append(b.entries, e)
	b.bySeq[e.Seq] = pos
	k := vendorKey{e.Vendor, e.Key}
	b.byKey[k] = append(b.byKey[k], pos)
	b.byFlow[vendorKey{e.Vendor, e.FlowID}] = pos
	if e.RequestID != "" {
		b.byRequest[vendorKey{e.Vendor, e.RequestID}] = pos
	}
	if e.Kind == KindReverse {
		b.reversals[e.ReversesSeq] = append(b.reversals[e.ReversesSeq], pos)
	}
	return invariants(e, m)
}

// invariants says what is wrong with the books after e, if anything.
func invariants(e Entry, m *Member) error {
	sign := int64(-1)
	if e.Kind == KindReverse {
		sign = 1
	}
	switch {
	case m.Balance.negative() || m.Points < 0 || e.Split.negative():
		return fmt.Errorf("a pocket is negative after entry %d: %+v, %d points", e.Seq, m.Balance, m.Points)
	case e.Split.Total() != e.AmountFen:
		return fmt.Errorf("the split of entry %d is %d fen, its amount %d fen", e.Seq, e.Split.Total(), e.AmountFen)
	case e.After.Total()-e.Before.Total() != sign*e.AmountFen:
		return fmt.Errorf("entry %d moves %d fen, its amount is %d fen", e.Seq, e.After.Total()-e.Before.Total(), e.AmountFen)
	}
	return nil
}

// Reset forgets the entries, and the members too unless keepMembers is set.
// Kept members keep the balances they have now.
func (b *Books) Reset(keepMembers bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	kind := resetAll
	if keepMembers {
		kind = resetEntries
	}
	if err := b.write(record{Reset: kind}); err != nil {
		return err
	}
	b.reset(kind)
	return nil
}

func (b *Books) reset(kind string) {
	if kind == resetAll {
		b.clear()
		return
	}
	b.clearEntries()
}

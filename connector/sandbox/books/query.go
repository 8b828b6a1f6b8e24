// SPDX-License-Identifier: Apache-2.0

package books

import (
	"iter"
	"slices"
	"sort"
	"time"
)

// Filter selects entries; an empty field selects all.
type Filter struct {
	Vendor    Vendor
	Key       string // the entry's own key, or the key that it reverses
	OwnKey    string // the entry's own key only
	Member    string
	RequestID string
	FlowID    string
	Kind      Kind
	AfterSeq  int64
	From, To  time.Time // From ≤ time < To
	Limit     int
}

func (f Filter) match(e *Entry) bool {
	switch {
	case f.Vendor != "" && e.Vendor != f.Vendor,
		f.Key != "" && e.Key != f.Key && e.Reverses != f.Key,
		f.OwnKey != "" && e.Key != f.OwnKey,
		f.Member != "" && e.Member != f.Member,
		f.RequestID != "" && e.RequestID != f.RequestID,
		f.FlowID != "" && e.FlowID != f.FlowID,
		f.Kind != "" && e.Kind != f.Kind,
		e.Seq <= f.AfterSeq,
		!f.From.IsZero() && e.Time.Before(f.From),
		!f.To.IsZero() && !e.Time.Before(f.To):
		return false
	}
	return true
}

// Entries returns the entries that f selects, oldest first, never nil.
func (b *Books) Entries(f Filter) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Entry{}
	for _, i := range b.candidates(f) {
		if f.match(&b.entries[i]) {
			out = append(out, b.entries[i])
			if f.Limit > 0 && len(out) == f.Limit {
				break
			}
		}
	}
	return out
}

// candidates are the positions that f can match at all.
func (b *Books) candidates(f Filter) iter.Seq2[int, int] {
	if f.Vendor != "" && f.OwnKey != "" {
		return slices.All(b.byKey[vendorKey{f.Vendor, f.OwnKey}])
	}
	return func(yield func(int, int) bool) {
		for i := range b.entries {
			if !yield(i, i) {
				return
			}
		}
	}
}

// ByKey returns the entries booked under that very key, oldest first.
func (b *Books) ByKey(v Vendor, key string) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Entry
	for _, i := range b.byKey[vendorKey{v, key}] {
		out = append(out, b.entries[i])
	}
	return out
}

// ByFlow returns the entry with the vendor's own number flow.
func (b *Books) ByFlow(v Vendor, flow string) (Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.byFlow[vendorKey{v, flow}]
	if !ok {
		return Entry{}, false
	}
	return b.entries[i], true
}

// ByRequest returns the entry that was booked under that request id.
func (b *Books) ByRequest(v Vendor, requestID string) (Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.byRequest[vendorKey{v, requestID}]
	if !ok {
		return Entry{}, false
	}
	return b.entries[i], true
}

// Net is what one key cost its member in the end. Promise of a connector:
// NetFen is 0 or the amount asked for, whatever was lost on the way.
type Net struct {
	Vendor    Vendor `json:"vendor"`
	Key       string `json:"key"`
	Member    string `json:"member"`
	Spends    int    `json:"spends"`     // times deducted
	Reversals int    `json:"reversals"`  // times given back
	SpentFen  int64  `json:"spent_fen"`  // fen
	NetFen    int64  `json:"net_fen"`    // spent less given back, fen
	NetPoints int64  `json:"net_points"` // points spent less given back
	NetCoupon int    `json:"net_coupons"`
}

// Nets folds the entries that f selects by the key of the spend, sorted by
// vendor and key. f.Key and f.OwnKey both mean the key of the spend.
func (b *Books) Nets(f Filter) []Net {
	key := f.Key
	if key == "" {
		key = f.OwnKey
	}
	f.Key, f.OwnKey, f.Limit = key, "", 0
	byKey := map[vendorKey]*Net{}
	for _, e := range b.Entries(f) {
		k := e.Key
		if e.Kind == KindReverse {
			k = e.Reverses
		}
		if key != "" && k != key {
			continue
		}
		n := byKey[vendorKey{e.Vendor, k}]
		if n == nil {
			n = &Net{Vendor: e.Vendor, Key: k, Member: e.Member}
			byKey[vendorKey{e.Vendor, k}] = n
		}
		n.add(&e)
	}
	out := make([]Net, 0, len(byKey))
	for _, n := range byKey {
		out = append(out, *n)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Vendor != out[j].Vendor {
			return out[i].Vendor < out[j].Vendor
		}
		return out[i].Key < out[j].Key
	})
	return out
}

func (n *Net) add(e *Entry) {
	if e.Kind == KindReverse {
		n.Reversals++
		n.NetFen -= e.AmountFen
		n.NetPoints -= e.Points
		n.NetCoupon -= len(e.Coupons)
		return
	}
	n.Spends++
	n.SpentFen += e.AmountFen
	n.NetFen += e.AmountFen
	n.NetPoints += e.Points
	n.NetCoupon += len(e.Coupons)
}

// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"net/http"
	"sort"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// Call is one request that reached a vendor, as it was received, and what
// became of it. Header names are in Go's canonical form.
type Call struct {
	Seq       int64        `json:"seq"`
	Time      time.Time    `json:"time"`
	Vendor    books.Vendor `json:"vendor"`
	Method    string       `json:"method,omitempty"` // Zhimai Action or TOP method
	Key       string       `json:"key,omitempty"`    // bizId or outer_order_id
	RequestID string       `json:"request_id,omitempty"`
	Members   []string     `json:"members,omitempty"` // every name of the member that the caller gave

	HTTPMethod string      `json:"http_method"`
	URL        string      `json:"url"`
	Host       string      `json:"host"`
	Remote     string      `json:"remote"`
	Header     http.Header `json:"header"`
	Body       string      `json:"body"`
	// Unknown are fields of the business parameters that the vendor's document
	// does not list. The vendor ignores them; a test may not want to.
	Unknown []string `json:"unknown_fields,omitempty"`

	Rejected  string     `json:"rejected,omitempty"` // by the protocol check: why
	Fault     string     `json:"fault,omitempty"`    // id of the rule that it met
	FaultKind fault.Kind `json:"fault_kind,omitempty"`
	Booked    []int64    `json:"booked,omitempty"` // Seq of the entries that it booked
	Answer    Answer     `json:"answer"`
}

// Answer is what the caller got.
type Answer struct {
	// How is pending, sent, cut, hung, closed or reset.
	How    string `json:"how"`
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
}

// CallFilter selects calls; an empty field selects all.
type CallFilter struct {
	Vendor   books.Vendor
	Method   string
	Key      string
	Member   string
	Fault    string // id of the rule that fired, or "any"
	AfterSeq int64
	Limit    int // the newest so many
}

func (f CallFilter) match(c *Call) bool {
	return (f.Vendor == "" || f.Vendor == c.Vendor) && (f.Method == "" || f.Method == c.Method) &&
		(f.Key == "" || f.Key == c.Key) && (f.Member == "" || has(c.Members, f.Member)) &&
		(f.Fault == "" || f.Fault == c.Fault || f.Fault == "any" && c.Fault != "") && c.Seq > f.AfterSeq
}

func has(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// Delivery counts how often one key reached one method of one vendor, and how
// often the books changed for it. More than one delivery is a client that
// repeats itself; more than one booking is a member charged twice.
type Delivery struct {
	Vendor     books.Vendor `json:"vendor"`
	Method     string       `json:"method"`
	Key        string       `json:"key"`
	Deliveries int          `json:"deliveries"`
	Booked     int          `json:"booked"`
}

type deliveryKey struct {
	vendor      books.Vendor
	method, key string
}

// callLog remembers the newest calls and counts all deliveries.
type callLog struct {
	mu         sync.Mutex
	max        int
	calls      []*Call
	next       int64
	deliveries map[deliveryKey]*Delivery
}

func newCallLog(limit int) *callLog {
	return &callLog{max: limit, next: 1, deliveries: map[deliveryKey]*Delivery{}}
}

// add stores c, which from then on only changes through update.
func (l *callLog) add(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Seq = l.next
	l.next++
	if len(l.calls) >= 2*l.max {
		l.calls = append([]*Call(nil), l.calls[len(l.calls)-l.max+1:]...)
	}
	l.calls = append(l.calls, c)
	if c.Key != "" && c.Rejected == "" {
		l.delivery(c).Deliveries++
	}
}

func (l *callLog) delivery(c *Call) *Delivery {
	k := deliveryKey{c.Vendor, c.Method, c.Key}
	d := l.deliveries[k]
	if d == nil {
		d = &Delivery{Vendor: c.Vendor, Method: c.Method, Key: c.Key}
		l.deliveries[k] = d
	}
	return d
}

func (l *callLog) update(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *callLog) booked(c *Call, e books.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Booked = append(c.Booked, e.Seq)
	if c.Key != "" {
		l.delivery(c).Booked++
	}
}

func (l *callLog) list(f CallFilter) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls[max(0, len(l.calls)-l.max):]
	out := []Call{}
	for _, c := range calls {
		if f.match(c) {
			out = append(out, *c)
		}
	}
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[len(out)-f.Limit:]
	}
	return out
}

func (l *callLog) counted(repeatedOnly bool) []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []Delivery{}
	for _, d := range l.deliveries {
		if !repeatedOnly || d.Deliveries > 1 || d.Booked > 1 {
			out = append(out, *d)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Vendor != b.Vendor {
			return a.Vendor < b.Vendor
		}
		if a.Key != b.Key {
			return a.Key < b.Key
		}
		return a.Method < b.Method
	})
	return out
}

func (l *callLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = nil
	l.deliveries = map[deliveryKey]*Delivery{}
}

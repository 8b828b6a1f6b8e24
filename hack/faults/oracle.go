// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/keruyun"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/hack/faults/history"
)

// verdict is what the oracle found in a cell. All counts zero is a pass.
type verdict struct {
	double     int // a member paid more than once, or more than asked
	lost       int // a member paid, and the till was told otherwise
	unresolved int // no answer in the end, or something in the ledger is open
	lies       int // a word that the books deny, two answers that differ, a ledger that does not verify
	why        []string
}

func (v *verdict) passed() bool { return v.double+v.lost+v.unresolved+v.lies == 0 }

func (v *verdict) find(n *int, format string, args ...any) {
	*n++
	v.why = append(v.why, fmt.Sprintf(format, args...))
}

// short is why, without drowning the reader.
func (v *verdict) short() []string {
	const most = 8
	if len(v.why) <= most {
		return v.why
	}
	return append(slices.Clone(v.why[:most]), fmt.Sprintf("… and %d more", len(v.why)-most))
}

// about says whether the verdict names the sale.
func (v *verdict) about(s *sale) bool {
	return slices.ContainsFunc(v.short(), func(why string) bool { return strings.Contains(why, s.bizID) })
}

// judge compares books, words and ledger. It runs when every connector has ended.
func (w *world) judge() *verdict {
	v := &verdict{}
	for _, text := range w.found {
		v.find(&v.lies, "%s", text)
	}
	for _, s := range w.sales {
		w.judgeSale(v, s)
	}
	for _, s := range w.others {
		w.judgeWords(v, s)
	}
	w.judgeHistory(v)
	w.judgeLedger(v)
	return v
}

// judgeHistory asks whether what the tills heard, in the order in which they heard it,
// has an explanation; a payment at two vendors is two registers.
func (w *world) judgeHistory(v *verdict) {
	var calls []history.Call
	deducted := map[string]int{}
	for _, s := range w.sales {
		for _, vendor := range s.vendors {
			name := s.bizID + "@" + string(vendor)
			for i, c := range s.calls {
				if !c.changed {
					calls = append(calls, history.Call{Payment: name, Till: i, Start: c.start, End: c.end, Word: c.about(vendor)})
				}
			}
			if !w.undone(s) {
				deducted[name] = w.position(s, vendor).times
			}
		}
	}
	if err := history.Check(calls, deducted); err != nil {
		v.find(&v.lies, "%v", err)
	}
}

// about is what the call says of one vendor's part.
func (c call) about(vendor books.Vendor) history.Word {
	switch {
	case c.word.terminal() && c.lines[vendor]:
		return history.Success
	case c.word.terminal():
		return history.Fail
	case c.word == faulted:
		return history.NotSent
	}
	return history.Unknown
}

// position is what a member's accounts show of a sale at one vendor.
type position struct {
	times int   // spends less reversals
	fen   int64 // fen spent less fen given back
	most  int   // spends alone
}

func (w *world) position(s *sale, vendor books.Vendor) (p position) {
	for _, e := range w.box.Sandbox.Books().Entries(books.Filter{Vendor: vendor, Member: s.member}) {
		if e.Kind == books.KindReverse {
			p.times--
			p.fen -= e.AmountFen
			continue
		}
		p.times++
		p.most++
		p.fen += e.AmountFen
	}
	return p
}

func (w *world) judgeSale(v *verdict, s *sale) {
	last, concluded := s.terminal()
	for _, vendor := range s.vendors {
		p := w.position(s, vendor)
		asked := s.fen[vendor]
		switch {
		case p.most > 1 || p.fen > asked:
			v.find(&v.double, "%s: deducted %d times at %s, %d fen of %d", s.bizID, p.most, vendor, p.fen, asked)
		case p.fen != 0 && p.fen != asked || p.times < 0:
			v.find(&v.lies, "%s: %d fen of %d are gone at %s", s.bizID, p.fen, asked, vendor)
		}
		if !concluded || w.undone(s) {
			continue
		}
		switch done := last.lines[vendor]; {
		case done && p.times != 1:
			v.find(&v.lies, "%s: the till heard SUCCESS for %s, the books have %d", s.bizID, vendor, p.times)
		case !done && p.times != 0:
			v.find(&v.lost, "%s: the till heard FAIL for %s, the books have %d", s.bizID, vendor, p.times)
		}
	}
	if !concluded {
		v.find(&v.unresolved, "%s: the till does not know (%s)", s.bizID, clip(s.heard(), 120))
	}
	w.judgeWords(v, s)
}

// judgeWords holds the words against each other.
func (w *world) judgeWords(v *verdict, s *sale) {
	if first, other, found := s.differing(); found {
		v.find(&v.lies, "%s: two answers differ:\n        %s\n        %s", s.bizID, first.raw, other.raw)
	}
	for _, c := range s.calls {
		if c.word == turned && !c.changed {
			v.find(&v.lies, "%s: turned away although nothing was wrong with it: %s", s.bizID, c.detail)
		}
		if c.changed && c.word.terminal() {
			v.find(&v.lies, "%s: another content under its bizId was answered with %s", s.bizID, c.word)
		}
	}
}

// undone says whether the row reversed the sale on purpose; then that is judged.
func (w *world) undone(s *sale) bool {
	for _, r := range w.others {
		if r.member == s.member {
			return true
		}
	}
	return false
}

// judgeLedger opens the ledger and looks for what is open, and for a broken chain.
func (w *world) judgeLedger(v *verdict) {
	l, err := w.openLedger()
	if err != nil {
		v.find(&v.lies, "the ledger cannot be opened: %v", err)
		return
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(w.ctx, 3*time.Minute)
	defer cancel()
	report, err := l.Verify(ctx, brandID)
	switch {
	case err != nil:
		v.find(&v.lies, "the ledger cannot be verified: %v", err)
	case report.Break != nil:
		v.find(&v.lies, "the ledger's chain is broken: %s", report.Break)
	}
	all, err := l.Search(ctx, redeem.Query{BrandID: brandID}, 1_000_000)
	if err != nil {
		v.find(&v.lies, "the ledger cannot be searched: %v", err)
		return
	}
	kept := map[string]redeem.Redemption{}
	for _, r := range all {
		if r.Action == redeem.Verify {
			kept[r.BizID] = r
		}
		if r.Answer == nil && !w.legitimatelyOpen(r) {
			v.find(&v.unresolved, "%s %s is open in the ledger: %s", r.Action, r.BizID, legs(r))
		}
		if r.Contradiction {
			w.note("%s: the ledger raised the contradiction alarm", r.BizID)
		}
	}
	for _, s := range w.sales {
		first, concluded := s.terminal()
		if r, there := kept[s.bizID]; concluded && !there {
			v.find(&v.lies, "%s: concluded, and the ledger does not have it", s.bizID)
		} else if concluded && !bytes.Equal(r.Answer, first.raw) {
			v.find(&v.lies, "%s: the ledger keeps another answer than the till heard", s.bizID)
		}
	}
}

// legitimatelyOpen: a reversal that no machine can make waits for a person.
func (w *world) legitimatelyOpen(r redeem.Redemption) bool {
	if r.Action != redeem.ReverseVerify {
		return false
	}
	for _, l := range r.Legs {
		if !l.State.Final() && (l.State != redeem.StateUnknown || !l.NextCheck.IsZero()) {
			return false
		}
	}
	return true
}

func legs(r redeem.Redemption) string {
	text := ""
	for _, l := range r.Legs {
		text += fmt.Sprintf(" leg %d %s epoch %d checks %d %s", l.No, l.State, l.Epoch, l.Checks, l.Outcome.Class)
	}
	return text
}

func (w *world) openLedger() (*ledger.Ledger, error) {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	return ledger.Open(ctx, w.store.config())
}

// person does what a member of the staff does with what only a person can decide:
// looks into the vendor's back office (the books) and tells the connector. On SQLite
// the connector must be down for it, as the file has one owner.
func (w *world) person() error {
	for _, c := range w.conns {
		if !w.col.postgres && c != nil && c.alive() {
			c.kill()
		}
	}
	if err := w.decideOpen(); err != nil {
		return err
	}
	for i, c := range w.conns {
		if c == nil || c.alive() {
			continue
		}
		if err := w.tryStart(i); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) decideOpen() error {
	l, err := w.openLedger()
	if err != nil {
		return fmt.Errorf("open the ledger for a person: %w", err)
	}
	defer func() { _ = l.Close() }()
	engine, err := redeem.New(redeem.Config{BrandID: brandID, Owner: "person", RefusalWindow: time.Millisecond, LedgerTimeout: time.Minute}, redeem.Deps{
		Ledger: l, Render: func(r redeem.Redemption) []byte { return keruyun.VerifyAnswer(r, keruyun.Options{}) },
	})
	if err != nil {
		return err
	}
	open, err := l.Search(w.ctx, redeem.Query{BrandID: brandID, State: redeem.StateUnknown}, 10000)
	if err != nil {
		return fmt.Errorf("list what waits for a person: %w", err)
	}
	for _, r := range open {
		for _, leg := range r.Legs {
			if leg.State != redeem.StateUnknown || !leg.NextCheck.IsZero() {
				continue // a machine is at it
			}
			kind := redeem.Refused
			if w.bookedFor(r, leg) {
				kind = redeem.Executed
			}
			_, err := engine.Resolve(w.ctx, redeem.Decision{
				Key: r.Key(), Leg: leg.No, Verdict: kind, Who: "li.si", Reason: "looked it up in the vendor's back office",
			})
			if err != nil && !errors.Is(err, redeem.ErrDecision) {
				return fmt.Errorf("decide on %s: %w", r.BizID, err)
			}
			w.note("%s leg %d: a person decided %s", r.BizID, leg.No, kind)
		}
	}
	return nil
}

// bookedFor looks the leg up in the books, by the member and the key that a person
// would search the back office for.
func (w *world) bookedFor(r redeem.Redemption, leg redeem.Leg) bool {
	kind := books.KindSpend
	if r.Action == redeem.ReverseVerify {
		kind = books.KindReverse
	}
	for _, e := range w.box.Sandbox.Books().Entries(books.Filter{Vendor: books.Vendor(leg.Provider), Member: leg.MemberRef}) {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

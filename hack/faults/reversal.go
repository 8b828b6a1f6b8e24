// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// reversals are money on its way back: under the same faults it must come back once.
func reversals() []row {
	undo := map[books.Vendor]string{books.ALSC: "alibaba.alsc.crm.recharge.undedut.update", books.Zhimai: "-"}
	back := func(crash string, r *fault.Rule) func(*world) {
		return func(w *world) {
			w.start(split(crash)...)
			s := w.payInPeace()
			if r != nil {
				w.befalls(undo, *r)
			}
			back := w.reversal(s)
			w.eventually("the reversal meets its fault", func() bool {
				w.reverse(back, s)
				return crash != "" && !w.conn().alive() || r != nil && w.befell()
			})
			w.awaitReversal(back, s)
		}
	}
	partial := func(crash string) func(*world) {
		return func(w *world) {
			w.start(split(crash)...)
			w.misfortune(fault.Rule{Kind: fault.Refuse, Vendor: "zhimai", Count: 1})
			if crash != "" {
				w.payUntilDeath()
			} else {
				w.payUntilStruck()
			}
		}
	}
	reverse := func(_ column, o *options) { o.partial = "Reverse" }
	return []row{
		{name: "reversal: applied, then closed", only: ofALSC, run: back("", &fault.Rule{Kind: fault.ApplyThenClose, Count: 1})},
		{name: "reversal: applied, then 500", only: ofALSC, run: back("", &fault.Rule{Kind: fault.ApplyThen500, Count: 1})},
		{name: "reversal: reset before it applies", only: ofALSC, run: back("", &fault.Rule{Kind: fault.ResetBeforeApply, Count: 1})},
		{name: "reversal: killed before it is sent", only: ofALSC, run: back("kill@reverse.before", nil)},
		{name: "reversal: killed with the answer", only: ofALSC, run: back("kill@reverse.after", nil)},
		{name: "undoing a half: goes well", only: ofBoth, with: reverse, run: partial("")},
		{name: "undoing a half: killed with the answer", only: ofBoth, with: reverse, run: partial("kill@answer:2")},
		{name: "undoing a half: killed before the reversal", only: ofBoth, with: reverse, run: partial("kill@reverse.before")},
		{name: "undoing a half: killed after the reversal", only: ofBoth, with: reverse, run: partial("kill@reverse.after")},
	}
}

func split(crash string) []string {
	if crash == "" {
		return nil
	}
	return []string{crash}
}

// reversal is of the whole sale, under a bizId of its own. Nothing is sent.
func (w *world) reversal(of *sale) *sale {
	r := &sale{bizID: "R" + of.bizID, member: of.member, vendors: of.vendors, fen: of.fen}
	w.others = append(w.others, r)
	return r
}

// reverse asks for the sale back.
func (w *world) reverse(r, of *sale) call {
	return w.tills[0].ask(w.ctx, r, sandbox.ReversePath, r.reverseBody(of), false)
}

// awaitReversal repeats the reversal until the till knows that it was made, and holds
// the books to it.
func (w *world) awaitReversal(r, of *sale) {
	w.bringBack()
	w.eventually("the reversal is acknowledged", func() bool {
		time.Sleep(200 * time.Millisecond)
		return w.reverse(r, of).word.terminal()
	})
	last, _ := r.terminal()
	w.demand(last.word == success, "the reversal ended with %s: %s", last.word, last.detail)
	for _, v := range of.vendors {
		if p := w.position(of, v); p.fen != 0 || p.times != 0 {
			w.lie("the reversal was acknowledged, and %d fen are still gone at %s after %d bookings", p.fen, v, p.times)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// Word says in one word how a redemption stands. Scripts may rely on the values.
type Word string

const (
	// Redeemed: every asset was redeemed; of a reversal: given back.
	Redeemed Word = "redeemed"
	// Partly: some assets were and some were not, and that is final.
	Partly Word = "partly-redeemed"
	// NotRedeemed: nothing was, and that is final.
	NotRedeemed Word = "not-redeemed"
	// Undone: what had been redeemed was given back by the connector itself, because the rest was refused.
	Undone Word = "undone"
	// InDoubt: a call was made and its fate is not known yet.
	InDoubt Word = "in-doubt"
	// UnderWay: a call is being made right now.
	UnderWay Word = "under-way"
	// NotSent: a call could not be made, and a repeat of the bizId would make it.
	NotSent Word = "not-sent"
)

// Sum is an amount of each kind of asset.
type Sum struct {
	Fen     redeem.Fen `json:"fen"`
	Coupons int64      `json:"coupons"`
	Points  int64      `json:"points"`
}

// Plus adds two sums.
func (s Sum) Plus(o Sum) Sum { return Sum{s.Fen + o.Fen, s.Coupons + o.Coupons, s.Points + o.Points} }

// Minus takes o away.
func (s Sum) Minus(o Sum) Sum { return Sum{s.Fen - o.Fen, s.Coupons - o.Coupons, s.Points - o.Points} }

// String is "10.00 yuan, 1 coupon, 300 points", or "nothing".
func (s Sum) String() string {
	var parts []string
	if s.Fen != 0 {
		parts = append(parts, s.Fen.Yuan()+" yuan")
	}
	if s.Coupons != 0 {
		parts = append(parts, count(s.Coupons, "coupon"))
	}
	if s.Points != 0 {
		parts = append(parts, count(s.Points, "point"))
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Conclusion of one redemption: every line is in exactly one of the sums.
type Conclusion struct {
	Word Word
	// Done was redeemed (or given back), Refused was not and will not be, Open is not known or not sent.
	Done, Refused, Open Sum
	// Person: the connector does not find out by itself, or an alarm was raised; someone must look.
	Person bool
}

// Conclude says how r stands.
func Conclude(r *redeem.Redemption) Conclusion {
	var c Conclusion
	undone := false
	for i := range r.Lines {
		l := &r.Lines[i]
		leg := legOf(r, l.No)
		switch {
		case leg == nil || !leg.State.Final():
			c.Open = c.Open.Plus(asked(l))
		case l.Result.Kind == redeem.Executed:
			c.Done = c.Done.Plus(got(l))
		default:
			c.Refused = c.Refused.Plus(asked(l))
			undone = undone || l.Result.Code == redeem.CodeReversed
		}
	}
	in := func(s redeem.State) bool {
		return slices.ContainsFunc(r.Legs, func(g redeem.Leg) bool { return g.State == s })
	}
	c.Person = r.Contradiction || slices.ContainsFunc(r.Legs, forPerson)
	switch {
	case in(redeem.StateUnknown):
		c.Word = InDoubt
	case in(redeem.StateSent):
		c.Word = UnderWay
	case in(redeem.StateNotSent):
		c.Word = NotSent
	case undone:
		c.Word = Undone
	case c.Done == Sum{}:
		c.Word = NotRedeemed
	case c.Refused == Sum{}:
		c.Word = Redeemed
	default:
		c.Word = Partly
	}
	return c
}

// forPerson: the resolver will not ask again.
func forPerson(g redeem.Leg) bool { return g.State == redeem.StateUnknown && g.NextCheck.IsZero() }

func legOf(r *redeem.Redemption, line int) *redeem.Leg {
	for i := range r.Legs {
		if slices.Contains(r.Legs[i].Lines, line) {
			return &r.Legs[i]
		}
	}
	return nil
}

func asked(l *redeem.Line) Sum { return quantity(l.Asset, l.Amount, l.Count) }

// got is what the vendor took: of stored value its own figure.
func got(l *redeem.Line) Sum { return quantity(l.Asset, l.Result.Total, l.Count) }

func quantity(a redeem.Asset, fen redeem.Fen, n int64) Sum {
	switch a {
	case redeem.StoredValue:
		return Sum{Fen: fen}
	case redeem.Coupon:
		return Sum{Coupons: n}
	}
	return Sum{Points: n}
}

// Totals of several redemptions and their reversals.
type Totals struct {
	Redemptions, Reversals int
	// Redeemed − GivenBack = Net, of what is known. InDoubt may or may not have been redeemed; InDoubtBack may or may not have been given back.
	Redeemed, GivenBack, Net, InDoubt, InDoubtBack Sum
	// Repeated are payments that redeemed something under more than one bizId.
	Repeated []Repeated
}

// Repeated is a payment number with the redemptions that redeemed, or may have redeemed, something for it.
type Repeated struct {
	TransOrderNo string   `json:"kryTransOrderNo"`
	PaymentNo    string   `json:"kryPaymentNo"`
	BizIDs       []string `json:"bizIds"`
}

// Tally adds the entries up.
func Tally(entries []Entry) Totals {
	var t Totals
	seen := map[[2]string]int{} // index in payments
	var payments []Repeated
	for i := range entries {
		r := &entries[i].Redemption
		if r.Action != redeem.Verify {
			t.back(r)
			continue
		}
		c := Conclude(r)
		t.Redemptions++
		t.Redeemed, t.InDoubt = t.Redeemed.Plus(c.Done), t.InDoubt.Plus(c.doubt())
		for j := range entries[i].Reversals {
			t.back(&entries[i].Reversals[j])
		}
		if c.Word == Undone {
			t.Redeemed = t.Redeemed.Plus(undoneBy(entries[i].Reversals))
		}
		key := [2]string{r.TransOrderNo, r.PaymentNo}
		if r.PaymentNo == "" || (c.Done == Sum{} && c.doubt() == Sum{}) {
			continue
		}
		if _, known := seen[key]; !known {
			seen[key] = len(payments)
			payments = append(payments, Repeated{TransOrderNo: r.TransOrderNo, PaymentNo: r.PaymentNo})
		}
		p := &payments[seen[key]]
		p.BizIDs = append(p.BizIDs, r.BizID)
	}
	for _, p := range payments {
		if len(p.BizIDs) > 1 {
			t.Repeated = append(t.Repeated, p)
		}
	}
	t.Net = t.Redeemed.Minus(t.GivenBack)
	return t
}

func (t *Totals) back(r *redeem.Redemption) {
	c := Conclude(r)
	t.Reversals++
	t.GivenBack, t.InDoubtBack = t.GivenBack.Plus(c.Done), t.InDoubtBack.Plus(c.doubt())
}

// doubt is what may have moved; what was not sent has not.
func (c Conclusion) doubt() Sum {
	if c.Word == InDoubt || c.Word == UnderWay {
		return c.Open
	}
	return Sum{}
}

// undoneBy is what had been redeemed of a redemption whose lines say that they were given back: as much as came back.
func undoneBy(reversals []redeem.Redemption) Sum {
	var s Sum
	for i := range reversals {
		s = s.Plus(Conclude(&reversals[i]).Done)
	}
	return s
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// A row's moment is what has to come about before its misfortune counts: a rule fired,
// the connector died at its point, the vendors booked.
//
// One payment is enough for that on a machine with time to spare. On a busy one the
// connector may turn the payment back before it records it, or let the lease of a leg
// run out with nothing sent, or answer the till while the call is still on its way; all
// of which is right, and the misfortune has met nobody. So the till goes on, as tills
// do, until the moment has come.

// pay has the till make a payment, and repeat it, until ok. Where the payment comes to
// nothing before, another member pays. It returns the payment of the moment and what
// its last call hears.
func (w *world) pay(what string, ok func(*sale) bool) (*sale, <-chan call) {
	return w.payBy(w.send, what, ok)
}

func (w *world) payBy(send func(*sale) call, what string, ok func(*sale) bool) (*sale, <-chan call) {
	s, since := w.sale(), time.Now()
	heard := begin(send, s)
	for end := time.Now().Add(w.tool.patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok(s) {
			return s, heard
		}
		select {
		case c := <-heard:
			if ok(s) { // what it waited for came about while it was under way
				heard <- c
				return s, heard
			}
			if c.over(since) {
				s, since = w.sale(), time.Now()
			}
			heard = begin(send, s)
		default:
		}
	}
	w.demand(false, "paid for %s in vain: %s", w.tool.patience, what)
	return nil, nil
}

// over says whether a payment that was begun at since and heard c will send nothing any
// more: it is concluded, or in doubt when its first flight's lease is over. A doubt can
// be one without any misfortune: an answer that is whole, and whose connection is closed
// right after, takes the next payment on that connection with it.
func (c call) over(since time.Time) bool {
	return c.word.terminal() || c.word == doubt && time.Since(since) > callWindow+leaseMargin
}

func begin(send func(*sale) call, s *sale) chan call {
	heard := make(chan call, 1)
	go func() { heard <- send(s) }()
	return heard
}

// payUntilStruck pays until every misfortune has happened, and waits for what the till
// hears of it.
func (w *world) payUntilStruck() *sale {
	s, heard := w.pay("every misfortune happens", w.struckBy)
	<-heard
	return s
}

// struckBy says whether every misfortune happened, and s had part in it.
func (w *world) struckBy(s *sale) bool { return w.befell() && w.reached(s, spending) > 0 }

// payUntilLost pays until the vendors have lost their answers, or the connector, which
// may be about to end or to stop itself over the first of these doubts, serves no more.
func (w *world) payUntilLost() (*sale, <-chan call) {
	return w.pay("the answers are lost", func(*sale) bool {
		return w.befell(fault.ApplyThenClose) || !w.conn().alive() || w.sleeping()
	})
}

// payUntilDeath pays until the connector has killed itself at its crash point.
func (w *world) payUntilDeath() *sale {
	s, heard := w.pay("the connector passes its crash point", func(*sale) bool { return !w.conn().alive() })
	<-heard
	return s
}

// payUntilAsleep pays until the connector has stopped itself.
func (w *world) payUntilAsleep() (*sale, <-chan call) {
	return w.pay("the connector stops itself at its point", func(*sale) bool { return w.sleeping() })
}

// payUntilBooked pays until every vendor has booked the payment, which is then most
// often still under way.
func (w *world) payUntilBooked() (*sale, <-chan call) {
	return w.pay("the vendors book", w.booked)
}

func (w *world) booked(s *sale) bool { return w.deducted(s) == len(s.vendors) }

// payInPeace makes a payment with which nothing is wrong, and whose till knows that.
func (w *world) payInPeace() *sale {
	s, heard := w.pay("a payment is made", func(s *sale) bool {
		c, done := s.terminal()
		return done && c.word == success
	})
	<-heard
	return s
}

// meet has s paid until its calls are at the vendors and met the rules for its member.
// Where s comes to nothing before, another member pays, and meets r if there is one. It
// says whether that came about.
func (w *world) meet(s *sale, r *fault.Rule) bool {
	since := time.Now()
	for end := time.Now().Add(w.tool.patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		c := w.send(s)
		if w.reached(s, spending) == len(s.vendors) && w.met(s) {
			return true
		}
		if !c.over(since) {
			continue
		}
		s, since = w.sale(), time.Now()
		if r != nil {
			r.Member = s.member
			w.misfortune(*r)
		}
	}
	return false
}

// met says whether every rule of the sale's member fired.
func (w *world) met(s *sale) bool {
	for _, r := range w.box.Sandbox.Faults().Rules() {
		if r.Member == s.member && r.Fired == 0 {
			return false
		}
	}
	return true
}

// hangUpOn has the till hang up as soon as the vendors have the calls of s, and says
// whether it did so unanswered.
func (w *world) hangUpOn(s *sale) bool {
	ctx, hangUp := context.WithCancel(w.ctx)
	defer hangUp()
	heard := begin(func(s *sale) call { return w.tills[0].ask(ctx, s, sandbox.VerifyPath, s.body(0), false) }, s)
	for w.reached(s, spending) < len(s.vendors) {
		select {
		case <-heard:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	hangUp()
	return (<-heard).word == silence
}

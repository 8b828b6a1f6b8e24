// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// row is a fault.
type row struct {
	name string
	// only says for which columns the row makes sense; nil: all.
	only func(column) bool
	// with changes the usual options.
	with func(column, *options)
	// run lets the fault happen; see world.
	run func(*world)
	// long names a run that has the machine for itself: load, crash-loop.
	long string
}

func (r row) options(c column) options {
	o := options{}
	if r.with != nil {
		r.with(c, &o)
	}
	return o
}

func onPostgres(c column) bool { return c.postgres }
func onSQLite(c column) bool   { return !c.postgres }
func ofBoth(c column) bool     { return len(c.vendors) == 2 }
func ofALSC(c column) bool     { return len(c.vendors) == 1 && c.vendors[0] == books.ALSC }

// byQuery lets each vendor be asked.
func byQuery(_ column, o *options) {
	o.inDoubt = map[books.Vendor]string{books.Zhimai: "QueryBills", books.ALSC: "Query"}
}

// byReplay lets each call be made again under its key, which the vendors then honour.
func byReplay(_ column, o *options) {
	o.inDoubt = map[books.Vendor]string{books.Zhimai: "ReplaySameBizID", books.ALSC: "ReplaySameRequestID"}
	o.sandbox = func(c *sandbox.Config) { c.Zhimai.DuplicateBizID = "replay" }
}

func twoReplicas(c column, o *options) {
	byQuery(c, o)
	o.replicas = 2
}

func ownPostgres(_ column, o *options) { o.ownPostgres = true }

// rows are the matrix.
func rows() []row {
	return slices.Concat(kills(), vendors(), pointsOfSale(), outages(), sleeps(), clocks(), reversals())
}

// kills end the process by SIGKILL between two of its steps.
func kills() []row {
	return []row{
		{name: "kill: before the record", run: killAt("record.before")},
		{name: "kill: after the record, before the send", run: killAt("record.after")},
		{name: "kill: before the vendor's client", run: killAt("send.before")},
		{name: "kill: connected, before the first byte", run: killAt("guard.after")},
		{name: "kill: sent, before the answer", run: killInFlight},
		{name: "kill: answered, before the settlement", run: killAt("answer")},
		{name: "kill: answered by the second vendor", only: ofBoth, run: killAt("answer:2")},
		{name: "kill: before the settle commit", run: killAt("settle.before")},
		{name: "kill: settled, before the reply", run: killAt("settle.after")},
		{name: "kill: twice, then at the resolver", with: byQuery, run: killTwice},
		{name: "kill: resolver holds the lease", with: byQuery, run: killResolver("lease.after")},
		{name: "kill: resolver before it asks", with: byQuery, run: killResolver("lookup.before")},
		{name: "kill: resolver was answered, nothing written", with: byQuery, run: killResolver("resolve.before")},
		{name: "kill: resolver has written", with: byQuery, run: killResolver("resolve.after")},
		{name: "kill: replay before it repeats", with: byReplay, run: killResolver("repeat.before")},
		{name: "kill: replay was answered, nothing written", with: byReplay, run: killResolver("repeat.after")},
	}
}

// killAt kills the connector at a point of its first payment.
func killAt(point string) func(*world) {
	return func(w *world) {
		w.start("kill@" + point)
		w.payUntilDeath()
	}
}

// killInFlight kills the connector from outside when the vendor has booked and has not
// answered.
func killInFlight(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.ApplyThenHang, Count: 1})
	_, heard := w.payUntilBooked()
	w.conn().kill()
	<-heard
}

// killResolver leaves a doubt and kills the connector while it works on that. Of two
// vendors one may leave its doubt, and the resolver die of it, before the other was
// sent anything: then it happens again.
func killResolver(point string) func(*world) {
	return func(w *world) {
		w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
		w.eventually("every misfortune happens", func() bool {
			w.start("kill@" + point)
			_, heard := w.payUntilLost()
			<-heard
			w.awaitDeath()
			return w.befell()
		})
	}
}

func killTwice(w *world) {
	w.start("kill@record.after")
	s := w.payUntilDeath()
	w.start("kill@lease.after")
	w.send(s)
	w.awaitDeath()
	w.start("kill@lookup.after")
	w.send(s)
	w.awaitDeath()
}

// vendors misbehave.
func vendors() []row {
	no := false
	once := func(r fault.Rule) func(*world) {
		r.Count = 1
		return func(w *world) {
			w.start()
			w.misfortune(r)
			w.payUntilStruck()
		}
	}
	return []row{
		{name: "vendor: applies, then hangs", run: once(fault.Rule{Kind: fault.ApplyThenHang})},
		{name: "vendor: applies, then resets", run: once(fault.Rule{Kind: fault.ApplyThenReset})},
		{name: "vendor: applies, then closes", run: once(fault.Rule{Kind: fault.ApplyThenClose})},
		{name: "vendor: applies, then closes a connection in use", run: closeReused},
		{name: "vendor: applies, then closes; replayed", with: byReplay, run: once(fault.Rule{Kind: fault.ApplyThenClose})},
		{name: "vendor: applies, then 500", run: once(fault.Rule{Kind: fault.ApplyThen500})},
		{name: "vendor: applies, then 500; replayed", with: byReplay, run: once(fault.Rule{Kind: fault.ApplyThen500})},
		{name: "vendor: resets before it applies", run: once(fault.Rule{Kind: fault.ResetBeforeApply})},
		{name: "vendor: resets before it applies; replayed", with: byReplay, run: once(fault.Rule{Kind: fault.ResetBeforeApply})},
		{name: "vendor: the answer ends at every byte", run: everyByte(fault.Truncate)},
		{name: "vendor: the body is cut at every byte", only: onSQLite, run: everyByte(fault.Clip)}, // what is read is the same with any ledger
		{name: "vendor: HTML with 200, applied", run: once(fault.Rule{Kind: fault.HTML})},
		{name: "vendor: HTML with 200, not applied", run: once(fault.Rule{Kind: fault.HTML, Apply: &no})},
		{name: "vendor: nothing with 200", run: once(fault.Rule{Kind: fault.Empty})},
		{name: "vendor: garbage with 200", run: once(fault.Rule{Kind: fault.Garbage})},
		{name: "vendor: redirects", run: once(fault.Rule{Kind: fault.Redirect})},
		{name: "vendor: redirects, applied", run: redirectForever},
		{name: "vendor: its own fault", run: once(fault.Rule{Kind: fault.SystemError})},
		{name: "vendor: refuses", run: once(fault.Rule{Kind: fault.Refuse})},
		{name: "vendor: one of two refuses", only: ofBoth, run: once(fault.Rule{Kind: fault.Refuse, Vendor: "zhimai"})},
		{name: "vendor: one of two loses its answer", only: ofBoth, run: once(fault.Rule{Kind: fault.ApplyThenReset, Vendor: "alsc"})},
		{name: "vendor: slow past the reply, then answers", run: once(fault.Rule{Kind: fault.Slow, DelayBefore: fault.Duration(replyDeadline + 300*time.Millisecond)})},
		{name: "vendor: slow past the call, books late", with: byQuery, run: once(fault.Rule{Kind: fault.Slow, DelayBefore: fault.Duration(callWindow + 700*time.Millisecond)})},
		{name: "vendor: books in time, answers too late", run: once(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(callWindow + 700*time.Millisecond)})},
		{name: "vendor: call limit", run: once(fault.Rule{Kind: fault.RateLimit, Seconds: 1})},
		{name: "vendor: down, connections refused", run: down(sandbox.Refuse)},
		{name: "vendor: down, connections reset", run: down(sandbox.Reset)},
		{name: "vendor: goes down with calls under way", run: goesDown},
		{name: "vendor: look-up does not see it yet", with: byQuery, run: hiddenAtFirst},
		{name: "vendor: look-up fails too", with: byQuery, run: lookUpFails},
	}
}

// closeReused: a connection that served before is where an HTTP client is tempted to
// send a request a second time by itself.
func closeReused(w *world) {
	w.start()
	for range 3 {
		w.payInPeace()
	}
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
	w.payUntilStruck()
}

// redirectForever books every time that somebody follows.
func redirectForever(w *world) {
	yes := true
	w.start()
	w.misfortune(fault.Rule{Kind: fault.Redirect, Apply: &yes})
	w.payUntilStruck()
}

// everyByte lets one payment after the other get an answer that ends a byte later. The
// payments in between go well, so that the breaker has no reason to open.
func everyByte(kind fault.Kind) func(*world) {
	return func(w *world) {
		w.start()
		whole := w.payInPeace()
		longest := 0
		for _, v := range w.col.vendors {
			for _, c := range w.box.Sandbox.Calls(sandbox.CallFilter{Vendor: v, Method: spending[v], Member: whole.member}) {
				longest = max(longest, len(c.Answer.Body))
			}
		}
		w.demand(longest > 0, "no answer was seen")
		list, cut := []*sale{}, map[*sale]*fault.Rule{}
		for n := range longest + 1 {
			s := w.sale()
			cut[s] = &fault.Rule{Kind: kind, Bytes: n, Member: s.member, Count: 1}
			w.misfortune(*cut[s])
			list = append(list, w.sale(), s, w.sale())
		}
		var missed counter
		w.each(list, 8, func(s *sale) {
			if !w.meet(s, cut[s]) {
				missed.take()
			}
		})
		w.demand(missed.n.Load() == 0, "%d of %d payments did not meet what was meant for them", missed.n.Load(), len(list))
		w.note("%d bytes", longest)
	}
}

func down(mode sandbox.DownMode) func(*world) {
	return func(w *world) {
		w.start()
		for _, v := range w.col.vendors {
			w.must(w.box.Sandbox.SetDown(v, mode))
		}
		s := w.sale()
		c := w.send(s)
		if c.word == success {
			w.lie("a vendor that is down cannot have redeemed, and the till heard SUCCESS")
		}
		w.send(s)
	}
}

// goesDown resets what is under way.
func goesDown(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(800 * time.Millisecond), Count: 1})
	_, heard := w.payUntilBooked()
	for _, v := range w.col.vendors {
		w.must(w.box.Sandbox.SetDown(v, sandbox.Reset))
	}
	<-heard
}

// hiddenAtFirst: it was booked, and the look-up says that it was not.
func hiddenAtFirst(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
	w.befalls(asking, fault.Rule{Kind: fault.NotFound, Seconds: 8})
	s, heard := w.payUntilLost()
	<-heard
	w.eventually("the look-up is answered with nothing", func() bool { return w.reached(s, asking) > 0 || w.anyCall(asking) })
	time.Sleep(settleWindow + time.Second) // the first answer past the settle window is the dangerous one
}

func (w *world) anyCall(methods map[books.Vendor]string) bool {
	for _, v := range w.col.vendors {
		if len(w.box.Sandbox.Calls(sandbox.CallFilter{Vendor: v, Method: methods[v]})) > 0 {
			return true
		}
	}
	return false
}

func lookUpFails(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
	w.befalls(asking, fault.Rule{Kind: fault.ApplyThen500, Count: 2})
	_, heard := w.payUntilLost()
	<-heard
	w.eventually("the look-up fails twice", func() bool {
		for _, r := range w.box.Sandbox.Faults().Rules() {
			if r.Kind == fault.ApplyThen500 && r.Fired < 2 {
				return false
			}
		}
		return true
	})
}

// pointsOfSale misbehave.
func pointsOfSale() []row {
	return []row{
		{name: "POS: hangs up", run: hangUp},
		{name: "POS: repeats at once, eight times", run: repeatAtOnce(nil)},
		{name: "POS: repeats at once, the answer is lost", run: repeatAtOnce(&fault.Rule{Kind: fault.ApplyThenClose, Count: 1})},
		{name: "POS: repeats at once, on two replicas", only: onPostgres, with: twoReplicas, run: repeatOnReplicas},
		{name: "POS: repeats later, and after a restart", run: repeatLater},
		{name: "POS: repeats with changed content", run: repeatChanged},
		{name: "POS: changed content at once", run: changedAtOnce},
		{name: "POS: changed content while in doubt", run: changedInDoubt},
	}
}

func hangUp(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.Slow, DelayBefore: fault.Duration(600 * time.Millisecond)})
	var s *sale
	w.eventually("the till hangs up unanswered", func() bool {
		s = w.sale()
		return w.hangUpOn(s)
	})
	w.eventually("the call goes on without the till", func() bool { return w.booked(s) })
}

func repeatAtOnce(r *fault.Rule) func(*world) {
	return func(w *world) {
		w.start()
		if r != nil {
			w.misfortune(*r)
		}
		atOnce := func(s *sale) call {
			w.each(slices.Repeat([]*sale{s}, 7), 7, func(s *sale) { w.send(s) })
			return w.send(s)
		}
		_, heard := w.payBy(atOnce, "every misfortune happens", w.struckBy)
		<-heard
	}
}

func repeatOnReplicas(w *world) {
	w.start()
	w.startReplica(1)
	w.misfortune(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(200 * time.Millisecond), Count: 1})
	for range 3 {
		s := w.sale()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { w.sendTo(i%2, s) })
		}
		wg.Wait()
	}
}

func repeatLater(w *world) {
	w.start()
	s := w.payInPeace()
	time.Sleep(500 * time.Millisecond)
	w.send(s)
	w.must(w.conn().end())
	w.start()
	w.send(s)
	w.conn().kill()
	w.start()
}

func repeatChanged(w *world) {
	w.start()
	s := w.payInPeace()
	c := w.changed(s)
	w.eventually("changed content is answered", func() bool {
		if c.word == silence || c.word == doubt { // the machine was too busy to look it up
			c = w.changed(s)
		}
		return c.word != silence && c.word != doubt
	})
	if c.word != turned {
		w.lie("changed content was answered with %s: %s", c.word, c.detail)
	}
}

func (w *world) changed(s *sale) call {
	return w.tills[0].ask(w.ctx, s, sandbox.VerifyPath, s.body(100), true)
}

// changedAtOnce: which of the two contents came first is open, but only one may count.
// The oracle knows one amount per sale, so the changed content comes second for sure.
func changedAtOnce(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.Slow, DelayBefore: fault.Duration(500 * time.Millisecond), Count: 1})
	s, heard := w.pay("the call is under way", func(s *sale) bool { return w.reached(s, spending) == len(s.vendors) })
	w.each(slices.Repeat([]*sale{s}, 4), 4, func(s *sale) { w.changed(s) })
	<-heard
}

func changedInDoubt(w *world) {
	w.start()
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
	w.changed(w.payUntilStruck())
}

// outages of the database.
func outages() []row {
	return []row{
		{name: "PostgreSQL: stopped before the payment", only: onPostgres, with: ownPostgres, run: databaseAway},
		{name: "PostgreSQL: stopped between record and settlement", only: onPostgres, with: ownPostgres, run: databaseGoes(false, 1500*time.Millisecond)},
		{name: "PostgreSQL: stopped and restarted in flight", only: onPostgres, with: ownPostgres, run: databaseGoes(false, 0)},
		{name: "PostgreSQL: killed between record and settlement", only: onPostgres, with: ownPostgres, run: databaseGoes(true, 1500*time.Millisecond)},
		{name: "PostgreSQL: killed in the middle of commits", only: onPostgres, with: ownPostgres, run: databaseCrashes},
		{name: "SQLite: killed in the middle of commits", only: onSQLite, run: crashes},
	}
}

func (w *world) postgres() *postgresLedger { return w.store.(*postgresLedger) }

func databaseAway(w *world) {
	w.start()
	w.send(w.sale())
	w.must(w.postgres().server.Stop())
	s := w.sale()
	c := w.send(s)
	if c.word.terminal() {
		w.lie("there is no ledger, and the till heard %s", c.word)
	}
	if w.reached(s, spending) != 0 {
		w.lie("there is no ledger, and something was sent")
	}
	w.must(w.postgres().revive(w.ctx))
}

func databaseGoes(hard bool, away time.Duration) func(*world) {
	return func(w *world) {
		w.start()
		w.misfortune(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(700 * time.Millisecond), Count: 1})
		_, heard := w.payUntilBooked()
		if hard {
			w.must(w.postgres().server.Kill())
		} else {
			w.must(w.postgres().server.Stop())
		}
		time.Sleep(away)
		w.must(w.postgres().revive(w.ctx))
		<-heard
	}
}

// busy keeps so many tills paying until stop is closed.
func (w *world) busy(tills int, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range tills {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.send(w.sale())
				}
			}
		})
	}
	return &wg
}

func databaseCrashes(w *world) {
	w.start()
	stop := make(chan struct{})
	wg := w.busy(8, stop)
	for range 3 {
		time.Sleep(time.Duration(200+w.rng.IntN(400)) * time.Millisecond)
		w.must(w.postgres().server.Kill())
		w.must(w.postgres().revive(w.ctx))
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	wg.Wait()
}

func crashes(w *world) {
	w.start()
	stop := make(chan struct{})
	wg := w.busy(8, stop)
	for range 3 {
		time.Sleep(time.Duration(200+w.rng.IntN(400)) * time.Millisecond)
		w.conn().kill()
		w.start()
	}
	close(stop)
	wg.Wait()
}

// sleeps stop the process at a point until its lease is long over, and let it go on.
// On PostgreSQL another replica has taken over meanwhile.
func sleeps() []row {
	at := func(point string, lost bool) func(*world) {
		return func(w *world) {
			w.start("stop@" + point)
			pay := w.payUntilAsleep
			if lost {
				w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
				pay = w.payUntilLost
			}
			s, heard := pay()
			w.awaitSleep()
			if w.opt.replicas > 1 {
				w.startReplica(1)
				w.overslept(s)
			} else {
				time.Sleep(callWindow + leaseMargin + time.Second)
			}
			w.must(w.conn().cmd.Process.Signal(sigcont))
			<-heard
			time.Sleep(time.Second) // it does what it was about to do
		}
	}
	replicas := func(c column, o *options) {
		byQuery(c, o)
		if c.postgres {
			o.replicas = 2
		}
	}
	return []row{
		{name: "sleep: recorded, not sent; wakes past the lease", with: replicas, run: at("record.after", false)},
		{name: "sleep: connected, before the last check", with: replicas, run: at("guard.before", false)},
		{name: "sleep: holds the answer", with: replicas, run: at("answer", false)},
		{name: "sleep: before the settle commit", with: replicas, run: at("settle.before", false)},
		{name: "sleep: resolver holds the lease", with: replicas, run: at("lease.after", true)},
		{name: "sleep: resolver holds the answer", with: replicas, run: at("lookup.after", true)},
		{name: "sleep: replay before the last check", with: func(c column, o *options) {
			byReplay(c, o)
			if c.postgres {
				o.replicas = 2
			}
		}, run: sleepInReplay},
	}
}

// overslept waits until the second replica has concluded what the sleeper left.
func (w *world) overslept(s *sale) {
	w.eventually("the other replica takes over", func() bool {
		c := w.sendTo(1, s)
		return c.word.terminal()
	})
}

func sleepInReplay(w *world) {
	w.start("stop@guard.before:" + map[bool]string{false: "2", true: "3"}[len(w.col.vendors) == 2])
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Count: 1})
	s, heard := w.payUntilLost()
	w.awaitSleep()
	if w.opt.replicas > 1 {
		w.startReplica(1)
		w.overslept(s)
	} else {
		time.Sleep(resolverLease)
	}
	w.must(w.conn().cmd.Process.Signal(sigcont))
	<-heard
	time.Sleep(time.Second)
}

// clocks are set while a payment is under way.
func clocks() []row {
	step := func(d time.Duration, then ...time.Duration) func(*world) {
		return func(w *world) {
			w.start()
			w.misfortune(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(500 * time.Millisecond), Count: 1})
			_, heard := w.payUntilBooked()
			w.stepClock(d)
			<-heard
			w.send(w.sale())
			for _, d := range then {
				time.Sleep(400 * time.Millisecond)
				w.conclude() // what is to be checked in a second by this clock is due in twenty minutes by the next
				w.stepClock(d)
				w.send(w.sale())
			}
		}
	}
	lost := func(d time.Duration) func(*world) {
		return func(w *world) {
			w.start()
			w.misfortune(fault.Rule{Kind: fault.ApplyThenHang, Count: 1})
			_, heard := w.payUntilBooked()
			w.stepClock(d)
			<-heard
			w.struck()
		}
	}
	return []row{
		{name: "clock: an hour ahead in flight", run: step(time.Hour)},
		{name: "clock: an hour back in flight", run: step(-time.Hour)},
		{name: "clock: ahead, back, right", run: step(10*time.Minute, -10*time.Minute, 0)},
		{name: "clock: an hour ahead, the answer lost", with: byQuery, run: lost(time.Hour)},
		{name: "clock: five seconds back, the answer lost", with: byQuery, run: lost(-5 * time.Second)},
		{name: "clock: an hour ahead, then killed", with: byQuery, run: func(w *world) {
			lost(time.Hour)(w)
			w.conn().kill()
			w.start()
			w.conclude() // a lease that was written by this clock would last an hour by the right one
			w.conn().kill()
			w.stepClock(0)
		}},
	}
}

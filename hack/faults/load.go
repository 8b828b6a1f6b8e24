// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// long are the runs that have the machine for themselves.
func long(loop time.Duration) []row {
	return []row{
		{
			name: "load: 2 replicas, 64 tills, 2000 payments four times each, 5 % of the answers lost", long: "load",
			only: onPostgres, with: twoReplicas, run: load,
		},
		{
			name: fmt.Sprintf("crash loop: killed every 200 to 800 ms for %s under load", loop), long: "crash-loop",
			only: ofBoth, with: byQuery, run: func(w *world) { crashLoop(w, loop) },
		},
	}
}

const (
	loadTills    = 64
	loadPayments = 2000
	loadTimes    = 4
	lostAnswers  = 0.05
)

// load has 64 tills send each of 2000 payments four times, in random order, to two
// replicas on one PostgreSQL, at vendors that lose 5 % of their answers.
func load(w *world) {
	w.start()
	w.startReplica(1)
	w.misfortune(fault.Rule{Kind: fault.ApplyThenClose, Probability: lostAnswers})
	var work []*sale
	for range loadPayments {
		work = append(work, slices.Repeat([]*sale{w.sale()}, loadTimes)...)
	}
	w.rng.Shuffle(len(work), func(i, j int) { work[i], work[j] = work[j], work[i] })
	replica := make([]int, len(work))
	for i := range replica {
		replica[i] = w.rng.IntN(2)
	}
	begin := time.Now()
	var next int
	var mu sync.Mutex
	var tills sync.WaitGroup
	for range loadTills {
		tills.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(work) || w.ctx.Err() != nil {
					return
				}
				w.sendTo(replica[i], work[i])
			}
		})
	}
	tills.Wait()
	took := time.Since(begin)
	w.struck()
	lost := 0
	for _, r := range w.box.Sandbox.Faults().Rules() {
		lost += r.Fired
	}
	w.figures = fmt.Sprintf("    %d calls of %d payments by %d tills in %s (%.0f a second), %d answers lost by the vendors\n    heard: %s\n    took: %s",
		len(work), loadPayments, loadTills, took.Round(100*time.Millisecond), float64(len(work))/took.Seconds(), lost, w.words(), w.latencies())
	w.later = func(v *verdict) { w.figures += w.bookings(v) }
}

// crashLoop kills the connector again and again while tills pay. A till repeats a
// payment at most six times before it takes the next; what is open in the end is
// repeated by every cell's end.
func crashLoop(w *world, duration time.Duration) {
	const tills = 12
	w.misfortune(fault.Rule{Kind: fault.Slow, DelayAfter: fault.Duration(50 * time.Millisecond), Probability: 0.3})
	stop := make(chan struct{})
	var paying sync.WaitGroup
	for range tills {
		paying.Go(func() {
			for {
				s := w.sale()
				for range 6 {
					select {
					case <-stop:
						return
					default:
					}
					if w.send(s).word.terminal() {
						break
					}
					time.Sleep(100 * time.Millisecond) // a connection that is refused fails at once
				}
			}
		})
	}
	kills := 0
	for end := time.Now().Add(duration); time.Now().Before(end) && w.ctx.Err() == nil; kills++ {
		w.must(w.launch(0))
		time.Sleep(time.Duration(200+w.rng.IntN(601)) * time.Millisecond)
		w.conn().kill()
	}
	close(stop)
	paying.Wait()
	known := 0
	for _, s := range w.sales {
		if _, done := s.terminal(); done {
			known++
		}
	}
	w.figures = fmt.Sprintf("    killed %d times in %s; %d payments begun, %d of them known to their till before the end\n    heard: %s",
		kills, duration, len(w.sales), known, w.words())
	w.later = func(v *verdict) { w.figures += w.bookings(v) }
}

// words counts what the tills heard.
func (w *world) words() string {
	n := map[word]int{}
	for _, s := range w.sales {
		for _, c := range s.calls {
			n[c.word]++
		}
	}
	var parts []string
	for _, one := range []word{success, refused, turned, doubt, faulted, silence} {
		if n[one] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[one], one))
		}
	}
	return strings.Join(parts, ", ")
}

// latencies are of calls that heard something.
func (w *world) latencies() string {
	var all []time.Duration
	for _, s := range w.sales {
		for _, c := range s.calls {
			if c.word != silence {
				all = append(all, c.end.Sub(c.start))
			}
		}
	}
	if len(all) == 0 {
		return "nothing was heard"
	}
	slices.SortFunc(all, cmp.Compare[time.Duration])
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %s, p99 %s, longest %s", at(0.5), at(0.99), at(1))
}

// bookings counts how often each payment is in the vendors' books, and holds load runs
// to "exactly once": there no vendor refuses, so nothing may be missing either.
func (w *world) bookings(v *verdict) string {
	times := map[int]int{}
	for _, s := range w.sales {
		for _, vendor := range s.vendors {
			p := w.position(s, vendor)
			times[p.most]++
			if last, done := s.terminal(); done && last.word == success && p.times != 1 {
				v.find(&v.lies, "%s: success, booked %d times at %s", s.bizID, p.times, vendor)
			}
		}
	}
	var parts []string
	for n := range 10 {
		if times[n] > 0 {
			parts = append(parts, fmt.Sprintf("%d× %d times", times[n], n))
		}
	}
	concluded := 0
	for _, s := range w.sales {
		if last, done := s.terminal(); done && last.word == success {
			concluded++
		}
	}
	return fmt.Sprintf("\n    in the end: %d of %d payments SUCCESS, the others FAIL line by line; deducted at the vendors (%s): %s",
		concluded, len(w.sales), vendorNames(w.col.vendors), strings.Join(parts, ", "))
}

func vendorNames(list []books.Vendor) string {
	var names []string
	for _, v := range list {
		names = append(names, string(v))
	}
	return strings.Join(names, " and ")
}

// SPDX-License-Identifier: Apache-2.0

//go:build faults

package service

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// edges puts crash points around the engine's edges, and lets a file step its wall
// clock. The engine itself has no line for it: each step that a crash can fall between
// begins or ends at the ledger or at a vendor. hack/faults drives this:
//
//	HEXIAO_FAULT_AT     ACTION@POINT or ACTION@POINT:N, comma separated; the process does
//	                    ACTION (kill or stop: SIGKILL or SIGSTOP to itself) when it
//	                    passes POINT for the Nth time, the first by default
//	HEXIAO_CLOCK_FILE   a file with whole seconds that are added to the wall clock, and
//	                    not to the monotonic one, as when somebody sets the clock
//
// The points are:
//
//	record.before   planned; nothing is written
//	record.after    the intent is durable; no byte was sent
//	send.before     the vendor's client is about to be called
//	guard.before    the connection stands; right before the lease is checked for the last time
//	guard.after     the check is done; right before the first byte
//	answer          the vendor answered; nobody knows but this process
//	settle.before   right before the outcome's commit
//	settle.after    right after it; the till has not heard
//	lease.after     the resolver holds a leg
//	lookup.before, lookup.after, repeat.before, repeat.after, reverse.before, reverse.after
//	resolve.before  right before the resolver's commit
//	resolve.after   right after it
func edges(d redeem.Deps) redeem.Deps {
	p := parsePoints(os.Getenv("HEXIAO_FAULT_AT"))
	d.Ledger = pointedLedger{d.Ledger, p}
	providers := map[string]redeem.Provider{}
	for name, v := range d.Providers {
		providers[name] = pointedVendor{v.(vendor), p}
	}
	d.Providers = providers
	if file := os.Getenv("HEXIAO_CLOCK_FILE"); file != "" {
		d.Now = steppedClock(file)
	}
	return d
}

// points knows what happens where.
type points struct {
	mu   sync.Mutex
	plan map[string]*fate
}

type fate struct {
	signal syscall.Signal
	after  int // passes left
}

func parsePoints(text string) *points {
	p := &points{plan: map[string]*fate{}}
	for item := range strings.SplitSeq(text, ",") {
		if item == "" {
			continue
		}
		action, point, ok := strings.Cut(item, "@")
		signal, known := map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}[action]
		name, nth, counted := strings.Cut(point, ":")
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(nth); err != nil {
				ok = false
			}
		}
		if !ok || !known {
			panic(fmt.Sprintf("HEXIAO_FAULT_AT: %q is not ACTION@POINT:N", item))
		}
		p.plan[name] = &fate{signal, n}
	}
	return p
}

func (p *points) pass(name string) {
	p.mu.Lock()
	defer p.mu.Unlock() // whoever else passes a point waits: the process is about to end or to sleep
	f := p.plan[name]
	if f == nil {
		return
	}
	if f.after--; f.after != 0 {
		return
	}
	if err := syscall.Kill(os.Getpid(), f.signal); err != nil {
		panic(err)
	}
	if f.signal == syscall.SIGKILL {
		select {} // the signal is on its way
	}
}

type pointedLedger struct {
	redeem.Ledger
	p *points
}

func (l pointedLedger) Record(ctx context.Context, r redeem.Redemption) (redeem.Redemption, bool, error) {
	l.p.pass("record.before")
	stored, created, err := l.Ledger.Record(ctx, r)
	if created && err == nil {
		l.p.pass("record.after")
	}
	return stored, created, err
}

func (l pointedLedger) Apply(ctx context.Context, c redeem.Change) (redeem.Redemption, error) {
	name := "settle"
	if c.Actor == "resolver" {
		name = "resolve"
	}
	l.p.pass(name + ".before")
	r, err := l.Ledger.Apply(ctx, c)
	if err == nil {
		l.p.pass(name + ".after")
	}
	return r, err
}

func (l pointedLedger) Lease(ctx context.Context, brandID, owner string, now, until time.Time, n int) ([]redeem.Leased, error) {
	due, err := l.Ledger.Lease(ctx, brandID, owner, now, until, n)
	if len(due) > 0 {
		l.p.pass("lease.after")
	}
	return due, err
}

type pointedVendor struct {
	vendor
	p *points
}

func (v pointedVendor) guarded(s redeem.Sending) redeem.Sending {
	guard := s.Guard
	s.Guard = func() error {
		v.p.pass("guard.before")
		if guard != nil {
			if err := guard(); err != nil {
				return err
			}
		}
		v.p.pass("guard.after")
		return nil
	}
	return s
}

func (v pointedVendor) Send(ctx context.Context, s redeem.Sending) redeem.Outcome {
	v.p.pass("send.before")
	out := v.vendor.Send(ctx, v.guarded(s))
	v.p.pass("answer")
	return out
}

func (v pointedVendor) Repeat(ctx context.Context, s redeem.Sending) redeem.Outcome {
	v.p.pass("repeat.before")
	out := v.vendor.Repeat(ctx, v.guarded(s))
	v.p.pass("repeat.after")
	return out
}

func (v pointedVendor) Reverse(ctx context.Context, s redeem.Sending) redeem.Outcome {
	v.p.pass("reverse.before")
	out := v.vendor.Reverse(ctx, v.guarded(s))
	v.p.pass("reverse.after")
	return out
}

func (v pointedVendor) LookUp(ctx context.Context, leg redeem.Leg) redeem.Finding {
	v.p.pass("lookup.before")
	f := v.vendor.LookUp(ctx, leg)
	v.p.pass("lookup.after")
	return f
}

// steppedClock adds the file's seconds to the wall clock alone. Package time offers no
// way to say that, so it reaches into time.Time, and makes sure that it got there.
func steppedClock(file string) func() time.Time {
	now := time.Now()
	if t := stepped(now, 3600); t.Sub(now) != 0 || t.Round(0).Sub(now.Round(0)) != time.Hour {
		panic("package time keeps its clocks in another form now: adapt steppedClock")
	}
	return func() time.Time {
		raw, err := os.ReadFile(file)
		if err != nil {
			return time.Now()
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil {
			return time.Now()
		}
		return stepped(time.Now(), seconds)
	}
}

// stepped moves the wall clock of t, which has a monotonic reading: then the wall
// seconds stand in bits 30 to 62 of its first word.
func stepped(t time.Time, seconds int64) time.Time {
	word := (*uint64)(unsafe.Pointer(&t))
	*word += uint64(seconds << 30)
	return t
}

// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Errors that a script tells apart, by the exit code.
var (
	// ErrUsage: the command line is wrong.
	ErrUsage = errors.New("usage")
	// ErrIncomplete: some brands could not be asked.
	ErrIncomplete = errors.New("incomplete")
	// ErrUnconfirmed: the person did not confirm; nothing was recorded.
	ErrUnconfirmed = errors.New("not confirmed: nothing was recorded")
)

// atOnce is how many brands are asked at the same time.
const atOnce = 8

// brandTimeout bounds what one brand may cost a list over many.
const brandTimeout = 30 * time.Second

// Desk is where a person sits.
type Desk struct {
	Way    reach.Way
	In     io.Reader
	Out    io.Writer
	Err    io.Writer // progress, and what a person is asked
	Format present.Format
	// Zone of the times that a person reads.
	Zone *time.Location
	// Patience before progress is told.
	Patience time.Duration
}

// List is the order to list something.
type List struct {
	Brand     string // empty: every brand of Namespace
	Namespace string // empty: every namespace
	Limit     int
	State     string // reversals: waiting or all
}

// ListInDoubt lists what is in doubt.
func (d *Desk) ListInDoubt(ctx context.Context, l List) error {
	answers, err := gather(ctx, d, l, "legs in doubt", func(x adminapi.InDoubtList) int { return len(x.Items) },
		func(ctx context.Context, c *reach.Connector) (adminapi.InDoubtList, error) {
			return c.InDoubt(ctx, l.Limit)
		})
	if err != nil {
		return err
	}
	out := make([]present.Doubts, len(answers))
	for i, a := range answers {
		out[i] = present.Doubts{Of: a.of, InDoubt: a.value}
	}
	return listed(d, l, answers, func() error { return present.InDoubt(d.Out, d.Format, out, d.Zone) })
}

// ListReversals lists reversals.
func (d *Desk) ListReversals(ctx context.Context, l List) error {
	answers, err := gather(ctx, d, l, "reversals", func(x adminapi.ReversalList) int { return len(x.Items) },
		func(ctx context.Context, c *reach.Connector) (adminapi.ReversalList, error) {
			return c.Reversals(ctx, l.State, l.Limit)
		})
	if err != nil {
		return err
	}
	out := make([]present.Reversals, len(answers))
	for i, a := range answers {
		out[i] = present.Reversals{Of: a.of, Reversals: a.value}
	}
	return listed(d, l, answers, func() error { return present.ReversalLists(d.Out, d.Format, out, d.Zone) })
}

// answer is what a brand's connector said; no value when it could not be asked.
type answer[T any] struct {
	of    present.Of
	value *T
	err   error
}

// gather asks the brands, some at a time, and keeps their order. The error of a brand
// that was named is the caller's; of many brands it stands in the list.
func gather[T any](ctx context.Context, d *Desk, l List, what string, count func(T) int, call func(context.Context, *reach.Connector) (T, error)) ([]answer[T], error) {
	brands := []reach.Brand{{Namespace: l.Namespace, Name: l.Brand}}
	if l.Brand == "" {
		var err error
		if brands, err = d.Way.Brands(ctx, l.Namespace); err != nil || len(brands) == 0 {
			return nil, err
		}
	}
	var asked, found, failed atomic.Int64
	stop := present.Progress(d.Err, d.Patience, func() string {
		return fmt.Sprintf("asked %d of %d brands: %d %s so far, %d could not be asked", asked.Load(), len(brands), found.Load(), what, failed.Load())
	})
	defer stop()
	out := make([]answer[T], len(brands))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, b := range brands {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { asked.Add(1); <-slots }()
			out[i] = askOne(ctx, d.Way, b, call)
			if out[i].err != nil {
				failed.Add(1)
				return
			}
			found.Add(int64(count(*out[i].value)))
		})
	}
	wg.Wait()
	if l.Brand != "" || len(brands) == 1 && brands[0] == (reach.Brand{}) {
		return out, out[0].err
	}
	return out, ctx.Err()
}

func askOne[T any](ctx context.Context, way reach.Way, b reach.Brand, call func(context.Context, *reach.Connector) (T, error)) answer[T] {
	ctx, cancel := context.WithTimeout(ctx, brandTimeout)
	defer cancel()
	a := answer[T]{of: present.Of{Namespace: b.Namespace, Brand: b.Name}}
	c, err := way.Open(ctx, b)
	if err == nil {
		defer func() { _ = c.Close() }()
		a.of.Pod = c.Pod
		var v T
		if v, err = call(ctx, c); err == nil {
			a.value = &v
			return a
		}
	}
	a.err, a.of.Error = err, err.Error()
	return a
}

// listed writes a list, and says what is wrong with it. A list of no brand is no good
// news: a program gets it empty, a person hears the error alone.
func listed[T any](d *Desk, l List, answers []answer[T], write func() error) error {
	program := d.Format == present.JSON || d.Format == present.YAML
	if len(answers) > 0 || program {
		if err := write(); err != nil {
			return err
		}
	}
	if len(answers) == 0 {
		return reach.NoBrands(l.Namespace)
	}
	return incomplete(answers)
}

func incomplete[T any](answers []answer[T]) error {
	n := 0
	for _, a := range answers {
		if a.err != nil {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d brands could not be asked", ErrIncomplete, n, len(answers))
}

// Target is one redemption of one brand.
type Target struct {
	Brand  reach.Brand
	BizID  string
	Action string // verify or reverse; empty: whichever there is
}

// reached is a target that was found.
type reached struct {
	*reach.Connector
	who        string
	redemption adminapi.Redemption
}

// reach opens the way to the target's brand, and reads the redemption.
func (d *Desk) reach(ctx context.Context, t Target) (*reached, error) {
	stop := present.Progress(d.Err, d.Patience, func() string { return "waiting for the connector of " + t.Brand.String() })
	defer stop()
	who, err := d.Way.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.Way.Open(ctx, t.Brand)
	if err != nil {
		return nil, err
	}
	r, err := find(ctx, c, t)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &reached{c, who, r}, nil
}

// find reads the redemption. A till may use one bizId for a redemption and for a
// reversal: then the person must say which.
func find(ctx context.Context, c *reach.Connector, t Target) (adminapi.Redemption, error) {
	if t.Action != "" {
		return c.Redemption(ctx, wireAction(t.Action), t.BizID)
	}
	verify, err := c.Redemption(ctx, "VERIFY", t.BizID)
	if err != nil && !isCode(err, adminapi.CodeNotFound) {
		return verify, err
	}
	reversal, reverseErr := c.Redemption(ctx, "REVERSE_VERIFY", t.BizID)
	switch {
	case reverseErr != nil && !isCode(reverseErr, adminapi.CodeNotFound):
		return verify, reverseErr
	case err == nil && reverseErr == nil:
		return verify, fmt.Errorf("%w: bizId %s is a redemption and a reversal: say --action verify or --action reverse", ErrUsage, t.BizID)
	case reverseErr == nil:
		return reversal, nil
	}
	return verify, err
}

func wireAction(action string) string {
	if action == "reverse" {
		return "REVERSE_VERIFY"
	}
	return "VERIFY"
}

func isCode(err error, code string) bool {
	var e *adminapi.Error
	return errors.As(err, &e) && e.Code == code
}

// Show writes everything known of a redemption, and what the vendor says now.
func (d *Desk) Show(ctx context.Context, t Target, lookUp bool) error {
	x, err := d.reach(ctx, t)
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	var findings adminapi.Findings
	if lookUp {
		if findings, err = d.lookUp(ctx, x, nil); err != nil {
			return err
		}
		// The question is in the log now, and may have raised the alarm.
		if x.redemption, err = x.Redemption(ctx, x.redemption.Action, x.redemption.BizID); err != nil {
			return err
		}
	}
	out := struct {
		adminapi.Redemption
		Findings []adminapi.Finding `json:"findings,omitempty"`
	}{x.redemption, findings.Items}
	if done, err := present.Machine(d.Out, d.Format, out); done {
		return err
	}
	if err := present.Evidence(d.Out, x.redemption, d.Zone, trail.Words); err != nil {
		return err
	}
	return d.findings(d.Out, findings)
}

func (d *Desk) findings(w io.Writer, f adminapi.Findings) error {
	for i, x := range f.Items {
		head := ""
		if i == 0 {
			head = "\nTHE VENDOR, ASKED NOW\n"
		}
		if _, err := fmt.Fprintf(w, "%s  %s\n", head, present.Finding(x, d.Zone)); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) lookUp(ctx context.Context, x *reached, leg *int) (adminapi.Findings, error) {
	stop := present.Progress(d.Err, d.Patience, func() string { return "waiting for the vendor's answer" })
	defer stop()
	return x.LookUp(ctx, x.redemption.Action, x.redemption.BizID, adminapi.Person{Who: x.who, Leg: leg})
}

// Retry makes the open legs of a redemption due now.
func (d *Desk) Retry(ctx context.Context, t Target) error {
	x, err := d.reach(ctx, t)
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	r, err := x.Retry(ctx, x.redemption.Action, x.redemption.BizID, adminapi.Person{Who: x.who})
	if err != nil {
		return err
	}
	if done, err := present.Machine(d.Out, d.Format, r); done {
		return err
	}
	legs := strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Legs), " ", ", "), "[]")
	_, err = fmt.Fprintf(d.Out, "due now, asked for by %s: leg %s of %s; look again in a few seconds\n", present.Clean(x.who), legs, present.Clean(x.redemption.BizID))
	return err
}

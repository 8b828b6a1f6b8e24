// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/present"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/trail"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// Ruling is what a person brings along; what is empty is asked for.
type Ruling struct {
	Leg      int // -1: the one that is open
	Decision string
	Reason   string
	Yes      bool // do not ask for confirmation
	Force    bool
}

// Resolve shows the evidence, asks the vendor once more, asks for decision, reason and
// confirmation, records the decision, and says what was recorded.
// What can be checked is checked before the vendor is asked: each question to it stays in
// the log for ever.
func (d *Desk) Resolve(ctx context.Context, t Target, in Ruling) error {
	if err := d.check(in); err != nil {
		return err
	}
	x, err := d.reach(ctx, t)
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	// For a program stdout is the result alone.
	show := d.Out
	if d.Format == present.JSON || d.Format == present.YAML {
		show = d.Err
	}
	if err := present.Evidence(show, x.redemption, d.Zone, trail.Words); err != nil {
		return err
	}
	leg, err := choose(x.redemption, in.Leg)
	if err != nil {
		return err
	}
	if in.Decision == adminapi.Refused && leg.RefusableFrom != nil && !in.Force {
		return d.tooEarly(leg)
	}
	findings, err := d.lookUp(ctx, x, &leg.No)
	if err != nil {
		return err
	}
	if err := d.findings(show, findings); err != nil {
		return err
	}
	in, err = d.complete(ctx, x, leg, in)
	if err != nil {
		return err
	}
	done, err := x.Resolve(ctx, x.redemption.Action, x.redemption.BizID, leg.No, adminapi.Decision{
		Decision: in.Decision, Reason: in.Reason, Who: x.who, Version: &leg.Version, Force: in.Force,
	})
	var told *adminapi.Error
	if errors.As(err, &told) {
		told.Message = present.InZone(told.Message, d.Zone)
	}
	if isCode(err, adminapi.CodeEvidence) || isCode(err, adminapi.CodeEarly) {
		return fmt.Errorf("%w (here: --force)", err)
	}
	if err != nil {
		return err
	}
	if machine, err := present.Machine(d.Out, d.Format, done); machine {
		return err
	}
	if _, err := fmt.Fprintln(d.Out); err != nil {
		return err
	}
	return present.Recorded(d.Out, done, leg.No, d.Zone)
}

// tooEarly is what the connector would say of refused, before a vendor is asked.
func (d *Desk) tooEarly(leg adminapi.Leg) error {
	return &adminapi.Error{Code: adminapi.CodeEarly, Field: "--decision", Message: fmt.Sprintf(
		"leg %d may be called refused from %s on: until then %s may have it without showing it", leg.No, present.Stamp(leg.RefusableFrom, d.Zone), present.Clean(leg.Provider)),
		Remedy: "look again then, for a wrong refusal charges the guest twice; --force when the vendor itself has told you that it will never be done"}
}

// check is what is wrong with a ruling as it was brought along.
func (d *Desk) check(in Ruling) error {
	if in.Decision != "" && !slices.Contains(Decisions, in.Decision) {
		return fmt.Errorf("%w: --decision: %q is none: say executed when the vendor did it, refused when it did not", ErrUsage, in.Decision)
	}
	if in.Reason != "" {
		if wrong := adminapi.CheckReason(in.Reason); wrong != nil {
			wrong.Field = "--reason"
			return wrong
		}
	}
	if complete := in.Decision != "" && in.Reason != "" && in.Yes; !complete && nobody(d.In) {
		return errNobody
	}
	return nil
}

// errNobody: something is to be asked, and nobody is there to answer.
var errNobody = fmt.Errorf("%w: there is nobody to ask; a script says --decision, --reason and --yes", ErrUnconfirmed)

// nobody says whether it is plain that nothing will be typed: the input is empty, or
// /dev/null. Of a pipe that cannot be known before it is read.
func nobody(in io.Reader) bool {
	switch x := in.(type) {
	case interface{ Len() int }:
		return x.Len() == 0
	case *os.File:
		info, err := x.Stat()
		if err != nil {
			return true // it is closed
		}
		if info.Mode().IsRegular() {
			return info.Size() == 0
		}
		return info.Mode()&os.ModeCharDevice != 0 && !term.IsTerminal(int(x.Fd()))
	}
	return false
}

// choose is the leg to decide on. Pure.
func choose(r adminapi.Redemption, no int) (adminapi.Leg, error) {
	var open []adminapi.Leg
	for _, l := range r.Legs {
		if l.No == no && (l.State == "executed" || l.State == "refused") {
			return l, &adminapi.Error{Code: adminapi.CodeDecided, Message: fmt.Sprintf("leg %d of %s is %s", no, r.BizID, l.State), Remedy: "there is nothing to decide"}
		}
		if l.State == "sent" && (l.No == no || no < 0 && len(r.Legs) == 1) {
			return l, &adminapi.Error{Code: adminapi.CodeDecided, Message: fmt.Sprintf("the call of leg %d of %s is under way", l.No, r.BizID),
				Remedy: "the vendor may still answer: look again in half a minute"}
		}
		if l.No == no {
			return l, nil // whether it can be decided on is the connector's to say
		}
		if l.State == "unknown" {
			open = append(open, l)
		}
	}
	switch {
	case no >= 0:
		return adminapi.Leg{}, fmt.Errorf("%w: --leg %d: the redemption has legs 0 to %d", ErrUsage, no, len(r.Legs)-1)
	case len(open) == 0:
		return adminapi.Leg{}, &adminapi.Error{Code: adminapi.CodeDecided, Message: "no leg of " + r.BizID + " is in doubt: it is " + r.Outcome,
			Remedy: "there is nothing to decide"}
	case len(open) > 1:
		return adminapi.Leg{}, fmt.Errorf("%w: %d legs are in doubt: say --leg, and decide on one after the other", ErrUsage, len(open))
	}
	return open[0], nil
}

// complete asks for what the person did not bring along.
func (d *Desk) complete(ctx context.Context, x *reached, leg adminapi.Leg, in Ruling) (Ruling, error) {
	ask := asker{ctx, bufio.NewReader(d.In), d.Err}
	var err error
	if in.Decision == "" {
		in.Decision, err = ask.until("Did the vendor do it? Type executed or refused: ", func(text string) string {
			if text != adminapi.Executed && text != adminapi.Refused {
				return "neither executed nor refused"
			}
			return ""
		})
	}
	if err == nil && in.Reason == "" {
		in.Reason, err = ask.until("Why? What did you see at the vendor, and where (no names, no numbers of phones): ", func(text string) string {
			if wrong := adminapi.CheckReason(text); wrong != nil {
				return wrong.Error()
			}
			return ""
		})
	}
	if err != nil || in.Yes {
		return in, err
	}
	_, _ = fmt.Fprintf(d.Err, "\nYou record as %s, and it cannot be taken back:\n  leg %d of %s (%s at %s) was %s%s\n",
		present.Clean(x.who), leg.No, present.Clean(x.redemption.BizID), present.Value(leg.AmountFen, leg.Points, leg.Coupons), present.Clean(leg.Provider),
		strings.ToUpper(in.Decision), map[bool]string{true: ", whatever the evidence says"}[in.Force])
	typed, err := ask.line("Type the bizId to confirm: ")
	if err == nil && typed != x.redemption.BizID {
		err = ErrUnconfirmed
	}
	return in, err
}

// asker asks a person, on stderr, so that stdout holds the result alone.
type asker struct {
	ctx context.Context
	in  *bufio.Reader
	out io.Writer
}

func (a asker) line(question string) (string, error) {
	_, _ = fmt.Fprint(a.out, question)
	text, err := a.read()
	if errors.Is(err, io.EOF) && text == "" {
		_, _ = fmt.Fprintln(a.out)
		return "", errNobody
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(text), nil
}

// read reads a line, or ends with the context: a person who interrupts must not wait.
func (a asker) read() (string, error) {
	type line struct {
		text string
		err  error
	}
	got := make(chan line, 1)
	go func() {
		text, err := a.in.ReadString('\n')
		got <- line{text, err}
	}()
	select {
	case <-a.ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrUnconfirmed, context.Cause(a.ctx))
	case l := <-got:
		return l.text, l.err
	}
}

// until asks again until wrong has nothing to say.
func (a asker) until(question string, wrong func(string) string) (string, error) {
	for {
		text, err := a.line(question)
		if err != nil {
			return "", err
		}
		w := wrong(text)
		if w == "" {
			return text, nil
		}
		_, _ = fmt.Fprintln(a.out, "  "+w)
	}
}

// Decisions are the words that a decision may be.
var Decisions = []string{adminapi.Executed, adminapi.Refused}

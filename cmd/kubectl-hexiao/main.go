// SPDX-License-Identifier: Apache-2.0

// Command kubectl-hexiao is the kubectl plugin of Hexiao: kubectl hexiao. It shows
// what a change to a brand would do and how a brand is, and decides by hand what no
// machine can find out. See docs/guides/plugin.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/desk"
	"github.com/hexiao-dev/hexiao/cmd/kubectl-hexiao/internal/reach"
	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program where it stands
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	cmd := root(in, out, errOut)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err != nil && ctx.Err() == context.Canceled {
		err = &exit{exitInterrupted, interrupted(err)}
	}
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(errOut, "kubectl hexiao:", err)
	}
	return exitCode(err)
}

// interrupted says what an interrupt broke off, if that says more than that it did.
func interrupted(err error) error {
	if err.Error() == "" || err == context.Canceled { //nolint:errorlint // wrapped, it says where
		return errors.New("interrupted")
	}
	return fmt.Errorf("interrupted: %w", err)
}

// The exit codes; exitCodes documents them.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitChanged     = 4
	exitEvidence    = 5
	exitUnconfirmed = 6
	exitIncomplete  = 7
	exitNotReady    = 8
	exitNoDiff      = 9
	exitInterrupted = 130
)

// exit is an error with an exit code of its own. Without a text it is no failure: the
// code alone is the answer.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

const exitCodes = `Exit codes:
  0  done
  1  failed: the API server, the connector or the way between them
  2  the command line or a file is wrong
  3  there is no such brand or redemption, or no brand at all where one was looked for
  4  nothing was recorded: the state has changed, is final, or no machine can do it
  5  nothing was recorded: the evidence contradicts the decision, or it is too early to
     call it refused (--force overrules both)
  6  nothing was done: it was not confirmed
  7  the list is incomplete: some brands could not be asked
  8  a brand is not ready, or was not in the time that was given
  9  diff could not compare everything; for diff, 1 means that there are differences
130  interrupted, by Ctrl-C`

func exitCode(err error) int {
	var told *adminapi.Error
	var own *exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, desk.ErrUsage):
		return exitUsage
	case errors.Is(err, desk.ErrUnconfirmed):
		return exitUnconfirmed
	case errors.Is(err, desk.ErrIncomplete):
		return exitIncomplete
	case errors.Is(err, reach.ErrNotFound), apierrors.IsNotFound(err):
		return exitNotFound
	case errors.As(err, &told):
		return exitOf(told)
	}
	return exitFailed
}

func exitOf(e *adminapi.Error) int {
	switch e.Code {
	case adminapi.CodeInvalid:
		return exitUsage
	case adminapi.CodeNotFound:
		return exitNotFound
	case adminapi.CodeChanged, adminapi.CodeDecided, adminapi.CodeCannot:
		return exitChanged
	case adminapi.CodeEvidence, adminapi.CodeEarly:
		return exitEvidence
	}
	return exitFailed
}

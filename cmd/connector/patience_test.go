// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/api/v1alpha1"
	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/service"
)

// awayBrand is a brand whose database does not answer.
func awayBrand(t *testing.T) *brand.Brand {
	t.Helper()
	// Nobody listens on port 1.
	args := lay(t, postgres, map[string]string{"credentials/pg/dsn": "postgres://u:" + canary + "@127.0.0.1:1/l"})
	b, err := brand.Load(brand.Files{Object: args[1], Credentials: args[3]})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func run(ctx context.Context, t *testing.T, patience time.Duration, log *slog.Logger) error {
	t.Helper()
	s, err := service.Start(ctx, service.Config{Brand: awayBrand(t), Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		Owner: "test", Logger: log, LedgerPatience: patience})
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(ctx)
}

func TestAConnectorWhoseDatabaseDoesNotAnswerEndsToSayWhy(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	at := time.Now().Truncate(time.Second)
	err := ended(run(t.Context(), t, time.Nanosecond, slog.New(slog.DiscardHandler)), mark, func() time.Time { return at })
	if got := exitCode(err); got != v1alpha1.ExitLedgerAway {
		t.Errorf("exit code %d for %v", got, err)
	}
	words := filepath.Join(t.TempDir(), "termination-log")
	if e := os.WriteFile(words, nil, 0o600); e != nil {
		t.Fatal(e)
	}
	lastWords(words, err)
	said, e := os.ReadFile(words)
	if e != nil {
		t.Fatal(e)
	}
	if text := string(said); !strings.HasPrefix(text, v1alpha1.LedgerFault) || !strings.Contains(text, "connection refused") || strings.Contains(text, canary) {
		t.Errorf("the last words are %s", text)
	}
	if left := patience(mark, at.Add(time.Minute)); left != againAfter-time.Minute {
		t.Errorf("the next one waits %s", left)
	}
}

// shout cancels when something is logged.
type shout struct {
	bytes.Buffer
	word string
	then func()
}

func (s *shout) Write(p []byte) (int, error) {
	n, err := s.Buffer.Write(p)
	if strings.Contains(s.String(), s.word) {
		s.then()
	}
	return n, err
}

func TestWithoutAPatienceADatabaseIsWaitedFor(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := slog.New(slog.NewTextHandler(&shout{word: "trying again", then: stop}, nil))
	if err := run(ctx, t, 0, log); errors.Is(err, service.ErrLedgerAway) {
		t.Errorf("it ended: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("it did not try again")
	}
}

func TestWhatEndedForSomethingElseKeepsItsExitCode(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	for want, err := range map[int]error{0: nil, 1: errors.New("another"), 3: &exitError{3, errors.New("nothing")}} {
		if got := exitCode(ended(err, mark, time.Now)); got != want {
			t.Errorf("exit code %d for %v", got, err)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it was marked")
	}
}

func TestItIsSaidOnceAndThenAfterAQuarterOfAnHour(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		when string
		pass time.Duration
		want time.Duration
	}{
		{"the first start", 0, firstPatience},
		{"the next one", firstPatience, againAfter - firstPatience},
		{"one that another fault ended", time.Minute, againAfter - firstPatience - time.Minute},
		{"one much later", time.Hour, firstPatience},
		{"the one after that", time.Second, againAfter - time.Second},
	} {
		at = at.Add(step.pass)
		if got := patience(mark, at); got != step.want {
			t.Errorf("%s: %s, want %s", step.when, got, step.want)
		}
	}
	if got := patience(filepath.Join(mark, "below a file"), at); got != 0 {
		t.Errorf("where no mark can be left: %s, want for ever", got)
	}
}

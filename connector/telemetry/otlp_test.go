// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestFailuresAreLoggedOnceAMinuteWithTheirNumber(t *testing.T) {
	var lines bytes.Buffer
	now := time.Unix(0, 0)
	r := newReporter(signalTraces, Config{
		Logger: slog.New(slog.NewTextHandler(&lines, nil)), Now: func() time.Time { return now },
	}, nil)
	fail := func() string {
		lines.Reset()
		r.failure(t.Context(), errors.New("connection refused"+strings.Repeat("火", 1000)))
		return lines.String()
	}
	if got := fail(); !strings.Contains(got, "failures_not_logged=0") {
		t.Errorf("the first failure logged %q", got)
	}
	now = now.Add(59 * time.Second)
	if got := fail() + fail(); got != "" {
		t.Errorf("within the minute %q was logged, want nothing", got)
	}
	now = now.Add(time.Second)
	got := fail()
	if !strings.Contains(got, "failures_not_logged=2") {
		t.Errorf("after the minute %q was logged, want the 2 that were not", got)
	}
	if len(got) > 600 || strings.Contains(got, "\uFFFD") {
		t.Errorf("a long error is logged as %d bytes: %s", len(got), got)
	}
	lines.Reset()
	r.failure(t.Context(), nil)
	if lines.Len() > 0 {
		t.Errorf("a success logged %q", lines.String())
	}
}

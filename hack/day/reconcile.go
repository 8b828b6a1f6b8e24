// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// report is what is read of `hexiao-connector reconcile -o json`.
type report struct {
	Agrees bool
	Sums   map[books.Vendor]map[string]struct{ Rows, Fen int64 }
	Rows   []struct{ Verdict, Reason, Provider, Key, BizID string }
}

// reconcile runs the reconciliation as an operator does, beside the connector, and
// takes each row that is not matched for a difference. What it matched must be what the
// vendors' books have moved, so that it cannot agree by not looking.
func (d *day) reconcile(ctx context.Context, a *audit, began time.Time) error {
	file := filepath.Join(d.dir, "reconciliation.json")
	args := append([]string{"reconcile", "--from", began.Add(-time.Second).Format(time.RFC3339), "--to", "0s", "--requests-per-second", "500",
		"--foreign", "-o", "json", "--output", file}, d.brandArgs()...)
	cmd := exec.CommandContext(ctx, d.connector, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 2) {
		return fmt.Errorf("hexiao-connector reconcile: %w\n%s", err, said.Bytes())
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read the reconciliation: %w", err)
	}
	for _, row := range r.Rows {
		if row.Verdict != "matched" {
			a.differ("reconciliation: %s %s: %s %s (%s)", row.Verdict, row.Reason, row.Provider, row.Key, row.BizID)
		}
	}
	for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} {
		matched, moved := r.Sums[vendor]["matched"], a.books[asset{vendor, value}]
		a.reconciled = append(a.reconciled, fmt.Sprintf("reconciliation: %s: %d calls matched, %s yuan moved; agrees: %t", vendor, matched.Rows, yuan(matched.Fen), r.Agrees))
		if matched.Fen != moved.redeemed+moved.reversed {
			a.differ("reconciliation: %s: %s yuan matched, the books have moved %s", vendor, yuan(matched.Fen), yuan(moved.redeemed+moved.reversed))
		}
	}
	return nil
}

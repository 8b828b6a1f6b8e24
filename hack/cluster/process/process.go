// SPDX-License-Identifier: Apache-2.0

// Package process remembers a process across programs, so that it can be ended later and nothing else in its stead.
//
// A process id alone is not enough: the kernel gives it away again. A record also holds when the process started and which boot of
// the machine that was.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Record names one process for ever.
type Record struct {
	PID int `json:"pid"`
	// Started is when, in clock ticks since the boot.
	Started uint64 `json:"started"`
	// Boot is the kernel's id of the boot.
	Boot string `json:"boot"`
}

// Of records a running process.
func Of(pid int) (Record, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Record{}, fmt.Errorf("record process %d: %w", pid, err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Record{}, fmt.Errorf("record process %d: %w", pid, err)
	}
	_, started, err := parseStat(stat)
	if err != nil {
		return Record{}, fmt.Errorf("record process %d: %w", pid, err)
	}
	return Record{PID: pid, Started: started, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive tells whether the recorded process still runs. A zombie does not.
func (r Record) Alive() bool {
	if r.PID <= 0 {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.PID))
	if err != nil {
		return false
	}
	state, started, err := parseStat(stat)
	if err != nil || state == 'Z' || started != r.Started {
		return false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return err == nil && strings.TrimSpace(string(boot)) == r.Boot
}

// Kill ends the process by SIGKILL and waits until it is gone. A process that no longer runs is no error.
func (r Record) Kill(ctx context.Context) error {
	// FindProcess holds on to the process, so that the check and the signal concern the same one.
	p, err := os.FindProcess(r.PID)
	if err != nil {
		return fmt.Errorf("kill process %d: %w", r.PID, err)
	}
	defer func() { _ = p.Release() }()
	if !r.Alive() {
		return nil
	}
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", r.PID, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill process %d: %w", r.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// parseStat reads the state and the start time from /proc/PID/stat. The second field, the name in parentheses, may itself hold spaces and
// parentheses.
func parseStat(stat []byte) (state byte, started uint64, err error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("unknown form of stat %q", stat)
	}
	const stateField, startField = 3, 22 // counted as in proc(5)
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) <= startField-stateField {
		return 0, 0, fmt.Errorf("unknown form of stat %q", stat)
	}
	started, err = strconv.ParseUint(fields[startField-stateField], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("unknown form of stat %q: %w", stat, err)
	}
	return fields[0][0], started, nil
}

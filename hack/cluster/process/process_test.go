// SPDX-License-Identifier: Apache-2.0

//go:build linux

package process

import (
	"os"
	"os/exec"
	"testing"
)

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func record(t *testing.T, pid int) Record {
	t.Helper()
	r, err := Of(pid)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecord(t *testing.T) {
	t.Run("a running process is alive until it is killed", func(t *testing.T) {
		r := record(t, sleeper(t).Process.Pid)
		if !r.Alive() {
			t.Fatal("not alive")
		}
		if err := r.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.Alive() {
			t.Error("still alive")
		}
		if err := r.Kill(t.Context()); err != nil {
			t.Errorf("a second kill: %v", err)
		}
	})
	for name, change := range map[string]func(*Record){
		"a process that got the id later is left alone":      func(r *Record) { r.Started-- },
		"a process of another boot is left alone":            func(r *Record) { r.Boot = "another" },
		"a record that was never filled concerns no process": func(r *Record) { *r = Record{} },
		"a negative id, which means a group, is left alone":  func(r *Record) { r.PID = -r.PID },
	} {
		t.Run(name, func(t *testing.T) {
			running := record(t, sleeper(t).Process.Pid)
			other := running
			change(&other)
			if other.Alive() {
				t.Error("taken for alive")
			}
			_ = other.Kill(t.Context())
			if !running.Alive() {
				t.Error("the wrong process was killed")
			}
		})
	}
	t.Run("a process that does not exist cannot be recorded", func(t *testing.T) {
		cmd := sleeper(t)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r, err := Of(cmd.Process.Pid); err == nil {
			t.Errorf("recorded %+v", r)
		}
	})
}

func TestParseStat(t *testing.T) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		stat    string
		state   byte
		started uint64
		wantErr bool
	}{
		"a name with spaces and parentheses": {
			stat:  "12 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20",
			state: 'S', started: 4711,
		},
		"a truncated line": {stat: string(own[:20]), wantErr: true},
		"nothing":          {wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			state, started, err := parseStat([]byte(tc.stat))
			if state != tc.state || started != tc.started || (err != nil) != tc.wantErr {
				t.Errorf("got %c %d %v, want %c %d", state, started, err, tc.state, tc.started)
			}
		})
	}
}

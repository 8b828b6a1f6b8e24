// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program from its start to its end.
type process struct {
	name  string
	cmd   *exec.Cmd
	gone  chan struct{}
	state error // after gone
}

// launch starts a program with its output in a file.
func launch(name, binary string, args, env []string, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{name: name, cmd: exec.Command(binary, args...), gone: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go func() {
		p.state = p.cmd.Wait()
		_ = log.Close()
		close(p.gone)
	}()
	return p, nil
}

// kill ends the process as a node that dies does, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // an error means that it is gone
	<-p.gone
}

// end asks for an orderly stop, and says how it went.
func (p *process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
		if p.state != nil {
			return fmt.Errorf("%s: %w", p.name, p.state)
		}
		return nil
	case <-time.After(40 * time.Second):
		p.kill()
		return fmt.Errorf("%s did not end within 40 s of SIGTERM", p.name)
	}
}

// usage is what a process has used so far, by proc(5).
type usage struct {
	// cpu is user and system time.
	cpu time.Duration
	// rss is the memory that it has now, peak the most that it ever had, in bytes.
	rss, peak int64
}

func (p *process) usage() (usage, error) {
	directory := filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(directory, "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("measure %s: %w", p.name, err)
	}
	status, err := os.ReadFile(filepath.Join(directory, "status"))
	if err != nil {
		return usage{}, fmt.Errorf("measure %s: %w", p.name, err)
	}
	u, err := parseUsage(string(stat), string(status))
	if err != nil {
		return usage{}, fmt.Errorf("measure %s: %w", p.name, err)
	}
	return u, nil
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on all of Go's Linux ports.
const clockTick = time.Second / 100

func parseUsage(stat, status string) (usage, error) {
	// The second field is the name in parentheses, which may hold anything.
	after := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const user, system = 14 - 3, 15 - 3 // fields are counted from 1, and two are cut off
	if len(after) <= system {
		return usage{}, fmt.Errorf("unknown form of stat %q", stat)
	}
	var u usage
	for _, field := range []int{user, system} {
		ticks, err := strconv.ParseInt(after[field], 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("unknown form of stat %q: %w", stat, err)
		}
		u.cpu += time.Duration(ticks) * clockTick
	}
	var err error
	if u.rss, err = kibibytes(status, "VmRSS:"); err != nil {
		return usage{}, err
	}
	u.peak, err = kibibytes(status, "VmHWM:")
	return u, err
}

// kibibytes finds a line such as "VmRSS:   1234 kB" and returns bytes.
func kibibytes(status, key string) (int64, error) {
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in status", key)
}

// SPDX-License-Identifier: Apache-2.0

package pgserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childAttributes makes the kernel stop the server (an immediate shutdown) when the thread that started it ends.
func childAttributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGQUIT, Setsid: true}
}

// killTree ends the postmaster and its children by SIGKILL. The postmaster is frozen first, so that it can neither start another
// child nor reap one, which would let the kernel give the id away.
func killTree(postmaster int) error {
	if err := syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return ignoreGone(err)
	}
	children, err := childrenOf(postmaster)
	if err != nil {
		return errors.Join(err, ignoreGone(syscall.Kill(postmaster, syscall.SIGKILL)))
	}
	for _, pid := range append(children, postmaster) {
		err = errors.Join(err, ignoreGone(syscall.Kill(pid, syscall.SIGKILL)))
	}
	for _, pid := range children {
		err = errors.Join(err, awaitGone(pid))
	}
	return err
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// childrenOf lists the living children of a process, of all its threads.
func childrenOf(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("list the processes of PostgreSQL: %w", err)
	}
	var children []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("list the processes of PostgreSQL: %w", err)
		}
		children = append(children, child)
	}
	return children, nil
}

// awaitGone waits until a killed process holds no memory any more: it is gone, or a zombie. Until then a new server would
// refuse to start on the same data.
func awaitGone(pid int) error {
	deadline := time.Now().Add(stopTimeout)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return nil
		}
		// "1234 (postgres) Z …": the state follows the name's closing parenthesis.
		if i := bytes.LastIndexByte(stat, ')'); i >= 0 && bytes.HasPrefix(stat[i:], []byte(") Z")) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d survives SIGKILL", pid)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// removeSharedMemory removes the small System V segment by which PostgreSQL guards its data directory and which a killed server leaves
// behind. The seventh line of postmaster.pid holds its key and id; an orderly shutdown removes both. Best effort: a segment that
// stays costs 56 bytes.
func removeSharedMemory(pidFile string) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return
	}
	id, err := strconv.Atoi(fields[1])
	if err != nil {
		return
	}
	const ipcRemove = 0
	_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), ipcRemove, 0)
}

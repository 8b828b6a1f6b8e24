// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// asleep says whether the process was stopped by a signal.
func asleep(pid int) bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "T")
}

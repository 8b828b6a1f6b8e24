// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pgserver

import "syscall"

// childAttributes: only Linux ends a child with its parent.
func childAttributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setsid: true}
}

// killTree kills the postmaster; its children notice that and end by themselves.
func killTree(postmaster int) error { return syscall.Kill(postmaster, syscall.SIGKILL) }

func removeSharedMemory(string) {}

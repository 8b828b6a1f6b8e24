// SPDX-License-Identifier: Apache-2.0

package main

import "syscall"

// dieWithParent ends the programs with this one, however that ends.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package native

import (
	"context"
	"errors"
	"io"
	"os/exec"
)

var errLinux = errors.New("a cluster without a container engine needs Linux: start Docker, or set KUBECONFIG")

// Up returns an error: see errLinux. So do the others.
func (Cluster) Up(context.Context) error                              { return errLinux }
func (Cluster) Down(context.Context) error                            { return errLinux }
func (Cluster) Ready(context.Context) error                           { return errLinux }
func (Cluster) Load(context.Context, string) error                    { return errLinux }
func (Cluster) Command(context.Context, ...string) (*exec.Cmd, error) { return nil, errLinux }
func (Cluster) Info() (Info, error)                                   { return Info{}, errLinux }
func (Cluster) Exists() bool                                          { return false }
func Supervise(string, io.Reader) error                               { return errLinux }
func RunPause()                                                       {}

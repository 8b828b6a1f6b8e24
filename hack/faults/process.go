// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
)

// connector is one process, from its start to its end.
type connector struct {
	url, admin string
	cmd        *exec.Cmd
	log        *os.File
	gone       chan struct{}
	state      error // of the process, after gone
}

// launch starts binary and returns at once; await waits until it serves.
func launch(binary string, args, env []string, url, admin, logFile string) (*connector, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	c := &connector{url: url, admin: admin, log: log, gone: make(chan struct{}), cmd: exec.Command(binary, args...)}
	fmt.Fprintf(log, "---- start %v\n", env)
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = dieWithParent()
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the connector: %w", err), log.Close())
	}
	go func() {
		c.state = c.cmd.Wait()
		_ = log.Close()
		close(c.gone)
	}()
	return c, nil
}

// await waits until the connector serves, and fails when it ends before.
func (c *connector) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		if c.ready(ctx) {
			return nil
		}
		select {
		case <-c.gone:
			return fmt.Errorf("the connector ended while starting: %w", c.state)
		case <-ctx.Done():
			return errors.New("the connector was not ready within 3 minutes")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *connector) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.admin+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (c *connector) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// kill ends the process as a power cut does, and waits until it is gone.
func (c *connector) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL) // an error means that it is gone
	<-c.gone
}

// end asks for an orderly stop, and says how it went.
func (c *connector) end() error {
	if !c.alive() {
		return nil
	}
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.gone:
		return c.state
	case <-time.After(40 * time.Second):
		c.kill()
		return errors.New("the connector did not end within 40 s of SIGTERM")
	}
}

// counter numbers things over all cells.
type counter struct{ n atomic.Int64 }

func (c *counter) take() int64 { return c.n.Add(1) }

// SPDX-License-Identifier: Apache-2.0

// Package servicetest runs a whole connector for a test, in the test's process: the
// real ledger in a file, the real engine, the sandbox's vendors on sockets, a till, and
// both listeners of the connector. Nothing in it is a stand-in but the vendors.
package servicetest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/service"
	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

// Config is what a connector runs with.
type Config struct {
	// Vendors is the sandbox's configuration.
	Vendors sandbox.Config
	// Object is the BrandConnector in YAML. It names the sandbox's vendors and its
	// collector by the addresses that the samples have: http://hexiao-sandbox/….
	Object string
	// Credentials by the path of their files: the Secret's name, a slash and the key.
	Credentials map[string]string
	// AdminListen is the address of the admin listener; empty is 127.0.0.1:0.
	AdminListen string
	// Timings of the engine; zero is the product's, but that a busy disk is waited for.
	Timings service.Timings
}

// Connector is one that runs.
type Connector struct {
	Sandbox *sandbox.Server
	Service *service.Service
	Till    sandbox.Keruyun
	// Logs is what it logged so far.
	Logs *Buffer
	// LedgerPath is the ledger's file.
	LedgerPath string

	t    testing.TB
	stop func() error
}

// Start runs a connector until the test ends, and returns when it is ready.
func Start(t testing.TB, cfg Config) *Connector {
	t.Helper()
	dir := t.TempDir()
	c := &Connector{Sandbox: sandboxtest.Start(t, cfg.Vendors), Logs: &Buffer{}, LedgerPath: filepath.Join(dir, "ledger.db"), t: t}
	object := strings.NewReplacer("http://hexiao-sandbox/zhimai/api/v2", c.Sandbox.ZhimaiURL,
		"http://hexiao-sandbox/top/router/rest", c.Sandbox.ALSCURL, "http://hexiao-sandbox", c.Sandbox.AdminURL).Replace(cfg.Object)
	write(t, filepath.Join(dir, "brand.yaml"), object)
	for path, value := range cfg.Credentials {
		write(t, filepath.Join(dir, path), value)
	}
	b, err := brand.Load(brand.Files{Object: filepath.Join(dir, "brand.yaml"), Credentials: dir})
	if err != nil {
		t.Fatal(err)
	}
	cfg.AdminListen = cmp.Or(cfg.AdminListen, "127.0.0.1:0")
	cfg.Timings.LedgerTimeout = cmp.Or(cfg.Timings.LedgerTimeout, 30*time.Second)
	cfg.Timings.ResolverLease = cmp.Or(cfg.Timings.ResolverLease, 2*time.Minute) // longer than what it takes
	c.Service, err = service.Start(t.Context(), service.Config{
		Brand: b, Listen: "127.0.0.1:0", AdminListen: cfg.AdminListen, LedgerPath: c.LedgerPath, AllowFUSE: true,
		DrainTimeout: 20 * time.Second, Owner: "test", Version: "test", Timings: cfg.Timings,
		Logger: telemetry.NewLogger(c.Logs, slog.LevelDebug),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.run()
	c.Till = sandbox.Keruyun{BaseURL: "http://" + c.Service.Addr().String(), BrandID: b.Object.Spec.BrandID,
		AppKey: b.Keruyun.AppKey, Token: b.Keruyun.Token.Reveal()}
	Await(t, "readiness", func() bool { status, _ := c.Admin("/readyz"); return status == http.StatusOK })
	return c
}

func (c *Connector) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Service.Run(ctx) }()
	c.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	c.t.Cleanup(func() {
		if err := c.stop(); err != nil {
			c.t.Errorf("stop the connector: %v", err)
		}
		if c.t.Failed() {
			c.t.Logf("the connector's log:\n%s", c.Logs)
		}
	})
}

// Stop ends the connector in order and returns when its last trace is exported. Another
// call does nothing.
func (c *Connector) Stop() {
	c.t.Helper()
	if err := c.stop(); err != nil {
		c.t.Fatal(err)
	}
}

// Admin gets a path of the admin listener.
func (c *Connector) Admin(path string) (status int, body string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "http://"+c.Service.AdminAddr().String()+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// Await looks again and again until it is done. The two minutes are for what hangs.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after two minutes: no %s", what)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Buffer takes writes from any goroutine.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all that was written.
func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

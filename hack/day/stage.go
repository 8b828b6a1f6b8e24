// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/hack/freeport"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgserver"
)

// The brand of the day. The credentials are of no use elsewhere.
const (
	brandID      = "11342"
	shopID       = "8066287"
	keruyunApp   = "day-app"
	keruyunToken = "day-token"

	zhimaiReversal = "communal.user.consume-reversal"
)

// sandboxConfig plays vendors that keep what their documents promise. Zhimai executes a
// repeated bizId again, which it nowhere promises not to.
const sandboxConfig = `
seed: %d
call_log: 20000
zhimai:
  accounts: [{open_id: open, open_key: key, grant_code: grant}]
  reversal_action: ` + zhimaiReversal + `
alsc:
  apps: [{app_key: "12345678", app_secret: secret}]
`

// brandConfig: at ALSC a machine finds out by repeating under the same request_id; at
// Zhimai a person does.
const brandConfig = `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: day}
spec:
  brandID: "` + brandID + `"
  keruyun: {credentialsSecretRef: {name: kry}, replyDeadline: 1500ms}
  telemetry: {samplingPercent: 0, logLevel: warn}
  ledger: {%s}
  shops:
  - {kryShopID: "` + shopID + `", alsc: {shopID: "9001"}}
  providers:
    zhimai:
      endpoint: %q
      credentialsSecretRef: {name: zhimai}
      inDoubt: Manual
      reversalAction: ` + zhimaiReversal + `
      rateLimitCodes: ["42900"]
      limits: {requestsPerSecond: 10000, concurrency: 200, lateAnswerWindow: 3s}
    alsc:
      endpoint: %q
      credentialsSecretRef: {name: alsc}
      brandID: "7001"
      inDoubt: ReplaySameRequestID
      repeatRefusals: Final
      limits: {requestsPerSecond: 10000, concurrency: 200, lateAnswerWindow: 3s}
  routes:
  - {name: balance, match: {assetMappingIDs: ["100001"]}, asset: StoredValue, provider: alsc}
  - {name: points, match: {assetMappingIDs: ["100002"]}, asset: Points, provider: alsc}
  - {name: coupons, match: {assetMappingIDs: ["100003"]}, asset: Coupon, provider: alsc}
  - {name: gift-card, match: {assetMappingIDs: ["200001"]}, asset: StoredValue, provider: zhimai}
  - {name: other-points, match: {assetMappingIDs: ["200002"]}, asset: Points, provider: zhimai}
  - {name: other-coupons, match: {assetMappingIDs: ["200003"]}, asset: Coupon, provider: zhimai}
`

// callsEnd is how long after the last call of a till no call to a vendor can be under
// way any more: lateAnswerWindow, and what the slowest vendor takes to notice.
const callsEnd = 5 * time.Second

// stage is where the day plays: processes, files, and clients of both.
type stage struct {
	dir                                string
	sandboxURL, connectorURL, adminURL string
	connector                          string // the binary
	processes                          []*process
	postgres                           *pgserver.Server

	box  sandbox.Admin
	kry  sandbox.Keruyun
	desk adminapi.Client
}

// openStage builds and starts everything. A stage that is returned with an error has
// to be closed, too.
func openStage(ctx context.Context, f flags, progress io.Writer) (*stage, error) {
	dir, err := os.MkdirTemp("", "hexiao-day-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, connector: filepath.Join(dir, "connector")}
	fmt.Fprintln(progress, "building the connector and the sandbox")
	for _, name := range []string{"connector", "sandbox"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, name), "github.com/hexiao-dev/hexiao/cmd/"+name)
		cmd.Stdout, cmd.Stderr = progress, progress
		if err := cmd.Run(); err != nil {
			return s, fmt.Errorf("build the %s: %w", name, err)
		}
	}
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = freeport.Find(); err != nil {
			return s, err
		}
	}
	s.sandboxURL, s.connectorURL, s.adminURL = "http://"+addresses[0], "http://"+addresses[1], "http://"+addresses[2]
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * f.tills}}
	s.box = sandbox.Admin{BaseURL: s.sandboxURL, Client: client}
	s.kry = sandbox.Keruyun{BaseURL: s.connectorURL, AppKey: keruyunApp, Token: keruyunToken, BrandID: brandID, Client: client}
	s.desk = adminapi.Client{Base: s.adminURL, HTTP: client}
	if err := s.lay(ctx, f, progress); err != nil {
		return s, err
	}
	if err := s.start(ctx, "sandbox", s.sandboxURL+"/healthz", "serve", "--listen", addresses[0],
		"--config", filepath.Join(dir, "sandbox.yaml"), "--log-level", "warn"); err != nil {
		return s, err
	}
	args := append([]string{"serve", "--listen", addresses[1], "--admin-listen", addresses[2], "--drain-delay", "0s", "--owner", "day",
		"--refusal-window", "1ms", // the clerk asks the books, which are never late
		"--ledger-allow-fuse"}, s.brandArgs()...)
	return s, s.start(ctx, "connector", s.adminURL+"/readyz", args...)
}

// lay writes configuration and credentials.
func (s *stage) lay(ctx context.Context, f flags, progress io.Writer) error {
	files := map[string]string{
		"kry/appKey": keruyunApp, "kry/token": keruyunToken, "zhimai/openId": "open", "zhimai/openKey": "key", "zhimai/grantCode": "grant",
		"alsc/appKey": "12345678", "alsc/appSecret": "secret", "sandbox.yaml": fmt.Sprintf(sandboxConfig, f.seed),
	}
	spec := "embedded: {}"
	if f.postgres {
		bin, err := pgserver.Ensure(ctx, progress)
		if err != nil {
			return err
		}
		if s.postgres, err = pgserver.Start(ctx, pgserver.Options{BinDir: bin}); err != nil {
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		spec, files["ledger/dsn"] = "postgres: {dsnSecretRef: {name: ledger, key: dsn}, maxConnections: 16}", s.postgres.DSN()
	}
	files["brand.yaml"] = fmt.Sprintf(brandConfig, spec, s.sandboxURL+sandbox.ZhimaiPath, s.sandboxURL+sandbox.ALSCPath)
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// brandArgs are the flags of every command of the connector.
func (s *stage) brandArgs() []string {
	args := []string{"--config", filepath.Join(s.dir, "brand.yaml"), "--credentials-dir", s.dir}
	return append(args, s.ledgerArgs()...)
}

func (s *stage) ledgerArgs() []string {
	if s.postgres != nil {
		return nil
	}
	return []string{"--ledger-path", filepath.Join(s.dir, "ledger.db")}
}

// ledger opens the ledger for reading, beside the connector that writes it.
func (s *stage) ledger(ctx context.Context) (*ledger.Ledger, error) {
	c := ledger.Config{ReadOnly: true, Logger: slog.New(slog.DiscardHandler)}
	if s.postgres != nil {
		c.DSN, c.MaxConnections = s.postgres.DSN(), 2
	} else {
		c.Path, c.AllowFUSE = filepath.Join(s.dir, "ledger.db"), true
	}
	return ledger.Open(ctx, c)
}

func (s *stage) close(keep bool, progress io.Writer) error {
	var errs []error
	for i := len(s.processes) - 1; i >= 0; i-- {
		errs = append(errs, s.processes[i].end())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Close())
	}
	if keep {
		fmt.Fprintln(progress, "kept:", s.dir)
	} else {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// process is a program of the stage, ended by its own process id.
type process struct {
	name, log string
	cmd       *exec.Cmd
	gone      chan struct{}
	state     error // after gone
}

// start starts a program and waits until it answers its probe.
func (s *stage) start(ctx context.Context, name, probe string, args ...string) error {
	p := &process{name: name, log: filepath.Join(s.dir, name+".log"), gone: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return err
	}
	p.cmd = exec.Command(filepath.Join(s.dir, name), args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the %s: %w", name, err), out.Close())
	}
	s.processes = append(s.processes, p)
	go func() {
		p.state = p.cmd.Wait()
		_ = out.Close()
		close(p.gone)
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !answers(ctx, probe) {
		select {
		case <-p.gone:
			return fmt.Errorf("the %s ended while starting: %s\n%s", name, p.cmd.ProcessState, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("the %s does not answer %s\n%s", name, probe, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// tail is the end of the process's log.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

func (p *process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it is gone
	select {
	case <-p.gone:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.gone
		return fmt.Errorf("the %s did not end within 30 s of SIGTERM", p.name)
	}
	if p.state != nil {
		return fmt.Errorf("the %s: %w\n%s", p.name, p.state, p.tail())
	}
	return nil
}

// giveBackByHand does what a clerk does in Zhimai's back office: gives back a part of a
// consumption, which no call of the connector's can.
func (s *stage) giveBackByHand(ctx context.Context, flowID string, part assets) error {
	params := map[string]any{"bizId": flowID, "operatorName": "li.si", "remark": "back office"}
	if part.fen > 0 {
		params["amount"] = fmt.Sprintf("%d.%02d", part.fen/100, part.fen%100)
	}
	if part.points > 0 {
		params["points"] = part.points
	}
	if len(part.coupons) > 0 {
		params["couponsCardList"] = part.coupons
	}
	stamp, nonce := fmt.Sprint(time.Now().Unix()), fmt.Sprint(time.Now().UnixNano())
	body, err := json.Marshal(map[string]any{
		"OpenId": "open", "GrantCode": "grant", "Timestamp": stamp, "Nonce": nonce,
		"Token": sandbox.ZhimaiToken("key", "open", "grant", stamp, nonce, false), "Action": zhimaiReversal, "Params": params,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.sandboxURL+sandbox.ZhimaiPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.box.Client.Do(req)
	if err != nil {
		return fmt.Errorf("give back by hand: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("give back by hand: %w", err)
	}
	var said struct{ Data struct{ Code any } }
	if err := json.Unmarshal(raw, &said); err != nil || fmt.Sprint(said.Data.Code) != "0" {
		return fmt.Errorf("give back by hand: Zhimai says %s", raw)
	}
	return nil
}

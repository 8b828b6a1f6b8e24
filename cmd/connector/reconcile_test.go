// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/brand"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/service"
)

const bothVendors = `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: xiaowang}
spec:
  brandID: "11342"
  keruyun: {credentialsSecretRef: {name: kry}, replyDeadline: 20s} # a busy machine is no fault
  providers:
    alsc: {endpoint: ALSC, credentialsSecretRef: {name: alsc}}
    zhimai: {endpoint: ZHIMAI, credentialsSecretRef: {name: zhimai}}
  routes:
  - {name: balance, match: {assetMappingIDs: ["100001"]}, asset: StoredValue, provider: alsc}
  - {name: gift-card, match: {assetMappingIDs: ["400001"]}, asset: StoredValue, provider: zhimai}
  ledger:
    embedded: {size: 1Gi}
`

// desk is a connector at work, and the command beside it.
type desk struct {
	t    *testing.T
	srv  *sandbox.Server
	till sandbox.Keruyun
	dir  string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	sc := sandbox.DemoConfig()
	d := &desk{t: t, srv: sandboxtest.Start(t, sc), dir: t.TempDir()}
	account, app := sc.Zhimai.Accounts[0], sc.ALSC.Apps[0]
	for name, text := range map[string]string{
		"brand.yaml": strings.NewReplacer("ALSC", d.srv.ALSCURL, "ZHIMAI", d.srv.ZhimaiURL).Replace(bothVendors),
		"kry/appKey": "k", "kry/token": "t", "alsc/appKey": app.AppKey, "alsc/appSecret": app.AppSecret,
		"zhimai/openId": account.OpenID, "zhimai/openKey": account.OpenKey, "zhimai/grantCode": account.GrantCode,
	} {
		path := filepath.Join(d.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := brand.Load(brand.Files{Object: filepath.Join(d.dir, "brand.yaml"), Credentials: d.dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := service.Start(t.Context(), service.Config{
		Brand: b, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", LedgerPath: filepath.Join(d.dir, "ledger.db"),
		DrainTimeout: 20 * time.Second, Owner: "test", Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	d.till = sandbox.Keruyun{BaseURL: "http://" + s.Addr().String(), BrandID: "11342", AppKey: "k", Token: "t"}
	return d
}

// spend redeems at both vendors in one request.
func (d *desk) spend(n int) {
	d.t.Helper()
	status, reply, err := d.till.Verify(d.t.Context(), []byte(fmt.Sprintf(`{"bizId":"b%d","kryPaymentNo":"p%d","kryShopId":"8066287","thirdMemberId":"1001","operatorId":"1",
		"memberAssetsVerificationList":[{"assetMappingId":"100001","verifyAmount":%d},{"assetMappingId":"400001","verifyAmount":50}]}`, n, n, 100+n)))
	if err != nil || status != 200 || !bytes.Contains(reply, []byte(`"success":true`)) {
		d.t.Fatalf("%v, HTTP %d: %s", err, status, reply)
	}
}

// run runs the command a few seconds later, when what was just done lies in the past.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	var out, errs bytes.Buffer
	cmd := reconcileCommand(&out, &errs, func() time.Time { return time.Now().Add(5 * time.Second) })
	cmd.SilenceUsage = true
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{
		"--config", filepath.Join(d.dir, "brand.yaml"), "--credentials-dir", d.dir, "--ledger-path", filepath.Join(d.dir, "ledger.db"),
		"--from", "1h", "--to", "1s", "--page-size", "2", "--requests-per-second", "1000",
	}, args...))
	err := cmd.ExecuteContext(d.t.Context())
	return out.String(), errs.String(), exitCode(err)
}

func TestReconcileBesideAConnector(t *testing.T) {
	d := newDesk(t)
	for n := range 3 {
		d.spend(n)
	}
	for range 2 {
		out, progress, code := d.run()
		if code != 0 || !strings.Contains(out, "The books agree.") || !strings.Contains(progress, "of 3 flows read") {
			t.Fatalf("exit code %d\n%s\n%s", code, out, progress)
		}
	}
	// A difference: exit code 2, and it stands in the file and in the metrics.
	entry := d.srv.Sandbox.Books().Entries(books.Filter{Vendor: books.ALSC})[0]
	if err := d.srv.Sandbox.Plant(sandbox.Plant{Vendor: books.ALSC, Key: entry.Key, Hide: true}); err != nil {
		t.Fatal(err)
	}
	report, metrics := filepath.Join(d.dir, "report.csv"), filepath.Join(d.dir, "brand.prom")
	for range 2 { // the files are replaced
		out, _, code := d.run("-o", "csv", "--output", report, "--metrics-file", metrics)
		if code != exitDiffers || out != "" {
			t.Fatalf("exit code %d\n%s", code, out)
		}
	}
	for path, want := range map[string]string{
		report:  "missing-there,no-flow,alsc," + entry.Key,
		metrics: `hexiao_reconcile_rows{brand="11342",provider="alsc",verdict="missing-there"} 1`,
	} {
		raw, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s (%v) lacks %s:\n%s", path, err, want, raw)
		}
	}
	if left, err := filepath.Glob(filepath.Join(d.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if out, _, code := d.run("-o", "json"); code != exitDiffers || !strings.Contains(out, `"agrees": false`) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	// A vendor that is away says nothing about the books: exit code 1, and no report.
	if err := d.srv.Sandbox.SetCredentials(nil, []sandbox.TOPApp{{AppKey: "another", AppSecret: "x"}}); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := d.run("--metrics-file", filepath.Join(d.dir, "none.prom")); code != 1 || out != "" || !strings.Contains(errs, "alsc") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "none.prom")); !os.IsNotExist(err) {
		t.Errorf("metrics of a run that failed: %v", err)
	}
}

func TestReconcileNamesTheFlagAtFault(t *testing.T) {
	s := &desk{t: t, dir: t.TempDir()}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a format":            {[]string{"-o", "xml"}, "--format"},
		"a time":              {[]string{"--from", "yesterday"}, "--from"},
		"an end":              {[]string{"--to", "soon"}, "--to"},
		"no end":              {[]string{"--to", ""}, "--to"},
		"ends before":         {[]string{"--from", "1h", "--to", "2h"}, "--from must be before --to"},
		"the future":          {[]string{"--to", "2999-01-01T00:00:00Z"}, "future"},
		"a zone":              {[]string{"--time-zone", "Mars"}, "--time-zone"},
		"no ledger's object":  {nil, "brand.yaml"},
		"an unknown argument": {[]string{"more"}, "more"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, errs, code := s.run(tc.args...); code != 1 || !strings.Contains(errs, tc.want) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
}

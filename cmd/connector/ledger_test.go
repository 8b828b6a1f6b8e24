// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/ledger/ledgertest"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/hack/postgres/pgtest"
)

// stage is a brand whose ledger is open for writing, as a connector's is.
type stage struct {
	args   []string // --config and so on
	writer *ledger.Ledger
}

const objectText = `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: xiaowang}
spec:
  brandID: "11342"
  keruyun: {credentialsSecretRef: {name: kry}}
  providers:
    alsc: {credentialsSecretRef: {name: alsc}}
  routes:
  - {name: balance, match: {assetMappingIDs: ["100001"]}, asset: StoredValue, provider: alsc}
  ledger:
    `

// onStage lays the brand's files and opens its ledger for writing.
func onStage(t *testing.T, c ledger.Config, spec string) *stage {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"brand.yaml": objectText + spec + "\n", "credentials/kry/appKey": "k", "credentials/kry/token": "t",
		"credentials/alsc/appKey": "1", "credentials/alsc/appSecret": "s", "credentials/pg/dsn": c.DSN,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ledger.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	args := []string{"--config", filepath.Join(dir, "brand.yaml"), "--credentials-dir", filepath.Join(dir, "credentials")}
	if c.Path != "" {
		args = append(args, "--ledger-path", c.Path)
	}
	return &stage{args, l}
}

func stages(t *testing.T) map[string]*stage {
	t.Helper()
	return map[string]*stage{
		"SQLite":     onStage(t, ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")}, "embedded: {size: 1Gi}"),
		"PostgreSQL": onStage(t, ledger.Config{DSN: pgtest.DSN(t), Schema: "brand_a"}, "postgres: {dsnSecretRef: {name: pg, key: dsn}, schema: brand_a}"),
	}
}

// clock stands three days after the redemptions of ledgertest.
func clock() time.Time { return ledgertest.T0.Add(72 * time.Hour) }

// run runs a ledger command as main does, but for the clock.
func (s *stage) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := ledgerCommand(&out, &errs, clock)
	cmd.SilenceUsage = true
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append(args[:len(args):len(args)], s.args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), exitCode(err)
}

func TestAMistypedLedgerCommandIsNoSuccess(t *testing.T) {
	var out bytes.Buffer
	cmd := command(&out, &out)
	cmd.SetArgs([]string{"ledger", "retian"})
	err := cmd.ExecuteContext(t.Context())
	if code := exitCode(err); code != 1 || !strings.Contains(out.String(), `there is no command "retian": did you mean retain? Or see hexiao-connector ledger --help`) {
		t.Errorf("code %d: %s", code, out.String())
	}
}

// redeemed stores a redemption with everything executed.
func (s *stage) redeemed(t *testing.T, bizID string) redeem.Redemption {
	t.Helper()
	r := ledgertest.Record(t, s.writer, ledgertest.New(bizID))
	r, err := s.writer.Apply(t.Context(), ledgertest.Executed(r, ledgertest.T0.Add(time.Second)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLedgerCommandsBesideTheWriter(t *testing.T) {
	for name, s := range stages(t) {
		t.Run(name, func(t *testing.T) {
			r := s.redeemed(t, "b1")
			s.redeemed(t, "=b2")
			back := ledgertest.Record(t, s.writer, ledgertest.Reversal("back", "b1", 400, 0))
			if _, err := s.writer.Apply(t.Context(), ledgertest.Executed(back, ledgertest.T0.Add(time.Minute))); err != nil {
				t.Fatal(err)
			}
			t.Run("show by each name", func(t *testing.T) { s.showsByEachName(t, r) })
			t.Run("nothing found", func(t *testing.T) {
				out, errs, code := s.run(t, "show", "--order", "none", "--since", "24h")
				if want := "nothing found for brand 11342 by --order none, --since 24h"; code != exitNothing || out != "" || !strings.Contains(errs, want) {
					t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
				}
			})
			t.Run("verify", func(t *testing.T) {
				if out, errs, code := s.run(t, "verify"); code != 0 || !strings.HasPrefix(out, "intact: brand 11342: 3 redemptions, ") {
					t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
				}
			})
			t.Run("export", func(t *testing.T) { s.exports(t) })
			t.Run("retain counts beside the writer", func(t *testing.T) {
				if out, errs, code := s.run(t, "retain", "--older-than", "1d", "--dry-run"); code != 0 || !strings.HasPrefix(out, "brand 11342: ") {
					t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
				}
			})
			if err := s.writer.Ping(context.Background()); err != nil {
				t.Errorf("the writer was disturbed: %v", err)
			}
		})
	}
}

func (s *stage) showsByEachName(t *testing.T, r redeem.Redemption) {
	for _, flags := range [][]string{
		{"--biz-id", r.BizID}, {"--order", r.TransOrderNo}, {"--payment", r.PaymentNo}, {"--flow-id", r.FlowID},
		{"--trace-id", r.TraceID, "--biz-id", r.BizID}, {"--since", "2026-03-01T00:00:00Z", "--until", "2026-03-02T00:00:00Z", "--order", r.TransOrderNo},
		{"--state", "executed", "--biz-id", r.BizID},
	} {
		out, errs, code := s.run(t, append([]string{"show", "-o", "json"}, flags...)...)
		var got struct {
			Redemptions []struct {
				BizID     string
				Reversals []struct{ BizID string }
				Events    []struct{ Kind string }
			}
			Totals struct{ Net struct{ Fen int64 } }
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
			t.Fatalf("%v: code %d, %v, stderr %q", flags, code, err, errs)
		}
		if len(got.Redemptions) != 1 || got.Redemptions[0].BizID != "b1" || len(got.Redemptions[0].Reversals) != 1 || len(got.Redemptions[0].Events) == 0 || got.Totals.Net.Fen != 600 {
			t.Errorf("%v found %+v", flags, got)
		}
	}
	out, _, code := s.run(t, "show", "--biz-id", "b1")
	if want := "In all: 1 redemption, 1 reversal; redeemed 10.00 yuan, 2 coupons; given back 4.00 yuan; net 6.00 yuan, 2 coupons.\n"; code != 0 || !strings.HasSuffix(out, want) {
		t.Errorf("code %d:\n%s", code, out)
	}
}

func (s *stage) exports(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	if _, errs, code := s.run(t, "export", "--output", path); code != 0 || errs != "3 redemptions\n" {
		t.Fatalf("code %d, stderr %q", code, errs)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 6 { // the heading, two lines of each redemption, one of the reversal
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if diff := cmp.Diff(ledger.Columns(), rows[0]); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	formula := false
	for _, row := range rows[1:] {
		formula = formula || row[column["biz_id"]] == "'=b2"
		fen, yuan := row[column["amount_fen"]], row[column["amount_yuan"]]
		if want := map[string]string{"1000": "10.00", "400": "4.00", "0": "0.00"}[fen]; yuan != want {
			t.Errorf("%s fen are %q yuan", fen, yuan)
		}
	}
	if !formula {
		t.Error("a bizId that is a formula was not made text")
	}
	if _, errs, code := s.run(t, "export", "--output", path); code != 1 || !strings.Contains(errs, "--output") {
		t.Errorf("a file was overwritten: code %d, stderr %q", code, errs)
	}
}

func TestLedgerRetain(t *testing.T) {
	for name, s := range stages(t) {
		t.Run(name, func(t *testing.T) {
			s.redeemed(t, "old")
			out, errs, code := s.run(t, "retain", "--older-than", "1d", "--yes")
			if name == "SQLite" {
				if code != 1 || !strings.Contains(errs, "a connector is running on this ledger; stop it first") {
					t.Fatalf("beside the writer: code %d, stdout %q, stderr %q", code, out, errs)
				}
				if err := s.writer.Close(); err != nil {
					t.Fatal(err)
				}
				out, errs, code = s.run(t, "retain", "--older-than", "1d", "--yes")
			}
			if want := "brand 11342: 1 redemptions"; code != 0 || !strings.HasPrefix(out, want) {
				t.Fatalf("code %d, stdout %q, stderr %q", code, out, errs)
			}
			out, errs, code = s.run(t, "show", "--biz-id", "old")
			if code != 0 || !strings.Contains(out, "RETIRED") {
				t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
			}
			if out, _, code := s.run(t, "verify"); code != 0 || !strings.Contains(out, "1 seal, 1 tombstone") {
				t.Errorf("verify: code %d, %q", code, out)
			}
		})
	}
}

func TestLedgerVerifyFindsABreak(t *testing.T) {
	s := onStage(t, ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")}, "embedded: {size: 1Gi}")
	s.redeemed(t, "b1")
	tamper(t, s.args[len(s.args)-1], "UPDATE line SET total_fen = total_fen + 1")
	out, errs, code := s.run(t, "verify")
	if code != exitBroken || !strings.HasPrefix(out, "BROKEN: brand 11342: VERIFY b1") {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errs)
	}
}

func TestLedgerRefusesBadFlags(t *testing.T) {
	s := onStage(t, ledger.Config{Path: filepath.Join(t.TempDir(), "ledger.db")}, "embedded: {size: 1Gi}")
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a state that there is not":  {[]string{"show", "--state", "lost"}, `--state "lost": use sent`},
		"a time in no known form":    {[]string{"show", "--since", "yesterday"}, `--since "yesterday": use a duration`},
		"a range that ends first":    {[]string{"show", "--since", "1h", "--until", "2h"}, "--since must be before --until"},
		"an output there is not":     {[]string{"show", "-o", "xml"}, `--output "xml": use table`},
		"a limit of nothing":         {[]string{"show", "--limit", "0"}, "--limit 0: use 1"},
		"a time zone there is not":   {[]string{"show", "--time-zone", "Mars/Base"}, `--time-zone "Mars/Base"`},
		"a format there is not":      {[]string{"export", "--format", "xls"}, `--format "xls": use csv or json`},
		"an age that is no duration": {[]string{"retain", "--older-than", "old", "--yes"}, `--older-than "old": use a duration`},
		"an age that is too young":   {[]string{"retain", "--older-than", "1h", "--yes"}, `--older-than "1h": at least 1d`},
		"retention without a yes":    {[]string{"retain", "--older-than", "400d"}, "confirm with --yes"},
		"retention without an age":   {[]string{"retain", "--yes"}, `"older-than" not set`},
		"a command there is not":     {[]string{"retian", "--older-than", "400d", "--yes"}, `there is no command "retian": did you mean retain?`},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := s.run(t, tc.args...)
			if code != 1 || out != "" || !strings.Contains(errs, tc.want) {
				t.Errorf("code %d, stdout %q, stderr %q; want %q", code, out, errs, tc.want)
			}
		})
	}
}

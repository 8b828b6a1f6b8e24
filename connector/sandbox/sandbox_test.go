// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

func TestTheSameRequestAtOnceIsBookedOnce(t *testing.T) {
	// On disk a booking takes long enough for the others to catch up.
	w := start(t, func(c *sandbox.Config) { c.BooksFile = filepath.Join(t.TempDir(), "books") })
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() { w.expectTOP(t, dedut, spendParams(), o{"biz_success": true, "result/current_value": "85000"}) })
	}
	wg.Wait()
	want := []sandbox.Delivery{{Vendor: books.ALSC, Method: dedut, Key: "order-1", Deliveries: 32, Booked: 1}}
	if diff := cmp.Diff(want, w.Sandbox.Deliveries(false)); diff != "" {
		t.Error(diff)
	}
}

func TestManyCallsAtOnceKeepTheBooks(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.Zhimai.ReversalAction = "r" })
	w.fault(fault.Rule{Kind: fault.Garbage, Probability: 0.2}, fault.Rule{Kind: fault.SystemError, Probability: 0.2})
	before := w.balance(books.Zhimai) + w.balance(books.ALSC)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			w.zhimai(consume, consumeParams(o{"bizId": key, "amount": "3.00"}))
			w.top(dedut, spendParams(o{"outer_order_id": key, "request_id": key, "value": 300 + rand.IntN(99)}), nil)
			w.top(undedut, object(o{"out_brand_id": "1", "out_shop_id": "1", "operator_id": "1", "outer_order_id": key, "new_outer_order_id": "b" + key, "request_id": "b" + key, "biz_channel": "KRY", "value": 100}), nil)
		})
	}
	wg.Wait()
	var net int64
	for _, n := range w.Sandbox.Books().Nets(books.Filter{}) {
		net += n.NetFen
	}
	if after := w.balance(books.Zhimai) + w.balance(books.ALSC); after+net != before {
		t.Errorf("%d fen left and %d spent are not %d", after, net, before)
	}
	if len(w.Sandbox.Calls(sandbox.CallFilter{Fault: "any"})) == 0 {
		t.Error("no fault fired")
	}
}

func TestBooksOnDiskSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "books")
	onDisk := func(c *sandbox.Config) { c.BooksFile = file }
	first := start(t, onDisk)
	one := first.top(dedut, spendParams(), nil)
	if err := first.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	second := start(t, onDisk)
	if got := second.balance(books.ALSC); got != 85000 {
		t.Fatalf("%d fen, want 85000", got)
	}
	again := second.top(dedut, spendParams(), nil)
	if diff := cmp.Diff(fields(t, one, result(dedut, "result")), fields(t, again, result(dedut, "result"))); diff != "" {
		t.Errorf("the request id must be known after a restart: %s", diff)
	}
	second.expectTOP(t, verify, verifyParams(o{"point": 5}), o{"biz_success": true})
	if err := second.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	start(t, onDisk).expectTOP(t, verify, verifyParams(o{"point": 5}), o{"biz_success": true, "result/point_success": true})
}

func TestConfigNamesTheWrongKey(t *testing.T) {
	tests := map[string]struct{ yaml, want string }{
		"an unknown key":       {"zhimai: {openid: x}", "openid"},
		"an unknown switch":    {"zhimai: {duplicate_biz_id: never}", "zhimai.duplicate_biz_id"},
		"a negative number":    {"call_log: -1", "call_log"},
		"an account in part":   {"zhimai: {accounts: [{open_id: a}]}", "zhimai.accounts[0]"},
		"an app in part":       {"alsc: {apps: [{app_key: a}]}", "alsc.apps[0]"},
		"a split":              {"split: half", "split"},
		"a duration as number": {"zhimai: {skew: 5}", "duration"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := sandbox.ParseConfig([]byte(tc.yaml)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to name %s", err, tc.want)
			}
		})
	}
	for name, tc := range map[string]struct{ yaml, want string }{
		"a member without an id": {"members: [{vendor: alsc}]", "members[0].id"},
		"a fault of no kind":     {"faults: [{vendor: alsc}]", "faults[0].kind"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := sandbox.ParseConfig([]byte(tc.yaml))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sandbox.New(c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to name %s", err, tc.want)
			}
		})
	}
}

func TestAConfigFile(t *testing.T) {
	c, err := sandbox.ParseConfig([]byte(`
split: real-first
zhimai:
  accounts: [{open_id: a, open_key: b, grant_code: c}]
  skew: 1m
members:
- {vendor: zhimai, id: "7", balance: {real: 5, gift: 6}, coupons: [{id: "390962138708451328"}]}
faults:
- {kind: slow, delay_before: 1.5s, count: 2}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Split != books.RealFirst || c.Zhimai.NonceReuse != "refuse" || c.Members[0].Coupons[0].ID != "390962138708451328" || c.Faults[0].DelayBefore != 15e8 {
		t.Errorf("got %+v", c)
	}
}

func TestLogsHoldNothingPersonal(t *testing.T) {
	var log bytes.Buffer
	cfg := sandbox.DemoConfig()
	cfg.Members[0].PayPassword = "CANARY-password"
	cfg.Members[0].Name, cfg.Members[0].Mobile = "CANARY-name", "CANARY-mobile"
	s, err := sandbox.New(cfg, sandbox.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := sandbox.Serve(s, sandbox.Addresses{All: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, nil)
	w.pass(realNow().Sub(w.now()))
	w.post(context.Background(), srv.ZhimaiURL, "application/json",
		w.zhimaiBody(consume, consumeParams(o{"usePassword": "1", "payPassword": "CANARY-password", "operatorName": "CANARY-operator"}), nil))
	w.post(context.Background(), srv.ZhimaiURL, "application/json",
		w.zhimaiBody("communal.user.gether-customer-info", object(o{"type": 2, "identifierNumber": "CANARY-mobile"}), nil))
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(s.Books().Entries(books.Filter{})) != 1 {
		t.Error("the call was not booked")
	}
	for _, secret := range []string{"CANARY", "demo-open-key", "demo-app-secret"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s: %s", secret, log.String())
		}
	}
	if !strings.Contains(log.String(), `"method":"communal.user.consume"`) {
		t.Errorf("the log does not tell of the call: %s", log.String())
	}
}

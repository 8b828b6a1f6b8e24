// SPDX-License-Identifier: Apache-2.0

// Package admintest runs a whole connector for a test of who decides by hand: that of
// servicetest, with its admin API. Zhimai's legs in doubt wait for a person, those of
// ALSC are looked up.
package admintest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver, for Tamper

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/service"
	"github.com/hexiao-dev/hexiao/connector/service/servicetest"
)

// Routes of the brand, by the vendor that spends.
const (
	AtZhimai = "400001" // stored value
	AtALSC   = "100001" // stored value

	CouponAtZhimai = "400002"
	PointsAtZhimai = "400003"
)

// A till is answered and a vendor called in the time that they take, for a busy machine
// is no fault: what a test has hang is given up after lateAnswerWindow.
const object = `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: xiaowang}
spec:
  brandID: "11342"
  keruyun:
    credentialsSecretRef: {name: keruyun}
    replyDeadline: 60s
  providers:
    zhimai:
      endpoint: http://hexiao-sandbox/zhimai/api/v2
      credentialsSecretRef: {name: zhimai}
      limits: {lateAnswerWindow: 12s}
    alsc:
      endpoint: http://hexiao-sandbox/top/router/rest
      credentialsSecretRef: {name: alsc}
      limits: {lateAnswerWindow: 12s}
  routes:
  - name: balance
    match: {assetMappingIDs: ["100001"]}
    asset: StoredValue
    provider: alsc
  - name: gift-card
    match: {assetMappingIDs: ["400001"]}
    asset: StoredValue
    provider: zhimai
  - name: coupons
    match: {assetMappingIDs: ["400002"]}
    asset: Coupon
    provider: zhimai
  - name: points
    match: {assetMappingIDs: ["400003"]}
    asset: Points
    provider: zhimai
  ledger:
    embedded: {size: 1Gi}
`

var credentials = map[string]string{
	"keruyun/appKey": "test-app", "keruyun/token": "test-brand-token",
	"zhimai/openId": "demo-open-id", "zhimai/openKey": "demo-open-key", "zhimai/grantCode": "demo-grant",
	"alsc/appKey": "12345678", "alsc/appSecret": "demo-app-secret",
}

// Connector is one that runs.
type Connector struct {
	t       testing.TB
	Sandbox *sandbox.Sandbox
	Till    sandbox.Keruyun
	// Client calls the admin API over the loopback interface.
	Client *adminapi.Client
	Port   int
	ledger string // the file
}

// Start runs a connector until the test ends.
func Start(t testing.TB) *Connector {
	t.Helper()
	return start(t, object, moment)
}

// HastyWindow is how long a connector of StartHasty waits for a vendor's answer.
const HastyWindow = 100 * time.Second

// StartHasty is Start with a till that hears soon that it is not known yet, of calls whose
// answer is waited for so long that a test can look at what is under way. EndCalls ends
// them before.
func StartHasty(t testing.TB) *Connector {
	t.Helper()
	hasty := strings.NewReplacer("replyDeadline: 60s", "replyDeadline: 3s", "lateAnswerWindow: 12s", "lateAnswerWindow: "+HastyWindow.String()).Replace(object)
	c := start(t, hasty, moment)
	t.Cleanup(func() { c.EndCalls("zhimai") }) // the connector would wait for them
	return c
}

// EndCalls breaks the connections of a vendor, and with them the calls that it does not
// answer.
func (c *Connector) EndCalls(vendor string) {
	c.t.Helper()
	for _, mode := range []sandbox.DownMode{sandbox.Reset, sandbox.Up} {
		if err := c.Sandbox.SetDown(books.Vendor(vendor), mode); err != nil {
			c.t.Error(err)
		}
	}
}

// StartLate is Start with a connector that takes a person's "refused" only when
// so long has gone by since the sending.
func StartLate(t testing.TB, refusalWindow time.Duration) *Connector {
	t.Helper()
	return start(t, object, refusalWindow)
}

// moment is a window that is over as soon as it begins.
const moment = time.Nanosecond

// StartTraced is Start with a collector that takes OTLP over HTTP, such as
// http://127.0.0.1:4318.
func StartTraced(t testing.TB, otlp string) *Connector {
	t.Helper()
	telemetry := ""
	if otlp != "" {
		telemetry = fmt.Sprintf("  telemetry: {otlpEndpoint: %q, samplingPercent: 100}\n", otlp)
	}
	return start(t, object+telemetry, moment)
}

func start(t testing.TB, object string, refusalWindow time.Duration) *Connector {
	t.Helper()
	running := servicetest.Start(t, servicetest.Config{
		Vendors: sandbox.DemoConfig(), Object: object, Credentials: credentials, AdminListen: "0.0.0.0:0",
		// What is in doubt is checked fast, and a "not found" counts at once.
		Timings: service.Timings{SettleWindow: time.Millisecond, RefusalWindow: refusalWindow, ResolverIdle: 20 * time.Millisecond},
	})
	c := &Connector{t: t, Sandbox: running.Sandbox.Sandbox, Till: running.Till, Port: port(running.Service.AdminAddr().String()), ledger: running.LedgerPath}
	c.Client = &adminapi.Client{Base: fmt.Sprintf("http://127.0.0.1:%d", c.Port), HTTP: &http.Client{Timeout: 2 * time.Minute}}
	return c
}

// Context ends with the test.
func (c *Connector) Context() context.Context { return c.t.Context() }

func port(address string) (p int) {
	_, _ = fmt.Sscanf(address[strings.LastIndex(address, ":")+1:], "%d", &p)
	return p
}

// Fault makes the vendor ("zhimai", "alsc") answer its next count calls of a method
// badly; an empty method is any.
func (c *Connector) Fault(vendor, method string, kind fault.Kind, count int) {
	c.t.Helper()
	if _, err := c.Sandbox.Faults().Add(fault.Rule{Vendor: vendor, Method: method, Kind: kind, Count: count}); err != nil {
		c.t.Fatal(err)
	}
}

// Tamper changes the ledger's file as somebody with a database shell would, without
// what the schema holds against that.
func (c *Connector) Tamper(statement string) {
	c.t.Helper()
	db, err := sql.Open("sqlite", "file:"+c.ledger+"?_pragma=busy_timeout(60000)")
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var drops []string
	rows, err := db.QueryContext(c.t.Context(), "SELECT 'DROP TRIGGER ' || name FROM sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var drop string
		if err := rows.Scan(&drop); err != nil {
			c.t.Fatal(err)
		}
		drops = append(drops, drop)
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	for _, s := range append(drops, statement) {
		if _, err := db.ExecContext(c.t.Context(), s); err != nil {
			c.t.Fatalf("%s: %v", s, err)
		}
	}
}

// Reply is what the till hears.
type Reply struct {
	Code   int
	Result *struct {
		Success bool
		SubCode string
		Data    struct{ FlowID string }
	}
}

// Verify redeems 25.50 yuan of the asset, and says what the till heard.
func (c *Connector) Verify(bizID, assetMappingID string) Reply {
	c.t.Helper()
	return c.VerifyFor(bizID, bizID, assetMappingID)
}

// VerifyFor is Verify for the order T-order and its payment P-order.
func (c *Connector) VerifyFor(bizID, order, assetMappingID string) Reply {
	c.t.Helper()
	return c.verify(bizID, order, fmt.Sprintf(`{"assetMappingId":%q,"assetId":%q,"verifyAmount":2550,"verifyCnt":0}`, assetMappingID, assetMappingID))
}

// VerifyMixed is Verify at Zhimai with a coupon, points, or both beside the stored value.
func (c *Connector) VerifyMixed(bizID, coupon string, points int) Reply {
	c.t.Helper()
	lines := []string{fmt.Sprintf(`{"assetMappingId":%q,"assetId":"1","verifyAmount":2550,"verifyCnt":0}`, AtZhimai)}
	if coupon != "" {
		lines = append(lines, fmt.Sprintf(`{"assetMappingId":%q,"assetId":%q,"verifyAmount":500,"verifyCnt":1}`, CouponAtZhimai, coupon))
	}
	if points > 0 {
		lines = append(lines, fmt.Sprintf(`{"assetMappingId":%q,"assetId":"2","verifyAmount":100,"verifyCnt":%d}`, PointsAtZhimai, points))
	}
	return c.verify(bizID, bizID, strings.Join(lines, ","))
}

func (c *Connector) verify(bizID, order, lines string) Reply {
	c.t.Helper()
	body := fmt.Sprintf(`{"bizId":%q,"kryTransOrderNo":"T-%s","kryPaymentNo":"P-%s","kryMemberId":"1001","thirdMemberId":"1001",
		"mobile":"13912345678","paymentToken":"canary-token","paymentTokenType":"PAYMENT_TOKEN","requestId":"r","kryBrandId":"11342",
		"kryShopId":"8066287","operatorId":"1543","operatorName":"欧阳金丝雀","memberAssetsVerificationList":[%s]}`, bizID, order, order, lines)
	return c.said(c.Till.Verify(c.t.Context(), []byte(body)))
}

// Reverse takes back what flowID redeemed for the order T-original.
func (c *Connector) Reverse(bizID, original, flowID, assetMappingID string) Reply {
	c.t.Helper()
	body := fmt.Sprintf(`{"bizId":%q,"kryTransOrderNo":"T-%s","kryPaymentNo":"P-%s","kryRefundPaymentNo":"R-%s","thirdFlowNo":%q,"kryMemberId":"1001",
		"thirdMemberId":"1001","requestId":"r","kryBrandId":"11342","kryShopId":"8066287","operatorId":"1543","operatorName":"欧阳金丝雀",
		"assetsReverseVerificationList":[{"assetMappingId":%q,"assetId":%q,"reverseVerifyAmount":2550,"reverseVerifyCnt":0}]}`,
		bizID, original, original, bizID, flowID, assetMappingID, assetMappingID)
	return c.said(c.Till.Reverse(c.t.Context(), []byte(body)))
}

// Decide takes a decision on the redemption's first leg by force, after a look-up.
func (c *Connector) Decide(bizID, decision string) {
	c.t.Helper()
	if _, err := c.Client.LookUp(c.t.Context(), "VERIFY", bizID, adminapi.Person{Who: "li@example.com"}); err != nil {
		c.t.Fatal(err)
	}
	_, err := c.Client.Resolve(c.t.Context(), "VERIFY", bizID, 0, adminapi.Decision{Decision: decision, Reason: "the guest's bill was cancelled", Who: "li@example.com", Force: true})
	if err != nil {
		c.t.Fatal(err)
	}
}

// Settled waits until the redemption has its answer.
func (c *Connector) Settled(bizID string) {
	c.t.Helper()
	servicetest.Await(c.t, "answer of "+bizID, func() bool {
		r, err := c.Client.Redemption(c.t.Context(), "VERIFY", bizID)
		if err != nil {
			c.t.Fatal(err)
		}
		return r.ConcludedAt != nil
	})
}

func (c *Connector) said(_ int, raw []byte, err error) Reply {
	c.t.Helper()
	var r Reply
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		c.t.Fatalf("the till's call: %v: %s", err, raw)
	}
	return r
}

// InDoubt waits until n legs wait for a person, and returns them.
func (c *Connector) InDoubt(n int) []adminapi.Doubt {
	c.t.Helper()
	var items []adminapi.Doubt
	servicetest.Await(c.t, fmt.Sprintf("%d legs for a person", n), func() bool {
		list, err := c.Client.InDoubt(c.t.Context(), 0)
		if err != nil {
			c.t.Fatal(err)
		}
		items = items[:0]
		for _, d := range list.Items {
			if d.WaitsFor == adminapi.WaitsForPerson {
				items = append(items, d)
			}
		}
		return len(items) == n
	})
	return items
}

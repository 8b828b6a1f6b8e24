// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/hack/freeport"
)

// The brand of every cell. The credentials are of no use elsewhere.
const (
	brandID      = "11342"
	keruyunApp   = "fault-suite-app"
	keruyunToken = "fault-suite-token"
)

// The connector's timings in a cell: those of production, an order of magnitude
// shorter. What depends on another keeps its order: reply, call, lease, settle window.
const (
	replyDeadline = 1200 * time.Millisecond
	callWindow    = 2 * time.Second
	leaseMargin   = 500 * time.Millisecond
	settleWindow  = 3 * time.Second
	abandonAfter  = 3 * time.Second
	resolverIdle  = 150 * time.Millisecond
	resolverLease = 6 * time.Second
)

var timingFlags = []string{
	"--lease-margin=" + leaseMargin.String(), "--settle-window=" + settleWindow.String(), "--abandon-after=" + abandonAfter.String(),
	"--resolver-idle=" + resolverIdle.String(), "--resolver-lease=" + resolverLease.String(), "--drain-delay=0s",
}

// column is what a row is tried with.
type column struct {
	postgres bool
	vendors  []books.Vendor
}

func (c column) String() string { return c.ledger() + " " + c.vendor() }

func (c column) ledger() string {
	if c.postgres {
		return "postgres"
	}
	return "sqlite"
}

func (c column) vendor() string {
	if len(c.vendors) == 2 {
		return "both"
	}
	return string(c.vendors[0])
}

// options are what a row wants otherwise than usual.
type options struct {
	// inDoubt is each vendor's strategy. By default Zhimai's is Manual, and QueryBills
	// in the column of both; ALSC's is Query.
	inDoubt map[books.Vendor]string
	partial string // spec.partialFailure
	sandbox func(*sandbox.Config)
	// ownPostgres: the row stops the server, so it cannot share it.
	ownPostgres bool
	// replicas is how many connectors may be started; more than one on PostgreSQL only.
	replicas int
}

// world is one cell while it runs. Its methods end the cell by a panic with a *broken
// when the test itself cannot go on, which is neither pass nor verdict.
type world struct {
	ctx  context.Context
	rng  *rand.Rand
	dir  string
	col  column
	opt  options
	tool *toolbox

	box    *sandbox.Server
	store  backend
	sales  []*sale
	others []*sale // reversals, judged with the sale that they undo
	notes  []string
	found  []string // lies that a row saw by itself

	mu    sync.Mutex
	conns []*connector // by replica; nil before the first start
	tills []*till
	urls  []string
	admin []string
	clock string

	figures string         // what a long run measured
	later   func(*verdict) // of a long run: judges and adds figures in the end
}

// broken ends a cell that could not be carried out.
type broken struct{ error }

func (w *world) must(err error) {
	if err != nil {
		panic(&broken{err})
	}
}

func (w *world) demand(ok bool, format string, args ...any) {
	if !ok {
		panic(&broken{fmt.Errorf(format, args...)})
	}
}

// lie is for what only the row can see to be wrong.
func (w *world) lie(format string, args ...any) {
	w.found = append(w.found, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// open lays the world out: sandbox, ledger, configuration. Nothing runs yet.
func (w *world) open() {
	cfg := sandbox.Config{
		Seed:    w.rng.Uint64(),
		CallLog: 200000,
		// A vendor that refuses a nonce twice would hide a client that sends the same bytes twice.
		Zhimai: sandbox.ZhimaiConfig{
			Accounts: []sandbox.ZhimaiAccount{{OpenID: "open", OpenKey: "key", GrantCode: "grant"}}, NonceReuse: "allow",
		},
		ALSC: sandbox.ALSCConfig{Apps: []sandbox.TOPApp{{AppKey: "12345678", AppSecret: "secret"}}, FlowNotFound: "empty"},
	}
	if w.opt.sandbox != nil {
		w.opt.sandbox(&cfg)
	}
	log, err := os.OpenFile(filepath.Join(w.dir, "sandbox.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.must(err)
	box, err := sandbox.New(cfg, sandbox.WithLogger(slog.New(slog.NewJSONHandler(log, nil))))
	w.must(err)
	w.box, err = sandbox.Serve(box, sandbox.Addresses{All: "127.0.0.1:0", Zhimai: "127.0.0.1:0", ALSC: "127.0.0.1:0"})
	w.must(err)
	w.store, err = w.tool.backend(w.ctx, w.dir, w.col.postgres, w.opt.ownPostgres)
	w.must(err)
	w.clock = filepath.Join(w.dir, "clock")
	for range max(1, w.opt.replicas) {
		spi, err := freeport.Find()
		w.must(err)
		admin, err := freeport.Find()
		w.must(err)
		url := "http://" + spi
		w.urls, w.admin = append(w.urls, url), append(w.admin, "http://"+admin)
		w.tills, w.conns = append(w.tills, newTill(url, replyDeadline+2*time.Second)), append(w.conns, nil)
	}
	w.must(w.writeBrand())
}

// close ends what runs. The files stay; the caller keeps or removes them.
func (w *world) close() {
	for _, c := range w.conns {
		if c != nil && c.alive() {
			c.kill()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if w.box != nil {
		_ = w.box.Shutdown(ctx)
	}
	if w.store != nil {
		w.store.close()
	}
}

func (w *world) strategy(v books.Vendor) string {
	if s := w.opt.inDoubt[v]; s != "" {
		return s
	}
	if v == books.ALSC {
		return "Query"
	}
	if len(w.col.vendors) == 2 {
		return "QueryBills"
	}
	return "Manual"
}

func (w *world) manual() bool {
	return slices.ContainsFunc(w.col.vendors, func(v books.Vendor) bool { return w.strategy(v) == "Manual" })
}

// writeBrand writes the BrandConnector and its credentials.
func (w *world) writeBrand() error {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: connect.hexiao.dev/v1alpha1
kind: BrandConnector
metadata: {name: faults}
spec:
  brandID: %q
  keruyun: {credentialsSecretRef: {name: kry}, replyDeadline: %s}
  partialFailure: %s
  telemetry: {samplingPercent: 0}
  ledger: {%s}
  providers:
`, brandID, replyDeadline, orText(w.opt.partial, "Report"), w.store.spec())
	limits := fmt.Sprintf("{requestsPerSecond: 10000, concurrency: 200, lateAnswerWindow: %s}", callWindow)
	files := map[string]string{"kry/appKey": keruyunApp, "kry/token": keruyunToken}
	for name, text := range w.store.secrets() {
		files[name] = text
	}
	var routes strings.Builder
	for _, v := range w.col.vendors {
		endpoint := w.box.ZhimaiURL
		if v == books.ALSC {
			endpoint = w.box.ALSCURL
			files["alsc/appKey"], files["alsc/appSecret"] = "12345678", "secret"
		} else {
			files["zhimai/openId"], files["zhimai/openKey"], files["zhimai/grantCode"] = "open", "key", "grant"
		}
		fmt.Fprintf(&b, "    %s: {endpoint: %q, credentialsSecretRef: {name: %s}, inDoubt: %s, limits: %s}\n", v, endpoint, v, w.strategy(v), limits)
		fmt.Fprintf(&routes, "  - {name: %s, match: {assetMappingIDs: [%q]}, asset: StoredValue, provider: %s}\n", v, assetMapping[v], v)
	}
	b.WriteString("  routes:\n" + routes.String())
	files["brand.yaml"] = b.String()
	for name, text := range files {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// start starts the first connector; faults are "kill@POINT", "stop@POINT:N" and the
// like, see connector/service. startReplica starts another one.
func (w *world) start(faults ...string) { w.startReplica(0, faults...) }

func (w *world) startReplica(n int, faults ...string) {
	w.must(w.tryStart(n, faults...))
}

func (w *world) tryStart(n int, faults ...string) error {
	if err := w.launch(n, faults...); err != nil {
		return err
	}
	return w.conns[n].await(w.ctx)
}

// launch starts a connector and does not wait until it serves.
func (w *world) launch(n int, faults ...string) error {
	args := append([]string{
		"serve", "--config", filepath.Join(w.dir, "brand.yaml"), "--credentials-dir", w.dir,
		"--listen", strings.TrimPrefix(w.urls[n], "http://"), "--admin-listen", strings.TrimPrefix(w.admin[n], "http://"),
		"--ledger-path", filepath.Join(w.dir, "ledger.db"), "--ledger-allow-fuse", "--owner", fmt.Sprintf("replica-%d", n),
	}, timingFlags...)
	env := []string{"HEXIAO_FAULT_AT=" + strings.Join(faults, ","), "HEXIAO_CLOCK_FILE=" + w.clock}
	c, err := launch(w.tool.connector, args, env, w.urls[n], w.admin[n], filepath.Join(w.dir, fmt.Sprintf("connector-%d.log", n)))
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.conns[n] = c
	w.mu.Unlock()
	return nil
}

func (w *world) conn() *connector { return w.conns[0] }

// awaitDeath waits until the connector has killed itself at its crash point.
func (w *world) awaitDeath() {
	w.eventually("the connector passes its crash point", func() bool { return !w.conn().alive() })
}

// awaitSleep waits until the connector has stopped itself.
func (w *world) awaitSleep() {
	w.eventually("the connector stops itself at its point", w.sleeping)
}

func (w *world) sleeping() bool { return asleep(w.conn().cmd.Process.Pid) }

// eventually polls as long as the cell may take.
func (w *world) eventually(what string, ok func() bool) {
	for end := time.Now().Add(w.tool.patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.demand(false, "waited %s in vain: %s", w.tool.patience, what)
}

var sales counter

// sale makes a payment of a member who has enough of everything, at every vendor of
// the column. Nothing is sent.
func (w *world) sale() *sale {
	n := sales.take()
	s := &sale{
		bizID: fmt.Sprintf("B%d", n), member: strconv.FormatInt(7_000_000_000+n, 10),
		vendors: w.col.vendors, fen: map[books.Vendor]int64{},
	}
	for _, v := range w.col.vendors {
		s.fen[v] = 1 + w.rng.Int64N(50000)
		w.must(w.box.Sandbox.Books().Put(books.Member{
			Vendor: v, ID: s.member, CardID: "88" + s.member, AccountID: "77" + s.member, Name: "张三",
			Balance: books.Money{Real: 800000, Gift: 200000},
		}))
	}
	w.mu.Lock()
	w.sales = append(w.sales, s)
	w.mu.Unlock()
	return s
}

// send has the till pay, and waits for what it hears.
func (w *world) send(s *sale) call { return w.sendTo(0, s) }

func (w *world) sendTo(replica int, s *sale) call {
	return w.tills[replica].ask(w.ctx, s, sandbox.VerifyPath, s.body(0), false)
}

// methods that move money, by vendor.
var spending = map[books.Vendor]string{
	books.Zhimai: "communal.user.consume", books.ALSC: "alibaba.alsc.crm.recharge.dedut.update",
}

// asking are the methods by which a leg is looked up.
var asking = map[books.Vendor]string{
	books.Zhimai: "user.wealth-bills", books.ALSC: "alibaba.alsc.crm.recharge.account.flowdetail.get",
}

// misfortune lets deductions meet r at each vendor of the column that r does not exclude.
func (w *world) misfortune(r fault.Rule) { w.befalls(spending, r) }

func (w *world) befalls(methods map[books.Vendor]string, r fault.Rule) {
	for _, v := range w.col.vendors {
		if r.Vendor != "" && r.Vendor != string(v) {
			continue
		}
		one := r
		one.Vendor, one.Method = string(v), methods[v]
		_, err := w.box.Sandbox.Faults().Add(one)
		w.must(err)
	}
}

// struck fails the cell unless every rule fired: a fault that did not happen proves
// nothing.
func (w *world) struck() {
	for _, r := range w.box.Sandbox.Faults().Rules() {
		w.demand(r.Fired > 0, "the misfortune %s at %s did not happen (it matched %d calls)", r.Kind, r.Vendor, r.Matched)
	}
}

// befell says whether every rule fired that is of one of the kinds, or of any where
// none is named.
func (w *world) befell(kinds ...fault.Kind) bool {
	for _, r := range w.box.Sandbox.Faults().Rules() {
		if r.Fired == 0 && (len(kinds) == 0 || slices.Contains(kinds, r.Kind)) {
			return false
		}
	}
	return true
}

// deducted counts the vendors at which the sale is booked.
func (w *world) deducted(s *sale) int {
	n := 0
	for _, v := range s.vendors {
		if len(w.box.Sandbox.Books().Entries(books.Filter{Vendor: v, Member: s.member, Kind: books.KindSpend})) > 0 {
			n++
		}
	}
	return n
}

// reached counts the calls of methods that arrived for the sale's member.
func (w *world) reached(s *sale, methods map[books.Vendor]string) int {
	n := 0
	for _, v := range s.vendors {
		n += len(w.box.Sandbox.Calls(sandbox.CallFilter{Vendor: v, Method: methods[v], Member: s.member}))
	}
	return n
}

// stepClock sets the wall clocks of the connectors off by so much.
func (w *world) stepClock(d time.Duration) {
	temporary := w.clock + ".new"
	w.must(os.WriteFile(temporary, []byte(strconv.Itoa(int(d/time.Second))), 0o600))
	w.must(os.Rename(temporary, w.clock))
}

// bringBack makes the world whole: no fault is left, every vendor is up, and the first
// connector runs.
func (w *world) bringBack() {
	w.box.Sandbox.Faults().Remove("")
	for _, v := range w.col.vendors {
		w.must(w.box.Sandbox.SetDown(v, sandbox.Up))
	}
	w.must(w.store.revive(w.ctx))
	for i, c := range w.conns {
		if c != nil && c.alive() && asleep(c.cmd.Process.Pid) {
			w.must(c.cmd.Process.Signal(sigcont))
		}
		if c == nil && i > 0 || c != nil && c.alive() {
			continue
		}
		w.startReplica(i)
	}
}

// conclude has the till repeat every sale until it knows, and a person decide what a
// machine cannot.
func (w *world) conclude() {
	deadline := time.Now().Add(w.tool.patience)
	nextPerson := time.Now().Add(callWindow + leaseMargin + 2*time.Second)
	for {
		open := w.repeatOpen()
		if open == 0 {
			return
		}
		if time.Now().After(deadline) || w.ctx.Err() != nil {
			return // the oracle says what is unresolved
		}
		if w.manual() && time.Now().After(nextPerson) {
			w.must(w.person())
			nextPerson = time.Now().Add(3 * time.Second)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// repeatOpen sends what has no terminal answer again, and says how many there are.
func (w *world) repeatOpen() int {
	var open []*sale
	for _, s := range w.sales {
		if _, done := s.terminal(); !done {
			open = append(open, s)
		}
	}
	w.each(open, 16, func(s *sale) { w.send(s) })
	n := 0
	for _, s := range open {
		if _, done := s.terminal(); !done {
			n++
		}
	}
	return n
}

// each runs do for all sales, so many at once.
func (w *world) each(list []*sale, atOnce int, do func(*sale)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, s := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(s)
		})
	}
	wg.Wait()
}

// evidence prints what the cell saw, for a person.
func (w *world) evidence(out io.Writer, v *verdict) {
	for _, s := range append(slices.Clone(w.sales), w.others...) {
		if len(w.sales) > 4 && !v.about(s) {
			continue
		}
		fmt.Fprintf(out, "    %s member %s asked %v heard: %s\n", s.bizID, s.member, s.fen, clip(s.heard(), 200))
		if w.box == nil {
			continue
		}
		for _, e := range w.box.Sandbox.Books().Entries(books.Filter{Member: s.member}) {
			fmt.Fprintf(out, "      booked %s %s %s %d fen under %s\n", e.Time.Format("15:04:05.000"), e.Vendor, e.Kind, e.AmountFen, e.Key)
		}
	}
	for _, n := range w.notes[:min(10, len(w.notes))] {
		fmt.Fprintf(out, "    note: %s\n", n)
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

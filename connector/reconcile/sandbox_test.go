// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/alsc"
	"github.com/hexiao-dev/hexiao/connector/ledger"
	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/redeem"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/sandbox/sandboxtest"
	"github.com/hexiao-dev/hexiao/connector/zhimai"
)

const (
	brandID        = "11342"
	reversalAction = "communal.user.consume-reverse"
	pageSize       = 3
)

// day is a ledger and the vendors' stand-ins after a few redemptions and reversals at each.
type day struct {
	t       *testing.T
	srv     *sandbox.Server
	ledger  *ledger.Ledger
	sources []Source
	began   time.Time
}

func newDay(t *testing.T, change func(*sandbox.Config)) *day {
	t.Helper()
	sc := sandbox.DemoConfig()
	sc.Zhimai.ReversalAction = reversalAction
	if change != nil {
		change(&sc)
	}
	d := &day{t: t, srv: sandboxtest.Start(t, sc), began: time.Now().Truncate(time.Second)}
	http := oneshot.New(oneshot.Config{})
	t.Cleanup(http.Close)
	account, app := sc.Zhimai.Accounts[0], sc.ALSC.Apps[0]
	z, err := zhimai.New(zhimai.Config{
		Endpoint: d.srv.ZhimaiURL, Credentials: zhimai.Credentials{OpenID: account.OpenID, OpenKey: account.OpenKey, GrantCode: account.GrantCode},
		ReversalAction: reversalAction,
	}, zhimai.Deps{HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	a, err := alsc.New(alsc.Config{Endpoint: d.srv.ALSCURL, Credentials: alsc.Credentials{AppKey: app.AppKey, AppSecret: app.AppSecret}}, alsc.Deps{HTTP: http})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{PageSize: pageSize, PerSecond: 1_000_000}
	d.sources = []Source{ALSC(a, brandID, nil, o), Zhimai(z, o)}
	path := filepath.Join(t.TempDir(), "ledger.db")
	d.redeem(path, map[string]redeem.Provider{"alsc": a, "zhimai": z})
	d.ledger, err = ledger.Open(t.Context(), ledger.Config{Path: path, ReadOnly: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.ledger.Close() })
	return d
}

// redeem makes, at each vendor: five redemptions, one of them refused, one whole and (at ALSC) two partial reversals.
func (d *day) redeem(path string, providers map[string]redeem.Provider) {
	d.t.Helper()
	l, err := ledger.Open(d.t.Context(), ledger.Config{Path: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	e, err := redeem.New(redeem.Config{BrandID: brandID, ReplyDeadline: time.Minute, LedgerTimeout: 30 * time.Second, Routes: []redeem.Route{
		{AssetMappingIDs: []string{"alsc"}, Asset: redeem.StoredValue, Provider: "alsc"},
		{AssetMappingIDs: []string{"zhimai"}, Asset: redeem.StoredValue, Provider: "zhimai"},
		{AssetMappingIDs: []string{"points"}, Asset: redeem.Points, Provider: "zhimai"},
	}}, redeem.Deps{Ledger: l, Providers: providers, Render: func(redeem.Redemption) []byte { return []byte("{}") }})
	if err != nil {
		d.t.Fatal(err)
	}
	request := func(bizID, mapping string, amount redeem.Fen, count int64) redeem.Request {
		return redeem.Request{
			BrandID: brandID, BizID: bizID, ShopID: "8066287", TransOrderNo: "o" + bizID, PaymentNo: "p" + bizID, MemberID: "1001", OperatorID: "1543",
			ReceivedAt: time.Now(), Lines: []redeem.Line{{AssetMappingID: mapping, Amount: amount, Count: count}},
		}
	}
	done := func(r redeem.Result, want string) {
		d.t.Helper()
		if r.Ending != redeem.Concluded || r.SubCode != want {
			d.t.Fatalf("got %+v", r)
		}
	}
	for _, vendor := range []string{"alsc", "zhimai"} {
		for n := range 4 {
			done(e.Verify(d.t.Context(), request(fmt.Sprint(vendor, n), vendor, redeem.Fen(1000+n), 0)), redeem.SubOK)
		}
		done(e.Verify(d.t.Context(), request(vendor+"-poor", vendor, 90_000_000, 0)), redeem.SubRefused)
		back := func(n, of int, amount redeem.Fen) {
			r := request(fmt.Sprint(vendor, "-back", n), vendor, amount, 0)
			r.ThirdFlowNo, r.RefundPaymentNo = redeem.FlowID(brandID, redeem.Verify, fmt.Sprint(vendor, of)), "r"
			r.TransOrderNo, r.PaymentNo = fmt.Sprint("o", vendor, of), fmt.Sprint("p", vendor, of)
			done(e.Reverse(d.t.Context(), r), redeem.SubOK)
		}
		back(1, 3, 1003)
		if vendor == "alsc" {
			back(2, 2, 300)
			back(3, 2, 300)
		}
	}
	done(e.Verify(d.t.Context(), request("points", "points", 0, 5)), redeem.SubOK) // has no flow, and needs none
	if err := e.Close(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *day) run(change func(*Config)) (Report, error) {
	now := time.Now().Add(2 * time.Second) // what was done in this second lies before it
	c := Config{BrandID: brandID, From: d.began, To: now, Now: func() time.Time { return now }}
	if change != nil {
		change(&c)
	}
	return Run(d.t.Context(), c, d.ledger, d.sources)
}

func (d *day) report() Report {
	d.t.Helper()
	r, err := d.run(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d *day) plant(p sandbox.Plant) {
	d.t.Helper()
	admin := sandbox.Admin{BaseURL: d.srv.AdminURL}
	if err := admin.Plant(d.t.Context(), p); err != nil {
		d.t.Fatal(err)
	}
}

// sums are how many rows there are of each verdict.
func sums(r Report) map[string]int {
	out := map[string]int{}
	for p, by := range r.Sums {
		for v, s := range by {
			out[p+" "+string(v)] = s.Rows
		}
	}
	return out
}

func clean() map[string]int { return map[string]int{"alsc matched": 7, "zhimai matched": 5} }

func TestTheBooksAgreeHoweverZhimaiWritesThem(t *testing.T) {
	for _, order := range []string{"biz_id", "returned"} {
		for _, sign := range []string{"signed", "absolute"} {
			t.Run(order+" "+sign, func(t *testing.T) {
				d := newDay(t, func(c *sandbox.Config) { c.Zhimai.BillOrderNo, c.Zhimai.BillSign = order, sign })
				for range 2 { // safe to repeat
					r := d.report()
					if diff := cmp.Diff(clean(), sums(r)); diff != "" || !r.Agrees() {
						t.Errorf("(-want +got): %s\n%v", diff, told(r.Rows))
					}
				}
				for _, method := range []string{alsc.AccountFlows, zhimai.Bills} {
					for _, c := range d.srv.Sandbox.Calls(sandbox.CallFilter{Method: method}) {
						if len(c.Unknown) > 0 {
							t.Errorf("%s: fields that the vendor does not know: %v", c.Method, c.Unknown)
						}
					}
				}
			})
		}
	}
}

// Each kind of difference is planted at each place of each vendor's list, so at both sides of every page's
// end, and found there.
func TestEachKindOfPlantedDifferenceIsFoundAtEachPlace(t *testing.T) {
	for _, vendor := range []books.Vendor{books.ALSC, books.Zhimai} {
		d := newDay(t, nil)
		var entries []books.Entry
		for _, e := range d.srv.Sandbox.Books().Entries(books.Filter{Vendor: vendor}) {
			if e.AmountFen > 0 {
				entries = append(entries, e)
			}
		}
		if len(entries) <= pageSize {
			t.Fatalf("%d entries make no second page", len(entries))
		}
		for i, e := range entries {
			wrong, right := e.AmountFen+1, e.AmountFen
			for name, tc := range map[string]struct {
				plant sandbox.Plant
				want  Verdict
			}{
				"hidden":         {sandbox.Plant{Vendor: vendor, Key: e.Key, Hide: true}, MissingThere},
				"another amount": {sandbox.Plant{Vendor: vendor, Key: e.Key, ShowFen: &wrong}, Differs},
			} {
				d.plant(tc.plant)
				r := d.report()
				d.plant(sandbox.Plant{Vendor: vendor, Key: e.Key, ShowFen: &right})
				want := clean()
				want[string(vendor)+" matched"]--
				want[string(vendor)+" "+string(tc.want)]++
				if diff := cmp.Diff(want, sums(r)); diff != "" || r.Agrees() {
					t.Errorf("%s %d %s (-want +got): %s\n%v", vendor, i, name, diff, told(r.Rows))
					continue
				}
				direction := map[books.Kind]Direction{books.KindSpend: Spent, books.KindReverse: Given}[e.Kind]
				at := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Verdict != Matched })
				if o := r.Rows[at].Ours; o.Direction != direction || int64(o.Amount) != e.AmountFen {
					t.Errorf("%s %d %s: of %s %d it says %s %d", vendor, i, name, direction, e.AmountFen, o.Direction, o.Amount)
				}
			}
		}
		for n := range pageSize + 1 {
			d.plant(sandbox.Plant{Vendor: vendor, Key: redeem.UpstreamKey(brandID, redeem.Verify, fmt.Sprint("ghost", vendor, n), 0), ExtraFen: 7, Member: "1001", Shop: "8066287"})
			if got := sums(d.report())[string(vendor)+" "+string(MissingHere)]; got != n+1 {
				t.Errorf("%s: %d planted, %d found", vendor, n+1, got)
			}
		}
	}
}

func TestAChargeThatStandsTwiceIsFound(t *testing.T) {
	d := newDay(t, nil)
	first := d.srv.Sandbox.Books().Entries(books.Filter{Vendor: books.Zhimai})[0]
	d.plant(sandbox.Plant{Vendor: books.Zhimai, Key: first.Key, ExtraFen: first.AmountFen, Member: "1001"})
	r := d.report()
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Verdict != Matched })
	if r.Agrees() || i < 0 || r.Rows[i].Reason != ReasonSecondFlow {
		t.Errorf("got %v", told(r.Rows))
	}
}

func TestWhatOtherHandsDidIsNoDifference(t *testing.T) {
	d := newDay(t, nil)
	d.plant(sandbox.Plant{Vendor: books.ALSC, Key: "POS-OF-ANOTHER", ExtraFen: 5, Member: "1001", Shop: "8066287"})
	r := d.report()
	if !r.Agrees() || r.Sums["alsc"][Foreign] != (Sum{1, 5}) || len(r.Rows) != 12 {
		t.Errorf("got %v %v", r.Sums, told(r.Rows))
	}
	all, err := d.run(func(c *Config) { c.Foreign = true })
	if err != nil || len(all.Rows) != 13 {
		t.Errorf("got %v, %v", told(all.Rows), err)
	}
}

func TestTheRangeIsOfOurTimes(t *testing.T) {
	d := newDay(t, nil)
	r, err := d.run(func(c *Config) { c.From, c.To = c.From.Add(-48*time.Hour), c.From.Add(-time.Second) })
	if err != nil || len(r.Rows) != 0 || !r.Agrees() {
		t.Errorf("the day before: %v, %v", told(r.Rows), err)
	}
	for name, change := range map[string]func(*Config){
		"an end before the begin": func(c *Config) { c.To = c.From },
		"an end in the future":    func(c *Config) { c.To = c.To.Add(time.Hour) },
	} {
		if _, err := d.run(change); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	d.sources = d.sources[:1]
	if _, err := d.run(nil); err == nil || !strings.Contains(err.Error(), "zhimai") {
		t.Errorf("a vendor that is not asked: %v", err)
	}
}

func TestTheVendorsListIsReadUntilTheLastCallWasSettled(t *testing.T) {
	c := Config{From: noon, To: noon.Add(time.Hour), Margin: time.Minute}
	late := Ours{Provider: "alsc", At: noon.Add(30 * time.Minute), Settled: noon.Add(5 * time.Hour)}
	outside := Ours{Provider: "alsc", At: noon.Add(2 * time.Hour), Settled: noon.Add(8 * time.Hour)}
	for name, tc := range map[string]struct {
		ours []Ours
		now  time.Time
		want time.Time
	}{
		"no call":                       {nil, noon.Add(24 * time.Hour), noon.Add(time.Hour + time.Minute)},
		"a call that was long in doubt": {[]Ours{late, outside}, noon.Add(24 * time.Hour), noon.Add(5*time.Hour + time.Minute)},
		"never beyond now":              {[]Ours{late}, noon.Add(2 * time.Hour), noon.Add(2 * time.Hour)},
	} {
		if got := c.until(tc.ours, "alsc", tc.now); !got.Equal(tc.want) {
			t.Errorf("%s: until %s, want %s", name, got, tc.want)
		}
	}
}

func TestAVendorThatFailsOnThePageIsNotADifference(t *testing.T) {
	d := newDay(t, nil)
	for i, s := range d.sources {
		p := quick()
		switch v := s.(type) {
		case alscSource:
			v.pager = p
			d.sources[i] = v
		case zhimaiSource:
			v.pager = p
			d.sources[i] = v
		}
	}
	add := func(count int) {
		for vendor, method := range map[string]string{"alsc": alsc.AccountFlows, "zhimai": zhimai.Bills} {
			if _, err := d.srv.Sandbox.Faults().Add(fault.Rule{Vendor: vendor, Method: method, Kind: fault.SystemError, Nth: 2, Count: count}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1)
	if r, err := d.run(nil); err != nil || !r.Agrees() {
		t.Errorf("a fault that passes: %v, %v", r.Sums, err)
	}
	d.srv.Sandbox.Faults().Remove("")
	if err := d.srv.Sandbox.SetDown(books.Zhimai, sandbox.Refuse); err != nil {
		t.Fatal(err)
	}
	_, err := d.run(nil)
	if _, is := errors.AsType[*redeem.ReadError](err); !is {
		t.Errorf("a vendor that is away: %v", err)
	}
}

func TestWhatIsWritten(t *testing.T) {
	d := newDay(t, nil)
	entries := d.srv.Sandbox.Books().Entries(books.Filter{Vendor: books.ALSC})
	wrong := entries[0].AmountFen - 100
	d.plant(sandbox.Plant{Vendor: books.ALSC, Key: entries[0].Key, ShowFen: &wrong})
	r := d.report()
	var b bytes.Buffer
	if err := CSV(&b, r, time.UTC); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(records) != 13 || !slices.Equal(records[0], Columns()) {
		t.Fatalf("%v: %v", err, records)
	}
	column := func(name string) int { return slices.Index(Columns(), name) }
	found := false
	for _, rec := range records[1:] {
		if rec[0] == string(Differs) {
			found = true
			if rec[column("ours_fen")] != "1000" || rec[column("theirs_fen")] != "900" || rec[column("difference_fen")] != "-100" || rec[column("biz_id")] != "alsc0" {
				t.Errorf("the row is %q", rec)
			}
		}
	}
	if !found {
		t.Error("the difference is not there")
	}
	b.Reset()
	if err := JSON(&b, r, time.UTC); err != nil {
		t.Fatal(err)
	}
	var object struct {
		Agrees bool
		Sums   map[string]map[Verdict]map[string]int64
		Rows   []map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &object); err != nil || object.Agrees || len(object.Rows) != 12 || object.Sums["alsc"][Differs]["rows"] != 1 {
		t.Errorf("%v: %s", err, b.String())
	}
	b.Reset()
	if err := Table(&b, r, time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"do NOT agree", "differs", "amount", "10.00", "9.00", "alsc0"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, b.String())
		}
	}
	if strings.Contains(b.String(), "张三") {
		t.Error("the table is personal")
	}
}

func TestMetricsAreAsPrometheusReadsThem(t *testing.T) {
	r := Report{
		BrandID: `a"b`, Providers: []string{"alsc"}, From: noon, To: noon.Add(time.Hour), At: noon.Add(2 * time.Hour),
		Sums: map[string]map[Verdict]Sum{"alsc": {Matched: {2, 300}, Differs: {1, 10}}},
	}
	var b bytes.Buffer
	if err := Metrics(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`hexiao_reconcile_rows{brand="a\"b",provider="alsc",verdict="matched"} 2`,
		`hexiao_reconcile_fen{brand="a\"b",provider="alsc",verdict="differs"} 10`,
		`hexiao_reconcile_rows{brand="a\"b",provider="alsc",verdict="missing-here"} 0`,
		`hexiao_reconcile_last_success_timestamp_seconds{brand="a\"b"} 1765346400`,
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no %s in:\n%s", want, b.String())
		}
	}
	for _, l := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if !strings.HasPrefix(l, "# ") && len(strings.Fields(l)) != 2 {
			t.Errorf("not a sample: %q", l)
		}
	}
}

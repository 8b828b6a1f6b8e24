// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/admin/admintest"
	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/service/servicetest"
)

const (
	consume = "communal.user.consume"
	reason  = "bill seen in the vendor's back office"
	who     = "li@example.com"
)

func code(err error) string {
	var e *adminapi.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s %s", e.Status, e.Code, e.Field)
	}
	return fmt.Sprint(err)
}

func decide(c *admintest.Connector, decision string, force bool) (adminapi.Resolved, error) {
	return c.Client.Resolve(c.Context(), "VERIFY", "b1", 0, adminapi.Decision{Decision: decision, Reason: reason, Who: who, Force: force})
}

func TestAPersonDecides(t *testing.T) {
	tests := map[string]struct {
		fault     fault.Kind
		finds     string // the look-up now
		decision  string
		want      string // the error, empty when it is taken
		force     bool
		subCode   string // what the till's repeat hears
		alarm     bool
		overruled bool
	}{
		"executed, when the vendor did it and its answer was lost":     {fault: fault.ApplyThenHang, finds: "found", decision: "executed", subCode: "000"},
		"not refused, when the vendor did it":                          {fault: fault.ApplyThenHang, finds: "found", decision: "refused", want: "409 evidence decision"},
		"refused by force, though the vendor did it: that is an alarm": {fault: fault.ApplyThenReset, finds: "found", decision: "refused", force: true, subCode: "202", alarm: true, overruled: true},
		"refused, when the vendor never did it":                        {fault: fault.ResetBeforeApply, finds: "missing", decision: "refused", subCode: "202"},
		"not executed, when the vendor has nothing":                    {fault: fault.ResetBeforeApply, finds: "missing", decision: "executed", want: "409 evidence decision"},
		"executed by force, though the vendor has nothing":             {fault: fault.ResetBeforeApply, finds: "missing", decision: "executed", force: true, subCode: "000", overruled: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admintest.Start(t)
			c.Fault("zhimai", consume, tt.fault, 1)
			if got := c.Verify("b1", admintest.AtZhimai); got.Code != 3001 {
				t.Fatalf("the till heard %+v", got)
			}
			item := c.InDoubt(1)[0]
			if item.AmountFen != 2550 || item.BizID != "b1" || item.Strategy != "Manual" || item.Operation != consume || item.OrderNo != "T-b1" {
				t.Errorf("listed: %+v", item)
			}
			found, err := c.Client.LookUp(t.Context(), "verify", "b1", adminapi.Person{Who: who})
			if err != nil || len(found.Items) != 1 || found.Items[0].Verdict != tt.finds {
				t.Fatalf("look-up: %+v, %v", found, err)
			}
			resolved, err := decide(c, tt.decision, tt.force)
			if tt.want != "" {
				if code(err) != tt.want {
					t.Fatalf("decided: %s, %+v", code(err), resolved)
				}
				if got := c.Verify("b1", admintest.AtZhimai); got.Code != 3001 {
					t.Errorf("the till heard %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if resolved.Redemption.Contradiction != tt.alarm || (resolved.Overruled != "") != tt.overruled {
				t.Errorf("contradiction %v, overruled %q", resolved.Redemption.Contradiction, resolved.Overruled)
			}
			if got := c.Verify("b1", admintest.AtZhimai); got.Code != 0 || got.Result == nil || got.Result.SubCode != tt.subCode {
				t.Errorf("the till's repeat heard %+v", got)
			}
			if n := len(c.Sandbox.Books().Entries(books.Filter{})); n > 1 {
				t.Errorf("booked %d times", n)
			}
			wantRecorded(t, resolved.Redemption, tt.force)
			c.InDoubt(0)
		})
	}
}

// wantRecorded: question and decision are in the log, with who and why.
func wantRecorded(t *testing.T, r adminapi.Redemption, forced bool) {
	t.Helper()
	var asked, decided bool
	for _, e := range r.Events {
		var d struct{ Who, Reason, Force, What string }
		_ = json.Unmarshal(e.Detail, &d)
		asked = asked || e.Actor == who && strings.HasPrefix(d.What, "look-up by hand")
		decided = decided || e.Kind == "decision" && e.Actor == who && d.Who == who && d.Reason == reason && (d.Force == "true") == forced
	}
	if !asked || !decided {
		t.Errorf("asked %v, decided %v: %+v", asked, decided, r.Events)
	}
}

func TestRefusedIsNotTakenTooEarly(t *testing.T) {
	c := admintest.StartLate(t, time.Hour)
	c.Fault("zhimai", consume, fault.ResetBeforeApply, 0)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil || r.Legs[0].RefusableFrom == nil || !r.Legs[0].RefusableFrom.Equal(r.Legs[0].SentAt.Add(time.Hour)) {
		t.Fatalf("%+v, %v", r.Legs, err)
	}
	before := len(r.Events)
	_, err = decide(c, "refused", false)
	if code(err) != "409 too-early decision" || !strings.Contains(err.Error(), r.Legs[0].RefusableFrom.Format("2006-01-02 15:04:05Z")) {
		t.Errorf("decided: %v", err)
	}
	if r, err = c.Client.Redemption(t.Context(), "VERIFY", "b1"); err != nil || len(r.Events) != before {
		t.Errorf("the vendor was asked for nothing: %+v, %v", r.Events, err)
	}
	done, err := decide(c, "refused", true)
	if err != nil || !strings.Contains(done.Overruled, "may be called refused from") || done.Redemption.Contradiction || done.Redemption.Legs[0].RefusableFrom != nil {
		t.Errorf("forced: %+v, %v", done, err)
	}
	wantRecorded(t, done.Redemption, true)

	c.Verify("b2", admintest.AtZhimai)
	c.InDoubt(1)
	if _, err := c.Client.Resolve(t.Context(), "VERIFY", "b2", 0, adminapi.Decision{Decision: "executed", Reason: reason, Who: who, Force: true}); err != nil {
		t.Errorf("executed is not bounded: %v", err)
	}
}

// A call with stored value and something else, of which the vendor's record shows a part.
func TestAPersonDecidesOnAMixedCall(t *testing.T) {
	const coupon = "390962138708451328"
	tests := map[string]struct {
		fault     fault.Kind
		coupon    string
		points    int
		finds     string
		decision  string
		force     bool
		want      string // the error, empty when it is taken
		subCode   string
		alarm     bool
		overruled bool
	}{
		"executed, as the record shows the money and cannot show the rest": {fault: fault.ApplyThenReset, coupon: coupon, points: 50, finds: "partly", decision: "executed", subCode: "000"},
		"not refused, as the money was taken":                              {fault: fault.ApplyThenReset, coupon: coupon, finds: "partly", decision: "refused", want: "409 evidence decision"},
		"refused by force, though the money was taken: that is an alarm":   {fault: fault.ApplyThenReset, points: 50, finds: "partly", decision: "refused", force: true, subCode: "202", alarm: true, overruled: true},
		"refused, when neither money nor coupon was taken":                 {fault: fault.ResetBeforeApply, coupon: coupon, finds: "missing", decision: "refused", subCode: "202"},
		"not executed, when neither money nor coupon was taken":            {fault: fault.ResetBeforeApply, coupon: coupon, finds: "missing", decision: "executed", want: "409 evidence decision"},
		"refused, when the record cannot show the points":                  {fault: fault.ResetBeforeApply, coupon: coupon, points: 50, finds: "unshown", decision: "refused", subCode: "202"},
		"executed, when the record cannot show the points":                 {fault: fault.ResetBeforeApply, points: 50, finds: "unshown", decision: "executed", subCode: "000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admintest.Start(t)
			c.Fault("zhimai", consume, tt.fault, 1)
			if got := c.VerifyMixed("b1", tt.coupon, tt.points); got.Code != 3001 {
				t.Fatalf("the till heard %+v", got)
			}
			c.InDoubt(1)
			found, err := c.Client.LookUp(t.Context(), "verify", "b1", adminapi.Person{Who: who})
			if err != nil || len(found.Items) != 1 || found.Items[0].Verdict != tt.finds || found.Items[0].Detail == "" {
				t.Fatalf("look-up: %+v, %v", found, err)
			}
			resolved, err := decide(c, tt.decision, tt.force)
			if tt.want != "" {
				if code(err) != tt.want {
					t.Errorf("decided: %s, %+v", code(err), resolved)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if resolved.Redemption.Contradiction != tt.alarm || (resolved.Overruled != "") != tt.overruled {
				t.Errorf("contradiction %v, overruled %q", resolved.Redemption.Contradiction, resolved.Overruled)
			}
			if got := c.VerifyMixed("b1", tt.coupon, tt.points); got.Code != 0 || got.Result == nil || got.Result.SubCode != tt.subCode {
				t.Errorf("the till's repeat heard %+v", got)
			}
		})
	}
}

// A part that turns up after a refusal is as bad as the whole.
func TestAPartAgainstARefusalRaisesTheAlarm(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Fault("zhimai", "user.*", fault.Garbage, 0)
	c.VerifyMixed("b1", "", 50)
	c.InDoubt(1)
	if _, err := decide(c, "refused", false); err != nil {
		t.Fatal(err)
	}
	c.Sandbox.Faults().Remove("")
	found, err := c.Client.LookUp(t.Context(), "VERIFY", "b1", adminapi.Person{Who: who})
	if err != nil || found.Items[0].Verdict != "partly" || !found.Items[0].Alarm {
		t.Errorf("look-up: %+v, %v", found, err)
	}
	if r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1"); err != nil || !r.Contradiction {
		t.Errorf("contradiction %v, %v", r.Contradiction, err)
	}
}

// The till has heard 3001, so a list that says nothing would be no help to who is called.
func TestACallThatIsUnderWayIsListedOnceTheTillWasTold(t *testing.T) {
	t.Parallel()
	c := admintest.StartHasty(t)
	c.Fault("zhimai", consume, fault.ApplyThenHang, 1)
	if got := c.Verify("b1", admintest.AtZhimai); got.Code != 3001 {
		t.Fatalf("the till heard %+v", got)
	}
	items := list(t, c)
	if len(items) != 1 || items[0].State != "sent" || items[0].WaitsFor != adminapi.WaitsForCall || items[0].NextCheck == nil || !items[0].NextCheck.After(items[0].Since.Add(admintest.HastyWindow)) {
		t.Fatalf("listed: %+v", items)
	}
	if _, err := decide(c, "executed", true); code(err) != "409 not-open " {
		t.Errorf("decided while it is under way: %v", err)
	}
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Events {
		if e.Kind == "evidence" {
			t.Errorf("the vendor was asked for nothing: %+v", e)
		}
	}
	c.EndCalls("zhimai")
	c.InDoubt(1)
}

func TestLaterEvidenceAgainstADecisionRaisesTheAlarm(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Fault("zhimai", "user.*", fault.Garbage, 0)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	if found, err := c.Client.LookUp(t.Context(), "VERIFY", "b1", adminapi.Person{Who: who}); err != nil || found.Items[0].Verdict != "inconclusive" {
		t.Fatalf("look-up: %+v, %v", found, err)
	}
	if r, err := decide(c, "refused", false); err != nil || r.Redemption.Contradiction {
		t.Fatalf("%+v, %v", r, err)
	}
	c.Sandbox.Faults().Remove("")
	found, err := c.Client.LookUp(t.Context(), "VERIFY", "b1", adminapi.Person{Who: "wang"})
	if err != nil || !found.Items[0].Alarm {
		t.Fatalf("look-up: %+v, %v", found, err)
	}
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil || !r.Contradiction || r.Legs[0].State != "refused" {
		t.Errorf("contradiction %v, state %s, %v", r.Contradiction, r.Legs[0].State, err)
	}
	if _, err := decide(c, "executed", true); code(err) != "409 not-open " {
		t.Errorf("a final leg was decided anew: %v", err)
	}
}

func TestOfPeopleWhoDecideAtOnceOneIsHeard(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	const people = 8
	var wg sync.WaitGroup
	heard := make([]string, people)
	for i := range people {
		wg.Go(func() {
			d := adminapi.Decision{Decision: []string{"executed", "refused"}[i%2], Reason: reason, Who: fmt.Sprint("person ", i), Force: true}
			_, err := c.Client.Resolve(t.Context(), "VERIFY", "b1", 0, d)
			heard[i] = code(err)
		})
	}
	wg.Wait()
	won := 0
	for i, h := range heard {
		switch h {
		case "<nil>":
			won++
		case "409 changed ", "409 not-open ":
		default:
			t.Errorf("person %d heard %q", i, h)
		}
	}
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil {
		t.Fatal(err)
	}
	decisions := 0
	for _, e := range r.Events {
		if e.Kind == "decision" {
			decisions++
		}
	}
	if won != 1 || decisions != 1 {
		t.Errorf("%d were heard, %d decisions were recorded", won, decisions)
	}
}

func TestADecisionOnWhatHasChangedIsNotTaken(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil {
		t.Fatal(err)
	}
	old := r.Legs[0].Version - 1
	_, err = c.Client.Resolve(t.Context(), "VERIFY", "b1", 0, adminapi.Decision{Decision: "executed", Reason: reason, Who: who, Version: &old})
	if code(err) != "409 changed " {
		t.Errorf("taken: %v", err)
	}
	if _, err := c.Client.Resolve(t.Context(), "VERIFY", "b1", 0, adminapi.Decision{Decision: "executed", Reason: reason, Who: who, Version: &r.Legs[0].Version}); err != nil {
		t.Error(err)
	}
}

func TestBadCallsSayWhatToCorrect(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	resolve := "/redemptions/VERIFY/b1/legs/0/resolve"
	good := func(change string) string {
		return strings.Replace(`{"decision":"executed","reason":"seen in the back office","who":"li"}`, strings.Split(change, "→")[0], strings.Split(change, "→")[1], 1)
	}
	tests := map[string]struct{ method, path, body, kind, want string }{
		"no such decision":                         {"POST", resolve, good(`"executed"→"maybe"`), "", "400 invalid decision"},
		"a short reason":                           {"POST", resolve, good("seen in the back office→ok"), "", "400 invalid reason"},
		"a reason of spaces":                       {"POST", resolve, good("seen in the back office→              "), "", "400 invalid reason"},
		"a mobile in the reason":                   {"POST", resolve, good("the back office→13912345678"), "", "400 invalid reason"},
		"nobody":                                   {"POST", resolve, good(`"li"→" "`), "", "400 invalid who"},
		"a name over two lines":                    {"POST", resolve, good(`"li"→"li\nwang"`), "", "400 invalid who"},
		"a field that is not known":                {"POST", resolve, good(`"who"→"sudo":true,"who"`), "", "400 invalid body"},
		"two objects":                              {"POST", resolve, good(`}→}{}`), "", "400 invalid body"},
		"no JSON":                                  {"POST", resolve, "decision=executed", "", "400 invalid body"},
		"a form":                                   {"POST", resolve, good("li→li"), "application/x-www-form-urlencoded", "400 invalid Content-Type"},
		"a leg that is no number":                  {"POST", "/redemptions/VERIFY/b1/legs/x/resolve", good("li→li"), "", "400 invalid no"},
		"a leg that is not there":                  {"POST", "/redemptions/VERIFY/b1/legs/7/resolve", good("li→li"), "", "404 not-found no"},
		"no such redemption":                       {"POST", "/redemptions/VERIFY/b9/legs/0/resolve", good("li→li"), "", "404 not-found "},
		"no such action":                           {"GET", "/redemptions/CONSUME/b1", "", "", "400 invalid action"},
		"no such redemption to see":                {"GET", "/redemptions/reverse/b1", "", "", "404 not-found "},
		"no such leg to look up":                   {"POST", "/redemptions/VERIFY/b1/look-up", `{"who":"li","leg":4}`, "", "400 invalid leg"},
		"nobody looks up":                          {"POST", "/redemptions/VERIFY/b1/look-up", `{}`, "", "400 invalid who"},
		"nobody retries":                           {"POST", "/redemptions/VERIFY/b1/retry", `{}`, "", "400 invalid who"},
		"a retry by machine of what is a person's": {"POST", "/redemptions/VERIFY/b1/retry", `{"who":"li"}`, "", "409 by-hand "},
		"no such reversal":                         {"POST", "/reversals/b1/retry", `{"who":"li"}`, "", "404 not-found "},
		"no such state":                            {"GET", "/reversals?state=open", "", "", "400 invalid state"},
		"no such limit":                            {"GET", "/in-doubt?limit=0", "", "", "400 invalid limit"},
		"another method":                           {"DELETE", resolve, "", "", "404 not-found "},
		"another path":                             {"GET", "/everything", "", "", "404 not-found "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			kind := tt.kind
			if kind == "" {
				kind = "application/json"
			}
			status, raw := call(t, c.Client.Base, "", tt.method, tt.path, tt.body, http.Header{"Content-Type": {kind}})
			var body struct{ Error adminapi.Error }
			if err := json.Unmarshal(raw, &body); err != nil {
				t.Fatalf("%v: %s", err, raw)
			}
			body.Error.Status = status
			if got := code(&body.Error); got != tt.want || body.Error.Message == "" || body.Error.Remedy == "" {
				t.Errorf("%q, want %q: %s", got, tt.want, raw)
			}
		})
	}
	c.InDoubt(1)
}

// call makes one call from a local address, "" being the system's choice.
func call(t *testing.T, base, from, method, path, body string, header http.Header) (int, []byte) {
	t.Helper()
	dialer := &net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, base+adminapi.Prefix+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, raw
}

func TestOnlyTheLoopbackInterfaceIsAWayIn(t *testing.T) {
	c := admintest.Start(t)
	at := func(host string) string { return fmt.Sprintf("http://%s", net.JoinHostPort(host, fmt.Sprint(c.Port))) }
	type way struct {
		base, from string
		header     http.Header
		want       int
	}
	ways := map[string]way{
		"from loopback to loopback": {at("127.0.0.1"), "", nil, http.StatusOK},
		"by the name localhost":     {at("localhost"), "", nil, http.StatusOK},
		"from a mesh's sidecar":     {at("127.0.0.1"), "127.0.0.6", nil, http.StatusForbidden},
		"to another address":        {at("127.0.0.2"), "", http.Header{"Host": {"localhost"}}, http.StatusForbidden},
		"with another host's name":  {at("127.0.0.1"), "", http.Header{"Host": {"evil.example"}}, http.StatusForbidden},
		"from a web page":           {at("127.0.0.1"), "", http.Header{"Origin": {"http://localhost"}}, http.StatusForbidden},
		"through a proxy":           {at("127.0.0.1"), "", http.Header{"X-Forwarded-For": {"10.1.2.3"}}, http.StatusForbidden},
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			ways["to the machine's own "+ip.IP.String()] = way{at(ip.IP.String()), "", http.Header{"Host": {"localhost"}}, http.StatusForbidden}
		}
	}
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			for k, v := range w.header {
				header[k] = v
			}
			for _, path := range []string{"/in-doubt", "/redemptions/VERIFY/b1", "/nowhere"} {
				status, raw := call(t, w.base, w.from, http.MethodGet, path, "", header)
				if refused := status == http.StatusForbidden; refused != (w.want == http.StatusForbidden) {
					t.Errorf("%s: HTTP %d: %s", path, status, raw)
				}
			}
		})
	}
}

func TestALookUpByMachineIsAskedFor(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("alsc", "alibaba.alsc.crm.recharge.dedut.update", fault.ApplyThenReset, 1)
	c.Fault("alsc", "alibaba.alsc.crm.recharge.account.flowdetail.get", fault.Garbage, 0)
	if got := c.Verify("b1", admintest.AtALSC); got.Code != 3001 {
		t.Fatalf("the till heard %+v", got)
	}
	// The waits between the checks grow: after the second the next one is ten seconds off.
	servicetest.Await(t, "two checks", func() bool { items := list(t, c); return len(items) == 1 && items[0].Checks >= 2 })
	c.Sandbox.Faults().Remove("")
	retried, err := c.Client.Retry(t.Context(), "VERIFY", "b1", adminapi.Person{Who: who})
	if err != nil && code(err) != "409 changed " && code(err) != "409 not-open " { // the resolver may hold it at this moment, or be done
		t.Fatal(err)
	}
	if err == nil && cmp.Diff([]int{0}, retried.Legs) != "" {
		t.Errorf("due now: %v", retried.Legs)
	}
	servicetest.Await(t, "an answer", func() bool { return len(list(t, c)) == 0 })
	if got := c.Verify("b1", admintest.AtALSC); got.Code != 0 || !got.Result.Success {
		t.Errorf("the till heard %+v", got)
	}
	if _, err := c.Client.Retry(t.Context(), "VERIFY", "b1", adminapi.Person{Who: who}); code(err) != "409 not-open " {
		t.Errorf("what is concluded was retried: %v", err)
	}
}

func list(t *testing.T, c *admintest.Connector) []adminapi.Doubt {
	t.Helper()
	l, err := c.Client.InDoubt(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

func TestAReversalThatNoMachineCanMake(t *testing.T) {
	c := admintest.Start(t)
	verified := c.Verify("b1", admintest.AtZhimai)
	if verified.Result == nil || !verified.Result.Success {
		t.Fatalf("the till heard %+v", verified)
	}
	flow := verified.Result.Data.FlowID
	if got := c.Reverse("r1", "b1", flow, admintest.AtZhimai); got.Code == 0 {
		t.Fatalf("the till heard %+v", got)
	}
	waiting, err := c.Client.Reversals(t.Context(), "", 0)
	if err != nil || len(waiting.Items) != 1 {
		t.Fatalf("%+v, %v", waiting, err)
	}
	want := adminapi.Reversal{BizID: "r1", ReversesBizID: "b1", OrderNo: "T-b1", PaymentNo: "P-b1", AmountFen: 2550, Outcome: "unknown",
		Open: []adminapi.OpenLeg{{Provider: "zhimai", Operation: "manual-reversal", State: "unknown", Class: "manual-reversal", WaitsFor: "person"}}}
	got := waiting.Items[0]
	got.CreatedAt = time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := c.Client.RetryReversal(t.Context(), "r1", adminapi.Person{Who: who}); code(err) != "409 by-hand " {
		t.Errorf("retried: %v", err)
	}
	done, err := c.Client.Resolve(t.Context(), "reverse", "r1", 0, adminapi.Decision{Decision: "executed", Reason: "given back in the back office", Who: who})
	if err != nil || done.Redemption.Outcome != "executed" {
		t.Fatalf("%+v, %v", done, err)
	}
	if got := c.Reverse("r1", "b1", flow, admintest.AtZhimai); got.Code != 0 || !got.Result.Success {
		t.Errorf("the till heard %+v", got)
	}
	original, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil || len(original.Reversals) != 1 || original.Lines[0].ReversedFen != 2550 {
		t.Errorf("%+v, %v", original, err)
	}
	all, err := c.Client.Reversals(t.Context(), "all", 0)
	if err != nil || len(all.Items) != 1 || all.Items[0].ConcludedAt == nil {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestNoAnswerIsPersonalOrSecret(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	c.Verify("b2", admintest.AtALSC)
	var all bytes.Buffer
	asJSON := http.Header{"Content-Type": {"application/json"}}
	for _, q := range []struct{ method, path, body string }{
		{"GET", "/in-doubt", ""}, {"GET", "/redemptions/VERIFY/b1", ""}, {"GET", "/redemptions/VERIFY/b2", ""},
		{"POST", "/redemptions/VERIFY/b1/look-up", `{"who":"li"}`}, {"POST", "/redemptions/VERIFY/b2/look-up", `{"who":"li"}`},
		{"POST", "/redemptions/VERIFY/b1/legs/0/resolve", `{"decision":"executed","reason":"seen in the back office","who":"li"}`},
		{"GET", "/reversals?state=all", ""},
	} {
		status, raw := call(t, c.Client.Base, "", q.method, q.path, q.body, asJSON)
		if status != http.StatusOK {
			t.Errorf("%s: HTTP %d: %s", q.path, status, raw)
		}
		all.Write(raw)
	}
	member := sandbox.DemoConfig().Members[0]
	for _, secret := range []string{"13912345678", "canary-token", "欧阳金丝雀", member.Name, member.Mobile, "demo-open-key", "demo-grant", "demo-app-secret", "test-brand-token"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("an answer holds %q", secret)
		}
	}
	if !strings.Contains(all.String(), `"call":{`) {
		t.Error("the answers do not say what was sent: the test proves nothing")
	}
}

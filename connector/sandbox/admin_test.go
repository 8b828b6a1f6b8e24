// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

func realNow() time.Time { return time.Now() }

// must is for calls that cannot fail in a test.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTheAdministrationSeedsAndReads(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	a := sandbox.Admin{BaseURL: w.AdminURL, Client: w.http}
	m := books.Member{Vendor: books.ALSC, ID: "2002", CardID: "c2", Balance: books.Money{Real: 500}}
	if err := a.PutMembers(ctx, m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, must[books.Member](t)(a.Member(ctx, books.ALSC, "2002"))); diff != "" {
		t.Error(diff)
	}
	w.expectTOP(t, dedut, spendParams(o{"customer_id": "2002", "value": 300, "colour": "red"}), o{"biz_success": true})
	w.zhimai(consume, consumeParams())

	entries := must[[]books.Entry](t)(a.Entries(ctx, books.Filter{Vendor: books.ALSC, Key: "order-1", Member: "2002", RequestID: "req-1"}))
	if diff := cmp.Diff(w.Sandbox.Books().Entries(books.Filter{Vendor: books.ALSC}), entries); diff != "" {
		t.Error(diff)
	}
	if got := must[[]books.Entry](t)(a.Entries(ctx, books.Filter{From: w.now().Add(time.Nanosecond)})); len(got) != 0 {
		t.Errorf("entries of the future: %+v", got)
	}
	if got := must[[]books.Net](t)(a.Nets(ctx, books.Filter{})); len(got) != 2 || got[0].NetFen != 300 || got[1].NetFen != 25000 {
		t.Errorf("got %+v", got)
	}
	calls := must[[]sandbox.Call](t)(a.Calls(ctx, sandbox.CallFilter{Member: "2002"}))
	if len(calls) != 1 || calls[0].Header.Get("Content-Type") != formType || !strings.Contains(calls[0].Body, "param_dedut_open_req=") {
		t.Errorf("got %+v", calls)
	}
	if diff := cmp.Diff([]string{"colour"}, calls[0].Unknown); diff != "" {
		t.Error(diff)
	}
	if got := must[[]sandbox.Delivery](t)(a.Deliveries(ctx, true)); len(got) != 0 {
		t.Errorf("nothing was repeated: %+v", got)
	}
}

func TestTheAdministrationSetsFaultsAndForgets(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	a := sandbox.Admin{BaseURL: w.AdminURL, Client: w.http}
	rules := must[[]fault.Rule](t)(a.AddFaults(ctx, fault.Rule{Kind: fault.Refuse, Vendor: "zhimai", Count: 1}, fault.Rule{Kind: fault.HTML}))
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "10010"})
	status := must[[]fault.Status](t)(a.Faults(ctx))
	if len(status) != 2 || status[0].ID != rules[0].ID || status[0].Fired != 1 || status[1].Fired != 0 {
		t.Errorf("got %+v", status)
	}
	if got := must[[]sandbox.Call](t)(a.Calls(ctx, sandbox.CallFilter{Fault: rules[0].ID})); len(got) != 1 || got[0].FaultKind != fault.Refuse {
		t.Errorf("got %+v", got)
	}
	if err := a.Do(ctx, http.MethodDelete, "/faults/"+rules[0].ID, nil, nil); err != nil {
		t.Error(err)
	}
	if err := a.ClearFaults(ctx); err != nil {
		t.Error(err)
	}
	expect(t, w.zhimai(consume, consumeParams()), o{"code": "0"})
	if err := a.SetDown(ctx, books.Zhimai, sandbox.Refuse); err != nil {
		t.Error(err)
	}
	if err := a.SetDown(ctx, books.Zhimai, sandbox.Up); err != nil {
		t.Error(err)
	}
	if err := a.Reset(ctx, true); err != nil {
		t.Fatal(err)
	}
	if n := len(w.Sandbox.Books().Entries(books.Filter{})) + len(w.Sandbox.Calls(sandbox.CallFilter{})); n != 0 || w.balance(books.Zhimai) != 75000 {
		t.Errorf("reset left %d things, balance %d", n, w.balance(books.Zhimai))
	}
	if err := a.Reset(ctx, false); err != nil || len(w.Sandbox.Books().Members("")) != 0 {
		t.Errorf("reset must forget the members: %v", err)
	}
}

func TestCredentialsRotate(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	a := sandbox.Admin{BaseURL: w.AdminURL, Client: w.http}
	old, fresh := sandbox.TOPApp{AppKey: "12345678", AppSecret: "demo-app-secret"}, sandbox.TOPApp{AppKey: "12345678", AppSecret: "fresh"}
	oldZ := sandbox.ZhimaiAccount{OpenID: "demo-open-id", OpenKey: "demo-open-key", GrantCode: "demo-grant"}
	freshZ := oldZ
	freshZ.OpenKey = "fresh"
	for _, tc := range []struct {
		apps     []sandbox.TOPApp
		accounts []sandbox.ZhimaiAccount
		ok       bool
	}{
		{[]sandbox.TOPApp{fresh, old}, []sandbox.ZhimaiAccount{freshZ, oldZ}, true},
		{[]sandbox.TOPApp{fresh}, []sandbox.ZhimaiAccount{freshZ}, false},
	} {
		if err := a.SetCredentials(ctx, sandbox.Credentials{Zhimai: tc.accounts, ALSC: tc.apps}); err != nil {
			t.Fatal(err)
		}
		want, code := any(nil), any("0")
		if !tc.ok {
			want, code = "25", "40003"
		}
		expect(t, w.top(dedut, spendParams(), nil), o{"error_response/code": want})
		expect(t, w.zhimai("user.wealth-bills", "{}"), o{"code": code})
	}
}

func TestPlantedDifferences(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	a := sandbox.Admin{BaseURL: w.AdminURL, Client: w.http}
	w.expectTOP(t, dedut, spendParams(), o{"biz_success": true})
	w.expectTOP(t, dedut, spendParams(o{"outer_order_id": "order-2", "request_id": "req-2", "value": 100}), o{"biz_success": true})
	wrong := int64(7)
	for _, p := range []sandbox.Plant{
		{Vendor: books.ALSC, Key: "order-1", Hide: true},
		{Vendor: books.ALSC, Key: "order-2", ShowFen: &wrong},
		{Vendor: books.ALSC, Key: "extra", ExtraFen: 5, Member: "1001"},
	} {
		if err := a.Plant(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	rows := "result_list/page_query_account_flows_open_info/"
	w.expectTOP(t, flows, object(o{"out_brand_id": "11342", "page_no": 1}), o{
		"total_size": "2", rows + "0/outer_order_id": "extra", rows + "1/outer_order_id": "order-2", rows + "1/order_value": "-7",
	})
	w.expectTOP(t, flowDetail, object(o{"out_brand_id": "11342", "outer_order_id": "order-1"}), o{"biz_success": false})
	for name, p := range map[string]sandbox.Plant{
		"vendor": {}, "key": {Vendor: books.ALSC}, "hide": {Vendor: books.ALSC, Key: "order-1"},
	} {
		if err := a.Plant(ctx, p); err == nil || !strings.Contains(err.Error(), "400: "+name+":") {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
}

func TestTheAdministrationNamesWhatIsWrong(t *testing.T) {
	w := start(t, nil)
	a := sandbox.Admin{BaseURL: w.AdminURL, Client: w.http}
	tests := map[string]struct {
		method, path string
		body         any
		want         string
	}{
		"an unknown field":    {http.MethodPost, "/members", o{"vendor": "alsc", "id": "1", "colour": 1}, `400: body: json: unknown field "colour"`},
		"a wrong type":        {http.MethodPost, "/members", o{"vendor": "alsc", "id": 1}, "400: id: is a number, must be a string"},
		"a negative pocket":   {http.MethodPost, "/members", []o{{"vendor": "alsc", "id": "1", "balance": o{"real": -1, "gift": 0}}}, "400: members[0].balance"},
		"an unknown member":   {http.MethodGet, "/members/alsc/9", nil, `404: id: no member "9"`},
		"a fault of no kind":  {http.MethodPost, "/faults", o{"vendor": "alsc"}, "400: faults[0].kind"},
		"no such fault":       {http.MethodDelete, "/faults/f9", nil, "404: id"},
		"a number":            {http.MethodGet, "/books?limit=x", nil, `400: limit: "x" is not an integer`},
		"a time":              {http.MethodGet, "/books/net?from=x", nil, `400: from: "x" is not a time`},
		"a number of calls":   {http.MethodGet, "/calls?limit=x", nil, "400: limit"},
		"no such trace":       {http.MethodGet, "/traces?trace_id=0", nil, "404: trace_id"},
		"credentials in part": {http.MethodPut, "/credentials", o{"alsc": []o{{"app_key": "1"}}}, "400: alsc.apps[0]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if err := a.Do(context.Background(), tc.method, tc.path, tc.body, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestTheCallLogForgetsTheOldest(t *testing.T) {
	w := start(t, func(c *sandbox.Config) { c.CallLog = 3 })
	for range 10 {
		w.zhimai("user.wealth-bills", "{}")
	}
	var seqs []int64
	for _, c := range w.Sandbox.Calls(sandbox.CallFilter{}) {
		seqs = append(seqs, c.Seq)
	}
	if diff := cmp.Diff([]int64{8, 9, 10}, seqs); diff != "" {
		t.Error(diff)
	}
}

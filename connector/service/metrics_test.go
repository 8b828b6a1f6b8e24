// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
	"github.com/hexiao-dev/hexiao/connector/service/servicetest"
)

func TestMetricsSpeakOfWhatHappened(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	f.verify(readSample(t, "request-both.json"))
	f.verify(readSample(t, "request-refused.json"))
	f.wantMetrics(
		`hexiao_legs_total{`, `hexiao_kind="executed"`, `hexiao_kind="refused"`, `hexiao_in_doubt{`, `hexiao_vendor_call_duration_seconds_bucket{`,
		`hexiao_ledger_commit_duration_seconds_bucket{`, `hexiao_reply_deadline_seconds{hexiao_brand_id="11342"} 60`,
	)
}

// wantMetrics fails when the metrics lack one of the texts.
func (f *fixture) wantMetrics(texts ...string) {
	f.t.Helper()
	_, metrics := f.Admin("/metrics")
	for _, want := range texts {
		if !strings.Contains(metrics, want) {
			f.t.Errorf("the metrics have no %s", want)
		}
	}
}

func TestWhatWaitsForAPersonIsToldApartFromWhatAMachineStillChecks(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), bothAtALSC, nil)
	if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Kind: fault.ApplyThenReset}); err != nil { // of look-ups, too
		t.Fatal(err)
	}
	// Three calls: stored value of ALSC can be asked about, its points cannot, and nothing is at Zhimai.
	lines := []sale{line("100001", "", 700, 0), line("300002", "", 0, 5), line("400001", "", 100, 0), line("300001", "", 0, 5)}
	if e, reply := f.sell("b1", nil, lines...); *e.Code != 3001 {
		t.Fatalf("reply: %s", reply)
	}
	const zhimai, alsc = `{hexiao_brand_id="11342",hexiao_provider="zhimai"} `, `{hexiao_brand_id="11342",hexiao_provider="alsc"} `
	f.wantMetrics("hexiao_in_doubt"+zhimai+"1", "hexiao_in_doubt"+alsc+"2", "hexiao_in_doubt_manual"+zhimai+"1", "hexiao_in_doubt_manual"+alsc+"1")
}

func TestAReplyThatTheVendorIsTooSlowForIsATimeout(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), func(object string) string {
		return strings.Replace(object, "  keruyun:\n", "  keruyun:\n    replyDeadline: 5s\n", 1)
	}, nil)
	if _, err := f.Sandbox.Sandbox.Faults().Add(fault.Rule{Vendor: "alsc", Kind: fault.ApplyThenHang, Count: 1}); err != nil {
		t.Fatal(err)
	}
	const verify = `hexiao_reply_timeouts_total{hexiao_action="VERIFY",hexiao_brand_id="11342"} `
	f.wantMetrics(verify + "0")
	if _, reply := f.verify(readSample(t, "request.json")); *parse(t, reply).Code != 3001 {
		t.Fatalf("reply: %s", reply)
	}
	f.wantMetrics(verify+"1", `hexiao_reply_deadline_seconds{hexiao_brand_id="11342"} 5`)
	for _, mode := range []sandbox.DownMode{sandbox.Reset, sandbox.Up} { // the call comes to its end
		if err := f.Sandbox.Sandbox.SetDown(books.ALSC, mode); err != nil {
			t.Fatal(err)
		}
	}
	servicetest.Await(t, "answer", func() bool {
		_, reply := f.verify(readSample(t, "request.json"))
		return *parse(t, reply).Code == 0
	})
}

// What anybody can send is not counted as a till's: an alert waits for tills that fall silent, or sign with a wrong secret.
func TestOnlyWhatPassesTheSignatureIsATillsRequest(t *testing.T) {
	f := start(t, sandbox.DemoConfig(), nil, nil)
	forger := f.Till
	forger.Token = "another"
	if status, reply, err := forger.Verify(t.Context(), []byte(readSample(t, "request.json"))); err != nil || status != http.StatusUnauthorized {
		t.Fatalf("HTTP %d, %v, %s", status, err, reply)
	}
	if status, reply, err := f.Till.Post(t.Context(), f.Till.BaseURL+"/nowhere", []byte("{}")); err != nil || status != http.StatusNotFound {
		t.Fatalf("HTTP %d, %v, %s", status, err, reply)
	}
	if _, metrics := f.Admin("/metrics"); strings.Contains(metrics, "hexiao_request_duration_seconds_count") {
		t.Error("a request that did not pass the signature is counted as a till's")
	}
	const anybody = `http_server_request_duration_seconds_count{hexiao_brand_id="11342",http_request_method="POST",http_response_status_code=`
	f.wantMetrics(anybody+`"401",http_route="/keruyun/{brand}/member-assets/verify"} 1`, anybody+`"404"} 1`)
	f.verify(readSample(t, "request.json"))
	f.wantMetrics(`hexiao_request_duration_seconds_count{hexiao_brand_id="11342",hexiao_code="0",hexiao_spi="verify"} 1`)
}

// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestANumberAsJSONIsMaskedWhole(t *testing.T) {
	if got := string(scrubJSON(json.RawMessage(`{"member":13912345678}`))); strings.Contains(got, "12345") || !json.Valid([]byte(got)) {
		t.Errorf("a number as JSON: %s", got)
	}
}

func TestEvidenceAgainstADecision(t *testing.T) {
	said := func(leg int, kind, class string) redeem.Event {
		detail, _ := json.Marshal(map[string]string{"what": "look-up", "kind": kind, "class": class})
		return redeem.Event{LegNo: leg, Kind: "evidence", Detail: detail}
	}
	moved := redeem.Event{LegNo: 0, Kind: "evidence", Detail: json.RawMessage(`{"epoch":3}`)}
	tests := map[string]struct {
		events            []redeem.Event
		executed, refused bool // whether there is something against it
	}{
		"none":                                  {nil, false, false},
		"found":                                 {[]redeem.Event{said(0, "executed", "")}, false, true},
		"refused by the vendor":                 {[]redeem.Event{said(0, "refused", "x")}, true, false},
		"missing":                               {[]redeem.Event{said(0, "unknown", "missing")}, true, false},
		"something else under the key":          {[]redeem.Event{said(0, "unknown", "differs")}, true, true},
		"a part that was executed":              {[]redeem.Event{said(0, "unknown", "partly")}, false, true},
		"a part, and then no answer":            {[]redeem.Event{said(0, "unknown", "partly"), said(0, "unknown", "inconclusive")}, false, true},
		"missing, and a part later":             {[]redeem.Event{said(0, "unknown", "missing"), said(0, "unknown", "partly")}, false, true},
		"a part, and a contradiction later":     {[]redeem.Event{said(0, "unknown", "partly"), said(0, "unknown", "differs")}, true, true},
		"a record that cannot show it":          {[]redeem.Event{said(0, "unknown", "unshown")}, false, false},
		"missing, and then it cannot be shown":  {[]redeem.Event{said(0, "unknown", "missing"), said(0, "unknown", "unshown")}, false, false},
		"a part, missing, then not to be shown": {[]redeem.Event{said(0, "unknown", "partly"), said(0, "unknown", "missing"), said(0, "unknown", "unshown")}, false, true},
		"not to be shown, and missing later":    {[]redeem.Event{said(0, "unknown", "unshown"), said(0, "unknown", "missing")}, true, false},
		"an answer that says nothing":           {[]redeem.Event{said(0, "unknown", "inconclusive")}, false, false},
		"found, and then no answer":             {[]redeem.Event{said(0, "executed", ""), said(0, "unknown", "inconclusive"), moved}, false, true},
		"missing, and found later":              {[]redeem.Event{said(0, "unknown", "missing"), said(0, "executed", "")}, false, true},
		"found for another leg":                 {[]redeem.Event{said(1, "executed", "")}, false, false},
		"what is no evidence in form is passed": {[]redeem.Event{{LegNo: 0, Kind: "evidence", Detail: json.RawMessage(`[1]`)}}, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := against(redeem.Executed, 0, tt.events) != nil; got != tt.executed {
				t.Errorf("against executed: %v", got)
			}
			over := against(redeem.Refused, 0, tt.events)
			if (over != nil) != tt.refused {
				t.Errorf("against refused: %v", over)
			}
		})
	}
}

func FuzzDecision(f *testing.F) {
	f.Add(`{"decision":"executed","reason":"seen in the back office","who":"li"}`)
	f.Add(`{"decision":"refused","reason":"13912345678 says so","who":"li\u0000","version":1,"force":true}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		var in adminapi.Decision
		if decode(r, &in) != nil || checkDecision(in) != nil {
			return
		}
		if len(strings.TrimSpace(in.Reason)) < adminapi.MinReason || strings.TrimSpace(in.Who) == "" || strings.ContainsAny(in.Who, "\n\x00") || scrub(strings.TrimSpace(in.Reason)) != strings.TrimSpace(in.Reason) {
			t.Errorf("taken: %+v", in)
		}
	})
}

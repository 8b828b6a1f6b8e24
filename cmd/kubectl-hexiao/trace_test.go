// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/admin/admintest"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// traced is what a program reads of trace.
type traced struct {
	Stories []struct {
		OrderNo string
		Verdict struct {
			Charged, Twice, Proof struct{ Answer, Why string }
			Net                   adminapi.Sum
			Do                    []string
		}
		TimeLine []struct {
			At           time.Time
			Source, What string
			BizID, Who   string
			TookNanos    int64
		}
		Traces []struct {
			ID, URL, Error string
			Spans          int
		}
	}
}

func traceJSON(t *testing.T, args ...string) traced {
	t.Helper()
	code, out, errOut := plugin(t, "", append([]string{"trace", "-o", "json"}, args...)...)
	wantCode(t, 0, code, out, errOut)
	var got traced
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Stories) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	return got
}

func TestTraceAnswersWhetherAMemberWasChargedAndHowOften(t *testing.T) {
	for name, tt := range map[string]struct {
		happens        func(*admintest.Connector)
		charged, twice string
		says           []string // in the text for people
		net            int64
		proof          string
		do             bool
	}{
		"once, at the first call": {
			happens: func(c *admintest.Connector) { c.Verify("b1", admintest.AtZhimai) },
			charged: "yes", twice: "no", net: 2550, proof: "intact",
			says: []string{": EXECUTED; vendor's flow ", "Was it charged?       YES: 25.50 yuan in all.", "Charged twice?        NO: the till made one request of this payment, and each call to a vendor left once.",
				"Can this be trusted?  INTACT: the hash chain of 1 request was verified now, 3 events", "VERIFY b1: 25.50 yuan charged",
				"asks to redeem StoredValue 400001, 25.50 yuan", "1 vendor call planned and written down before anything is sent", "zhimai did it", "the final reply is stored (subCode 000"},
		},
		"once, though the till repeated its request": {
			happens: func(c *admintest.Connector) {
				for range 3 {
					c.Verify("b1", admintest.AtZhimai)
				}
			},
			charged: "yes", twice: "no", net: 2550, proof: "intact",
		},
		"twice, by a second request of the same payment": {
			happens: func(c *admintest.Connector) {
				c.Verify("b1", admintest.AtZhimai)
				c.VerifyFor("b2", "b1", admintest.AtZhimai)
			},
			charged: "yes", twice: "yes", net: 5100, proof: "intact", do: true,
			says: []string{"Charged twice?        YES: the till made 2 requests of payment P-b1 of order T-b1 (b2, b1), and 2 of them charged", "VERIFY b2, of the same order: 25.50 yuan charged", "reverses one of them at the till"},
		},
		"a second request that was given back": {
			happens: func(c *admintest.Connector) {
				c.Verify("b1", admintest.AtZhimai)
				flow := c.VerifyFor("b2", "b1", admintest.AtALSC).Result.Data.FlowID
				c.Reverse("r1", "b1", flow, admintest.AtALSC)
			},
			charged: "yes", twice: "no", net: 2550, proof: "intact",
			says: []string{"what was charged more than once was given back", "  REVERSE r1: 25.50 yuan given back"},
		},
		"given back": {
			happens: func(c *admintest.Connector) {
				flow := c.Verify("b1", admintest.AtALSC).Result.Data.FlowID
				c.Reverse("r1", "b1", flow, admintest.AtALSC)
			},
			charged: "given-back", twice: "no", proof: "intact",
			says: []string{"GIVEN BACK: nothing remains; 25.50 yuan charged, 25.50 yuan given back"},
		},
		"refused by the vendor": {
			happens: func(c *admintest.Connector) {
				c.Fault("zhimai", consume, fault.Refuse, 1)
				c.Verify("b1", admintest.AtZhimai)
			},
			charged: "no", twice: "no", proof: "intact",
			says: []string{"NO: the vendor refused it, or is known not to have done it; that is final", ": REFUSED; "},
		},
		"in doubt, for a person": {
			happens: func(c *admintest.Connector) {
				c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
				c.Verify("b1", admintest.AtZhimai)
				c.InDoubt(1)
			},
			charged: "not-known", twice: "no", proof: "intact", do: true,
			says: []string{"NOT KNOWN: 25.50 yuan may or may not have been charged", "then kubectl hexiao in-doubt resolve b1 --admin-url http://127.0.0.1:", "no promise to the member", "IN DOUBT"},
		},
		"decided by hand, against the evidence": {
			happens: func(c *admintest.Connector) {
				c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
				c.Verify("b1", admintest.AtZhimai)
				c.InDoubt(1)
				c.Decide("b1", "refused")
			},
			charged: "not-known", twice: "perhaps", proof: "intact", do: true,
			says: []string{"ALARM: a vendor's evidence contradicts what was concluded", "decides by hand: refused; reason: ", "against the evidence: ", "call the on-call engineer at once"},
		},
		"in doubt twice": {
			happens: func(c *admintest.Connector) {
				c.Fault("zhimai", consume, fault.ApplyThenReset, 2)
				c.Verify("b1", admintest.AtZhimai)
				c.VerifyFor("b2", "b1", admintest.AtZhimai)
				c.InDoubt(2)
			},
			charged: "not-known", twice: "perhaps", proof: "intact", do: true,
		},
		"found out by the resolver": {
			happens: func(c *admintest.Connector) {
				c.Fault("alsc", "", fault.ApplyThenReset, 1)
				c.Verify("b1", admintest.AtALSC)
				c.Settled("b1")
			},
			charged: "yes", twice: "no", net: 2550, proof: "intact",
			says: []string{"no answer that says whether alsc did it: IN DOUBT", "takes the call in hand", "alsc did it; found by look-up"},
		},
		"a ledger that another hand has changed": {
			happens: func(c *admintest.Connector) {
				c.Verify("b1", admintest.AtZhimai)
				c.Tamper("UPDATE leg SET amount_fen = 1 WHERE biz_id = 'b1'")
			},
			charged: "yes", twice: "no", net: 2550, proof: "broken", do: true,
			says: []string{"BROKEN: the ledger was changed by another hand", "nothing above may be relied on"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admintest.Start(t)
			tt.happens(c)
			here := []string{"b1", "--admin-url", c.Client.Base}
			v := traceJSON(t, here...).Stories[0].Verdict
			if v.Charged.Answer != tt.charged || v.Twice.Answer != tt.twice || v.Proof.Answer != tt.proof || v.Net.Fen != tt.net || (len(v.Do) > 0) != tt.do {
				t.Errorf("verdict %+v", v)
			}
			code, out, errOut := plugin(t, "", append([]string{"trace"}, here...)...)
			wantCode(t, 0, code, out, errOut)
			wantText(t, out, tt.says...)
			code, wide, errOut := plugin(t, "", append([]string{"trace", "-o", "wide"}, here...)...)
			wantCode(t, 0, code, wide, errOut)
			wantText(t, wide, tt.says...)
			wantText(t, wide, "  chain ", " fen, inDoubt ", "[event 1, recorded {")
			for _, word := range []string{"13912345678", "canary-token", "欧阳金丝雀", "demo-open-key", "BRAND", "executed, executed", "EXECUTED; executed", "REFUSED; refused", "refused, refused", "did it; executed"} {
				if strings.Contains(out, word) || strings.Contains(wide[:strings.Index(wide, "TIME LINE")], word) {
					t.Errorf("it shows %s:\n%s", word, out)
				}
			}
		})
	}
}

func TestTraceFindsByWhateverSupportHas(t *testing.T) {
	c := admintest.Start(t)
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", c.Port)
	flow := c.Verify("b1", admintest.AtALSC).Result.Data.FlowID
	c.Reverse("r1", "b1", flow, admintest.AtALSC)
	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil {
		t.Fatal(err)
	}
	dashed := r.TraceID[:8] + "-" + strings.ToUpper(r.TraceID[8:])
	for name, args := range map[string][]string{
		"bizId": {"b1"}, "bizId by its flag": {"--biz-id", "b1"}, "bizId twice": {"b1", "--biz-id", "b1"}, "the reversal's bizId": {"r1"}, "order": {"--order", "T-b1"}, "payment": {"--payment", "P-b1"}, "flow": {"--flow-id", flow}, "trace": {"--trace-id", dashed},
	} {
		t.Run(name, func(t *testing.T) {
			got := traceJSON(t, append([]string{"xiaowang", "--traces-url", "http://jaeger.example/trace/{traceID}"}, args...)...)
			story := got.Stories[0]
			if story.OrderNo != "T-b1" || story.Verdict.Charged.Answer != "given-back" || len(story.Traces) != 2 {
				t.Errorf("%+v", story)
			}
			links := story.Traces[0].URL + " " + story.Traces[1].URL
			if !strings.Contains(links, "http://jaeger.example/trace/"+r.TraceID) {
				t.Errorf("links: %s", links)
			}
		})
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nothing":                  {[]string{"xiaowang", "never"}, exitNotFound, "no such redemption"},
		"no name of a redemption":  {[]string{"xiaowang"}, exitUsage, "say which redemption"},
		"two bizIds":               {[]string{"xiaowang", "b1", "--biz-id", "b2"}, exitUsage, "say one of them"},
		"no brand":                 {nil, exitUsage, "name the brand"},
		"no such brand":            {[]string{"nobody", "b1"}, exitNotFound, `no BrandConnector "nobody"`},
		"a link without its place": {[]string{"xiaowang", "b1", "--traces-url", "http://jaeger.example/"}, exitUsage, "{traceID}"},
		"no such time zone":        {[]string{"xiaowang", "b1", "--time-zone", "Mars"}, exitUsage, "Asia/Shanghai"},
		"no URL of a backend":      {[]string{"xiaowang", "b1", "--tempo-url", "user:secret@"}, exitUsage, "http://tempo.example:3200"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := plugin(t, "", append([]string{"trace"}, tt.args...)...)
			wantCode(t, tt.code, code, out, errOut)
			wantText(t, errOut, tt.says)
			if strings.Contains(errOut, "secret") {
				t.Errorf("it prints a password: %s", errOut)
			}
		})
	}
	t.Run("a connector that has no such call yet", func(t *testing.T) {
		old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"error":{"code":"not-found","message":"there is no GET on this path"}}`)
		}))
		defer old.Close()
		code, out, errOut := plugin(t, "", "trace", "b1", "--admin-url", old.URL)
		wantCode(t, exitFailed, code, out, errOut)
		wantText(t, errOut, "upgrade it")
	})
}

// backend is a tracing backend: it takes spans by OTLP, and gives a trace by Tempo's
// HTTP API.
type backend struct {
	mu     sync.Mutex
	spans  []*tracev1.ResourceSpans
	tenant string
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id, get := strings.CutPrefix(r.URL.Path, "/api/traces/")
	switch {
	case r.URL.Path == "/v1/traces":
		raw, _ := io.ReadAll(r.Body)
		var in collectorv1.ExportTraceServiceRequest
		if proto.Unmarshal(raw, &in) == nil {
			b.spans = append(b.spans, in.GetResourceSpans()...)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	case get && r.Header.Get("Accept") == "application/protobuf":
		b.tenant = r.Header.Get("X-Scope-OrgID")
		b.answer(w, id)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (b *backend) answer(w http.ResponseWriter, id string) {
	out := &tracev1.TracesData{}
	for _, r := range b.spans {
		mine := &tracev1.ResourceSpans{Resource: r.GetResource()}
		for _, scope := range r.GetScopeSpans() {
			kept := &tracev1.ScopeSpans{}
			for _, s := range scope.GetSpans() {
				if hex.EncodeToString(s.GetTraceId()) == id {
					kept.Spans = append(kept.Spans, s)
				}
			}
			mine.ScopeSpans = append(mine.ScopeSpans, kept)
		}
		out.ResourceSpans = append(out.ResourceSpans, mine)
	}
	raw, _ := proto.Marshal(out)
	w.Header().Set("Content-Type", "application/protobuf")
	_, _ = w.Write(raw)
}

func TestTracePutsTheSpansOfTheBackendIntoTheTimeLine(t *testing.T) {
	b := &backend{}
	server := httptest.NewServer(b)
	defer server.Close()
	c := admintest.StartTraced(t, server.URL)
	c.Verify("b1", admintest.AtALSC)
	t.Setenv(envTempoURL, server.URL+"/")
	t.Setenv(envTempoTenant, "team-a")
	args := []string{"b1", "--admin-url", c.Client.Base}
	var names []string
	for deadline := time.Now().Add(atMost); ; time.Sleep(100 * time.Millisecond) { // the connector exports in batches
		names = nil
		story := traceJSON(t, args...).Stories[0]
		for _, e := range story.TimeLine {
			if e.Source == "span" {
				names = append(names, e.What)
				if e.TookNanos <= 0 || e.Who == "" {
					t.Fatalf("a span without duration or service: %+v", e)
				}
			}
		}
		if strings.Contains(strings.Join(names, "\n"), "POST /keruyun/") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the spans that came: %q; %+v", names, story.Traces)
		}
	}
	code, out, errOut := plugin(t, "", append([]string{"trace"}, args...)...)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "span", "redeem.plan", "ledger.record", "alibaba.alsc.crm.recharge.dedut.update, HTTP 200", "YES: 25.50 yuan in all")
	if b.tenant != "team-a" {
		t.Errorf("the tenant was %q", b.tenant)
	}
	t.Run("a backend that is away changes no verdict", func(t *testing.T) {
		server.CloseClientConnections()
		code, out, errOut := plugin(t, "", append([]string{"trace", "--tempo-url", "http://user:hidden@127.0.0.1:1"}, args...)...)
		wantCode(t, 0, code, out, errOut)
		wantText(t, out, "YES: 25.50 yuan in all", "NO SPANS: ask the tracing backend")
		if strings.Contains(out+errOut, "hidden") {
			t.Errorf("it prints a password:\n%s\n%s", out, errOut)
		}
	})
}

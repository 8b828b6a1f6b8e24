// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/hexiao-dev/hexiao/connector/telemetry"
)

func newMetrics(t *testing.T, tel *telemetry.Telemetry) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.NewMetrics(tel.MeterProvider(), "zhimai", "alsc")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// recordAll calls every method of the metrics once.
func recordAll(t *testing.T, ctx context.Context, m *telemetry.Metrics) {
	t.Helper()
	m.HTTPRequest(ctx, telemetry.HTTPRequest{Method: "POST", Route: "/keruyun/{brand}/member-assets/verify", Status: 200, Took: 120 * time.Millisecond})
	m.HTTPRequest(ctx, telemetry.HTTPRequest{Method: "_OTHER", Status: 404, Took: time.Millisecond})
	m.Request(ctx, "verify", 0, 120*time.Millisecond)
	m.Redemption(ctx, telemetry.Redemption{Action: "VERIFY", Outcome: "executed", SubCode: "000"})
	m.Leg(ctx, "zhimai", "executed")
	m.VendorCall(ctx, telemetry.VendorCall{Provider: "zhimai", Operation: "communal.user.consume", Kind: "executed", Took: 80 * time.Millisecond})
	m.LedgerCommit(ctx, telemetry.LedgerCommit{Operation: "record", Backend: "sqlite", Took: 2 * time.Millisecond})
	m.LedgerCommit(ctx, telemetry.LedgerCommit{Operation: "settle", Backend: "sqlite", Took: 2 * time.Millisecond, Failed: true})
	m.Resolution(ctx, "alsc", "executed", 40*time.Second)
	m.ResolverAttempt(ctx, telemetry.ResolverAttempt{Provider: "alsc", Strategy: "Query", Result: "executed"})
	m.Contradiction(ctx, "alsc")
	m.Replay(ctx, "VERIFY")
	m.FingerprintConflict(ctx, "VERIFY")
	m.RateLimited(ctx, "alsc")
	m.ReplyDeadline(4 * time.Second)
	m.ReplyTimeout(ctx, "VERIFY")
	m.DuplicateWaits(ctx)
	if _, err := m.ObserveInDoubt(func(context.Context) ([]telemetry.InDoubt, error) {
		return []telemetry.InDoubt{{Provider: "zhimai", Legs: 2, Manual: 1, Oldest: 90 * time.Second}, {Provider: "alsc"}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.ObserveBreakers(func() map[string]telemetry.BreakerState {
		return map[string]telemetry.BreakerState{"zhimai": telemetry.BreakerOpen}
	}); err != nil {
		t.Fatal(err)
	}
}

// samples returns the sample lines of a scrape that match, without histogram buckets, sorted.
func samples(scraped, match string) []string {
	var lines []string
	for line := range strings.Lines(scraped) {
		if (strings.HasPrefix(line, "hexiao_") || strings.HasPrefix(line, "http_")) && !strings.Contains(line, "_bucket{") && regexp.MustCompile(match).MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestWhatIsRecordedIsScraped(t *testing.T) {
	tel := setUp(t, telemetry.Config{BrandID: "11342"})
	recordAll(t, t.Context(), newMetrics(t, tel))
	want := []string{
		`hexiao_breaker_state{hexiao_brand_id="11342",hexiao_provider="zhimai"} 2`,
		`hexiao_contradictions_total{hexiao_brand_id="11342",hexiao_provider="alsc"} 1`,
		`hexiao_contradictions_total{hexiao_brand_id="11342",hexiao_provider="zhimai"} 0`,
		`hexiao_duplicates_waiting{hexiao_brand_id="11342"} 1`,
		`hexiao_fingerprint_conflicts_total{hexiao_action="VERIFY",hexiao_brand_id="11342"} 1`,
		`hexiao_in_doubt_manual{hexiao_brand_id="11342",hexiao_provider="alsc"} 0`,
		`hexiao_in_doubt_manual{hexiao_brand_id="11342",hexiao_provider="zhimai"} 1`,
		`hexiao_in_doubt_oldest_age_seconds{hexiao_brand_id="11342",hexiao_provider="alsc"} 0`,
		`hexiao_in_doubt_oldest_age_seconds{hexiao_brand_id="11342",hexiao_provider="zhimai"} 90`,
		`hexiao_in_doubt{hexiao_brand_id="11342",hexiao_provider="alsc"} 0`,
		`hexiao_in_doubt{hexiao_brand_id="11342",hexiao_provider="zhimai"} 2`,
		`hexiao_ledger_commit_duration_seconds_count{hexiao_brand_id="11342",hexiao_ledger_backend="sqlite",hexiao_operation="record"} 1`,
		`hexiao_ledger_commit_duration_seconds_count{hexiao_brand_id="11342",hexiao_ledger_backend="sqlite",hexiao_operation="settle"} 1`,
		`hexiao_ledger_commit_duration_seconds_sum{hexiao_brand_id="11342",hexiao_ledger_backend="sqlite",hexiao_operation="record"} 0.002`,
		`hexiao_ledger_commit_duration_seconds_sum{hexiao_brand_id="11342",hexiao_ledger_backend="sqlite",hexiao_operation="settle"} 0.002`,
		`hexiao_ledger_errors_total{hexiao_brand_id="11342",hexiao_ledger_backend="sqlite",hexiao_operation="settle"} 1`,
		`hexiao_legs_total{hexiao_brand_id="11342",hexiao_kind="executed",hexiao_provider="zhimai"} 1`,
		`hexiao_legs_total{hexiao_brand_id="11342",hexiao_kind="unknown",hexiao_provider="alsc"} 0`,
		`hexiao_legs_total{hexiao_brand_id="11342",hexiao_kind="unknown",hexiao_provider="zhimai"} 0`,
		`hexiao_rate_limit_rejections_total{hexiao_brand_id="11342",hexiao_limiter="alsc"} 1`,
		`hexiao_redemptions_total{hexiao_action="VERIFY",hexiao_brand_id="11342",hexiao_outcome="executed",hexiao_sub_code="000"} 1`,
		`hexiao_replays_total{hexiao_action="VERIFY",hexiao_brand_id="11342"} 1`,
		`hexiao_reply_deadline_seconds{hexiao_brand_id="11342"} 4`,
		`hexiao_reply_timeouts_total{hexiao_action="REVERSE_VERIFY",hexiao_brand_id="11342"} 0`,
		`hexiao_reply_timeouts_total{hexiao_action="VERIFY",hexiao_brand_id="11342"} 1`,
		`hexiao_request_duration_seconds_count{hexiao_brand_id="11342",hexiao_code="0",hexiao_spi="verify"} 1`,
		`hexiao_request_duration_seconds_sum{hexiao_brand_id="11342",hexiao_code="0",hexiao_spi="verify"} 0.12`,
		`hexiao_resolution_duration_seconds_count{hexiao_brand_id="11342",hexiao_outcome="executed",hexiao_provider="alsc"} 1`,
		`hexiao_resolution_duration_seconds_sum{hexiao_brand_id="11342",hexiao_outcome="executed",hexiao_provider="alsc"} 40`,
		`hexiao_resolver_attempts_total{hexiao_brand_id="11342",hexiao_provider="alsc",hexiao_result="executed",hexiao_strategy="Query"} 1`,
		`hexiao_vendor_call_duration_seconds_count{hexiao_brand_id="11342",hexiao_kind="executed",hexiao_operation="communal.user.consume",hexiao_provider="zhimai"} 1`,
		`hexiao_vendor_call_duration_seconds_sum{hexiao_brand_id="11342",hexiao_kind="executed",hexiao_operation="communal.user.consume",hexiao_provider="zhimai"} 0.08`,
		`http_server_request_duration_seconds_count{hexiao_brand_id="11342",http_request_method="POST",http_response_status_code="200",http_route="/keruyun/{brand}/member-assets/verify"} 1`,
		`http_server_request_duration_seconds_count{hexiao_brand_id="11342",http_request_method="_OTHER",http_response_status_code="404"} 1`,
		`http_server_request_duration_seconds_sum{hexiao_brand_id="11342",http_request_method="POST",http_response_status_code="200",http_route="/keruyun/{brand}/member-assets/verify"} 0.12`,
		`http_server_request_duration_seconds_sum{hexiao_brand_id="11342",http_request_method="_OTHER",http_response_status_code="404"} 0.001`,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, samples(scrape(t, tel, plain), ".")); diff != "" {
		t.Errorf("scraped (-want +got):\n%s", diff)
	}
}

func TestTheSpanOfARequestIsTheExemplar(t *testing.T) {
	c := newCollector(t)
	tel := setUp(t, telemetry.Config{OTLPEndpoint: c.URL})
	m := newMetrics(t, tel)
	ctx, span := tel.Tracer().Start(t.Context(), "request")
	m.Request(ctx, "verify", 0, 120*time.Millisecond)
	m.Redemption(ctx, telemetry.Redemption{Action: "VERIFY", Outcome: "executed", SubCode: "000"})
	span.End()
	got := scrape(t, tel, openMetrics)
	for _, series := range []string{`hexiao_request_duration_seconds_bucket\{.*le="0.25"\} 1`, `hexiao_redemptions_total\{.*\} 1.0`} {
		want := regexp.MustCompile(`(?m)^` + series + ` # \{.*trace_id="` + span.SpanContext().TraceID().String() + `".*\}`)
		if !want.MatchString(got) {
			t.Errorf("no line matches %s in\n%s", want, got)
		}
	}
}

func TestAnUnreadableLedgerLeavesTheGaugesAbsent(t *testing.T) {
	tel := setUp(t, telemetry.Config{})
	m := newMetrics(t, tel)
	var down error
	stop, err := m.ObserveInDoubt(func(ctx context.Context) ([]telemetry.InDoubt, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the read has no deadline")
		}
		return []telemetry.InDoubt{{Provider: "alsc", Legs: 1, Oldest: time.Second}}, down
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := samples(scrape(t, tel, plain), "^hexiao_in_doubt"); len(got) != 3 {
		t.Errorf("scraped %q, want the three gauges", got)
	}
	down = errors.New("connection refused")
	if got := samples(scrape(t, tel, plain), "^hexiao_in_doubt"); len(got) != 0 {
		t.Errorf("scraped %q while the ledger is down, want nothing", got)
	}
	down = nil
	stop()
	if got := samples(scrape(t, tel, plain), "^hexiao_in_doubt"); len(got) != 0 {
		t.Errorf("scraped %q after stop, want nothing", got)
	}
}

func TestADuplicateWaitsUntilDone(t *testing.T) {
	tel := setUp(t, telemetry.Config{})
	m := newMetrics(t, tel)
	first := m.DuplicateWaits(t.Context())
	m.DuplicateWaits(t.Context())
	first()
	first()
	if diff := cmp.Diff([]string{"hexiao_duplicates_waiting 1"}, samples(scrape(t, tel, plain), "waiting")); diff != "" {
		t.Errorf("scraped (-want +got):\n%s", diff)
	}
}

func TestASeriesFloodIsBounded(t *testing.T) {
	tel := setUp(t, telemetry.Config{})
	m := newMetrics(t, tel)
	for i := range 5000 {
		m.Request(t.Context(), "verify", i, time.Millisecond)
	}
	if got := len(samples(scrape(t, tel, plain), "^hexiao_request_duration_seconds_count")); got > 500 {
		t.Errorf("%d series, want at most 500", got)
	}
}

func TestMetricsWorkWithoutAProvider(t *testing.T) {
	m, err := telemetry.NewMetrics(noop.NewMeterProvider(), "zhimai")
	if err != nil {
		t.Fatal(err)
	}
	recordAll(t, t.Context(), m)
}

// The reference says what the table declares; this says that the methods record just that.
func TestTheReferenceNamesWhatIsScraped(t *testing.T) {
	tel := setUp(t, telemetry.Config{BrandID: "11342"})
	recordAll(t, t.Context(), newMetrics(t, tel))
	scraped := map[string][]string{}
	for _, line := range samples(scrape(t, tel, plain), "^hexiao_.*[{]") {
		name, rest, _ := strings.Cut(line, "{")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum")
		var labels []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(rest, -1) {
			if label[1] != "hexiao_brand_id" {
				labels = append(labels, label[1])
			}
		}
		scraped[name] = labels
	}
	reference, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	for _, section := range strings.Split(string(reference), "\n## ") {
		name, body, _ := strings.Cut(section, "\n")
		if !strings.HasPrefix(name, "hexiao_") || name == "hexiao_telemetry_export_failures_total" {
			continue
		}
		documented[name] = nil
		for _, label := range regexp.MustCompile("(?m)^\\| `(hexiao_\\w+)` \\|").FindAllStringSubmatch(body, -1) {
			documented[name] = append(documented[name], label[1])
		}
		slices.Sort(documented[name])
	}
	if diff := cmp.Diff(documented, scraped); diff != "" {
		t.Errorf("documented, scraped (-want +got):\n%s", diff)
	}
}

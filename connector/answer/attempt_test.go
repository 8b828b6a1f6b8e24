// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

func TestAnAttemptAddsWhatIsTheSameForEachVendor(t *testing.T) {
	unknown := rowRepeatRefused.Outcome(200, "9", "", "")
	refused := redeem.Outcome{Kind: redeem.Refused, Class: "refused", Code: "9", HTTPStatus: 200, Cashier: "本次未扣款"}
	executed := redeem.Outcome{Kind: redeem.Executed, Class: "executed", Cashier: TillExecuted, Lines: []redeem.LineOutcome{{Cashier: TillExecuted}}}
	reversed := executed
	reversed.Cashier, reversed.Lines = "反核销成功", []redeem.LineOutcome{{Cashier: "反核销成功"}}
	mismatch := redeem.Outcome{Kind: redeem.Executed, Class: Mismatch, Detail: "executed, but"}
	unsent := Unsent(errors.New("x"))
	tests := map[string]struct {
		said    redeem.Outcome
		repeat  bool
		trusted bool
		action  redeem.Action
		want    redeem.Outcome
		logs    bool
	}{
		"a refusal of the first call is one":                   {said: refused, want: refused},
		"a refusal of a repeat says nothing of the first":      {said: refused, repeat: true, want: unknown},
		"a refusal of a repeat is one where the brand says so": {said: refused, repeat: true, trusted: true, want: refused},
		"a repeat that did not leave is not sent":              {said: unsent, repeat: true, want: unsent},
		"a repeat that is executed is executed":                {said: executed, repeat: true, want: executed},
		"a reversal is told in its own words":                  {said: executed, action: redeem.ReverseVerify, want: reversed},
		"amounts that do not fit are logged":                   {said: mismatch, want: mismatch, logs: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var logs bytes.Buffer
			spans := tracetest.NewSpanRecorder()
			a := Attempts{
				Provider: "vendor", Log: slog.New(slog.NewJSONHandler(&logs, nil)), TrustRepeatRefusals: tc.trusted,
				Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer(""),
			}
			calls := 0
			s := redeem.Sending{Leg: redeem.Leg{Operation: "spend", Key: "K1"}, Action: tc.action}
			got := a.Once(t.Context(), s, tc.repeat, func(_ context.Context, got redeem.Sending) redeem.Outcome {
				calls++
				if diff := cmp.Diff(s, got); diff != "" {
					t.Errorf("the call is another: %s", diff)
				}
				return tc.said
			})
			if diff := cmp.Diff(tc.want, got); diff != "" || calls != 1 {
				t.Errorf("%d calls (-want +got):\n%s", calls, diff)
			}
			if (logs.Len() > 0) != tc.logs || tc.logs && !strings.Contains(logs.String(), `"upstream_key":"K1"`) {
				t.Errorf("logged %q", logs.String())
			}
			if ended := spans.Ended(); len(ended) != 1 || ended[0].Name() != "vendor spend" {
				t.Errorf("got spans %v", ended)
			}
		})
	}
}

func TestWhatCannotBeMadeIntoARequestIsNotSent(t *testing.T) {
	if o := Unsent(errors.New("the leg holds no call")); o.Kind != redeem.NotSent || o.Class != "request" || o.Cashier != TillNotSent {
		t.Errorf("got %+v", o)
	}
}

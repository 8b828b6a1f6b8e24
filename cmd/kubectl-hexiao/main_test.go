// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/user"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexiao-dev/hexiao/connector/admin/adminapi"
	"github.com/hexiao-dev/hexiao/connector/admin/admintest"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

const consume = "communal.user.consume"

// plugin runs a command line; typed is what the person types.
func plugin(t *testing.T, typed string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	code = run(ctx, slices.Concat([]string{}, args), strings.NewReader(typed), &o, &e)
	return code, o.String(), e.String()
}

func wantCode(t *testing.T, want, got int, out, errOut string) {
	t.Helper()
	if got != want {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", got, want, out, errOut)
	}
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q:\n%s", p, text)
		}
	}
}

// tab presses the tab key behind a command line.
func tab(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := plugin(t, "", append([]string{"__complete"}, args...)...)
	wantCode(t, 0, code, out, errOut)
	return out
}

// completes presses a tab key until it brings what is wanted: it may cost a person three
// seconds at most, and brings nothing where a busy machine takes longer.
func completes(t *testing.T, want []string, press func() string) {
	t.Helper()
	for deadline := time.Now().Add(atMost); ; {
		out := press()
		if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(out, w) }) {
			return
		}
		if time.Now().After(deadline) || out != ":4\n" {
			t.Fatalf("it is completed with %q, want %q", out, want)
		}
	}
}

func TestADoubtIsDecidedThroughTheAPIServer(t *testing.T) {
	for name, webSockets := range map[string]bool{"websocket": true, "spdy": false} {
		t.Run(name, func(t *testing.T) {
			c := admintest.Start(t)
			s := startAPIServer(t, webSockets)
			s.brand("brands", "xiaowang", c.Port)
			c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
			c.Verify("b1", admintest.AtZhimai)
			c.InDoubt(1)

			code, out, errOut := plugin(t, "", "in-doubt", "list")
			wantCode(t, 0, code, out, errOut)
			wantText(t, out, "brands      xiaowang   verify   b1      0     zhimai     25.50 yuan   person")

			// The person changes their mind at the last question.
			typed := "yes\nexecuted\nseen\nbill 7788 seen in the back office\nb2\n"
			code, out, errOut = plugin(t, typed, "in-doubt", "resolve", "xiaowang", "b1")
			wantCode(t, exitUnconfirmed, code, out, errOut)
			wantText(t, out, "IN DOUBT, waits for a person", "FOUND: the vendor did it")
			wantText(t, errOut, "neither executed nor refused", "reason: has 4 characters: say in at least 10", "You record as li@example.com", "nothing was recorded")
			c.InDoubt(1)

			code, out, errOut = plugin(t, strings.Replace(typed, "b2", "b1", 1), "in-doubt", "resolve", "xiaowang", "b1")
			wantCode(t, 0, code, out, errOut)
			wantText(t, out, "recorded: leg 0 of b1 is executed", "li@example.com", "bill 7788 seen in the back office", "subCode 000")
			if got := c.Verify("b1", admintest.AtZhimai); got.Result == nil || !got.Result.Success {
				t.Errorf("the till's repeat heard %+v", got)
			}

			code, out, errOut = plugin(t, "", "in-doubt", "list", "xiaowang")
			wantCode(t, 0, code, out, errOut)
			wantText(t, out, "nothing is in doubt")
			code, out, errOut = plugin(t, "", "in-doubt", "resolve", "xiaowang", "b1", "--decision", "executed", "--reason", "once more, to be sure", "--yes")
			wantCode(t, exitChanged, code, out, errOut)
			if slices.ContainsFunc(s.forwards, func(how string) bool { return how != name }) || len(s.forwards) != 5 {
				t.Errorf("the ways that were opened: %v", s.forwards)
			}
		})
	}
}

func TestAScriptDecidesWithoutQuestions(t *testing.T) {
	c := admintest.Start(t)
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", c.Port)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	script := []string{"in-doubt", "resolve", "xiaowang", "b1", "-o", "json", "--yes", "--reason", "the guest's bill was cancelled", "--as", "desk-bot", "--decision", "refused"}

	code, out, errOut := plugin(t, "", script...)
	wantCode(t, exitEvidence, code, out, errOut)
	wantText(t, errOut, "contradicts the evidence", "--force")

	code, out, errOut = plugin(t, "", append(script, "--force")...)
	wantCode(t, 0, code, out, errOut)
	var got adminapi.Resolved
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("stdout is not one JSON value: %v\n%s", err, out)
	}
	if got.Who != "desk-bot" || got.Overruled == "" || !got.Redemption.Contradiction {
		t.Errorf("%+v", got)
	}

	code, out, errOut = plugin(t, "", "in-doubt", "show", "xiaowang", "b1", "--look-up", "-o", "yaml")
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "contradiction: true", "verdict: found", "alarm: true")

	r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
	if err != nil {
		t.Fatal(err)
	}
	for zone, text := range map[string]string{"": "+08:00", "--time-zone=Asia/Kathmandu": "+05:45"} {
		code, out, errOut = plugin(t, "", slices.DeleteFunc([]string{"in-doubt", "show", "xiaowang", "b1", zone}, func(a string) bool { return a == "" })...)
		wantCode(t, 0, code, out, errOut)
		wantText(t, out, " "+text+"\n", "decides by hand: refused; reason: the guest's bill was cancelled")
		if strings.Contains(out, "HTTPStatus") || strings.Contains(out, "RetryAfter") {
			t.Errorf("the log is not in words:\n%s", out)
		}
		if strings.Contains(out, r.CreatedAt.Format("15:04:05Z")) {
			t.Errorf("a time is in another zone:\n%s", out)
		}
	}
}

func TestRefusedIsNotRecordedTooEarly(t *testing.T) {
	c := admintest.StartLate(t, time.Hour)
	c.Fault("zhimai", consume, fault.ResetBeforeApply, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	script := []string{"in-doubt", "resolve", "b1", "--admin-url", c.Client.Base, "--decision", "refused", "--reason", "nothing in the back office", "--yes"}
	events := func() int {
		t.Helper()
		r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Events)
	}
	before := events()
	code, out, errOut := plugin(t, "", script...)
	wantCode(t, exitEvidence, code, out, errOut)
	wantText(t, errOut, "leg 0 may be called refused from", "charges the guest twice", "--force")
	wantText(t, out, "refused:         not before 20")
	if events() != before {
		t.Error("the vendor was asked for nothing")
	}

	// Who is asked for the decision has seen the evidence, and hears it of the connector.
	code, out, errOut = plugin(t, "refused\nnothing in the back office\nb1\n", script[:5]...)
	wantCode(t, exitEvidence, code, out, errOut)
	wantText(t, errOut, "leg 0 may be called refused from", "(here: --force)")

	code, out, errOut = plugin(t, "", append(script, "--force")...)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "recorded: leg 0 of b1 is refused", "overruled:       leg 0 may be called refused from")
}

// Each question to the vendor stays in the log, so what is wrong is said before it.
func TestWhatIsWrongWithADecisionIsSaidBeforeTheVendorIsAsked(t *testing.T) {
	c := admintest.Start(t)
	c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
	c.Verify("b1", admintest.AtZhimai)
	c.InDoubt(1)
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody to ask for the decision":     {nil, exitUnconfirmed, "there is nobody to ask"},
		"nobody to ask for the reason":       {[]string{"--decision", "executed", "--yes"}, exitUnconfirmed, "there is nobody to ask"},
		"nobody to ask for the confirmation": {[]string{"--decision", "executed", "--reason", "bill 7788 seen"}, exitUnconfirmed, "--yes"},
		"a short reason":                     {[]string{"--decision", "executed", "--reason", "seen", "--yes"}, exitUsage, "--reason: has 4 characters: say in at least 10"},
		"a mobile number in the reason":      {[]string{"--decision", "executed", "--reason", "the guest, 13912345678, says so", "--yes"}, exitUsage, "--reason: holds what looks like a mobile number"},
		"no such decision":                   {[]string{"--decision", "maybe", "--reason", "bill 7788 seen", "--yes"}, exitUsage, "executed when the vendor did it"},
		"no such leg":                        {[]string{"--decision", "executed", "--reason", "bill 7788 seen", "--yes", "--leg", "7"}, exitUsage, "legs 0 to 0"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := plugin(t, "", append([]string{"in-doubt", "resolve", "b1", "--admin-url", c.Client.Base}, tt.args...)...)
			wantCode(t, tt.code, code, out, errOut)
			wantText(t, errOut, tt.says)
		})
	}
	count := func() int {
		t.Helper()
		r, err := c.Client.Redemption(t.Context(), "VERIFY", "b1")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(r.Events)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(raw), "look-up by hand")
	}
	if n := count(); n != 0 {
		t.Errorf("the vendor was asked %d times", n)
	}
	script := []string{"in-doubt", "resolve", "b1", "--leg", "0", "--admin-url", c.Client.Base, "--decision", "executed", "--reason", "bill 7788 seen", "--yes"}
	code, out, errOut := plugin(t, "", script...)
	wantCode(t, 0, code, out, errOut)
	asked := count()
	code, out, errOut = plugin(t, "", script...)
	wantCode(t, exitChanged, code, out, errOut)
	if n := count(); asked == 0 || n != asked {
		t.Errorf("asked %d times, and %d when it was decided already", asked, n)
	}
}

func TestACallThatIsUnderWayIsSaidToBe(t *testing.T) {
	t.Parallel()
	c := admintest.StartHasty(t)
	c.Fault("zhimai", consume, fault.ApplyThenHang, 1)
	c.Verify("b1", admintest.AtZhimai)
	code, out, errOut := plugin(t, "", "in-doubt", "list", "--admin-url", c.Client.Base)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "25.50 yuan   under way   ", "in 1m")
	code, out, errOut = plugin(t, "", "in-doubt", "resolve", "b1", "--admin-url", c.Client.Base, "--decision", "executed", "--reason", "bill 7788 seen", "--yes")
	wantCode(t, exitChanged, code, out, errOut)
	wantText(t, out, "SENT, no answer yet, under way")
	wantText(t, errOut, "the call of leg 0 of b1 is under way: the vendor may still answer")
}

func TestTheCommandLineSaysWhatIsWrong(t *testing.T) {
	c := admintest.Start(t)
	s := startAPIServer(t, true)
	s.brand("brands", "xiaowang", c.Port)
	s.brand("brands", "pending", 0)
	s.brand("brands", "closed", 1) // nobody listens on it
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"no such command":          {[]string{"in-doubt", "solve"}, exitUsage, `there is no command "solve"`},
		"no such flag":             {[]string{"in-doubt", "list", "--everything"}, exitUsage, "unknown flag"},
		"no such format":           {[]string{"in-doubt", "list", "-o", "xml"}, exitUsage, "use table, wide, json, yaml"},
		"no bizId":                 {[]string{"in-doubt", "show", "xiaowang"}, exitUsage, "BRAND BIZID"},
		"a brand and all":          {[]string{"in-doubt", "list", "xiaowang", "-A"}, exitUsage, "not both"},
		"no such action":           {[]string{"in-doubt", "show", "xiaowang", "b1", "--action", "pay"}, exitUsage, "verify or reverse"},
		"no such decision":         {[]string{"in-doubt", "resolve", "xiaowang", "b1", "--decision", "maybe"}, exitUsage, "executed when the vendor did it"},
		"no such time zone":        {[]string{"in-doubt", "show", "xiaowang", "b1", "--time-zone", "Mars"}, exitUsage, `--time-zone: "Mars" is none: use one like Asia/Shanghai`},
		"no zone of reversals":     {[]string{"reversals", "list", "xiaowang", "--time-zone", "Mars"}, exitUsage, `--time-zone: "Mars" is none: use one like Asia/Shanghai`},
		"nor of their retry":       {[]string{"reversals", "retry", "xiaowang", "b1", "--time-zone", "Mars"}, exitUsage, `--time-zone: "Mars" is none: use one like Asia/Shanghai`},
		"no such state":            {[]string{"reversals", "list", "xiaowang", "--state", "open"}, exitUsage, "use waiting or all"},
		"no such brand":            {[]string{"in-doubt", "list", "nobody"}, exitNotFound, `no BrandConnector "nobody" in namespace "brands"`},
		"no such redemption":       {[]string{"in-doubt", "show", "xiaowang", "b9"}, exitNotFound, "no such redemption"},
		"no such reversal":         {[]string{"reversals", "retry", "xiaowang", "b9"}, exitNotFound, "no such redemption"},
		"a brand that is starting": {[]string{"in-doubt", "list", "pending"}, exitFailed, "pending-1 is Running and not ready"},
		"a port that is closed":    {[]string{"in-doubt", "list", "closed"}, exitFailed, "failed to connect to localhost:9090"},
		"a foreign admin URL":      {[]string{"in-doubt", "list", "--admin-url", "http://10.0.0.1:9090"}, exitFailed, "not an address of this machine"},
		"a brand too many":         {[]string{"in-doubt", "show", "xiaowang", "b1", "--admin-url", "http://127.0.0.1:1"}, exitUsage, "the one argument is BIZID"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := plugin(t, "", tt.args...)
			wantCode(t, tt.code, code, out, errOut)
			wantText(t, errOut, tt.says)
		})
	}
	t.Run("some brands of all cannot be asked", func(t *testing.T) {
		s.brand("other", "zhang", c.Port)
		delete(s.pods, "other/zhang-1") // no right to forward its port
		code, out, errOut := plugin(t, "", "in-doubt", "list", "-A")
		wantCode(t, exitIncomplete, code, out, errOut)
		wantText(t, out, "NOT ASKED: brands/closed", "NOT ASKED: brands/pending", "NOT ASKED: other/zhang", "pods/portforward")
		wantText(t, errOut, "3 of 4 brands could not be asked")
	})
	t.Run("no machine can tell", func(t *testing.T) {
		c.Fault("zhimai", consume, fault.ApplyThenReset, 1)
		c.Verify("b1", admintest.AtZhimai)
		c.InDoubt(1)
		code, out, errOut := plugin(t, "", "in-doubt", "retry", "xiaowang", "b1")
		wantCode(t, exitChanged, code, out, errOut)
		wantText(t, errOut, "the strategy of zhimai is Manual")
	})
	t.Run("what completes", func(t *testing.T) {
		completes(t, []string{"xiaowang\n", "pending\n"}, func() string { return tab(t, "in-doubt", "show", "") })
		completes(t, []string{"b1\tverify, 25.50 yuan\n"}, func() string { return tab(t, "in-doubt", "resolve", "xiaowang", "") })
	})
}

func TestAConnectorOnThisMachineNeedsNoCluster(t *testing.T) {
	c := admintest.Start(t)
	t.Setenv("KUBECONFIG", "/nowhere")
	flow := c.Verify("b1", admintest.AtZhimai).Result.Data.FlowID
	c.Reverse("r1", "b1", flow, admintest.AtZhimai)
	here := func(args ...string) []string { return append(args, "--admin-url", c.Client.Base) }

	code, out, errOut := plugin(t, "", here("reversals", "list")...)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "r1      b1         25.50 yuan   unknown   0     zhimai     unknown   person")
	code, out, errOut = plugin(t, "", here("reversals", "list", "-o", "wide", "--time-zone", "Asia/Kathmandu")...)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "ASKED FOR AT", " +05:45 ")
	code, out, errOut = plugin(t, "", here("reversals", "retry", "r1")...)
	wantCode(t, exitChanged, code, out, errOut)
	code, out, errOut = plugin(t, "", here("in-doubt", "resolve", "r1", "--decision", "executed", "--reason", "given back in the back office", "--yes")...)
	wantCode(t, 0, code, out, errOut)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, out, "reversal r1 of brand 11342", "CANNOT BE ASKED", "recorded: leg 0 of r1 is executed", me.Username+"@")
}

func TestOneBizIDForTwoThings(t *testing.T) {
	c := admintest.Start(t)
	flow := c.Verify("b1", admintest.AtZhimai).Result.Data.FlowID
	c.Reverse("b1", "b1", flow, admintest.AtZhimai)
	code, out, errOut := plugin(t, "", "in-doubt", "show", "b1", "--admin-url", c.Client.Base)
	wantCode(t, exitUsage, code, out, errOut)
	wantText(t, errOut, "--action verify or --action reverse")
	code, out, errOut = plugin(t, "", "in-doubt", "show", "b1", "--action", "reverse", "--admin-url", c.Client.Base)
	wantCode(t, 0, code, out, errOut)
	wantText(t, out, "reversal b1 of brand 11342")
}

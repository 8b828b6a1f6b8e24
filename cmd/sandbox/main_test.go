// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/sandbox"
)

// run executes the command line and returns what it printed.
func run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := run(t, stdin, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// serving runs "serve" until the returned function stops it.
func serving(t *testing.T, args ...string) (admin string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	cmd := root()
	cmd.SetArgs(append([]string{"serve", "--listen", "127.0.0.1:0", "--zhimai-listen", "127.0.0.1:0"}, args...))
	cmd.SetOut(w)
	cmd.SetErr(io.Discard)
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready map[string]string
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatal(err)
	}
	if ready["zhimai_url"] == ready["admin_url"]+sandbox.ZhimaiPath || ready["alsc_url"] != ready["admin_url"]+sandbox.ALSCPath {
		t.Errorf("got %v", ready)
	}
	return ready["admin_url"], func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve must end cleanly: %v", err)
		}
	}
}

func TestServeIsSeededReadAndKeptOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "books")
	url, stop := serving(t, "--books", file)
	at := "--sandbox=" + url
	ok(t, "vendor: alsc\nid: \"7\"\nbalance: {real: 5, gift: 6}\n", "members", "put", at)
	if out := ok(t, "", "members", "get", "alsc", "7", at); !strings.Contains(out, `"gift": 6`) {
		t.Error(out)
	}
	if out := ok(t, "", "members", "list", "--vendor", "zhimai", at); strings.Contains(out, `"alsc"`) {
		t.Error(out)
	}
	ok(t, "", "books", "plant", "--vendor", "alsc", "--key", "k1", "--extra-fen", "8", "--member", "7", at)
	out := ok(t, "", "books", "list", at)
	if !strings.Contains(out, "SEQ") || !strings.Contains(out, "k1") {
		t.Error(out)
	}
	if out := ok(t, "", "books", "list", "-o", "json", at); !strings.Contains(out, `"amount_fen": 8`) {
		t.Error(out)
	}
	ok(t, "", "books", "plant", "--vendor", "alsc", "--key", "k1", "--show-fen", "9", at)
	stop()
	url, stop = serving(t, "--books", file)
	defer stop()
	fields := strings.Fields(strings.Split(ok(t, "", "books", "net", "--sandbox="+url), "\n")[1])
	if diff := cmp.Diff([]string{"alsc", "k1", "7", "1", "0", "8", "0", "0"}, fields); diff != "" {
		t.Error(diff)
	}
	ok(t, "", "reset", "--sandbox="+url)
	if out := ok(t, "", "members", "list", "--sandbox="+url); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
}

func TestFaultsCallsAndTraces(t *testing.T) {
	url, stop := serving(t)
	defer stop()
	at := "--sandbox=" + url
	ok(t, "", "faults", "add", "kind=slow", "delay_before=1.5s", "count=2", "vendor=alsc", at)
	ok(t, "- {kind: truncate, bytes: 3}\n- {kind: html, apply: false}\n", "faults", "add", "--file", "-", at)
	out := ok(t, "", "faults", "list", at)
	for _, want := range []string{`"delay_before": "1.5s"`, `"count": 2`, `"bytes": 3`, `"apply": false`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not in %s", want, out)
		}
	}
	ok(t, "", "faults", "remove", "f2", at)
	ok(t, "", "faults", "clear", at)
	ok(t, "", "faults", "down", "zhimai", at)
	ok(t, "", "faults", "up", "zhimai", at)
	if out := ok(t, "", "calls", at); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	if out := ok(t, "", "deliveries", "--all", at); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	spans := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"000000000000000000000000000000aa","spanId":"00f067aa0ba902b7","name":"POST /verify"}]}]}]}`
	resp, err := http.Post(url+"/v1/traces", "application/json", strings.NewReader(spans))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, by := range [][]string{{"--trace-id", "000000000000000000000000000000aa"}, {"--root", "verify"}, {}} {
		if out := ok(t, "", append([]string{"traces", at}, by...)...); !strings.Contains(out, "POST /verify") {
			t.Error(out)
		}
	}
}

func TestBadInputIsNamed(t *testing.T) {
	url, stop := serving(t)
	defer stop()
	at := "--sandbox=" + url
	tests := map[string]struct {
		args []string
		want string
	}{
		"a rule without fields":   {[]string{"faults", "add", at}, "field=value"},
		"a pair that is none":     {[]string{"faults", "add", "kind", at}, `"kind" is not field=value`},
		"a number that is none":   {[]string{"faults", "add", "kind=html", "count=two", at}, "count"},
		"a mistyped field":        {[]string{"faults", "add", "kind=slow", "delay_befor=1s", at}, `there is no field "delay_befor": did you mean delay_before? The fields are apply, bytes, code, count, delay_after, delay_before, id, key, kind, member, message, method, nth, probability, seconds, vendor`},
		"a field that is nowhere": {[]string{"faults", "add", "kind=slow", "colour=red", at}, `there is no field "colour": the fields are apply`},
		"a kind that is none":     {[]string{"faults", "add", "kind=x", at}, "faults[0].kind"},
		"an amount that is none":  {[]string{"books", "plant", "--show-fen", "x", at}, "--show-fen"},
		"a mistyped members":      {[]string{"members", "lst", at}, `there is no command "lst": did you mean list?`},
		"a mistyped books":        {[]string{"books", "nett"}, `there is no command "nett": did you mean net?`},
		"a mistyped faults":       {[]string{"faults", "dwn", "alsc"}, `there is no command "dwn": did you mean down? Or see hexiao-sandbox faults --help`},
		"a config that is none":   {[]string{"serve", "--config", "/none"}, "/none"},
		"a log level":             {[]string{"serve", "--log-level", "x"}, "--log-level"},
		"an address":              {[]string{"serve", "--listen", "127.0.0.1:x"}, "listen on"},
		"no app key":              {[]string{"send", "verify"}, "--app-key"},
		"no token":                {[]string{"sign", "verify", "--app-key", "k"}, "--token"},
		"a token file":            {[]string{"sign", "verify", "--app-key", "k", "--token-file", "/none"}, "--token-file"},
		"a header":                {[]string{"send", "verify", "--app-key", "k", "--token", "t", "-H", "x"}, "--header"},
		"a sandbox that is away":  {[]string{"members", "list", "--sandbox", "http://127.0.0.1:1"}, "call sandbox"},
		"a trace that is unknown": {[]string{"traces", "--root", "x", at}, "404"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, "", tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to name %s", err, tc.want)
			}
		})
	}
}

// Each example of the help is run, in its order, against a sandbox in which nothing was done.
func TestTheExamplesOfTheHelpRun(t *testing.T) {
	request, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "request.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"request.json": string(request), "query.json": "{}", "token": "t"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"sign", "books", "books plant", "calls"} {
		t.Run(path, func(t *testing.T) {
			url, stop := serving(t)
			defer stop()
			cmd, _, err := root().Find(strings.Fields(path))
			if err != nil {
				t.Fatal(err)
			}
			ran := 0
			for line := range strings.Lines(cmd.Example) {
				line, _, _ = strings.Cut(line, " #")
				words := strings.Fields(line)
				if len(words) == 0 || words[0] != "hexiao-sandbox" {
					continue
				}
				if words = words[1:]; path != "sign" {
					words = append(words, "--sandbox", url)
				}
				ok(t, "", words...)
				ran++
			}
			if ran < 2 {
				t.Errorf("it has %d examples:\n%s", ran, cmd.Example)
			}
		})
	}
}

func TestSendSignsAndJudgesTheReply(t *testing.T) {
	var got *url.URL
	var body string
	reply := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r.URL, string(raw)
		_, _ = io.WriteString(w, reply)
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--url", srv.URL, "--brand", "7", "--app-key", "k", "--token-file", file, "-H", "X-A: b"}
	tests := map[string]struct{ reply, want string }{
		"a success":   {`{"code":0,"message":"OK","messageUuid":"u","result":{"success":true}}`, ""},
		"a refusal":   {`{"code":0,"message":"OK","messageUuid":"u","result":{"success":false,"subCode":"101","subMsg":"余额不足"}}`, "subCode 101: 余额不足"},
		"a timeout":   {`{"code":3001,"message":"请求超时","messageUuid":"u"}`, "code 3001: 请求超时"},
		"no envelope": {`<html>`, "not a JSON object"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			reply = tc.reply
			out, err := run(t, `{"bizId": "1"}`, append([]string{"send", "verify"}, args...)...)
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if out == "" {
				t.Error("the reply must be printed")
			}
			q := got.Query()
			want := sandbox.KeruyunSign(sandbox.V2, map[string]string{"appKey": "k", "brandId": "7", "version": "2.0", "timestamp": q.Get("timestamp")}, []byte(`{"bizId": "1"}`), "t")
			if diff := cmp.Diff([]string{"/keruyun/7/member-assets/verify", `{"bizId": "1"}`, want}, []string{got.Path, body, q.Get("sign")}); diff != "" {
				t.Error(diff)
			}
		})
	}
	for spi, path := range map[string]string{"query": "query", "reverse": "reverse", "result": "result", "/own": ""} {
		out := ok(t, "{}", append([]string{"sign", spi}, args[:8]...)...)
		if want := srv.URL + "/keruyun/7/member-assets/" + path + "?"; path != "" && !strings.HasPrefix(out, want) || path == "" && !strings.HasPrefix(out, srv.URL+"/own?") {
			t.Errorf("%s: got %s", spi, out)
		}
	}
}

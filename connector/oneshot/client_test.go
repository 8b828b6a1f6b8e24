// SPDX-License-Identifier: Apache-2.0

package oneshot_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hexiao-dev/hexiao/connector/oneshot"
	"github.com/hexiao-dev/hexiao/connector/oneshot/oneshottest"
)

// till is a scripted server: it counts the requests whose head and body it has read
// in full, and lets the script answer on the bare connection.
type till struct {
	url      string
	requests atomic.Int64
	conns    atomic.Int64
	last     atomic.Pointer[http.Request]
}

func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }

// serve starts a till. script answers the n-th request (from 1) and says whether
// the connection stays open.
func serve(t *testing.T, script func(c net.Conn, n int64) bool) *till {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &till{url: "http://" + l.Addr().String() + "/pay"}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	handle := func(c net.Conn) {
		defer wg.Done()
		defer func() { _ = c.Close() }()
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.ReadAll(req.Body); err != nil {
				return
			}
			s.last.Store(req)
			if !script(c, s.requests.Add(1)) {
				return
			}
		}
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			wg.Add(1)
			go handle(c)
		}
	}()
	t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	return s
}

func say(answer string, keep bool) func(net.Conn, int64) bool {
	return func(c net.Conn, _ int64) bool {
		_, _ = io.WriteString(c, answer)
		return keep
	}
}

func hang(c net.Conn, _ int64) bool {
	_, _ = c.Read(make([]byte, 1)) // until the other side gives up
	return false
}

func client(t *testing.T, cfg oneshot.Config) *oneshot.Client {
	t.Helper()
	c := oneshot.New(cfg)
	t.Cleanup(c.Close)
	return c
}

func post(url string) oneshot.Request {
	return oneshot.Request{URL: url, ContentType: "application/json", Body: []byte(`{"amount":"10.00"}`)}
}

// failure is what the caller can decide by.
type failure struct {
	Sent   bool
	Cause  oneshot.Cause
	Status int
}

func failureOf(t *testing.T, err error) failure {
	t.Helper()
	var e *oneshot.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v (%T), want *oneshot.Error", err, err)
	}
	return failure{e.Sent, e.Cause, e.Status}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"code\": 0}"

func TestAnAnswerIsReadWhole(t *testing.T) {
	tests := map[string]struct {
		answer     string
		wantStatus int
		wantBody   string
	}{
		"with a length":                         {ok, 200, `{"code": 0}`},
		"in chunks":                             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"co\r\n7\r\nde\": 0}\r\n0\r\n\r\n", 200, `{"code": 0}`},
		"until the connection ends":             {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"code\": 0}", 200, `{"code": 0}`},
		"by HTTP/1.0":                           {"HTTP/1.0 200 OK\r\n\r\n{}", 200, `{}`},
		"a redirect is an answer, not a way":    {"HTTP/1.1 307 Temporary Redirect\r\nLocation: /pay\r\nContent-Length: 0\r\n\r\n", 307, ""},
		"a permanent redirect likewise":         {"HTTP/1.1 301 Moved\r\nLocation: /pay\r\nContent-Length: 0\r\n\r\n", 301, ""},
		"a page instead of data":                {"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>", 502, "<html></html>"},
		"an empty body":                         {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""},
		"an informational answer comes before":  {"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + ok, 200, `{"code": 0}`},
		"a retry-after does not make a retry":   {"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", 503, ""},
		"a request timeout answer ends it, too": {"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 408, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, say(tc.answer, false))
			got, err := client(t, oneshot.Config{}).Do(t.Context(), post(s.url))
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != tc.wantStatus || string(got.Body) != tc.wantBody {
				t.Errorf("got %d %q, want %d %q", got.Status, got.Body, tc.wantStatus, tc.wantBody)
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("the server saw %d requests, want 1", n)
			}
		})
	}
}

func TestAFailureSaysWhetherAByteLeft(t *testing.T) {
	tests := map[string]struct {
		script       func(net.Conn, int64) bool
		timeout      bool // the deadline comes when the server has the request
		want         failure
		wantRequests int64
	}{
		"the server hangs":                 {hang, true, failure{true, oneshot.CauseTimeout, 0}, 1},
		"the server closes unanswered":     {say("", false), false, failure{true, oneshot.CauseLost, 0}, 1},
		"the server resets unanswered":     {func(c net.Conn, _ int64) bool { reset(c); return false }, false, failure{true, oneshot.CauseLost, 0}, 1},
		"the answer is not HTTP":           {say("SSH-2.0-OpenSSH_9\r\n\r\n", false), false, failure{true, oneshot.CauseMalformed, 0}, 1},
		"a chunk is cut":                   {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"co", false), false, failure{true, oneshot.CauseTruncated, 200}, 1},
		"the last chunk is missing":        {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false), false, failure{true, oneshot.CauseTruncated, 200}, 1},
		"the body is too long":             {say("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n"+strings.Repeat("x", 65), false), false, failure{true, oneshot.CauseTooLarge, 200}, 1},
		"the chunked body is too long":     {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n"+strings.Repeat("x", 65)+"\r\n0\r\n\r\n", false), false, failure{true, oneshot.CauseTooLarge, 200}, 1},
		"the head never ends":              {say("HTTP/1.1 200 OK\r\n"+strings.Repeat("X-A: b\r\n", 20000), false), false, failure{true, oneshot.CauseMalformed, 0}, 1},
		"informational answers never end":  {say(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20), false), false, failure{true, oneshot.CauseMalformed, 0}, 1},
		"a reset breaks the body":          {func(c net.Conn, n int64) bool { say(ok[:len(ok)-3], true)(c, n); reset(c); return false }, false, failure{true, oneshot.CauseTruncated, 200}, 1},
		"the length is a lie of the proxy": {say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<html>", false), false, failure{true, oneshot.CauseTruncated, 502}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, reach := oneshottest.Deadline(t.Context())
			s := serve(t, func(c net.Conn, n int64) bool {
				if tc.timeout {
					reach()
				}
				return tc.script(c, n)
			})
			_, err := client(t, oneshot.Config{MaxResponseBytes: 64}).Do(ctx, post(s.url))
			got := failureOf(t, err)
			if name == "a reset breaks the body" && got.Cause == oneshot.CauseLost {
				got.Cause, got.Status = oneshot.CauseTruncated, 200 // a reset may overtake the head
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("failure (-want +got):\n%s%v", diff, err)
			}
			if n := s.requests.Load(); n != tc.wantRequests {
				t.Errorf("the server saw %d requests, want %d", n, tc.wantRequests)
			}
		})
	}
}

// More than the sockets hold goes out before the deadline, so the client has read the head by then.
func TestABodyThatComesTooSlowlyIsNoAnswer(t *testing.T) {
	const half = 16 << 20
	ctx, reach := oneshottest.Deadline(t.Context())
	s := serve(t, func(c net.Conn, n int64) bool {
		say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 2*half, strings.Repeat("x", half)), true)(c, n)
		reach()
		return hang(c, n)
	})
	_, err := client(t, oneshot.Config{MaxResponseBytes: 4 * half}).Do(ctx, post(s.url))
	if diff := cmp.Diff(failure{true, oneshot.CauseTimeout, 200}, failureOf(t, err)); diff != "" {
		t.Errorf("failure (-want +got):\n%s%v", diff, err)
	}
}

func TestAnAnswerCutAtAnyByteIsAFailure(t *testing.T) {
	for cut := range len(ok) {
		s := serve(t, say(ok[:cut], false))
		_, err := client(t, oneshot.Config{}).Do(t.Context(), post(s.url))
		if err == nil {
			t.Fatalf("cut at byte %d: got an answer", cut)
		}
		if got := failureOf(t, err); !got.Sent {
			t.Fatalf("cut at byte %d: got not sent", cut)
		}
		if n := s.requests.Load(); n != 1 {
			t.Fatalf("cut at byte %d: the server saw %d requests, want 1", cut, n)
		}
	}
}

func TestWithoutAConnectionNothingIsSent(t *testing.T) {
	nobody := "http://" + oneshottest.Nobody(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request came through") }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of our refusal
	secure.StartTLS()
	defer secure.Close()
	silent := serve(t, hang)
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = deaf.Close() }()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancelShort := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancelShort()

	tests := map[string]struct {
		ctx  context.Context
		cfg  oneshot.Config
		req  oneshot.Request
		want oneshot.Cause
	}{
		"nobody listens":                    {t.Context(), oneshot.Config{}, post(nobody), oneshot.CauseDial},
		"the name does not exist":           {t.Context(), oneshot.Config{DialTimeout: time.Minute}, post("http://no-such-host.invalid/"), oneshot.CauseDial},
		"the certificate is not known":      {t.Context(), oneshot.Config{}, post(secure.URL), oneshot.CauseTLS},
		"the server does not speak TLS":     {t.Context(), oneshot.Config{TLSTimeout: time.Minute}, post("https" + strings.TrimPrefix(silent.url, "http")), oneshot.CauseTLS},
		"the handshake takes too long":      {t.Context(), oneshot.Config{TLSTimeout: 50 * time.Millisecond}, post("https://" + deaf.Addr().String()), oneshot.CauseTimeout},
		"the deadline ends the handshake":   {short, oneshot.Config{}, post("https://" + deaf.Addr().String()), oneshot.CauseTimeout},
		"the caller has given up":           {ended, oneshot.Config{}, post(silent.url), oneshot.CauseCanceled},
		"the address is no URL":             {t.Context(), oneshot.Config{}, post("http://[::1"), oneshot.CauseRequest},
		"the scheme is unknown":             {t.Context(), oneshot.Config{}, post("ftp://127.0.0.1/"), oneshot.CauseRequest},
		"a header invites others to repeat": {t.Context(), oneshot.Config{}, oneshot.Request{URL: silent.url, Header: http.Header{"idempotency-key": {"1"}}}, oneshot.CauseRequest},
		"the guard says no":                 {t.Context(), oneshot.Config{}, oneshot.Request{URL: silent.url, Guard: func() error { return errors.New("the lease is over") }}, oneshot.CauseGuard},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(tc.ctx, 2*time.Minute)
			defer cancel()
			_, err := client(t, tc.cfg).Do(ctx, tc.req)
			if diff := cmp.Diff(failure{Cause: tc.want}, failureOf(t, err)); diff != "" {
				t.Errorf("failure (-want +got):\n%s%v", diff, err)
			}
			if n := silent.requests.Load(); n != 0 {
				t.Errorf("the server saw %d requests, want 0", n)
			}
		})
	}
}

// The guard's verdict must be the last thing before the first byte: with the
// connection standing, after a slow handshake.
func TestTheGuardIsAskedWhenTheConnectionStands(t *testing.T) {
	s := serve(t, say(ok, true))
	c := client(t, oneshot.Config{})
	for i := range 3 {
		asked := 0
		req := post(s.url)
		req.Guard = func() error {
			asked++
			if got := s.requests.Load(); got != int64(i) {
				t.Errorf("the guard was asked when the server had seen %d requests, want %d", got, i)
			}
			return nil
		}
		if _, err := c.Do(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if asked != 1 {
			t.Errorf("the guard was asked %d times, want once", asked)
		}
	}
}

func TestAConnectionIsUsedAgain(t *testing.T) {
	s := serve(t, say(ok, true))
	c := client(t, oneshot.Config{})
	for range 5 {
		if _, err := c.Do(t.Context(), post(s.url)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections for 5 exchanges, want 1", n)
	}
}

// The classic way to pay twice: the first exchange leaves an idle connection, and
// the second request breaks on it.
func TestAReusedConnectionThatBreaksIsNotTriedAgain(t *testing.T) {
	tests := map[string]func(c net.Conn){
		"closed after reading the request": func(c net.Conn) { _ = c.Close() },
		"reset after reading the request":  reset,
	}
	for name, hurt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(c net.Conn, n int64) bool {
				if n == 1 {
					return say(ok, true)(c, n)
				}
				hurt(c)
				return false
			})
			c := client(t, oneshot.Config{})
			if _, err := c.Do(t.Context(), post(s.url)); err != nil {
				t.Fatal(err)
			}
			_, err := c.Do(t.Context(), post(s.url))
			if diff := cmp.Diff(failure{Sent: true, Cause: oneshot.CauseLost}, failureOf(t, err)); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if n := s.requests.Load(); n != 2 {
				t.Errorf("the server saw %d requests for 2 exchanges", n)
			}
		})
	}
}

// A server that closed its idle connection, or talks on it unasked, is met on a new
// one: nothing is written to the old.
func TestADeadIdleConnectionIsNotUsed(t *testing.T) {
	tests := map[string]func(c net.Conn){
		"closed":                  func(c net.Conn) { _ = c.Close() },
		"reset":                   reset,
		"an answer nobody wanted": func(c net.Conn) { _, _ = io.WriteString(c, ok) },
	}
	for name, hurt := range tests {
		t.Run(name, func(t *testing.T) {
			open, done := make(chan net.Conn, 8), make(chan struct{})
			s := serve(t, func(c net.Conn, n int64) bool {
				_, _ = io.WriteString(c, ok)
				open <- c
				if n == 1 {
					<-done
				}
				return true
			})
			c := client(t, oneshot.Config{})
			if _, err := c.Do(t.Context(), post(s.url)); err != nil {
				t.Fatal(err)
			}
			hurt(<-open)
			close(done)
			for c.Idle() > 0 && t.Context().Err() == nil { // until it has reached the other side
				time.Sleep(time.Millisecond)
			}
			if _, err := c.Do(t.Context(), post(s.url)); err != nil {
				t.Fatal(err)
			}
			if n := s.requests.Load(); n != 2 {
				t.Errorf("the server saw %d requests for 2 exchanges", n)
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

// A server that says it will close, and one that answers twice at once, leave
// connections that look alive.
func TestAConnectionThatIsNotCleanIsNotUsed(t *testing.T) {
	tests := map[string]string{
		"it said close":     strings.Replace(ok, "Content-Type", "Connection: close\r\nContent-Type", 1),
		"it answered twice": ok + strings.Replace(ok, "200 OK", "500 Stray", 1),
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, say(answer, true))
			c := client(t, oneshot.Config{})
			for range 2 {
				if got, err := c.Do(t.Context(), post(s.url)); err != nil || got.Status != 200 {
					t.Errorf("got %+v, %v", got, err)
				}
			}
			if n := s.conns.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

func TestAnOldIdleConnectionIsNotUsed(t *testing.T) {
	now := time.Now()
	s := serve(t, say(ok, true))
	c := client(t, oneshot.Config{IdleTimeout: time.Second, Now: func() time.Time { return now }})
	for range 2 {
		if _, err := c.Do(t.Context(), post(s.url)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Second)
	}
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestOverTLSTheHandshakeIsNotTheRequest(t *testing.T) {
	var seen atomic.Int64
	var proto atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		proto.Store(r.Proto)
		if r.URL.Path == "/cut" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := client(t, oneshot.Config{RootCAs: roots})

	refuse := post(srv.URL)
	refuse.Guard = func() error { return errors.New("no") }
	_, err := c.Do(t.Context(), refuse)
	if got := failureOf(t, err); got.Sent || seen.Load() != 0 {
		t.Errorf("guard refused: got %+v and %d requests, want not sent and none", got, seen.Load())
	}
	for range 3 {
		if _, err := c.Do(t.Context(), post(srv.URL)); err != nil {
			t.Fatal(err)
		}
	}
	if proto.Load() != "HTTP/1.1" {
		t.Errorf("got %v, want HTTP/1.1", proto.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	late := post(srv.URL)
	late.Guard = func() error { cancel(); return nil }
	_, err = c.Do(ctx, late)
	if got := failureOf(t, err); got.Sent || seen.Load() != 3 {
		t.Errorf("cancelled on a used connection: got %+v and %d requests, want not sent and 3", got, seen.Load())
	}
	_, err = c.Do(t.Context(), post(srv.URL+"/cut"))
	if got := failureOf(t, err); !got.Sent || seen.Load() != 4 {
		t.Errorf("cut: got %+v and %d requests, want sent and 4", got, seen.Load())
	}
}

func TestWhatGoesOverTheWire(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := serve(t, say("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", true))
	c := client(t, oneshot.Config{})
	for range 2 {
		req := post(s.url + "?x=1")
		req.Header = http.Header{"X-Extra": {"1"}}
		if _, err := c.Do(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	got := s.last.Load()
	want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"18"}, "User-Agent": {"hexiao-connector"}, "X-Extra": {"1"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if line := fmt.Sprint(got.Method, " ", got.RequestURI, " ", got.Proto); line != "POST /pay?x=1 HTTP/1.1" {
		t.Errorf("got %q", line)
	}
}

func TestManyExchangesAtOnce(t *testing.T) {
	s := serve(t, say(ok, true))
	c := client(t, oneshot.Config{MaxIdlePerHost: 2})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Do(t.Context(), post(s.url)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := s.requests.Load(); n != 160 {
		t.Errorf("the server saw %d requests, want 160", n)
	}
}

// A context that ends while an exchange is under way must not leave a broken
// connection behind for the next one.
func TestAnEndedContextDoesNotSpoilTheNextExchange(t *testing.T) {
	reached := make(chan func(), 1) // of the exchange under way
	s := serve(t, func(c net.Conn, n int64) bool {
		reach := <-reached
		if n%2 == 0 {
			reach()
			return hang(c, n)
		}
		return say(ok, true)(c, n)
	})
	c := client(t, oneshot.Config{})
	for i := range 10 {
		ctx, reach := oneshottest.Deadline(t.Context())
		reached <- reach
		_, err := c.Do(ctx, post(s.url))
		if i%2 == 0 && err != nil {
			t.Fatalf("exchange %d: %v", i, err)
		}
		if i%2 == 1 && !failureOf(t, err).Sent {
			t.Fatalf("exchange %d: %v: want sent", i, err)
		}
	}
	if n := s.requests.Load(); n != 10 {
		t.Errorf("the server saw %d requests, want 10", n)
	}
}

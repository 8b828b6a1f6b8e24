// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
	"github.com/hexiao-dev/hexiao/connector/sandbox/fault"
)

// visit is one call on its way through the sandbox.
type visit struct {
	s    *Sandbox
	w    http.ResponseWriter
	r    *http.Request
	body []byte
	call *Call
}

// reply is an answer that is ready to be sent.
type reply struct {
	status int
	mime   string
	body   []byte
}

// business is the part of a vendor that lies behind its protocol check.
type business interface {
	// apply performs the call and books it. Look-ups do not see entries that
	// are younger than hide.
	apply(hide time.Duration) reply
	refused(code, message string) reply
	limited(seconds int) reply
	systemError(code, message string) reply
}

// rejected answers a call that the protocol check refused: no fault, nothing
// applied.
func (v *visit) rejected(why string, rep reply) {
	v.call.Rejected = why
	v.s.calls.add(v.call)
	v.send(rep)
}

// deliver lets the call meet its fault, if it has one, and answers it.
func (v *visit) deliver(b business, perSecond int) {
	v.s.calls.add(v.call)
	if seconds, on := v.s.limited(v.call.Vendor, v.call.Method, perSecond); on {
		v.send(b.limited(seconds))
		return
	}
	rule, hit := v.s.faults.Pick(fault.Call{
		Vendor: string(v.call.Vendor), Method: v.call.Method, Key: v.call.Key, Member: v.call.Members,
	})
	if !hit {
		v.send(b.apply(0))
		return
	}
	v.s.calls.update(func() { v.call.Fault, v.call.FaultKind = rule.ID, rule.Kind })
	v.s.log.Info("fault fires", "rule", rule.ID, "kind", rule.Kind, "call", v.call.Seq, "method", v.call.Method)
	v.meet(b, rule)
}

func (v *visit) meet(b business, rule fault.Rule) {
	// The delays do not end when the caller hangs up: a slow vendor books
	// late, it does not notice.
	if !v.s.sleep(rule.DelayBefore) {
		panic(http.ErrAbortHandler)
	}
	var rep reply
	if rule.Applied() {
		rep = b.apply(hideFor(rule))
	}
	if !v.s.sleep(rule.DelayAfter) {
		panic(http.ErrAbortHandler)
	}
	switch rule.Kind {
	case fault.Refuse:
		v.send(b.refused(rule.Code, rule.Message))
	case fault.RateLimit:
		if rule.Seconds > 0 {
			v.s.ban(v.call.Vendor, rule.Seconds)
		}
		v.send(b.limited(max(1, rule.Seconds)))
	case fault.SystemError:
		v.send(b.systemError(rule.Code, rule.Message))
	case fault.Slow, fault.NotFound:
		v.send(rep)
	default:
		v.damage(rule, rep)
	}
}

func hideFor(rule fault.Rule) time.Duration {
	if rule.Kind == fault.NotFound {
		return time.Duration(rule.Seconds) * time.Second
	}
	return 0
}

// damage sends something other than the proper answer rep.
func (v *visit) damage(rule fault.Rule, rep reply) {
	switch rule.Kind {
	case fault.ApplyThenHang:
		v.hang()
	case fault.ApplyThenReset, fault.ResetBeforeApply:
		v.record("reset", reply{})
		reset(v.w)
	case fault.ApplyThenClose:
		v.record("closed", reply{})
		hijackedClose(v.w, nil)
	case fault.ApplyThen500:
		v.send(reply{http.StatusInternalServerError, "text/html", []byte("<h1>Internal Server Error</h1>")})
	case fault.Truncate:
		v.truncate(rule.Bytes, rep)
	case fault.Clip:
		rep.body = rep.body[:min(rule.Bytes, len(rep.body))]
		v.send(rep)
	case fault.HTML:
		v.send(reply{http.StatusOK, "text/html; charset=utf-8", []byte("<html><head><title>系统维护</title></head><body>系统维护中，请稍后再试</body></html>")})
	case fault.Empty:
		v.send(reply{http.StatusOK, rep.mime, nil})
	case fault.Garbage:
		v.send(reply{http.StatusOK, "application/json;charset=UTF-8", []byte("{\"status\":\"tru\xff\x00]{{")})
	case fault.Redirect:
		v.w.Header().Set("Location", v.r.URL.RequestURI())
		v.send(reply{http.StatusTemporaryRedirect, "text/html", nil})
	}
}

// sleep reports false when the sandbox was closed meanwhile.
func (s *Sandbox) sleep(d fault.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(time.Duration(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.done:
		return false
	}
}

func (v *visit) record(how string, rep reply) {
	v.s.calls.update(func() { v.call.Answer = Answer{How: how, Status: rep.status, Body: string(rep.body)} })
	v.s.log.Info("call", "seq", v.call.Seq, "vendor", v.call.Vendor, "method", v.call.Method, "key", v.call.Key,
		"rejected", v.call.Rejected, "fault", v.call.FaultKind, "booked", v.call.Booked, "answer", how, "status", rep.status)
}

func (v *visit) send(rep reply) {
	v.record("sent", rep)
	v.w.Header().Set("Content-Type", rep.mime)
	v.w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	v.w.WriteHeader(rep.status)
	if _, err := v.w.Write(rep.body); err != nil {
		v.s.log.Info("caller did not take the answer", "seq", v.call.Seq, "error", err)
	}
}

// hang answers nothing until the caller gives up.
func (v *visit) hang() {
	v.record("hung", reply{})
	select {
	case <-v.r.Context().Done():
	case <-v.s.done:
	}
	panic(http.ErrAbortHandler)
}

// truncate announces the whole answer and closes after n bytes of it.
func (v *visit) truncate(n int, rep reply) {
	sent := rep.body[:min(n, len(rep.body))]
	v.record("cut", reply{rep.status, rep.mime, sent})
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		rep.status, http.StatusText(rep.status), rep.mime, len(rep.body))
	b.Write(sent)
	hijackedClose(v.w, b.Bytes())
}

// hijackedClose sends raw and closes the connection. Without a socket to take
// over it aborts the answer.
func hijackedClose(w http.ResponseWriter, raw []byte) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if _, err := c.Write(raw); err != nil {
		panic(http.ErrAbortHandler)
	}
	if err := c.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// reset ends the connection with a RST instead of a FIN.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resetConn(c)
}

func resetConn(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(seconds int) error }); ok {
		// Errors mean that the peer was faster, which is as good.
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// booked notes an entry that this call made.
func (v *visit) booked(e books.Entry) { v.s.calls.booked(v.call, e) }

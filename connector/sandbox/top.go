// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/subtle"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/sandbox/books"
)

// topError is one line of TOP's table of errors, with the sub code that tells
// more. Codes below 100 except 15, 40, 41 and 50 mean: not executed.
type topError struct {
	code         int
	msg          string
	subCode, sub string
}

var (
	errMissingMethod  = topError{21, "Missing method", "", ""}
	errInvalidMethod  = topError{22, "Invalid method", "", ""}
	errInvalidFormat  = topError{23, "Invalid format", "", ""}
	errMissingSign    = topError{24, "Missing signature", "", ""}
	errInvalidSign    = topError{25, "Invalid signature", "", ""}
	errMissingSession = topError{26, "Missing session", "", ""}
	errInvalidSession = topError{27, "Invalid session", "", ""}
	errMissingAppKey  = topError{28, "Missing app key", "", ""}
	errInvalidAppKey  = topError{29, "Invalid app Key", "isv.appkey-not-exists", ""}
	errMissingTime    = topError{30, "Missing timestamp", "", ""}
	errInvalidTime    = topError{31, "Invalid timestamp", "", ""}
	errMissingVersion = topError{32, "Missing version", "", ""}
	errInvalidVersion = topError{33, "Invalid version", "", ""}
	errNotSupported   = topError{34, "Unsupported version", "", ""}
)

func missingArgument(name string) topError {
	return topError{40, "Missing required arguments:" + name, "isv.missing-parameter", name}
}

func invalidArgument(why string) topError {
	return topError{41, "Invalid arguments", "isv.invalid-parameter", why}
}

// invalidParameter is the vendor's own example of an error of the service.
func invalidParameter(why string) *topError {
	return &topError{50, "Remote service error", "isv.invalid-parameter", "非法参数: " + why}
}

// topCall is one call of the gateway.
type topCall struct {
	*visit
	params map[string]string
	method alscMethod
	raw    []byte // the business parameter, JSON
}

func (s *Sandbox) serveTOP(v *visit) {
	t := &topCall{visit: v, params: topParams(v.r, v.body)}
	v.call.Method = t.params["method"]
	method, known := alscMethods[v.call.Method]
	if known {
		t.method, t.raw = method, []byte(t.params[method.param])
		t.describe()
	}
	if e, bad := s.checkTOP(t.params, v.r.Method, known); bad {
		v.rejected(fmt.Sprintf("%d %s", e.code, e.msg), t.errorReply(e))
		return
	}
	if len(t.raw) == 0 {
		e := missingArgument(method.param)
		v.rejected(e.msg, t.errorReply(e))
		return
	}
	v.deliver(t, s.cfg.ALSC.RequestsPerSecond)
}

// topParams joins the parameters of the form and of the query.
func topParams(r *http.Request, body []byte) map[string]string {
	out := map[string]string{}
	take := func(q url.Values) {
		for k, v := range q {
			out[k] = v[0]
		}
	}
	take(r.URL.Query())
	if m, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && m == "application/x-www-form-urlencoded" {
		if q, err := url.ParseQuery(string(body)); err == nil {
			take(q)
		}
	}
	return out
}

// checkTOP is the protocol check, in the order of the codes' meaning: what is
// missing, who calls, when, and is it signed.
func (s *Sandbox) checkTOP(p map[string]string, httpMethod string, known bool) (topError, bool) {
	missing := []struct {
		name string
		err  topError
	}{
		{"method", errMissingMethod}, {"app_key", errMissingAppKey}, {"timestamp", errMissingTime},
		{"v", errMissingVersion}, {"sign", errMissingSign},
	}
	for _, m := range missing {
		if p[m.name] == "" {
			return m.err, true
		}
	}
	app, ok := s.topApp(p["app_key"])
	stamp, err := time.ParseInLocation(clockLayout, p["timestamp"], cst)
	switch {
	case !ok:
		return errInvalidAppKey, true
	case p["v"] == "1.0":
		return errNotSupported, true
	case p["v"] != "2.0":
		return errInvalidVersion, true
	case p["format"] != "" && p["format"] != "xml" && p["format"] != "json":
		return errInvalidFormat, true
	case err != nil || s.now().Sub(stamp).Abs() > time.Duration(s.cfg.ALSC.Skew):
		return errInvalidTime, true
	case !app.signed(p):
		return errInvalidSign, true
	case !known:
		return errInvalidMethod, true
	case app.Session != "" && p["session"] == "":
		return errMissingSession, true
	case app.Session != "" && p["session"] != app.Session:
		return errInvalidSession, true
	case httpMethod != http.MethodPost:
		return topError{9, "Http action not allowed", "", httpMethod}, true
	}
	return topError{}, false
}

// topApp returns all secrets that go with an app key: two while one rotates.
func (s *Sandbox) topApp(key string) (topSecrets, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out topSecrets
	for _, a := range s.apps {
		if a.AppKey == key {
			out.secrets = append(out.secrets, a.AppSecret)
			out.Session = or(out.Session, a.Session)
		}
	}
	return out, len(out.secrets) > 0
}

type topSecrets struct {
	secrets []string
	Session string
}

func (a topSecrets) signed(p map[string]string) bool {
	for _, secret := range a.secrets {
		want, err := TOPSign(p["sign_method"], secret, p)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToUpper(p["sign"]))) == 1 {
			return true
		}
	}
	return false
}

// gatewayID is the gateway's own number of a call, not the caller's request_id.
func (t *topCall) gatewayID() string { return fmt.Sprintf("sandbox%08d", t.s.gatewayCalls.Add(1)) }

func (t *topCall) errorReply(e topError) reply {
	body := object{{"code", int64(e.code)}, {"msg", e.msg}}
	if e.subCode != "" {
		body = append(body, field{"sub_code", e.subCode})
	}
	if e.sub != "" {
		body = append(body, field{"sub_msg", e.sub})
	}
	return t.encode("error_response", append(body, field{"request_id", t.gatewayID()}))
}

// answer is a business answer under the root that is named by the method.
func (t *topCall) answer(result object) reply {
	root := strings.ReplaceAll(t.call.Method, ".", "_") + "_response"
	return t.encode(root, object{{"result", result}, {"request_id", t.gatewayID()}})
}

// encode writes body in the format asked for. simplify drops the root and the
// wrappers of lists in JSON, but never the root of an error.
func (t *topCall) encode(root string, body object) reply {
	if t.params["format"] != "json" {
		out := "<?xml version=\"1.0\" encoding=\"utf-8\" ?><" + root + ">" + string(body.xml()) + "</" + root + ">"
		return reply{http.StatusOK, "text/xml;charset=UTF-8", []byte(out)}
	}
	simplify := t.params["simplify"] == "true"
	if !simplify || root == "error_response" {
		body = object{{root, body}}
	}
	return reply{http.StatusOK, "text/javascript;charset=UTF-8", body.json(!simplify)}
}

func (t *topCall) apply(hide time.Duration) reply {
	result, err := t.method.serve(t, hide)
	if err != nil {
		return t.errorReply(*err)
	}
	return t.answer(result)
}

func (t *topCall) refused(code, message string) reply {
	return t.answer(alscRefusal(or(code, "BIZ_REFUSED"), or(message, "业务处理失败")))
}

func (t *topCall) limited(seconds int) reply {
	return t.errorReply(topError{
		7, "App Call Limited", "accesscontrol.limited-by-api-access-count",
		fmt.Sprintf("This ban will last for %d more seconds", seconds),
	})
}

func (t *topCall) systemError(code, message string) reply {
	return t.errorReply(topError{50, "Remote service error", or(code, "isp.remote-service-error"), or(message, "服务不可用")})
}

// lock serialises what changes the books of the vendor.
func (t *topCall) lock() func() {
	m := t.s.booking[books.ALSC]
	m.Lock()
	return m.Unlock
}

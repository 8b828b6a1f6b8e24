// SPDX-License-Identifier: Apache-2.0

package alsc

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hexiao-dev/hexiao/connector/answer"
)

// SignMethod is one of the gateway's signatures.
type SignMethod string

// The signatures that TOP documents.
const (
	MD5        SignMethod = "md5"
	HMAC       SignMethod = "hmac" // HMAC-MD5
	HMACSHA256 SignMethod = "hmac-sha256"
)

// Sign signs text parameters: name and value of each, sorted by name, without "sign"
// and without empty names or values, as raw UTF-8. Upper-case hexadecimal. An unknown method gives "".
func Sign(method SignMethod, secret string, params map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if value := params[name]; name != "" && value != "" && name != "sign" {
			text.WriteString(name)
			text.WriteString(value)
		}
	}
	signed := text.String()
	var h hash.Hash
	switch method {
	case MD5:
		h, signed = md5.New(), secret+signed+secret
	case HMAC:
		h = hmac.New(md5.New, []byte(secret))
	case HMACSHA256:
		h = hmac.New(sha256.New, []byte(secret))
	default:
		return ""
	}
	h.Write([]byte(signed))
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// china is the gateway's time zone; it has no summer time.
var china = time.FixedZone("GMT+8", 8*60*60)

// topTime renders a time as TOP wants it.
func topTime(t time.Time) string { return t.In(china).Format(time.DateTime) }

// form renders a signed call. A nested request object is one field: it is marshalled
// once, and the same bytes are signed and sent.
func (c *Client) form(method, field string, object any) ([]byte, error) {
	var nested bytes.Buffer
	enc := json.NewEncoder(&nested)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(object); err != nil {
		return nil, fmt.Errorf("render %s: %w", method, err)
	}
	params := map[string]string{
		"method": method, "app_key": c.cfg.Credentials.AppKey, "timestamp": topTime(c.now()), "v": "2.0",
		"format": "json", "sign_method": string(c.cfg.SignMethod), "session": c.cfg.Credentials.Session,
		field: strings.TrimRight(nested.String(), "\n"),
	}
	if c.cfg.Simplify {
		params["simplify"] = "true"
	}
	params["sign"] = Sign(c.cfg.SignMethod, c.cfg.Credentials.AppSecret, params)
	values := url.Values{}
	for name, value := range params {
		if value != "" {
			values.Set(name, value)
		}
	}
	return []byte(values.Encode()), nil
}

// topError is the gateway's error_response.
type topError struct {
	Code    string
	SubCode string
	Message string // sub_msg, or msg
}

// reply is an answer of the gateway: an error, or a method's result, or neither.
type reply struct {
	http     int
	empty    bool
	failed   *topError
	result   answer.Object // CommonResult of the method
	readable bool          // failed or result is there, and not both
}

// decode reads both shapes of an answer to method: wrapped in
// <method>_response, or with simplify without that root. Errors are under
// error_response in either, and may come as XML in spite of the asked format.
func decode(method string, httpStatus int, body []byte) reply {
	body = bytes.TrimSpace(body)
	r := reply{http: httpStatus, empty: len(body) == 0}
	if bytes.HasPrefix(body, []byte("<")) {
		r.failed = xmlError(body)
		r.readable = r.failed != nil
		return r
	}
	root, err := answer.Parse(body)
	if err != nil {
		return r
	}
	name := strings.ReplaceAll(method, ".", "_") + "_response"
	if wrapped, ok := root.Object(name); ok {
		r.result, _ = wrapped.Object("result")
	}
	if simple, ok := root.Object("result"); ok {
		if root.Has(name) {
			return reply{http: httpStatus} // two results are none
		}
		r.result = simple
	}
	if e, ok := root.Object("error_response"); ok {
		r.failed = &topError{Code: e.Text("code"), SubCode: e.Text("sub_code"), Message: e.Text("sub_msg")}
		if r.failed.Message == "" {
			r.failed.Message = e.Text("msg")
		}
	}
	r.readable = (r.result == nil) != (r.failed == nil) && (r.result == nil || !root.Has("error_response"))
	return r
}

// xmlError reads an XML error document, nil when it is none. It reads all of it: a
// document that is cut, or followed by something, is not one.
func xmlError(body []byte) *topError {
	var doc struct {
		XMLName xml.Name `xml:"error_response"`
		Code    []string `xml:"code"`
		Msg     []string `xml:"msg"`
		SubCode []string `xml:"sub_code"`
		SubMsg  []string `xml:"sub_msg"`
	}
	dec := xml.NewDecoder(bytes.NewReader(body))
	if dec.Decode(&doc) != nil || len(bytes.TrimSpace(body[dec.InputOffset():])) > 0 {
		return nil
	}
	one := func(values []string) string {
		if len(values) != 1 {
			return ""
		}
		return strings.TrimSpace(values[0])
	}
	if len(doc.Code) != 1 || len(doc.SubCode) > 1 {
		return nil
	}
	e := &topError{Code: one(doc.Code), SubCode: one(doc.SubCode), Message: one(doc.SubMsg)}
	if e.Message == "" {
		e.Message = one(doc.Msg)
	}
	return e
}

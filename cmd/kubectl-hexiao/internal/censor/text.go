// SPDX-License-Identifier: Apache-2.0

package censor

import (
	"regexp"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

// names are the names of fields, parameters and variables that hold secrets or say
// who somebody is: their last words, in lower case.
var names = func() map[string]bool {
	all := map[string]bool{}
	for _, n := range strings.Fields(`password passwd pwd passphrase token secret credential credentials sign signature session cookie
		appkey openkey apikey accesskey accesskeyid secretkey privatekey sessionkey signkey grantcode
		mobile mobileno mobilenumber phone phoneno phonenumber telephone membername operatorname cardholder idcard`) {
		all[n] = true
	}
	return all
}()

// wordsOf splits a name into its words: X_AUTH_TOKEN, brand-token, sslPassword.
var wordsOf = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

// sensitive says whether a name ends in one of those.
func sensitive(name string) bool {
	words := wordsOf.FindAllString(name, -1)
	tail := ""
	for i := len(words) - 1; i >= max(0, len(words)-3); i-- {
		if tail = strings.ToLower(words[i]) + tail; names[tail] {
			return true
		}
	}
	lower := strings.ToLower(name)
	for _, end := range []string{"password", "passwd", "secret", "token"} { // PGPASSWORD
		if strings.HasSuffix(lower, end) {
			return true
		}
	}
	return names[lower]
}

var (
	privateKey = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,-]|\\[nr])*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`)
	inURL      = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^/\s@"'<>]*)@`)
	authHeader = regexp.MustCompile(`(?i)((?:proxy-)?authorization\\?["']?\s*[:=]\s*\\?["']?)([^"'\\\r\n\]]+)`)
	cookie     = regexp.MustCompile(`(?i)((?:set-)?cookie\\?["']?\s*[:=]\s*\\?["']?)([^"'\\\r\n\]]+)`)
	bearer     = regexp.MustCompile(`(?i)\b((?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})`)
	jwt        = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?`)
	// pair is name and value in JSON, in JSON within a string, in a URL, in logfmt, in YAML.
	// A line that was cut off has no closing quote.
	pair = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_.-]*)(\\*["']?[ \t]*[:=][ \t]*)("(?:[^"\\\r\n]|\\[^\r\n])*"?|\\+"(?:[^"\\\r\n]|\\+[^"\\\r\n])*(?:\\+")?|'[^'\r\n]*'?|[^\s"'&,;{}()\[\]\\]+)`)
)

// Text masks what it knows by value, and what looks like a secret or says who
// somebody is.
func (c *Censor) Text(text string) string {
	text = c.maskValues(text)
	for _, p := range []struct {
		form  *regexp.Regexp
		after string
	}{{privateKey, ""}, {inURL, "@"}, {authHeader, ""}, {cookie, ""}, {bearer, ""}, {jwt, ""}} {
		text = p.form.ReplaceAllStringFunc(text, func(found string) string { return c.masked(p.form.FindStringSubmatch(found), p.after) })
	}
	text = c.pairs(text)
	if masked := redact.Mobiles(text); masked != text {
		c.Masked++
		text = masked
	}
	return text
}

// masked is a match, its first group kept and its second masked.
func (c *Censor) masked(match []string, after string) string {
	before := ""
	if len(match) > 1 {
		before = match[1]
	}
	if len(match) > 2 && (match[2] == redact.Mask || match[2]+"]" == redact.Mask) {
		return match[0] // masked already
	}
	c.Masked++
	return before + redact.Mask + after
}

// pairs masks the values of telling names. A value in quotes keeps its quotes, so that
// what was JSON stays it.
func (c *Censor) pairs(text string) string {
	var out strings.Builder
	rest := text
	for {
		m := pair.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		name, value := rest[m[2]:m[3]], rest[m[6]:m[7]]
		switch {
		case !sensitive(name):
			// The value may be the next name: a=b=c, "a": "token=…".
			out.WriteString(rest[:m[6]])
			rest = rest[m[6]:]
			if m[6] == 0 {
				out.WriteString(rest[:1])
				rest = rest[1:]
			}
			continue
		case harmless(strings.Trim(value, `\"'`)):
			out.WriteString(rest[:m[7]])
		default:
			c.Masked++
			out.WriteString(rest[:m[6]] + quotedMask(value))
		}
		rest = rest[m[7]:]
	}
	return out.String() + rest
}

// harmless: masked already, no text, or what spec.providers.zhimai.paymentToken says
// where one goes.
func harmless(value string) bool {
	switch value {
	case "", redact.Mask, "true", "false", "null", "nil", "<nil>", "None", "PayPassword":
		return true
	}
	return false
}

// quotedMask is the mask within the value's own quotes.
func quotedMask(value string) string {
	open := 0
	for open < len(value) && value[open] == '\\' {
		open++
	}
	if open < len(value) && (value[open] == '"' || value[open] == '\'') {
		quote := value[:open+1]
		return quote + redact.Mask + quote
	}
	return redact.Mask
}

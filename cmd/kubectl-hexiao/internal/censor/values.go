// SPDX-License-Identifier: Apache-2.0

package censor

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

const (
	// minWord is the length below which a value is not looked for: "1" and "on" stand
	// everywhere.
	minWord = 4
	// minAnywhere is the length from which a value is masked within longer words, too.
	minAnywhere = 8
	// maxForms is the length up to which a value is looked for in each of its forms. A
	// longer one, a bundle of certificates say, is looked for as it is and in base64.
	maxForms = 4 << 10
	minLine  = 16
)

// form is a text that gives a value away.
type form struct {
	text string
	word bool // only where it stands alone
}

// Censor masks. The zero value is not ready; New makes one.
type Censor struct {
	forms map[[minWord]byte][]form // by their first bytes
	known map[form]bool
	spare map[string]bool

	// Values is how many values are looked for.
	Values int
	// Masked counts what was masked so far.
	Masked int
}

// New makes a censor that knows no values yet. spare are names that stand in the
// bundle's own file names, so that nothing is won by masking them.
func New(spare ...string) *Censor {
	c := &Censor{forms: map[[minWord]byte][]form{}, known: map[form]bool{}, spare: map[string]bool{}}
	for _, s := range spare {
		c.spare[s] = true
	}
	return c
}

// Learn looks for a Secret's value from now on. false: it is too short to be looked for.
func (c *Censor) Learn(value []byte) bool {
	text := string(value)
	for _, part := range parts(text) {
		c.add(part)
	}
	return len(strings.TrimSpace(text)) >= minWord
}

// parts are the value and what is a secret of its own within it.
func parts(value string) []string {
	all := []string{value, strings.TrimSpace(value)}
	for _, line := range strings.Split(value, "\n") {
		if line = strings.TrimSpace(line); len(line) >= minLine {
			all = append(all, line)
		}
	}
	var parsed any
	if strings.HasPrefix(strings.TrimSpace(value), "{") && json.Unmarshal([]byte(value), &parsed) == nil {
		all = append(all, leaves(parsed)...)
	}
	all = append(all, passwords(strings.TrimSpace(value))...)
	return all
}

// leaves are the strings of a JSON value, and what they hold in base64: the auth of a
// registry is "user:password".
func leaves(v any) (all []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	case []any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	case string:
		if len(v) < minAnywhere {
			return []string{v}
		}
		all = append(all, v)
		if raw, err := base64.StdEncoding.DecodeString(v); err == nil {
			_, password, _ := strings.Cut(string(raw), ":")
			all = append(all, password)
		}
	}
	return all
}

// pairPassword is the password of a DSN of key=value pairs, as libpq reads them.
var pairPassword = regexp.MustCompile(`(?:^|\s)(?:password|sslpassword)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))`)

// passwords are those of a DSN or of any URL.
func passwords(value string) (all []string) {
	if u, err := url.Parse(value); err == nil && u.Scheme != "" {
		if p, set := u.User.Password(); set {
			all = append(all, p, url.QueryEscape(p))
			if _, raw, found := strings.Cut(u.User.String(), ":"); found {
				all = append(all, raw)
			}
		}
		for key, values := range u.Query() {
			if sensitive(key) {
				all = append(all, values...)
			}
		}
	}
	for _, m := range pairPassword.FindAllStringSubmatch(value, -1) {
		plain := strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(m[1])
		all = append(all, m[1], plain, m[2])
	}
	return all
}

func (c *Censor) add(value string) {
	if len(value) < minWord || c.spare[value] {
		return
	}
	before := len(c.known)
	for _, f := range formsOf(value) {
		c.look(f)
	}
	if len(c.known) > before {
		c.Values++
	}
}

func (c *Censor) look(f form) {
	if len(f.text) < minWord || c.known[f] {
		return
	}
	c.known[f] = true
	key := [minWord]byte([]byte(f.text[:minWord]))
	c.forms[key] = append(c.forms[key], f)
}

// formsOf are the texts in which a value may stand.
func formsOf(v string) []form {
	short := len(v) < minAnywhere
	all := []form{{v, short}}
	add := func(text string) {
		if text != v {
			all = append(all, form{text, len(text) < minAnywhere})
		}
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		add(enc.EncodeToString([]byte(v)))
	}
	for _, core := range cores(v) {
		if len(core) >= minAnywhere {
			add(core)
		}
	}
	if len(v) > maxForms {
		return all
	}
	add(hex.EncodeToString([]byte(v)))
	add(strings.ToUpper(hex.EncodeToString([]byte(v))))
	add(url.QueryEscape(v))
	add(url.PathEscape(v))
	add(strings.ReplaceAll(v, "'", "''")) // YAML, single quotes
	inJSON := quoted(v)
	for _, text := range inJSON {
		add(text)
		for _, again := range quoted(text) { // JSON in a string of JSON
			add(again)
		}
	}
	return all
}

// quoted is v within quotes of JSON, as its encoders write it, and of Go.
func quoted(v string) []string {
	escaped, _ := json.Marshal(v) // a string always marshals
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // a builder takes everything
	inner := func(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`) }
	all := []string{inner(string(escaped)), inner(strings.TrimSuffix(plain.String(), "\n")), inner(strconv.Quote(v)), inner(strconv.QuoteToASCII(v))}
	slices.Sort(all)
	return slices.Compact(all)
}

// cores are what base64 of any text holds wherever v stands in it: for each of the
// three alignments the characters that v alone decides.
func cores(v string) []string {
	var all []string
	for shift := range 3 {
		padded := append(make([]byte, shift), v...)
		end := len(padded) * 8 / 6 // characters that are whole
		begin := []int{0, 2, 3}[shift]
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if text := enc.EncodeToString(padded); end > begin {
				all = append(all, text[begin:end])
			}
		}
	}
	return all
}

// maskValues masks every form of every value. Where several overlap, all they cover is
// masked.
func (c *Censor) maskValues(text string) string {
	var out strings.Builder
	done, from, to := 0, -1, -1 // text before done is written; [from, to) is to be masked
	flush := func() {
		if from >= 0 {
			out.WriteString(text[done:from])
			out.WriteString(redact.Mask)
			done, from = to, -1
			c.Masked++
		}
	}
	for i := 0; i+minWord <= len(text); i++ {
		candidates := c.forms[[minWord]byte([]byte(text[i:i+minWord]))]
		for _, f := range candidates {
			if !strings.HasPrefix(text[i:], f.text) || f.word && !alone(text, i, i+len(f.text)) {
				continue
			}
			if from >= 0 && i > to {
				flush()
			}
			if from < 0 {
				from, to = i, i
			}
			to = max(to, i+len(f.text))
		}
	}
	flush()
	if done == 0 {
		return text
	}
	out.WriteString(text[done:])
	return out.String()
}

func alone(text string, begin, end int) bool {
	return (begin == 0 || !wordByte(text[begin-1])) && (end == len(text) || !wordByte(text[end]))
}

func wordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

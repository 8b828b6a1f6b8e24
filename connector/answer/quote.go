// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// identity matches what may be somebody's number, card, code or token: a run of six
// or more letters, digits and asterisks with a digit in it.
var identity = regexp.MustCompile(`[A-Za-z0-9*_-]{6,}`)

const (
	maxQuote = 60 // runes
	maxCode  = 64 // bytes
)

// Quote makes a vendor's text fit to be shown at the till: one line, short, without
// numbers that may be personal, and without the given texts (names, tokens).
func Quote(text string, hide ...string) string {
	for _, h := range hide {
		if h != "" {
			text = strings.ReplaceAll(text, h, "***")
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	text = mask(text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote]) + "…"
	}
	return text
}

func mask(text string) string {
	return identity.ReplaceAllStringFunc(text, func(s string) string {
		if strings.ContainsAny(s, "0123456789") {
			return "***"
		}
		return s
	})
}

// Code bounds a vendor's code to what logs and metrics can hold: printable ASCII, at
// most 64 bytes. A code of other letters, or long digits that may be personal, is
// "other".
func Code(code string) string {
	digits := 0
	for _, r := range code {
		if r <= ' ' || r > '~' {
			return "other"
		}
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	if digits > 10 {
		return "other"
	}
	return code[:min(len(code), maxCode)]
}

// fill puts the vendor's text into a till text that has a place for it.
func fill(till, message string) string {
	if message = strings.TrimRight(message, "。.！! "); message != "" {
		message = "（" + message + "）"
	}
	return strings.ReplaceAll(till, "%s", message)
}

// Hidden are the texts of a request that no quoted answer may give back.
func Hidden(req redeem.Request) []string {
	return []string{req.PaymentToken, req.Mobile, req.OperatorName}
}

// SPDX-License-Identifier: Apache-2.0

// Package redact holds text that must not be printed.
//
// A value of type [Secret] (keys, tokens, one-time codes, passwords) or [Personal] (mobile numbers,
// names, operators) can be carried, compared and decoded from JSON like a string, but whichever way it
// is printed, formatted, logged or encoded, what comes out is "[redacted]". The text leaves in exactly one way,
// by Reveal, so that every place where it leaves is found by searching for that word.
//
// Both types are structs around a pointer, not strings with methods. fmt and log/slog do not call methods on
// the unexported fields of a struct, they print what is underneath; under a string type that is
// the secret, under a pointer it is an address.
//
// Neither type implements database/sql/driver.Valuer: what is written to the ledger is revealed, or
// hashed, where it is written.
package redact

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Mask is what is printed in place of the text, also in place of an empty one: whether
// a member has a mobile number is personal too.
const Mask = "[redacted]"

// Secret is text that gives power to whoever reads it: an application key, a brand token, a payment code.
// The zero value is the empty secret.
type Secret struct{ hidden }

// Personal is text that says who somebody is: a mobile number, a name.
// The zero value is the empty text.
type Personal struct{ hidden }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{hide(text)} }

// NewPersonal hides text.
func NewPersonal(text string) Personal { return Personal{hide(text)} }

// Equal says whether both hold the same text, in a time that does not depend on where they differ.
func (s Secret) Equal(other Secret) bool { return s.equal(other.hidden) }

// Equal says whether both hold the same text.
func (p Personal) Equal(other Personal) bool { return p.equal(other.hidden) }

// hidden is what both types share.
type hidden struct {
	// Forbids == and map keys at compile time: they would compare pointers.
	_    [0]func()
	text *string
}

func hide(text string) hidden {
	if text == "" {
		return hidden{}
	}
	return hidden{text: &text}
}

// Reveal returns the text. Call it where the text is put on the wire, hashed or signed with, nowhere else.
func (h hidden) Reveal() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}

// IsZero says whether the text is empty; encoding/json's omitzero asks it.
func (h hidden) IsZero() bool { return h.text == nil }

func (h hidden) equal(other hidden) bool {
	return subtle.ConstantTimeCompare([]byte(h.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [Mask].
func (hidden) String() string { return Mask }

// GoString returns [Mask].
func (hidden) GoString() string { return Mask }

// Format writes [Mask] for every verb and flag.
func (hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// LogValue returns [Mask].
func (hidden) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalJSON returns [Mask] as a JSON string. A body that must carry the text is
// built from Reveal.
func (hidden) MarshalJSON() ([]byte, error) { return json.Marshal(Mask) }

// MarshalText returns [Mask]; XML and most other encoders ask it.
func (hidden) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// UnmarshalJSON takes a JSON string; null leaves the value as it is. Its error does not quote the input.
func (h *hidden) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(data, &text) != nil {
		return errNotString
	}
	*h = hide(text)
	return nil
}

// UnmarshalText takes the text as it is.
func (h *hidden) UnmarshalText(data []byte) error {
	*h = hide(string(data))
	return nil
}

type constError string

func (e constError) Error() string { return string(e) }

// errNotString stands in for encoding/json's error, which may quote what it could not decode.
const errNotString = constError("redact: the value is not a JSON string")

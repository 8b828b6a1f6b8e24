// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ErrEmptyCredential says that a Secret's key holds nothing, or line ends alone.
var ErrEmptyCredential = errors.New("is empty: fill it")

// maxCredential bounds a credential, in bytes. No vendor issues one near it: a longer
// one is another file by mistake.
const maxCredential = 4096

// ReadCredential reads the bytes of a Secret's key as the connector uses them. Operator
// and connector both call it, so what one takes the other takes.
//
// Line ends at the end are what an editor or `kubectl create secret --from-file` leaves,
// and no part of the value. Everything else has to be printable ASCII without blanks, as
// vendors issue keys: what a copy brings along beside (blanks, full-width letters,
// invisible marks) would make each signature wrong.
//
// The error continues a sentence that names Secret and key. It never quotes the value.
func ReadCredential(raw []byte) (string, error) {
	return readCredential(raw, func(c rune) bool { return c <= '~' })
}

// ReadDSN is ReadCredential for the address of a database: its password may have
// letters of any script. Whether it can be parsed is for the driver to say.
func ReadDSN(raw []byte) (string, error) {
	return readCredential(raw, unicode.IsGraphic)
}

func readCredential(raw []byte, allowed func(rune) bool) (string, error) {
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" {
		return "", ErrEmptyCredential
	}
	if len(text) > maxCredential {
		return "", fmt.Errorf("has %d bytes, more than the %d that a credential may have: it is something else", len(text), maxCredential)
	}
	for _, c := range text {
		switch {
		case unicode.IsSpace(c) || unicode.IsControl(c):
			return "", errors.New("holds blanks, line breaks or control characters: write it without them")
		case c == unicode.ReplacementChar || !allowed(c):
			return "", errors.New("holds characters that are not printable ASCII, such as full-width letters or invisible marks: copy it again")
		}
	}
	return text, nil
}

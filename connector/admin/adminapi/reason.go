// SPDX-License-Identifier: Apache-2.0

package adminapi

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

// A reason has at least MinReason and at most MaxReason characters.
const MinReason, MaxReason = 10, 500

// CheckReason is what is wrong with the reason of a decision, nil when it will do. Who
// asks a person for one asks here before a vendor is asked; the connector asks here too.
func CheckReason(text string) *Error {
	text = strings.TrimSpace(text)
	wrong := func(message, remedy string) *Error {
		return &Error{Status: http.StatusBadRequest, Code: CodeInvalid, Field: "reason", Message: message, Remedy: remedy}
	}
	switch n := utf8.RuneCountInString(text); {
	case n < MinReason:
		return wrong(fmt.Sprintf("has %d characters", n), fmt.Sprintf("say in at least %d what you found at the vendor, and where", MinReason))
	case n > MaxReason:
		return wrong(fmt.Sprintf("has %d characters", n), fmt.Sprintf("keep it to %d", MaxReason))
	case redact.Mobiles(text) != text:
		return wrong("holds what looks like a mobile number", "name the order or the bill instead: the log is kept for years")
	}
	return nil
}

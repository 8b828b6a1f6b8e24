// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"testing"

	"github.com/hexiao-dev/hexiao/connector/redact"
)

func TestMobileNumbersAreMasked(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"alone":                        {"13912345678", "139****5678"},
		"in a sentence":                {"call 13912345678, now", "call 139****5678, now"},
		"two, one character apart":     {"13912345678,13912345679", "139****5678,139****5679"},
		"three, one character apart":   {"13912345678 13912345679 13912345670", "139****5678 139****5679 139****5670"},
		"with the country's code":      {"+86 13912345678", "139****5678"},
		"an order number stays":        {"1113434444443211", "1113434444443211"},
		"a key stays":                  {"HX13912345678ABC", "HX13912345678ABC"},
		"eleven digits that are none":  {"12012345678", "12012345678"},
		"nothing":                      {"", ""},
		"in the words of a JSON value": {`{"member":"13912345678"}`, `{"member":"139****5678"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := redact.Mobiles(tt.in); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package redact

import "regexp"

// mobile is a mainland mobile number that stands alone.
var mobile = regexp.MustCompile(`(^|[^0-9A-Za-z])(?:\+?86[- ]?)?(1[3-9][0-9])[0-9]{4}([0-9]{4})($|[^0-9A-Za-z])`)

// Mobiles masks the mobile numbers in a text that somebody else wrote, in the way
// that tills print them: 139****5678. Eleven digits within a longer number or word
// stay, because order numbers and keys look like that. Twice: of two numbers with one
// character between them the first pass sees the first alone.
func Mobiles(text string) string {
	for range 2 {
		text = mobile.ReplaceAllString(text, "${1}${2}****${3}${4}")
	}
	return text
}

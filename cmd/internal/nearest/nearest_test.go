// SPDX-License-Identifier: Apache-2.0

package nearest_test

import (
	"testing"

	"github.com/hexiao-dev/hexiao/cmd/internal/nearest"
)

func TestLettersThatDiffer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"count", "count", 0}, {"cuont", "count", 2}, {"delay_befor", "delay_before", 1}, {"method", "message", 5}} {
		if got := nearest.Distance(c.a, c.b); got != c.want || nearest.Distance(c.b, c.a) != got {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestTheNearestNameIsMeant(t *testing.T) {
	names := []string{"delay_after", "delay_before", "count", "code", "kind"}
	for text, want := range map[string]string{"delay_befor": "delay_before", "cont": "count", "cude": "code", "kind": "kind", "vendor": "", "": ""} {
		if got := nearest.Name(text, names, 2); got != want {
			t.Errorf("%q: %q is meant, want %q", text, got, want)
		}
	}
	if got := nearest.Name("cod", []string{"cot", "cow"}, 2); got != "cot" {
		t.Errorf("of two that are as near, %q is meant, want the first", got)
	}
}

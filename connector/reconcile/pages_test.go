// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/hexiao-dev/hexiao/connector/redeem"
)

// quick waits for nothing.
func quick() pager {
	return pager{rate.NewLimiter(rate.Inf, 1), func(context.Context, time.Duration) error { return nil }}
}

func flows(ids ...string) []Theirs {
	var out []Theirs
	for _, id := range ids {
		out = append(out, Theirs{ID: id})
	}
	return out
}

func ids(list []Theirs) string {
	var out []string
	for _, f := range list {
		out = append(out, f.ID)
	}
	return strings.Join(out, " ")
}

// says is a list whose pages a test writes down.
func says(pages ...page) func(context.Context, int) (page, error) {
	return func(_ context.Context, n int) (page, error) {
		if n > len(pages) {
			return page{}, nil
		}
		return pages[n-1], nil
	}
}

func full(total, last int, names ...string) page {
	return page{flows: flows(names...), rows: len(names), total: total, last: last}
}

func TestAListIsReadToItsEnd(t *testing.T) {
	tests := map[string]struct {
		read func(context.Context, int) (page, error)
		want string
	}{
		"nothing":                                {says(full(0, 1)), ""},
		"one page":                               {says(full(2, 1, "a", "b")), "a b"},
		"the last page is full":                  {says(full(4, 2, "a", "b"), full(4, 2, "c", "d")), "a b c d"},
		"a total, and no last page":              {says(full(3, 0, "a", "b"), full(3, 0, "c")), "a b c"},
		"neither":                                {says(full(0, 0, "a", "b"), full(0, 0, "c")), "a b c"},
		"a page that is shorter than asked":      {says(full(4, 0, "a"), full(4, 0, "b"), full(4, 0, "c", "d")), "a b c d"},
		"a flow is booked while it is read":      {says(full(4, 0, "a", "b"), full(5, 0, "b", "c"), full(5, 0, "d")), "a b c d"},
		"the same, and the total stays":          {says(full(4, 0, "a", "b"), full(4, 0, "b", "c"), full(4, 0, "c", "d")), "a b c d"},
		"flows without a number are all counted": {says(full(2, 1, "", "")), " "},
		"rows that are left out count as given":  {says(page{flows: flows("a"), rows: 2, total: 3}, full(3, 0, "b")), "a b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := quick().all(t.Context(), tc.read, func(int, int, int) {})
			if err != nil || ids(got) != tc.want {
				t.Errorf("got %q, %v; want %q", ids(got), err, tc.want)
			}
		})
	}
}

func TestAListThatIsNotCompleteIsAnError(t *testing.T) {
	for name, read := range map[string]func(context.Context, int) (page, error){
		"less than it says":                    says(full(5, 2, "a", "b"), full(5, 2, "c", "d")),
		"an empty page before the end":         says(full(5, 0, "a", "b"), full(5, 0)),
		"the same page for ever, with a total": says(full(4, 0, "a", "b"), full(4, 0, "a", "b")),
		"the same page for ever, without":      func(context.Context, int) (page, error) { return full(0, 0, "a"), nil },
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := quick().all(t.Context(), read, func(int, int, int) {}); !errors.Is(err, ErrIncomplete) {
				t.Errorf("got %q, %v", ids(got), err)
			}
		})
	}
}

func TestAPageIsAskedForAgainWhenTheFaultMayPass(t *testing.T) {
	again := &redeem.ReadError{Class: "timeout", Again: true, RetryAfter: 7 * time.Second}
	tests := map[string]struct {
		faults int
		err    error
		asked  int
	}{
		"two faults":                 {2, again, 3},
		"a vendor that is away":      {100, again, pageAttempts},
		"a fault that does not pass": {1, &redeem.ReadError{Class: "refused"}, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			asked, slept := 0, time.Duration(0)
			p := quick()
			p.sleep = func(_ context.Context, d time.Duration) error { slept += d; return nil }
			_, err := p.all(t.Context(), func(context.Context, int) (page, error) {
				if asked++; asked <= tc.faults {
					return page{}, tc.err
				}
				return full(1, 1, "a"), nil
			}, func(int, int, int) {})
			if asked != tc.asked || (err == nil) != (tc.asked > tc.faults) || (asked > 1 && slept < 7*time.Second) {
				t.Errorf("asked %d times, slept %s, %v", asked, slept, err)
			}
		})
	}
}

// However long the list, however large the pages, and whatever the vendor says of the end: all of it is read once.
func TestAllPagesAreRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, size := rapid.IntRange(0, 30).Draw(rt, "flows"), rapid.IntRange(1, 7).Draw(rt, "page size")
		tellTotal, tellLast := rapid.Bool().Draw(rt, "total"), rapid.Bool().Draw(rt, "last")
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint(i))
		}
		got, err := quick().all(t.Context(), func(_ context.Context, no int) (page, error) {
			p := full(0, 0, want[min((no-1)*size, n):min(no*size, n)]...)
			if tellTotal {
				p.total = n
			}
			if tellLast {
				p.last = max(1, (n+size-1)/size)
			}
			return p, nil
		}, func(int, int, int) {})
		if err != nil || ids(got) != strings.Join(want, " ") {
			rt.Fatalf("got %q, %v", ids(got), err)
		}
	})
}

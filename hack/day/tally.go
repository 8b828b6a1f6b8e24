// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// tally counts what the tills did and heard. It is safe for concurrent use.
type tally struct {
	planted atomic.Int64 // misfortunes
	struck  int          // those that happened
	byHand  map[string]int

	mu    sync.Mutex
	words map[string]map[string]int
	took  map[string][]time.Duration
	lies  []string
}

func newTally() *tally {
	return &tally{words: map[string]map[string]int{}, took: map[string][]time.Duration{}, byHand: map[string]int{}}
}

func (t *tally) count(kind, word string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.words[kind] == nil {
		t.words[kind] = map[string]int{}
	}
	t.words[kind][word]++
	t.took[kind] = append(t.took[kind], took)
}

// lie keeps an answer that contradicts another, or cannot be read.
func (t *tally) lie(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lies = append(t.lies, fmt.Sprintf(format, args...))
}

// table prints calls by kind and outcome, and how long they took.
func (t *tally) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nkind\tcalls\tp50\tp99\toutcomes")
	for _, kind := range slices.Sorted(maps.Keys(t.words)) {
		var words []string
		for _, word := range slices.Sorted(maps.Keys(t.words[kind])) {
			words = append(words, fmt.Sprintf("%s %d", word, t.words[kind][word]))
		}
		took := slices.Sorted(slices.Values(t.took[kind]))
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", kind, len(took), percentile(took, 50), percentile(took, 99), strings.Join(words, ", "))
	}
	_ = w.Flush() // standard output
	fmt.Fprintf(out, "misfortunes of the vendors: %d planted, %d happened\n", t.planted.Load(), t.struck)
	for _, what := range slices.Sorted(maps.Keys(t.byHand)) {
		fmt.Fprintf(out, "by hand: %d %s\n", t.byHand[what], what)
	}
}

// percentile of sorted durations, rounded for a table.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)-1)*p/100].Round(100 * time.Microsecond)
}

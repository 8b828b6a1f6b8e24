// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// spread sums up a sample.
type spread struct {
	N                  int
	Min, P50, P99, Max float64
}

// spreadOf returns the zero value for an empty sample. Percentiles are by nearest rank: with twenty
// values the 99th is the largest.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := func(q float64) float64 { return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1] }
	return spread{N: len(sorted), Min: sorted[0], P50: rank(0.50), P99: rank(0.99), Max: sorted[len(sorted)-1]}
}

func seconds(durations []time.Duration) []float64 {
	var values []float64
	for _, d := range durations {
		values = append(values, d.Seconds())
	}
	return values
}

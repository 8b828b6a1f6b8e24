// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestASpreadIsByNearestRank(t *testing.T) {
	hundred := make([]float64, 0, 100)
	for i := range 100 {
		hundred = append(hundred, float64((i*37)%100+1)) // 1 to 100 in another order
	}
	tests := map[string]struct {
		values []float64
		want   spread
	}{
		"nothing":          {nil, spread{}},
		"one value":        {[]float64{7}, spread{N: 1, Min: 7, P50: 7, P99: 7, Max: 7}},
		"two values":       {[]float64{9, 1}, spread{N: 2, Min: 1, P50: 1, P99: 9, Max: 9}},
		"a hundred values": {hundred, spread{N: 100, Min: 1, P50: 50, P99: 99, Max: 100}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, spreadOf(tc.values)); diff != "" {
				t.Errorf("spread (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASpreadIsInOrderAndLeavesTheSampleAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 99).Draw(t, "values")
		before := append([]float64(nil), values...)
		s := spreadOf(values)
		if s.Min > s.P50 || s.P50 > s.P99 || s.P99 > s.Max {
			t.Errorf("out of order: %+v", s)
		}
		if s.P99 != s.Max {
			t.Errorf("of less than a hundred values the 99th percentile is %v, not the largest, %v", s.P99, s.Max)
		}
		if diff := cmp.Diff(before, values); diff != "" {
			t.Errorf("the sample was changed (-before +after):\n%s", diff)
		}
	})
}

func TestDurationsAreToldInSeconds(t *testing.T) {
	if diff := cmp.Diff([]float64{0.25, 90}, seconds([]time.Duration{250 * time.Millisecond, 90 * time.Second})); diff != "" {
		t.Error(diff)
	}
}

// SPDX-License-Identifier: Apache-2.0

package redeem

import "time"

// Strategy is how a provider's legs in doubt become known; the values are those of
// spec.providers.*.inDoubt.
type Strategy string

const (
	// Manual: a named person looks at the vendor's back office and decides.
	Manual Strategy = "Manual"
	// QueryFlow: the vendor is asked by our own key (LookerUp).
	QueryFlow Strategy = "Query"
	// ReplaySameRequestID and ReplaySameBizID: the very same call is made again under
	// the same key, which the vendor (or the brand) promises to be idempotent.
	ReplaySameRequestID Strategy = "ReplaySameRequestID"
	ReplaySameBizID     Strategy = "ReplaySameBizID"
	// QueryBills: the member's bills are searched for our key (LookerUp).
	QueryBills Strategy = "QueryBills"
)

func (s Strategy) replays() bool { return s == ReplaySameRequestID || s == ReplaySameBizID }
func (s Strategy) queries() bool { return s == QueryFlow || s == QueryBills }

// PartialPolicy says what happens when some lines are redeemed and others refused;
// the values are those of spec.partialFailure.
type PartialPolicy string

const (
	// ReportPartial tells the till line by line.
	ReportPartial PartialPolicy = "Report"
	// ReversePartial undoes what was redeemed.
	ReversePartial PartialPolicy = "Reverse"
)

// cadence is when a leg in doubt is looked at, counted from the check before.
var cadence = []time.Duration{
	time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second,
	2 * time.Minute, 10 * time.Minute, time.Hour,
}

// nextDelay is how long to wait after checks checks, spread by ±20 % with
// random in [0,1) so that the legs of one outage do not come back as one wave.
//
//nolint:forbidigo // a share of a pause, not money
func nextDelay(checks int, random float64) time.Duration {
	return spread(cadence[min(max(checks, 0), len(cadence)-1)], random)
}

// spread is d ± 20 %, with random in [0,1).
//
//nolint:forbidigo // a share of a pause, not money
func spread(d time.Duration, random float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*random))
}

// SPDX-License-Identifier: Apache-2.0

package redeem

// Ending is how a call to the engine ended, as far as its caller must know.
type Ending string

const (
	// Concluded: the redemption is final and Answer holds the reply.
	Concluded Ending = "concluded"
	// InDoubt: something was, or may have been, sent and is not known yet. The
	// caller must not be told success nor failure.
	InDoubt Ending = "in-doubt"
	// Rejected: nothing was sent; Rejection says why.
	Rejected Ending = "rejected"
)

// Result is what the engine hands to the package that serves the point of sale.
type Result struct {
	Ending Ending
	// Answer is the reply byte for byte as the settle commit stored it, when
	// Concluded. A repeat of the same bizId gets the very same bytes.
	Answer []byte
	// Rejection, when Rejected. A Retryable one is our own fault (or a full house)
	// and is told apart in the reply from a request that will never be accepted.
	Rejection *Rejection
	// SubCode of the reply, for the access log and the metrics: the one in Answer
	// when Concluded, the rejection's when Rejected, empty when InDoubt.
	SubCode string
	// Replayed: the answer was recorded by an earlier call with this bizId.
	Replayed bool
	// Detail is English for the log of an InDoubt result: no secrets, no personal
	// data.
	Detail string
}

// SPDX-License-Identifier: Apache-2.0

// Package oneshot makes an HTTP exchange that is attempted exactly once and knows
// whether a byte of it left this process.
//
// The HTTP client of the standard library is kind: it follows redirects, and on a
// reused connection that broke it sends a request again when it believes that to
// be safe. For a deduction both are a second charge. A Client here does neither,
// and it reports the one fact on which a retry may stand: Sent. A request of which
// no byte was written to a connection may be made again by whoever decides such
// things; every other failure leaves the outcome open.
package oneshot

import (
	"context"
	"net/http"
)

// Request is what is sent: always a POST.
type Request struct {
	URL         string
	ContentType string
	Body        []byte
	Header      http.Header // extra headers, may be nil
	// Guard is called right before the first byte of the request is written to
	// the connection, and stops the exchange when it returns an error (a lease that
	// ran out while the process slept). nil: always go.
	Guard func() error
}

// Response is a whole answer. A body that was cut short, or that is longer than
// the client's limit, is an *Error, not a Response.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Error is a failed exchange.
type Error struct {
	// Sent is false only when it is proven that no byte of the request left.
	Sent bool
	// Cause refines Err to a constant for metrics and logs.
	Cause Cause
	// Status of the answer when one began, else 0.
	Status int
	Err    error
}

// Cause of a failed exchange.
type Cause string

const (
	CauseRequest   Cause = "request"         // it could not be built: never sent
	CauseDial      Cause = "dial"            // no connection: never sent
	CauseTLS       Cause = "tls"             // no secure connection: never sent
	CauseGuard     Cause = "guard"           // the guard said no: never sent
	CauseTimeout   Cause = "timeout"         // a deadline passed: Sent says which side of the write
	CauseCanceled  Cause = "canceled"        // the caller gave up: likewise
	CauseWrite     Cause = "write"           // the write failed: likewise
	CauseLost      Cause = "connection-lost" // sent, and no answer began
	CauseMalformed Cause = "malformed"       // the answer is not HTTP
	CauseTruncated Cause = "truncated"       // the answer broke off
	CauseTooLarge  Cause = "too-large"       // the answer is longer than allowed
)

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Doer is what vendor packages need.
type Doer interface {
	Do(ctx context.Context, r Request) (*Response, error)
}

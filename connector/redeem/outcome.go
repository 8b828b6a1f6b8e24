// SPDX-License-Identifier: Apache-2.0

package redeem

import "time"

// Kind says what is known of one call to a vendor. It, and nothing else, decides
// whether the call may be made again, what the till is told and what the ledger
// keeps. There are exactly four.
type Kind string

const (
	// Executed: the vendor said, in a form its documents describe, that it did it.
	Executed Kind = "executed"
	// Refused: the vendor said, in a documented form, that it did not and will not.
	Refused Kind = "refused"
	// NotSent: there is proof that the vendor was not asked to do it: no byte of the
	// request left this process, or the vendor turned the call away at its door (a
	// rate limit, in a documented form). The call may be made again, and the leg is not
	// concluded.
	NotSent Kind = "not-sent"
	// Unknown: everything else. Money may have moved. Nothing is repeated, the till
	// hears 3001, and the resolver finds out.
	Unknown Kind = "unknown"
)

// Class refines a Kind for metrics, logs and the reply's sub code. It is a short
// constant of the vendor package, such as "insufficient-balance", "timeout",
// "rate-limited", "signature". Never free text.
type Class string

// Outcome is the classified answer of one vendor call.
type Outcome struct {
	Kind  Kind
	Class Class
	// Code is the vendor's own code ("isv.invalid-parameter", "40012"), empty
	// when it gave none. Bounded to 64 bytes by the vendor package.
	Code string
	// Detail is English text for engineers: no secrets, no personal data.
	Detail string
	// Cashier is Chinese text for the till that says the next step. May quote the
	// vendor's own refusal text, which is clipped and never personal.
	Cashier string

	// FlowID is the vendor's own identity of what it did, by which it is reversed:
	// Zhimai's returned bizId, ALSC's flow_id.
	FlowID string
	// MemberName is the member's name as the vendor gave it, for the reply alone:
	// personal, never logged. Empty when the vendor gave none.
	MemberName string
	// Total, Real and Gift in fen: Total = Real + Gift always holds when Executed.
	// Real is the paid-in part; without a split by the vendor Real = Total.
	Total, Real, Gift Fen
	// Lines refines the outcome for a call that carries several assets of which a
	// vendor may do some and refuse others. Empty means that each line of the
	// leg shares Kind, Code and Cashier.
	Lines []LineOutcome

	// RetryAfter is how long the vendor asked to be left alone, 0 when it did not.
	RetryAfter time.Duration
	// HTTPStatus is 0 when no answer came.
	HTTPStatus int
}

// LineOutcome is what a vendor said of one line of a leg.
type LineOutcome struct {
	Line              int // Line.No
	Kind              Kind
	Code, Cashier     string
	Total, Real, Gift Fen
}

// SPDX-License-Identifier: Apache-2.0

// Package books is the bookkeeping of the sandbox: what its two vendors own
// of the truth. Members hold stored value (paid in, given, prepaid), points
// and coupons; every spend and every reversal is an [Entry] in an append-only
// journal.
//
// The books are the oracle that a connector is judged by. They therefore know
// nothing of wires, signatures or faults, they never repair a caller's
// mistake, and they assert their own invariants on every change: no pocket is
// ever negative, the total is the sum of its pockets, and nothing is given
// back that was not taken.
//
// All money is integer fen. A [Books] is safe for concurrent use. With
// [Open] each change is on disk (fsync) before the call that made it returns,
// so a sandbox that is killed and started again remembers what it took.
package books

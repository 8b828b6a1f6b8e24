// SPDX-License-Identifier: Apache-2.0

// Package trail follows one redemption end to end and answers the two questions that a
// member asks: was I charged, and was I charged twice?
//
// Find asks a connector for the redemption, and then for everything else of the same
// order, because a member is charged twice by a second request, never by a repeat of
// the first. Judge and TimeLine are pure: what the ledger recorded goes in, words come
// out. Spans of a tracing backend are put into the time line where they are there; they
// add durations and decide nothing.
package trail

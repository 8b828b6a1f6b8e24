// SPDX-License-Identifier: Apache-2.0

// Package report says in words what the ledger knows of a redemption, for the support desk that is asked "was this member charged twice?".
//
// Gather reads an Answer from the ledger. Everything else is pure: Conclude says how one redemption ended, Tally adds several up, and Text, JSON and YAML render an
// Answer. Money is yuan with two places in text; JSON and YAML have it in fen (…Fen, integers) and in yuan (…Yuan, text).
//
// Nothing personal is shown: not the member's name, not the hash of the mobile number, not the stored reply, which repeats the name. Member ids are.
package report

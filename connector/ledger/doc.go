// SPDX-License-Identifier: Apache-2.0

// Package ledger is the durable memory of the redemption engine: it implements redeem.Ledger on SQLite, for one replica, and on PostgreSQL, for many.
//
// # One way through
//
// Every change of a redemption goes the same way on both databases: read it on one snapshot, decide in memory what it becomes (plan.go, which is pure),
// and commit a list of statements that holds only if nothing changed meanwhile (store.go; sqlite.go and postgres.go run the list). Two things see to
// that, in the database and not in memory: each leg is updated WHERE its state and epoch are those that were read, and each commit appends an event
// whose number is the next one of its redemption and part of a key. Of two writers that read the same state one fails, reads again and decides again.
//
// The texts of the statements are the same for both databases, so there is one set of them, by hand.
//
// # Evidence
//
// Events form a chain for each redemption: an event's hash covers its own columns, the hash before it, and a digest of the redemption with its lines and legs as
// the commit left them. Seals tie the chains of a brand together (seal.go). Verify finds what was changed, left out or put in by another
// hand; docs/design/ledger.md says what it can find and what not.
//
// # What is kept
//
// No mobile number, no payment token, no name but the member name that a reply must repeat. Retain takes old redemptions away and leaves a tombstone,
// so that their bizId stays taken for ever.
package ledger

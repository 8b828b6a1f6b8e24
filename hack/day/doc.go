// SPDX-License-Identifier: Apache-2.0

// Command day plays a day of a brand with two vendors and then asks whether everybody's
// books agree: the ledger, each vendor's own books, what the tills were told, and
// `hexiao-connector reconcile`.
//
//	go run ./hack/day --seed 7          replay a day
//	go run ./hack/day --postgres        with a PostgreSQL of its own in place of SQLite
//	go run ./hack/day --keep            leave logs, ledger and the CSV of the reconciliation
//
// The parts are processes as they are installed: cmd/connector, and cmd/sandbox in the
// role of both vendors. Sixteen tills serve the guests (guest.go decides what a guest
// wants next), each guest at one till, so that a guest's calls have an order. One call
// in fifty meets a vendor that loses the answer, resets, says 500, dawdles or turns it
// away (misfortune.go).
//
// At closing time (closing.go) tills repeat what they do not know the end of, and a
// person decides at the admin API what no machine can find out, from the vendors'
// books. Then everything is compared (audit.go). The last line is
//
//	day: calls N  members M  differences: D
//
// and the exit status is 0 only without differences. The seed decides members, calls
// and misfortunes; what a guest wants next depends on what the till was told, so two
// runs differ where the network's timing does.
package main

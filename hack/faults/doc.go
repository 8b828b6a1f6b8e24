// SPDX-License-Identifier: Apache-2.0

// Command faults breaks a running connector in every way that its design claims to
// survive, and then asks the vendors' own books whether a member was charged twice or
// a charge was lost.
//
//	go run ./hack/faults                    the matrix, the load and the crash loop
//	go run ./hack/faults --run 'kill|POS'   the rows whose name matches
//	go run ./hack/faults --only load        two replicas, 64 tills, 2000 payments four times
//	go run ./hack/faults --only crash-loop  kill -9 every 200 to 800 ms under load
//	go run ./hack/faults --list             what there is
//
// A cell of the matrix is a fault (a row, matrix.go) with a ledger and with vendors (a
// column). It runs a real connector process, built with the tag faults so that it can
// be killed or stopped between any two of its steps, against a sandbox with books of
// its own and, where the column says so, a real PostgreSQL. No part of the engine can
// talk to the oracle (oracle.go): it reads the sandbox's books, what the till was told,
// byte for byte, and last of all the ledger.
//
// # To add a cell
//
// Add a row to rows in matrix.go. Its function gets a world: start a connector (with a
// crash point, if you like), sell something, let the misfortune happen. What every cell
// ends with is not the row's business: the connector is brought back, the till repeats
// until it knows, a person decides what only a person can, and the oracle judges.
//
//	{name: "vendor: answers a poem", run: func(w *world) {
//		w.start()
//		w.misfortune(fault.Rule{Kind: fault.Garbage, Count: 1})
//		w.payUntilStruck()
//	}},
package main

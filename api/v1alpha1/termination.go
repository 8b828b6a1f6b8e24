// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// TerminationLog is the file in which Kubernetes looks for why a container ended. The
// connector writes its last error there; the operator reads it in the Pod's status.
const TerminationLog = "/dev/termination-log"

// LedgerFault begins each of the connector's errors that say why a ledger was not opened.
const LedgerFault = "open ledger: "

// ExitLedgerAway is the exit code of a connector that ends to say that its database does
// not answer (EX_TEMPFAIL of sysexits.h). Started again, it waits.
const ExitLedgerAway = 75

// ExampleDSN is what a DSN looks like. It is in the connector's words where one cannot be
// parsed.
const ExampleDSN = "postgres://USER:PASSWORD@HOST:5432/DATABASE"

// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// TerminationLog is the file in which Kubernetes looks for why a container ended. The
// connector writes its last error there; the operator reads it in the Pod's status.
const TerminationLog = "/dev/termination-log"

// LedgerFault begins each of the connector's errors that say why a ledger was not opened.
const LedgerFault = "open ledger: "

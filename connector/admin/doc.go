// SPDX-License-Identifier: Apache-2.0

// Package admin lets a person look into a connector and decide what no machine can:
// what became of a leg in doubt, and whether a reversal is tried again. It is served
// on the admin listener, beside the probes and the metrics, under /admin/v1/.
//
// Who may. The listener is bound to all interfaces, because the kubelet and Prometheus
// come from outside of the Pod, and the connector has no token with which it could
// ask the API server who somebody is. So this package answers one way in alone: over
// the Pod's own loopback interface, in both directions (local.go). That is where
// `kubectl port-forward` ends, and nothing else from outside: neither another Pod,
// nor the Service (it does not list the port), nor the API server's pod or service
// proxy, which call the Pod's address. So whoever gets in was let in by RBAC, with
// the verb create on pods/portforward, and stands in the API server's audit log.
//
// What is recorded. Every question to a vendor, every decision and every retry is an
// event of the hash-chained log, with the name in "who". kubectl hexiao fills it with
// the name by which the API server knows the person; who calls the port by hand could
// write another one there, and the audit log tells.
//
// A decision is taken on what was looked at: the vendor is asked once more where it
// can be asked, evidence against the decision stops it unless it is forced, and a leg
// that changed meanwhile stops it in any case. The bodies are in package adminapi.
package admin

// SPDX-License-Identifier: Apache-2.0

// Command scale measures the operator with a fleet of brands, and fails when a figure is
// above its limit.
//
//	go run ./hack/scale                                             200 brands, 5 minutes at rest, 10000 Secrets
//	go run ./hack/scale --brands 1000                               a larger fleet
//	go run ./hack/scale --brands 50 --rest 60s --secrets 2000       what continuous integration runs
//	go run ./hack/scale --only bring-up,newcomers -o figures.json   some phases, and the figures as JSON
//
// What runs is real: bin/hexiao-manager (make build-manager) as a process of its own, logged in
// with a token of its own service account and the generated roles, against an API server, etcd and the
// controllers of Kubernetes (plane.go). There is no node. The brands have no replicas, so a Deployment is
// available as soon as its controller has looked at it, and what is measured is the control plane alone.
//
// Requests are counted by the API server, not by the operator: its audit log says who asked what and when
// (audit.go), and each process of the operator is told from the others by the id of its token. The
// operator's own metrics have to agree. Memory and CPU time come from /proc, so scale runs on Linux.
//
// The phases (one file each) run in this order, over one fleet:
//
//	bring-up    all brands at once, until all are Ready: seconds, writes a brand, CPU, memory
//	rest        nothing happens: no write, no reconcile
//	secrets     Secrets that no brand names, in another namespace: memory, and no reconcile
//	newcomers   one brand after another is created among the others: seconds until its Deployment and Ready
//	rotation    one Secret after another changes: seconds until the brand's Pod template does
//	restart     the operator starts anew, and brands are created while it looks at the whole fleet
//	failover    the leader of two replicas is ended or killed: seconds until the other one writes
//
// limits.go has the limits and the runs that they were taken from.
package main

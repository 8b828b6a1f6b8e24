// SPDX-License-Identifier: Apache-2.0

// Package openapi holds the OpenAPI documents of docs/reference against the connector:
// every example in them is replayed, in the order in which it stands there, against a
// real connector and the sandbox's vendors, and what comes back must fit its schema. A
// path that a handler serves and no document has, or the other way round, is a failure.
//
//	go test ./hack/openapi              check
//	go test ./hack/openapi -update      write the replies into openapi.yaml anew
//
// The package is its tests; there is nothing else in it.
package openapi

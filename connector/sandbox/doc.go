// SPDX-License-Identifier: Apache-2.0

// Package sandbox plays the vendors that a connector talks to: Zhimai's V2
// interface and Alibaba's TOP gateway with the ALSC CRM behind it, as their
// documents describe them, and the Keruyun side that calls the connector.
//
// It is a tool to try a connector against (cmd/sandbox) and the oracle that
// tests judge one by. For that reason it is written from the vendors'
// documents alone and shares no code with the packages that it judges.
//
//	Zhimai         POST /zhimai/api/v2       JSON, Token checked
//	TOP and ALSC   POST /top/router/rest     form, sign checked
//	administration      /sandbox/v1/…        members, books, calls, faults, traces
//	trace sink     POST /v1/traces           OTLP over HTTP
//
// A call passes three stations: the protocol check of its vendor (zhimai.go,
// top.go), the fault plan (package fault, carried out in deliver.go), and the
// business method (zhimai_*.go, alsc_*.go) that books it (package books).
// Where the documents are silent a switch in [Config] chooses; where money is
// at stake its default is the reading that is most dangerous for a careless
// client.
//
// [New] makes a sandbox, which is an http.Handler; [Serve] puts it on
// sockets, which faults on the connection need; package sandboxtest does both
// for a test. [Keruyun] signs and sends as the point of sale does, and
// [Admin] speaks to a sandbox in another process.
package sandbox

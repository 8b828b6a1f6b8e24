// SPDX-License-Identifier: Apache-2.0

// Package tempo reads a trace from a tracing backend by Tempo's HTTP API: GET
// /api/traces/{traceID} with Accept: application/protobuf, which is answered with the
// trace as OpenTelemetry's own messages (Grafana Tempo, "Tempo HTTP API", Query). The
// JSON of the same address is not read: its ids are in base64 or in hexadecimal,
// depending on who serves it.
package tempo

// SPDX-License-Identifier: Apache-2.0

// Package keruyun serves the member SPIs that Keruyun's point of sale calls when a
// guest spends an asset: it authenticates the call, translates it into the domain's
// redeem.Request, hands it to the redemption engine and renders the reply.
//
// A request passes through small steps, a file each:
//
//   - sign.go proves that Keruyun sent it: the public parameters in the query and,
//     under version 2.0, the body byte for byte as it arrived.
//   - decode.go reads the body: strictly where a field decides over money or
//     identity, tolerantly where it does not, and never through a float.
//   - handler.go bounds what a caller may use (size, concurrency, time), keeps one
//     span and one log line a request, and sees to it that every answer, whatever
//     happens, is the envelope that Keruyun expects. observe.go is the span and the log
//     line; verify.go, reverse.go, result.go and query.go are the SPIs themselves.
//   - reply.go renders answers. It is pure, and it is the engine that calls it for a
//     concluded redemption: the bytes are stored in the commit that settles it, so
//     that a repeat hears the very same answer.
//
// Before the signature is proven a fault is told by the HTTP status too; after it
// the status is always 200, because Keruyun stops pushing to an SPI whose answers
// have another shape.
package keruyun

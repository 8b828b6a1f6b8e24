// SPDX-License-Identifier: Apache-2.0

// Package redeem is the domain of the connector: what a redemption is, and the engine
// that makes one happen exactly once.
//
// A redemption is one verify or reverse request of the point of sale. It is split
// into legs; a leg is what one vendor call carries. What is known of a call is one of
// four kinds: Executed, Refused, NotSent (proof that no byte left), and Unknown, which
// is everything else. The kind, and nothing else, decides what happens next.
//
// The engine turns a request into a reply in five steps:
//
//  1. Plan (plan.go, pure): lines meet routes, routes name providers, providers group
//     their lines into legs, and each leg gets a key that is a function of brand,
//     action, bizId and leg number (key.go): the same for ever.
//  2. Gate (gate.go): breaker, call limit and bulkhead of each provider. Up to here
//     nothing is recorded, and whoever is turned back is told so.
//  3. Record: the redemption and its legs, in StateSent and leased to this flight, in
//     one durable commit. The unique key in the ledger decides who sends; memory never.
//  4. Send (flight.go): each leg once, detached from the till's connection, under a
//     guard that stops a process whose lease is over. Only what was provably never
//     sent is tried again, under the same key.
//  5. Settle (settle.go): each outcome in a durable commit before anybody is told.
//     The commit that makes the last leg final stores the reply with it, byte for byte.
//
// A request whose bizId is known is a repeat: with the same fingerprint
// (fingerprint.go) it gets the recorded answer, waits for the running flight on
// whichever replica, or sends what was never sent; with another one it is refused.
//
// What is in doubt after that belongs to the resolver (resolver.go): any replica
// leases due legs, fenced by an epoch, and asks or repeats as the provider's Strategy
// says, until there is evidence; or a named person decides (decide.go). A reversal
// (reverse.go) is a redemption of its own that takes back a part of another, never
// more than it redeemed: the ledger reserves the amounts as it records it.
//
// The engine speaks to the world through the small interfaces in ports.go. It imports
// no vendor, no database and no HTTP; clock, jitter, nonces, logger, tracer and
// metrics come in by Deps. Package redeemtest has a ledger and a vendor for tests.
//
// The reasons, the state machine and what happens at each point of a crash are in
// docs/design/redemption-engine.md.
package redeem

// SPDX-License-Identifier: Apache-2.0

// Package zhimai spends a member's assets at Zhimai's V2 interface.
//
// One call, communal.user.consume, takes stored value, coupons and points together,
// so all Zhimai lines of a request are one leg. The package plans that leg (call.go),
// writes the call (params.go, token.go), makes it once (client.go) and judges what
// came back by one table (classify.go). The vendor's rule is: executed means status
// true and code 0, outside and again inside data; status true with another code is a
// refusal; status false is a failure of the vendor's system, after which nothing is
// known. Whatever the table does not name is unknown, too.
//
// Nothing in the vendor's documents says that a repeated bizId is executed only
// once, and the action that reverses a consume is not published. So repeating,
// looking up (lookup.go) and reversing (reverse.go) exist, but each is something that
// a brand switches on.
package zhimai

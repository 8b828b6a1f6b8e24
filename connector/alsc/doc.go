// SPDX-License-Identifier: Apache-2.0

// Package alsc spends a member's assets at Alibaba's ALSC CRM, through the TOP gateway.
//
// top.go is the gateway's protocol: the signature, the form, and the two shapes in
// which answers come. On it stand the calls: a stored-value line is a leg of its own
// (alibaba.alsc.crm.recharge.dedut.update), all points and coupons of a request are
// one leg (alibaba.alsc.crm.open.assert.verify), which the CRM may do in part.
// classify.go and verify.go judge answers by tables: biz_success decides, then the
// prefix of sub_code, then the gateway's code; whatever is not named is unknown.
//
// request_id is documented as the key of idempotency and outer_order_id as unique,
// so both are the leg's key. An unknown outcome is found by asking for the flow of that
// outer_order_id (lookup.go), and what was done is undone by a reversal with a number
// of its own (reverse.go).
package alsc

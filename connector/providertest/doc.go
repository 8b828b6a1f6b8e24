// SPDX-License-Identifier: Apache-2.0

// Package providertest is for the tests of a vendor's client, a redeem.Provider.
//
// [Serve] is a vendor that answers from a script, and [Sending] a leg as the engine would
// make it. [Bench] puts the client against the sandbox and its books, and [Endure] holds
// what it says against them, whatever befalls its calls.
package providertest

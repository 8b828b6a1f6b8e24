// SPDX-License-Identifier: Apache-2.0

// Package answer holds what the vendor clients have in common when they judge what
// came back from a vendor.
//
// Vendors answer in JSON of loose habits: a truth value is true or "true", a code a
// number or a text, a list sometimes a text. [Object] reads such answers without
// ever passing through a float, by exact names, and refuses what could be read in
// two ways. A [Row] is one line of a client's classification table: what came back
// → outcome kind → what the till hears → what happens next; clients judge by their
// rows, and the documentation is generated from the same rows. [Transport]
// classifies exchanges that brought no answer at all, [Attempts] makes the call of a
// leg and says what is the same of each vendor's, and [Quote] makes a vendor's own words
// fit to be shown.
package answer

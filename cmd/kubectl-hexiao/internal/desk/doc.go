// SPDX-License-Identifier: Apache-2.0

// Package desk is what a person at the support desk does with a brand's connector:
// look over what is in doubt, look at one redemption, decide, retry. It speaks to a
// connector through its admin API and to the person through a terminal or a script.
package desk

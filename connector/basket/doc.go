// SPDX-License-Identifier: Apache-2.0

// Package basket holds what one call to a vendor carries: some lines of a till's
// request, stored value, coupons and points.
//
// A vendor client checks the lines by a [Checker], keeps them as [Line]s in its call,
// and makes of both a leg by [Leg]. When the call was executed, [Share] deals its money out
// to the lines again. The rejections say in one way, for each vendor, what cannot be
// carried.
package basket

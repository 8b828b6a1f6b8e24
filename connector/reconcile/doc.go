// SPDX-License-Identifier: Apache-2.0

// Package reconcile compares the ledger with the vendors' own flows of stored value: what we believe was
// spent and given back, and what the vendors say was.
//
// compare.go is the heart, and pure: two lists, ours and theirs, become rows, each of
// which is matched, missing here, missing there, or different. ours.go makes the first
// list from the ledger, pages.go and vendors.go the second from the vendors (Zhimai
// user.wealth-bills, ALSC accountflows.get), page by page; a list that may be
// incomplete is an error, never a difference. run.go puts them together, report.go
// writes what came out.
//
// It only reads, here and there, and may be run again at any time. Points and coupons
// have no flows at either vendor, so it cannot speak of them.
package reconcile

// SPDX-License-Identifier: Apache-2.0

// Package controllers runs brands: it reconciles BrandConnector objects.
//
// A reconcile is a list of phases over a scope. Each phase is short, fills fields of
// the scope that are documented there, and all of them run, so that a fault in one
// does not blind the status:
//
//	classify → resolve → render → pace → apply → prune → observe → diagnose
//
// What the phases found is then folded into conditions by a list of pure functions
// (readiness in summary.go) that reads as the definition of Ready, and the status is
// patched once, on every way out, if it changed.
//
// Four rules keep a fleet of thousands quiet:
//
//   - Secrets and ConfigMaps are watched as metadata; only referenced ones are read,
//     past the cache.
//   - Objects are applied server-side by one field manager, and only when the intent
//     or the object changed since the last time (applier in apply.go): at rest there
//     are no writes.
//   - An object that somebody else controls is never taken over; a condition says
//     whose it is.
//   - Nothing is ever written to the user's spec or metadata, and there is no
//     finalizer: the garbage collector deletes a brand's objects, whether the
//     operator runs or not.
package controllers

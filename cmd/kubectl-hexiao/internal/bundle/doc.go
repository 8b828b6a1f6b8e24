// SPDX-License-Identifier: Apache-2.0

// Package bundle collects what a support engineer asks for, of brands and of the
// operator, into one zip file: objects, events, logs, what is in doubt, versions, and a
// summary of what is not ready and why.
//
// It reads with the caller's own rights, and goes on where they end: manifest.json says
// what was collected, what was refused and why. Every byte passes package censor, which
// first learns the Secrets that the caller may read. Of Secrets the bundle holds names
// and keys, never values.
package bundle

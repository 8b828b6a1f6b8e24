// SPDX-License-Identifier: Apache-2.0

// Package preview says what the operator of this version would change for a brand, by a
// server-side dry run of what it would apply, and whether the brand's Pods would restart.
//
// Some of what the operator knows is unknown here, and is taken from what it made last:
//
//   - What the installation gives (image, pull policy, the namespaces of monitoring and of
//     callers) stands in the live Deployment and NetworkPolicy.
//   - The values of Secrets are never read: who may look at a brand need not be somebody
//     who may read its credentials. The revision of the configuration is a hash over them.
//     While the configuration is the live one, so is the revision; when it changes, the
//     revision does, to a value that is not known.
//   - The port of the ledger's database, which is in a Secret, is the one that the live
//     NetworkPolicy lets through.
//   - What the operator notes down for itself on the Deployment stays as it is.
//
// So a change of a Secret's value alone is not seen.
package preview

// SPDX-License-Identifier: Apache-2.0

// Package tree says how a brand is: the BrandConnector at the root, below it what the
// operator made of it, down to the Pods, each with a verdict and the reason for it.
//
// Gather reads a Snapshot from a cluster. Build makes a tree of it, and is pure: objects
// and a time go in, so golden files show all of it. Write prints a tree for a person; as
// JSON it is itself.
//
// The verdict of the brand is the operator's condition Ready for the newest generation.
// Those of the parts say where to look.
package tree

// SPDX-License-Identifier: Apache-2.0

// Package render turns a BrandConnector and the values that it refers to into the
// Kubernetes objects that run it. It does no input or output: the operator applies
// what it returns, and a command line can print it.
//
//	needs := render.Needs(brand)            // which keys of which Secrets and ConfigMaps
//	out, err := render.Render(render.Inputs{Brand: brand, Values: values, …})
//	for _, child := range out.Children { … }
//
// A child whose Apply is nil must not exist: the operator deletes it if it made it.
// The same inputs give the same bytes, always: an apply at rest writes nothing.
//
// What is in the pod template restarts a brand when it changes. Nothing that can
// change without a restart being wanted (the number of replicas, the exposure, the
// ledger's size) may find its way into it; the golden files under testdata show each
// object whole, so that a reviewer sees what a change does to running fleets.
package render

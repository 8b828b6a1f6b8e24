// SPDX-License-Identifier: Apache-2.0

// Package manifest reads brands from files and renders what the operator would make of
// them, by the operator's own code and without a cluster.
//
//	set, err := manifest.Read(os.Stdin, "brands.yaml", "-")
//	err = set.Complete("", "brands", manifest.NoClasses) // namespaces, classes, defaults, demands
//	for _, b := range set.Brands {
//		values, err := set.Values(b, credentials)
//		objects, err := manifest.Render(b, values, installation)
//	}
//
// What a file gets wrong is an error that names the file, the line or the field, and
// the remedy; all of them at once. No error and no output repeats a Secret's value.
package manifest

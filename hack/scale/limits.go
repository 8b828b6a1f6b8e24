// SPDX-License-Identifier: Apache-2.0

package main

// size is what a limit may depend on.
type size struct{ brands, secrets int }

// limit is the most that a figure may be.
type limit struct {
	most func(size) float64
	// evidence is what was seen.
	evidence string
}

// limits are by phase and figure.
var limits = map[string]limit{}

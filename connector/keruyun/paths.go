// SPDX-License-Identifier: Apache-2.0

package keruyun

import (
	"maps"
	"slices"
)

// Paths are the paths of the SPIs that h serves, sorted, with {brandId} for the brand.
func (h *Handler) Paths() []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(h.spis)) {
		paths = append(paths, "/keruyun/{brandId}/member-assets/"+name)
	}
	return paths
}

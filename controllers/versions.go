// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// versions remembers which version of a brand our last write of its status made: a
// cache that is behind it would have us decide, and write, on what we know is old.
type versions struct {
	mu   sync.Mutex
	last map[types.NamespacedName]string
}

func newVersions() *versions { return &versions{last: map[types.NamespacedName]string{}} }

func (v *versions) remember(brand types.NamespacedName, resourceVersion string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last[brand] = resourceVersion
}

func (v *versions) forget(brand types.NamespacedName) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.last, brand)
}

// isBehind says whether a version is older than the one that we wrote.
func (v *versions) isBehind(brand types.NamespacedName, resourceVersion string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	last, ok := v.last[brand]
	if !ok {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(resourceVersion, last)
	return err == nil && order < 0
}

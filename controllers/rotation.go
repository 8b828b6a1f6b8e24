// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// rotations remembers when the values were written that a brand's Pods start anew for, for
// the histogram of how long it takes until they are available.
type rotations struct {
	mu      sync.Mutex
	running map[types.NamespacedName]rotation
}

type rotation struct {
	revision string
	began    time.Time
}

func newRotations() *rotations {
	return &rotations{running: map[types.NamespacedName]rotation{}}
}

func (r *rotations) start(brand types.NamespacedName, revision string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[brand] = rotation{revision, now}
}

// end says how long the rotation to a revision took, once.
func (r *rotations) end(brand types.NamespacedName, revision string, now time.Time) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	running, ok := r.running[brand]
	if !ok || running.revision != revision {
		return 0, false
	}
	delete(r.running, brand)
	return now.Sub(running.began), true
}

func (r *rotations) forget(brand types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, brand)
}

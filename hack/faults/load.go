// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// long are the runs that have the machine for themselves.
func long(loop time.Duration) []row { return nil }

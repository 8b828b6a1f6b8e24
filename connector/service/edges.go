// SPDX-License-Identifier: Apache-2.0

//go:build !faults

package service

import "github.com/hexiao-dev/hexiao/connector/redeem"

// edges are the engine's edges as they are. A build with the tag faults, which only
// the fault suite makes, puts crash points around them.
func edges(d redeem.Deps) redeem.Deps { return d }

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

func (d *day) reconcile(context.Context, *audit, time.Time) error { return nil }

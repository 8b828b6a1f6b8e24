// SPDX-License-Identifier: Apache-2.0

// Package service is one brand's connector put together: configuration into
// vendors, ledger and engine; listeners; the order in which they start and stop.
//
// Two listeners: one for the point of sale, which every answer leaves as the
// envelope that Keruyun expects, and one for the cluster (probes, metrics) that is
// on no Service.
//
// The process is ready when the ledger was opened and the listener stands, and
// stays ready until it is told to stop. It does not become unready when a database
// or a vendor goes away: the till would then hear a gateway's error page, and
// Keruyun stops calling whoever answers in another shape. A connector that cannot
// record answers with the envelope that says so.
package service

// SPDX-License-Identifier: Apache-2.0

// Package adminapi is the admin API of a connector as both of its sides see it: the
// paths, the bodies and a client. The connector serves it (package admin), kubectl
// hexiao calls it.
//
// Amounts are whole fen, times are RFC 3339 in UTC. No body holds a secret, a name or
// a mobile number. Members appear under the id by which their vendor knows them,
// because who has to find a deduction in the vendor's back office needs it.
package adminapi

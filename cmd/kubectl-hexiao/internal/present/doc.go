// SPDX-License-Identifier: Apache-2.0

// Package present renders what a connector knows for a person or for a program. It is
// pure: values and a time go in, text comes out, and golden files show all of it.
package present

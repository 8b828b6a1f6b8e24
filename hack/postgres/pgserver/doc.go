// SPDX-License-Identifier: Apache-2.0

// Package pgserver runs a throw-away PostgreSQL from the binaries of the Debian package.
//
// The server is as durable as a production one (fsync and synchronous_commit are on), since the tests that use it kill it
// in the middle of a commit and then ask what was kept. It lives in a temporary directory, listens on a loopback port
// below the ephemeral range, so that nobody else takes the port while the server is down, and asks for a random password.
// PostgreSQL refuses to run as root: a process of root starts it as the user postgres (or nobody).
//
// Nothing outlives the process that started it: the kernel ends the server with its parent (on Linux), and a small shell that waits
// for the end of the parent removes the directory, even where the parent was killed.
package pgserver

// SPDX-License-Identifier: Apache-2.0

// Package reach finds a brand's connector and opens the way to its admin port: through
// the API server to the Pod's loopback interface, as kubectl port-forward does, or to
// an address on this machine.
//
// No local port is opened: requests travel on the forwarded streams themselves. A port
// on 127.0.0.1 would lend the caller's rights to everybody on the same machine.
package reach

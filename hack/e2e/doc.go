// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the product in a real cluster, from helm install to helm
// uninstall, by the commands that its users type. Run it with `make e2e`.
package e2e

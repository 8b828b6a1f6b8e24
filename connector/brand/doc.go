// SPDX-License-Identifier: Apache-2.0

// Package brand reads what a connector is configured with: a BrandConnector, the
// very object that a cluster takes, and the credentials that it refers to.
//
// Credentials are a directory with one directory per Secret and one file per key,
// the way Kubernetes mounts Secrets:
//
//	credentials/xiaowang-keruyun/appKey
//	credentials/xiaowang-keruyun/token
//
// Everything is read and judged at the start. What is missing or malformed is
// named by its field or its file, all of it at once, and the process does not become
// ready: in a rolling update the old Pods keep serving.
package brand

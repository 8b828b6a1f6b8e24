// SPDX-License-Identifier: Apache-2.0

// Package crd carries the CustomResourceDefinitions of this version, so that the operator can
// tell an older one in the cluster.
package crd

import "embed"

// Files are the CRDs as controller-gen writes them, one a file.
//
//go:embed connect.hexiao.dev_*.yaml
var Files embed.FS

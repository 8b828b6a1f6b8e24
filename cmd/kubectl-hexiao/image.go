// SPDX-License-Identifier: Apache-2.0

package main

// defaultImage is what this version's chart runs when its values say nothing: their
// connector.image.repository with the appVersion of charts/hexiao/Chart.yaml. A test holds them
// together. The version of a plugin that is built between two releases names no image.
const defaultImage = "hexiao/connector:0.1.0"

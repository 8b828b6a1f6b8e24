// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of Hexiao: the BrandConnector, one object a
// restaurant brand. It says whose point of sale may call, which CRM holds which of
// the member's assets, where the ledger is and how the connector runs.
//
// The same type is read in two places: the operator turns it into a Deployment,
// and the connector reads it from a file. A file that works on a laptop is
// therefore the file that works in a cluster. The package imports apimachinery and
// nothing else, because there is one connector process per brand and it must stay
// small.
//
// Every demand on a field is in its schema or in a CEL rule beside it; there are
// no webhooks.
//
// +kubebuilder:object:generate=true
// +groupName=connect.hexiao.dev
package v1alpha1

// SPDX-License-Identifier: Apache-2.0

// Package gitops judges the product by what GitOps tools make of it, with these tools' own
// code where it can be had: Flux's evaluator of health, kstatus, the Lua of Argo CD, the
// CRDs of both. It is for tests and for what `make generate` writes.
//
//   - [Flux], [FluxExpressions] and [ArgoCD] read the health of an object; the tests of the controllers
//     let them read every status that the operator can write.
//   - [CRDs] are those of Argo CD and Flux, out of their pinned modules. The manifests that
//     [Files] finds under config/argocd and config/flux are applied to them here, in an API
//     server, and in hack/e2e, in a cluster.
//   - `go test ./hack/gitops -update` puts the Lua into config/argocd/health/argocd-cm.yaml and
//     the manifests into docs/guides/gitops-*.md. Without -update the test fails where one of them is not current.
package gitops

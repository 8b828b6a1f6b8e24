# SPDX-License-Identifier: Apache-2.0
#
# Two commands do everything a newcomer needs: `make demo` and `make test`. What they
# need beside Go they install, or say exactly what to install (hack/prerequisites).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Tools are built once for all clones of this machine, by version.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hexiao
CONTROLLER_GEN_VERSION := v0.23.0
HELM_VERSION := v3.22.0
CONTROLLER_GEN := $(CACHE)/tools/controller-gen-$(CONTROLLER_GEN_VERSION)/controller-gen
HELM := $(CACHE)/tools/helm-$(HELM_VERSION)/helm
# promtool is taken out of Debian's package, which would start a server when installed.
PROMTOOL := $(or $(shell command -v promtool),$(CACHE)/tools/prometheus/usr/bin/promtool)
LINT := $(CACHE)/tools/lint-$(shell cat hack/lint/go.sum hack/lint/main.go | cksum | cut -d' ' -f1)/lint

# How long a test waits for its API server, which takes a second where nothing else runs.
export KUBEBUILDER_CONTROLPLANE_START_TIMEOUT := 2m
export KUBEBUILDER_CONTROLPLANE_STOP_TIMEOUT := 2m

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PROGRAMS := manager connector sandbox
# Packages whose tests need a cluster, or Helm, or take minutes, have targets of their own.
PACKAGES = $(shell go list ./... | grep -v -E '/hack/(chart|e2e|faults|faults/mutants)$$')

##@ To begin with

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*##/ {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build-connector build-sandbox ## One brand on this machine: redeem, repeat, be refused, look at the trace (KEEP=1 stays up)
	go run ./hack/demo $(if $(KEEP),--keep)

.PHONY: test
test: prerequisites ## All tests, against a real API server and a real PostgreSQL
	@export KUBEBUILDER_ASSETS="$$(hack/assets/assets)"; \
	hack/postgres/postgres run -- go test -race -timeout 40m $(TESTFLAGS) $(PACKAGES)

.PHONY: test-oldest
test-oldest: prerequisites ## Tests of the API and of the operator, against the oldest Kubernetes that the charts take
	@export KUBEBUILDER_ASSETS="$$(hack/assets/assets --oldest)"; \
	go test -count=1 -timeout 40m ./api/... ./controllers/...

.PHONY: fuzz
fuzz: prerequisites ## Every fuzz target for FUZZTIME (1m), one after the other
	@export KUBEBUILDER_ASSETS="$$(hack/assets/assets)"; \
	grep -rl --include=*_test.go '^func Fuzz' api cmd connector controllers hack | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "=== $$file $$target"; \
			go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),1m) -fuzzminimizetime 2x -parallel 2 </dev/null; \
		done; \
	done

.PHONY: prerequisites
prerequisites:
	@hack/prerequisites

##@ Build

.PHONY: build
build: $(PROGRAMS:%=build-%) plugin ## Build the programs into bin/

.PHONY: plugin
plugin: ## Build the kubectl plugin (kubectl hexiao) into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/kubectl-hexiao ./cmd/kubectl-hexiao

.PHONY: $(PROGRAMS:%=build-%)
$(PROGRAMS:%=build-%): build-%:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/hexiao-$* ./cmd/$*

.PHONY: images
images: $(PROGRAMS:%=image-%) ## Build the container images into dist/, without a container engine

.PHONY: $(PROGRAMS:%=image-%)
$(PROGRAMS:%=image-%): image-%:
	hack/image/image --target $* --output dist/$*.tar --tag hexiao/$*:dev

.PHONY: release
release: ## Build the plugin's archives and the images with what proves where they are from, into dist/release (VERSION=v1.2.3)
	go run ./hack/release --version $(VERSION)

##@ Check

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Make everything that is generated anew
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd
	$(CONTROLLER_GEN) rbac:roleName=hexiao-manager paths=./controllers/... output:rbac:dir=config/rbac
	go run ./hack/chart
	go run ./hack/docs
	go test ./hack/gitops -run TestThe -update >/dev/null
	go test ./hack/fields -run TestThePage -update >/dev/null

.PHONY: check-generated
check-generated: generate ## Fail when a generated file is not current
	@git diff --exit-code -- api config charts docs || { echo "generated files are not current: run 'make generate' and commit" >&2; exit 1; }
	@test -z "$$(git status --porcelain -- api config charts docs)" || { git status --short -- api config charts docs; echo "generated files are not committed" >&2; exit 1; }

.PHONY: lint
lint: $(LINT) ## Lint: golangci-lint with the Kubernetes API linter, gofmt, shellcheck where it is installed
	$(LINT) run
	go vet ./...

.PHONY: chart
chart: $(HELM) ## The Helm charts: values, renderings, and an installation at a real API server
	@export KUBEBUILDER_ASSETS="$$(hack/assets/assets)"; HELM=$(HELM) go test -count=1 -timeout 20m ./hack/chart

.PHONY: templates
templates: ## Fail when a pod template changed and the changelog does not say so
	go run ./hack/templates

.PHONY: alerts
alerts: $(PROMTOOL) ## Check the alerts and run their tests
	$(PROMTOOL) check rules config/prometheus/rules.yaml
	$(PROMTOOL) test rules config/prometheus/rules_test.yaml config/prometheus/rules_days_test.yaml

.PHONY: footprint
footprint: ## Fail when the connector links what only the operator may
	@! go list -deps ./cmd/connector | grep -E '^(k8s.io/client-go|sigs.k8s.io/controller-runtime|k8s.io/api/)' || { echo "the connector must not link these" >&2; exit 1; }

.PHONY: faults
faults: prerequisites ## Kill, hang, cut and repeat: real processes against the vendors' books (about 9 minutes)
	go run ./hack/faults --budget 18m $(FAULTS)

.PHONY: faults-mutants
faults-mutants: prerequisites ## Break the engine on purpose: every break must be noticed (about 7 minutes)
	go run ./hack/faults/mutants $(MUTANTS)

.PHONY: day
day: ## 500 members over two vendors: ledger, vendors' books, tills and reconciliation must agree (about a minute)
	go run ./hack/day $(DAY)

.PHONY: bench-ledger
bench-ledger: prerequisites ## Record and settle on SQLite, PostgreSQL and a naive SQLite, in one run
	hack/postgres/postgres run -- go test -run '^$$' -bench Redemption -benchtime 3000x ./connector/ledger

.PHONY: scale
scale: build-manager ## Measure the operator with a fleet, and fail above the limits (about 10 minutes)
	go run ./hack/scale $(SCALE)

.PHONY: e2e
e2e: prerequisites $(HELM) images plugin ## The product in a real cluster, from helm install to helm uninstall (about 5 minutes)
	HELM=$(HELM) hack/e2e/run

.PHONY: ci
ci: ## What continuous integration runs
	bash .ci/run

##@ Tools

$(CONTROLLER_GEN):
	GOBIN=$(@D) go install sigs.k8s.io/controller-tools/cmd/controller-gen@$(CONTROLLER_GEN_VERSION)

$(HELM):
	GOBIN=$(@D) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

$(CACHE)/tools/prometheus/usr/bin/promtool:
	@command -v apt-get >/dev/null || { echo "promtool is missing: install it (Debian's package is prometheus)" >&2; exit 1; }
	mkdir -p $(CACHE)/tools/prometheus
	cd $(CACHE)/tools/prometheus && { apt-get download prometheus || { apt-get update -qq && apt-get download prometheus; }; } && dpkg-deb -x prometheus_*.deb .

$(LINT):
	mkdir -p $(@D) && go build -C hack/lint -o $@ .

.PHONY: clean
clean: ## Remove what was built here; the caches of this machine stay
	rm -rf bin dist .demo

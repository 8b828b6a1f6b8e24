// SPDX-License-Identifier: Apache-2.0

// Command docs writes docs/reference/brandconnector.md, the reference of the
// BrandConnector's fields, from the CRD. Run it at the root of the repository, after
// controller-gen. With --check it writes nothing and fails when the page is not current.
//
// The package's tests check all pages of the repository: that links lead somewhere, and
// that the commands and metrics that are named exist. They look at the alerts and the
// dashboard likewise.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
)

const (
	crdFile   = "config/crd/connect.hexiao.dev_brandconnectors.yaml"
	reference = "docs/reference/brandconnector.md"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail when the page is not current")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	crd, err := os.ReadFile(crdFile)
	if err != nil {
		return err
	}
	page, err := referencePage(crd)
	if err != nil {
		return fmt.Errorf("read %s: %w", crdFile, err)
	}
	old, err := os.ReadFile(reference)
	if err == nil && bytes.Equal(old, page) {
		return nil
	}
	if check {
		return errors.Join(err, fmt.Errorf("%s is not current: run `go run ./hack/docs` and commit", reference))
	}
	return os.WriteFile(reference, page, 0o644)
}

// SPDX-License-Identifier: Apache-2.0

// Command docs writes the reference pages that follow from the code:
//
//   - a page for each CRD under config/crd, with its fields;
//   - conditions.md, from the doc comments of the conditions and reasons in api/v1alpha1;
//   - rbac.md, from the generated roles, with the reason for each right from rights.go;
//   - operator-metrics.md, from the operator's collectors.
//
// Run it at the root of the repository, after controller-gen. With --check it writes
// nothing and fails when a page is not current. It fails in any case when a page cannot be
// whole: a reason without a remedy, a right without a reason, a label without a meaning.
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
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// generators make pages, by their path in the repository whose root they are given.
var generators = []func(root string) (map[string][]byte, error){
	referencePages,
	conditionsPage,
	rightsPage,
	operatorMetricsPage,
}

func main() {
	check := flag.Bool("check", false, "write nothing; fail when a page is not current")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run goes on after an error: what can be written is.
func run(root string, check bool) error {
	var errs []error
	for _, generate := range generators {
		pages, err := generate(root)
		errs = append(errs, err)
		for _, name := range slices.Sorted(maps.Keys(pages)) {
			errs = append(errs, write(root, name, pages[name], check))
		}
	}
	return errors.Join(errs...)
}

func write(root, name string, page []byte, check bool) error {
	file := filepath.Join(root, name)
	old, err := os.ReadFile(file)
	if err == nil && bytes.Equal(old, page) {
		return nil
	}
	if check {
		return errors.Join(err, fmt.Errorf("%s is not current: run `go run ./hack/docs` and commit", name))
	}
	return os.WriteFile(file, page, 0o644)
}

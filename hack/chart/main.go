// SPDX-License-Identifier: Apache-2.0

// Command chart writes what the Helm charts have in common with the rest of the repository. Run it at
// the root of the repository, after controller-gen.
//
//	config/crd          → the CRDs as templates, in charts/hexiao and in charts/hexiao-crds
//	config/rbac         → files/*-rules.yaml, which the roles of charts/hexiao include
//	config/prometheus   → files/alerts.yaml
//	config/grafana      → files/dashboard.json
//	values.yaml         → the table of values in each chart's README.md
//	values.yaml         → the descriptions in each chart's values.schema.json
//	all of it           → the annotations of each Chart.yaml that Artifact Hub reads
//
// The tests beside it are the charts' own: they render and install them.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	operatorChart = "charts/hexiao"
	crdChart      = "charts/hexiao-crds"
)

func main() {
	if err := repository(".").generate(); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// repository is the directory of a checkout.
type repository string

func (r repository) generate() error {
	crds, err := r.crds()
	if err != nil {
		return err
	}
	return errors.Join(r.writeCRDs(crds), r.writeRules(crds), r.writeMonitoring(), r.writeTables(), r.writeDescriptions(), r.writeAnnotations(crds))
}

// writeMonitoring puts the alerts and the dashboard where the chart can include them. They
// are included as they are: what looks like a template in them is for Prometheus and Grafana.
func (r repository) writeMonitoring() error {
	for from, to := range map[string]string{
		"config/prometheus/rules.yaml": operatorChart + "/files/alerts.yaml",
		"config/grafana/hexiao.json":   operatorChart + "/files/dashboard.json",
	} {
		raw, err := r.read(from)
		if err != nil {
			return err
		}
		if err := r.write(to, string(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (r repository) path(name string) string {
	return filepath.Join(string(r), filepath.FromSlash(name))
}

func (r repository) read(name string) ([]byte, error) {
	return os.ReadFile(r.path(name))
}

func (r repository) write(name, content string) error {
	path := r.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// replaceBetween writes a file anew with another text between two lines.
func (r repository) replaceBetween(name, begin, end, text string) error {
	raw, err := r.read(name)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(raw, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the line %q or, below it, %q", name, begin, end)
	}
	return r.write(name, string(head)+begin+text+end+string(tail))
}

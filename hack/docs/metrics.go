// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/hexiao-dev/hexiao/controllers"
)

// labelMeanings say what each label of the operator's metrics holds.
var labelMeanings = map[string]string{
	"kind":      "kind of the object, such as `Deployment`",
	"result":    "`applied` (created or changed), `unchanged` (sent, and there was nothing to do), `skipped` (not sent), `failed`",
	"namespace": "namespace of the BrandConnector; a scraper that sets its own needs `honor_labels`",
	"name":      "name of the BrandConnector",
	"brand":     "`spec.brandID`",
	"image":     "`status.image`",
	"revision":  "`status.configRevision`",
	"type":      "type of the condition",
	"status":    "`True`, `False` or `Unknown`",
	"class":     "name of the ConnectorClass; empty for brands without one",
	"secret":    "name of a Secret that the brand or its class refers to",
	"crd":       "name of the CustomResourceDefinition",
	"state":     "`current`, `waiting` (its turn has not come), `rolling`, `failed` (not available in time)",
	"reason":    "reason of the condition, see [conditions](conditions.md)",
}

// metric is one of the operator's metrics, as its collector describes it.
type metric struct {
	name, kind, help string
	labels           []string
	buckets          []string
}

// operatorMetricsPage asks the operator's collectors what they export.
func operatorMetricsPage(string) (map[string][]byte, error) {
	all, err := operatorMetrics()
	if err != nil {
		return nil, err
	}
	page, err := metricsPage(all, labelMeanings)
	return map[string][]byte{"docs/reference/operator-metrics.md": page}, err
}

// metricsPage describes each metric. Every label needs a meaning, and every meaning a label.
func metricsPage(all []metric, meanings map[string]string) ([]byte, error) {
	p := &page{}
	p.printf(`# Metrics of the operator

<!-- Generated from the operator's collectors by "go run ./hack/docs"; do not edit. -->

Served by the operator on port 8080 at %[1]s/metrics%[1]s. Metrics of the connectors, and so of redemptions, are on [a page of their own](metrics.md).
What is said of single brands is read from the cache when it is scraped: a deleted brand leaves no series. Of two replicas the one that leads counts applies;
both report what they see of the brands, so take the maximum, not the sum.

| metric | kind | labels |
| --- | --- | --- |
`, "`")
	for _, m := range all {
		p.printf("| [`%s`](#%s) | %s | %s |\n", m.name, slug(m.name), m.kind, strings.Join(quoted(m.labels), ", "))
	}
	var errs []error
	used := map[string]bool{}
	for _, m := range all {
		p.printf("\n## %s\n\n%s\n", m.name, m.help)
		if len(m.labels) > 0 {
			p.printf("\n| label | values |\n| --- | --- |\n")
		}
		for _, label := range m.labels {
			used[label] = true
			if meanings[label] == "" {
				errs = append(errs, fmt.Errorf("the label %s of %s has no meaning: add one to labelMeanings in hack/docs/metrics.go", label, m.name))
			}
			p.printf("| `%s` | %s |\n", label, cell(meanings[label]))
		}
		if len(m.buckets) > 0 {
			p.printf("\nBuckets (s): %s.\n", strings.Join(m.buckets, ", "))
		}
	}
	for _, label := range slices.Sorted(maps.Keys(meanings)) {
		if !used[label] {
			errs = append(errs, fmt.Errorf("no metric of the operator has the label %s: take it out of labelMeanings in hack/docs/metrics.go", label))
		}
	}
	p.printf("\n## Metrics of libraries\n\n`controller_runtime_*` (reconciles, errors, times), `workqueue_*`, `leader_election_*`, `rest_client_*`, `go_*` and `process_*`: controller-runtime's, client-go's and the Go runtime's own.\n")
	return p.Bytes(), errors.Join(errs...)
}

func quoted(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, "`"+w+"`")
	}
	return out
}

// registrar keeps the collectors that are registered with it.
type registrar struct{ collectors []prometheus.Collector }

func (r *registrar) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return nil
}

func (r *registrar) MustRegister(all ...prometheus.Collector) {
	r.collectors = append(r.collectors, all...)
}

func (*registrar) Unregister(prometheus.Collector) bool { return false }

// operatorMetrics are what the operator's collectors describe, by name.
func operatorMetrics() ([]metric, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	r := &registrar{}
	if _, err := controllers.NewMetrics(r, fake.NewClientBuilder().WithScheme(scheme).Build()); err != nil {
		return nil, err
	}
	var all []metric
	for _, c := range r.collectors {
		described, err := describe(c)
		if err != nil {
			return nil, err
		}
		all = append(all, described...)
	}
	slices.SortFunc(all, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// description is how a prometheus.Desc prints itself, which is its one way to tell.
var description = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{\}, variableLabels: \{([a-z_,]*)\}\}$`)

func describe(c prometheus.Collector) ([]metric, error) {
	descs := make(chan *prometheus.Desc)
	go func() {
		c.Describe(descs)
		close(descs)
	}()
	var all []metric
	var errs []error
	for d := range descs {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			errs = append(errs, fmt.Errorf("a collector describes itself in an unknown way: %s", d))
			continue
		}
		name, err := strconv.Unquote(m[1])
		errs = append(errs, err)
		help, err := strconv.Unquote(m[2])
		errs = append(errs, err)
		one := metric{name: name, help: help}
		if m[3] != "" {
			one.labels = strings.Split(m[3], ",")
		}
		one.kind, one.buckets = kindOf(c, name)
		all = append(all, one)
	}
	return all, errors.Join(errs...)
}

// kindOf is what a collector collects. A description does not say it: a histogram without
// labels does, and for the others the name has to, as it should.
func kindOf(c prometheus.Collector, name string) (kind string, buckets []string) {
	if h, ok := c.(prometheus.Histogram); ok {
		var sample dto.Metric
		if err := h.Write(&sample); err == nil && sample.Histogram != nil {
			for _, b := range sample.Histogram.Bucket {
				buckets = append(buckets, strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
			}
			return "histogram", buckets
		}
	}
	switch c.(type) {
	case *prometheus.HistogramVec:
		return "histogram", nil
	case *prometheus.CounterVec:
		return "counter", nil
	}
	if strings.HasSuffix(name, "_total") {
		return "counter", nil
	}
	return "gauge", nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics is what a process said of itself at one time.
type metrics map[string]*dto.MetricFamily

func parseMetrics(r io.Reader) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	return families, nil
}

// scrape reads a page of metrics.
func scrape(ctx context.Context, client *http.Client, url string) (metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return parseMetrics(resp.Body)
}

// sum adds up the counters, gauges and untyped values of a family that have all of the labels, given as
// name, value, name, value. A family that is not there is zero: a counter with labels appears with its first event.
func (m metrics) sum(family string, labels ...string) float64 {
	var total float64
	for _, metric := range m[family].GetMetric() {
		if hasLabels(metric, labels) {
			total += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue()
		}
	}
	return total
}

func hasLabels(metric *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, pair := range metric.GetLabel() {
			found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

// reconciles counts the reconciles of brands.
func (m metrics) reconciles() float64 {
	return m.sum("controller_runtime_reconcile_total", "controller", "brandconnector")
}

// backlog is the number of brands that wait to be reconciled.
func (m metrics) backlog() float64 { return m.sum("workqueue_depth", "name", "brandconnector") }

// leads is true for the replica that writes.
func (m metrics) leads() bool { return m.sum("leader_election_master_status") > 0 }

// written counts the requests that the operator itself says it wrote. The leader election's are left out: they
// are the only ones by PUT, but for the first of all.
func (m metrics) written() float64 {
	var total float64
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodDelete} {
		total += m.sum("rest_client_requests_total", "method", method)
	}
	return total
}

// applied counts the objects that the operator says it sent.
func (m metrics) applied() float64 {
	var total float64
	for _, result := range []string{"applied", "unchanged", "failed"} {
		total += m.sum("hexiao_operator_apply_total", "result", result)
	}
	return total
}

// liveHeap is what the last garbage collection left, in bytes.
func (m metrics) liveHeap() float64 { return m.sum("go_gc_heap_live_bytes") }

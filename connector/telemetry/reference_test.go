// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var update = flag.Bool("update", false, "rewrite docs/reference/metrics.md")

const referenceHead = `# Metrics of the connector

<!-- Generated from connector/telemetry/instruments.go by "go test ./connector/telemetry -update"; do not edit. -->

Served at ` + "`/metrics`" + ` in the Prometheus text format; a scraper that accepts OpenMetrics gets exemplars, whose ` + "`trace_id`" + ` leads
from a number to a trace. The same instruments go to a collector over OTLP, under their OpenTelemetry names, where that is configured.
Every series carries ` + "`hexiao_brand_id`" + `. No series carries an order, a shop or a member.
`

// reference renders docs/reference/metrics.md.
func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("\n## At a glance\n\n| Prometheus | OpenTelemetry | kind | unit |\n| --- | --- | --- | --- |\n")
	rows := slices.Concat(instruments, []instrument{serverRequests, exportFailureRow()})
	for _, row := range rows {
		fmt.Fprintf(&b, "| [`%s`](#%[1]s) | `%s` | %s | %s |\n", prometheusName(t, row), row.name, kindOf(row), unitOf(row))
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", prometheusName(t, row), row.description)
		if len(row.attributes) > 0 {
			b.WriteString("\n| label | attribute | values |\n| --- | --- | --- |\n")
		}
		for _, key := range row.attributes {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", strings.ReplaceAll(string(key), ".", "_"), key, meaning[key])
		}
		if len(row.buckets) > 0 {
			fmt.Fprintf(&b, "\nBuckets (%s): %s.\n", row.unit, strings.Join(strings.Fields(strings.Trim(fmt.Sprint(row.buckets), "[]")), ", "))
		}
	}
	b.WriteString(referenceTail)
	return b.String()
}

const referenceTail = `
## Metrics of libraries

` + "`go_*`" + ` and ` + "`process_*`" + `: the Go runtime and the process. ` + "`target_info`" + `: the resource (service, version, brand, pod).
`

func exportFailureRow() instrument {
	row := exportFailures
	row.field = func(*Metrics) any { return new(metric.Int64Counter) }
	return row
}

func kindOf(row instrument) string {
	switch row.field(new(Metrics)).(type) {
	case *metric.Int64Counter:
		return "counter"
	case *metric.Float64Histogram:
		return "histogram"
	default:
		return "gauge"
	}
}

func unitOf(row instrument) string {
	if row.unit == "" {
		return "number"
	}
	return strings.Trim(row.unit, "{}")
}

func prometheusName(t *testing.T, row instrument) string {
	t.Helper()
	types := map[string]otlptranslator.MetricType{
		"counter": otlptranslator.MetricTypeMonotonicCounter, "histogram": otlptranslator.MetricTypeHistogram,
		"gauge": otlptranslator.MetricTypeGauge,
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(
		otlptranslator.Metric{Name: row.name, Unit: row.unit, Type: types[kindOf(row)]})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTheMetricReferenceIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "reference", "metrics.md")
	want := reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not current, refresh it with -update (-want +got):\n%s", path, diff)
	}
}

func TestTheTableIsWellFormed(t *testing.T) {
	seen := map[any]string{}
	for _, row := range instruments {
		field := row.field(new(Metrics))
		if !regexp.MustCompile(`^hexiao(\.[a-z]+(_[a-z]+)*)+$`).MatchString(row.name) {
			t.Errorf("name %q is not dotted lower case under hexiao", row.name)
		}
		if !strings.HasSuffix(row.description, ".") {
			t.Errorf("%s: the description %q is not a sentence", row.name, row.description)
		}
		if seen[row.name] != "" {
			t.Errorf("%s is declared twice", row.name)
		}
		seen[row.name] = row.name
		if _, histogram := field.(*metric.Float64Histogram); histogram != (len(row.buckets) > 0) || !slices.IsSorted(row.buckets) {
			t.Errorf("%s: buckets %v; a histogram has them in order, nothing else has any", row.name, row.buckets)
		}
		for _, key := range row.attributes {
			if meaning[key] == "" {
				t.Errorf("%s: attribute %s is not explained", row.name, key)
			}
			if slices.Contains([]attribute.Key{AttrBizID, AttrFlowID, AttrLeg, AttrShopID}, key) {
				t.Errorf("%s: attribute %s has a value for each request or shop", row.name, key)
			}
		}
	}
}

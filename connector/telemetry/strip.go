// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// stripQueries takes the query out of the URLs that instrumentation libraries put on spans: vendors and the point of sale
// sign by query parameters, and a session may be one. It is done on export because the
// libraries add attributes at any time before the end.
func stripQueries(spans []sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	var stripped []sdktrace.ReadOnlySpan
	for i, span := range spans {
		if !slices.ContainsFunc(span.Attributes(), hasQuery) {
			continue
		}
		if stripped == nil {
			stripped = slices.Clone(spans) // the batch is the caller's
		}
		stripped[i] = strippedSpan{span}
	}
	if stripped == nil {
		return spans
	}
	return stripped
}

func hasQuery(a attribute.KeyValue) bool {
	return a.Key == semconv.URLQueryKey || a.Key == semconv.URLFullKey && strings.Contains(a.Value.AsString(), "?")
}

type strippedSpan struct{ sdktrace.ReadOnlySpan }

// Attributes returns the span's attributes without queries.
func (s strippedSpan) Attributes() []attribute.KeyValue {
	kept := slices.DeleteFunc(slices.Clone(s.ReadOnlySpan.Attributes()), func(a attribute.KeyValue) bool { return a.Key == semconv.URLQueryKey })
	for i, a := range kept {
		if a.Key == semconv.URLFullKey {
			before, _, _ := strings.Cut(a.Value.AsString(), "?")
			kept[i] = a.Key.String(before)
		}
	}
	return kept
}
